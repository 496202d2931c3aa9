//! # Mapping
//! Purpose: which of our fields belongs to which field of a CRM's contacts, in which direction, and who is right when both sides
//! changed: rules as data, checked against the CRM's own schema; one function that lets the two sides meet ([`meet`]) and one that
//! tells what the CRM hasn't heard yet ([`Mapping::news`]).
//! May touch: values.
//! Must not touch: any CRM, how people are stored, the clock.
//! Invariants: both sides remember what they last agreed on ([`Base`]). What equals it is no change, so that nothing that we wrote
//! ever comes back as news. A value that doesn't fit is left out with its reason, never guessed and never cut off.
//! Failure story: none.

mod agree;
mod check;
mod codec;
mod defaults;
mod facts;
mod meet;
pub mod pull;
mod transform;
pub mod trigger;

pub use agree::{Base, Settled, settle};
pub use check::{Finding, Level};
pub use codec::{Codec, Reason};
pub use defaults::{own_fields, rules as defaults};
pub use facts::{Facts, Item, Say};
pub use meet::{Given, Meeting, Met, Skip, Spoken, meet};
pub use transform::Template;

use crate::crm::{CrmField, CrmKind};
use crate::fields::{Fields, Kind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which way a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Both ways.
    Both,
    /// Only into the CRM: what is changed there is written over when we change it.
    ToCrm,
    /// Only from the CRM: what is changed here is written over when the CRM tells of the record.
    FromCrm,
}

/// Who is right when both sides changed since they last agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflict {
    /// The CRM.
    CrmWins,
    /// We.
    PonteWins,
    /// Who changed it last; of the CRM only the time of the whole record is known.
    Newest,
    /// Both: lists are joined, texts put one after the other, a yes stays a yes.
    Append,
}

/// One field of ours and its fellow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Ours.
    pub item: Item,
    /// Theirs; two for a name that the CRM keeps in two parts.
    pub theirs: Vec<String>,
    /// Which way.
    pub direction: Direction,
    /// Who is right.
    pub conflict: Conflict,
    /// How values are written there.
    pub codec: Codec,
    /// Our value to theirs, where they have other words: `true` to `Opted in`.
    pub values: BTreeMap<String, String>,
    /// Makes our value from theirs.
    pub pull: Option<Template>,
    /// Makes their value from ours.
    pub push: Option<Template>,
    /// Consent only: where opt-ins in the CRM come from, so that they may count as old consent. Without it they don't.
    pub stated_source: Option<String>,
    /// Part of the defaults: left out without a word where the CRM doesn't have the field.
    pub by_default: bool,
}

impl Rule {
    /// A rule that goes both ways, newest first, values as the CRM's kind wants them.
    #[must_use]
    pub fn new(item: Item, theirs: &str) -> Self {
        Self {
            item,
            theirs: vec![theirs.to_owned()],
            direction: Direction::Both,
            conflict: Conflict::Newest,
            codec: Codec::Auto,
            values: BTreeMap::new(),
            pull: None,
            push: None,
            stated_source: None,
            by_default: false,
        }
    }

    fn reads(&self) -> bool {
        self.direction != Direction::ToCrm
    }

    fn writes(&self) -> bool {
        self.direction != Direction::FromCrm
    }
}

/// The rules of a connection, with what they need of the CRM's schema.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    rules: Vec<Rule>,
    schema: BTreeMap<String, CrmField>,
    /// Items whose values are compared element by element: lists here or there.
    lists: BTreeSet<Item>,
}

impl Mapping {
    /// Rules that hold on this schema. What [`Mapping::check`] would find as an error is left out, so that one bad rule doesn't
    /// stop the others.
    #[must_use]
    pub fn new(rules: Vec<Rule>, schema: &[CrmField], fields: &Fields) -> Self {
        let bad: Vec<usize> = check::findings(&rules, schema, fields)
            .into_iter()
            .filter(|f| f.level != Level::Notice)
            .map(|f| f.rule)
            .collect();
        let rules: Vec<Rule> =
            rules.into_iter().enumerate().filter(|(n, _)| !bad.contains(n)).map(|(_, rule)| rule).collect();
        let named = |f: &&CrmField| rules.iter().any(|r| r.theirs.contains(&f.name));
        let schema: BTreeMap<String, CrmField> =
            schema.iter().filter(named).map(|f| (f.name.clone(), f.clone())).collect();
        let many =
            |name: &String| schema.get(name).is_some_and(|f| matches!(f.kind, CrmKind::MultiChoice | CrmKind::Tags));
        let is_list = |r: &&Rule| r.item.kind(fields) == Kind::MultiChoice || r.theirs.iter().any(many);
        let lists = rules.iter().filter(is_list).map(|r| r.item.clone()).collect();
        Self { rules, schema, lists }
    }

    /// Everything that is wrong or worth knowing, at once.
    #[must_use]
    pub fn check(rules: &[Rule], schema: &[CrmField], fields: &Fields) -> Vec<Finding> {
        check::findings(rules, schema, fields)
    }

    /// The rules that hold.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Names of the CRM's fields that are read, each once.
    #[must_use]
    pub fn read_fields(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.rules.iter().filter(|r| r.reads() || r.writes()).flat_map(|r| r.theirs.clone()).collect();
        names.extend(self.rules.iter().filter_map(|r| r.pull.as_ref()).flat_map(|t| t.names(&self.schema)));
        names.sort_unstable();
        names.dedup();
        names
    }

    /// True when a consent of people is read or written.
    #[must_use]
    pub fn has_consent(&self) -> bool {
        self.rules.iter().any(|r| r.item.is_consent())
    }

    /// What the CRM hasn't heard of a person yet, by what was last agreed; nothing is read.
    #[must_use]
    pub fn news(&self, facts: &Facts, base: &Base) -> Given {
        meet::news(self, facts, base)
    }

    fn is_list(&self, item: &Item) -> bool {
        self.lists.contains(item)
    }

    fn field(&self, name: &str) -> Option<&CrmField> {
        self.schema.get(name)
    }
}
