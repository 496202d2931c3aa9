//! Notifications: a flow of the org calls our address when a record was saved or deleted (set-up in docs/crm/salesforce.md). Salesforce
//! signs no such calls, so the flow sends a secret: `Authorization: Bearer …`. The body is `{"id": "003…"}` or `{"ids": ["003…"]}`, and
//! `"event": "deleted"` where it was one.
//! Must not touch: records. A notification is only a hint.

use super::config::SalesforceObject;
use super::messages::distinct;
use super::soql::long_id;
use ponte_domain::crm::{CrmHint, CrmNotice, NoticeRefused};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    event: Option<String>,
}

/// Checks and reads a notification.
pub(super) fn read(secret: Option<&SecretString>, notice: &CrmNotice<'_>) -> Result<Vec<CrmHint>, NoticeRefused> {
    let secret = secret.ok_or(NoticeRefused::NotSetUp)?;
    let given = notice.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.as_str());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).ok_or(NoticeRefused::Unsigned)?;
    // Hashes are compared, so that the time it takes tells nothing of the secret.
    if Sha256::digest(given.trim()) != Sha256::digest(secret.expose_secret()) {
        return Err(NoticeRefused::Unsigned);
    }
    let body: Body = serde_json::from_slice(notice.body).map_err(|_| NoticeRefused::Unreadable)?;
    let ids = body.id.into_iter().chain(body.ids).filter_map(|id| long_id(&id));
    let ids = distinct(ids.filter(|id| SalesforceObject::of_id(id).is_some()));
    if ids.is_empty() {
        return Ok(vec![CrmHint::Look]);
    }
    let gone = body.event.as_deref() == Some("deleted");
    Ok(ids.into_iter().map(|id| if gone { CrmHint::Gone { id } } else { CrmHint::Changed { id } }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(token: &str, body: &str) -> Result<Vec<CrmHint>, NoticeRefused> {
        let headers = [("authorization".to_owned(), token.to_owned())];
        let (method, uri) = ("POST", "https://ponte.example/x");
        let notice = CrmNotice { method, uri, headers: &headers, body: body.as_bytes(), now: 0 };
        read(Some(&SecretString::from("s3cret")), &notice)
    }

    #[test]
    fn only_who_knows_the_secret_is_believed() {
        let id = || "001A0000006Vm9rIAC".replace("001", "003");
        let changed = Ok(vec![CrmHint::Changed { id: id() }]);
        assert_eq!(ask("Bearer s3cret", &format!(r#"{{"id":"{}"}}"#, id())), changed);
        assert_eq!(ask("Bearer s3cret", &format!(r#"{{"ids":["{}","{}"]}}"#, id(), id())), changed);
        let gone = Ok(vec![CrmHint::Gone { id: id() }]);
        assert_eq!(ask("Bearer s3cret", &format!(r#"{{"id":"{}","event":"deleted"}}"#, id())), gone);
        assert_eq!(ask("Bearer s3cret", r#"{"id":"001A0000006Vm9rIAC"}"#), Ok(vec![CrmHint::Look]));
        assert_eq!(ask("Bearer other", "{}"), Err(NoticeRefused::Unsigned));
        assert_eq!(ask("s3cret", "{}"), Err(NoticeRefused::Unsigned));
        assert_eq!(ask("Bearer s3cret", "no json"), Err(NoticeRefused::Unreadable));
    }
}
