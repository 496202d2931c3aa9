//! Exports: everybody as a table, and all that is known of one person as JSON, as a page to read, and their files.

use anyhow::{Context, Result};
use ponte_domain::ids::{PersonId, WorkspaceId};
use ponte_domain::people::PersonCard;
use ponte_domain::ports::people::People;
use ponte_domain::ports::store::MessageView;
use ponte_domain::ports::world::Blobs;
use ponte_domain::profile::core;
use ponte_tables::write::{CsvWriter, Style};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

const PAGE: i64 = 5_000;

/// Writes everybody as CSV: core fields in columns of their own, custom fields as JSON. How many.
///
/// # Errors
/// The file can't be written or the database can't be read.
pub async fn everybody(people: &dyn People, workspace: WorkspaceId, path: &Path) -> Result<u64> {
    let mut out = CsvWriter::create(path, Style::default())?;
    let mut header = vec!["id", "phone", "other_phones", "whatsapp_name"];
    header.extend(core::ALL);
    header.extend(["tags", "labels", "fields", "created_at"]);
    out.row(header)?;
    let (mut after, mut n) = (None, 0);
    loop {
        let page = people.people(workspace, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for person in &page {
            let cells = row(person);
            out.row(cells.iter().map(String::as_str))?;
            n += 1;
        }
    }
    out.finish()?;
    Ok(n)
}

fn row(person: &PersonCard) -> Vec<String> {
    let phones = person.phones();
    let mut cells = vec![
        person.id.to_string(),
        phones.first().map(|p| format!("+{p}")).unwrap_or_default(),
        phones.iter().skip(1).map(|p| format!("+{p}")).collect::<Vec<_>>().join(" "),
        person.whatsapp_name.clone().unwrap_or_default(),
    ];
    cells.extend(core::ALL.iter().map(|key| person.profile.get(key).unwrap_or_default().to_owned()));
    let custom: serde_json::Map<String, Value> = person
        .profile
        .fields
        .iter()
        .filter(|(key, _)| !core::ALL.contains(&key.as_str()))
        .map(|(key, field)| (key.clone(), field.value.clone().into()))
        .collect();
    cells.push(person.profile.tags.iter().cloned().collect::<Vec<_>>().join(", "));
    cells.push(person.profile.labels.iter().map(|l| l.as_str()).collect::<Vec<_>>().join(", "));
    cells.push(if custom.is_empty() { String::new() } else { Value::Object(custom).to_string() });
    cells.push(crate::commands::when(person.created_at));
    cells
}

/// Writes all that is known of a person into a folder: `person.json`, `person.html`, `media/`. How many messages.
///
/// # Errors
/// There is no such person, a file can't be written, the database can't be read.
pub async fn person(
    people: &dyn People,
    blobs: &dyn Blobs,
    workspace: WorkspaceId,
    id: PersonId,
    folder: &Path,
) -> Result<usize> {
    let card = people.cards(workspace, &[id]).await?.into_iter().next().context("there is no such person")?;
    let media = folder.join("media");
    std::fs::create_dir_all(&media).with_context(|| media.display().to_string())?;
    let messages = people.messages_of(workspace, id).await?;
    let timeline = people.timeline(workspace, id, 100_000).await?;
    let merges = people.merges(workspace, Some(id), 1_000).await?;
    let mut files = Vec::new();
    for key in people.files(workspace, id).await? {
        if let Some(bytes) = blobs.get(&key).await.map_err(anyhow::Error::from)? {
            std::fs::write(media.join(&key), &bytes)?;
            files.push(key);
        }
    }
    let whole = json!({
        "person": { "id": card.id, "whatsapp_name": card.whatsapp_name, "profile": card.profile,
            "identities": card.identities, "created_at": card.created_at, "changed_at": card.changed_at },
        "messages": messages, "timeline": timeline, "merges": merges, "files": files,
    });
    std::fs::write(folder.join("person.json"), serde_json::to_vec_pretty(&whole)?)?;
    std::fs::write(folder.join("person.html"), page(&card, &messages))?;
    Ok(messages.len())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
content=\"width=device-width\"><title>All that is kept about one person</title><style>body{font:15px/1.5 system-ui,\
sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1b2430;background:#fff}h1{font-size:1.5rem}h2{font-size:\
1.1rem;margin-top:2rem;border-bottom:1px solid #d8dee6}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:\
.3rem .8rem .3rem 0;vertical-align:top;border-bottom:1px solid #eef1f5}th{color:#5b6775;font-weight:500}.in,.out{margin:.4rem 0;\
padding:.5rem .8rem;border-radius:.6rem;max-width:75%;white-space:pre-wrap;overflow-wrap:anywhere}.in{background:#eef1f5}.out{\
background:#d9f3e4;margin-left:auto}small{color:#5b6775;display:block}</style></head><body>";

fn page(card: &PersonCard, messages: &[MessageView]) -> String {
    let mut html = HEAD.to_owned();
    let name = escape(card.name().unwrap_or("No name"));
    let _ = write!(
        html,
        "<h1>{name}</h1><p>All that is kept about this person, as {}.</p><h2>Identifiers</h2><table>",
        card.id
    );
    for identity in &card.identities {
        let _ = write!(
            html,
            "<tr><th>{}</th><td>{}</td><td>{}</td></tr>",
            identity.kind.as_str(),
            escape(&identity.value),
            escape(&identity.scope)
        );
    }
    html.push_str("</table><h2>Fields</h2><table>");
    for (key, field) in &card.profile.fields {
        let _ = write!(
            html,
            "<tr><th>{}</th><td>{}</td><td>{}, {}</td></tr>",
            escape(key),
            escape(&field.value),
            escape(&field.source),
            crate::commands::when(field.at)
        );
    }
    let words = |words: Vec<&str>| escape(&words.join(", "));
    let _ = write!(
        html,
        "<tr><th>tags</th><td>{}</td></tr><tr><th>labels</th><td>{}</td></tr></table><h2>Messages</h2>",
        words(card.profile.tags.iter().map(String::as_str).collect()),
        words(card.profile.labels.iter().map(|l| l.as_str()).collect())
    );
    if messages.is_empty() {
        html.push_str("<p>None.</p>");
    }
    for message in messages {
        let side = if message.origin.is_inbound() { "in" } else { "out" };
        let _ = write!(
            html,
            "<div class=\"{side}\">{}<small>{} · {} · {}</small></div>",
            escape(message.text.as_deref().unwrap_or_default()),
            crate::commands::when(message.at),
            escape(&message.kind),
            message.state
        );
    }
    html.push_str("</body></html>");
    html
}
