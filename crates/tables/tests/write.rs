//! What is written is read back equal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use encoding_rs::{BIG5, Encoding, GB18030, SHIFT_JIS, UTF_8, WINDOWS_1252};
use ponte_tables::write::{CsvWriter, Reject, Rejects, Style};
use ponte_tables::{CsvReader, Delimiter, Row, Settings, Step};
use proptest::prelude::*;
use std::io::Cursor;

fn read(bytes: Vec<u8>, settings: &Settings) -> Vec<Vec<String>> {
    let mut reader = CsvReader::new(Cursor::new(bytes), settings).unwrap();
    let (mut rows, mut row) = (Vec::new(), Row::new());
    loop {
        match reader.next(&mut row).unwrap() {
            Step::Row => rows.push(row.cells().map(str::to_owned).collect()),
            Step::Bad(bad) => panic!("{bad:?}"),
            Step::End => return rows,
        }
    }
}

proptest! {
    #[test]
    fn a_table_is_read_back_equal_in_every_encoding_that_can_hold_it(
        table in proptest::collection::vec(proptest::collection::vec("[a-c0-9 ,;|\t\"'\r\n=é姓名あ电😀]{0,8}", 3), 1..10),
        delimiter in proptest::sample::select(Delimiter::USUAL.to_vec()),
    ) {
        let table: Vec<_> = table.into_iter().filter(|r| r.iter().any(|c| !c.trim().is_empty())).collect();
        let mut writer = CsvWriter::new(Vec::new(), Style { delimiter, mark: false, guard: false }).unwrap();
        writer.row(["one", "two", "three"]).unwrap();
        for row in &table {
            writer.row(row.iter().map(String::as_str)).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        for encoding in [UTF_8, WINDOWS_1252, BIG5, GB18030, SHIFT_JIS] {
            let (bytes, _, lost) = encoding.encode(&text);
            if !lost {
                prop_assert_eq!(&read(bytes.into_owned(), &settings(delimiter, encoding)), &table);
            }
        }
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        prop_assert_eq!(&read(wide, &settings(delimiter, encoding_rs::UTF_16BE)), &table);
        let marked: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        prop_assert_eq!(&read(marked, &settings(delimiter, UTF_8)), &table);
    }
}

fn settings(delimiter: Delimiter, encoding: &'static Encoding) -> Settings {
    let encoding = Some(encoding.name().to_owned());
    Settings { encoding, delimiter: Some(delimiter), header: Some(true), ..Settings::default() }
}

#[test]
fn rejected_rows_go_on_where_they_were_durable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rejected.csv");
    let header = vec!["name".to_owned(), "phone".to_owned()];
    let why = Reject {
        line: 7,
        column: "phone",
        value: "+12",
        code: "phone_too_short",
        reason: "too short",
        suggestion: "Look it up.",
    };
    let mut rejects = Rejects::create(&path, &header, Delimiter::SEMICOLON).unwrap();
    rejects.write(&why, ["=HYPERLINK(\"x\")", "+12"]).unwrap();
    let length = rejects.checkpoint().unwrap();
    rejects.write(&why, ["lost", "+12"]).unwrap();
    rejects.finish().unwrap();
    let mut rejects = Rejects::resume(&path, length, Delimiter::SEMICOLON).unwrap();
    rejects.write(&why, ["after", "+12"]).unwrap();
    assert_eq!(rejects.rows(), 1);
    rejects.finish().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.starts_with("\u{feff}ponte_line;ponte_column;".as_bytes()));
    let rows = read(bytes, &Settings::default());
    let begin = ["7", "phone", "+12", "phone_too_short", "too short", "Look it up."];
    assert_eq!(rows[0], [&begin[..], &["'=HYPERLINK(\"x\")", "+12"]].concat());
    assert_eq!(rows[1], [&begin[..], &["after", "+12"]].concat());
    assert_eq!(rows.len(), 2);
    assert!(Rejects::resume(&path, 1_000_000, Delimiter::SEMICOLON).is_err());
}
