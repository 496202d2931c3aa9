//! Reading CSV as people have it: encodings, delimiters, damage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use encoding_rs::{BIG5, Encoding, GB18030, GBK, SHIFT_JIS, WINDOWS_1252};
use ponte_tables::{Bad, BadCode, CsvReader, Delimiter, Error, Row, Settings, ShortRows, Step};
use proptest::prelude::*;
use std::io::Cursor;

type Cells = Vec<Vec<String>>;

fn open(bytes: impl Into<Vec<u8>>, settings: &Settings) -> CsvReader<Cursor<Vec<u8>>> {
    CsvReader::new(Cursor::new(bytes.into()), settings).unwrap()
}

fn all(reader: &mut CsvReader<Cursor<Vec<u8>>>) -> (Cells, Vec<Bad>) {
    let (mut rows, mut bad, mut row) = (Vec::new(), Vec::new(), Row::new());
    loop {
        match reader.next(&mut row).unwrap() {
            Step::Row => rows.push(row.cells().map(str::to_owned).collect()),
            Step::Bad(b) => bad.push(*b),
            Step::End => return (rows, bad),
        }
    }
}

fn read(text: impl Into<Vec<u8>>) -> (Cells, Vec<Bad>) {
    all(&mut open(text, &Settings::default()))
}

fn rows(rows: &[&[&str]]) -> Cells {
    rows.iter().map(|r| r.iter().map(|c| (*c).to_owned()).collect()).collect()
}

fn utf16(text: &str, big: bool, mark: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units.flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
}

const CHINESE: &str = "姓名,手機,城市,備註\n陳美玲,0912-345-678,臺北市,老客戶\n林志明,0922-333-444,高雄市,喜歡咖啡\n黃淑芬,0933-111-222,臺中市,\n";
const SIMPLE: &str = "姓名,手机,城市,备注\n王小明,13812345678,北京,老客户\n李娜,13912345678,上海,喜欢咖啡\n张伟,13712345678,广州,请下午联系\n";
const JAPANESE: &str = "名前,電話,市,メモ\n佐藤さくら,090-1234-5678,東京,コーヒーが好き\n鈴木ひろし,080-1234-5678,大阪,よろしくお願いします\n";
const LATIN: &str =
    "Nome;Telefone;Cidade\nJosé Araújo;(11) 98765-4321;São Paulo\nMônica Gonçalves;(21) 98765-4321;Niterói\n";

#[test]
fn encodings_are_told_from_the_bytes() {
    let encoded = |text: &str, encoding: &'static Encoding| encoding.encode(text).0.into_owned();
    for (bytes, text, name) in [
        (LATIN.as_bytes().to_vec(), LATIN, "UTF-8"),
        (format!("\u{feff}{LATIN}").into_bytes(), LATIN, "UTF-8"),
        (CHINESE.as_bytes().to_vec(), CHINESE, "UTF-8"),
        (utf16(CHINESE, false, true), CHINESE, "UTF-16LE"),
        (utf16(CHINESE, true, true), CHINESE, "UTF-16BE"),
        (utf16(LATIN, false, false), LATIN, "UTF-16LE"),
        (utf16(LATIN, true, false), LATIN, "UTF-16BE"),
        (encoded(LATIN, WINDOWS_1252), LATIN, "windows-1252"),
        (encoded(CHINESE, BIG5), CHINESE, "Big5"),
        (encoded(SIMPLE, GBK), SIMPLE, "GBK"),
        (encoded(JAPANESE, SHIFT_JIS), JAPANESE, "Shift_JIS"),
    ] {
        let mut reader = open(bytes, &Settings::default());
        assert_eq!(reader.dialect().encoding, name, "{text}");
        let delimiter = reader.dialect().delimiter.char();
        let lines: Cells = text.lines().map(|l| l.split(delimiter).map(str::to_owned).collect()).collect();
        assert_eq!(reader.header(), lines[0]);
        assert_eq!(all(&mut reader), (lines[1..].to_vec(), vec![]), "{name}");
        assert_eq!(reader.position(), reader.total());
    }
}

#[test]
fn an_encoding_can_be_named() {
    let bytes = GB18030.encode(CHINESE).0.into_owned();
    let settings = Settings { encoding: Some("gb18030".into()), ..Settings::default() };
    let mut reader = open(bytes, &settings);
    assert_eq!(all(&mut reader).0[0][0], "陳美玲");
    let wrong = Settings { encoding: Some("klingon".into()), ..Settings::default() };
    assert!(matches!(CsvReader::new(Cursor::new(b"a"), &wrong), Err(Error::Encoding(_))));
}

#[test]
fn accents_that_come_late_are_seen() {
    let mut text = String::from("name,phone\n");
    for n in 0..40_000 {
        text.push_str(&format!("Ana Silva,+5511987{n:06}\n"));
    }
    text.push_str(&"José Araújo,+5511987654321\n".repeat(40_000));
    let bytes = WINDOWS_1252.encode(&text).0.into_owned();
    let mut reader = open(bytes, &Settings::default());
    assert_eq!(reader.dialect().encoding, "windows-1252");
    assert_eq!(all(&mut reader).0.last().unwrap()[0], "José Araújo");
}

#[test]
fn one_row_in_another_encoding_is_one_bad_row() {
    let mut bytes = "name,phone\n".as_bytes().to_vec();
    for n in 0..20 {
        bytes.extend(format!("José Araújo,{n}\n").as_bytes());
    }
    bytes.extend(b"x,\"M\xf4nica\n\"\nlast,1\n");
    let (rows, bad) = read(bytes);
    assert_eq!(rows.len(), 21);
    let [bad] = bad.as_slice() else { panic!("{bad:?}") };
    assert_eq!((bad.code, bad.line, bad.column, bad.number), (BadCode::NotText, 22, Some(2), 21));
    assert_eq!(bad.value(), "M\u{fffd}nica\n");
}

#[test]
fn undecodable_bytes_of_other_encodings_are_bad_rows_too() {
    let mut bytes = utf16("a,b\n1,", false, true);
    bytes.extend(0xd800_u16.to_le_bytes());
    bytes.extend(utf16("\n2,3\n", false, false));
    let (good, bad) = read(bytes);
    assert_eq!(good, rows(&[&["2", "3"]]));
    assert_eq!((bad[0].code, bad[0].line, bad[0].column), (BadCode::NotText, 2, Some(2)));
}

#[test]
fn delimiters_are_told_from_the_rows() {
    for (mark, text) in [
        (',', "a,b,c\n1;2,3,4|5\n"),
        (';', "name;note;city\nAna;likes a, b and c;X\nZe;none, really;Y\n"),
        ('\t', "name\tphone\nAna, B\t1\nZe, C\t2\n"),
        ('|', "name|phone|tags\nAna|1|a,b\nZe|2|c,d\n"),
        (';', "nome;valor\na;1,5\nb;2,5\n"),
        (',', "name\nAna\n"),
    ] {
        assert_eq!(open(text, &Settings::default()).dialect().delimiter.char(), mark, "{text}");
    }
    let settings = Settings { delimiter: Some(Delimiter::new('^').unwrap()), ..Settings::default() };
    assert_eq!(all(&mut open("a^b\n1^2\n", &settings)).0, rows(&[&["1", "2"]]));
    for mark in ['"', 'a', '1', ' ', '\n', 'é'] {
        assert!(Delimiter::new(mark).is_err(), "{mark:?}");
    }
}

#[test]
fn excels_separator_line_is_obeyed() {
    for text in ["sep=;\na;b\n1,5;2\n", "\u{feff}SEP=;\r\na;b\r\n1,5;2\r\n", "\"sep=;\"\na;b\n1,5;2\n"] {
        let mut reader = open(text, &Settings::default());
        assert_eq!(reader.header(), ["a", "b"]);
        let mut row = Row::new();
        assert_eq!(reader.next(&mut row).unwrap(), Step::Row);
        assert_eq!((row.get(0), row.get(1), row.line()), (Some("1,5"), Some("2"), 3), "{text}");
    }
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    let mut reader = open("a,b\r\n\r\n1,\"x\r\ny\nz\"\r\n,\n\n2,3", &Settings::default());
    let (mut row, mut lines) = (Row::new(), Vec::new());
    while reader.next(&mut row).unwrap() == Step::Row {
        lines.push((row.line(), row.number(), row.get(1).unwrap().to_owned()));
    }
    assert_eq!(lines, [(3, 1, "x\r\ny\nz".to_owned()), (8, 2, "3".to_owned())]);
    assert_eq!(reader.counts().empty, 3);
}

#[test]
fn ragged_rows_are_bad_unless_nothing_is_lost_or_it_is_allowed() {
    let text = "a,b,c\n1,2\n1,2,3,,\n1,2,3,4\n1,2,3\n";
    let (good, bad) = read(text);
    assert_eq!(good, rows(&[&["1", "2", "3"], &["1", "2", "3"]]));
    assert_eq!(bad[0].code, BadCode::TooFewColumns { has: 2, expected: 3 });
    assert_eq!((bad[1].code, bad[1].line, bad[1].value()), (BadCode::TooManyColumns { has: 4, expected: 3 }, 4, "4"));
    let fill = Settings { short_rows: ShortRows::Fill, ..Settings::default() };
    assert_eq!(all(&mut open(text, &fill)).0[0], ["1", "2", ""]);
}

#[test]
fn a_quote_that_is_not_closed_costs_one_row() {
    let (good, bad) = read("a,b\n1,\"2\n3,4\n5,\"6\"\n7,8\n");
    assert_eq!(good, rows(&[&["3", "4"], &["5", "6"], &["7", "8"]]));
    assert_eq!((bad[0].line, bad[0].column, bad[0].value()), (2, Some(2), "\"2"));
    let (good, bad) = read("a,b\n1,\"say \"hi\" there\"\n3,4\n");
    assert_eq!(good, rows(&[&["3", "4"]]));
    assert_eq!((bad[0].code, bad[0].line, bad[0].column), (BadCode::TextAfterQuote, 2, Some(2)));
    let (good, bad) = read("a,b\n1,2\n3,\"4");
    assert_eq!((good.len(), bad[0].code, bad[0].line), (1, BadCode::QuoteNotClosed, 3));
}

#[test]
fn a_row_longer_than_allowed_is_passed_over_in_little_memory() {
    let text = format!("a,b\n1,{}\n3,4\n5,\"{}\"\n6,7\n", "x".repeat(3_000_000), "y\n".repeat(50_000));
    let (good, bad) = read(text);
    assert_eq!(good[0], ["3", "4"]);
    assert_eq!(good.last().unwrap(), &["6", "7"]);
    assert_eq!((bad[0].code, bad[0].line), (BadCode::TooLong { limit: 1024 * 1024 }, 2));
    assert!(bad[0].cells.iter().map(String::len).sum::<usize>() <= 64 * 1024);
    assert_eq!((bad[1].code, bad[1].line), (BadCode::QuoteNotClosed, 4));
}

#[test]
fn nul_characters_are_left_out_and_counted() {
    let mut reader = open("a,b\n1\0,\"\0x\"\"y\"\n2,3\n", &Settings::default());
    assert_eq!(all(&mut reader).0, rows(&[&["1", "x\"y"], &["2", "3"]]));
    assert_eq!(reader.counts().with_nul, 1);
}

#[test]
fn a_table_without_names_is_told_and_can_be_said() {
    let mut reader = open("Ana,+5511987654321\nZe,+5511987654322\n", &Settings::default());
    assert_eq!(reader.header(), ["column 1", "column 2"]);
    assert_eq!(all(&mut reader).0.len(), 2);
    let settings = Settings { header: Some(false), ..Settings::default() };
    assert_eq!(all(&mut open("name,phone\nx,y\n", &settings)).0.len(), 2);
    let settings = Settings { header: Some(true), skip_lines: 2, ..Settings::default() };
    let reader = open("Export\nof today, 3 rows\nname,,name\nx,y,z\n", &settings);
    assert_eq!(reader.header(), ["name", "column 2", "name (2)"]);
}

#[test]
fn nothing_and_a_damaged_first_row_are_errors() {
    for text in ["", "\n\n", "\u{feff}", "sep=;\n"] {
        assert!(matches!(CsvReader::new(Cursor::new(text), &Settings::default()), Err(Error::Empty)), "{text:?}");
    }
    let damaged = CsvReader::new(Cursor::new("a,\"b\n1,2\n3,4\n"), &Settings::default());
    assert!(matches!(damaged, Err(Error::Header { line: 1, .. })));
}

#[test]
fn one_row_of_memory_serves_all_and_personal_data_stays_out_of_debug_output() {
    let mut reader = open("name,phone\nJane,+15551234567\n", &Settings::default());
    let mut row = Row::new();
    reader.next(&mut row).unwrap();
    assert!(!format!("{row:?}").contains("Jane"));
    let (_, bad) = read("name,phone\nJane,\"+15551234567\n");
    assert!(!format!("{bad:?} {}", bad[0].code).contains("Jane"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_end_and_every_line_is_accounted_for(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        no_surprise(bytes)?;
    }

    #[test]
    fn bytes_like_a_table_end_too(text in "[ab1,;\t|\"\r\n\0é姓]{0,200}") {
        no_surprise(text.into_bytes())?;
    }

    #[test]
    fn what_a_strict_reader_takes_is_read_the_same(
        table in proptest::collection::vec(proptest::collection::vec("[a-c\",;\n\r é]{0,6}", 3), 1..8)
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["n", "m", "o"]).unwrap();
        table.iter().for_each(|row| writer.write_record(row).unwrap());
        let bytes = writer.into_inner().unwrap();
        let settings = Settings { header: Some(true), delimiter: Some(Delimiter::COMMA), encoding: Some("utf-8".into()), ..Settings::default() };
        let (rows, bad) = all(&mut open(bytes, &settings));
        let full: Cells = table.into_iter().filter(|r| r.iter().any(|c| !c.trim().is_empty())).collect();
        prop_assert_eq!(bad, vec![]);
        prop_assert_eq!(rows, full);
    }
}

fn no_surprise(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let length = bytes.len();
    for max_row in [5, 1024] {
        let settings = Settings { max_row, max_lines: 3, ..Settings::default() };
        let Ok(mut reader) = CsvReader::new(Cursor::new(bytes.clone()), &settings) else { continue };
        let mut row = Row::new();
        let mut line = 0;
        for turn in 0.. {
            prop_assert!(turn <= length + 1, "never ends");
            match reader.next(&mut row).unwrap() {
                Step::Row => {
                    prop_assert_eq!(row.len(), reader.header().len());
                    prop_assert!(row.line() > line);
                    line = row.line();
                }
                Step::Bad(bad) => {
                    prop_assert!(bad.line > line);
                    line = bad.line;
                }
                Step::End => break,
            }
        }
        prop_assert_eq!(reader.position(), reader.total());
    }
    Ok(())
}
