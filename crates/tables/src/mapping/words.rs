//! Recognises what a column is called, in any writing, and what people write for yes and no.
//! Must not touch: values of people.

use super::ColumnUse;
use super::names::NAMES;

/// How a name was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// It is the usual name.
    Whole,
    /// It is a usual name with a number or such behind it: `phone 2`, `phone (mobile)`.
    Numbered,
    /// The usual name is part of it.
    Part,
}

/// What a column of this name usually is.
pub(super) fn meaning(name: &str) -> Option<(ColumnUse, Match, &'static str)> {
    let folded = fold(name);
    if folded.is_empty() {
        return None;
    }
    let plain = folded.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let mut best: Option<(usize, Match, &str, &'static str)> = None;
    for (meaning, names) in NAMES {
        for usual in names.iter().flat_map(|line| line.split(',')) {
            let (rank, how) = if folded == usual {
                (3_000, Match::Whole)
            } else if plain == usual {
                (2_000, Match::Numbered)
            } else if contains(&folded, usual) {
                // The longest one says most: "consent date" is no consent. A person's will says more than what it is about:
                // "WhatsApp opt-in" is no phone.
                let will =
                    meaning.starts_with("consent") || matches!(*meaning, "label:refuses_marketing" | "label:blocked");
                (usual.len() + if will { 1_000 } else { 0 }, Match::Part)
            } else {
                continue;
            };
            if best.is_none_or(|(other, ..)| rank > other) {
                best = Some((rank, how, meaning, usual));
            }
        }
    }
    best.and_then(|(_, how, meaning, usual)| meaning.parse().ok().map(|m| (m, how, usual)))
}

/// A usual name within another: whole words of at least four letters; Chinese names anywhere.
fn contains(folded: &str, usual: &str) -> bool {
    if usual.is_ascii() {
        usual.len() >= 4 && format!(" {folded} ").contains(&format!(" {usual} "))
    } else {
        folded.contains(usual)
    }
}

/// Whether a column could be called this.
pub(crate) fn is_known(name: &str) -> bool {
    name.len() <= 60 && matches!(meaning(name), Some((_, Match::Whole | Match::Numbered, _)))
}

/// Brings a name to lower case without accents, words separated by one space: `firstName`, `First_Name` and `first name` are one.
#[must_use]
pub(super) fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    let mut was_lower = false;
    for c in name.chars() {
        let c = half_width(c);
        if c.is_uppercase() && was_lower {
            folded.push(' ');
        }
        was_lower = c.is_lowercase() || c.is_ascii_digit();
        for c in c.to_lowercase() {
            match unaccented(c) {
                Some(plain) => folded.push_str(plain),
                None if c.is_alphanumeric() => folded.push(c),
                // A combining accent belongs to the letter before it.
                None if ('\u{300}'..='\u{36f}').contains(&c) => {}
                None => folded.push(' '),
            }
        }
    }
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Full-width letters and digits of East Asian writing as the usual ones.
fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        _ => c,
    }
}

fn unaccented(c: char) -> Option<&'static str> {
    Some(match c {
        'á' | 'à' | 'â' | 'ã' | 'ä' | 'å' | 'ā' => "a",
        'ç' | 'č' | 'ć' => "c",
        'é' | 'è' | 'ê' | 'ë' | 'ē' => "e",
        'í' | 'ì' | 'î' | 'ï' => "i",
        'ñ' => "n",
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' | 'ø' => "o",
        'ú' | 'ù' | 'û' | 'ü' => "u",
        'ý' | 'ÿ' => "y",
        'š' => "s",
        'ž' => "z",
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        _ => return None,
    })
}

/// Reads yes and no as people write it in the languages above; `None` when it is neither. An empty cell is neither.
#[must_use]
pub fn yes(text: &str) -> Option<bool> {
    const YES: &[&str] = &[
        "yes",
        "y",
        "true",
        "t",
        "1",
        "x",
        "on",
        "sim",
        "s",
        "verdadeiro",
        "si",
        "verdadero",
        "oui",
        "o",
        "vrai",
        "ja",
        "j",
        "wahr",
        "ya",
        "benar",
        "是",
        "有",
        "對",
        "对",
        "真",
        "v",
        "✓",
        "✔",
    ];
    const NO: &[&str] = &[
        "no", "n", "false", "f", "0", "off", "nao", "falso", "non", "faux", "nein", "falsch", "tidak", "bukan",
        "salah", "否", "無", "无", "不", "假", "没有", "沒有",
    ];
    let trimmed = text.trim();
    if matches!(trimmed, "✓" | "✔") {
        return Some(true);
    }
    let folded = fold(trimmed);
    if YES.contains(&folded.as_str()) {
        Some(true)
    } else if NO.contains(&folded.as_str()) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_meaning_can_be_read_and_every_name_is_folded() {
        for (meaning, names) in NAMES {
            meaning.parse::<ColumnUse>().unwrap();
            for name in names.iter().flat_map(|line| line.split(',')) {
                assert_eq!(fold(name), name, "of {meaning}");
                assert_eq!(super::meaning(name).unwrap().0.to_string(), expected(meaning), "{name}");
            }
        }
    }

    fn expected(meaning: &str) -> String {
        meaning.parse::<ColumnUse>().unwrap().to_string()
    }

    #[test]
    fn names_are_recognised_in_any_writing() {
        for (name, wanted) in [
            ("firstName", "first_name"),
            ("First_Name", "first_name"),
            ("FIRST NAME", "first_name"),
            ("Nº de Telefone", "phone"),
            ("Téléphone", "phone"),
            ("Teléfono móvil", "phone"),
            ("Phone 2", "phone"),
            ("Mobile Phone Number (primary)", "phone"),
            ("手機號碼", "phone"),
            ("联系电话1", "phone"),
            ("ＥＭＡＩＬ", "field:email"),
            ("E-Mail-Adresse", "field:email"),
            ("Consent Date", "consent_date"),
            ("WhatsApp opt-in", "consent"),
            ("Do Not Contact?", "label:blocked"),
            ("Opt-Out", "label:refuses_marketing"),
            ("Data de Nascimento", "field:birthday"),
            ("Prénom", "first_name"),
            ("客戶姓名", "field:name"),
            ("公司名稱", "field:company"),
            ("國家代碼", "field:country"),
            ("備註說明", "field:note"),
        ] {
            assert_eq!(meaning(name).map(|m| m.0.to_string()).as_deref(), Some(wanted), "{name}");
        }
        assert_eq!(meaning("zzz"), None);
        assert_eq!(meaning("---"), None);
    }

    #[test]
    fn yes_and_no_in_many_languages() {
        for text in ["Yes", "SIM", "sí", "是", "oui", "Ja", "ya", "x", "TRUE", "1", "✓"] {
            assert_eq!(yes(text), Some(true), "{text}");
        }
        for text in ["No", "não", "否", "non", "nein", "tidak", "false", "0"] {
            assert_eq!(yes(text), Some(false), "{text}");
        }
        for text in ["", " ", "maybe", "2"] {
            assert_eq!(yes(text), None, "{text:?}");
        }
    }
}
