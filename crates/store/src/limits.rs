//! What a claim takes besides the number's own rate: the pace to one person, and the portfolio's people a day.
//! Must not touch: jobs and messages. It only says whether one may go now, and when else.

use crate::conn::{Conn, vals};
use ponte_domain::error::StoreError;
use ponte_domain::ids::PersonId;
use ponte_domain::ports::store::{OutMessage, SendClaim, SendLimits, SendTask, SendWhat};
use ponte_domain::rate::Limit;
use ponte_domain::{DAY, MINUTE, Millis, window};
use std::collections::{BTreeSet, HashMap};

/// The pair limiters of the people of one claim.
pub(crate) struct Pairs(HashMap<PersonId, (i64, bool)>);

impl Pairs {
    pub(crate) async fn read(c: &mut Conn, claim: &SendClaim, tasks: &[SendTask]) -> Result<Self, StoreError> {
        let people: BTreeSet<PersonId> = tasks
            .iter()
            .filter_map(|t| match &t.what {
                SendWhat::Message(m) => Some(m.head.person),
                _ => None,
            })
            .collect();
        let keys = people.iter().map(|p| vals![pair_key(claim, *p)]).collect();
        let rows: Vec<(String, i64)> = c
            .select_in(
                "SELECT key, tat FROM limiter WHERE workspace_id = $1 AND ",
                &["key"],
                "",
                vals![claim.workspace.0],
                keys,
            )
            .await?;
        let known: HashMap<String, i64> = rows.into_iter().collect();
        Ok(Self(
            people.into_iter().map(|p| (p, (known.get(&pair_key(claim, p)).copied().unwrap_or(0), false))).collect(),
        ))
    }

    pub(crate) fn take(&mut self, limit: &Limit, person: PersonId, now: Millis) -> Option<Millis> {
        let (tat, changed) = self.0.get_mut(&person)?;
        let taken = limit.take(*tat, now, 1);
        if taken.granted == 0 {
            return Some(taken.next_at.max(now + 1));
        }
        *tat = taken.tat;
        *changed = true;
        None
    }

    pub(crate) async fn keep(self, c: &mut Conn, claim: &SendClaim) -> Result<(), StoreError> {
        let rows = self
            .0
            .into_iter()
            .filter(|(_, (_, changed))| *changed)
            .map(|(person, (tat, _))| vals![claim.workspace.0, pair_key(claim, person), tat])
            .collect();
        c.insert_many(
            "INSERT INTO limiter (workspace_id, key, tat)",
            "ON CONFLICT (workspace_id, key) DO UPDATE SET tat = excluded.tat",
            rows,
        )
        .await?;
        Ok(())
    }
}

fn pair_key(claim: &SendClaim, person: PersonId) -> String {
    format!("pair/{}/{}", claim.number, person.0.simple())
}

/// The portfolio's people of the last 24 hours. Counted in slices of ten minutes, the oldest slice wholly: never too low.
pub(crate) struct People {
    room: Option<i64>,
}

const SLICE: Millis = 10 * MINUTE;

impl People {
    pub(crate) async fn read(c: &mut Conn, claim: &SendClaim) -> Result<Self, StoreError> {
        let SendLimits { portfolio, portfolio_per_day, .. } = &claim.limits;
        let Some(limit) = portfolio_per_day else { return Ok(Self { room: None }) };
        let row: Option<(Option<i64>,)> = c
            .first(
                "SELECT CAST(SUM(people) AS BIGINT) FROM portfolio_count WHERE workspace_id = $1 AND portfolio = $2 AND slice >= $3",
                vals![claim.workspace.0, portfolio.as_str(), (claim.now - DAY) / SLICE],
            )
            .await?;
        Ok(Self { room: Some(limit - row.and_then(|(n,)| n).unwrap_or(0)) })
    }

    /// `None` when the message may go; else when to look again.
    pub(crate) async fn take(
        &mut self,
        c: &mut Conn,
        claim: &SendClaim,
        m: &OutMessage,
    ) -> Result<Option<Millis>, StoreError> {
        let Some(room) = &mut self.room else { return Ok(None) };
        if window::is_open(m.last_inbound_at.map(window::closes_at), claim.now) {
            return Ok(None);
        }
        let portfolio = claim.limits.portfolio.as_str();
        let key = vals![claim.workspace.0, portfolio, m.head.person.0];
        let known: Option<(i64,)> = c
            .first("SELECT at FROM portfolio_person WHERE workspace_id = $1 AND portfolio = $2 AND person_id = $3", key)
            .await?;
        if known.is_some_and(|(at,)| at > claim.now - DAY) {
            return Ok(None);
        }
        if *room <= 0 {
            return Ok(Some(claim.now + SLICE));
        }
        *room -= 1;
        c.exec(
            "INSERT INTO portfolio_person (workspace_id, portfolio, person_id, at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (workspace_id, portfolio, person_id) DO UPDATE SET at = excluded.at",
            vals![claim.workspace.0, portfolio, m.head.person.0, claim.now],
        )
        .await?;
        c.exec(
            "INSERT INTO portfolio_count (workspace_id, portfolio, slice, people) VALUES ($1, $2, $3, 1) \
             ON CONFLICT (workspace_id, portfolio, slice) DO UPDATE SET people = portfolio_count.people + 1",
            vals![claim.workspace.0, portfolio, claim.now / SLICE],
        )
        .await?;
        Ok(None)
    }
}
