//! How the next page is asked for, and where a page stands, as text that can be kept.
//! Must not touch: how pages are read. Failure story: a page that leads to itself is an error, or reading wouldn't end.

use super::client::Answer;
use super::config::Paging;
use super::plan::Plan;
use ponte_domain::error::{CallError, ErrorClass};
use serde_json::{Value, json};

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    First,
    Number(usize),
    Offset(usize),
    After(String),
    Cursor(String),
    Link(String),
}

impl Page {
    /// As text.
    pub(super) fn text(&self) -> Option<String> {
        Some(match self {
            Self::First => return None,
            Self::Number(n) => format!("n{n}"),
            Self::Offset(n) => format!("o{n}"),
            Self::After(id) => format!("a{id}"),
            Self::Cursor(cursor) => format!("c{cursor}"),
            Self::Link(link) => format!("l{link}"),
        })
    }

    /// Reads it; what can't be read is the first page.
    pub(super) fn read(text: Option<&str>) -> Self {
        let Some((kind, rest)) = text.and_then(|text| text.split_at_checked(1)) else { return Self::First };
        let number = || rest.parse().ok();
        match kind {
            "n" => number().map_or(Self::First, Self::Number),
            "o" => number().map_or(Self::First, Self::Offset),
            "a" => Self::After(rest.to_owned()),
            "c" => Self::Cursor(rest.to_owned()),
            "l" => Self::Link(rest.to_owned()),
            _ => Self::First,
        }
    }

    /// `page` of templates.
    pub(super) fn context(&self, paging: &Paging, limit: usize) -> Value {
        let first = if let Paging::Number { first, .. } = paging { *first } else { 1 };
        let (number, offset) = match self {
            Self::Number(n) => (*n, 0),
            Self::Offset(n) => (first, *n),
            _ => (first, 0),
        };
        let after = if let Self::After(id) = self { Some(id) } else { None };
        let cursor = if let Self::Cursor(cursor) = self { Some(cursor) } else { None };
        // Ids are mostly numbers, and compared as such.
        let after_number = after.and_then(|id| id.parse::<i64>().ok()).unwrap_or(0);
        json!({"limit": limit, "number": number, "offset": offset, "after": after, "after_number": after_number, "cursor": cursor})
    }
}

impl Plan {
    /// The page behind this one, when there is one.
    pub(super) fn next_page(
        &self,
        paging: &Paging,
        page: &Page,
        answer: &Answer,
        rows: usize,
        last_id: Option<String>,
    ) -> Result<Option<Page>, CallError> {
        let place = |place: &super::place::Place| {
            Ok::<_, CallError>(
                place.lens(&self.templates).map_err(|_| stuck("paging"))?.look(&answer.body, &answer.body),
            )
        };
        let full = rows >= self.config.page;
        let more = |told: &Option<super::place::Place>| match told {
            Some(told) => Ok::<_, CallError>(rows > 0 && super::place::truthy(&place(told)?)),
            None => Ok(full),
        };
        let next = match paging {
            Paging::None => None,
            Paging::Number { first, more: told } => {
                let number = if let Page::Number(n) = page { *n } else { *first };
                more(told)?.then_some(Page::Number(number + 1))
            }
            Paging::Offset { more: told } => {
                let offset = if let Page::Offset(n) = page { *n } else { 0 };
                more(told)?.then_some(Page::Offset(offset + rows))
            }
            Paging::After => last_id.filter(|_| full).map(Page::After),
            Paging::Cursor { next } => super::place::text_of(&place(next)?).map(Page::Cursor),
            Paging::Link { next } => {
                let link = match next {
                    Some(told) => super::place::text_of(&place(told)?),
                    None => answer.link.as_deref().and_then(next_link),
                };
                link.map(|link| self.same_host(&link)).transpose()?.map(Page::Link)
            }
        };
        if next.as_ref() == Some(page) { Err(stuck("paging")) } else { Ok(next) }
    }

    /// A link as path and query. One that leads elsewhere would take our credentials there.
    fn same_host(&self, link: &str) -> Result<String, CallError> {
        if link.starts_with('/') && !link.starts_with("//") {
            return Ok(link.to_owned());
        }
        let own = origin(&self.config.base_url);
        match (own, origin(link)) {
            (Some(own), Some(other)) if own.eq_ignore_ascii_case(other) => {
                Ok(link.get(other.len()..).filter(|path| path.starts_with('/')).unwrap_or("/").to_owned())
            }
            _ => {
                let title = "the next page's address leads to another host";
                Err(CallError::new(ErrorClass::Configuration, "link_elsewhere", title))
            }
        }
    }
}

/// Scheme, host and port.
pub(super) fn origin(url: &str) -> Option<&str> {
    let host = url.find("://")? + 3;
    let end = url.get(host..)?.find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    url.get(..end)
}

/// The address of `rel="next"` in a header `Link` (RFC 8288).
fn next_link(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (address, parameters) = link.split_once('>')?;
        let next = parameters.split(';').any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next"));
        next.then(|| address.trim().trim_start_matches('<').to_owned())
    })
}

pub(super) fn stuck(what: &str) -> CallError {
    let title = "a page leads to itself: the description doesn't go on behind what was read";
    CallError::new(ErrorClass::Configuration, "cursor_ignored", title).with_detail(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::plan::tests::plan_of;
    use proptest::prelude::*;

    #[test]
    fn a_link_is_followed_only_on_the_same_host() {
        let plan = plan_of(json!({"base_url": "https://crm.test/api"}));
        assert_eq!(plan.same_host("https://CRM.test/api/c?p=2").unwrap(), "/api/c?p=2");
        assert_eq!(plan.same_host("/api/c?p=2").unwrap(), "/api/c?p=2");
        for elsewhere in
            ["https://crm.test.evil/api", "http://crm.test/api", "//evil/api", "https://crm.test:8443/x", "evil"]
        {
            assert!(plan.same_host(elsewhere).is_err(), "{elsewhere}");
        }
        assert_eq!(
            next_link(r#"<https://a/1>; rel="prev", <https://a/3>; rel="next""#).as_deref(),
            Some("https://a/3")
        );
        assert_eq!(next_link("<https://a/1>; rel=\"prev\""), None);
    }

    proptest! {
        #[test]
        fn a_page_comes_back_as_it_was(id in ".{1,20}", n in any::<usize>(), which in 0usize..5) {
            let page = [Page::Number(n), Page::Offset(n), Page::After(id.clone()), Page::Cursor(id.clone()), Page::Link(id)][which].clone();
            prop_assert_eq!(Page::read(page.text().as_deref()), page);
        }
    }
}
