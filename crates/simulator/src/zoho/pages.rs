//! Page tokens: where a list goes on, for how long, and for which request.
//! May touch: its own tokens. Must not touch: records, the clock (time is passed in).

use super::error::Refusal;
use crate::chance::mix;
use serde_json::json;
use std::collections::HashMap;

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// Modified time and id of the last row that was given.
    pub(super) last: (i64, u64),
    /// Rows given so far.
    pub(super) given: usize,
    /// The parameters that the list was begun with.
    pub(super) request: String,
    pub(super) expires_at: i64,
}

/// All page tokens that were given out.
#[derive(Debug, Default)]
pub(super) struct Pages {
    tokens: HashMap<String, Page>,
    made: u64,
}

impl Pages {
    pub(super) fn make(&mut self, page: Page, now: i64) -> String {
        if self.tokens.len() > 10_000 {
            self.tokens.retain(|_, page| page.expires_at > now);
        }
        self.made += 1;
        // Opaque, but the same in every run.
        let token = format!("{:016x}{:016x}{:016x}", mix(self.made), mix(page.last.1), mix(self.made ^ page.last.1));
        self.tokens.insert(token.clone(), page);
        token
    }

    /// The place a token stands for, if it belongs to this request and still lives.
    pub(super) fn find(&self, token: &str, request: &str, now: i64) -> Result<Page, Refusal> {
        let page = self.tokens.get(token).filter(|page| page.request == request).ok_or_else(|| {
            let message = "The page_token given seems to be invalid or input param is added or altered or deleted";
            Refusal::new(400, "TOKEN_BOUND_DATA_MISMATCH", message).with(json!({"param_name": "page_token"}))
        })?;
        if page.expires_at <= now {
            let details = json!({"api_name": "page_token", "json_path": "$.query.page_token"});
            return Err(Refusal::new(400, "EXPIRED_VALUE", "Page token expired").with(details));
        }
        Ok(page.clone())
    }
}
