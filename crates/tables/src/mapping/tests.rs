//! What a mapping promises.

use super::*;
use proptest::prelude::*;

fn header(names: &[&str]) -> Vec<String> {
    header_names(names.iter().copied())
}

fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
    rows.iter().map(|r| r.iter().map(|c| (*c).to_owned()).collect()).collect()
}

fn uses(guesses: &[Guess]) -> Vec<String> {
    guesses.iter().map(|g| g.used_as.to_string()).collect()
}

#[test]
fn columns_are_guessed_by_name_and_value() {
    let header =
        header(&["ID", "Nome", "Celular", "Telefone 2", "E-mail", "País", "Opt-out", "Cor favorita", "成交金額"]);
    let samples = rows(&[
        &["1", "Ana", "(11) 98765-4321", "", "ana@example.com", "BR", "não", "azul", "10"],
        &["2", "Zé", "11 98765-4322", "11 3333-4444", "ze@example.com", "BR", "sim", "", "20"],
    ]);
    let guesses = guess(&header, &samples);
    assert_eq!(
        uses(&guesses),
        [
            "key",
            "field:name",
            "phone",
            "phone",
            "field:email",
            "field:country",
            "label:refuses_marketing",
            "field:cor_favorita",
            "field:column_9"
        ]
    );
    assert!(guesses[2].confidence >= 95 && guesses[7].confidence < 50, "{guesses:?}");
    assert_eq!(Mapping::from_guesses(&guesses).check(&header), []);
}

#[test]
fn values_speak_where_names_are_silent_or_wrong() {
    let header = header(&["", "a", "b", "contact"]);
    let row =
        |n: u32| vec![format!("K{n}"), format!("+88691234567{n}"), format!("p{n}@example.com"), format!("Person {n}")];
    let samples: Vec<_> = (0..9).map(row).collect();
    assert_eq!(uses(&guess(&header, &samples)), ["key", "phone", "field:email", "field:name"]);
    let wrong = self::header(&["id", "name", "phone"]);
    let samples: Vec<_> = (0..9).map(|n| vec![n.to_string(), format!("N{n}"), format!("p{n}@example.com")]).collect();
    assert_eq!(uses(&guess(&wrong, &samples)), ["key", "field:name", "field:email"]);
}

#[test]
fn what_one_column_can_be_goes_to_the_surest() {
    let header = header(&["Email (work)", "Email", "ID", "Customer ID", "Phone", "Mobile"]);
    let guesses = guess(&header, &[]);
    assert_eq!(uses(&guesses), ["field:email_2", "field:email", "key", "field:customer_id", "phone", "phone"]);
    assert_eq!(Mapping::from_guesses(&guesses).check(&header), []);
}

#[test]
fn all_problems_are_told_at_once() {
    let header = header(&["Telefone", "Nome", "Código"]);
    let column = |column: &str, used_as: &str| Column { column: column.into(), used_as: used_as.parse().unwrap() };
    let mapping = Mapping {
        rest: Rest::Ignore,
        columns: vec![
            column("Telefnoe", "phone"),
            column("Nome", "name"),
            column("Nome", "ignore"),
            column("Código", "name"),
            column("Xyzzy", "consent_date"),
        ],
    };
    assert_eq!(
        mapping.check(&header),
        [
            Problem::UnknownColumn { column: "Telefnoe".into(), nearest: Some("Telefone".into()) },
            Problem::NamedTwice { column: "Nome".into() },
            Problem::UnknownColumn { column: "Xyzzy".into(), nearest: None },
            Problem::UsedTwice { used_as: "field:name".into(), columns: vec!["Nome".into(), "Código".into()] },
            Problem::NobodyKnown,
        ]
    );
    assert!(mapping.resolve(&header).is_err());
}

#[test]
fn two_keys_and_a_consent_without_an_answer_are_problems() {
    let header = header(&["a", "b", "c"]);
    let column = |column: &str, used_as: &str| Column { column: column.into(), used_as: used_as.parse().unwrap() };
    let columns = vec![column("a", "key"), column("b", "key"), column("c", "consent_source")];
    let problems = Mapping { rest: Rest::Field, columns }.check(&header);
    assert!(matches!(problems.as_slice(), [Problem::UsedTwice { .. }, Problem::ConsentWithoutAnswer]), "{problems:?}");
}

#[test]
fn a_mapping_survives_its_file() {
    let text = "rest = \"ignore\"\n[[columns]]\ncolumn = \"Celular\"\nuse = \"phone\"\n[[columns]]\ncolumn = \"Cidade\"\nuse = \"city\"\n";
    let mapping: Mapping = toml::from_str(text).unwrap();
    assert_eq!(mapping.columns[1].used_as, ColumnUse::Field("city".into()));
    let written = toml::to_string(&mapping).unwrap();
    assert_eq!(toml::from_str::<Mapping>(&written).unwrap(), mapping);
    let json = serde_json::to_string(&mapping).unwrap();
    assert_eq!(serde_json::from_str::<Mapping>(&json).unwrap(), mapping);
    let wrong = toml::from_str::<Mapping>("[[columns]]\ncolumn = \"a\"\nuse = \"fone\"\n").unwrap_err().to_string();
    assert!(wrong.contains("did you mean \"phone\"?"), "{wrong}");
}

#[test]
fn columns_that_are_not_named_become_fields_unless_told() {
    let header = header(&["Phone", "Favourite Colour!", "favourite colour", "City", "顏色"]);
    let columns = vec![Column { column: "Phone".into(), used_as: ColumnUse::Phone }];
    let uses = Mapping { rest: Rest::Field, columns: columns.clone() }.resolve(&header).unwrap();
    let uses: Vec<String> = uses.iter().map(ColumnUse::to_string).collect();
    assert_eq!(uses, ["phone", "field:favourite_colour", "field:favourite_colour_2", "field:city_2", "field:column_5"]);
    let ignored = Mapping { rest: Rest::Ignore, columns }.resolve(&header).unwrap();
    assert!(ignored[1..].iter().all(|u| *u == ColumnUse::Ignore));
}

proptest! {
    #[test]
    fn any_guess_is_a_mapping_that_names_each_column_once(
        names in proptest::collection::vec("\\PC{0,30}", 1..12), seed in any::<u8>()
    ) {
        let header = header_names(names.iter().map(String::as_str));
        let samples: Vec<Vec<String>> =
            (0..seed % 9).map(|n| header.iter().map(|h| format!("{h}{n}")).collect()).collect();
        let guesses = guess(&header, &samples);
        prop_assert_eq!(guesses.len(), header.len());
        let problems = Mapping::from_guesses(&guesses).check(&header);
        let expected =
            |p: &Problem| matches!(p, Problem::NobodyKnown | Problem::ConsentWithoutAnswer);
        prop_assert!(problems.iter().all(expected), "{:?}", problems);
    }

    #[test]
    fn a_slug_is_a_field_key(name in "\\PC{0,100}", place in 0_usize..1_000_000) {
        prop_assert!(is_field_key(&slug(&name, place)));
    }

    #[test]
    fn the_distance_is_one_metric(a in "[ab]{0,6}", b in "[ab]{0,6}", c in "[ab]{0,6}") {
        prop_assert_eq!(distance(&a, &b), distance(&b, &a));
        prop_assert_eq!(distance(&a, &b) == 0, a == b);
        prop_assert!(distance(&a, &c) <= distance(&a, &b) + distance(&b, &c));
    }
}
