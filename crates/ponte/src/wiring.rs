//! # Wiring
//! Purpose: puts store, WhatsApp, CRMs, engine and server together from the configuration. The only place that sees them all.
//! Must not touch: what any of them does.

use crate::adapters::{
    AppSignatures, DiskBlobs, HashedKeys, PhonePlaces, SystemChance, SystemClock, TimeIds, cpu_meter, now,
};
use crate::config::Settings;
use crate::targets::EgressTargets;
use crate::{connections, vault};
use anyhow::Context;
use ponte_domain::ids::WorkspaceId;
use ponte_domain::ports::account::Accounts;
use ponte_domain::ports::hooks::Hooks;
use ponte_domain::ports::people::People;
use ponte_domain::ports::retention::Retention;
use ponte_domain::ports::store::Store;
use ponte_domain::ports::sync::CrmSync;
use ponte_domain::ports::vault::Vault;
use ponte_engine::World;
use ponte_engine::account::Directory;
use ponte_engine::connection::Connection;
use ponte_engine::directory::{Number, Numbers};
use ponte_engine::pulse::Pulse;
use ponte_engine::receive::Receiver;
use ponte_engine::settings::Settings as EngineSettings;
use ponte_engine::supervisor::Engine;
use ponte_net::{Egress, EgressConfig};
use ponte_server::{App, BODY_ROOM_KIB, Server, ServerConfig};
use ponte_store::{Database, Options, SqlStore};
use ponte_whatsapp::verify::{AppIndex, AppSecrets, Secrets};
use ponte_whatsapp::{CloudApi, CloudApiConfig, NumberAccess};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The one workspace of an installation.
pub const WORKSPACE: WorkspaceId = WorkspaceId(1);

/// What the commands work with.
pub struct Assembly {
    /// The engine's world.
    pub world: World,
    /// The configured CRMs.
    pub crms: Vec<Connection>,
    /// The store, for closing.
    pub store: Arc<SqlStore>,
    /// The configuration it was made of.
    pub settings: Settings,
}

/// Opens the database and builds everything around it. `serve`: as the program that works the lanes.
///
/// # Errors
/// When the database, the media folder or an outside client can't be set up, with what to do.
pub async fn assemble(settings: Settings, serve: bool) -> anyhow::Result<Assembly> {
    let store = Arc::new(open_store(&settings, serve, settings.database_section.migrate).await?);
    let egress = egress(&settings).context("[egress]")?;
    let channel = cloud_api(&settings, egress.clone()).context("[whatsapp]")?;
    let blobs = DiskBlobs::open(&settings.media_dir)
        .with_context(|| format!("[storage] media_dir {} can't be made", settings.media_dir.display()))?;
    let world = World {
        workspace: WORKSPACE,
        store: Arc::clone(&store) as Arc<dyn Store>,
        people: Arc::clone(&store) as Arc<dyn People>,
        sync: Arc::clone(&store) as Arc<dyn CrmSync>,
        retention: Arc::clone(&store) as Arc<dyn Retention>,
        hooks: Arc::clone(&store) as Arc<dyn Hooks>,
        targets: Arc::new(EgressTargets(egress.clone())),
        channel: Arc::new(channel),
        blobs: Arc::new(blobs),
        clock: Arc::new(SystemClock),
        chance: Arc::new(SystemChance),
        ids: Arc::new(TimeIds),
        directory: Arc::new(numbers(&settings)),
        accounts: Arc::new(Directory::new(Arc::clone(&store) as Arc<dyn Accounts>)),
        places: Arc::new(PhonePlaces),
        settings: Arc::new(engine_settings(&settings)),
        pulse: Arc::new(Pulse::default()),
    };
    world.accounts.refresh(WORKSPACE).await?;
    let vault: Arc<dyn Vault> = Arc::clone(&store) as Arc<dyn Vault>;
    let crms =
        settings.crms.iter().map(|crm| connections::open(crm, &egress, &vault)).collect::<anyhow::Result<_>>()?;
    Ok(Assembly { world, crms, store, settings })
}

/// Opens the database alone.
///
/// # Errors
/// When it can't be opened, or needs a migration that wasn't asked for.
pub async fn open_store(settings: &Settings, serve: bool, migrate: bool) -> anyhow::Result<SqlStore> {
    if let Database::Sqlite(path) = &settings.database
        && let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("[database] the folder {} can't be made", folder.display()))?;
    }
    let options = Options {
        database: settings.database.clone(),
        node: format!("{}-{}", std::process::id(), uuid::Uuid::now_v7().simple()),
        serve,
        connections: settings.database_section.connections,
        migrate,
    };
    let key = vault::key(settings).context("[secrets] key")?;
    Ok(SqlStore::open(options, now()).await?.with_vault_key(key))
}

fn egress(settings: &Settings) -> anyhow::Result<Egress> {
    let config = EgressConfig {
        allow_private: settings.allow_private.clone(),
        user_agent: concat!("ponte/", env!("CARGO_PKG_VERSION")).to_owned(),
        max_idle_per_host: 512,
        ..EgressConfig::default()
    };
    Ok(Egress::new(&config)?)
}

fn cloud_api(settings: &Settings, egress: Egress) -> anyhow::Result<CloudApi> {
    let numbers = settings.numbers.iter().map(|n| {
        let access =
            NumberAccess { access_token: n.access_token.clone(), waba_id: n.waba_id.clone(), app: AppIndex(0) };
        (n.phone_number_id.as_str().into(), access)
    });
    let config = CloudApiConfig {
        base_url: settings.whatsapp.base_url.clone(),
        version: settings.whatsapp.version.clone(),
        numbers: numbers.collect(),
        send_timeout: Duration::from_millis(settings.whatsapp.send_timeout_ms),
        extra_media_hosts: settings.whatsapp.extra_media_hosts.clone(),
        ..CloudApiConfig::default()
    };
    Ok(CloudApi::new(config, egress)?)
}

fn numbers(settings: &Settings) -> Numbers {
    let numbers = settings.numbers.iter().map(|n| Number {
        id: n.phone_number_id.as_str().into(),
        waba_id: n.waba_id.clone(),
        brand: n.brand.clone(),
        limits: n.limits.clone(),
    });
    Numbers::new(numbers.collect())
}

fn engine_settings(settings: &Settings) -> EngineSettings {
    EngineSettings {
        send_retry: settings.retry.clone(),
        start_per_second: settings.dispatch.start_per_second,
        cpu_ceiling: settings.dispatch.cpu_ceiling,
        max_in_flight: settings.dispatch.max_in_flight,
        unknown_look_ms: settings.dispatch.unknown_look_ms,
        unknown_settle_ms: settings.dispatch.unknown_settle_ms,
        unknown_give_up_ms: settings.dispatch.unknown_give_up_ms,
        hooks: settings.hooks.clone(),
        retention: settings.retention.clone(),
        consent: settings.consent.clone(),
        policy: settings.policy.clone(),
        reach: settings.reach,
        survivorship: settings.contacts.rules.clone(),
        ..EngineSettings::default()
    }
}

/// The configured CRMs alone.
///
/// # Errors
/// When the door out can't be made.
pub fn crms(settings: &Settings, vault: &Arc<dyn Vault>) -> anyhow::Result<Vec<Connection>> {
    let egress = egress(settings).context("[egress]")?;
    settings.crms.iter().map(|crm| connections::open(crm, &egress, vault)).collect()
}

/// A serving program: workers and listener.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The engine's world, for those who watch.
    pub world: World,
    store: Arc<SqlStore>,
    engine: Engine,
    listener: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    draining: Arc<AtomicBool>,
}

/// Starts workers and listener.
///
/// # Errors
/// When the address can't be bound or an app's secrets can't be used.
pub async fn start(assembly: Assembly, metrics: Arc<dyn Fn() -> String + Send + Sync>) -> anyhow::Result<Running> {
    let Assembly { world, crms, store, settings } = assembly;
    let receiver = Arc::new(Receiver::new(world.clone(), Arc::new(signatures(&settings)?)));
    let draining = Arc::new(AtomicBool::new(false));
    let app = App {
        world: world.clone(),
        receiver: Arc::clone(&receiver),
        public_url: Some(settings.server.public_url.as_str()).filter(|url| !url.is_empty()).map(Into::into),
        crms: Arc::new(crms.clone()),
        triggers: Arc::new(settings.triggers.clone()),
        keys: Arc::new(HashedKeys::new(settings.api_keys.iter().map(|k| (k.name.as_str(), &k.token)))),
        metrics,
        body_room: Arc::new(Semaphore::new(BODY_ROOM_KIB)),
        draining: Arc::clone(&draining),
    };
    let limits = ServerConfig {
        webhook_body_limit: settings.server.webhook_body_limit,
        api_body_limit: settings.server.api_body_limit,
        max_connections: settings.server.max_connections,
    };
    let server = Server::bind(settings.server.listen, app, limits)
        .await
        .with_context(|| format!("[server] listen {} can't be bound", settings.server.listen))?;
    let address = server.address()?;
    let stop = CancellationToken::new();
    let listener = tokio::spawn(server.run(stop.clone()));
    for crm in &crms {
        if let Some(trouble) = crm.standing().await?.trouble(crm.id.as_str()) {
            tracing::warn!(connection = %crm.id, "the connection waits: {trouble}");
        }
    }
    // Known before anything is claimed: were it killed at once, others would free what it held.
    world.store.heartbeat(now()).await?;
    let engine = Engine::start(world.clone(), Some(receiver), crms, cpu_meter());
    Ok(Running { address, world, store, engine, listener, stop, draining })
}

impl Running {
    /// Takes no more requests, ends what is under way, gives back what is held, closes the database.
    pub async fn stop(self) {
        self.draining.store(true, Ordering::Relaxed);
        self.stop.cancel();
        let _ = self.listener.await;
        self.engine.stop().await;
        self.store.close().await;
    }
}

fn signatures(settings: &Settings) -> anyhow::Result<AppSignatures> {
    let apps: Vec<AppSecrets> = settings
        .apps
        .iter()
        .map(|app| AppSecrets { app_secrets: app.app_secrets.clone(), verify_token: app.verify_token.clone() })
        .collect();
    // Without an app the program still sends; whatever is posted to the webhook is refused.
    let secrets = if apps.is_empty() { None } else { Some(Secrets::new(&apps).context("[[whatsapp.apps]]")?) };
    for app in &settings.apps {
        tracing::info!(app = %app.name, secrets = app.app_secrets.len(), "webhooks signed by this app are taken");
    }
    Ok(AppSignatures { secrets, workspace: WORKSPACE })
}
