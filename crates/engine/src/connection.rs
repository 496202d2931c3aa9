//! # Connection
//! Purpose: a CRM under its configured name, what is set for it, and its mapping, which is worked out from the CRM's own schema and
//! looked at again from time to time.
//! May touch: the CRM port's schema, our definitions of fields.
//! Must not touch: people, messages, lanes.
//! Failure story: while the schema can't be read the last mapping holds; without one nothing mapped is read or written.

use crate::World;
use ponte_domain::crm::CrmField;
use ponte_domain::error::{CallError, ErrorClass, StoreError};
use ponte_domain::fields::Fields;
use ponte_domain::ids::ConnectionId;
use ponte_domain::mapping::trigger::Trigger;
use ponte_domain::mapping::{Finding, Mapping, Rule, Skip, own_fields};
use ponte_domain::phone::Region;
use ponte_domain::ports::access::{Access, Standing};
use ponte_domain::ports::crm::Crm;
use ponte_domain::{MINUTE, Millis, SECOND};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// How long a schema is believed.
const SCHEMA_MS: Millis = 15 * MINUTE;
/// How long when something speaks against it; it isn't asked for more often.
const DOUBTED_MS: Millis = MINUTE;

/// How often a connection that waits to be authorised looks whether it is.
const STANDING_MS: Millis = SECOND / 2;

/// What is set for a connection.
#[derive(Debug, Clone)]
pub struct SyncSettings {
    /// Reads from the CRM at all.
    pub pull: bool,
    /// Time between looks at what changed. Milliseconds.
    pub every_ms: Millis,
    /// A record of somebody unknown makes a person.
    pub create_people: bool,
    /// Of numbers without country code.
    pub country: Option<Region>,
    /// Makes the fields that the default mapping needs.
    pub make_fields: bool,
    /// The mapping's rules.
    pub rules: Vec<Rule>,
    /// Messages that records of this connection may ask for.
    pub triggers: Vec<Trigger>,
    /// Where the CRM reaches our address for notifications; `None`: it isn't asked to notify.
    pub notify_url: Option<String>,
}

impl Default for SyncSettings {
    /// Every 15 minutes, people are made, no rules.
    fn default() -> Self {
        Self {
            pull: true,
            every_ms: 15 * MINUTE,
            create_people: true,
            country: None,
            make_fields: true,
            rules: Vec::new(),
            triggers: Vec::new(),
            notify_url: None,
        }
    }
}

/// A mapping that fits the CRM as it is.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The rules that hold.
    pub mapping: Mapping,
    /// Names of the fields that are read.
    pub names: Vec<String>,
    /// Types of our fields.
    pub fields: Fields,
    /// What was found about rules.
    pub findings: Vec<Finding>,
    /// A rule names a field that the CRM doesn't have: it may be made any moment.
    pub lacks: bool,
    /// When.
    pub at: Millis,
}

impl Loaded {
    /// True while it needn't be asked for again. `tried`: when that was done last, whatever came of it.
    const fn holds(&self, doubted: bool, tried: Millis, now: Millis) -> bool {
        let believed = if doubted || self.lacks { DOUBTED_MS } else { SCHEMA_MS };
        now - self.at < believed || now - tried < DOUBTED_MS
    }
}

/// A CRM under its configured name.
#[derive(Clone)]
pub struct Connection {
    /// Configured name.
    pub id: ConnectionId,
    /// The CRM.
    pub crm: Arc<dyn Crm>,
    /// What is set.
    pub settings: Arc<SyncSettings>,
    /// How it gets its right to the CRM, where a person can give it; `None`: the configuration says how to sign in.
    pub access: Option<Arc<dyn Access>>,
    loaded: Arc<RwLock<Option<Arc<Loaded>>>>,
    doubted: Arc<AtomicBool>,
    tried: Arc<AtomicI64>,
    /// The grant that was seen last, by its time.
    seen: Arc<Mutex<Option<Millis>>>,
}

impl Connection {
    /// A connection; asks nothing yet.
    #[must_use]
    pub fn new(id: ConnectionId, crm: Arc<dyn Crm>, settings: SyncSettings) -> Self {
        Self {
            id,
            crm,
            settings: Arc::new(settings),
            access: None,
            loaded: Arc::default(),
            doubted: Arc::default(),
            tried: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// With a way to be authorised by a person.
    #[must_use]
    pub fn with_access(mut self, access: Option<Arc<dyn Access>>) -> Self {
        self.access = access;
        self
    }

    /// Whether it may call its CRM.
    ///
    /// # Errors
    /// When the store can't say.
    pub async fn standing(&self) -> Result<Standing, StoreError> {
        let Some(access) = &self.access else { return Ok(Standing::Configured) };
        let standing = access.standing().await?;
        if let Standing::Authorised { since } = standing {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.replace(since).is_some_and(|before| before != since) {
                self.crm.reauthorised();
                *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
        Ok(standing)
    }

    /// When to try again after a failure: at `usual`, but at once when it failed because it isn't authorised any more. Then nothing is
    /// tried until it is.
    pub(crate) async fn again(&self, world: &World, usual: Millis) -> Millis {
        let waits = self.standing().await.is_ok_and(|standing| !standing.ready());
        if waits { world.clock.now() } else { usual }
    }

    /// Waits until it may call its CRM. Asks the store twice a second, so that a grant is noticed whoever got it.
    pub(crate) async fn ready(&self, world: &World) {
        let mut told = false;
        loop {
            match self.standing().await {
                Ok(standing) => match standing.trouble(self.id.as_str()) {
                    None => return,
                    Some(trouble) if !told => {
                        tracing::debug!(connection = %self.id, "waits: {trouble}");
                        told = true;
                    }
                    Some(_) => {}
                },
                Err(error) => tracing::warn!(connection = %self.id, "whether it is authorised can't be known: {error}"),
            }
            world.clock.sleep_ms(STANDING_MS).await;
        }
    }

    /// Who says what comes from here.
    #[must_use]
    pub fn source(&self) -> String {
        format!("crm:{}", self.id)
    }

    /// The mapping as it was last worked out.
    #[must_use]
    pub fn known(&self) -> Option<Arc<Loaded>> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The mapping; asks the CRM for its schema when what is known is old. When the CRM can't say, what is known holds.
    ///
    /// # Errors
    /// When nothing is known and the CRM or the store can't say.
    pub async fn mapping(&self, world: &World) -> Result<Arc<Loaded>, CallError> {
        let now = world.clock.now();
        let Some(known) = self.known() else { return self.load(world).await };
        if known.holds(self.doubted.load(Ordering::Relaxed), self.tried.load(Ordering::Relaxed), now) {
            return Ok(known);
        }
        self.tried.store(now, Ordering::Relaxed);
        Ok(self.load(world).await.unwrap_or(known))
    }

    /// What the CRM answered may mean that its fields have changed: then the next use asks for them again.
    pub(crate) fn heard(&self, error: &CallError) {
        if matches!(error.class, ErrorClass::Configuration | ErrorClass::Permanent) {
            self.doubted.store(true, Ordering::Relaxed);
        }
    }

    /// What was left out may mean the same.
    pub(crate) fn left_out<'a>(&self, mut skips: impl Iterator<Item = &'a Skip>) {
        if skips.any(Skip::doubts_schema) {
            self.doubted.store(true, Ordering::Relaxed);
        }
    }

    /// Works the mapping out anew.
    ///
    /// # Errors
    /// When the CRM or the store can't say.
    pub async fn load(&self, world: &World) -> Result<Arc<Loaded>, CallError> {
        let now = world.clock.now();
        let mut loaded = Loaded { at: now, ..Loaded::default() };
        if !self.settings.rules.is_empty() {
            loaded.fields = world.people.fields(world.workspace).await.map_err(CallError::from)?;
            let schema = self.schema().await?;
            loaded.findings = Mapping::check(&self.settings.rules, &schema, &loaded.fields);
            loaded.mapping = Mapping::new(self.settings.rules.clone(), &schema, &loaded.fields);
            loaded.names = loaded.mapping.read_fields();
            let there = |name: &String| schema.iter().any(|field| field.name == *name);
            let rules = self.settings.rules.iter().filter(|rule| !rule.by_default);
            let mut named = rules.flat_map(|rule| rule.theirs.clone());
            loaded.lacks = !named.all(|name| there(&name));
            loaded.names.extend(self.settings.triggers.iter().flat_map(Trigger::names).filter(there));
            loaded.names.sort_unstable();
            loaded.names.dedup();
        }
        let loaded = Arc::new(loaded);
        self.doubted.store(false, Ordering::Relaxed);
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&loaded));
        Ok(loaded)
    }

    /// The CRM's fields; those that the default mapping needs are made where that is wanted and possible.
    async fn schema(&self) -> Result<Vec<CrmField>, CallError> {
        let schema = self.crm.contact_fields().await?;
        let capabilities = self.crm.capabilities();
        let wanted = |field: &CrmField| {
            let mapped = self.settings.rules.iter().any(|r| r.theirs.contains(&field.name));
            mapped && !schema.iter().any(|known| known.name == field.name)
        };
        let missing: Vec<CrmField> = own_fields(&capabilities.product).into_iter().filter(wanted).collect();
        if missing.is_empty() || !self.settings.make_fields || !capabilities.creates_fields {
            return Ok(schema);
        }
        match self.crm.create_fields(&missing).await {
            Ok(()) => self.crm.contact_fields().await,
            Err(error) => {
                // The rest of the mapping works without them.
                tracing::warn!(connection = %self.id, code = %error.code, "fields of ours can't be made: {}", error.title);
                Ok(schema)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_something_speaks_against_is_asked_for_again_at_once_but_once_a_minute() {
        let known = |lacks| Loaded { at: 0, lacks, ..Loaded::default() };
        for (lacks, doubted) in [(true, false), (false, true)] {
            assert!(known(lacks).holds(doubted, 0, MINUTE - 1));
            assert!(!known(lacks).holds(doubted, 0, MINUTE));
            assert!(known(lacks).holds(doubted, MINUTE, 2 * MINUTE - 1), "it was tried in vain a moment ago");
            assert!(!known(lacks).holds(doubted, MINUTE, 2 * MINUTE));
        }
        assert!(known(false).holds(false, 0, SCHEMA_MS - 1));
        assert!(!known(false).holds(false, 0, SCHEMA_MS));
    }
}
