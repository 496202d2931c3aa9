//! Zoho's notifications: asked for, renewed, checked and read. Facts: crm-apis section 3, "Notifications". A channel ends by itself,
//! within a week at most; what Zoho sends carries a word of ours and no signature, so it is only believed as a hint.
//! Must not touch: the clock (passed in).
//! Failure story: a channel that ended says nothing more, and nobody is told: it is renewed long before, and changes are looked
//! for anyway.

use super::CONTACTS;
use super::budget::Price;
use super::client::{Client, iso};
use super::errors::{self, Effect};
use super::query::{Found, rows};
use super::rows::text_of;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use ponte_domain::crm::{CrmHint, CrmNotice, NoticeRefused};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::{DAY, Millis};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How long a channel is asked for; a week is the most.
const LIFE: Millis = 6 * DAY;
/// Channels below this number are left to others.
const FIRST_CHANNEL: u64 = 1_000_000_000;

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    module: Value,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    ids: Vec<Value>,
}

/// Checks and reads a notification.
pub(super) fn read(token: Option<&SecretString>, notice: &CrmNotice<'_>) -> Result<Vec<CrmHint>, NoticeRefused> {
    let token = token.ok_or(NoticeRefused::NotSetUp)?;
    let told: Told = serde_json::from_slice(notice.body).map_err(|_| NoticeRefused::Unreadable)?;
    let given = told.token.as_deref().ok_or(NoticeRefused::Unsigned)?;
    if !same(token.expose_secret(), given) {
        return Err(NoticeRefused::Unsigned);
    }
    let module = told.module.as_str().or_else(|| told.module.get("api_name").and_then(Value::as_str));
    if module != Some(CONTACTS) {
        return Ok(Vec::new());
    }
    let gone = told.operation == "delete";
    let hint = |id: String| if gone { CrmHint::Gone { id } } else { CrmHint::Changed { id } };
    let hints: Vec<CrmHint> = told.ids.iter().filter_map(text_of).map(hint).collect();
    Ok(if hints.is_empty() { vec![CrmHint::Look] } else { hints })
}

/// Compares two words as authentication codes are, in constant time.
fn same(wanted: &str, given: &str) -> bool {
    let code =
        |text: &str| Hmac::<Sha256>::new_from_slice(wanted.as_bytes()).map(|mac| mac.chain_update(text.as_bytes()));
    match (code(wanted), code(given)) {
        (Ok(wanted), Ok(given)) => given.verify_slice(&wanted.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}

/// The number of the channel for an address: the same address has the same one, whoever asks. Channels are the organisation's, so
/// two installations must not share one.
fn channel_of(address: &str) -> String {
    let hash = Sha256::digest(address.as_bytes());
    let number = hash.iter().take(6).fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
    (FIRST_CHANNEL + number).to_string()
}

impl Client {
    /// Asks for notifications at this address, or for more time; gives until when.
    pub(super) async fn watch(&self, address: &str) -> Result<Option<Millis>, CallError> {
        let Some(token) = &self.config.notification_token else { return Ok(None) };
        let channel = channel_of(address);
        let until = self.now() + LIFE;
        let row = json!({"channel_id": channel, "notify_url": address, "token": token.expose_secret(),
            "events": [format!("{CONTACTS}.all")], "channel_expiry": iso(until), "return_affected_field_values": false});
        let path = "/actions/watch";
        let known = rows(self.get(&format!("{path}?channel_id={channel}"), Price::ONE).await?, "watch");
        let mut renewed = Err(not_subscribed());
        if !known.is_empty() {
            renewed = self.watch_row(&Method::PUT, path, &row).await;
        }
        match renewed {
            // It ended, meanwhile or long ago.
            Err(error) if error.code == "NOT_SUBSCRIBED" => self.watch_row(&Method::POST, path, &row).await?,
            result => result?,
        }
        Ok(Some(until))
    }

    async fn watch_row(&self, method: &Method, path: &str, row: &Value) -> Result<(), CallError> {
        let body = json!({"watch": [row]});
        let answer = self.send_body(method, path, &body, Effect::Repeatable, Price::ONE).await?;
        let refused = |entry: &Found| entry.get("status").and_then(Value::as_str) == Some("error");
        match rows(answer, "watch").into_iter().find(refused) {
            None => Ok(()),
            Some(entry) => {
                let mut error = errors::of_row(&Value::Object(entry), Effect::Repeatable);
                if error.class == ErrorClass::Permanent {
                    // The address (Zoho calls https alone), or the word.
                    error.class = ErrorClass::Configuration;
                    "Zoho doesn't take the notification channel".clone_into(&mut error.title);
                }
                Err(error)
            }
        }
    }
}

fn not_subscribed() -> CallError {
    CallError::new(ErrorClass::Gone, "NOT_SUBSCRIBED", "the channel isn't there")
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORD: &str = "a-word-of-twenty-chars";

    fn asked(token: Option<&str>, body: &Value) -> Result<Vec<CrmHint>, NoticeRefused> {
        let body = serde_json::to_vec(body).unwrap();
        let notice = CrmNotice { method: "POST", uri: "https://p.example/crm", headers: &[], body: &body, now: 0 };
        read(token.map(|t| SecretString::from(t.to_owned())).as_ref(), &notice)
    }

    fn told(operation: &str, ids: Value) -> Value {
        json!({"module": "Contacts", "operation": operation, "ids": ids, "token": WORD, "channel_id": "1000000001",
               "server_time": 1_795_401_000_000i64, "resource_uri": "x", "affected_fields": []})
    }

    #[test]
    fn only_our_word_is_believed() {
        let body = told("insert", json!(["5"]));
        assert_eq!(asked(Some(WORD), &body), Ok(vec![CrmHint::Changed { id: "5".into() }]));
        assert_eq!(asked(Some("another-word-of-ours"), &body), Err(NoticeRefused::Unsigned));
        assert_eq!(asked(None, &body), Err(NoticeRefused::NotSetUp));
        let mut bare = body;
        bare.as_object_mut().unwrap().remove("token");
        assert_eq!(asked(Some(WORD), &bare), Err(NoticeRefused::Unsigned));
        assert_eq!(asked(Some(WORD), &json!("x")), Err(NoticeRefused::Unreadable));
    }

    #[test]
    fn both_vocabularies_are_understood() {
        for operation in ["insert", "create", "update", "edit"] {
            let hints = asked(Some(WORD), &told(operation, json!(["5", 6])));
            assert_eq!(hints, Ok(vec![CrmHint::Changed { id: "5".into() }, CrmHint::Changed { id: "6".into() }]));
        }
        assert_eq!(asked(Some(WORD), &told("delete", json!(["5"]))), Ok(vec![CrmHint::Gone { id: "5".into() }]));
        assert_eq!(asked(Some(WORD), &told("update", json!([]))), Ok(vec![CrmHint::Look]));
        let mut lead = told("update", json!(["5"]));
        lead["module"] = json!("Leads");
        assert_eq!(asked(Some(WORD), &lead), Ok(Vec::new()));
    }

    #[test]
    fn a_channel_has_one_number_for_one_address() {
        let (one, two) = (channel_of("https://a.example/x"), channel_of("https://b.example/x"));
        assert_eq!(one, channel_of("https://a.example/x"));
        assert_ne!(one, two);
        assert!(one.parse::<i64>().unwrap() >= 1_000_000_000);
    }
}
