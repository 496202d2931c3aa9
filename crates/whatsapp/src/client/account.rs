//! Reading an account: its templates page by page, the state of a number. Facts: whatsapp-api 5.6 and 5.8.
//! Failure story: reads only; half a list is an error, never a short list.

use super::CloudApi;
use super::config::is_id;
use crate::errors::Effect;
use ponte_domain::account::{NumberState, Template, template_language};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ids::NumberId;
use ponte_net::Request;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

/// Templates of one page: an answer stays well below its limit of size.
const PAGE: usize = 50;
/// More than the 6,000 templates an account may have.
const MAX_PAGES: usize = 200;
const FIELDS: &str = "id,name,language,status,category,components,quality_score,rejected_reason";

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    data: Vec<Row>,
    #[serde(default)]
    paging: Paging,
}

#[derive(Default, Deserialize)]
struct Paging {
    #[serde(default)]
    cursors: Cursors,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Default, Deserialize)]
struct Cursors {
    #[serde(default)]
    after: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    name: String,
    language: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    components: Value,
    #[serde(default)]
    quality_score: Option<Quality>,
    #[serde(default)]
    rejected_reason: Option<String>,
}

/// An object with the score; older answers had the score alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Quality {
    Object { score: Option<String> },
    Word(String),
}

impl CloudApi {
    /// All templates of the account that a number belongs to.
    pub(super) async fn all_templates(&self, number: &NumberId) -> Result<Vec<Template>, CallError> {
        let token = self.token(number).ok_or_else(super::number_unknown)?;
        let waba = self.config.numbers.get(number).map(|n| n.waba_id.clone()).unwrap_or_default();
        if !is_id(&waba) {
            let title = "the waba_id of this number is no id of Meta's";
            return Err(CallError::new(ErrorClass::Configuration, "waba_id_invalid", title));
        }
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let limit = PAGE.to_string();
            let mut query = vec![("fields", FIELDS), ("limit", &limit)];
            query.extend(after.as_deref().map(|after| ("after", after)));
            let url = Url::parse_with_params(&self.url(&format!("{waba}/message_templates")), query)
                .map_err(|_| unreadable())?;
            let request = Request::get(super::TARGET, url.to_string()).timeout(self.config.media_idle_timeout);
            let answer = self.ask(request, token, Effect::Repeatable).await?;
            let page: Page = serde_json::from_slice(&answer).map_err(|_| unreadable())?;
            all.extend(page.data.into_iter().map(|row| row.template(&waba)));
            match (page.paging.next, page.paging.cursors.after) {
                (Some(_), Some(next)) if Some(&next) != after.as_ref() => after = Some(next),
                (Some(_), _) => return Err(unreadable()),
                (None, _) => return Ok(all),
            }
        }
        Err(unreadable())
    }
}

impl Row {
    fn template(self, waba: &str) -> Template {
        let quality = self.quality_score.and_then(|q| match q {
            Quality::Object { score } => score,
            Quality::Word(score) => Some(score),
        });
        Template {
            waba_id: waba.to_owned(),
            name: self.name,
            language: template_language(&self.language),
            id: self.id,
            category: self.category,
            status: self.status,
            quality,
            rejected_reason: self.rejected_reason.filter(|reason| reason != "NONE"),
            components: self.components.to_string(),
        }
    }
}

/// The state of a number from the answer about its health.
pub(super) fn number_state(number: &NumberId, health: &Value) -> NumberState {
    let text = |key: &str| health.get(key).and_then(Value::as_str).map(str::to_owned);
    NumberState {
        number: number.clone(),
        display: text("display_phone_number"),
        verified_name: text("verified_name"),
        name_status: text("name_status"),
        quality: text("quality_rating"),
        status: text("status"),
        messaging_limit: text("whatsapp_business_manager_messaging_limit"),
    }
}

fn unreadable() -> CallError {
    CallError::new(
        ErrorClass::Retryable { after_ms: None },
        "answer_unreadable",
        "the list of templates can't be read to its end",
    )
}
