//! `[[crm.triggers]]`: messages that a CRM's events, or programs, ask for.

use super::super::check::ConfigErrors;
use super::CrmConnection;
use ponte_domain::mapping::trigger::Trigger;
use ponte_domain::outbound::Outbound;
use serde::Deserialize;
use std::collections::HashSet;
use toml::Value;

/// As written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTrigger {
    name: String,
    connection: Option<String>,
    when: Option<String>,
    key: Option<String>,
    from: Option<String>,
    message: Value,
}

/// Checks all triggers and gives those of connections to them. All of them are given back.
pub fn check(
    raw: Vec<RawTrigger>,
    crms: &mut [CrmConnection],
    numbers: &[&str],
    errors: &mut ConfigErrors,
) -> Vec<Trigger> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for raw in raw {
        let place = format!("[[crm.triggers]] {}", raw.name);
        let plain = raw.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if raw.name.is_empty() || !plain {
            errors.add(
                &place,
                "the name may hold a-z, 0-9 and -",
                "rename it; messages are asked for once under the name",
            );
        }
        if !seen.insert(raw.name.clone()) {
            errors.add(&place, "this name stands twice", "rename one");
        }
        if raw.from.as_deref().is_some_and(|from| !numbers.contains(&from)) {
            errors.add(
                format!("{place} from"),
                "is no configured number",
                "give a phone_number_id of [[whatsapp.numbers]]",
            );
        }
        if raw.connection.is_some() && raw.when.is_none() && raw.key.is_none() {
            let mend = "give when = \"order_status == 'confirmed'\", or key = \"{{ order_number }}\", or both";
            errors.add(&place, "every record would ask for the message", mend);
        }
        let message = match serde_json::to_value(&raw.message) {
            Ok(message) => message,
            Err(error) => {
                errors.add(format!("{place} message"), error.to_string(), "write it as the send API takes it");
                continue;
            }
        };
        if let Err(error) = serde_json::from_value::<Outbound>(message.clone()) {
            let mend = "write it as the send API takes it: { type = \"template\", template = { name = .., language = .., .. } }";
            errors.add(format!("{place} message"), error.to_string(), mend);
        }
        let number = raw.from.as_deref().map(Into::into);
        let parsed = Trigger::parse(
            &raw.name,
            raw.connection.clone(),
            raw.when.as_deref(),
            raw.key.as_deref(),
            number,
            &message,
        );
        match (parsed, &raw.connection) {
            (Ok(trigger), None) => all.push(trigger),
            (Ok(trigger), Some(name)) => match crms.iter_mut().find(|crm| crm.name == *name) {
                Some(crm) => {
                    crm.sync.triggers.push(trigger.clone());
                    all.push(trigger);
                }
                None => errors.add(&place, format!("there is no connection {name}"), "name one of [[crm.connections]]"),
            },
            (Err(found), _) => {
                for (part, problem) in found {
                    errors.add(format!("{place} {part}"), problem, "see docs/crm/triggers.md");
                }
            }
        }
    }
    all
}
