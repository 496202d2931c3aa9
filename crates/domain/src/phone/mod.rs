//! # Phone numbers
//! Purpose: reads what people and spreadsheets write for a phone number, says what is wrong with it and how to mend it, and
//! knows in which ways, countries and time zones a number lives.
//! May touch: values, and Google's numbering plans, which `plan` reaches through a library.
//! Must not touch: anything else. A WhatsApp id that is stored is never changed here: it is compared by [`candidates`].
//! Failure story: none. What can't be read is a [`PhoneProblem`].

mod plan;
mod problem;
mod region;
mod text;
mod variants;
mod zones;

pub use plan::country_of;
pub use problem::PhoneProblem;
pub use region::Region;
pub use variants::{candidates, national};
pub use zones::time_zones;

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use text::Written;

/// A valid phone number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Phone {
    /// E.164 digits without `+`: country code first, 15 at most.
    pub e164: String,
    /// The country or territory it belongs to.
    pub region: Region,
    /// What kind of line it is, as far as the numbering plan tells.
    pub line: Line,
}

/// `+` and the digits: what [`parse`] reads back unchanged.
impl std::fmt::Display for Phone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "+{}", self.e164)
    }
}

/// Kind of a line by the numbering plan; a ported number may be something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A mobile phone.
    Mobile,
    /// The plan doesn't tell mobile from fixed, as in the USA and Canada.
    FixedOrMobile,
    /// A fixed line.
    Landline,
    /// Calls cost extra.
    Premium,
    /// Calls cost the caller nothing.
    TollFree,
    /// Caller and called share the cost.
    SharedCost,
    /// Telephony over the internet.
    Voip,
    /// A pager.
    Pager,
    /// Personal numbers, company-wide numbers, voicemail.
    Other,
}

impl Line {
    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::FixedOrMobile => "fixed_or_mobile",
            Self::Landline => "landline",
            Self::Premium => "premium",
            Self::TollFree => "toll_free",
            Self::SharedCost => "shared_cost",
            Self::Voip => "voip",
            Self::Pager => "pager",
            Self::Other => "other",
        }
    }

    /// Whether a WhatsApp account can be behind it. Meta confirms a number by a text or a call from abroad, also for landlines
    /// and toll-free numbers of companies ("Phone numbers" in Meta's documentation); numbers at extra cost and pagers don't
    /// receive that as a rule.
    #[must_use]
    pub const fn can_have_whatsapp(self) -> bool {
        !matches!(self, Self::Premium | Self::SharedCost | Self::Pager)
    }

    /// Whether a person should look before writing to it: a customer is rarely on WhatsApp with such a line.
    #[must_use]
    pub const fn is_flagged(self) -> bool {
        !matches!(self, Self::Mobile | Self::FixedOrMobile | Self::Voip)
    }
}

/// Reads a number as people write it: any separators and digits of any script, `tel:`, `00`, labels and remarks, extensions
/// (left out), and what spreadsheets make of numbers. `default` is the country of numbers that are written without one.
///
/// # Errors
/// Why it is no number that can be used, and what could be done about it.
pub fn parse(text: &str, default: Option<Region>) -> Result<Phone, PhoneProblem> {
    let written = text::read(text)?;
    let default = default.filter(|region| *region != Region::WORLD);
    if written.letters {
        // "1-800-FLOWERS". As the library reads it, which turns letters into keys.
        return plan::look(written.text, default).map_err(|miss| miss.problem());
    }
    let read = match default {
        _ if written.plus => international(&written, &written.digits, default),
        None => without_country(&written),
        Some(region) => at_home(&written, region),
    };
    read.map_err(|problem| match problem {
        PhoneProblem::NoCountry => problem,
        PhoneProblem::Invalid if written.digits.len() < 5 => PhoneProblem::TooShort,
        _ => written.doubt.unwrap_or(problem),
    })
}

/// The number begins with a country code.
fn international(written: &Written<'_>, digits: &str, default: Option<Region>) -> Result<Phone, PhoneProblem> {
    let miss = match plan::look(&format!("+{digits}"), None) {
        Ok(phone) => return Ok(phone),
        Err(miss) => miss,
    };
    // "+34 (0) 612 345 678": a zero that is never dialled in that country.
    if let Some(rest) = written.without_trunk(digits)
        && let Ok(phone) = plan::look(&format!("+{rest}"), None)
    {
        return Ok(phone);
    }
    if let Some(phone) = miss.other_way() {
        return Ok(phone);
    }
    // "+00886912345678" and "+0912345678": somebody put a plus before everything.
    let bare = digits.trim_start_matches('0');
    let again = match default {
        _ if digits.starts_with("00") => plan::look(&format!("+{bare}"), None).ok(),
        Some(_) if digits.starts_with('0') => plan::look(digits, default).ok(),
        _ => None,
    };
    again.ok_or_else(|| miss.problem())
}

/// No `+` and no default country: the number itself must begin with a country code.
fn without_country(written: &Written<'_>) -> Result<Phone, PhoneProblem> {
    let digits = written.digits.as_str();
    if let Some(rest) = digits.strip_prefix("00") {
        return international(written, rest, None);
    }
    let problem = match digits.len() {
        ..7 => PhoneProblem::TooShort,
        16.. => PhoneProblem::TooLong,
        _ => PhoneProblem::NoCountry,
    };
    // "(202) 555-0123" begins with an area code, "0912 345 678" with a national prefix, whatever country would fit too.
    if digits.starts_with('0') || written.area_first || problem != PhoneProblem::NoCountry {
        return Err(problem);
    }
    international(written, digits, None).map_err(|_| problem)
}

/// No `+`, but a country of which the number probably is.
fn at_home(written: &Written<'_>, region: Region) -> Result<Phone, PhoneProblem> {
    let digits = written.digits.as_str();
    let zeros = digits.strip_prefix("00");
    // Somebody's "00" before the own country's code. Read first, for "0055 34 9…" would be Spain through carrier 55.
    if let Some(rest) = zeros
        && region.calling_code().is_some_and(|code| rest.starts_with(&code.to_string()))
        && let Ok(phone) = international(written, rest, None)
    {
        return Ok(phone);
    }
    let miss = match plan::look(digits, Some(region)) {
        Ok(phone) => return Ok(mobile_with_code(written, &phone).unwrap_or(phone)),
        Err(miss) => miss,
    };
    if let Some(phone) = miss.other_way() {
        return Ok(phone);
    }
    let again = match zeros {
        Some(rest) => international(written, rest, None).ok(),
        None if digits.starts_with('0') => None,
        None => zero_restored(digits, region).or_else(|| abroad(written, &miss)),
    };
    again.ok_or_else(|| miss.problem())
}

/// Where landlines may be of any length, as in Germany, nearly every foreign number is one too: `5511987654321` and even
/// `491711234567`. Without a leading zero, the whole mobile number of a country is meant.
fn mobile_with_code(written: &Written<'_>, home: &Phone) -> Option<Phone> {
    if home.line != Line::Landline || written.digits.len() < 11 || written.digits.starts_with('0') || written.area_first
    {
        return None;
    }
    let phone = plan::look(&format!("+{}", written.digits), None).ok()?;
    let code = phone.e164.len() - national(&phone.e164)?.len();
    (phone.line == Line::Mobile && [code, written.digits.len()].contains(&written.first_group)).then_some(phone)
}

/// A spreadsheet ate the leading zero: in one of the countries where it belongs to the number (Italy), or before a foreign
/// number (`01144…`). Elsewhere the number is read without it anyway.
fn zero_restored(digits: &str, region: Region) -> Option<Phone> {
    let whole = format!("0{digits}");
    let phone = plan::look(&whole, Some(region)).ok()?;
    let abroad = || country_of(&phone.e164).and_then(Region::calling_code) != region.calling_code();
    (phone.e164.ends_with(&whole) || abroad()).then_some(phone)
}

/// A number of another country without `+`. Only where it is hardly a slip in a number of the default country: mobile numbers
/// of full length, or of a length that doesn't exist at home; landlines when they are longer still.
fn abroad(written: &Written<'_>, miss: &plan::Miss) -> Option<Phone> {
    let digits = written.digits.len();
    if written.area_first || digits < 10 {
        return None;
    }
    let phone = international(written, &written.digits, None).ok()?;
    let code = phone.e164.len() - national(&phone.e164)?.len();
    // "8 (452) 209-03-54" would be Vietnam, but nobody groups it so.
    if ![code, digits].contains(&written.first_group) {
        return None;
    }
    let strange = !miss.length_exists();
    let likely = match phone.line {
        Line::Mobile | Line::FixedOrMobile => strange || digits > 10,
        Line::Landline => strange && digits > 11,
        _ => false,
    };
    likely.then_some(phone)
}

/// The other ways in which the same line is known, as [`candidates`] has them, without the given one.
fn other_ways(e164: &str) -> impl Iterator<Item = Cow<'_, str>> {
    candidates(e164).skip(1)
}

#[cfg(test)]
mod tests;
