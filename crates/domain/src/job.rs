//! Jobs and lanes: what happens later, first in first out within a lane, lanes chosen by priority.

use crate::Millis;
use crate::error::CallError;
use crate::ids::{DeadLetterId, MessageId};
use serde::{Deserialize, Serialize};

/// What a job does. One mechanism for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Send a message; lane: number, person and class.
    Send,
    /// Fetch a file; lane: the file.
    Media,
    /// Write to a CRM; lane: connection and person.
    Crm,
    /// Look into what a CRM told of; lane: connection and record.
    Notice,
    /// Ask the send gate for a message that a CRM's event wants; lane: person.
    Trigger,
    /// Push an event to a subscriber; lane: subscription and person.
    Hook,
}

impl JobKind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Send, Self::Media, Self::Crm, Self::Notice, Self::Trigger, Self::Hook];

    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Media => "media",
            Self::Crm => "crm",
            Self::Notice => "notice",
            Self::Trigger => "trigger",
            Self::Hook => "hook",
        }
    }

    /// Reads the stored text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

/// Priority class of a message: which lane goes first, never the order within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// An answer to a person who waits.
    Reply,
    /// An order, an appointment, a code.
    Transactional,
    /// A campaign.
    Marketing,
}

impl Class {
    /// All of them, most urgent first.
    pub const ALL: [Self; 3] = [Self::Reply, Self::Transactional, Self::Marketing];

    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Transactional => "transactional",
            Self::Marketing => "marketing",
        }
    }

    /// Reads the stored text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == text)
    }

    /// The lane priority: 0 goes first.
    #[must_use]
    pub const fn priority(self) -> i64 {
        match self {
            Self::Reply => 0,
            Self::Transactional => 1,
            Self::Marketing => 2,
        }
    }
}

/// A job to be put at the end of its lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// What it does.
    pub kind: JobKind,
    /// Lane within the kind.
    pub lane: String,
    /// What shares a budget: the number, the CRM connection.
    pub scope: String,
    /// Lane priority, 0 first.
    pub priority: i64,
    /// Not before this time.
    pub not_before: Millis,
    /// What the worker needs, JSON. No personal data.
    pub payload: String,
    /// When set, a job of the same lane and key that still waits makes this one unnecessary.
    pub dedup: Option<String>,
}

/// A lane that is leased to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// What its jobs do.
    pub kind: JobKind,
    /// Lane within the kind.
    pub key: String,
    /// Fencing number: settling with an old one is refused.
    pub fence: i64,
}

/// A job at the head of a leased lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Place in the lane.
    pub seq: i64,
    /// What the worker needs, JSON.
    pub payload: String,
    /// Failures so far.
    pub failures: u32,
    /// A worker began it before and never settled it: the outcome is unknown.
    pub begun: bool,
    /// When it was begun last.
    pub begun_at: Option<Millis>,
    /// When it was filed.
    pub created_at: Millis,
}

/// A leased lane and the jobs at its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedLane {
    /// The lane.
    pub lane: Lane,
    /// In order; at least one.
    pub jobs: Vec<Job>,
}

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// Done: removed.
    Done,
    /// Not begun after all: back as it was, ready at this time.
    PutBack(Millis),
    /// Failed: tried again at this time.
    Retry(Millis, CallError),
    /// Given up: kept as a dead letter.
    Dead(CallError),
}

/// A job that was given up and waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Its id.
    pub id: DeadLetterId,
    /// What it was to do.
    pub kind: JobKind,
    /// Its lane.
    pub lane: String,
    /// What shares its budget.
    pub scope: String,
    /// What the worker needed, JSON.
    pub payload: String,
    /// The message it was about, where it was about one.
    pub message: Option<MessageId>,
    /// Failures until it was given up.
    pub failures: u32,
    /// Why it was given up.
    pub error: CallError,
    /// When it was filed first.
    pub created_at: Millis,
    /// When it was given up.
    pub died_at: Millis,
    /// When a person should have looked at it: 24 hours later (R17).
    pub due_at: Millis,
}

/// What put an end to a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LetterEnd {
    /// Put back to work.
    Retried,
    /// Somebody let it go.
    Discarded,
    /// It turned out to have been done: a late status.
    Settled,
}

impl LetterEnd {
    /// The stored text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retried => "retried",
            Self::Discarded => "discarded",
            Self::Settled => "settled",
        }
    }

    /// Reads the stored text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Retried, Self::Discarded, Self::Settled].into_iter().find(|end| end.as_str() == text)
    }
}

/// A dead letter that waits for nobody any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndedLetter {
    /// What it was.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// When it ended.
    pub ended_at: Millis,
    /// How.
    pub how: LetterEnd,
}
