//! A person's card made ready for comparing, once. 48 bytes and one block on the heap of about 8 bytes a phone and the letters of
//! the name.

use super::alike::LETTERS;
use super::hash::Hash;
use super::text::{Suffix, company, fold, words};

/// What is compared of a person. Everything can be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Card<'a> {
    /// Whole name as it is written.
    pub name: Option<&'a str>,
    /// E-mail address.
    pub email: Option<&'a str>,
    /// Telephone numbers, E.164 digits without `+`. At most [`Prepared::PHONES`] are looked at.
    pub phones: &'a [&'a str],
    /// Day of birth, `YYYY-MM-DD`. Anything else counts as missing.
    pub birthday: Option<&'a str>,
    /// Company.
    pub company: Option<&'a str>,
    /// City.
    pub city: Option<&'a str>,
}

/// Names have at most so many words here; what follows is not compared.
pub(super) const WORDS: usize = 8;

/// Mailboxes that belong to a company, not to a person.
const ROLES: &[&str] = &[
    "admin",
    "adm",
    "atendimento",
    "billing",
    "comercial",
    "compras",
    "contabilidade",
    "contact",
    "contacto",
    "contato",
    "email",
    "faturamento",
    "finance",
    "financeiro",
    "hello",
    "help",
    "hola",
    "hr",
    "info",
    "jobs",
    "kontakt",
    "mail",
    "marketing",
    "no-reply",
    "noreply",
    "office",
    "ola",
    "postmaster",
    "recepcao",
    "reception",
    "rh",
    "sac",
    "sales",
    "secretaria",
    "service",
    "shop",
    "suporte",
    "support",
    "team",
    "test",
    "vendas",
    "ventas",
    "webmaster",
];

/// Providers that ignore dots in the part before the `@`.
const DOTLESS: &[&str] = &["gmail.com", "googlemail.com"];

/// Days that stand for "unknown" in many systems.
const NO_DAY: &[u32] = &[19_000_101, 19_700_101, 18_991_230, 18_991_231];

/// Digits of a number without its kind of writing: see [`canonical`].
const DIGITS: u64 = (1 << 56) - 1;

/// Providers that give each mailbox to one private person. With a company, `ana.silva` is whoever has that name there.
const PRIVATE: &[&str] = &[
    "163.com",
    "aol.com",
    "bol.com.br",
    "free.fr",
    "gmail.com",
    "gmx.de",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "naver.com",
    "orange.fr",
    "outlook.com",
    "proton.me",
    "qq.com",
    "rediffmail.com",
    "terra.com.br",
    "uol.com.br",
    "web.de",
    "yahoo.com",
    "yahoo.com.br",
    "yahoo.com.tw",
    "yandex.ru",
];

const ROLE: u8 = 1;
const PLAIN: u8 = 2;
const AT_HOME: u8 = 4;

/// A [`Card`] made ready for comparing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Phones, 8 bytes each, then the words of the name, sorted, with one space between.
    packed: Box<[u8]>,
    email: u64,
    local: u32,
    birthday: u32,
    company: u32,
    city: u32,
    /// Four bits for each sorted word: its place as it was written.
    order: u32,
    phones: u8,
    words: u8,
    suffix: Suffix,
    flags: u8,
}

impl Prepared {
    /// So many telephone numbers of a person are looked at.
    pub const PHONES: usize = 6;

    /// Makes a card ready.
    #[must_use]
    pub fn new(card: &Card<'_>) -> Self {
        let mut folded = String::new();
        let (mut written, suffix) = card
            .name
            .map(|name| {
                fold(name, &mut folded);
                words(&folded)
            })
            .unwrap_or_default();
        written.truncate(WORDS);
        for word in &mut written {
            if let Some((end, _)) = word.char_indices().nth(LETTERS) {
                word.truncate(end);
            }
        }
        let mut numbers: Vec<u64> = card.phones.iter().take(Self::PHONES).filter_map(|p| canonical(p)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mail = card.email.and_then(|email| Mail::read(email, &written));

        let mut sorted: Vec<(String, u32)> = written.into_iter().zip(0_u32..).collect();
        sorted.sort_unstable();
        let mut packed = Vec::with_capacity(numbers.len() * 8 + sorted.iter().map(|(w, _)| w.len() + 1).sum::<usize>());
        numbers.iter().for_each(|n| packed.extend_from_slice(&n.to_le_bytes()));
        let mut order = 0;
        for (n, (word, place)) in sorted.iter().enumerate() {
            if n > 0 {
                packed.push(b' ');
            }
            packed.extend_from_slice(word.as_bytes());
            order |= place << (4 * n);
        }
        let mut hashed = |text: Option<&str>, kind: u8, shape: fn(&str) -> String| {
            let text = text.filter(|t| !t.trim().is_empty())?;
            folded.clear();
            fold(text, &mut folded);
            let shaped = shape(&folded);
            (!shaped.is_empty()).then(|| Hash::of(kind).bytes(shaped.as_bytes()).end32())
        };
        Self {
            company: hashed(card.company, b'c', company).unwrap_or_default(),
            city: hashed(card.city, b't', |t| t.split_whitespace().collect()).unwrap_or_default(),
            email: mail.as_ref().map_or(0, |m| m.whole),
            local: mail.as_ref().map_or(0, |m| m.local),
            flags: mail.as_ref().map_or(0, |m| m.flags),
            birthday: card.birthday.and_then(day).unwrap_or_default(),
            phones: u8::try_from(numbers.len()).unwrap_or_default(),
            words: u8::try_from(sorted.len()).unwrap_or_default(),
            packed: packed.into_boxed_slice(),
            order,
            suffix,
        }
    }

    /// True when there is a name to compare.
    #[must_use]
    pub fn has_name(&self) -> bool {
        self.words > 0
    }

    /// Numbers with their kind of writing in the upper byte, ascending.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let end = usize::from(self.phones) * 8;
        let (chunks, _) = self.packed.get(..end).unwrap_or_default().as_chunks::<8>();
        chunks.iter().map(|chunk| u64::from_le_bytes(*chunk))
    }

    /// The words of the name, sorted, with one space between.
    pub(super) fn name(&self) -> &str {
        let from = usize::from(self.phones) * 8;
        std::str::from_utf8(self.packed.get(from..).unwrap_or_default()).unwrap_or_default()
    }

    /// The place at which the sorted word `n` was written.
    pub(super) const fn place(&self, n: usize) -> usize {
        ((self.order >> (4 * n as u32)) & 15) as usize
    }

    pub(super) const fn order(&self) -> u32 {
        self.order
    }

    pub(super) const fn email(&self) -> Option<u64> {
        if self.email == 0 { None } else { Some(self.email) }
    }

    /// The part of the address before the `@`, when it says something.
    pub(super) const fn local(&self) -> Option<u32> {
        if self.local == 0 { None } else { Some(self.local) }
    }

    pub(super) const fn birthday(&self) -> Option<u32> {
        if self.birthday == 0 { None } else { Some(self.birthday) }
    }

    pub(super) const fn company(&self) -> Option<u32> {
        if self.company == 0 { None } else { Some(self.company) }
    }

    pub(super) const fn city(&self) -> Option<u32> {
        if self.city == 0 { None } else { Some(self.city) }
    }

    pub(super) const fn suffix(&self) -> Suffix {
        self.suffix
    }

    /// The mailbox belongs to a company (`info@`).
    pub(super) const fn role(&self) -> bool {
        self.flags & ROLE != 0
    }

    /// The mailbox is with a provider that gives each to one private person.
    pub(super) const fn private(&self) -> bool {
        self.flags & AT_HOME != 0
    }

    /// The mailbox says no more than the name (`ana.silva@`).
    pub(super) const fn plain(&self) -> bool {
        self.flags & PLAIN != 0
    }
}

struct Mail {
    whole: u64,
    local: u32,
    flags: u8,
}

impl Mail {
    /// Reads an address: lower case, without plus-tags, and without dots where the provider ignores them.
    fn read(email: &str, name: &[String]) -> Option<Self> {
        let email = email.trim().to_lowercase();
        let (local, domain) = email.rsplit_once('@').filter(|(l, d)| !l.is_empty() && !d.is_empty())?;
        let local = local.split_once('+').map_or(local, |(before, _)| before);
        let undotted: String = local.chars().filter(|c| *c != '.').collect();
        let kept = if DOTLESS.contains(&domain) { undotted.as_str() } else { local };
        if kept.is_empty() {
            return None;
        }
        let domain = if domain == "googlemail.com" { "gmail.com" } else { domain };
        let role = ROLES.contains(&local);
        // Without signs: ana.silva, ana_silva and anasilva are one habit of one person.
        let letters: String = undotted.chars().filter(|c| c.is_alphanumeric()).collect();
        let says_something = !role && letters.chars().count() >= 5;
        Some(Self {
            whole: Hash::of(b'e').bytes(kept.as_bytes()).bytes(b"@").bytes(domain.as_bytes()).end(),
            local: if says_something { Hash::of(b'l').bytes(letters.as_bytes()).end32() } else { 0 },
            flags: [(role, ROLE), (is_plain(&letters, name), PLAIN), (PRIVATE.contains(&domain), AT_HOME)]
                .iter()
                .filter(|(is, _)| *is)
                .fold(0, |all, (_, flag)| all | flag),
        })
    }
}

/// True when nothing but the words of the name (and at most one initial) is in it.
fn is_plain(letters: &str, name: &[String]) -> bool {
    let mut rest = letters.to_owned();
    for word in name.iter().filter(|w| w.len() > 1) {
        if let Some(at) = rest.find(word.as_str()) {
            rest.replace_range(at..at + word.len(), "");
        }
    }
    rest.len() <= 1 && !rest.chars().any(|c| c.is_ascii_digit())
}

/// `YYYY-MM-DD` as a number of eight digits.
fn day(text: &str) -> Option<u32> {
    let mut parts = text.trim().splitn(3, '-');
    let mut part = |length: usize| -> Option<u32> {
        let part = parts.next()?;
        (part.len() == length && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok()).flatten()
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let number = year * 10_000 + month * 100 + day;
    let good = year > 0 && (1..=12).contains(&month) && (1..=31).contains(&day) && !NO_DAY.contains(&number);
    good.then_some(number)
}

/// The number without what its numbering plan adds or leaves out, and in the upper byte how it was written, so that the two
/// ways of writing one number differ in that byte only.
///
/// Brazil (55): mobile subscribers got a 9 in front of eight digits; WhatsApp ids often lack it. Mexico (52): a 1 after the
/// country code until 2019. Argentina (54): a 9 after the country code for mobiles. Facts: whatsapp-api 3.4.
fn canonical(digits: &str) -> Option<u64> {
    if !(5..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let without = |at: usize| -> Option<u64> { format!("{}{}", digits.get(..at)?, digits.get(at + 1..)?).parse().ok() };
    let (number, written): (Option<u64>, u64) = match (digits.get(..2)?, digits.len(), digits.get(2..3)?) {
        ("55", 13, _) if digits.get(4..5) == Some("9") => (without(4), 1),
        ("52", 13, "1") | ("54", 13, "9") => (without(2), 1),
        _ => (digits.parse().ok(), 0),
    };
    number.filter(|n| *n > 0).map(|n| n | (written << 56))
}

/// The digits alone.
pub(super) const fn digits(number: u64) -> u64 {
    number & DIGITS
}
