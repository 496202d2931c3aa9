//! What WhatsApp says of the business accounts: templates and numbers as they were read last.
//! Must not touch: what it means. That is the domain's.

use crate::conn::{Conn, vals};
use crate::events;
use crate::store::{SqlStore, write};
use async_trait::async_trait;
use ponte_domain::Millis;
use ponte_domain::account::{NumberState, Template};
use ponte_domain::error::StoreError;
use ponte_domain::event::{EventKind, NewEvent};
use ponte_domain::ids::{NumberId, WorkspaceId};
use ponte_domain::ports::account::{Accounts, Kept};
use serde_json::json;
use sqlx::FromRow;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(FromRow)]
struct TemplateRow {
    waba_id: String,
    name: String,
    language: String,
    meta_id: String,
    category: String,
    status: String,
    quality: Option<String>,
    rejected_reason: Option<String>,
    components: String,
}

#[derive(FromRow)]
struct NumberRow {
    number_id: String,
    display: Option<String>,
    verified_name: Option<String>,
    name_status: Option<String>,
    quality: Option<String>,
    status: Option<String>,
    messaging_limit: Option<String>,
}

const TEMPLATE: &str = "waba_id, name, language, meta_id, category, status, quality, rejected_reason, components";
const NUMBER: &str = "number_id, display, verified_name, name_status, quality, status, messaging_limit";

impl TemplateRow {
    fn read(self) -> Template {
        Template {
            waba_id: self.waba_id,
            name: self.name,
            language: self.language,
            id: self.meta_id,
            category: self.category,
            status: self.status,
            quality: self.quality,
            rejected_reason: self.rejected_reason,
            components: self.components,
        }
    }
}

impl NumberRow {
    fn read(self) -> NumberState {
        NumberState {
            number: NumberId::from(self.number_id.as_str()),
            display: self.display,
            verified_name: self.verified_name,
            name_status: self.name_status,
            quality: self.quality,
            status: self.status,
            messaging_limit: self.messaging_limit,
        }
    }
}

#[async_trait]
impl Accounts for SqlStore {
    async fn account_claim(
        &self,
        workspace: WorkspaceId,
        waba_ids: Vec<String>,
        now: Millis,
        next: Millis,
    ) -> Result<Vec<String>, StoreError> {
        // Every node asks often and there is hardly ever anything to do: looked at first without a transaction.
        let later: Vec<(String,)> = self
            .reader()
            .await?
            .all("SELECT waba_id FROM account WHERE workspace_id = $1 AND due_at > $2", vals![workspace.0, now])
            .await?;
        let waba_ids: Vec<String> =
            waba_ids.into_iter().filter(|id| later.iter().all(|(other,)| other != id)).collect();
        if waba_ids.is_empty() {
            return Ok(waba_ids);
        }
        write!(self, (waba_ids), |c| claim(c, workspace, &waba_ids, now, next).await)
    }

    async fn account_due(&self, workspace: WorkspaceId, waba_id: &str, at: Millis) -> Result<(), StoreError> {
        let waba_id = waba_id.to_owned();
        write!(self, (waba_id), |c| due(c, workspace, &waba_id, at).await)
    }

    async fn account_put(
        &self,
        workspace: WorkspaceId,
        waba_id: &str,
        templates: Vec<Template>,
        numbers: Vec<NumberState>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let waba_id = waba_id.to_owned();
        write!(self, (waba_id, templates, numbers), |c| put(c, workspace, &waba_id, &templates, &numbers, now).await)
    }

    async fn account_kept(&self, workspace: WorkspaceId, version: i64) -> Result<Option<Kept>, StoreError> {
        kept(&mut self.reader().await?, workspace, version).await
    }
}

async fn claim(
    c: &mut Conn,
    workspace: WorkspaceId,
    waba_ids: &[String],
    now: Millis,
    next: Millis,
) -> Result<Vec<String>, StoreError> {
    let mut claimed = Vec::new();
    for waba_id in waba_ids {
        let taken = c
            .exec(
                "INSERT INTO account (workspace_id, waba_id, due_at, version) VALUES ($1, $2, $4, 0) \
                 ON CONFLICT (workspace_id, waba_id) DO UPDATE SET due_at = $4 WHERE account.due_at <= $3",
                vals![workspace.0, waba_id.as_str(), now, next],
            )
            .await?;
        if taken > 0 {
            claimed.push(waba_id.clone());
        }
    }
    Ok(claimed)
}

/// Sets when an account is read again; one that was never read is due anyway.
pub(crate) async fn due(c: &mut Conn, workspace: WorkspaceId, waba_id: &str, at: Millis) -> Result<(), StoreError> {
    c.exec("UPDATE account SET due_at = $3 WHERE workspace_id = $1 AND waba_id = $2", vals![workspace.0, waba_id, at])
        .await?;
    Ok(())
}

async fn put(
    c: &mut Conn,
    workspace: WorkspaceId,
    waba_id: &str,
    templates: &[Template],
    numbers: &[NumberState],
    now: Millis,
) -> Result<(), StoreError> {
    let mut news = put_templates(c, workspace, waba_id, templates, now).await?;
    news.extend(put_numbers(c, workspace, waba_id, numbers, now).await?);
    let changed = i64::from(!news.is_empty());
    c.exec(
        "UPDATE account SET version = version + CASE WHEN read_at IS NULL THEN 1 ELSE $4 END, read_at = $3 \
         WHERE workspace_id = $1 AND waba_id = $2",
        vals![workspace.0, waba_id, now, changed],
    )
    .await?;
    events::append(c, workspace, news).await
}

async fn put_templates(
    c: &mut Conn,
    workspace: WorkspaceId,
    waba_id: &str,
    templates: &[Template],
    now: Millis,
) -> Result<Vec<NewEvent>, StoreError> {
    let rows: Vec<TemplateRow> = c
        .all(
            format!("SELECT {TEMPLATE} FROM template WHERE workspace_id = $1 AND waba_id = $2"),
            vals![workspace.0, waba_id],
        )
        .await?;
    let key = |t: &Template| (t.name.clone(), t.language.clone());
    let mut known: BTreeMap<_, Template> = rows.into_iter().map(TemplateRow::read).map(|t| (key(&t), t)).collect();
    let (mut changed, mut news) = (Vec::new(), Vec::new());
    for template in templates {
        let before = known.remove(&key(template));
        if before.as_ref() == Some(template) {
            continue;
        }
        changed.push(vals![
            workspace.0,
            waba_id,
            template.name.as_str(),
            template.language.as_str(),
            template.id.as_str(),
            template.category.as_str(),
            template.status.as_str(),
            template.quality.clone(),
            template.rejected_reason.clone(),
            template.components.as_str(),
            now
        ]);
        news.push(event(EventKind::TemplateChanged, None, now, &json!({ "waba_id": waba_id, "name": template.name,
            "language": template.language, "status": template.status, "category": template.category,
            "quality": template.quality, "reason": template.rejected_reason,
            "status_before": before.as_ref().map(|b| &b.status), "category_before": before.as_ref().map(|b| &b.category) })));
    }
    c.insert_many(
        "INSERT INTO template (workspace_id, waba_id, name, language, meta_id, category, status, quality, \
         rejected_reason, components, changed_at)",
        "ON CONFLICT (workspace_id, waba_id, name, language) DO UPDATE SET meta_id = excluded.meta_id, \
         category = excluded.category, status = excluded.status, quality = excluded.quality, \
         rejected_reason = excluded.rejected_reason, components = excluded.components, changed_at = excluded.changed_at",
        changed,
    )
    .await?;
    for ((name, language), before) in known {
        c.exec(
            "DELETE FROM template WHERE workspace_id = $1 AND waba_id = $2 AND name = $3 AND language = $4",
            vals![workspace.0, waba_id, name.as_str(), language.as_str()],
        )
        .await?;
        let data = json!({ "waba_id": waba_id, "name": name, "language": language, "status": null,
            "status_before": before.status, "category_before": before.category });
        news.push(event(EventKind::TemplateChanged, None, now, &data));
    }
    Ok(news)
}

async fn put_numbers(
    c: &mut Conn,
    workspace: WorkspaceId,
    waba_id: &str,
    numbers: &[NumberState],
    now: Millis,
) -> Result<Vec<NewEvent>, StoreError> {
    let rows: Vec<NumberRow> =
        c.all(format!("SELECT {NUMBER} FROM number_state WHERE workspace_id = $1"), vals![workspace.0]).await?;
    let known: Vec<NumberState> = rows.into_iter().map(NumberRow::read).collect();
    let (mut changed, mut news) = (Vec::new(), Vec::new());
    for number in numbers.iter().filter(|n| !known.contains(n)) {
        changed.push(vals![
            workspace.0,
            number.number.as_str(),
            waba_id,
            number.display.clone(),
            number.verified_name.clone(),
            number.name_status.clone(),
            number.quality.clone(),
            number.status.clone(),
            number.messaging_limit.clone(),
            now
        ]);
        let before = known.iter().find(|k| k.number == number.number);
        let data = json!({ "name_status": number.name_status, "quality": number.quality, "status": number.status,
            "messaging_limit": number.messaging_limit, "quality_before": before.map(|b| &b.quality),
            "status_before": before.map(|b| &b.status), "messaging_limit_before": before.map(|b| &b.messaging_limit) });
        news.push(event(EventKind::NumberChanged, Some(number.number.clone()), now, &data));
    }
    c.insert_many(
        "INSERT INTO number_state (workspace_id, number_id, waba_id, display, verified_name, name_status, quality, \
         status, messaging_limit, changed_at)",
        "ON CONFLICT (workspace_id, number_id) DO UPDATE SET waba_id = excluded.waba_id, display = excluded.display, \
         verified_name = excluded.verified_name, name_status = excluded.name_status, quality = excluded.quality, \
         status = excluded.status, messaging_limit = excluded.messaging_limit, changed_at = excluded.changed_at",
        changed,
    )
    .await?;
    Ok(news)
}

fn event(kind: EventKind, number: Option<NumberId>, at: Millis, data: &serde_json::Value) -> NewEvent {
    let data = data.to_string();
    NewEvent { kind, at, person: None, conversation: None, message: None, number, dedup: None, data }
}

async fn kept(c: &mut Conn, workspace: WorkspaceId, version: i64) -> Result<Option<Kept>, StoreError> {
    let accounts: Vec<(String, Option<Millis>, i64)> =
        c.all("SELECT waba_id, read_at, version FROM account WHERE workspace_id = $1", vals![workspace.0]).await?;
    let now_at: i64 = accounts.iter().map(|(.., version)| version).sum();
    if now_at == version {
        return Ok(None);
    }
    let templates: Vec<TemplateRow> = c
        .all(
            format!("SELECT {TEMPLATE} FROM template WHERE workspace_id = $1 ORDER BY waba_id, name, language"),
            vals![workspace.0],
        )
        .await?;
    let numbers: Vec<NumberRow> = c
        .all(
            format!("SELECT {NUMBER} FROM number_state WHERE workspace_id = $1 ORDER BY number_id"),
            vals![workspace.0],
        )
        .await?;
    Ok(Some(Kept {
        version: now_at,
        read: accounts.into_iter().filter_map(|(id, at, _)| at.map(|at| (id, at))).collect(),
        templates: templates.into_iter().map(TemplateRow::read).collect(),
        numbers: numbers.into_iter().map(NumberRow::read).collect(),
    }))
}
