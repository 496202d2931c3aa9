//! What a messy table promises.

use super::*;
use crate::{CsvReader, Row, Settings, Step};
use std::collections::{HashMap, HashSet};
use std::io::Cursor;

fn table(rows: u64, seed: u64) -> (Vec<u8>, Planted, Vec<Truth>) {
    let (mut out, mut truths) = (Vec::new(), Vec::new());
    let planted = messy_with(rows, seed, &mut out, |t| truths.push(*t)).unwrap();
    (out, planted, truths)
}

#[test]
fn the_same_seed_makes_the_same_table_and_a_longer_one_begins_with_it() {
    let (short, planted, _) = table(500, 7);
    assert_eq!(table(500, 7).1, planted);
    assert!(table(900, 7).0.starts_with(&short));
    assert_ne!(table(500, 8).0, short);
}

#[test]
fn the_planted_shares_are_as_promised_and_every_row_can_be_read() {
    let (bytes, planted, truths) = table(20_000, 1);
    let share = |n: u64| n as f64 / 20_000.0;
    assert!((0.07..0.09).contains(&share(planted.missing + planted.invalid)), "{planted:?}");
    assert!((0.17..0.19).contains(&share(planted.duplicates)), "{planted:?}");
    assert_eq!(planted.people + planted.duplicates, planted.rows);
    assert_eq!(planted.rewritten + planted.typos + planted.swapped + planted.variants, planted.duplicates);
    assert!([planted.rewritten, planted.typos, planted.swapped, planted.variants].iter().all(|n| *n > 200));
    let mut reader = CsvReader::new(Cursor::new(bytes), &Settings::default()).unwrap();
    let (mut row, mut read) = (Row::new(), 0_usize);
    let mut mails = HashMap::new();
    let mut phones = HashSet::new();
    while let step @ (Step::Row | Step::Bad(_)) = reader.next(&mut row).unwrap() {
        assert_eq!(step, Step::Row);
        let truth = truths[read];
        read += 1;
        assert_eq!((row.number(), row.len()), (truth.row, 10));
        let (phone, mail) = (row.get(2).unwrap().to_owned(), row.get(3).unwrap().to_owned());
        assert_eq!(phone.is_empty(), truth.damage == Some(Damage::Missing));
        if !mail.is_empty() {
            assert_eq!(*mails.entry(mail).or_insert(truth.person), truth.person, "one address, one person");
        }
        if truth.twin.is_none() && truth.damage.is_none() {
            assert!(phones.insert(phone), "one number, one person");
        }
    }
    assert_eq!(read, 20_000);
}

#[test]
fn one_person_keeps_one_number_in_another_writing() {
    let digits = |s: &str| -> String {
        let plain = s.chars().map(|c| if c >= '０' { char::from_u32(u32::from(c) - 0xff10 + 48).unwrap() } else { c });
        let all: String = plain.filter(char::is_ascii_digit).collect();
        all[all.len() - 7..].to_owned()
    };
    let (bytes, _, truths) = table(5_000, 3);
    let mut reader = CsvReader::new(Cursor::new(bytes), &Settings::default()).unwrap();
    let (mut row, mut phones, mut seen) = (Row::new(), Vec::<String>::new(), 0);
    while reader.next(&mut row).unwrap() == Step::Row {
        let phone = row.get(2).unwrap().to_owned();
        let truth = truths[phones.len()];
        if matches!(truth.twin, Some(Twin::Rewritten | Twin::Variant)) {
            let first = &phones[usize::try_from(truth.person).unwrap() - 1];
            assert_eq!(digits(first), digits(&phone));
            seen += 1;
        }
        phones.push(phone);
    }
    assert!(seen > 200);
}

#[test]
fn the_columns_of_a_messy_table_are_guessed_right() {
    let mut reader = CsvReader::new(Cursor::new(table(200, 5).0), &Settings::default()).unwrap();
    let (mut row, mut samples) = (Row::new(), Vec::new());
    while reader.next(&mut row).unwrap() == Step::Row {
        samples.push(row.cells().map(str::to_owned).collect());
    }
    let guesses = crate::mapping::guess(reader.header(), &samples);
    let uses: Vec<String> = guesses.iter().map(|g| g.used_as.to_string()).collect();
    let wanted = "key field:name phone field:email field:country field:city field:birthday tags label:refuses_marketing field:note";
    assert_eq!(uses.join(" "), wanted);
    assert!(guesses.iter().all(|g| g.confidence >= 80), "{guesses:?}");
}
