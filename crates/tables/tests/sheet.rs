//! Reading spreadsheets, made here from their parts (ECMA-376).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use ponte_tables::{BadCode, Error, Row, Settings, Step, Table};
use std::io::Write;
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;

fn workbook(dir: &Path, sheets: &[(&str, &str)]) -> PathBuf {
    let path = dir.join("people.xlsx");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let mut part = |name: &str, text: &str| {
        zip.start_file(name, SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored)).unwrap();
        zip.write_all(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{text}").as_bytes()).unwrap();
    };
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let rels = "http://schemas.openxmlformats.org/package/2006/relationships";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let types = "application/vnd.openxmlformats-officedocument.spreadsheetml";
    part(
        "[Content_Types].xml",
        &format!(
            "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Override PartName=\"/xl/workbook.xml\" ContentType=\"{types}.sheet.main+xml\"/></Types>"
        ),
    );
    part(
        "_rels/.rels",
        &format!(
            "<Relationships xmlns=\"{rels}\"><Relationship Id=\"rId1\" Type=\"{office}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
        ),
    );
    let (mut list, mut links) = (String::new(), String::new());
    for (n, (name, data)) in sheets.iter().enumerate() {
        let n = n + 1;
        list += &format!("<sheet name=\"{name}\" sheetId=\"{n}\" r:id=\"rId{n}\"/>");
        links +=
            &format!("<Relationship Id=\"rId{n}\" Type=\"{office}/worksheet\" Target=\"worksheets/sheet{n}.xml\"/>");
        part(
            &format!("xl/worksheets/sheet{n}.xml"),
            &format!("<worksheet xmlns=\"{main}\"><sheetData>{data}</sheetData></worksheet>"),
        );
    }
    links += &format!("<Relationship Id=\"rId90\" Type=\"{office}/styles\" Target=\"styles.xml\"/>");
    part(
        "xl/workbook.xml",
        &format!("<workbook xmlns=\"{main}\" xmlns:r=\"{office}\"><sheets>{list}</sheets></workbook>"),
    );
    part("xl/_rels/workbook.xml.rels", &format!("<Relationships xmlns=\"{rels}\">{links}</Relationships>"));
    part(
        "xl/styles.xml",
        &format!(
            "<styleSheet xmlns=\"{main}\"><numFmts count=\"1\"><numFmt numFmtId=\"164\" formatCode=\"0000000000\"/></numFmts><cellXfs count=\"3\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\" applyNumberFormat=\"1\"/><xf numFmtId=\"164\" applyNumberFormat=\"1\"/></cellXfs></styleSheet>"
        ),
    );
    zip.finish().unwrap();
    path
}

fn text(text: &str) -> String {
    format!("<c t=\"inlineStr\"><is><t>{text}</t></is></c>")
}

fn all(table: &mut Table) -> Vec<Vec<String>> {
    let (mut rows, mut row) = (Vec::new(), Row::new());
    while table.next(&mut row).unwrap() == Step::Row {
        rows.push(row.cells().map(str::to_owned).collect());
    }
    rows
}

#[test]
fn numbers_and_days_are_shown_as_they_were_typed() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["name", "phone", "mobile", "birthday", "height"].map(text).concat();
    let data = format!(
        "<row r=\"1\">{names}</row><row r=\"3\">{}<c><v>886912345678</v></c><c s=\"2\"><v>912345678</v></c><c s=\"1\"><v>31118</v></c><c><v>1.75</v></c></row><row r=\"4\">{}</row>",
        text("陳美玲"),
        text("José"),
    );
    let path = workbook(dir.path(), &[("People", &data)]);
    let mut table = Table::open(&path, None, &Settings::default()).unwrap();
    assert_eq!(table.header(), ["name", "phone", "mobile", "birthday", "height"]);
    let mut row = Row::new();
    assert_eq!(table.next(&mut row).unwrap(), Step::Row);
    let cells: Vec<&str> = row.cells().collect();
    assert_eq!(cells, ["陳美玲", "886912345678", "0912345678", "1985-03-12", "1.75"]);
    assert_eq!((row.line(), row.number()), (3, 1));
    assert_eq!(all(&mut table), [["José", "", "", "", ""]]);
}

#[test]
fn a_sheet_is_chosen_by_name_and_rows_too_wide_are_bad() {
    let dir = tempfile::tempdir().unwrap();
    let row = |cells: &[&str]| format!("<row>{}</row>", cells.iter().map(|c| text(c)).collect::<String>());
    let second = [row(&["name", "phone"]), row(&["a", "1"]), row(&["b", "2", "3"])].concat();
    let path = workbook(dir.path(), &[("First", &row(&["name"])), ("Second", &second)]);
    assert_eq!(Table::open(&path, None, &Settings::default()).unwrap().header(), ["name"]);
    let mut table = Table::open(&path, Some("second"), &Settings::default()).unwrap();
    let mut row = Row::new();
    assert_eq!(table.next(&mut row).unwrap(), Step::Row);
    let Step::Bad(bad) = table.next(&mut row).unwrap() else { panic!("not bad") };
    assert_eq!((bad.line, bad.code), (3, BadCode::TooManyColumns { has: 3, expected: 2 }));
    assert_eq!(table.next(&mut row).unwrap(), Step::End);
    assert_eq!(table.next(&mut row).unwrap(), Step::End);
    assert_eq!((table.counts().rows, table.counts().bad), (2, 1));
    assert!(matches!(Table::open(&path, Some("Third"), &Settings::default()), Err(Error::Sheet { .. })));
}

#[test]
fn many_rows_come_in_order_and_a_reader_may_leave_early() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..5_000).map(|n| format!("<row><c><v>{n}</v></c>{}</row>", text("x"))).collect();
    let path = workbook(dir.path(), &[("S", &format!("<row>{}{}</row>{rows}", text("id"), text("name")))]);
    let mut table = Table::open(&path, None, &Settings::default()).unwrap();
    let read = all(&mut table);
    assert!(read.iter().enumerate().all(|(n, row)| row[0] == n.to_string()));
    assert_eq!(read.len(), 5_000);
    drop(Table::open(&path, None, &Settings::default()).unwrap());
}

#[test]
fn a_damaged_spreadsheet_is_an_error_and_text_is_read_as_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broken.xlsx");
    std::fs::write(&path, b"PK\x03\x04 and nothing else").unwrap();
    assert!(matches!(Table::open(&path, None, &Settings::default()), Err(Error::Spreadsheet(_))));
    std::fs::write(&path, "name,phone\na,1\n").unwrap();
    let mut table = Table::open(&path, None, &Settings::default()).unwrap();
    assert_eq!(all(&mut table), [["a", "1"]]);
    assert_eq!(table.progress().done, table.progress().total);
}
