//! What `parse` makes of the ways in which people, programs and spreadsheets write numbers.

use super::*;
use proptest::prelude::*;

fn region(code: &str) -> Option<Region> {
    Region::new(code)
}

fn e164(text: &str, default: Option<&str>) -> Result<String, PhoneProblem> {
    parse(text, default.and_then(region)).map(|phone| phone.e164)
}

#[test]
fn numbers_are_read_as_people_write_them() {
    for (text, default, wanted) in [
        ("0912-345-678", Some("TW"), "886912345678"),
        ("0912345678", Some("TW"), "886912345678"),
        ("+886 912 345 678", None, "886912345678"),
        ("+886 (0) 912 345 678", None, "886912345678"),
        ("00886912345678", None, "886912345678"),
        ("00 886 912 345 678", Some("US"), "886912345678"),
        ("011 886 912 345 678", Some("US"), "886912345678"),
        ("＋８８６　９１２－３４５－６７８", Some("DE"), "886912345678"),
        ("٠٩١٢٣٤٥٦٧٨", Some("TW"), "886912345678"),
        ("०९१२३४५६७८", Some("TW"), "886912345678"),
        ("tel:+886-912-345-678", None, "886912345678"),
        ("whatsapp:+886912345678", None, "886912345678"),
        ("https://wa.me/886912345678", None, "886912345678"),
        ("Mobile: 0912 345 678 (work)", Some("TW"), "886912345678"),
        ("02-2345-6789 ext 12", Some("TW"), "886223456789"),
        ("+886 2 2345 6789 x12", None, "886223456789"),
        ("+55 (0) 11 98765-4321", None, "5511987654321"),
        ("886-0912-345-678", Some("TW"), "886912345678"),
        ("(+886) 912345678", Some("US"), "886912345678"),
        ("(00)(0)+886 912345678", Some("US"), "886912345678"),
        ("2: 886 912 345 678", Some("US"), "886912345678"),
        ("(11) 98765-4321", Some("BR"), "5511987654321"),
        ("0xx11 98765-4321", Some("BR"), "5511987654321"),
        ("+44 (0) 20 7946 0958", None, "442079460958"),
        ("+34 (0) 612 345 678", None, "34612345678"),
        ("+39 06 698 12345", None, "390669812345"),
        ("1-800-FLOWERS", Some("US"), "18003569377"),
        ("tel:2345-6789;phone-context=+886-2", None, "886223456789"),
    ] {
        assert_eq!(e164(text, default), Ok(wanted.to_owned()), "{text} {default:?}");
    }
}

#[test]
fn what_spreadsheets_do_to_numbers_is_mended_where_the_digits_are_still_there() {
    for (text, default, wanted) in [
        ("912345678", Some("TW"), "886912345678"),
        ("886912345678", Some("TW"), "886912345678"),
        ("886912345678", Some("US"), "886912345678"),
        ("886912345678", None, "886912345678"),
        ("5511987654321", Some("TW"), "5511987654321"),
        ("5511987654321", Some("DE"), "5511987654321"),
        ("491711234567", Some("DE"), "491711234567"),
        ("886912345678.0", None, "886912345678"),
        ("912345678.00", Some("TW"), "886912345678"),
        ("8.86912345678E+11", None, "886912345678"),
        ("'0912345678", Some("TW"), "886912345678"),
        ("=\"0912345678\"", Some("TW"), "886912345678"),
        ("669812345", Some("IT"), "390669812345"),
        ("+0912345678", Some("TW"), "886912345678"),
        ("+00886912345678", None, "886912345678"),
        ("1144 20 7946 0958", Some("US"), "442079460958"),
    ] {
        assert_eq!(e164(text, default), Ok(wanted.to_owned()), "{text} {default:?}");
    }
}

#[test]
fn what_is_no_number_says_why() {
    for (text, default, wanted) in [
        ("", None, PhoneProblem::Empty),
        ("  ", Some("TW"), PhoneProblem::Empty),
        ("unknown", Some("TW"), PhoneProblem::NoDigits),
        ("123", Some("TW"), PhoneProblem::TooShort),
        ("0", Some("TW"), PhoneProblem::TooShort),
        ("+886 912", None, PhoneProblem::TooShort),
        ("2345678", Some("US"), PhoneProblem::TooShort),
        ("+886 912 345 678 901", None, PhoneProblem::TooLong),
        ("12345678901234567890", None, PhoneProblem::TooLong),
        ("0912345678", None, PhoneProblem::NoCountry),
        ("912345678", None, PhoneProblem::NoCountry),
        ("(202) 555-0123", None, PhoneProblem::NoCountry),
        ("0012345678", Some("TW"), PhoneProblem::Invalid),
        ("+999 1234 5678", Some("TW"), PhoneProblem::Invalid),
        ("+1 123 456 7890", None, PhoneProblem::Invalid),
        ("8.86912E+11", Some("TW"), PhoneProblem::DigitsLost),
        ("0912***678", Some("TW"), PhoneProblem::DigitsLost),
        ("0912-345-xxx", Some("TW"), PhoneProblem::DigitsLost),
        ("0912345678 / 0223456789", Some("TW"), PhoneProblem::Several),
        ("2345678 2345679", Some("TW"), PhoneProblem::Several),
        ("0912-345-678, 02-2345-6789", Some("TW"), PhoneProblem::Several),
    ] {
        assert_eq!(e164(text, default), Err(wanted), "{text} {default:?}");
    }
}

#[test]
fn a_slip_in_a_number_at_home_is_no_number_abroad() {
    // Ten digits, as every number in the USA has. Without the check it would be a Danish one.
    assert_eq!(e164("45 22 33 44 55", None), Ok("4522334455".to_owned()));
    assert_eq!(e164("1522334455", Some("US")), Err(PhoneProblem::Invalid));
    assert_eq!(e164("(45) 2233 4455", Some("BR")), e164("4522334455", Some("BR")), "read at home first");
}

#[test]
fn an_own_country_code_behind_two_zeros_is_no_carrier() {
    assert_eq!(e164("0055 34 99876-5432", Some("BR")), Ok("5534998765432".to_owned()));
    assert_eq!(e164("005534612345678", Some("BR")), Ok("34612345678".to_owned()), "Spain, through carrier 55");
}

#[test]
fn old_ways_of_writing_lead_to_the_number_of_today() {
    for (text, default, wanted) in [
        ("+55 11 8765-4321", None, "5511987654321"),
        ("(11) 8765-4321", Some("BR"), "5511987654321"),
        ("551187654321", None, "5511987654321"),
        ("+52 1 55 1234 5678", None, "525512345678"),
        ("5215512345678", Some("TW"), "525512345678"),
        ("011 15-2345-6789", Some("AR"), "5491123456789"),
    ] {
        assert_eq!(e164(text, default), Ok(wanted.to_owned()), "{text} {default:?}");
    }
}

#[test]
fn lines_are_told_apart() {
    for (text, line, flagged, whatsapp) in [
        ("+886912345678", Line::Mobile, false, true),
        ("+16502530000", Line::FixedOrMobile, false, true),
        ("+886223456789", Line::Landline, true, true),
        ("+18005551234", Line::TollFree, true, true),
        ("+19002345678", Line::Premium, true, false),
        ("+491801234567", Line::SharedCost, true, false),
        ("+445612345678", Line::Voip, false, true),
        ("+447012345678", Line::Other, true, true),
        ("+447640123456", Line::Pager, true, false),
    ] {
        let read = parse(text, None).unwrap().line;
        assert_eq!((read, read.is_flagged(), read.can_have_whatsapp()), (line, flagged, whatsapp), "{text}");
        assert_eq!(serde_json::to_string(&read).unwrap(), format!("\"{}\"", read.as_str()));
    }
}

#[test]
fn a_number_has_a_country() {
    for (digits, wanted) in [
        ("886912345678", Some("TW")),
        ("16502530000", Some("US")),
        ("16132345678", Some("CA")),
        ("12423456789", Some("BS")),
        ("77012345678", Some("KZ")),
        ("390669812345", Some("VA")),
        ("390612345678", Some("IT")),
        ("447400123456", Some("GB")),
        ("447911123456", Some("GG")),
        ("870301234567", Some("001")),
        ("19990000000", Some("US")),
        ("8861", None),
        ("99912345678", None),
        ("US.1349", None),
        ("", None),
    ] {
        assert_eq!(country_of(digits), wanted.and_then(region), "{digits}");
    }
}

#[test]
fn problems_have_codes_and_sentences_of_their_own() {
    let codes: std::collections::BTreeSet<_> = PhoneProblem::ALL.iter().map(|p| p.code()).collect();
    assert_eq!(codes.len(), PhoneProblem::ALL.len());
    for problem in PhoneProblem::ALL {
        assert_eq!(serde_json::to_string(&problem).unwrap(), format!("\"{}\"", problem.code()));
        for sentence in [problem.reason(), problem.suggestion()] {
            assert!(sentence.ends_with('.') && sentence.starts_with(char::is_uppercase), "{sentence}");
        }
    }
}

/// Texts near to phone numbers: digits, separators, and the words and signs that mean something.
fn near() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[0-9]{1,6}",
        3 => "[ ()/.,;+-]{1,2}",
        1 => prop::sample::select(vec!["00", "+", "(0)", "ext", "x", "E+11", ".0", "*", "'", "tel:", "\u{202a}", "٣", "９", "轉"])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn some_region() -> impl Strategy<Value = Option<Region>> {
    let codes = vec![
        "TW", "US", "CA", "BR", "MX", "AR", "DE", "GB", "JE", "IT", "VA", "RU", "KZ", "IN", "CI", "AU", "NO", "001",
    ];
    prop::option::of(prop::sample::select(codes)).prop_map(|code| code.and_then(Region::new))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![".{0,60}", near()], default in some_region()) {
        let _ = parse(&text, default);
        let _ = country_of(&text);
    }

    #[test]
    fn what_was_read_reads_back_unchanged(text in near(), default in some_region(), other in some_region()) {
        if let Ok(phone) = parse(&text, default) {
            prop_assert!(national(&phone.e164).is_some() || phone.e164.len() < 7, "{}", phone.e164);
            prop_assert_eq!(parse(&phone.to_string(), other), Ok(phone));
        }
    }

    #[test]
    fn an_international_number_is_the_same_whatever_the_default(
        digits in "(886|1|55|52|54|49|44|39|7|91|225)[0-9]{6,12}", one in some_region(), other in some_region(),
    ) {
        let text = format!("+{digits}");
        prop_assert_eq!(parse(&text, one), parse(&text, other));
    }

    #[test]
    fn a_valid_number_is_of_its_country(digits in "(886|1|55|44|39|7)[0-9]{9,11}") {
        if let Ok(phone) = parse(&format!("+{digits}"), None) {
            prop_assert_eq!(country_of(&phone.e164), Some(phone.region));
        }
    }
}
