//! Text folded for comparing: compatibility forms, accents, case and the small words around names are put aside. What is
//! stored and shown is never touched by it.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Words of courtesy before (and in Chinese after) a name.
const HONORIFICS: &[&str] = &[
    "mr", "mrs", "ms", "miss", "mister", "dr", "dra", "prof", "profa", "sr", "sra", "srta", "senhor", "senhora",
    "senor", "senora", "dona", "don", "herr", "frau", "mme", "mlle", "monsieur", "madame", "sir", "lady", "eng",
    "bapak", "ibu", "shri", "ing", "lic", "arq", "adv", "smt",
];
/// Small words between names, which people leave out or add.
const PARTICLES: &[&str] = &[
    "de", "da", "do", "das", "dos", "e", "y", "di", "del", "della", "la", "le", "van", "von", "der", "den", "zu",
    "bin", "bint", "binti", "ibn", "al", "el", "und", "and", "of",
];
/// Chinese words of courtesy after a name.
const AFTER: &[&str] = &["先生", "小姐", "女士", "太太", "老師", "老师", "經理", "经理", "醫師", "医生"];
/// Legal forms, which people leave out of a company's name.
const LEGAL: &[&str] = &[
    "ltda",
    "ltd",
    "limited",
    "sa",
    "s",
    "a",
    "me",
    "eireli",
    "epp",
    "inc",
    "llc",
    "llp",
    "corp",
    "corporation",
    "co",
    "company",
    "gmbh",
    "ag",
    "kg",
    "ug",
    "srl",
    "sl",
    "sas",
    "sarl",
    "bv",
    "nv",
    "plc",
    "pt",
    "tbk",
    "pvt",
    "the",
];
const LEGAL_AFTER: &[&str] = &["股份有限公司", "有限責任公司", "有限责任公司", "有限公司", "公司", "株式会社"];

/// What follows a name to tell father, son and grandson apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub(super) enum Suffix {
    #[default]
    None,
    Senior,
    Junior,
    Grandson,
    Nephew,
    Second,
    Third,
    Fourth,
}

impl Suffix {
    fn of(word: &str) -> Self {
        match word {
            "senior" | "sr" | "pai" => Self::Senior,
            "junior" | "jr" | "jnr" | "filho" | "fo" | "hijo" => Self::Junior,
            "neto" | "nieto" => Self::Grandson,
            "sobrinho" | "sobrino" => Self::Nephew,
            "ii" => Self::Second,
            "iii" => Self::Third,
            "iv" => Self::Fourth,
            _ => Self::None,
        }
    }
}

/// Marks that writers leave out or add: Latin, Greek and Cyrillic accents, Hebrew and Arabic vowel points. The vowel signs of
/// Indic scripts are letters in all but name and stay.
fn optional_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

/// Nothing to the eye: zero-width signs, soft hyphens, direction marks, apostrophes within words.
fn invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}' | '\'' | '’' | '‘' | 'ʼ' | '`' | '´')
}

/// Appends `text` folded: letters and digits in lower case, everything else as one space.
pub(super) fn fold(text: &str, out: &mut String) {
    fn put(c: char, out: &mut String) {
        let plain = match c {
            'ß' => "ss",
            'æ' => "ae",
            'œ' => "oe",
            'ø' => "o",
            'ł' => "l",
            'đ' | 'ð' => "d",
            'þ' => "th",
            'ı' => "i",
            _ if c.is_alphanumeric() || is_combining_mark(c) => return out.push(c),
            _ => " ",
        };
        out.push_str(plain);
    }
    if text.is_ascii() {
        for c in text.chars().filter(|c| !invisible(*c)) {
            out.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' });
        }
        return;
    }
    for c in text.nfkd().filter(|c| !optional_mark(*c) && !invisible(*c)) {
        c.to_lowercase().filter(|c| !optional_mark(*c)).for_each(|c| put(c, out));
    }
}

/// True for Chinese characters, which are compared one by one.
pub(super) fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// True for a word that begins with a Chinese character.
pub(super) fn is_han_word(word: &str) -> bool {
    word.chars().next().is_some_and(is_han)
}

/// The words of a folded name in the order they were written, without courtesy and small words, and its suffix. Chinese
/// characters that stand together or side by side are one word.
pub(super) fn words(folded: &str) -> (Vec<String>, Suffix) {
    let mut all: Vec<&str> = folded.split_whitespace().collect();
    let mut suffix = Suffix::None;
    while all.len() > 1 && all.first().is_some_and(|w| HONORIFICS.contains(w)) {
        all.remove(0);
    }
    // A suffix needs two words before it: Neto alone after one word is a surname as well.
    if all.len() > 2
        && let Some(found) = all.last().map(|w| Suffix::of(w))
        && found != Suffix::None
    {
        suffix = found;
        all.pop();
    }
    let kept: Vec<&str> = all.iter().copied().filter(|w| !PARTICLES.contains(w)).collect();
    let kept = if kept.is_empty() { all } else { kept };
    let mut words: Vec<String> = Vec::with_capacity(kept.len());
    let mut after_han = false;
    for word in kept {
        let han = is_han_word(word);
        match words.last_mut() {
            Some(last) if han && after_han => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
        after_han = han;
    }
    for word in words.iter_mut().filter(|w| is_han_word(w)) {
        strip_end(word, AFTER);
    }
    (words, suffix)
}

fn strip_end(word: &mut String, ends: &[&str]) {
    if let Some(rest) = ends.iter().find_map(|end| word.strip_suffix(end)).filter(|rest| !rest.is_empty()) {
        let length = rest.len();
        word.truncate(length);
    }
}

/// A folded company's name without its legal form.
pub(super) fn company(folded: &str) -> String {
    let kept: String = folded.split_whitespace().filter(|w| !LEGAL.contains(w)).collect();
    let mut kept = if kept.is_empty() { folded.split_whitespace().collect() } else { kept };
    strip_end(&mut kept, LEGAL_AFTER);
    kept
}
