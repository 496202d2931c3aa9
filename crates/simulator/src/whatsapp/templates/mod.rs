//! Message templates: their definition, their store, and the two strict readers (creation rules, parameters of a send).
//! May touch: the template store. Must not touch: sockets.

pub mod check;
pub mod lint;
pub mod spec;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use spec::Spec;
use std::collections::HashMap;
use std::sync::Arc;

/// A stored template, as `GET /{WABA}/message_templates` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Template id (digits).
    pub id: String,
    /// Name: lowercase letters, digits, `_`.
    pub name: String,
    /// Language, e.g. `en_US`.
    pub language: String,
    /// AUTHENTICATION, MARKETING or UTILITY.
    pub category: String,
    /// APPROVED, PENDING, REJECTED, PAUSED, DISABLED, PENDING_DELETION …
    #[serde(default = "approved")]
    pub status: String,
    /// NAMED or POSITIONAL.
    #[serde(default = "positional")]
    pub parameter_format: String,
    /// Components in Graph form (`type` HEADER, BODY, FOOTER, BUTTONS, CAROUSEL, LIMITED_TIME_OFFER).
    pub components: Vec<Value>,
    /// GREEN, YELLOW, RED or UNKNOWN.
    #[serde(default = "unknown")]
    pub quality_score: String,
    /// NONE, or why it was rejected.
    #[serde(default = "none")]
    pub rejected_reason: String,
    /// Seconds an undelivered message is kept.
    #[serde(default)]
    pub message_send_ttl_seconds: Option<i64>,
}

fn approved() -> String {
    "APPROVED".into()
}
fn positional() -> String {
    "POSITIONAL".into()
}
fn unknown() -> String {
    "UNKNOWN".into()
}
fn none() -> String {
    "NONE".into()
}

/// A template with its parameters worked out once.
#[derive(Debug)]
pub struct Entry {
    /// The definition.
    pub template: Template,
    /// What a send must supply.
    pub spec: Spec,
    /// When it was last edited, epoch milliseconds; 0 never.
    pub edited_at_ms: i64,
}

/// The templates of one account, in order of creation.
#[derive(Debug, Default)]
pub struct Shelf {
    by_key: HashMap<String, HashMap<String, String>>,
    by_id: HashMap<String, Arc<Entry>>,
    order: Vec<String>,
}

impl Shelf {
    /// A shelf of these templates.
    #[must_use]
    pub fn of(templates: &[Template]) -> Self {
        let mut shelf = Self::default();
        for template in templates {
            shelf.put(template.clone(), 0);
        }
        shelf
    }

    /// Adds or replaces by id.
    pub fn put(&mut self, template: Template, edited_at_ms: i64) {
        let spec = Spec::of(&template);
        let id = template.id.clone();
        self.by_key.entry(template.name.clone()).or_default().insert(template.language.clone(), id.clone());
        if self.by_id.insert(id.clone(), Arc::new(Entry { template, spec, edited_at_ms })).is_none() {
            self.order.push(id);
        }
    }

    /// The template of a name and language.
    #[must_use]
    pub fn find(&self, name: &str, language: &str) -> Option<Arc<Entry>> {
        self.by_key.get(name)?.get(language).and_then(|id| self.by_id.get(id)).cloned()
    }

    /// The template with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Entry>> {
        self.by_id.get(id).cloned()
    }

    /// Removes by id.
    pub fn remove(&mut self, id: &str) -> Option<Arc<Entry>> {
        let gone = self.by_id.remove(id)?;
        self.order.retain(|known| known != id);
        if let Some(languages) = self.by_key.get_mut(&gone.template.name) {
            languages.remove(&gone.template.language);
        }
        Some(gone)
    }

    /// All, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.order.iter().filter_map(|id| self.by_id.get(id))
    }
}
