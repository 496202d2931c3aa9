//! The score of two cards: the points of all reasons, 0 to 1000. A sum, so that everybody can see why.
//! Must not touch: what becomes of the pair.

use super::alike::one_digit_off;
use super::keys::TAIL;
use super::names::{Names, compare};
use super::prepared::{Prepared, digits};
use super::reasons::{Reason, Reasons};
use super::text::Suffix;
use serde::{Deserialize, Serialize};

/// How sure it is that two cards are one person, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score {
    /// Thousandths. The sum of the reasons' points within 0 to 1000, and at most [`Score::CONTRADICTED`] when a reason forbids
    /// a merge without asking or nothing of the person's own agrees: a phone or e-mail that few share, or the birthday.
    pub permille: u16,
    /// What spoke for and against.
    pub reasons: Reasons,
}

impl Score {
    /// No more than this when something contradicts. Automatic thresholds are above it.
    pub const CONTRADICTED: u16 = 799;

    fn of(reasons: Reasons) -> Self {
        // What many share, and a name, describe an office: to merge without asking takes something of the person's own.
        const OWN: [Reason; 4] = [Reason::SameEmail, Reason::SamePhone, Reason::SamePhoneVariant, Reason::SameBirthday];
        let (mut points, mut contradicted) = (0_i16, !OWN.into_iter().any(|r| reasons.has(r)));
        for reason in reasons.iter() {
            points = points.saturating_add(reason.points());
            contradicted |= reason.forbids_automatic();
        }
        let most = if contradicted { Self::CONTRADICTED } else { 1000 };
        Self { permille: u16::try_from(points.max(0)).unwrap_or_default().min(most), reasons }
    }

    /// What is to be done with a pair of this score.
    #[must_use]
    pub fn verdict(self, thresholds: &Thresholds) -> Verdict {
        if self.permille >= thresholds.automatic() {
            Verdict::Automatic
        } else if self.permille >= thresholds.review {
            Verdict::Review
        } else {
            Verdict::Apart
        }
    }
}

/// What is to be done with a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// May be merged without asking.
    Automatic,
    /// A person decides.
    Review,
    /// Two people.
    Apart,
}

/// From which score on what is done, in thousandths. Defaults: 850 and 600, chosen on the synthetic set (seeds 1 to 3) so that
/// one agreeing identifier and one whole name are enough for a merge, and neither alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Merged without asking. Counts as at least [`Score::CONTRADICTED`] + 1.
    pub automatic: u16,
    /// Shown to a person.
    pub review: u16,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { automatic: 850, review: 600 }
    }
}

impl Thresholds {
    /// The threshold for merges without asking that is in force.
    #[must_use]
    pub fn automatic(&self) -> u16 {
        self.automatic.max(Score::CONTRADICTED + 1)
    }
}

/// Phones and e-mail addresses that many people share: switchboards, family lines, what is typed to fill a field. They say
/// little about who somebody is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crowd {
    phones: Vec<u64>,
    emails: Vec<u64>,
}

impl Crowd {
    /// What more than `most` different names have in common. Needs 16 bytes a phone and e-mail while it counts.
    #[must_use]
    pub fn of(people: &[Prepared], most: usize) -> Self {
        let name = |p: &Prepared| super::hash::Hash::of(b'N').bytes(p.name().as_bytes()).end32();
        let phones = people.iter().flat_map(|p| p.numbers().map(move |n| (digits(n), name(p)))).collect();
        let emails = people.iter().filter_map(|p| Some((p.email()?, name(p)))).collect();
        Self { phones: crowded(phones, most), emails: crowded(emails, most) }
    }

    fn has(list: &[u64], value: u64) -> bool {
        !list.is_empty() && list.binary_search(&value).is_ok()
    }
}

fn crowded(mut seen: Vec<(u64, u32)>, most: usize) -> Vec<u64> {
    seen.sort_unstable();
    seen.dedup();
    let groups = seen.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > most);
    groups.filter_map(|group| group.first().map(|(value, _)| *value)).collect()
}

/// The score of two cards. Symmetric.
#[must_use]
pub fn score(a: &Prepared, b: &Prepared) -> Score {
    score_among(a, b, &Crowd::default())
}

/// The score of two cards among people of whom it is known what many share. Symmetric.
#[must_use]
pub fn score_among(a: &Prepared, b: &Prepared, crowd: &Crowd) -> Score {
    let mut reasons = Reasons::default();
    let mut exact = false;
    if let (Some(x), Some(y)) = (a.email(), b.email())
        && x == y
    {
        let shared = a.role() || Crowd::has(&crowd.emails, x);
        reasons.add(if shared { Reason::SharedEmail } else { Reason::SameEmail });
        exact = true;
    } else if let (Some(x), Some(y)) = (a.local(), b.local())
        && x == y
        && (!a.plain() || !b.plain() || (a.private() && b.private()))
    {
        reasons.add(Reason::SameMailboxName);
    }
    if let Some(reason) = phones(a, b, crowd) {
        exact |= matches!(reason, Reason::SamePhone | Reason::SamePhoneVariant | Reason::SharedPhone);
        reasons.add(reason);
    }
    if let (Some(x), Some(y)) = (a.birthday(), b.birthday()) {
        reasons.add(birthdays(x, y));
    }
    if let Some(reason) = names(compare(a, b)).filter(|r| *r != Reason::NameMissing || exact) {
        reasons.add(reason);
    }
    match (a.suffix(), b.suffix()) {
        (x, y) if x == y => {}
        (Suffix::None, _) | (_, Suffix::None) => reasons.add(Reason::SuffixOnOneSide),
        _ => reasons.add(Reason::DifferentSuffix),
    }
    if a.company().is_some() && a.company() == b.company() {
        reasons.add(Reason::SameCompany);
    }
    if a.city().is_some() && a.city() == b.city() {
        reasons.add(Reason::SameCity);
    }
    Score::of(reasons)
}

/// The strongest thing that any two of their numbers say.
fn phones(a: &Prepared, b: &Prepared, crowd: &Crowd) -> Option<Reason> {
    let mut best: Option<Reason> = None;
    for x in a.numbers() {
        for y in b.numbers() {
            let (p, q) = (digits(x), digits(y));
            let found = if p == q {
                match Crowd::has(&crowd.phones, p) {
                    true => Reason::SharedPhone,
                    false if x == y => Reason::SamePhone,
                    false => Reason::SamePhoneVariant,
                }
            } else if p % TAIL == q % TAIL {
                Reason::SamePhoneTail
            } else if one_digit_off(p, q) {
                Reason::PhoneTypo
            } else {
                continue;
            };
            let better =
                best.is_none_or(|b| (found.points(), std::cmp::Reverse(found)) > (b.points(), std::cmp::Reverse(b)));
            best = if better { Some(found) } else { best };
        }
    }
    best
}

const fn names(names: Names) -> Option<Reason> {
    Some(match names {
        Names::Missing => Reason::NameMissing,
        Names::Same => Reason::NamesSame,
        Names::Swapped => Reason::NamesSwapped,
        Names::Shortened => Reason::NamesShortened,
        Names::Alike => Reason::NamesAlike,
        Names::Nickname => Reason::Nickname,
        Names::Initials => Reason::Initials,
        Names::GivenTypo => Reason::GivenNameTypo,
        Names::OneWord => Reason::OneNameWord,
        Names::Contained => Reason::NamesContained,
        Names::OtherFamily => Reason::OtherFamilyName,
        Names::Partly => Reason::NamesPartly,
        Names::OtherGiven => Reason::OtherGivenName,
        Names::Different => Reason::DifferentNames,
    })
}

/// Days as `YYYYMMDD`.
fn birthdays(x: u32, y: u32) -> Reason {
    let turned = |d: u32| d / 10_000 * 10_000 + d % 100 * 100 + d / 100 % 100;
    if x == y {
        Reason::SameBirthday
    } else if turned(x) == y || one_digit_off(x.into(), y.into()) {
        Reason::BirthdayTypo
    } else {
        Reason::DifferentBirthday
    }
}
