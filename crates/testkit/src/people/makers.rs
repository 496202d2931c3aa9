//! Chance from a seed and the parts of a card: names, addresses, numbers, days.

use super::brazil::BRAZIL;
use super::names::{HAN_CITIES, HAN_FAMILIES, HAN_GIVEN, PROVIDERS, Region, SPANISH, STATES};
use std::collections::HashSet;

/// Where somebody is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Brazil,
    States,
    Mexico,
    Argentina,
    Taiwan,
}

impl From {
    /// Words of the region. Taiwan's names are made by character.
    pub const fn region(self) -> &'static Region {
        match self {
            Self::Brazil => &BRAZIL,
            Self::States | Self::Taiwan => &STATES,
            Self::Mexico | Self::Argentina => &SPANISH,
        }
    }
}

/// A name by its parts. Of Chinese names `family` is the first character, `given` the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub given: String,
    pub middle: Vec<String>,
    pub family: String,
    pub woman: bool,
}

impl Name {
    pub fn whole(&self, from: From) -> String {
        if from == From::Taiwan {
            return format!("{}{}", self.family, self.given);
        }
        let parts = [self.given.as_str()].into_iter().chain(self.middle.iter().map(String::as_str));
        parts.chain([self.family.as_str()]).collect::<Vec<_>>().join(" ")
    }
}

/// Everything that is drawn. SplitMix64 (Steele, Lea, Flood 2014).
pub struct Maker {
    state: u64,
    /// Private addresses that somebody has: a provider gives each out once.
    given_out: HashSet<String>,
}

impl Maker {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, given_out: HashSet::new() }
    }

    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits().checked_rem(n).unwrap_or(0)
    }

    /// True in so many of a hundred cases.
    pub fn in_100(&mut self, cases: u64) -> bool {
        self.below(100) < cases
    }

    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// One of them, each as often.
    pub fn any<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.get(self.place(of.len())).copied().unwrap_or_default()
    }

    /// One of them, the first far more often than the last.
    fn frequent<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let (a, b) = (self.place(of.len()), self.place(of.len()));
        of.get(a.min(b)).copied().unwrap_or_default()
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.place(i + 1);
            items.swap(i, j);
        }
    }

    pub fn from(&mut self) -> From {
        match self.below(100) {
            0..50 => From::Brazil,
            50..70 => From::States,
            70..78 => From::Mexico,
            78..85 => From::Argentina,
            _ => From::Taiwan,
        }
    }

    pub fn given(&mut self, from: From, woman: bool) -> String {
        if from == From::Taiwan {
            let count = if self.in_100(90) { 2 } else { 1 };
            return (0..count).map(|_| self.any(HAN_GIVEN)).collect();
        }
        let region = from.region();
        self.frequent(if woman { region.women } else { region.men }).to_owned()
    }

    pub fn family(&mut self, from: From) -> String {
        self.frequent(if from == From::Taiwan { HAN_FAMILIES } else { from.region().families }).to_owned()
    }

    pub fn name(&mut self, from: From) -> Name {
        let woman = self.in_100(50);
        let mut middle = Vec::new();
        match from {
            From::Brazil => {
                if self.in_100(25) {
                    middle.push(self.given(from, woman));
                }
                if self.in_100(45) {
                    let particle = if self.in_100(30) { "da " } else { "" };
                    middle.push(format!("{particle}{}", self.family(from)));
                }
            }
            From::States if self.in_100(35) => middle.push(self.given(from, woman)),
            From::Mexico | From::Argentina if self.in_100(50) => middle.push(self.family(from)),
            _ => {}
        }
        Name { given: self.given(from, woman), middle, family: self.family(from), woman }
    }

    pub fn city(&mut self, from: From) -> String {
        self.frequent(if from == From::Taiwan { HAN_CITIES } else { from.region().cities }).to_owned()
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + u8::try_from(self.below(10)).unwrap_or(0))).collect()
    }

    /// A mobile number in its newest form.
    pub fn phone(&mut self, from: From) -> String {
        match from {
            From::Brazil => {
                let area = self.any(&["11", "21", "31", "41", "51", "61", "71", "81", "85", "92", "19", "27"]);
                format!("55{area}9{}{}", 6 + self.below(4), self.digits(7))
            }
            From::States => {
                let area = self.any(&["212", "310", "312", "713", "602", "215", "210", "619", "214", "512", "305"]);
                format!("1{area}{}{}", 2 + self.below(8), self.digits(6))
            }
            From::Mexico => format!("52{}{}", self.any(&["55", "33", "81"]), self.digits(8)),
            From::Argentina => format!("549{}{}", self.any(&["11", "351", "341"]), self.digits(8)),
            From::Taiwan => format!("8869{}", self.digits(8)),
        }
    }

    pub fn day(&mut self) -> String {
        format!("{:04}-{:02}-{:02}", 1945 + self.below(60), 1 + self.below(12), 1 + self.below(28))
    }

    /// A private address: from the name, with a number, or something else altogether.
    pub fn mail(&mut self, name: &Name, from: From) -> String {
        let mailbox = self.mailbox(name, from);
        self.address(&mailbox)
    }

    /// An address with this mailbox, or with digits behind it where it is taken.
    pub fn address(&mut self, mailbox: &str) -> String {
        let provider = self.any(PROVIDERS);
        let mut address = format!("{mailbox}@{provider}");
        // Dots are nothing to some providers: ana.silva and anasilva are one mailbox there.
        while !self.given_out.insert(address.replace('.', "")) {
            address = format!("{mailbox}{}@{provider}", self.digits(3));
        }
        address
    }

    /// The part before the `@`.
    fn mailbox(&mut self, name: &Name, from: From) -> String {
        if from == From::Taiwan {
            let (a, b) = (self.any(&["wang", "chen", "lin", "ming", "mei", "star", "cat"]), self.digits(4));
            return format!("{a}{b}{}", self.any(&["", "tw", "x", "88"]));
        }
        let (given, family) = (plain(&name.given), plain(&name.family).replace(['\'', ' '], ""));
        let initial: String = given.chars().take(1).collect();
        match self.below(10) {
            0..3 => format!("{given}.{family}"),
            3..7 => format!("{given}.{family}{}", self.digits(2)),
            7 => format!("{given}{}", self.digits(4)),
            8 => format!("{initial}{family}{}", self.digits(3)),
            _ => format!("{}{}", self.any(&["flor", "tigre", "rocket", "sol", "blue", "mad"]), self.digits(4)),
        }
    }

    /// A word with one typing error. Chinese characters are not touched here.
    pub fn typo(&mut self, word: &str) -> String {
        let mut letters: Vec<char> = word.chars().collect();
        if letters.len() < 3 {
            return word.to_owned();
        }
        let at = self.place(letters.len());
        let wrong = char::from(b'a' + u8::try_from(self.below(26)).unwrap_or(0));
        match self.below(4) {
            0 => {
                letters.remove(at);
            }
            1 => letters.insert(at, wrong),
            2 => {
                if let Some(letter) = letters.get_mut(at) {
                    *letter = wrong;
                }
            }
            _ => {
                let first = at.min(letters.len() - 2);
                letters.swap(first, first + 1);
            }
        }
        letters.into_iter().collect()
    }

    /// Digits with one of them wrong, but for the first four.
    pub fn wrong_digit(&mut self, digits: &str) -> String {
        let mut all: Vec<char> = digits.chars().collect();
        let at = 4 + self.place(all.len().saturating_sub(4));
        let step = 1 + u32::try_from(self.below(9)).unwrap_or(0);
        if let Some(digit) = all.get_mut(at) {
            *digit = digit.to_digit(10).and_then(|d| char::from_digit((d + step) % 10, 10)).unwrap_or('0');
        }
        all.into_iter().collect()
    }
}

/// Without accents, lower case.
pub fn plain(text: &str) -> String {
    let bare = |c| match c {
        'á' | 'à' | 'â' | 'ã' | 'Á' => 'a',
        'é' | 'ê' | 'É' => 'e',
        'í' | 'Í' => 'i',
        'ó' | 'ô' | 'õ' | 'Ó' => 'o',
        'ú' | 'ü' | 'Ú' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        _ => c,
    };
    text.to_lowercase().chars().map(bare).collect()
}
