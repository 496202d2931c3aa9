//! Agreement with Google's libphonenumber, number by number. `phone/corpus.tsv` holds what Google's metadata makes of numbers of
//! all countries (`phone/make_corpus.py`). The kinds of disagreement are explained in `docs/phones.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use ponte_domain::phone::{Phone, PhoneProblem, Region, parse};
use std::collections::{BTreeMap, BTreeSet};

/// One line of the corpus.
struct Row {
    text: &'static str,
    default: Option<Region>,
    /// E.164, region, line; nothing when not valid.
    google: Option<[&'static str; 3]>,
}

fn corpus() -> Vec<Row> {
    let lines = include_str!("phone/corpus.tsv").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let row: Vec<&str> = line.split('\t').collect();
            let google = (row[2] != "-").then(|| [row[2], row[3], row[4]]);
            Row { text: row[0], default: Region::new(row[1]), google }
        })
        .collect()
}

/// The cause of a disagreement, as `docs/phones.md` lists them; nothing where both say the same.
fn cause(row: &Row, ours: &Result<Phone, PhoneProblem>) -> Option<&'static str> {
    let phone = match (&row.google, ours) {
        (None, Err(_)) => return None,
        (Some([e164, ..]), Ok(phone)) if phone.e164 == *e164 => return None,
        (Some(_), Err(_)) => return Some(UNEXPLAINED),
        (_, Ok(phone)) => phone,
    };
    let ascii = |c: char| match u32::from(c) {
        code @ 0x0660..=0x0669 => char::from_digit(code - 0x0660, 10),
        code @ 0x0966..=0x096f => char::from_digit(code - 0x0966, 10),
        _ => Some(c).filter(char::is_ascii_digit),
    };
    let digits: String = row.text.split(" ext").next().unwrap_or_default().chars().filter_map(ascii).collect();
    let plus = row.text.contains(['+', '＋']);
    Some(if row.google.is_some() {
        "a mobile number with country code, not a landline"
    } else if !plus && phone.e164.ends_with(&format!("0{digits}")) {
        "a leading zero restored"
    } else if !plus && row.default != Some(phone.region) {
        "a country code without +"
    } else {
        "older plans in the library"
    })
}

const UNEXPLAINED: &str = "unexplained";

#[test]
fn google_and_we_agree_on_at_least_995_of_1000_numbers() {
    let rows = corpus();
    let countries: BTreeSet<&str> = rows.iter().filter_map(|row| row.google.map(|google| google[1])).collect();
    assert!(rows.len() >= 12_000 && countries.len() >= 100, "{} numbers of {} countries", rows.len(), countries.len());

    let (mut kinds, mut regions, mut lines) = (BTreeMap::<_, Vec<String>>::new(), 0_usize, 0_usize);
    for row in &rows {
        let ours = parse(row.text, row.default);
        if let Some(kind) = cause(row, &ours) {
            let google = row.google.map_or("not valid", |google| google[0]);
            let ours = ours.map_or_else(|problem| problem.code().to_owned(), |phone| phone.e164);
            kinds
                .entry(kind)
                .or_default()
                .push(format!("{:?} {:?}: Google {google}, we {ours}", row.text, row.default));
        } else if let (Some([_, region, line]), Ok(phone)) = (row.google, &ours) {
            regions += usize::from(phone.region.as_str() != region);
            lines += usize::from(phone.line.as_str() != line);
        }
    }
    let differ: usize = kinds.values().map(Vec::len).sum();
    let per_cent = |n: usize| 100.0 - 100.0 * n as f64 / rows.len() as f64;
    println!(
        "{} numbers of {} countries; agreement on validity and E.164 {:.2} %",
        rows.len(),
        countries.len(),
        per_cent(differ)
    );
    println!("of those: another region {regions}, another kind of line {lines}");
    for (kind, examples) in &kinds {
        println!("{kind}: {}", examples.len());
        for example in examples {
            println!("    {example}");
        }
    }
    assert!(per_cent(differ) >= 99.5, "{:.2} %", per_cent(differ));
    assert!(!kinds.contains_key(UNEXPLAINED), "Google reads what we refuse");
    assert!(per_cent(regions + lines) >= 99.5, "{regions} regions, {lines} kinds of line");
}
