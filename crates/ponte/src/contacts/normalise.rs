//! From a row of a table to a draft of a person, or to the reasons why not. A row is taken whole or not at all: one cell that
//! can't be right rejects it, with what is wrong and how to mend it. A field's value that doesn't fit its type rejects nothing: it is
//! kept as it was written, and counted.
//! Must not touch: files and the database.

use ponte_domain::Millis;
use ponte_domain::consent::{Action, Scope};
use ponte_domain::fields::{Fields, Kind, keep};
use ponte_domain::people::{Draft, OldConsent};
use ponte_domain::phone::{Line, PhoneProblem, Region};
use ponte_domain::profile::{Label, core};
use ponte_tables::Row;
use ponte_tables::mapping::{ColumnUse, ConsentPart, yes};
use std::borrow::Cow;

/// Why a row is rejected.
pub struct Problem {
    /// Place of the column, `None` for the whole row.
    pub column: Option<usize>,
    /// The value that is wrong.
    pub value: String,
    /// Stable code.
    pub code: &'static str,
    /// One sentence.
    pub reason: Cow<'static, str>,
    /// How to mend it.
    pub suggestion: Cow<'static, str>,
}

/// How rows are read.
pub struct Rules {
    /// What each column is used for.
    pub uses: Vec<ColumnUse>,
    /// Country of numbers without country code, when the row names none.
    pub country: Option<Region>,
    /// What is stated about the consent of all rows.
    pub consent: StatedConsent,
    /// The fields that somebody defined.
    pub fields: Fields,
}

/// What is stated about old consent where the table doesn't say it.
#[derive(Debug, Clone)]
pub struct StatedConsent {
    /// About what the table's answers are.
    pub scope: Scope,
    /// Where they come from.
    pub source: Option<String>,
    /// When they were given.
    pub at: Option<Millis>,
}

impl Default for StatedConsent {
    fn default() -> Self {
        Self { scope: Scope::MARKETING, source: None, at: None }
    }
}

/// A row that was taken, and what of it deserves a look.
pub struct Taken {
    /// What an import applies.
    pub draft: Draft,
    /// Flagged kinds of line.
    pub flagged: Vec<Line>,
    /// Why what the row says about consent doesn't count; it is kept as fields.
    pub consent_kept: Option<&'static str>,
    /// Fields whose value doesn't fit, and is kept as it was written.
    pub as_written: Vec<String>,
}

impl Rules {
    /// Reads a row.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(&self, row: &Row) -> Result<Taken, Problem> {
        let mut draft = Draft { line: row.line(), ..Draft::default() };
        let (mut flagged, mut unfit) = (Vec::new(), Vec::new());
        let country = self.country_of(row).or(self.country);
        let (mut first, mut last) = ("", "");
        let mut consent = ConsentCells::default();
        for (place, used_as) in self.uses.iter().enumerate() {
            let cell = row.get(place).unwrap_or_default().trim();
            if cell.is_empty() {
                continue;
            }
            match used_as {
                ColumnUse::Key => draft.key = Some(cell.to_owned()),
                ColumnUse::Phone => {
                    let phone = ponte_domain::phone::parse(cell, country).map_err(|p| phone_problem(place, cell, p))?;
                    if phone.line.is_flagged() {
                        flagged.push(phone.line);
                    }
                    if !phone.line.can_have_whatsapp() && !draft.labels.contains(&Label::Unreachable) {
                        draft.labels.push(Label::Unreachable);
                    }
                    if !draft.phones.contains(&phone.e164) {
                        draft.phones.push(phone.e164);
                    }
                }
                ColumnUse::FirstName => first = cell,
                ColumnUse::LastName => last = cell,
                ColumnUse::Field(key) => {
                    let said = match self.fields.get(key) {
                        // Yes and no in the languages of tables.
                        Some(d) if d.kind == Kind::Boolean => {
                            yes(cell).map_or(cell, |y| if y { "true" } else { "false" })
                        }
                        _ => cell,
                    };
                    let (kept, value, fits) = keep(&self.fields, key, said, country);
                    let value = if fits { value } else { cell.to_owned() };
                    if !fits {
                        unfit.push((place, key.clone()));
                    }
                    draft.fields.push((kept, value));
                }
                ColumnUse::Tags => {
                    draft
                        .tags
                        .extend(cell.split([',', ';', '|']).map(str::trim).filter(|t| !t.is_empty()).map(Into::into));
                }
                ColumnUse::Label(name) => label(&mut draft, place, name, cell)?,
                ColumnUse::Consent(part) => match part {
                    ConsentPart::Given => consent.given = cell,
                    ConsentPart::Date => consent.date = cell,
                    ConsentPart::Source => consent.source = cell,
                    ConsentPart::Proof => consent.proof = cell,
                },
                _ => {}
            }
        }
        let named = draft.fields.iter().any(|(key, _)| key == core::NAME);
        let parts = whole_name(first, last);
        if !named && !parts.is_empty() {
            draft.fields.push((core::NAME.to_owned(), parts));
        }
        let known =
            draft.key.is_some() || !draft.phones.is_empty() || draft.fields.iter().any(|(k, _)| k == core::EMAIL);
        if !known && let Some((place, _)) = unfit.iter().find(|(_, key)| key == core::EMAIL) {
            let value = row.get(*place).unwrap_or_default().trim().to_owned();
            let problem = self.fields.read(core::EMAIL, &value, None).err().map(|e| e.unfit);
            return Err(Problem {
                column: Some(*place),
                value,
                code: problem.as_ref().map_or("email_invalid", |p| p.code),
                reason: "Nothing but this tells who the row is about, and it is no e-mail address.".into(),
                suggestion: problem.map(|p| p.suggestion).unwrap_or_default(),
            });
        }
        if !known {
            return Err(Problem {
                column: None,
                value: String::new(),
                code: "nobody",
                reason: "The row has neither a phone number nor an e-mail address nor a key.".into(),
                suggestion: "Add one of them, or leave the row out.".into(),
            });
        }
        let consent_kept = match consent.read(&self.consent) {
            Ok(said) => {
                draft.consent = said;
                None
            }
            Err(why) => {
                draft.fields.extend(consent.fields());
                Some(why)
            }
        };
        let as_written = unfit.into_iter().map(|(_, key)| key).collect();
        Ok(Taken { draft, flagged, consent_kept, as_written })
    }

    /// The row's own country, when a column tells it as two letters.
    fn country_of(&self, row: &Row) -> Option<Region> {
        let place = self.uses.iter().position(|u| matches!(u, ColumnUse::Field(key) if key == core::COUNTRY))?;
        let cell = row.get(place)?.trim();
        (cell.len() == 2).then(|| Region::new(&cell.to_ascii_uppercase())).flatten()
    }
}

/// What a row says about consent, as it is written.
#[derive(Default)]
struct ConsentCells<'a> {
    given: &'a str,
    date: &'a str,
    source: &'a str,
    proof: &'a str,
}

impl ConsentCells<'_> {
    /// The consent that a row states; `None` where it says nothing.
    ///
    /// # Errors
    /// Why it can't be believed: a stable word. A yes needs to be a yes, with where and when it was given.
    fn read(&self, stated: &StatedConsent) -> Result<Option<OldConsent>, &'static str> {
        if [self.given, self.date, self.source, self.proof].iter().all(|cell| cell.is_empty()) {
            return Ok(None);
        }
        let given = yes(self.given).ok_or("consent_unclear")?;
        let source = Some(self.source).filter(|s| !s.is_empty()).map(str::to_owned).or_else(|| stated.source.clone());
        let at = match self.date {
            "" => stated.at,
            // Of a day without an hour a yes takes the beginning and a no the end, so that a no of the same day wins.
            date => moment(date, !given).or(stated.at),
        };
        if given && source.is_none() {
            return Err("consent_without_source");
        }
        if given && at.is_none() {
            return Err("consent_without_date");
        }
        Ok(Some(OldConsent {
            scope: stated.scope.clone(),
            action: if given { Action::Confirmed } else { Action::Withdrawn },
            at,
            source,
            proof: Some(self.proof).filter(|p| !p.is_empty()).map(str::to_owned),
        }))
    }

    fn fields(&self) -> impl Iterator<Item = (String, String)> {
        let cells = [
            ("consent", self.given),
            ("consent_date", self.date),
            ("consent_source", self.source),
            ("consent_proof", self.proof),
        ];
        cells.into_iter().filter(|(_, cell)| !cell.is_empty()).map(|(key, cell)| (key.to_owned(), cell.to_owned()))
    }
}

/// When something was said: a moment with its time (UTC unless it says otherwise), or a day, its beginning or its end.
pub fn moment(text: &str, end_of_day: bool) -> Option<Millis> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_millisecond());
    }
    let day: jiff::civil::Date = ponte_domain::fields::read(Kind::Date, &[], text, None).ok()?.parse().ok()?;
    let clock = text.split_once([' ', 'T']).and_then(|(_, clock)| clock.trim().parse::<jiff::civil::Time>().ok());
    let time = match clock {
        Some(time) if time != jiff::civil::Time::midnight() => time,
        _ if end_of_day => jiff::civil::Time::MAX,
        _ => jiff::civil::Time::midnight(),
    };
    Some(day.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

fn phone_problem(place: usize, cell: &str, problem: PhoneProblem) -> Problem {
    Problem {
        column: Some(place),
        value: cell.to_owned(),
        code: problem.code(),
        reason: problem.reason().into(),
        suggestion: problem.suggestion().into(),
    }
}

/// Chinese names are written without a space, family name first.
fn whole_name(first: &str, last: &str) -> String {
    let han = |text: &str| text.chars().all(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    if !first.is_empty() && !last.is_empty() && han(first) && han(last) {
        return format!("{last}{first}");
    }
    format!("{first} {last}").trim().to_owned()
}

fn label(draft: &mut Draft, place: usize, name: &str, cell: &str) -> Result<(), Problem> {
    match (yes(cell), Label::parse(name)) {
        (Some(true), Some(label)) if !draft.labels.contains(&label) => draft.labels.push(label),
        (Some(_), _) => {}
        (None, _) => {
            return Err(Problem {
                column: Some(place),
                value: cell.to_owned(),
                code: "label_unclear",
                reason: format!("It doesn't say yes or no to the label {name}.").into(),
                suggestion: "Write yes or no (1 or 0, true or false, sim or não, 是 or 否).".into(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_with_its_time_or_as_a_day() {
        let day = 20_210_u64 as Millis * 86_400_000; // 2025-05-02
        for (text, end, want) in [
            ("2025-05-02", false, Some(day)),
            ("2025-05-02", true, Some(day + 86_399_999)),
            ("2025-05-02T10:00:00Z", true, Some(day + 36_000_000)),
            ("2025-05-02T10:00:00+02:00", false, Some(day + 28_800_000)),
            ("2025-05-02 10:00", false, Some(day + 36_000_000)),
            ("2025-05-02 00:00:00", true, Some(day + 86_399_999)),
            ("02.05.2025", false, Some(day)),
            ("02/05/2025", false, None),
            ("spring", false, None),
        ] {
            assert_eq!(moment(text, end), want, "{text}");
        }
    }

    #[test]
    fn a_yes_needs_where_and_when_and_a_no_needs_nothing() {
        let read = |given, date, source, stated: &StatedConsent| {
            ConsentCells { given, date, source, proof: "" }.read(stated).map(|c| c.map(|c| (c.action, c.at)))
        };
        let nothing = StatedConsent::default();
        let all = StatedConsent { source: Some("form".into()), at: Some(5), ..StatedConsent::default() };
        assert_eq!(read("", "", "", &all), Ok(None));
        assert_eq!(read("yes", "2025-05-02", "", &nothing), Err("consent_without_source"));
        assert_eq!(read("yes", "", "form", &nothing), Err("consent_without_date"));
        assert_eq!(read("yes", "02/05/2025", "form", &nothing), Err("consent_without_date"));
        assert_eq!(read("yes", "", "", &all), Ok(Some((Action::Confirmed, Some(5)))));
        assert_eq!(read("perhaps", "", "", &all), Err("consent_unclear"));
        assert_eq!(read("", "2025-05-02", "", &all), Err("consent_unclear"));
        assert_eq!(read("no", "", "", &nothing), Ok(Some((Action::Withdrawn, None))));
    }

    #[test]
    fn first_and_last_name_make_the_whole_one() {
        assert_eq!(whole_name("小明", "王"), "王小明");
        assert_eq!(whole_name("Ana", "Lima"), "Ana Lima");
        assert_eq!(whole_name("", "Lima"), "Lima");
    }
}
