//! Salesforce's ways: a budget of calls a day, sessions, events over the Pub/Sub API.

use super::{Terms, Ways, ask, last_of};
use serde_json::{Value, json};
use std::net::SocketAddr;

const TOKEN: &str = "sim-session-token";

pub(super) const WAYS: Ways = Ways {
    object: "Contact",
    fields: &[
        ("email", "Email"),
        ("job_title", "Title"),
        ("department", "Department"),
        ("street", "MailingStreet"),
        ("city", "MailingCity"),
        ("region", "MailingState"),
        ("postal_code", "MailingPostalCode"),
        ("country", "MailingCountry"),
        ("language", "Ponte_Language__c"),
    ],
    names: ["FirstName", "LastName", "MobilePhone", "Ponte_WhatsApp_Name__c", "Ponte_Id__c", "Ponte_Tags__c"],
    values: ["values", "values"],
    list: "results",
    expire: "/_sim/end_sessions",
    settings,
    connection,
    storm,
    page: |names, after| {
        // Fields of ours are made by the program, later.
        let names: Vec<&str> = names.split(',').filter(|name| !name.starts_with("Ponte_")).collect();
        let behind = if after.is_empty() { String::new() } else { format!("+WHERE+Id+%3E+'{after}'") };
        let soql = format!("SELECT+{},Id+FROM+Contact{behind}+ORDER+BY+Id+LIMIT+2000", names.join(","));
        ask("GET", &format!("/services/data/v66.0/query?q={soql}"), &format!("Bearer {TOKEN}"), b"")
    },
    next: |tail| last_of(tail, "Id").map(str::to_owned),
};

fn settings(_: &Terms) -> String {
    // Sessions end when the run says so; the budget of a day is no limit of speed.
    "[salesforce.limits]\ndaily_requests = 100000000\n".to_owned()
}

fn connection(address: SocketAddr, terms: &Terms) -> String {
    let mut text = format!(
        "kind = \"salesforce\"\nlogin_url = \"http://{address}\"\nclient_credentials = {{ client_id = \"sim-client\", \
         client_secret = \"sim-client-secret\" }}\ncalls_per_second = 1000\n"
    );
    if terms.tells.is_some() {
        text.push_str(&format!("change_data_capture = true\npubsub_url = \"http://{address}\"\n"));
    }
    text
}

fn storm() -> Value {
    json!({ "server_error": 0.02, "server_error_after_apply": 0.02, "request_limit": 0.02, "session_lost": 0.005,
        "query_timeout": 0.01, "timeout_after_apply": 0.01, "reset_after_apply": 0.01, "hang_ms": 3000, "row_lock": 0.01,
        "row_failure": 0.005, "row_rejection": 0.002, "late_stamp": 0.05 })
}
