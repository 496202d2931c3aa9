//! What it costs to read a phone number: `cargo bench -p ponte-domain --bench phone`. The mixed input is the corpus of the
//! tests: all countries, valid and not. An import of a million rows leaves 5 microseconds for each.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ponte_domain::phone::{Region, country_of, parse, time_zones};
use std::hint::black_box;

fn phones(c: &mut Criterion) {
    let corpus: Vec<(&str, Option<Region>)> = include_str!("../tests/phone/corpus.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .map(|row| (row[0], Region::new(row[1])))
        .collect();
    let tw = Region::new("TW");
    let valid: Vec<String> = corpus.iter().filter_map(|(t, d)| parse(t, *d).ok()).map(|p| p.e164).collect();

    let mut group = c.benchmark_group("phone");
    group.sample_size(20);
    group.throughput(Throughput::Elements(corpus.len() as u64));
    group.bench_function("parse, corpus", |b| b.iter(|| corpus.iter().filter(|(t, d)| parse(t, *d).is_ok()).count()));
    group.throughput(Throughput::Elements(1));
    for text in ["0912-345-678", "+886 912 345 678", "+1 650-253-0000", "+1 242-345-6789", "8.86912E+11"] {
        group.bench_function(format!("parse, {text}"), |b| b.iter(|| parse(black_box(text), tw)));
    }
    group.throughput(Throughput::Elements(valid.len() as u64));
    group.bench_function("country_of", |b| b.iter(|| valid.iter().filter_map(|v| country_of(v)).count()));
    group.bench_function("time_zones", |b| b.iter(|| valid.iter().map(|v| time_zones(v).len()).sum::<usize>()));
    group.finish();
}

criterion_group!(benches, phones);
criterion_main!(benches);
