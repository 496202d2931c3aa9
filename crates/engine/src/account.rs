//! # Account
//! Purpose: knows what WhatsApp says of the business accounts: which templates are approved and of which category, and whether
//! numbers have a name. Reads it at start, every ten minutes, and when a webhook says that something changed.
//! May touch: the channel's reads, the store's verbs for accounts.
//! Must not touch: what is allowed. The policy asks what is known here.
//! Invariants: one node reads an account at a time; all nodes answer from what is stored, some seconds late at most. What can't be
//! read stays as it was.
//! Failure story: killed while reading, the account is read again ten minutes later, or by the next notice.

use crate::World;
use ponte_domain::account::Known;
use ponte_domain::error::StoreError;
use ponte_domain::ids::{NumberId, WorkspaceId};
use ponte_domain::ports::account::Accounts;
use ponte_domain::{MINUTE, Millis, SECOND};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_util::sync::CancellationToken;

const READ_EVERY_MS: Millis = 10 * MINUTE;
/// After a failure.
const AGAIN_MS: Millis = 30 * SECOND;
const LOOK_MS: Millis = SECOND;

/// What is stored of the accounts, in memory.
pub struct Directory {
    accounts: Arc<dyn Accounts>,
    known: RwLock<(i64, Arc<Known>)>,
}

impl Directory {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(accounts: Arc<dyn Accounts>) -> Self {
        Self { accounts, known: RwLock::new((-1, Arc::default())) }
    }

    /// What is known now.
    #[must_use]
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// Takes in what was stored since.
    ///
    /// # Errors
    /// When the store can't; what was known stays.
    pub async fn refresh(&self, workspace: WorkspaceId) -> Result<(), StoreError> {
        let version = self.known.read().unwrap_or_else(PoisonError::into_inner).0;
        if let Some(kept) = self.accounts.account_kept(workspace, version).await? {
            let known = Known::new(kept.read.into_iter().map(|(id, _)| id), &kept.templates, &kept.numbers);
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = (kept.version, Arc::new(known));
        }
        Ok(())
    }
}

/// Runs until stopped.
pub async fn run(world: World, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = round(&world).await {
            tracing::warn!(error = %error, "what is known of the accounts can't be kept now");
        }
        tokio::select! {
            () = world.clock.sleep_ms(LOOK_MS) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn round(world: &World) -> Result<(), StoreError> {
    let accounts = &world.accounts.accounts;
    let numbers = by_account(world);
    let now = world.clock.now();
    let all = numbers.keys().cloned().collect();
    for waba_id in accounts.account_claim(world.workspace, all, now, now + READ_EVERY_MS).await? {
        if !read(world, &waba_id, numbers.get(&waba_id).map(Vec::as_slice).unwrap_or_default()).await? {
            accounts.account_due(world.workspace, &waba_id, world.clock.now() + AGAIN_MS).await?;
        }
    }
    world.accounts.refresh(world.workspace).await
}

/// Reads one account now, whoever else does.
///
/// # Errors
/// When the store can't.
pub async fn read_now(world: &World) -> Result<bool, StoreError> {
    let mut whole = true;
    let now = world.clock.now();
    for (waba_id, numbers) in by_account(world) {
        world.accounts.accounts.account_claim(world.workspace, vec![waba_id.clone()], now, now + READ_EVERY_MS).await?;
        whole &= read(world, &waba_id, &numbers).await?;
    }
    world.accounts.refresh(world.workspace).await?;
    Ok(whole)
}

fn by_account(world: &World) -> BTreeMap<String, Vec<NumberId>> {
    let mut all: BTreeMap<String, Vec<NumberId>> = BTreeMap::new();
    for number in world.directory.all() {
        all.entry(number.waba_id.clone()).or_default().push(number.id.clone());
    }
    all
}

/// False when WhatsApp couldn't be read.
async fn read(world: &World, waba_id: &str, numbers: &[NumberId]) -> Result<bool, StoreError> {
    let Some(first) = numbers.first() else { return Ok(true) };
    let templates = match world.channel.templates(first).await {
        Ok(templates) => templates,
        Err(error) => {
            tracing::warn!(code = %error.code, "templates can't be read: {}", error.title);
            return Ok(false);
        }
    };
    let (mut states, mut whole) = (Vec::with_capacity(numbers.len()), true);
    for number in numbers {
        match world.channel.number_state(number).await {
            Ok(state) => states.push(state),
            Err(error) => {
                whole = false;
                tracing::warn!(code = %error.code, "the state of a number can't be read: {}", error.title);
            }
        }
    }
    let now = world.clock.now();
    world.accounts.accounts.account_put(world.workspace, waba_id, templates, states, now).await?;
    Ok(whole)
}
