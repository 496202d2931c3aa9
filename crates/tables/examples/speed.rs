//! Makes a messy table in memory, reads it, writes it, and says how fast: `cargo run --release -p ponte-tables --example speed [rows]`.

use ponte_tables::write::{CsvWriter, Style};
use ponte_tables::{CsvReader, Row, Settings, Step, generate};
use std::io::Cursor;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |n| n.parse())?;
    let told = |what: &str, since: Instant| {
        let seconds = since.elapsed().as_secs_f64();
        println!("{what}: {seconds:.2} s, {:.0} rows/s", rows as f64 / seconds);
    };
    let began = Instant::now();
    let mut table = Vec::new();
    let planted = generate::messy(rows, 1, &mut table)?;
    told("make", began);
    println!("{planted:?}, {} bytes", table.len());
    let mut row = Row::new();
    let mut reader = CsvReader::new(Cursor::new(&table), &Settings::default())?;
    let began = Instant::now();
    let mut seen = 0;
    while reader.next(&mut row)? != Step::End {
        seen += row.get(2).map_or(0, str::len);
    }
    told("read", began);
    let mut reader = CsvReader::new(Cursor::new(&table), &Settings::default())?;
    let mut writer = CsvWriter::new(std::io::sink(), Style::default())?;
    let began = Instant::now();
    while reader.next(&mut row)? != Step::End {
        writer.row(row.cells())?;
    }
    told("read and write", began);
    let wide: Vec<u8> = std::str::from_utf8(&table)?.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut reader = CsvReader::new(Cursor::new(&wide), &Settings::default())?;
    let began = Instant::now();
    while reader.next(&mut row)? != Step::End {
        seen += row.get(2).map_or(0, str::len);
    }
    told("read UTF-16", began);
    println!("{:?}, {} bytes of phones", reader.counts(), seen);
    Ok(())
}
