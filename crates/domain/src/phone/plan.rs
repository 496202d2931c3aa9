//! The numbering plans: the only place that knows the library, a port of Google's libphonenumber with its metadata.
//! May touch: `rlibphonenumber`, whose plans are loaded on the first question and kept for the life of the program; the
//! patterns of a country are compiled when its first number comes.
//! Must not touch: what people write; that is `text`'s.

use super::{Line, Phone, PhoneProblem, Region, other_ways};
use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, ParseError, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region as Land,
    ValidationError,
};

/// Longest text that the library is asked about. Google's limit.
const LONGEST: usize = 250;
/// Most digits of an international number (ITU-T E.164).
const LONGEST_E164: usize = 15;

/// A text that is no valid number, with what the library could still make of it.
pub(super) struct Miss {
    number: Result<Box<PhoneNumber>, ParseError>,
}

/// Asks the numbering plans. Valid means that the number has a kind of line in its region, as in `isValidNumber`.
pub(super) fn look(text: &str, default: Option<Region>) -> Result<Phone, Miss> {
    if text.len() > LONGEST {
        return Err(Miss { number: Err(ParseError::TooLongNsn) });
    }
    let number = match PHONE_NUMBER_UTIL.parse(text, default.and_then(land)) {
        Ok(number) => number,
        Err(error) => return Err(Miss { number: Err(error) }),
    };
    phone(&number).ok_or_else(|| Miss { number: Ok(Box::new(number)) })
}

impl Miss {
    /// The problem in our words.
    pub(super) fn problem(&self) -> PhoneProblem {
        match &self.number {
            Ok(number) if digits(number).is_some_and(|e164| e164.len() > LONGEST_E164) => PhoneProblem::TooLong,
            Ok(number) => match PHONE_NUMBER_UTIL.is_possible_number_with_reason(number) {
                Err(ValidationError::TooShort) | Ok(NumberLengthType::IsPossibleLocalOnly) => PhoneProblem::TooShort,
                Err(ValidationError::TooLong) => PhoneProblem::TooLong,
                _ => PhoneProblem::Invalid,
            },
            Err(ParseError::TooShortNsn | ParseError::TooShortAfterIdd) => PhoneProblem::TooShort,
            Err(ParseError::TooLongNsn) => PhoneProblem::TooLong,
            Err(ParseError::InvalidCountryCode | ParseError::NotANumber(_)) => PhoneProblem::Invalid,
        }
    }

    /// Whether numbers of that length exist in the country it was read for.
    pub(super) fn length_exists(&self) -> bool {
        self.number.as_ref().is_ok_and(|number| {
            matches!(PHONE_NUMBER_UTIL.is_possible_number_with_reason(number), Ok(NumberLengthType::IsPossible))
        })
    }

    /// The same line as it is dialled today: old ways of writing in Brazil and Mexico are no valid numbers any more.
    pub(super) fn other_way(&self) -> Option<Phone> {
        let number = self.number.as_ref().ok()?;
        if ![52, 54, 55].contains(&number.country_code) {
            return None;
        }
        let e164 = digits(number)?;
        other_ways(&e164).find_map(|other| look(&format!("+{other}"), None).ok())
    }
}

fn phone(number: &PhoneNumber) -> Option<Phone> {
    let line = line(PHONE_NUMBER_UTIL.get_number_type(number))?;
    let region = region(PHONE_NUMBER_UTIL.get_region_for_number(number)?)?;
    let e164 = digits(number)?;
    // Some German and Indonesian numbers would be longer than E.164 allows; no such number can be dialled from abroad.
    (e164.len() <= LONGEST_E164).then_some(Phone { e164, region, line })
}

fn digits(number: &PhoneNumber) -> Option<String> {
    PHONE_NUMBER_UTIL.format(number, PhoneNumberFormat::E164).strip_prefix('+').map(str::to_owned)
}

const fn line(kind: PhoneNumberType) -> Option<Line> {
    Some(match kind {
        PhoneNumberType::FixedLine => Line::Landline,
        PhoneNumberType::Mobile => Line::Mobile,
        PhoneNumberType::FixedLineOrMobile => Line::FixedOrMobile,
        PhoneNumberType::TollFree => Line::TollFree,
        PhoneNumberType::PremiumRate => Line::Premium,
        PhoneNumberType::SharedCost => Line::SharedCost,
        PhoneNumberType::VoIP => Line::Voip,
        PhoneNumberType::Pager => Line::Pager,
        PhoneNumberType::PersonalNumber | PhoneNumberType::UAN | PhoneNumberType::VoiceMail => Line::Other,
        PhoneNumberType::Unknown => return None,
    })
}

fn land(region: Region) -> Option<Land> {
    Land::from_code(region.as_str()).ok()
}

fn region(land: Land) -> Option<Region> {
    if land == Land::World { Some(Region::WORLD) } else { Region::of_letters(land.as_region_str().as_str()) }
}

/// The country calling code of a region; `None` for what has no numbering plan.
pub(super) fn calling_code(region: Region) -> Option<u16> {
    let code = PHONE_NUMBER_UTIL.get_country_code_for_region(land(region)?)?;
    u16::try_from(code).ok()
}

/// The country of a number in E.164 digits without `+`, valid or not. Where countries share a code and the number is none of
/// theirs, it is the code's main country. `None` when no country has the code. Costs little more than reading the code,
/// except for shared codes such as 1, 7 and 44.
#[must_use]
pub fn country_of(e164: &str) -> Option<Region> {
    let length = e164.len() - super::national(e164)?.len();
    let code: i32 = e164.get(..length)?.parse().ok()?;
    let mut lands = PHONE_NUMBER_UTIL.get_regions_for_country_calling_code(code)?;
    let shared = lands.len() > 1;
    let main = lands.next()?;
    if !shared {
        return region(main);
    }
    let number = PHONE_NUMBER_UTIL.parse(format!("+{e164}"), None).ok();
    region(number.and_then(|number| PHONE_NUMBER_UTIL.get_region_for_number(&number)).unwrap_or(main))
}
