//! HubSpot's ways.

use super::{SECRET, Terms, Ways, ask, last_of};
use serde_json::{Value, json};
use std::net::SocketAddr;

const TOKEN: &str = "sim-static-token";

pub(super) const WAYS: Ways = Ways {
    object: "contacts",
    fields: &[
        ("email", "email"),
        ("company", "company"),
        ("job_title", "jobtitle"),
        ("street", "address"),
        ("city", "city"),
        ("region", "state"),
        ("postal_code", "zip"),
        ("country", "country"),
        ("website", "website"),
        ("language", "ponte_language"),
    ],
    names: ["firstname", "lastname", "phone", "ponte_whatsapp_name", "ponte_id", "ponte_tags"],
    values: ["properties", "properties"],
    list: "results",
    expire: "/_sim/expire_tokens",
    settings,
    connection,
    storm,
    page: |names, after| {
        let after = if after.is_empty() { String::new() } else { format!("&after={after}") };
        let path = format!("/crm/objects/2026-09/contacts?limit=100&archived=false&properties={names}{after}");
        ask("GET", &path, &format!("Bearer {TOKEN}"), b"")
    },
    next: |tail| last_of(tail, "after").map(str::to_owned),
};

fn settings(terms: &Terms) -> String {
    let mut text = format!("[hubspot.limits]\nburst = {}\ndaily = 100000000\n", terms.calls_per_10s);
    if let Some(seconds) = terms.token_s {
        text.push_str(&format!("[hubspot.oauth]\nexpires_in = {seconds}\n"));
    }
    if let Some(url) = &terms.tells {
        let to = format!("target_url = \"{url}/webhooks/crm/crm\"\nclient_secret = \"{SECRET}\"\nflush_ms = 50\n");
        text.push_str(&format!("[hubspot.webhooks]\n{to}"));
    }
    text
}

fn connection(address: SocketAddr, terms: &Terms) -> String {
    let sign_in = match terms.token_s {
        None => format!("token = \"{TOKEN}\""),
        Some(_) => "oauth = { client_id = \"sim-client\", client_secret = \"sim-client-secret\", refresh_token = \
                    \"sim-refresh-token\" }"
            .to_owned(),
    };
    format!(
        "kind = \"hubspot\"\n{sign_in}\nbase_url = \"http://{address}\"\ncalls_per_10s = {}\nwebhook_secret = \"{SECRET}\"\n",
        terms.calls_per_10s
    )
}

fn storm() -> Value {
    json!({ "server_error": 0.02, "server_error_after_apply": 0.02, "too_many_requests": 0.02, "locked": 0.01,
        "migrating": 0.005, "migrating_retry_after_s": 2, "timeout_after_apply": 0.01, "reset_after_apply": 0.01,
        "hang_ms": 3000, "row_failure": 0.01, "row_rejection": 0.002 })
}
