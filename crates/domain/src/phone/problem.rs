//! Why a text is no usable phone number, in words for the person who has to mend it.
//! Must not touch: the text itself: reasons carry no number.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What is wrong with a phone number. The codes are stable: they stand in files of rejected rows and in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Error)]
#[serde(rename_all = "snake_case")]
pub enum PhoneProblem {
    /// Nothing but blanks.
    #[error("there is no phone number")]
    Empty,
    /// Text without a digit.
    #[error("there are no digits")]
    NoDigits,
    /// Fewer digits than any number of the country has.
    #[error("the number has too few digits")]
    TooShort,
    /// More digits than any number of the country has.
    #[error("the number has too many digits")]
    TooLong,
    /// It may be a number of many countries.
    #[error("the country code is missing")]
    NoCountry,
    /// The numbering plan of the country has no such number.
    #[error("the country has no such number")]
    Invalid,
    /// Rounded by a spreadsheet (`8.86912E+11`) or blotted out (`0912***678`).
    #[error("digits are lost: a spreadsheet rounded the number, or some were hidden")]
    DigitsLost,
    /// Two numbers in one place.
    #[error("there is more than one number")]
    Several,
}

impl PhoneProblem {
    /// All problems, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Empty,
        Self::NoDigits,
        Self::TooShort,
        Self::TooLong,
        Self::NoCountry,
        Self::Invalid,
        Self::DigitsLost,
        Self::Several,
    ];

    /// The stable code, in `snake_case`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NoDigits => "no_digits",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::NoCountry => "no_country",
            Self::Invalid => "invalid",
            Self::DigitsLost => "digits_lost",
            Self::Several => "several",
        }
    }

    /// The problem as one English sentence.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Empty => "There is no phone number.",
            Self::NoDigits => "There are no digits in it.",
            Self::TooShort => "The number has too few digits for its country.",
            Self::TooLong => "The number has too many digits for its country.",
            Self::NoCountry => "The number has no country code, and no default country is set.",
            Self::Invalid => "The country's numbering plan has no such number.",
            Self::DigitsLost => "Digits are lost: a spreadsheet rounded the number, or some were hidden.",
            Self::Several => "There is more than one number in the field.",
        }
    }

    /// How to mend it, as one English sentence.
    #[must_use]
    pub const fn suggestion(self) -> &'static str {
        match self {
            Self::Empty => "Fill in the number, or map another column.",
            Self::NoDigits => "Check that the right column is mapped as the phone number.",
            Self::TooShort => "Add what is missing; often it is the area code.",
            Self::TooLong => "Look for a digit typed twice, or for an extension, and write it as \"ext 12\".",
            Self::NoCountry => {
                "Set a default country for this source, or write the number with + and its country code."
            }
            Self::Invalid => "Check the default country and the digits; another country's number needs + and its code.",
            Self::DigitsLost => {
                "Export again from the source with the column formatted as text: the digits aren't in the file."
            }
            Self::Several => "Keep one number in this field and put the others into fields of their own.",
        }
    }
}
