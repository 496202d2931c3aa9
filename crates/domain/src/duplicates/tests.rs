//! Tests of the rules: what a score says about given pairs, and what holds for any text.

use super::alike::{LETTERS, Letters, jaro_winkler, one_digit_off, one_letter_off};
use super::hash::Hash;
use super::*;
use proptest::prelude::*;
use std::cmp::Ordering;

const PHONE: &[&str] = &["5511987654321"];

fn card<'a>(name: &'a str, email: &'a str, phones: &'a [&'a str], birthday: &'a str) -> Card<'a> {
    let some = |text: &'a str| (!text.is_empty()).then_some(text);
    Card { name: some(name), email: some(email), phones, birthday: some(birthday), company: None, city: None }
}

fn make(name: &str, email: &str, phones: &[&str], birthday: &str) -> Prepared {
    Prepared::new(&card(name, email, phones, birthday))
}

fn verdict(a: &Prepared, b: &Prepared) -> Verdict {
    score(a, b).verdict(&Thresholds::default())
}

/// Two names on one private phone.
fn on_one_phone(a: &str, b: &str) -> (Vec<&'static str>, Verdict) {
    let (a, b) = (make(a, "", PHONE, ""), make(b, "", PHONE, ""));
    let mut codes = score(&a, &b).reasons.codes();
    codes.retain(|c| *c != "same_phone");
    (codes, verdict(&a, &b))
}

#[test]
fn names_on_one_phone() {
    use Verdict::{Apart, Automatic, Review};
    for (a, b, reason, wanted) in [
        ("Ana Silva", "ana  SILVA", "names_same", Automatic),
        ("Silva, Ana", "Ana Silva", "names_swapped", Automatic),
        ("José da Silva", "Jose Silva", "names_same", Automatic),
        ("Sra. Ana Silva", "Ana Silva", "names_same", Automatic),
        ("Ana Clara Souza Silva", "Ana Silva", "names_shortened", Automatic),
        ("Robert Smith", "Bob Smith", "nickname", Automatic),
        ("Zé Santos", "José Santos", "nickname", Automatic),
        ("John Smith", "Jon Smyth", "names_alike", Automatic),
        ("Thiago Mello", "Tiago Melo", "names_alike", Automatic),
        ("Ana Pereira", "Ana Perreria", "names_alike", Automatic),
        ("J. Santos", "José Santos", "initials", Review),
        ("Ana", "Ana Silva", "one_name_word", Review),
        ("Marina Silva", "Mariana Silva", "given_name_typo", Review),
        ("王小明", "王 小明", "names_same", Automatic),
        ("小明 王", "王小明", "names_swapped", Automatic),
        ("王小明先生", "王小明", "names_same", Automatic),
        ("阿明", "王小明", "nickname", Automatic),
        ("王小明", "王小美", "other_given_name", Apart),
        ("Jorge Silva", "Jfrge Silva", "given_name_typo", Review),
        ("Tit. José Gómez Ruiz", "José Gómez Ruiz", "names_contained", Review),
        ("Ana Silva", "Pedro Silva", "other_given_name", Apart),
        ("Paulo Silva", "Paula Silva", "other_given_name", Apart),
        ("Daniel Silva", "Daniela Silva", "other_given_name", Apart),
        ("Maria Clara Silva", "Maria Eduarda Silva", "names_partly", Apart),
        ("Ana Silva", "John Smith", "different_names", Apart),
    ] {
        assert_eq!(on_one_phone(a, b), (vec![reason], wanted), "{a} / {b}");
    }
}

#[test]
fn father_and_son_are_never_merged_without_asking() {
    let mail = "silva@exemplo.com.br";
    for (a, b, reason) in [
        ("José Silva Santos Filho", "José Silva Santos Neto", "different_suffix"),
        ("José Silva Santos Jr.", "José Silva Santos", "suffix_on_one_side"),
        ("John Q Smith Sr", "John Q Smith III", "different_suffix"),
    ] {
        let (a, b) = (make(a, mail, PHONE, ""), make(b, mail, PHONE, ""));
        assert!(score(&a, &b).reasons.codes().contains(&reason), "{:?}", score(&a, &b).reasons.codes());
        assert_ne!(verdict(&a, &b), Verdict::Automatic);
    }
}

#[test]
fn evidence_against_outweighs_all_that_agrees() {
    let a = make("Ana Silva", "ana.k@x.com", PHONE, "1980-05-06");
    let b = make("Ana Silva", "ana.k@x.com", PHONE, "1991-11-23");
    assert!(score(&a, &b).reasons.codes().contains(&"different_birthday"));
    assert_ne!(verdict(&a, &b), Verdict::Automatic);
    let twin = make("Pedro Silva", "ana.k@x.com", PHONE, "1980-05-06");
    assert_ne!(verdict(&a, &twin), Verdict::Automatic);
}

#[test]
fn a_changed_family_name_with_the_same_birthday_and_phone_is_one_person() {
    let (a, b) = (make("Ana Silva", "", PHONE, "1980-05-06"), make("Ana Costa", "", PHONE, "1980-05-06"));
    assert_eq!(score(&a, &b).reasons.codes(), ["same_phone", "other_family_name", "same_birthday"]);
    assert_eq!(verdict(&a, &b), Verdict::Automatic);
}

#[test]
fn numbers_that_one_country_writes_in_two_ways_are_one() {
    for (p, q) in
        [("5511987654321", "551187654321"), ("5215512345678", "525512345678"), ("5491112345678", "541112345678")]
    {
        let (a, b) = (make("Ana Silva", "", &[p], ""), make("Ana Silva", "", &[q], ""));
        assert_eq!(score(&a, &b).reasons.codes(), ["same_phone_variant", "names_same"], "{p} {q}");
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        keys(&a, &mut of_a);
        keys(&b, &mut of_b);
        assert_eq!(of_a, of_b, "{p} {q}");
    }
}

#[test]
fn mail_is_compared_without_tags_case_and_the_dots_that_gmail_ignores() {
    for (p, q, wanted) in [
        ("Ana.Silva+news@gmail.com", "anasilva@googlemail.com", true),
        ("ANA@x.com", "ana@X.com", true),
        ("ana.silva@x.com", "anasilva@x.com", false),
    ] {
        let (a, b) = (make("", p, &[], ""), make("", q, &[], ""));
        assert_eq!(score(&a, &b).reasons.has(Reason::SameEmail), wanted, "{p} {q}");
    }
    let (a, b) = (make("Ana Lima", "info@x.com", &[], ""), make("Rui Sá", "info@x.com", &[], ""));
    assert!(score(&a, &b).reasons.has(Reason::SharedEmail));
}

#[test]
fn a_number_of_many_names_says_little() {
    let names = ["Ana Lima", "Rui Costa", "Eva Braun", "John Smith", "Kim Lee", "Ana Lima"];
    let people: Vec<Prepared> = names.iter().map(|n| make(n, "", PHONE, "")).collect();
    let found = find(&people, &Settings::default());
    assert_eq!(found.pairs.iter().map(|p| (p.a, p.b)).collect::<Vec<_>>(), [(0, 5)], "one name on a switchboard");
    assert_ne!(found.pairs[0].score.verdict(&Thresholds::default()), Verdict::Automatic);
    assert!(score_among(&people[0], &people[5], &found.crowd).reasons.has(Reason::SharedPhone));
}

#[test]
fn a_large_block_is_compared_by_neighbours() {
    let names: Vec<String> = (0..2000).map(|n| format!("Person{} Family{}", n % 1000, n % 1000)).collect();
    let people: Vec<Prepared> = names.iter().map(|n| make(n, "office@x.com", PHONE, "1980-02-03")).collect();
    let settings = Settings::default();
    let found = find(&people, &settings);
    assert_eq!(found.pairs.iter().filter(|p| p.b == p.a + 1000).count(), 1000);
    assert!(found.compared < 2000 * 8 * settings.window as u64, "{}", found.compared);
}

#[test]
fn strangers_are_not_chained_into_one_merge() {
    // The card without a name fits both twins; they don't fit each other.
    let mail = "familia@exemplo.com";
    let people = [make("", mail, PHONE, ""), make("Ana Silva", mail, PHONE, ""), make("Rui Silva", mail, PHONE, "")];
    let found = find(&people, &Settings::default());
    let grouped = groups(&people, &found, &Thresholds::default(), |a, b| a.cmp(&b));
    assert_eq!(grouped.merges.iter().map(|m| (m.survivor, m.others.len())).collect::<Vec<_>>(), [(0, 1)]);
    assert_eq!(grouped.review.iter().map(|p| (p.a, p.b)).collect::<Vec<_>>(), [(0, 2)]);
}

#[test]
fn who_stays_decides_who_survives() {
    let people = [make("Ana Silva", "", PHONE, ""), make("Ana Silva", "", PHONE, ""), make("Ana Silva", "", PHONE, "")];
    let found = find(&people, &Settings::default());
    let grouped = groups(&people, &found, &Thresholds::default(), |a, b| b.cmp(&a));
    assert_eq!((grouped.merges.len(), grouped.merges[0].survivor, grouped.merges[0].others.len()), (1, 2, 2));
    assert_eq!(grouped.review, []);
}

#[test]
fn codes_are_distinct_and_sets_survive_being_kept() {
    let mut codes: Vec<&str> = Reason::ALL.iter().map(|r| r.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Reason::ALL.len());
    let kept = score(&make("Ana Lima", "a.b@x.com", PHONE, ""), &make("Ana Lima", "a.b@x.com", PHONE, "")).reasons;
    assert_eq!(Reasons::from_bits(kept.bits()), kept);
    assert_eq!(Reason::ALL.iter().map(|r| *r as usize).collect::<Vec<_>>(), (0..Reason::ALL.len()).collect::<Vec<_>>());
}

#[test]
fn stored_keys_stay_as_they_are() {
    // Worked out apart from this program, from the descriptions of FNV-1a and of MurmurHash3's finaliser.
    let mut of = Vec::new();
    keys(&make("", "ana.silva@x.com", PHONE, ""), &mut of);
    assert!(of.contains(&5817369642645560935) && of.contains(&17964196155440634962), "{of:?}");
    assert_eq!(Hash::of(b'E').number(7).end(), 17342235959239835512);
}

#[test]
fn what_an_office_shares_is_never_enough_to_merge_without_asking() {
    let office = |name| {
        Prepared::new(&Card {
            company: Some("Delta Foods Ltda"),
            city: Some("Recife"),
            ..card(name, "info@delta.com", PHONE, "")
        })
    };
    let names = ["Ana Lima", "Rui Costa", "Eva Braun", "John Smith", "Kim Lee", "Ana Lima"];
    let people: Vec<Prepared> = names.into_iter().map(office).collect();
    let found = find(&people, &Settings::default());
    assert_eq!(found.pairs.iter().map(|p| (p.a, p.b)).collect::<Vec<_>>(), [(0, 5)]);
    assert_eq!(found.pairs[0].score.permille, Score::CONTRADICTED);
    assert_eq!(groups(&people, &found, &Thresholds::default(), |a, b| a.cmp(&b)).merges, []);
}

#[test]
fn a_mailbox_that_is_the_name_counts_with_private_providers_only() {
    for (p, q, wanted) in [
        ("ana.lima@gmail.com", "ana.lima@yahoo.com", true),
        ("ana.lima@firma.com", "ana.lima@gmail.com", false),
        ("tigre9475@firma.com", "tigre9475@gmail.com", true),
    ] {
        let reasons = score(&make("Ana Lima", p, &[], ""), &make("Ana Lima", q, &[], "")).reasons;
        assert_eq!(reasons.has(Reason::SameMailboxName), wanted, "{p} {q}");
    }
}

#[test]
fn one_letter() {
    for (a, b, wanted) in [
        ("jorge", "jodge", true),
        ("maria", "mraia", true),
        ("ana", "anna", true),
        ("rui", "ui", true),
        ("ana", "ana", false),
        ("maria", "mraai", false),
        ("ana", "eva", false),
        ("", "ab", false),
    ] {
        let (x, y) = (Letters::of(a), Letters::of(b));
        assert_eq!((one_letter_off(x.get(), y.get()), one_letter_off(y.get(), x.get())), (wanted, wanted), "{a} {b}");
    }
}

#[test]
fn one_wrong_digit() {
    for (a, b, wanted) in
        [(12345, 12355, true), (12345, 12435, true), (12345, 12455, false), (12345, 2345, false), (1, 1, false)]
    {
        assert_eq!((one_digit_off(a, b), one_digit_off(b, a)), (wanted, wanted), "{a} {b}");
    }
}

#[test]
fn the_prepared_form_is_small() {
    assert_eq!(size_of::<Prepared>(), 48);
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z]{1,9}( [a-zé]{1,9}){0,4}", "\\PC{0,40}", "[王李陳小明美阿]{1,4}", ".{0,30}"]
}

fn anybody() -> impl Strategy<Value = Prepared> {
    let mail = prop_oneof!["[ab.+]{0,6}@[ab]{0,3}.com", "\\PC{0,20}"];
    let phones = proptest::collection::vec(prop_oneof!["55119[0-9]{8}", "[0-9]{0,17}", "\\PC{0,9}"], 0..4);
    let day = prop_oneof!["19[0-9]{2}-0[1-9]-[12][0-9]", "\\PC{0,12}"];
    (name(), mail, phones, day, proptest::option::of("\\PC{0,9}"), proptest::option::of("\\PC{0,9}")).prop_map(
        |(name, mail, phones, day, company, city)| {
            let phones: Vec<&str> = phones.iter().map(String::as_str).collect();
            Prepared::new(&Card {
                company: company.as_deref(),
                city: city.as_deref(),
                ..card(&name, &mail, &phones, &day)
            })
        },
    )
}

proptest! {
    #[test]
    fn the_score_is_symmetric(a in anybody(), b in anybody()) {
        prop_assert_eq!(score(&a, &b), score(&b, &a));
    }

    #[test]
    fn names_on_one_phone_are_symmetric(a in name(), b in name()) {
        let (a, b) = (make(&a, "", PHONE, ""), make(&b, "", PHONE, ""));
        prop_assert_eq!(score(&a, &b), score(&b, &a));
    }

    #[test]
    fn a_card_with_a_name_and_an_identifier_of_its_own_is_surely_itself(a in anybody()) {
        let own = score(&a, &a).reasons;
        let identified = own.has(Reason::SamePhone) || own.has(Reason::SameEmail);
        prop_assert!(!(a.has_name() && identified) || verdict(&a, &a) == Verdict::Automatic);
    }

    #[test]
    fn equal_cards_have_equal_keys(text in name(), mail in "[a-c.]{1,5}@[ab].com", number in "[0-9]{5,15}") {
        let all = || {
            let mut of = Vec::new();
            keys(&make(&text, &mail, &[&number], "1990-10-11"), &mut of);
            of
        };
        prop_assert_eq!(all(), all());
        prop_assert!(all().len() >= 2 && !all().contains(&0));
    }

    #[test]
    fn what_search_finds_is_what_comparing_everybody_finds_among_those_with_a_key(people in proptest::collection::vec(anybody(), 0..12)) {
        let found = find(&people, &Settings::default());
        prop_assert!(found.pairs.is_sorted() && found.pairs.windows(2).all(|w| (w[0].a, w[0].b) < (w[1].a, w[1].b)));
        for pair in &found.pairs {
            prop_assert_eq!(pair.score, score_among(&people[pair.a as usize], &people[pair.b as usize], &found.crowd));
        }
        let grouped = groups(&people, &found, &Thresholds::default(), |a, b| a.cmp(&b));
        let mut seen: Vec<u32> = grouped.merges.iter().flat_map(|m| m.others.iter().flat_map(|p| [p.a, p.b])).collect();
        seen.sort_unstable();
        seen.dedup();
        let merged: usize = grouped.merges.iter().map(|m| m.others.len() + 1).sum();
        prop_assert_eq!(seen.len(), merged, "nobody is in two merges");
        for merge in &grouped.merges {
            for pair in &merge.others {
                prop_assert!(pair.a == merge.survivor || pair.b == merge.survivor);
                prop_assert_eq!(pair.score.verdict(&Thresholds::default()), Verdict::Automatic);
            }
        }
    }

    #[test]
    fn likeness_is_that_of_the_reference(a in "[a-d]{0,32}", b in "[a-d]{0,32}") {
        let (x, y) = (Letters::of(&a), Letters::of(&b));
        prop_assert_eq!(one_letter_off(x.get(), y.get()), strsim::osa_distance(&a, &b) == 1);
        prop_assert!((jaro_winkler(x.get(), y.get()) - strsim::jaro_winkler(&a, &b)).abs() < 1e-9);
        prop_assert!(x.get().len() <= LETTERS);
    }

    #[test]
    fn order_of_people_changes_no_merge(people in proptest::collection::vec(anybody(), 0..8)) {
        let find_all = |people: &[Prepared]| {
            let found = find(people, &Settings::default());
            found.pairs.iter().map(|p| p.score).collect::<std::collections::BTreeSet<_>>()
        };
        let turned: Vec<Prepared> = people.iter().rev().cloned().collect();
        prop_assert_eq!(find_all(&people).cmp(&find_all(&turned)), Ordering::Equal);
    }
}
