//! HubSpot's webhooks: signature and what they speak of. Facts: crm-apis section 1, "Webhooks in".
//! Must not touch: the clock (passed in). The body's bytes are signed, so they are checked before they are read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ponte_domain::crm::{CrmHint, CrmNotice, NoticeRefused};
use ponte_domain::{MINUTE, Millis};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// HubSpot says: refuse what is older than this.
const OLDEST: Millis = 5 * MINUTE;

/// What HubSpot encodes in an address but signs as it is.
const DECODED: [(&str, &str); 12] = [
    ("%3A", ":"),
    ("%2F", "/"),
    ("%3F", "?"),
    ("%40", "@"),
    ("%21", "!"),
    ("%24", "$"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2A", "*"),
    ("%2C", ","),
    ("%3B", ";"),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(alias = "eventType")]
    subscription_type: String,
    #[serde(default)]
    object_id: Option<u64>,
    #[serde(default)]
    primary_object_id: Option<u64>,
    #[serde(default)]
    merged_object_ids: Vec<u64>,
    #[serde(default)]
    new_object_id: Option<u64>,
    #[serde(default)]
    object_type_id: Option<String>,
}

/// Checks and reads a webhook.
pub(super) fn read(secret: Option<&SecretString>, notice: &CrmNotice<'_>) -> Result<Vec<CrmHint>, NoticeRefused> {
    let secret = secret.ok_or(NoticeRefused::NotSetUp)?;
    verify(secret.expose_secret(), notice)?;
    let events: Vec<Event> = serde_json::from_slice(notice.body).map_err(|_| NoticeRefused::Unreadable)?;
    Ok(events.iter().flat_map(hints).collect())
}

fn verify(secret: &str, notice: &CrmNotice<'_>) -> Result<(), NoticeRefused> {
    let header = |name: &str| notice.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let Some(signature) = header("x-hubspot-signature-v3") else {
        return first_version(secret, notice, header("x-hubspot-signature"));
    };
    let time = header("x-hubspot-request-timestamp").ok_or(NoticeRefused::Unsigned)?;
    let at: Millis = time.parse().map_err(|_| NoticeRefused::Unsigned)?;
    let signature = STANDARD.decode(signature).map_err(|_| NoticeRefused::Unsigned)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| NoticeRefused::NotSetUp)?;
    mac.update(notice.method.as_bytes());
    mac.update(decoded(notice.uri).as_bytes());
    mac.update(notice.body);
    mac.update(time.as_bytes());
    mac.verify_slice(&signature).map_err(|_| NoticeRefused::Unsigned)?;
    if (notice.now - at).abs() > OLDEST { Err(NoticeRefused::TooOld) } else { Ok(()) }
}

/// Legacy private apps sign so: no time, so an old one can be sent again, which as a mere hint does no harm.
fn first_version(secret: &str, notice: &CrmNotice<'_>, signature: Option<&str>) -> Result<(), NoticeRefused> {
    let signature = signature.and_then(|s| hex::decode(s).ok()).ok_or(NoticeRefused::Unsigned)?;
    let hash = Sha256::new().chain_update(secret).chain_update(notice.body).finalize();
    // Compared as authentication codes are, in constant time.
    let keyed = |text: &[u8]| {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| NoticeRefused::NotSetUp)?;
        Ok::<_, NoticeRefused>(mac.chain_update(text))
    };
    let wanted = keyed(&signature)?.finalize().into_bytes();
    keyed(&hash)?.verify_slice(&wanted).map_err(|_| NoticeRefused::Unsigned)
}

fn decoded(uri: &str) -> String {
    DECODED
        .iter()
        .fold(uri.to_owned(), |text, (from, to)| text.replace(from, to).replace(&from.to_ascii_lowercase(), to))
}

fn hints(event: &Event) -> Vec<CrmHint> {
    let of_contacts = event.subscription_type.starts_with("contact.")
        || (event.subscription_type.starts_with("object.") && event.object_type_id.as_deref() == Some("0-1"));
    if !of_contacts {
        return Vec::new();
    }
    let what = event.subscription_type.rsplit('.').next().unwrap_or_default();
    let id = event.object_id.map(|id| id.to_string());
    match (what, id) {
        ("deletion" | "privacyDeletion", Some(id)) => vec![CrmHint::Gone { id }],
        ("merge", _) => {
            let Some(into) = event.new_object_id.or(event.primary_object_id).map(|id| id.to_string()) else {
                return vec![CrmHint::Look];
            };
            let merged =
                event.merged_object_ids.iter().copied().chain(event.primary_object_id).map(|id| id.to_string());
            let merged = merged.filter(|from| *from != into).map(|from| CrmHint::Merged { from, into: into.clone() });
            merged.chain([CrmHint::Changed { id: into.clone() }]).collect()
        }
        (_, Some(id)) => vec![CrmHint::Changed { id }],
        (_, None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HubSpot's own vector (Apache-2.0, tests of its Node client).
    const SECRET: &str = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
    const BODY: &str = r#"[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]"#;

    fn asked(headers: &[(String, String)], body: &str, now: Millis) -> Result<Vec<CrmHint>, NoticeRefused> {
        let uri = "https://ponte.example/webhooks/crm/main?a=%2Fb";
        let notice = CrmNotice { method: "POST", uri, headers, body: body.as_bytes(), now };
        read(Some(&SECRET.into()), &notice)
    }

    fn header(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn the_published_vector_of_the_first_version_holds() {
        let sign = "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de";
        let good = [header("x-hubspot-signature", sign)];
        assert_eq!(asked(&good, BODY, 0), Ok(vec![CrmHint::Changed { id: "123".into() }]));
        assert_eq!(asked(&good, "[]", 0), Err(NoticeRefused::Unsigned));
        assert_eq!(asked(&[], BODY, 0), Err(NoticeRefused::Unsigned));
    }

    #[test]
    fn the_third_version_covers_address_body_and_time() {
        let time = "1795401000000";
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        for part in ["POST", "https://ponte.example/webhooks/crm/main?a=/b", BODY, time] {
            mac.update(part.as_bytes());
        }
        let sign = STANDARD.encode(mac.finalize().into_bytes());
        let headers = [header("x-hubspot-signature-v3", &sign), header("x-hubspot-request-timestamp", time)];
        let now: Millis = time.parse().unwrap();
        assert!(asked(&headers, BODY, now + 1_000).is_ok());
        assert_eq!(asked(&headers, BODY, now + OLDEST + 1), Err(NoticeRefused::TooOld));
        assert_eq!(asked(&headers, "[]", now), Err(NoticeRefused::Unsigned));
        let other = [headers[0].clone(), header("x-hubspot-request-timestamp", "1795401000001")];
        assert_eq!(asked(&other, BODY, now), Err(NoticeRefused::Unsigned));
    }

    #[test]
    fn merges_and_deletions_are_told_apart() {
        let event = |text: &str| hints(&serde_json::from_str::<Event>(text).unwrap());
        let gone = event(r#"{"subscriptionType":"contact.privacyDeletion","objectId":5}"#);
        assert_eq!(gone, [CrmHint::Gone { id: "5".into() }]);
        let merged =
            event(r#"{"subscriptionType":"contact.merge","primaryObjectId":1,"mergedObjectIds":[2],"newObjectId":3}"#);
        let into = |from: &str| CrmHint::Merged { from: from.into(), into: "3".into() };
        assert_eq!(merged, [into("2"), into("1"), CrmHint::Changed { id: "3".into() }]);
        assert!(event(r#"{"subscriptionType":"deal.creation","objectId":5}"#).is_empty());
    }
}
