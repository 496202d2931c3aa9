//! What spoke for and against, as a small set with stable codes and a sentence each.

/// One thing that speaks for or against two cards being one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Same e-mail address.
    SameEmail,
    /// Same address, which many people share.
    SharedEmail,
    /// Same part before the `@` at another provider.
    SameMailboxName,
    /// Same phone number.
    SamePhone,
    /// Same number in two ways of writing of its country.
    SamePhoneVariant,
    /// Same number, which many people share.
    SharedPhone,
    /// Same last seven digits.
    SamePhoneTail,
    /// Numbers that differ by one wrong digit.
    PhoneTypo,
    /// Same name.
    NamesSame,
    /// Same name in another order.
    NamesSwapped,
    /// One name leaves out words of the other.
    NamesShortened,
    /// Names that sound or look alike.
    NamesAlike,
    /// A pet form of the name.
    Nickname,
    /// Initials that fit.
    Initials,
    /// A given name with one letter changed: a typing error, or another name.
    GivenNameTypo,
    /// One word of the name agrees, and there is no other.
    OneNameWord,
    /// Same given name, another family name.
    OtherFamilyName,
    /// Names agree in part only.
    NamesPartly,
    /// No name on one side.
    NameMissing,
    /// Another given name in one family.
    OtherGivenName,
    /// Nothing in common between the names.
    DifferentNames,
    /// Same birthday.
    SameBirthday,
    /// Birthdays that differ by a likely slip.
    BirthdayTypo,
    /// Different birthdays.
    DifferentBirthday,
    /// One is Junior, the other Senior, or the like.
    DifferentSuffix,
    /// Only one is Junior, Senior or the like.
    SuffixOnOneSide,
    /// Same company.
    SameCompany,
    /// Same city.
    SameCity,
    /// All words of one name are in the other, but not at its beginning.
    NamesContained,
}

impl Reason {
    /// All of them, in order.
    pub const ALL: [Self; 29] = [
        Self::SameEmail,
        Self::SharedEmail,
        Self::SameMailboxName,
        Self::SamePhone,
        Self::SamePhoneVariant,
        Self::SharedPhone,
        Self::SamePhoneTail,
        Self::PhoneTypo,
        Self::NamesSame,
        Self::NamesSwapped,
        Self::NamesShortened,
        Self::NamesAlike,
        Self::Nickname,
        Self::Initials,
        Self::GivenNameTypo,
        Self::OneNameWord,
        Self::OtherFamilyName,
        Self::NamesPartly,
        Self::NameMissing,
        Self::OtherGivenName,
        Self::DifferentNames,
        Self::SameBirthday,
        Self::BirthdayTypo,
        Self::DifferentBirthday,
        Self::DifferentSuffix,
        Self::SuffixOnOneSide,
        Self::SameCompany,
        Self::SameCity,
        Self::NamesContained,
    ];

    /// Code (stable), sentence, points in thousandths, and whether it forbids a merge without asking.
    const fn row(self) -> (&'static str, &'static str, i16, bool) {
        match self {
            Self::SameEmail => ("same_email", "Both have the same e-mail address.", 450, false),
            Self::SharedEmail => ("shared_email", "Both have an e-mail address that several people use.", 200, false),
            Self::SameMailboxName => {
                ("same_mailbox_name", "The part before the @ is the same at two providers.", 250, false)
            }
            Self::SamePhone => ("same_phone", "Both have the same phone number.", 450, false),
            Self::SamePhoneVariant => (
                "same_phone_variant",
                "Both have the same phone number, written in two ways of its country.",
                450,
                false,
            ),
            Self::SharedPhone => ("shared_phone", "Both have a phone number that several people use.", 200, false),
            Self::SamePhoneTail => {
                ("same_phone_tail", "The last seven digits of the phone numbers are the same.", 250, false)
            }
            Self::PhoneTypo => ("phone_typo", "The phone numbers differ by one digit.", 220, false),
            Self::NamesSame => ("names_same", "The names are the same.", 400, false),
            Self::NamesSwapped => ("names_swapped", "The names are the same in another order.", 400, false),
            Self::NamesShortened => ("names_shortened", "One name leaves out words of the other.", 400, false),
            Self::NamesAlike => ("names_alike", "The names sound or look alike.", 400, false),
            Self::Nickname => ("nickname", "One given name is a short form of the other.", 400, false),
            Self::Initials => ("initials", "The initials fit the name.", 300, false),
            Self::GivenNameTypo => {
                ("given_name_typo", "The given names differ by little: an error in typing, or two people.", 300, true)
            }
            Self::OneNameWord => ("one_name_word", "One has a single name only, and it fits.", 250, false),
            Self::OtherFamilyName => {
                ("other_family_name", "The given name is the same, the family name isn't.", 150, false)
            }
            Self::NamesPartly => ("names_partly", "The names agree in part only.", -50, true),
            Self::NameMissing => ("name_missing", "One has no name that could contradict.", 200, false),
            Self::OtherGivenName => {
                ("other_given_name", "The given names are different: perhaps one family.", -450, true)
            }
            Self::DifferentNames => ("different_names", "The names have nothing in common.", -450, true),
            Self::SameBirthday => ("same_birthday", "The birthday is the same.", 350, false),
            Self::BirthdayTypo => ("birthday_typo", "The birthdays differ by what may be a slip.", -50, false),
            Self::DifferentBirthday => ("different_birthday", "The birthdays are different.", -400, true),
            Self::DifferentSuffix => ("different_suffix", "One is Junior, the other Senior, or the like.", -500, true),
            Self::SuffixOnOneSide => {
                ("suffix_on_one_side", "Only one is called Junior, Senior or the like.", -150, true)
            }
            Self::SameCompany => ("same_company", "The company is the same.", 200, false),
            Self::SameCity => ("same_city", "The city is the same.", 50, false),
            Self::NamesContained => {
                ("names_contained", "All words of one name are in the other, but not at its beginning.", 250, true)
            }
        }
    }

    /// Stable code, for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// A sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        self.row().1
    }

    /// What it adds to the score, in thousandths; negative speaks against.
    #[must_use]
    pub const fn points(self) -> i16 {
        self.row().2
    }

    /// True when no merge may be made without asking, whatever else agrees.
    #[must_use]
    pub const fn forbids_automatic(self) -> bool {
        self.row().3
    }
}

/// A set of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Reasons(u32);

impl Reasons {
    /// Adds one.
    pub(super) fn add(&mut self, reason: Reason) {
        self.0 |= 1 << reason as u8;
    }

    /// True when it is among them.
    #[must_use]
    pub const fn has(self, reason: Reason) -> bool {
        self.0 & (1 << reason as u8) != 0
    }

    /// Each, in the order of [`Reason::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter().filter(move |r| self.has(*r))
    }

    /// Their stable codes.
    #[must_use]
    pub fn codes(self) -> Vec<&'static str> {
        self.iter().map(Reason::code).collect()
    }

    /// The set as a number, for keeping it: bit n is the n-th of [`Reason::ALL`], to which reasons are only added at the end.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set from its number; bits that mean nothing here are dropped.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & ((1 << Reason::ALL.len()) - 1))
    }
}
