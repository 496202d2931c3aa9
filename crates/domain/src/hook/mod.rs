//! Subscriptions to events: who wants to hear of what, under which secret, and how the subscription fares.
//! Must not touch: how events are pushed and kept; chance (bytes of a secret are passed in).

pub mod example;
pub mod payload;
pub mod signature;

pub use signature::Secret;

use crate::Millis;
use crate::event::{Event, EventCursor, EventKind};
use crate::ids::{EventId, HookId, NumberId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest address of a target, characters.
pub const MAX_TARGET: usize = 2048;
/// Most words of one subscription.
const MAX_WORDS: usize = 64;

/// What is wrong with a wish for a subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHook {
    /// No events were named, or too many.
    #[error("events: name 1 to {MAX_WORDS}, such as message.received, message.* or *")]
    Events,
    /// Nothing is called so.
    #[error("events: nothing that happens is called {0:?}; docs/api.md lists the kinds of events")]
    UnknownEvent(String),
    /// The address isn't one that can be pushed to.
    #[error("target_url: {0}")]
    Target(&'static str),
}

/// The events that a subscription wants: exact kinds (`message.received`), families (`message.*`), all (`*`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Selection(Vec<String>);

impl Selection {
    /// Reads the words of a wish. Each must mean at least one kind of event that this version knows.
    ///
    /// # Errors
    /// When there are no words, too many, or one means nothing.
    pub fn new(words: Vec<String>) -> Result<Self, BadHook> {
        if words.is_empty() || words.len() > MAX_WORDS {
            return Err(BadHook::Events);
        }
        if let Some(word) = words.iter().find(|word| !EventKind::ALL.iter().any(|kind| means(word, kind.as_str()))) {
            return Err(BadHook::UnknownEvent(word.chars().take(80).collect()));
        }
        Ok(Self(words))
    }

    /// The words as they were stored. A word that this version doesn't know means nothing to it and is kept.
    #[must_use]
    pub const fn stored(words: Vec<String>) -> Self {
        Self(words)
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// Whether an event of this kind is wanted.
    #[must_use]
    pub fn wants(&self, kind: &str) -> bool {
        self.0.iter().any(|word| means(word, kind))
    }
}

/// Whether a word of a selection means this kind.
fn means(word: &str, kind: &str) -> bool {
    match word.strip_suffix('*') {
        Some("") => true,
        Some(family) => family.ends_with('.') && kind.starts_with(family),
        None => word == kind,
    }
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A person wrote.
    Inbound,
    /// The business wrote.
    Outbound,
}

/// Narrows a selection. An event without a number, or without a direction, passes: there is nothing to tell it apart by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only events of this number (`phone_number_id`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<NumberId>,
    /// Only events of messages in this direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
}

impl Filter {
    /// Whether an event of this kind and number passes.
    #[must_use]
    pub fn passes(&self, kind: &str, number: Option<&NumberId>) -> bool {
        let here = self.number.as_ref().zip(number).is_none_or(|(wanted, number)| wanted == number);
        let going = EventKind::parse(kind).and_then(direction);
        here && self.direction.zip(going).is_none_or(|(wanted, going)| wanted == going)
    }
}

/// The direction of the message that an event of this kind is about. An imported message may have either.
#[must_use]
pub const fn direction(kind: EventKind) -> Option<Direction> {
    match kind {
        EventKind::MessageReceived
        | EventKind::MessageEdited
        | EventKind::MessageWithdrawn
        | EventKind::ReactionChanged
        | EventKind::MediaStored => Some(Direction::Inbound),
        EventKind::MessageEchoed
        | EventKind::MessageQueued
        | EventKind::MessageRefused
        | EventKind::MessageAccepted
        | EventKind::MessageUnknown
        | EventKind::MessageRetrying
        | EventKind::MessageDead
        | EventKind::MessageStatus => Some(Direction::Outbound),
        _ => None,
    }
}

/// Whether events are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookState {
    /// Events are pushed.
    Active,
    /// Somebody paused it: events gather and are pushed in order once it is resumed.
    Paused,
    /// Its target took nothing for days: events are no longer gathered.
    Disabled,
    /// Gone for everybody; what it left is being removed.
    Removed,
}

impl HookState {
    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
        }
    }

    /// Reads the stored text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Paused, Self::Disabled, Self::Removed].into_iter().find(|s| s.as_str() == text)
    }
}

/// The secrets of a subscription. While one is rotated both sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The newest.
    pub current: Secret,
    /// The one before, and until when it signs too.
    pub previous: Option<(Secret, Millis)>,
}

impl Secrets {
    /// Those that sign now, the newest first.
    pub fn at(&self, now: Millis) -> impl Iterator<Item = &Secret> {
        let previous = self.previous.iter().filter(move |(_, until)| *until > now).map(|(secret, _)| secret);
        std::iter::once(&self.current).chain(previous)
    }
}

/// A subscription. Its JSON form is shown to its owner and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// Its id.
    pub id: HookId,
    /// Where events are posted.
    pub target_url: String,
    /// Which events.
    pub events: Selection,
    /// Narrower than that.
    pub filter: Filter,
    /// Whether events are pushed.
    pub state: HookState,
    /// Why it is in that state, a sentence.
    pub reason: Option<String>,
    /// Who made it: `api:KEY`, `cli`.
    pub created_by: String,
    /// When.
    pub created_at: Millis,
    /// When somebody changed it, or its state changed.
    pub changed_at: Millis,
    /// Failed calls since one was taken.
    pub failures: i64,
    /// Since when its target has taken nothing.
    pub failing_since: Option<Millis>,
    /// When its target last took something.
    pub delivered_at: Option<Millis>,
    /// Nothing is tried before this time, for its target asked to wait or fails.
    pub hold_until: Millis,
    /// Calls made.
    pub attempts: i64,
    /// It hears of events after this.
    #[serde(skip)]
    pub start: EventCursor,
    /// What signs.
    #[serde(skip)]
    pub secrets: Secrets,
}

impl Hook {
    /// Whether this subscription is about such an event, whenever it happened.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        self.events.wants(&event.kind) && self.filter.passes(&event.kind, event.number.as_ref())
    }

    /// The scope of its lanes.
    #[must_use]
    pub fn scope(&self) -> String {
        self.id.to_string()
    }
}

/// Looks at the form of a target's address. Whether it may be reached is for the door out to say.
///
/// # Errors
/// What is wrong with it.
pub fn check_target(url: &str) -> Result<(), BadHook> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return Err(BadHook::Target("it must begin with https:// or http://")) };
    if url.chars().count() > MAX_TARGET {
        return Err(BadHook::Target("it is longer than 2,048 characters"));
    }
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(BadHook::Target("it holds spaces or control characters"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Err(BadHook::Target("it names no host"));
    }
    if authority.contains('@') {
        return Err(BadHook::Target("a user name or password in it is not supported: verify the signature instead"));
    }
    Ok(())
}

/// A call to a target, as it is remembered for its owner. Nothing of what the target said is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Grows with every call of the subscription.
    pub number: i64,
    /// What was pushed: `webhook-id`.
    pub event: EventId,
    /// Its kind.
    pub kind: String,
    /// When the call ended.
    pub at: Millis,
    /// 1 for the first call about this event in its lane.
    pub attempt: i64,
    /// HTTP status of the answer, when there was one.
    pub status: Option<i64>,
    /// How long the call took, milliseconds.
    pub duration_ms: Millis,
    /// Why it wasn't taken, one word (`timeout`, `http_500`, `egress_refused`); nothing when it was.
    pub error: Option<String>,
}

/// How long a target asks us to wait: `Retry-After` in seconds or as a date (RFC 9110, 10.2.3). Milliseconds from `now`.
#[must_use]
pub fn retry_after_ms(value: &str, now: Millis) -> Option<Millis> {
    if let Ok(seconds) = value.trim().parse::<u32>() {
        return Some(i64::from(seconds) * crate::SECOND);
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    Some(at.as_millisecond().saturating_sub(now).max(0))
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

#[cfg(test)]
mod tests;
