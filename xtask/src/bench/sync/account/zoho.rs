//! Zoho's ways: credits a day, calls at the same time, ten tokens in ten minutes, notifications by channel.

use super::{Terms, Ways, ask, last_of};
use serde_json::{Value, json};
use std::net::SocketAddr;

const TOKEN: &str = "1000.sim-static-token";

pub(super) const WAYS: Ways = Ways {
    object: "Contacts",
    fields: &[
        ("email", "Email"),
        ("job_title", "Title"),
        ("department", "Department"),
        ("street", "Mailing_Street"),
        ("city", "Mailing_City"),
        ("region", "Mailing_State"),
        ("postal_code", "Mailing_Zip"),
        ("country", "Mailing_Country"),
        ("language", "Ponte_Language"),
    ],
    names: ["First_Name", "Last_Name", "Mobile", "Ponte_WhatsApp_Name", "Ponte_Id", "Tag"],
    values: ["fields", "fields"],
    list: "records",
    expire: "/_sim/expire_tokens",
    settings,
    connection,
    storm,
    page: |names, after| {
        // Fields of ours are made by the program, later.
        let names: Vec<&str> = names.split(',').filter(|name| !name.starts_with("Ponte_")).collect();
        let after = if after.is_empty() { "0" } else { after };
        let query =
            format!("select {}, id from Contacts where id > '{after}' order by id limit 2000", names.join(", "));
        let body = json!({ "select_query": query }).to_string();
        ask("POST", "/crm/v8/coql", &format!("Zoho-oauthtoken {TOKEN}"), body.as_bytes())
    },
    next: |tail| last_of(tail, "id").map(str::to_owned),
};

fn settings(_: &Terms) -> String {
    "[zoho.limits]\ncredits = 100000000\n".to_owned()
}

fn connection(address: SocketAddr, terms: &Terms) -> String {
    let mut text = format!(
        "kind = \"zoho\"\ndata_centre = \"us\"\naccounts_url = \"http://{address}\"\napi_url = \"http://{address}\"\nclient_id = \
         \"1000.SIMCLIENT\"\nclient_secret = \"sim-client-secret\"\nrefresh_token = \"1000.sim-refresh-token\"\n\
         credits_per_day = 100000000\nconcurrency = 20\n"
    );
    if terms.tells.is_some() {
        text.push_str("notification_token = \"a-word-of-twenty-chars\"\n");
    }
    text
}

fn storm() -> Value {
    json!({ "server_error": 0.02, "server_error_after_apply": 0.02, "too_many_requests": 0.02, "token_refused": 0.01,
        "timeout_after_apply": 0.01, "reset_after_apply": 0.01, "hang_ms": 3000, "row_failure": 0.005, "row_locked": 0.01,
        "row_rejection": 0.002, "notified_twice": 0.05, "notification_lost": 0.05 })
}
