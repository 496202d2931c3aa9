//! What two sides agreed on last, and what comes of it when they meet again: the three-way comparison, for single values and for
//! lists.

use super::{Conflict, Direction, Item};
use crate::Millis;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// What both sides last agreed on, item by item, as hashes: enough to know a value again, nothing to read. A list has one hash an
/// element. An item that isn't here was never agreed on. Under `~` and the item stand values that were sent to the CRM and not heard of
/// since: should the CRM show one of them, it is our own word and no change of theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Base(pub BTreeMap<String, Vec<String>>);

impl Base {
    /// What was agreed on for an item.
    #[must_use]
    pub fn of(&self, item: &Item) -> Option<&[String]> {
        self.0.get(&item.to_string()).map(Vec::as_slice)
    }

    /// Both sides have this value now.
    pub fn agree(&mut self, item: &Item, value: Option<&str>, list: bool) {
        self.0.remove(&sent_key(item));
        self.0.insert(item.to_string(), marks(value, list));
    }

    /// This value is about to be sent; whether it arrives isn't known yet.
    pub fn sending(&mut self, item: &Item, value: Option<&str>, list: bool) {
        let sent = self.0.entry(sent_key(item)).or_default();
        let mark = whole_mark(value, list);
        if !sent.contains(&mark) {
            sent.push(mark);
        }
        let many = sent.len().saturating_sub(SENT);
        sent.drain(..many);
    }

    /// True when this value was sent and not heard of since.
    #[must_use]
    pub fn was_sent(&self, item: &Item, value: Option<&str>, list: bool) -> bool {
        self.0.get(&sent_key(item)).is_some_and(|sent| sent.contains(&whole_mark(value, list)))
    }

    /// True when this value is what was agreed on.
    #[must_use]
    pub fn is(&self, item: &Item, value: Option<&str>, list: bool) -> bool {
        self.of(item).is_some_and(|known| known == marks(value, list).as_slice())
    }
}

/// Sent values that are remembered of one item.
const SENT: usize = 8;

fn sent_key(item: &Item) -> String {
    format!("~{item}")
}

/// One hash for a value as a whole, nothing included.
fn whole_mark(value: Option<&str>, list: bool) -> String {
    match value {
        None => mark("\0"),
        Some(_) if list => mark(&marks(value, true).join(";")),
        Some(value) => mark(value),
    }
}

fn marks(value: Option<&str>, list: bool) -> Vec<String> {
    if !list {
        return value.map(mark).into_iter().collect();
    }
    let mut marks: Vec<String> = elements(value).into_iter().map(mark).collect();
    marks.sort_unstable();
    marks
}

/// Eight bytes of a hash: of a billion values two are alike with a chance of a few per cent, of one person's two never in practice.
fn mark(value: &str) -> String {
    let hash = Sha256::digest(value.as_bytes());
    hex::encode(hash.get(..8).unwrap_or_default())
}

fn elements(value: Option<&str>) -> BTreeSet<&str> {
    value.unwrap_or_default().split(';').map(str::trim).filter(|e| !e.is_empty()).collect()
}

/// What has to be done so that both sides agree. Each part: the new value, `Some(None)` to take it away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// What changes with us.
    pub here: Option<Option<String>>,
    /// What changes in the CRM.
    pub there: Option<Option<String>>,
}

/// One side's value and when it was said.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Canonical text.
    pub value: Option<&'a str>,
    /// When, if that is known.
    pub at: Option<Millis>,
}

/// How an item is to be settled.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Which way it goes.
    pub direction: Direction,
    /// Who is right.
    pub conflict: Conflict,
    /// It is a list.
    pub list: bool,
    /// It is a yes or nothing.
    pub flag: bool,
}

/// Lets two values meet. `agreed`: what [`Base::of`] says.
#[must_use]
pub fn settle(how: How, agreed: Option<&[String]>, here: Side<'_>, there: Side<'_>) -> Settled {
    if how.list {
        return lists(how, agreed, here, there);
    }
    if here.value == there.value {
        return Settled::default();
    }
    let is_agreed = |value: Option<&str>| agreed.is_some_and(|known| known == marks(value, false).as_slice());
    // What was never agreed on and is empty on one side is no decision to leave it empty.
    let silent = |value: Option<&str>| agreed.is_none() && value.is_none();
    let take = || Settled { here: Some(there.value.map(str::to_owned)), there: None };
    let give = || Settled { here: None, there: Some(here.value.map(str::to_owned)) };
    match how.direction {
        Direction::ToCrm if silent(here.value) => Settled::default(),
        Direction::ToCrm => give(),
        Direction::FromCrm if silent(there.value) => Settled::default(),
        Direction::FromCrm => take(),
        Direction::Both if silent(here.value) || is_agreed(here.value) => take(),
        Direction::Both if silent(there.value) || is_agreed(there.value) => give(),
        Direction::Both => match how.conflict {
            Conflict::CrmWins => take(),
            Conflict::PonteWins => give(),
            // Of two that don't know when, the CRM's is believed: its people look at it.
            Conflict::Newest if here.at > there.at => give(),
            Conflict::Newest => take(),
            Conflict::Append => joined(how, here.value, there.value),
        },
    }
}

fn joined(how: How, here: Option<&str>, there: Option<&str>) -> Settled {
    let (Some(ours), Some(theirs)) = (here, there) else {
        let both = here.or(there).map(str::to_owned);
        return differing(both, here, there);
    };
    if how.flag {
        return differing(Some("true".to_owned()), here, there);
    }
    let both = if ours.contains(theirs) {
        ours.to_owned()
    } else if theirs.contains(ours) {
        theirs.to_owned()
    } else {
        format!("{theirs}\n{ours}")
    };
    differing(Some(both), here, there)
}

fn differing(both: Option<String>, here: Option<&str>, there: Option<&str>) -> Settled {
    let change = |side: Option<&str>| (side != both.as_deref()).then(|| both.clone());
    Settled { here: change(here), there: change(there) }
}

/// Element by element: what one side added comes to the other, what one side took away goes there too.
fn lists(how: How, agreed: Option<&[String]>, here: Side<'_>, there: Side<'_>) -> Settled {
    let (ours, theirs) = (elements(here.value), elements(there.value));
    if ours == theirs {
        return Settled::default();
    }
    let known = |element: &str| agreed.is_some_and(|known| known.contains(&mark(element)));
    let text = |set: &BTreeSet<&str>| (!set.is_empty()).then(|| set.iter().copied().collect::<Vec<_>>().join(";"));
    let both: BTreeSet<&str> = match how.direction {
        Direction::FromCrm => theirs.clone(),
        // What others put there stays there.
        Direction::ToCrm => {
            let gone = |e: &&str| !ours.contains(*e) && known(e);
            theirs.union(&ours).copied().filter(|e| !gone(e)).collect()
        }
        Direction::Both => {
            let taken_away =
                |e: &str| how.conflict != Conflict::Append && known(e) && (!ours.contains(e) || !theirs.contains(e));
            ours.union(&theirs).copied().filter(|e| !taken_away(e)).collect()
        }
    };
    Settled {
        here: (how.direction != Direction::ToCrm && both != ours).then(|| text(&both)),
        there: (how.direction != Direction::FromCrm && both != theirs).then(|| text(&both)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn how(direction: Direction, conflict: Conflict, list: bool) -> How {
        How { direction, conflict, list, flag: false }
    }

    fn side(value: Option<&str>) -> Side<'_> {
        Side { value, at: None }
    }

    fn direction() -> impl Strategy<Value = Direction> {
        prop_oneof![Just(Direction::Both), Just(Direction::ToCrm), Just(Direction::FromCrm)]
    }

    fn conflict() -> impl Strategy<Value = Conflict> {
        prop_oneof![Just(Conflict::CrmWins), Just(Conflict::PonteWins), Just(Conflict::Newest), Just(Conflict::Append)]
    }

    #[test]
    fn the_side_that_changed_wins_and_of_two_the_rule_decides() {
        let both = |conflict| how(Direction::Both, conflict, false);
        let agreed = marks(Some("a"), false);
        let settled = |conflict, here, there| settle(both(conflict), Some(&agreed), side(here), side(there));
        let take = |v: &str| Settled { here: Some(Some(v.into())), there: None };
        let give = |v: &str| Settled { here: None, there: Some(Some(v.into())) };
        for conflict in [Conflict::CrmWins, Conflict::PonteWins, Conflict::Newest, Conflict::Append] {
            assert_eq!(settled(conflict, Some("a"), Some("b")), take("b"));
            assert_eq!(settled(conflict, Some("b"), Some("a")), give("b"));
            assert_eq!(settled(conflict, Some("a"), None), Settled { here: Some(None), there: None });
        }
        assert_eq!(settled(Conflict::CrmWins, Some("x"), Some("y")), take("y"));
        assert_eq!(settled(Conflict::PonteWins, Some("x"), Some("y")), give("x"));
        let text = Some(Some("y\nx".to_owned()));
        assert_eq!(settled(Conflict::Append, Some("x"), Some("y")), Settled { here: text.clone(), there: text });
        let newer = Side { value: Some("x"), at: Some(5) };
        assert_eq!(settle(both(Conflict::Newest), None, newer, Side { value: Some("y"), at: Some(4) }), give("x"));
        assert_eq!(settle(both(Conflict::Newest), None, newer, Side { value: Some("y"), at: Some(5) }), take("y"));
    }

    #[test]
    fn two_who_meet_for_the_first_time_fill_each_others_gaps() {
        let both = how(Direction::Both, Conflict::CrmWins, false);
        assert_eq!(settle(both, None, side(None), side(Some("b"))).here, Some(Some("b".into())));
        assert_eq!(settle(both, None, side(Some("a")), side(None)).there, Some(Some("a".into())));
    }

    #[test]
    fn what_was_taken_out_of_a_list_on_one_side_leaves_the_other() {
        let agreed = marks(Some("a;b;c"), true);
        let both = how(Direction::Both, Conflict::Newest, true);
        let settled = settle(both, Some(&agreed), side(Some("a;b;x")), side(Some("b;c;y")));
        let all = Some(Some("b;x;y".to_owned()));
        assert_eq!(settled, Settled { here: all.clone(), there: all });
        let add = how(Direction::Both, Conflict::Append, true);
        assert_eq!(settle(add, Some(&agreed), side(Some("a")), side(Some("b"))).here, Some(Some("a;b".into())));
    }

    #[test]
    fn a_list_that_only_goes_out_leaves_what_others_put_there() {
        let out = how(Direction::ToCrm, Conflict::Newest, true);
        let agreed = marks(Some("a;b"), true);
        let settled = settle(out, Some(&agreed), side(Some("b;c")), side(Some("a;b;theirs")));
        assert_eq!(settled, Settled { here: None, there: Some(Some("b;c;theirs".into())) });
    }

    fn value() -> impl Strategy<Value = Option<String>> {
        proptest::option::of(prop_oneof![Just("a"), Just("b"), Just("a;b"), Just("c")].prop_map(str::to_owned))
    }

    proptest! {
        #[test]
        fn after_a_meeting_there_is_nothing_left_to_do(
            direction in direction(), conflict in conflict(), list: bool, here in value(), there in value(),
            agreed in proptest::option::of(value()), times in (proptest::option::of(0i64..3), proptest::option::of(0i64..3)),
        ) {
            let how = how(direction, conflict, list);
            let agreed = agreed.map(|a| marks(a.as_deref(), list));
            let settled = settle(
                how,
                agreed.as_deref(),
                Side { value: here.as_deref(), at: times.0 },
                Side { value: there.as_deref(), at: times.1 },
            );
            let after_here = settled.here.clone().unwrap_or(here);
            let after_there = settled.there.clone().unwrap_or(there);
            let known = marks(after_here.as_deref(), list);
            let again = settle(how, Some(&known), side(after_here.as_deref()), side(after_there.as_deref()));
            if after_here == after_there {
                prop_assert_eq!(again, Settled::default());
            }
            match direction {
                Direction::ToCrm => prop_assert_eq!(settled.here, None),
                Direction::FromCrm => prop_assert_eq!(settled.there, None),
                Direction::Both => {
                    let set = |v: &Option<String>| elements(v.as_deref()).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
                    if list { prop_assert_eq!(set(&after_here), set(&after_there)); } else { prop_assert_eq!(after_here, after_there); }
                }
            }
        }

        #[test]
        fn what_we_wrote_is_no_news(direction in direction(), conflict in conflict(), list: bool, value in value()) {
            let mut base = Base::default();
            base.agree(&Item::Tags, value.as_deref(), list);
            prop_assert!(base.is(&Item::Tags, value.as_deref(), list));
            let same = settle(how(direction, conflict, list), base.of(&Item::Tags), side(value.as_deref()), side(value.as_deref()));
            prop_assert_eq!(same, Settled::default());
        }
    }
}
