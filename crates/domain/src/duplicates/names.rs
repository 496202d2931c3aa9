//! What two names say about whether they are one person's. Words are paired off: equal, sounding alike, pet form, initial,
//! typing error. What is left over on both sides speaks against.

use super::alike::{Letters, jaro_winkler, one_letter_off, sounds_alike};
use super::nicknames::related;
use super::prepared::{Prepared, WORDS};
use super::text::{is_han, is_han_word};

/// From here on two words are one with a typing error; words that differ by one letter are, whatever it is.
const TYPO: f64 = 0.88;

/// How two names stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// One of them is missing.
    Missing,
    /// Word by word the same.
    Same,
    /// The same words in another order.
    Swapped,
    /// Words are left out, first and last agree.
    Shortened,
    /// They sound alike, or a family name has a typing error.
    Alike,
    /// A pet form of the given name.
    Nickname,
    /// A letter stands for a name.
    Initials,
    /// The given name differs by what may be a typing error or another name.
    GivenTypo,
    /// One of them is a single word, which agrees.
    OneWord,
    /// All words of one are in the other, but not at its beginning.
    Contained,
    /// The same given name with another family name.
    OtherFamily,
    /// Some agree, some don't.
    Partly,
    /// One family name, different given names.
    OtherGiven,
    /// Nothing in common.
    Different,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Equal,
    Sound,
    Pet,
    Initial,
    Typo,
}

#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    place: usize,
    /// Place of the other name's word it was paired with.
    with: Option<usize>,
}

struct Name<'a> {
    words: [Word<'a>; WORDS],
    count: usize,
}

impl<'a> Name<'a> {
    fn of(person: &'a Prepared) -> Self {
        let mut name = Self { words: [Word { text: "", place: 0, with: None }; WORDS], count: 0 };
        for (n, (text, slot)) in person.name().split(' ').filter(|w| !w.is_empty()).zip(&mut name.words).enumerate() {
            *slot = Word { text, place: person.place(n), with: None };
            name.count = n + 1;
        }
        name
    }

    fn words(&self) -> &[Word<'a>] {
        self.words.get(..self.count).unwrap_or_default()
    }

    fn at(&self, place: usize) -> Option<&Word<'a>> {
        self.words().iter().find(|w| w.place == place)
    }

    fn unpaired(&self) -> usize {
        self.words().iter().filter(|w| w.with.is_none()).count()
    }
}

/// Compares two names. Symmetric: the names themselves say which of them is taken first.
pub(super) fn compare(a: &Prepared, b: &Prepared) -> Names {
    let (a, b) = if (a.name(), a.order()) <= (b.name(), b.order()) { (a, b) } else { (b, a) };
    if !a.has_name() || !b.has_name() {
        return Names::Missing;
    }
    if a.name() == b.name() {
        return if a.order() == b.order() { Names::Same } else { Names::Swapped };
    }
    let (mut x, mut y) = (Name::of(a), Name::of(b));
    if let ([p], [q]) = (x.words(), y.words())
        && is_han_word(p.text)
        && is_han_word(q.text)
    {
        return han(p.text, q.text);
    }
    let (mut worst_given, mut worst_family) = (None, None);
    for fits in [Fit::Equal, Fit::Sound, Fit::Pet, Fit::Initial, Fit::Typo] {
        pair(&mut x, &mut y, fits, |given| {
            let worst = if given { &mut worst_given } else { &mut worst_family };
            *worst = Some(fits);
        });
    }
    verdict(&x, &y, worst_given, worst_family)
}

fn pair(x: &mut Name<'_>, y: &mut Name<'_>, fit: Fit, mut paired: impl FnMut(bool)) {
    for p in x.words.iter_mut().take(x.count).filter(|p| p.with.is_none()) {
        let free = y.words.iter_mut().take(y.count).filter(|q| q.with.is_none());
        // Of several that fit, the nearest place.
        let Some(q) = free.filter(|q| fits(p.text, q.text, fit)).min_by_key(|q| q.place.abs_diff(p.place)) else {
            continue;
        };
        (p.with, q.with) = (Some(q.place), Some(p.place));
        paired(p.place == 0 || q.place == 0);
    }
}

fn fits(p: &str, q: &str, fit: Fit) -> bool {
    match fit {
        Fit::Equal => p == q,
        Fit::Sound => p.len() > 2 && q.len() > 2 && sounds_alike(p, q),
        Fit::Pet => related(p, q),
        Fit::Initial => {
            let one = |w: &str| w.chars().nth(1).is_none();
            one(p) != one(q) && p.chars().next() == q.chars().next() && !is_han_word(p)
        }
        Fit::Typo => {
            let (p, q) = (Letters::of(p), Letters::of(q));
            let (p, q) = (p.get(), q.get());
            p.len().min(q.len()) >= 4
                && !p.iter().any(|c| is_han(*c))
                && !other_gender(p, q)
                && (one_letter_off(p, q) || jaro_winkler(p, q) >= TYPO)
        }
    }
}

/// Paulo and Paula, Daniel and Daniela: brother and sister, not a typing error.
fn other_gender(p: &[char], q: &[char]) -> bool {
    const ENDS: [char; 3] = ['a', 'o', 'e'];
    let (short, long) = if p.len() <= q.len() { (p, q) } else { (q, p) };
    match (short.split_last(), long.split_last()) {
        (Some((s, head)), Some((l, longer))) if head == longer => ENDS.contains(s) && ENDS.contains(l),
        (_, Some((l, longer))) => longer == short && ENDS.contains(l),
        _ => false,
    }
}

fn verdict(x: &Name<'_>, y: &Name<'_>, worst_given: Option<Fit>, worst_family: Option<Fit>) -> Names {
    let paired = x.count - x.unpaired();
    if paired == 0 {
        return Names::Different;
    }
    let meets = |p: usize, q: usize| x.at(p).is_some_and(|w| w.with == Some(q));
    let (last_x, last_y) = (x.count.saturating_sub(1), y.count.saturating_sub(1));
    let given = meets(0, 0);
    // Family name first on one side.
    let turned = (last_x > 0 && meets(last_x, 0)) || (last_y > 0 && meets(0, last_y));
    let family = meets(last_x, last_y) && last_x > 0 && last_y > 0;
    if x.unpaired() > 0 && y.unpaired() > 0 {
        return match (given, family, turned) {
            (true, false, _) if paired == 1 => Names::OtherFamily,
            (true, ..) | (false, _, true) => Names::Partly,
            _ => Names::OtherGiven,
        };
    }
    if !given && !turned {
        // Silva Santos beside Ana Silva Santos: the family alone, or an unknown title before the name.
        return if paired >= 2 { Names::Contained } else { Names::Partly };
    }
    match (worst_given, worst_family) {
        (Some(Fit::Typo), _) => Names::GivenTypo,
        _ if paired == 1 => Names::OneWord,
        (Some(Fit::Initial), _) | (_, Some(Fit::Initial)) if paired == 2 => Names::Initials,
        (Some(Fit::Pet), _) => Names::Nickname,
        _ if x.unpaired() + y.unpaired() > 0 => {
            if family || turned {
                Names::Shortened
            } else {
                Names::Partly
            }
        }
        _ => Names::Alike,
    }
}

/// Chinese names are compared by character: the first one or two are the family, the rest is the given name. A pet form keeps
/// the last character (阿明). One other character is another person.
fn han(p: &str, q: &str) -> Names {
    let (a, b) = (Letters::of(p), Letters::of(q));
    let (a, b) = (a.get(), b.get());
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let mut sorted = [Letters::of(p), Letters::of(q)].map(|l| {
        let mut all = ['\0'; super::alike::LETTERS];
        all.iter_mut().zip(l.get()).for_each(|(to, c)| *to = *c);
        all.sort_unstable();
        all
    });
    if let [x, y] = &mut sorted
        && x == y
    {
        return Names::Swapped;
    }
    let pet = |name: &[char]| matches!(name, ['阿' | '小' | '老', _]);
    match (short, long) {
        // A family name, or one character of anything: nearly nothing.
        ([one], _) => {
            if long.contains(one) {
                Names::OneWord
            } else {
                Names::Different
            }
        }
        ([.., x], [.., y]) if x == y && (pet(short) || pet(long)) => Names::Nickname,
        // The given name alone.
        (given, whole) if whole.ends_with(given) && given.len() >= 2 => Names::OneWord,
        ([x, ..], [y, ..]) if x == y => Names::OtherGiven,
        _ => Names::Different,
    }
}
