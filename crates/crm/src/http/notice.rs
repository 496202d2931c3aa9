//! Notifications of a described CRM: a signature, a token or a password, and where the ids stand. Facts: crm-apis section 10.
//! Must not touch: what a notification speaks of. It is a hint: the record is read again.
//! Failure story: what isn't proved is refused; a repeated one does no harm.

use super::auth::mac;
use super::config::{Encoding, Verify, Webhook};
use super::errors::date_of;
use super::place::{Lens, Place, texts_of};
use super::plan::Plan;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ponte_domain::Millis;
use ponte_domain::crm::{CrmHint, CrmNotice, NoticeRefused};
use secrecy::ExposeSecret;
use serde_json::Value;

/// Events of one notification; what is beyond is found by looking for changes.
const MOST: usize = 1_000;

impl Plan {
    /// Checks and reads a notification.
    pub(super) fn notice(&self, notice: &CrmNotice<'_>) -> Result<Vec<CrmHint>, NoticeRefused> {
        let hook = self.config.webhook.as_ref().ok_or(NoticeRefused::NotSetUp)?;
        verify(&hook.verify, notice)?;
        self.hints(hook, notice.body)
    }

    fn hints(&self, hook: &Webhook, body: &[u8]) -> Result<Vec<CrmHint>, NoticeRefused> {
        let Some(id) = &hook.id else { return Ok(vec![CrmHint::Look]) };
        let body: Value = serde_json::from_slice(body).map_err(|_| NoticeRefused::Unreadable)?;
        let id = lens_of(self, id)?;
        let some = |place: &Option<Place>, event: &Value| -> Result<Option<Value>, NoticeRefused> {
            place.as_ref().map(|place| Ok(lens_of(self, place)?.look(event, &body))).transpose()
        };
        let events = match some(&hook.events, &body)?.unwrap_or_else(|| body.clone()) {
            Value::Array(events) => events,
            one => vec![one],
        };
        let mut hints = Vec::new();
        for event in events.iter().take(MOST) {
            if some(&hook.when, event)?.is_some_and(|told| !super::place::truthy(&told)) {
                continue;
            }
            let gone = some(&hook.gone, event)?.is_some_and(|told| super::place::truthy(&told));
            let into = some(&hook.merged_into, event)?.and_then(|told| super::place::text_of(&told));
            for id in texts_of(&id.look(event, &body)) {
                match &into {
                    Some(into) => hints.extend([
                        CrmHint::Merged { from: id, into: into.clone() },
                        CrmHint::Changed { id: into.clone() },
                    ]),
                    None if gone => hints.push(CrmHint::Gone { id }),
                    None => hints.push(CrmHint::Changed { id }),
                }
            }
        }
        if events.len() > MOST {
            hints.push(CrmHint::Look);
        }
        Ok(hints)
    }
}

fn lens_of<'a>(plan: &'a Plan, place: &'a Place) -> Result<Lens<'a>, NoticeRefused> {
    place.lens(&plan.templates).map_err(|_| NoticeRefused::NotSetUp)
}

fn verify(verify: &Verify, notice: &CrmNotice<'_>) -> Result<(), NoticeRefused> {
    let header =
        |name: &str| notice.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    match verify {
        Verify::Token { header: name, query, secret } => {
            let in_header = name.as_deref().and_then(header);
            let in_query = query.as_deref().and_then(|name| parameter(notice.uri, name));
            let given = in_header.map(str::to_owned).or(in_query).ok_or(NoticeRefused::Unsigned)?;
            same(given.as_bytes(), secret.expose_secret().as_bytes())
        }
        Verify::Basic { user, password } => {
            let given = header("authorization").and_then(|value| value.strip_prefix("Basic "));
            let given = given.and_then(|both| STANDARD.decode(both.trim()).ok()).ok_or(NoticeRefused::Unsigned)?;
            same(&given, format!("{user}:{}", password.expose_secret()).as_bytes())
        }
        Verify::Hmac {
            header: name,
            secret,
            algorithm,
            encoding,
            wrapped,
            prefix,
            signed,
            time_header,
            time_prefix,
            max_age_seconds,
        } => {
            let value = header(name).ok_or(NoticeRefused::Unsigned)?;
            let value = if *wrapped { unwrapped(value).ok_or(NoticeRefused::Unsigned)? } else { value.to_owned() };
            let element = |prefix: &str| {
                value
                    .split(',')
                    .map(str::trim)
                    .filter_map(move |part| part.strip_prefix(prefix).map(str::to_owned))
                    .collect::<Vec<_>>()
            };
            let time = match (time_header, time_prefix) {
                (Some(name), _) => header(name).map(str::to_owned),
                (None, Some(prefix)) => element(prefix).into_iter().next(),
                (None, None) => None,
            };
            let times = time_header.is_some() || time_prefix.is_some();
            if times && time.is_none() {
                return Err(NoticeRefused::Unsigned);
            }
            let mut text = Vec::new();
            for part in signed {
                match part.as_str() {
                    "$body" => text.extend_from_slice(notice.body),
                    "$method" => text.extend_from_slice(notice.method.as_bytes()),
                    "$uri" => text.extend_from_slice(notice.uri.as_bytes()),
                    "$time" => text.extend_from_slice(time.as_deref().unwrap_or_default().as_bytes()),
                    other => match other.strip_prefix("$header:") {
                        Some(name) => text.extend_from_slice(header(name).unwrap_or_default().as_bytes()),
                        None => text.extend_from_slice(other.as_bytes()),
                    },
                }
            }
            let wanted = mac(*algorithm, secret.expose_secret().as_bytes(), &text);
            // Several signatures come while a secret is being replaced.
            let good =
                element(prefix).iter().filter_map(|s| decoded(*encoding, s)).any(|given| same(&given, &wanted).is_ok());
            if !good {
                return Err(NoticeRefused::Unsigned);
            }
            fresh(time.as_deref(), notice.now, *max_age_seconds)
        }
    }
}

fn fresh(time: Option<&str>, now: Millis, max_age_seconds: i64) -> Result<(), NoticeRefused> {
    let Some(time) = time else { return Ok(()) };
    let read = crate::described::Times { form: crate::described::TimeForm::Iso, zone: jiff::tz::TimeZone::UTC };
    let at = read.read(&Value::from(time)).or_else(|| date_of(time)).ok_or(NoticeRefused::Unsigned)?;
    if (now - at).abs() > max_age_seconds.saturating_mul(1_000) { Err(NoticeRefused::TooOld) } else { Ok(()) }
}

fn decoded(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => hex::decode(text).ok(),
        Encoding::Base64 => STANDARD.decode(text).ok(),
    }
}

/// What stands behind the last `:` in base64.
fn unwrapped(value: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    text.rsplit(':').next().map(str::to_owned)
}

/// Compares in constant time, by codes made of both.
fn same(given: &[u8], wanted: &[u8]) -> Result<(), NoticeRefused> {
    use hmac::{Hmac, KeyInit, Mac};
    let keyed = |text: &[u8]| Hmac::<sha2::Sha256>::new_from_slice(b"compare").map(|m| m.chain_update(text));
    let code = keyed(wanted).map_err(|_| NoticeRefused::NotSetUp)?.finalize().into_bytes();
    keyed(given).map_err(|_| NoticeRefused::NotSetUp)?.verify_slice(&code).map_err(|_| NoticeRefused::Unsigned)
}

/// A parameter of the query, decoded.
fn parameter(uri: &str, name: &str) -> Option<String> {
    let query = uri.split_once('?')?.1.split('#').next()?;
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| unescaped(value))
    })
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let byte = match (first, more) {
            (b'%', [a, b, ..]) => std::str::from_utf8(&[*a, *b]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()),
            _ => None,
        };
        match byte {
            Some(byte) => {
                out.push(byte);
                rest = more.get(2..).unwrap_or_default();
            }
            None => {
                out.push(if *first == b'+' { b' ' } else { *first });
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::plan::tests::plan_of;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: Millis = 1_795_401_000_000;

    fn asked(webhook: Value, uri: &str, headers: &[(&str, String)], body: &str) -> Result<Vec<CrmHint>, NoticeRefused> {
        let headers: Vec<(String, String)> = headers.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
        let notice = CrmNotice { method: "POST", uri, headers: &headers, body: body.as_bytes(), now: NOW };
        plan_of(json!({"webhook": webhook})).notice(&notice)
    }

    fn hex_of(text: &str) -> String {
        hex::encode(mac(super::super::config::Algorithm::Sha256, b"s3cret", text.as_bytes()))
    }

    fn changed(id: &str) -> CrmHint {
        CrmHint::Changed { id: id.into() }
    }

    #[test]
    fn a_signature_with_a_prefix_and_ids_in_a_list() {
        let hook = json!({"verify": {"kind": "hmac", "header": "X-Signature", "secret": "s3cret", "prefix": "sha256="},
                          "id": "/id", "gone": "record.event == 'deleted'"});
        let body = r#"[{"id": 7, "event": "updated"}, {"id": "8", "event": "deleted"}, {"event": "updated"}]"#;
        let good = [("x-signature", format!("sha256={}", hex_of(body)))];
        assert_eq!(asked(hook.clone(), "/", &good, body), Ok(vec![changed("7"), CrmHint::Gone { id: "8".into() }]));
        assert_eq!(asked(hook.clone(), "/", &good, "[]"), Err(NoticeRefused::Unsigned));
        let bare = [("x-signature", hex_of(body))];
        assert_eq!(asked(hook.clone(), "/", &bare, body), Err(NoticeRefused::Unsigned), "without its prefix");
        assert_eq!(asked(hook, "/", &[], body), Err(NoticeRefused::Unsigned));
    }

    #[test]
    fn a_signature_over_time_and_body_grows_old() {
        let hook = json!({"verify": {"kind": "hmac", "header": "signature", "secret": "s3cret", "prefix": "v1=", "time_prefix": "t=",
                                     "signed": ["$time", ".", "$body"]}});
        let signed = |at: i64| [("signature", format!("t={at},v1={}", hex_of(&format!("{at}.x"))))];
        let now = NOW / 1_000;
        assert_eq!(asked(hook.clone(), "/", &signed(now - 299), "x"), Ok(vec![CrmHint::Look]));
        assert_eq!(asked(hook.clone(), "/", &signed(now - 301), "x"), Err(NoticeRefused::TooOld));
        let moved = [("signature", format!("t={now},v1={}", hex_of(&format!("{}.x", now - 900))))];
        assert_eq!(asked(hook, "/", &moved, "x"), Err(NoticeRefused::Unsigned));
    }

    #[test]
    fn a_signature_wrapped_with_its_webhooks_id() {
        let hook = json!({"verify": {"kind": "hmac", "header": "signature", "secret": "s3cret", "wrapped": true}, "id": "/id"});
        let body = r#"[{"id": "abc"}]"#;
        let good = [("signature", STANDARD.encode(format!("hook-1:{}", hex_of(body))))];
        assert_eq!(asked(hook.clone(), "/", &good, body), Ok(vec![changed("abc")]));
        assert_eq!(asked(hook, "/", &good, "[]"), Err(NoticeRefused::Unsigned));
    }

    #[test]
    fn tokens_and_passwords_are_compared_whole() {
        let hook =
            json!({"verify": {"kind": "token", "query": "t", "secret": "a b&c"}, "events": "/data", "id": "/ids"});
        let body = r#"{"data": {"ids": [1, 2]}}"#;
        assert_eq!(asked(hook.clone(), "/hook?x=1&t=a+b%26c", &[], body), Ok(vec![changed("1"), changed("2")]));
        for wrong in ["/hook?t=a+b", "/hook", "/hook?t=", "/hook?tt=a+b%26c"] {
            assert_eq!(asked(hook.clone(), wrong, &[], body), Err(NoticeRefused::Unsigned), "{wrong}");
        }
        let hook = json!({"verify": {"kind": "basic", "user": "crm", "password": "pw"}, "id": "/from", "merged_into": "/into"});
        let good = [("authorization", format!("Basic {}", STANDARD.encode("crm:pw")))];
        let merged = CrmHint::Merged { from: "1".into(), into: "2".into() };
        assert_eq!(asked(hook.clone(), "/", &good, r#"{"from": 1, "into": 2}"#), Ok(vec![merged, changed("2")]));
        assert_eq!(asked(hook.clone(), "/", &good, "no json"), Err(NoticeRefused::Unreadable));
        let bad = [("authorization", format!("Basic {}", STANDARD.encode("crm:p")))];
        assert_eq!(asked(hook, "/", &bad, "{}"), Err(NoticeRefused::Unsigned));
        assert_eq!(asked(Value::Null, "/", &[], "{}"), Err(NoticeRefused::NotSetUp));
    }

    proptest! {
        #[test]
        fn nothing_unsigned_is_believed(value in ".{0,80}", body in ".{0,40}") {
            for wrapped in [false, true] {
                let hook = json!({"verify": {"kind": "hmac", "header": "s", "secret": "s3cret", "wrapped": wrapped, "time_prefix": "t="}});
                prop_assert!(asked(hook, "/", &[("s", value.clone())], &body).is_err());
            }
            let _ = unescaped(&value);
        }
    }
}
