//! What we know of a person, under the names that rules use.

use crate::Millis;
use crate::fields::{Fields, Kind, core_kind, is_key};
use crate::ids::PersonId;
use crate::profile::{Item as ProfileItem, Label, Profile, core};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Something of ours that a rule can name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// A field of the profile: `name`, `email`, any custom one.
    Field(String),
    /// `phone`: the number. From the CRM further numbers are added; none is ever taken away.
    Phone,
    /// `tags`: all of them.
    Tags,
    /// `label.refuses_marketing` and the like.
    Label(Label),
    /// `consent.marketing`: `true` while a confirmed opt-in stands, `false` after a withdrawal.
    Marketing,
    /// `consent.transactional`, likewise.
    Transactional,
    /// `consent.marketing_at`: since when it stands so.
    MarketingAt,
    /// `consent.marketing_source`: how it was said.
    MarketingSource,
    /// `person_id`: our id.
    PersonId,
    /// `wa_id`: WhatsApp's id.
    WaId,
    /// `user_id`: the business-scoped user id.
    UserId,
    /// `username`: the WhatsApp username.
    Username,
    /// `whatsapp_name`: the name in the person's WhatsApp profile.
    WhatsappName,
    /// `last_inbound_at`: when the person last wrote.
    LastInboundAt,
    /// `created_at`: since when we know the person.
    CreatedAt,
}

/// Items that aren't fields of the profile, by name.
const NAMED: [(&str, Item); 13] = [
    ("phone", Item::Phone),
    ("tags", Item::Tags),
    ("consent.marketing", Item::Marketing),
    ("consent.transactional", Item::Transactional),
    ("consent.marketing_at", Item::MarketingAt),
    ("consent.marketing_source", Item::MarketingSource),
    ("person_id", Item::PersonId),
    ("wa_id", Item::WaId),
    ("user_id", Item::UserId),
    ("username", Item::Username),
    ("whatsapp_name", Item::WhatsappName),
    ("last_inbound_at", Item::LastInboundAt),
    ("created_at", Item::CreatedAt),
];

impl FromStr for Item {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, item)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(item.clone());
        }
        if let Some(label) = text.strip_prefix("label.") {
            return Label::parse(label).map(Self::Label).ok_or_else(|| {
                let all: Vec<&str> = Label::ALL.iter().map(|l| l.as_str()).collect();
                format!("there is no label {label}; there are {}", all.join(", "))
            });
        }
        match is_key(text) {
            true => Ok(Self::Field(text.to_owned())),
            false => Err(format!("{text:?} is neither a field's key (a-z, 0-9, _) nor one of {}", names())),
        }
    }
}

fn names() -> String {
    NAMED.iter().map(|(name, _)| *name).chain(["label.NAME"]).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(key) => f.write_str(key),
            Self::Label(label) => write!(f, "label.{}", label.as_str()),
            other => f.write_str(NAMED.iter().find(|(_, item)| item == other).map_or("", |(name, _)| name)),
        }
    }
}

impl Serialize for Item {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Item {
    /// The CRM may say it.
    #[must_use]
    pub const fn can_be_pulled(&self) -> bool {
        matches!(
            self,
            Self::Field(_) | Self::Phone | Self::Tags | Self::Label(_) | Self::Marketing | Self::Transactional
        )
    }

    /// It is told with other news, not by itself.
    #[must_use]
    pub const fn goes_along(&self) -> bool {
        matches!(
            self,
            Self::PersonId
                | Self::WaId
                | Self::UserId
                | Self::Username
                | Self::WhatsappName
                | Self::LastInboundAt
                | Self::CreatedAt
        )
    }

    /// It is about consent.
    #[must_use]
    pub const fn is_consent(&self) -> bool {
        matches!(self, Self::Marketing | Self::Transactional | Self::MarketingAt | Self::MarketingSource)
    }

    /// The type of its values.
    #[must_use]
    pub fn kind(&self, fields: &Fields) -> Kind {
        match self {
            Self::Field(key) => fields.get(key).map(|d| d.kind).or_else(|| core_kind(key)).unwrap_or(Kind::Text),
            Self::Phone => Kind::Phone,
            Self::Tags => Kind::MultiChoice,
            Self::Label(_) | Self::Marketing | Self::Transactional => Kind::Boolean,
            Self::MarketingAt | Self::LastInboundAt | Self::CreatedAt => Kind::Moment,
            _ => Kind::Text,
        }
    }
}

/// What stands of a consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    /// A confirmed opt-in stands; otherwise a withdrawal.
    pub granted: bool,
    /// Since when.
    pub at: Millis,
    /// How it was said.
    pub source: String,
}

/// What we know of a person.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Who.
    pub person: PersonId,
    /// Fields, tags, labels.
    pub profile: Profile,
    /// Name in the WhatsApp profile.
    pub whatsapp_name: Option<String>,
    /// E.164 digits, the main one first, WhatsApp ids among them.
    pub phones: Vec<String>,
    /// WhatsApp id.
    pub wa_id: Option<String>,
    /// Business-scoped user id.
    pub user_id: Option<String>,
    /// Username.
    pub username: Option<String>,
    /// When they last wrote.
    pub last_inbound_at: Option<Millis>,
    /// Since when we know them.
    pub created_at: Millis,
    /// Consent for marketing, if anything was said.
    pub marketing: Option<Say>,
    /// Consent for transactional messages, if anything was said.
    pub transactional: Option<Say>,
}

/// A value of ours and when it was said, where that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Canonical text; lists with `;` between, sorted. `None`: nothing.
    pub value: Option<String>,
    pub at: Option<Millis>,
}

impl Facts {
    /// Somebody of whom nothing is known but the number.
    #[must_use]
    pub fn newcomer(person: PersonId, digits: &str, now: Millis) -> Self {
        Self {
            person,
            profile: Profile::default(),
            whatsapp_name: None,
            phones: vec![digits.to_owned()],
            wa_id: None,
            user_id: None,
            username: None,
            last_inbound_at: None,
            created_at: now,
            marketing: None,
            transactional: None,
        }
    }

    /// What we say of an item.
    pub(super) fn said(&self, item: &Item) -> Said {
        let plain = |value: Option<String>| Said { value, at: None };
        match item {
            Item::Field(key) => match self.profile.fields.get(key) {
                Some(field) => Said { value: Some(field.value.clone()), at: Some(field.at) },
                // Until somebody says a name, the person's own word for themselves is it.
                None if key == core::NAME => plain(self.whatsapp_name.clone()),
                None => Said { value: None, at: self.decided(&ProfileItem::Field(key.clone())) },
            },
            Item::Phone => plain(self.phones.first().map(|digits| format!("+{digits}"))),
            Item::Tags => {
                let tags: Vec<&str> = self.profile.tags.iter().map(String::as_str).collect();
                let at = |(item, decided): (&ProfileItem, &crate::profile::Decided)| {
                    matches!(item, ProfileItem::Tag(_)).then_some(decided.at)
                };
                Said {
                    value: (!tags.is_empty()).then(|| tags.join(";")),
                    at: self.profile.decided.iter().filter_map(at).max(),
                }
            }
            Item::Label(label) => Said {
                value: self.profile.labels.contains(label).then(|| "true".to_owned()),
                at: self.decided(&ProfileItem::Label(*label)),
            },
            Item::Marketing => consent(self.marketing.as_ref()),
            Item::Transactional => consent(self.transactional.as_ref()),
            Item::MarketingAt => plain(self.marketing.as_ref().and_then(|say| moment(say.at))),
            Item::MarketingSource => plain(self.marketing.as_ref().map(|say| say.source.clone())),
            Item::PersonId => plain(Some(self.person.to_string())),
            Item::WaId => plain(self.wa_id.clone()),
            Item::UserId => plain(self.user_id.clone()),
            Item::Username => plain(self.username.clone()),
            Item::WhatsappName => plain(self.whatsapp_name.clone()),
            Item::LastInboundAt => plain(self.last_inbound_at.and_then(moment)),
            Item::CreatedAt => plain(moment(self.created_at)),
        }
    }

    fn decided(&self, item: &ProfileItem) -> Option<Millis> {
        self.profile.decided.get(item).map(|d| d.at)
    }
}

fn consent(say: Option<&Say>) -> Said {
    Said { value: say.map(|say| say.granted.to_string()), at: say.map(|say| say.at) }
}

/// `2026-01-31T08:00:00Z`, as fields of the kind moment are kept.
fn moment(at: Millis) -> Option<String> {
    Timestamp::from_second(at.div_euclid(1_000)).ok().map(|t| t.to_string())
}
