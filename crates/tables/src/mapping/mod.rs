//! What each column of a table is: as a guess, as a file to edit, and checked.
//! Must not touch: files; what is done with the values.

mod guess;
mod names;
pub(crate) mod values;
pub(crate) mod words;

pub use guess::{Guess, guess};
pub use words::yes;

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The longest key of a field.
pub const MAX_FIELD: usize = 64;

/// What a column is used for. Written as text: `phone`, `field:city`, `label:blocked`, `consent_date`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum ColumnUse {
    /// `ignore`: nothing.
    Ignore,
    /// `key`: the person's key in the source. The same key again is the same person.
    Key,
    /// `phone`: a phone number. There may be several.
    Phone,
    /// `first_name`
    FirstName,
    /// `last_name`
    LastName,
    /// `field:KEY`: a field of the profile; `name`, `email`, `company`, `language`, `country`, `city`, `birthday`, `owner`, `note`
    /// are the ones that everybody has, and may be written without `field:`.
    Field(String),
    /// `tags`: words, separated by commas, semicolons or bars.
    Tags,
    /// `label:NAME`: yes or no to a label, such as `refuses_marketing`, `blocked`, `employee`, `test`.
    Label(String),
    /// `consent`, `consent_date`, `consent_source`, `consent_proof`: what is known of the person's consent to marketing.
    Consent(ConsentPart),
}

/// A part of a consent that a table tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsentPart {
    /// Whether it was given: yes or no.
    Given,
    /// When.
    Date,
    /// Where and how.
    Source,
    /// The text shown, or another proof.
    Proof,
}

/// The fields that everybody has.
const CORE: [&str; 9] = ["name", "email", "company", "language", "country", "city", "birthday", "owner", "note"];
/// The labels there are.
const LABELS: [&str; 5] = ["refuses_marketing", "blocked", "employee", "test", "unreachable"];
/// Uses without a name behind them.
const PLAIN: [(&str, ColumnUse); 10] = [
    ("ignore", ColumnUse::Ignore),
    ("key", ColumnUse::Key),
    ("phone", ColumnUse::Phone),
    ("first_name", ColumnUse::FirstName),
    ("last_name", ColumnUse::LastName),
    ("tags", ColumnUse::Tags),
    ("consent", ColumnUse::Consent(ConsentPart::Given)),
    ("consent_date", ColumnUse::Consent(ConsentPart::Date)),
    ("consent_source", ColumnUse::Consent(ConsentPart::Source)),
    ("consent_proof", ColumnUse::Consent(ConsentPart::Proof)),
];

impl fmt::Display for ColumnUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(key) => write!(f, "field:{key}"),
            Self::Label(name) => write!(f, "label:{name}"),
            plain => f.write_str(PLAIN.iter().find(|(_, u)| u == plain).map_or("ignore", |(text, _)| text)),
        }
    }
}

impl FromStr for ColumnUse {
    type Err = UnknownUse;

    fn from_str(text: &str) -> Result<Self, UnknownUse> {
        let wrong = || UnknownUse { text: text.to_owned(), nearest: nearest(text, known_uses()) };
        match text.split_once(':') {
            Some(("field", key)) if is_field_key(key) => Ok(Self::Field(key.to_owned())),
            Some(("label", name)) if LABELS.contains(&name) => Ok(Self::Label(name.to_owned())),
            Some(_) => Err(wrong()),
            None if CORE.contains(&text) => Ok(Self::Field(text.to_owned())),
            None => PLAIN.into_iter().find(|(name, _)| *name == text).map(|(_, u)| u).ok_or_else(wrong),
        }
    }
}

impl TryFrom<String> for ColumnUse {
    type Error = UnknownUse;

    fn try_from(text: String) -> Result<Self, UnknownUse> {
        text.parse()
    }
}

impl From<ColumnUse> for String {
    fn from(column_use: ColumnUse) -> Self {
        column_use.to_string()
    }
}

fn known_uses() -> impl Iterator<Item = Cow<'static, str>> {
    let plain = PLAIN.into_iter().map(|(text, _)| text.into());
    let labels = LABELS.into_iter().map(|l| format!("label:{l}").into());
    plain.chain(CORE.into_iter().map(Cow::from)).chain(labels)
}

/// A use that there isn't.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a column can't be used as {text:?}{}; there are key, phone, first_name, last_name, tags, ignore, field:KEY (KEY: up to 64 of a-z, 0-9, _), label:NAME, consent, consent_date, consent_source, consent_proof", did_you_mean(.nearest.as_deref()))]
pub struct UnknownUse {
    /// What was written.
    pub text: String,
    /// What may have been meant.
    pub nearest: Option<String>,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|n| format!(" (did you mean {n:?}?)")).unwrap_or_default()
}

/// A key of a field: 1 to 64 of `a-z`, `0-9`, `_`.
#[must_use]
pub fn is_field_key(key: &str) -> bool {
    (1..=MAX_FIELD).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A field's key from a column's name; `column_N` where nothing of the name can stand in a key. `place` counts from 0.
#[must_use]
pub fn slug(name: &str, place: usize) -> String {
    let folded = words::fold(name);
    let mut key: String =
        folded.chars().filter(|c| c.is_ascii()).collect::<String>().split_whitespace().collect::<Vec<_>>().join("_");
    key.truncate(MAX_FIELD);
    let key = key.trim_matches('_');
    if key.is_empty() { format!("column_{}", place + 1) } else { key.to_owned() }
}

/// Different names for all columns: one that comes again has a number behind it, one that is missing is `column N`.
pub(crate) fn header_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut given = Vec::new();
    for (place, name) in names.enumerate() {
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        let name = if name.is_empty() { format!("column {}", place + 1) } else { name };
        let mut different = name.clone();
        let mut n = 2;
        while !seen.insert(different.clone()) {
            different = format!("{name} ({n})");
            n += 1;
        }
        given.push(different);
    }
    given
}

/// What the columns of a table are. A file of it is TOML or JSON:
///
/// ```toml
/// rest = "field"
///
/// [[columns]]
/// column = "Celular"
/// use = "phone"
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// What becomes of columns that aren't named.
    #[serde(default)]
    pub rest: Rest,
    /// The columns, by name.
    pub columns: Vec<Column>,
}

/// A column and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name, as the reader gives it.
    pub column: String,
    /// What it is used for.
    #[serde(rename = "use")]
    pub used_as: ColumnUse,
}

/// What becomes of columns that a mapping doesn't name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// A field by the column's name, so that nothing is lost.
    #[default]
    Field,
    /// Nothing.
    Ignore,
}

/// What is wrong with a mapping for a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The table has no such column.
    #[error("there is no column {column:?}{}", did_you_mean(.nearest.as_deref()))]
    UnknownColumn {
        /// What was written.
        column: String,
        /// The name that is most like it.
        nearest: Option<String>,
    },
    /// A column is named more than once.
    #[error("column {column:?} is named more than once")]
    NamedTwice {
        /// Its name.
        column: String,
    },
    /// Several columns have a use that only one can have.
    #[error("only one column can be {used_as}, not all of {columns:?}")]
    UsedTwice {
        /// The use.
        used_as: String,
        /// The columns.
        columns: Vec<String>,
    },
    /// Nothing tells who a person is.
    #[error("no column tells who a person is: one must be phone, email or key")]
    NobodyKnown,
    /// A key of a field that can't be one.
    #[error("{key:?} can't be a field's key: it must be 1 to 64 of a-z, 0-9, _")]
    FieldKey {
        /// What was written.
        key: String,
    },
    /// When, where or how consent was given, but not whether.
    #[error("columns tell about a consent, but none is `consent`, which says whether it was given")]
    ConsentWithoutAnswer,
}

impl Mapping {
    /// All that is wrong with it for a table with these columns.
    #[must_use]
    pub fn check(&self, header: &[String]) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut seen = BTreeSet::new();
        for Column { column, used_as } in &self.columns {
            if !header.contains(column) {
                let nearest = nearest(column, header.iter().map(|h| h.as_str().into()));
                problems.push(Problem::UnknownColumn { column: column.clone(), nearest });
            } else if !seen.insert(column) {
                problems.push(Problem::NamedTwice { column: column.clone() });
            }
            match used_as {
                ColumnUse::Field(key) if !is_field_key(key) => {
                    problems.push(Problem::FieldKey { key: key.clone() });
                }
                _ => {}
            }
        }
        let uses = self.lay(header);
        let mut told = Vec::new();
        for used_as in &uses {
            if matches!(used_as, ColumnUse::Ignore | ColumnUse::Phone | ColumnUse::Tags | ColumnUse::Label(_))
                || told.contains(&used_as)
            {
                continue;
            }
            told.push(used_as);
            let same = uses.iter().zip(header).filter(|(u, _)| *u == used_as);
            let columns: Vec<String> = same.map(|(_, h)| h.clone()).collect();
            if columns.len() > 1 {
                problems.push(Problem::UsedTwice { used_as: used_as.to_string(), columns });
            }
        }
        let email = ColumnUse::Field("email".to_owned());
        if !uses.iter().any(|u| matches!(u, ColumnUse::Phone | ColumnUse::Key) || *u == email) {
            problems.push(Problem::NobodyKnown);
        }
        let consent = |part| uses.contains(&ColumnUse::Consent(part));
        let about = consent(ConsentPart::Date) || consent(ConsentPart::Source) || consent(ConsentPart::Proof);
        if about && !consent(ConsentPart::Given) {
            problems.push(Problem::ConsentWithoutAnswer);
        }
        problems
    }

    /// The use of each column of a table, in the table's order.
    ///
    /// # Errors
    /// All problems of [`Mapping::check`].
    pub fn resolve(&self, header: &[String]) -> Result<Vec<ColumnUse>, Vec<Problem>> {
        let problems = self.check(header);
        if problems.is_empty() { Ok(self.lay(header)) } else { Err(problems) }
    }

    fn lay(&self, header: &[String]) -> Vec<ColumnUse> {
        let named = |name: &String| self.columns.iter().find(|c| c.column == *name).map(|c| c.used_as.clone());
        let mut uses: Vec<Option<ColumnUse>> = header.iter().map(named).collect();
        let mut taken: BTreeSet<String> = uses.iter().flatten().filter_map(field).map(str::to_owned).collect();
        taken.extend(CORE.map(str::to_owned));
        for (place, (used_as, name)) in uses.iter_mut().zip(header).enumerate() {
            used_as.get_or_insert_with(|| match self.rest {
                Rest::Ignore => ColumnUse::Ignore,
                Rest::Field => ColumnUse::Field(free(&slug(name, place), &mut taken)),
            });
        }
        uses.into_iter().flatten().collect()
    }
}

fn field(used_as: &ColumnUse) -> Option<&str> {
    match used_as {
        ColumnUse::Field(key) => Some(key),
        _ => None,
    }
}

/// A key that isn't taken: this one, or with a number behind it. It is taken then.
fn free(key: &str, taken: &mut BTreeSet<String>) -> String {
    let mut different = key.to_owned();
    let mut n = 2;
    while !taken.insert(different.clone()) {
        let end = format!("_{n}");
        different = format!("{}{end}", key.get(..key.len().min(MAX_FIELD - end.len())).unwrap_or_default());
        n += 1;
    }
    different
}

/// What is most like a text, if anything is: differing by a third of its letters, or two.
fn nearest<'a>(text: &str, known: impl Iterator<Item = Cow<'a, str>>) -> Option<String> {
    let text = words::fold(text);
    let letters = text.chars().count();
    let limit = (letters / 3).max(if letters < 4 { 1 } else { 2 });
    let near = known.map(|k| (distance(&text, &words::fold(&k)), k));
    near.filter(|(d, _)| *d <= limit).min_by_key(|(d, _)| *d).map(|(_, k)| k.into_owned())
}

/// How many letters must be put in, taken out or changed to make one text of another.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let (mut corner, mut left) = (i, i + 1);
        for (y, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let best = (corner + usize::from(x != *y)).min(left + 1).min(*above + 1);
            corner = std::mem::replace(above, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
