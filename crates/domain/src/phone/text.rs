//! What people and spreadsheets write into a phone field, down to digits. Knows nothing of countries.
//! Must not touch: numbering plans.

use super::PhoneProblem;

/// From this many digits on a run of digits is taken for a whole number: what follows is a remark, an extension or another.
const WHOLE: usize = 7;
/// Digits kept. No number is that long; a reader of novels stops here.
const MOST_DIGITS: usize = 32;
/// Words and signs that begin an extension, in small letters. "x" is one only before digits.
const EXTENSIONS: [&str; 12] =
    ["ext", "x", "#", "ramal", "int", "anexo", "poste", "доб", "durchwahl", "dw", "分機", "转"];

/// A phone field taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written<'a> {
    /// The text without wrapping, for the library.
    pub(super) text: &'a str,
    /// ASCII digits of the first number.
    pub(super) digits: String,
    /// There was a `+` before the first digit, or something as clear.
    pub(super) plus: bool,
    /// It begins with an area code in brackets.
    pub(super) area_first: bool,
    /// Letters stand for digits, as in `1-800-FLOWERS`.
    pub(super) letters: bool,
    /// Digits before the first separator.
    pub(super) first_group: usize,
    /// What is probably wrong if it turns out to be no number.
    pub(super) doubt: Option<PhoneProblem>,
    /// Digits that followed the zero of a `(0)`.
    after_trunk: Option<usize>,
}

impl Written<'_> {
    /// `digits`, an end of this number's digits, without the zero that was written as `(0)`.
    pub(super) fn without_trunk(&self, digits: &str) -> Option<String> {
        let at = digits.len().checked_sub(self.after_trunk?)?;
        let (head, tail) = (digits.get(..at)?.strip_suffix('0')?, digits.get(at..)?);
        Some(format!("{head}{tail}"))
    }
}

/// Takes a phone field apart.
pub(super) fn read(text: &str) -> Result<Written<'_>, PhoneProblem> {
    let text = unwrapped(text);
    if text.is_empty() {
        return Err(PhoneProblem::Empty);
    }
    if let Some(number) = rounded(text) {
        return number.map(|digits| Written {
            text,
            first_group: digits.len(),
            doubt: None,
            digits,
            plus: text.starts_with('+'),
            area_first: false,
            letters: false,
            after_trunk: None,
        });
    }
    let text = whole_part(text).unwrap_or(text);
    let mut scan = Scan::default();
    for (at, c) in text.char_indices() {
        scan.take(c, text.get(at..).unwrap_or_default());
    }
    scan.end(text)
}

/// Without blanks, invisible signs, quotes and a spreadsheet's `="…"` around it, and without its leading apostrophe.
fn unwrapped(text: &str) -> &str {
    let text = text.trim_matches(|c: char| c.is_whitespace() || invisible(c));
    let text = text.strip_prefix("=\"").unwrap_or(text);
    text.trim_matches(|c: char| {
        c.is_whitespace() || invisible(c) || matches!(c, '\'' | '"' | '`' | '´' | '‘' | '’' | '“' | '”')
    })
}

/// Marks of direction, joiners, byte order marks: they come along when numbers are copied from elsewhere.
const fn invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}' | '\0')
}

/// `8.86912E+11`: digits are gone, unless all stand before the `E` (`8.86912345678E+11`). `None` for any other text.
fn rounded(text: &str) -> Option<Result<String, PhoneProblem>> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let mantissa = mantissa.strip_prefix('+').unwrap_or(mantissa);
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || exponent.is_empty() || !digits(whole) || !digits(fraction) || !digits(exponent) {
        return None;
    }
    let exponent: usize = exponent.parse().unwrap_or(usize::MAX);
    Some(match fraction.split_at_checked(exponent) {
        Some((kept, rest)) if exponent >= 6 && rest.bytes().all(|b| b == b'0') => Ok(format!("{whole}{kept}")),
        _ => Err(PhoneProblem::DigitsLost),
    })
}

/// `886912345678` of `886912345678.0`: a number that was kept as a decimal.
fn whole_part(text: &str) -> Option<&str> {
    let (whole, fraction) = text.rsplit_once(['.', ','])?;
    let digits = whole.strip_prefix('+').unwrap_or(whole);
    let is_number = digits.len() >= WHOLE && digits.bytes().all(|b| b.is_ascii_digit());
    (is_number && matches!(fraction, "" | "0" | "00")).then_some(whole)
}

/// The value of a decimal digit in one of the scripts that people write numbers in (Unicode, general category Nd).
fn digit(c: char) -> Option<char> {
    const ZEROS: [u32; 20] = [
        0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0e50, 0x0ed0,
        0x0f20, 0x1040, 0x17e0, 0x1810, 0xa9d0, 0xff10,
    ];
    if c.is_ascii() {
        return c.is_ascii_digit().then_some(c);
    }
    let code = u32::from(c);
    let zero = ZEROS.into_iter().find(|zero| (*zero..zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

/// Reads character by character.
#[derive(Default)]
struct Scan {
    digits: String,
    plus: bool,
    area_first: bool,
    letters: bool,
    first_group: Option<usize>,
    opened_at: Option<usize>,
    trunk_end: Option<usize>,
    /// What stood before.
    before: Option<char>,
    /// Within a run of signs that may hide digits: whether it began right behind a digit.
    hiding: Option<bool>,
    /// Such a run stands where digits may have been; where they were.
    maybe_hidden: bool,
    hidden: bool,
    /// Digits since the last blank, and how many stretches between blanks were whole numbers.
    stretch: usize,
    stretches: usize,
    /// The same between slashes, which also stand within one number: `030/1234567`.
    piece: usize,
    pieces: usize,
    /// What came behind the first number.
    later: Option<Later>,
    several: bool,
}

/// Behind the first number.
struct Later {
    extension: bool,
    digits: usize,
}

impl Scan {
    fn take(&mut self, c: char, rest: &str) {
        if invisible(c) {
            return;
        }
        self.hide(c);
        self.before = Some(c);
        if let Some(digit) = digit(c) {
            return self.digit(digit);
        }
        if self.first_group.is_none() && !self.digits.is_empty() {
            self.first_group = Some(self.digits.len());
        }
        match c {
            '+' | '＋' | '﹢' => self.plus(),
            '(' | '（' => {
                self.area_first |= self.digits.is_empty() && !self.plus;
                self.opened_at = Some(self.digits.len());
            }
            ')' | '）' => self.close(),
            // "Tel 2: 0912 345 678"
            ':' | '：' if self.digits.len() < 2 && !self.plus => self.restart(),
            ';' | '|' | ',' | '&' | '\n' | '\r' | '、' | '；' | '，' | '\u{60c}' => self.end_of_number(false),
            '/' | '\\' | '／' => self.piece = 0,
            '#' => self.end_of_number(true),
            _ if c.is_alphabetic() => self.letter(rest),
            _ if c.is_whitespace() => self.stretch = 0,
            _ => {}
        }
    }

    fn digit(&mut self, digit: char) {
        self.stretch += 1;
        if self.stretch == WHOLE {
            self.stretches += 1;
        }
        match &mut self.later {
            Some(later) => {
                later.digits += 1;
                self.several |= !later.extension && later.digits >= WHOLE;
            }
            None => {
                self.piece += 1;
                self.pieces += usize::from(self.piece == WHOLE);
                if self.digits.len() < MOST_DIGITS {
                    self.digits.push(digit);
                }
            }
        }
    }

    /// Marks the zero of a `(0)`.
    fn close(&mut self) {
        let only_zero = self.opened_at.take().is_some_and(|at| self.digits.get(at..) == Some("0"));
        self.trunk_end = if only_zero { Some(self.digits.len()) } else { self.trunk_end };
    }

    /// `0912***678`, `0912 xxx 678`: digits that aren't there. Not `0912345678 **VIP**`, nor the end of a name like Maxx.
    fn hide(&mut self, c: char) {
        let letter = is_x(c);
        if letter && self.digits == "0" {
            return;
        }
        let sign = letter || matches!(c, '*' | '＊' | '∗' | '•' | '●' | '#' | '×');
        if !sign || self.digits.is_empty() {
            self.hiding = None;
            self.maybe_hidden &= !c.is_alphabetic();
            self.hidden |= self.maybe_hidden && self.later.is_none() && digit(c).is_some();
            return;
        }
        let in_word = letter && self.before.is_some_and(char::is_alphabetic);
        match self.hiding {
            None if in_word => {}
            None => self.hiding = Some(self.before.and_then(digit).is_some()),
            Some(true) => self.hidden = true,
            Some(false) => self.maybe_hidden = true,
        }
    }

    fn plus(&mut self) {
        if self.digits.bytes().all(|b| b == b'0') {
            // "(00)+886…" says the same twice.
            self.restart();
            self.plus = true;
        } else {
            self.end_of_number(false);
        }
    }

    /// What came so far was no part of the number.
    fn restart(&mut self) {
        self.digits.clear();
        (self.first_group, self.opened_at, self.trunk_end) = (None, None, None);
        (self.stretch, self.piece) = (0, 0);
    }

    /// Ends the first number, if there is one; behind it, begins the next piece.
    fn end_of_number(&mut self, extension: bool) {
        if self.later.is_some() || self.digits.len() >= WHOLE {
            self.later = Some(Later { extension, digits: 0 });
        }
    }

    fn letter(&mut self, rest: &str) {
        match &self.later {
            None if self.digits.is_empty() => {}
            // "0xx21 98765-4321", as in Brazil: whoever dials picks a carrier.
            None if self.digits == "0" && rest.starts_with(is_x) => {}
            None if self.digits.len() < WHOLE => self.letters = true,
            None => {
                let extension = EXTENSIONS.iter().any(|word| starts_with(rest, word));
                self.end_of_number(extension);
            }
            // The letters of a word that has begun; a word behind digits begins a new piece.
            Some(later) if later.digits == 0 => {}
            Some(_) => self.end_of_number(false),
        }
    }

    fn end(self, text: &str) -> Result<Written<'_>, PhoneProblem> {
        if self.digits.is_empty() {
            return Err(PhoneProblem::NoDigits);
        }
        if self.hidden {
            return Err(PhoneProblem::DigitsLost);
        }
        if self.several || self.pieces > 1 || (self.digits.len() > 15 && self.stretches > 1) {
            return Err(PhoneProblem::Several);
        }
        let doubt = match self.stretches {
            _ if self.maybe_hidden => Some(PhoneProblem::DigitsLost),
            2.. => Some(PhoneProblem::Several),
            _ => None,
        };
        let context = self.later.is_some() && text.contains(";phone-context=");
        let link = !self.digits.starts_with('0') && (text.contains("wa.me/") || text.contains("whatsapp.com/"));
        Ok(Written {
            text,
            plus: self.plus || link,
            area_first: self.area_first && !self.digits.starts_with("00"),
            letters: self.letters || context,
            doubt,
            first_group: self.first_group.unwrap_or(self.digits.len()),
            after_trunk: self.trunk_end.and_then(|end| self.digits.len().checked_sub(end)),
            digits: self.digits,
        })
    }
}

const fn is_x(c: char) -> bool {
    matches!(c, 'x' | 'X')
}

/// Whether `text` begins with `word`, which is in small letters.
fn starts_with(text: &str, word: &str) -> bool {
    let mut letters = text.chars().flat_map(char::to_lowercase);
    word.chars().all(|c| letters.next() == Some(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Result<(String, bool), PhoneProblem> {
        read(text).map(|w| (w.digits, w.plus))
    }

    #[test]
    fn digits_are_found_in_whatever_stands_around_them() {
        for (text, wanted, plus) in [
            ("0912-345-678", "0912345678", false),
            ("+886 912 345 678", "886912345678", true),
            ("＋８８６（９１２）３４５－６７８", "886912345678", true),
            ("٠٩١٢٣٤٥٦٧٨", "0912345678", false),
            ("०९१२३४५६७८", "0912345678", false),
            ("'0912345678", "0912345678", false),
            ("=\"0912345678\"", "0912345678", false),
            ("tel:+886-912-345-678", "886912345678", true),
            ("whatsapp:+886912345678", "886912345678", true),
            ("https://wa.me/886912345678?text=Hi", "886912345678", true),
            ("\u{202a}+886 912 345 678\u{202c}", "886912345678", true),
            ("手機2：0912345678(王先生)", "0912345678", false),
            ("Mobile: 0912.345.678 (after 6 pm)", "0912345678", false),
            ("02-2345-6789 ext. 12", "0223456789", false),
            ("02-2345-6789#12", "0223456789", false),
            ("0912345678 **VIP**", "0912345678", false),
            ("0912345678 (Maxx)", "0912345678", false),
            ("0912345678 xx", "0912345678", false),
            ("0xx21 98765-4321", "021987654321", false),
            ("02-2345-6789分機12", "0223456789", false),
            ("02-2345-6789 x 12345678", "0223456789", false),
            ("0049 30/1234 567", "0049301234567", false),
            ("030/1234567", "0301234567", false),
            ("886912345678.0", "886912345678", false),
            ("8.86912345678E+11", "886912345678", false),
        ] {
            assert_eq!(digits(text), Ok((wanted.to_owned(), plus)), "{text}");
        }
    }

    #[test]
    fn what_holds_no_number_says_why() {
        for (text, wanted) in [
            ("", PhoneProblem::Empty),
            (" \u{feff}' ", PhoneProblem::Empty),
            ("n/a", PhoneProblem::NoDigits),
            ("########", PhoneProblem::NoDigits),
            ("8.86912E+11", PhoneProblem::DigitsLost),
            ("8,86912E+11", PhoneProblem::DigitsLost),
            ("9E8", PhoneProblem::DigitsLost),
            ("0912***678", PhoneProblem::DigitsLost),
            ("0912xxx678", PhoneProblem::DigitsLost),
            ("0912 xxx 678", PhoneProblem::DigitsLost),
            ("0912 *** 678", PhoneProblem::DigitsLost),
            ("09123456XX", PhoneProblem::DigitsLost),
            ("0912345678 / 0223456789", PhoneProblem::Several),
            ("0912345678;0223456789", PhoneProblem::Several),
            ("0912345678 or 0223456789", PhoneProblem::Several),
            ("0912345678 0223456789", PhoneProblem::Several),
            ("+886912345678+886223456789", PhoneProblem::Several),
            ("02-2345-6789 ext 12, 0912345678", PhoneProblem::Several),
        ] {
            assert_eq!(digits(text), Err(wanted), "{text}");
        }
    }

    #[test]
    fn letters_within_a_number_are_left_to_the_library() {
        assert!(read("1-800-FLOWERS").unwrap().letters);
        assert!(!read("Tel. 0912345678 mobile").unwrap().letters);
    }
}
