//! Checking the whole configuration: every error at once, each with its place and its mend.

use super::contacts::RawContacts;
use super::crm::{RawTrigger, check_triggers};
use super::hooks::RawHooks;
use super::sections::{
    ApiKey, AppSettings, DatabaseSection, Dispatch, Egress, Log, NumberSettings, RawApp, RawConsent, RawKey, RawNumber,
    RawPolicy, RawRetention, RawSecrets, Server, Settings, Storage, WhatsApp,
};
use ponte_domain::ports::store::SendLimits;
use ponte_domain::rate::Limit;
use ponte_domain::retention::{Kind, Periods};
use ponte_domain::retry::RetryPolicy;
use ponte_store::Database;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::fmt;
use toml::{Table, Value};

/// Everything that is wrong with a configuration.
#[derive(Debug, Default)]
pub struct ConfigErrors(Vec<ConfigError>);

/// One thing that is wrong.
#[derive(Debug)]
struct ConfigError {
    place: String,
    problem: String,
    mend: String,
}

impl ConfigErrors {
    pub(super) fn add(&mut self, place: impl Into<String>, problem: impl Into<String>, mend: impl Into<String>) {
        self.0.push(ConfigError { place: place.into(), problem: problem.into(), mend: mend.into() });
    }

    /// True when there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration has {} error(s):", self.0.len())?;
        for error in &self.0 {
            writeln!(
                f,
                "  {}: {}\n      {}",
                error.place,
                error.problem.trim_end().replace('\n', "\n      "),
                error.mend
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

type Environment<'a> = &'a [(String, String)];

pub(super) fn read(mut table: Table, environment: Environment<'_>, errors: &mut ConfigErrors) -> Option<Settings> {
    let mut whatsapp = take_table(&mut table, "whatsapp", errors);
    let apps = list::<RawApp>(&mut whatsapp, "whatsapp", "apps", errors);
    let numbers = list::<RawNumber>(&mut whatsapp, "whatsapp", "numbers", errors);
    let mut api = take_table(&mut table, "api", errors);
    let keys = list::<RawKey>(&mut api, "api", "keys", errors);
    unknown("api", &api, errors);
    let mut crm = take_table(&mut table, "crm", errors);
    let crms = list::<Table>(&mut crm, "crm", "connections", errors);
    let triggers = list::<RawTrigger>(&mut crm, "crm", "triggers", errors);
    unknown("crm", &crm, errors);
    let whatsapp: Option<WhatsApp> = section("whatsapp", Value::Table(whatsapp), errors);
    let mut one = |name: &str| table.remove(name).unwrap_or(Value::Table(Table::new()));
    let (server, database, storage, log) = (one("server"), one("database"), one("storage"), one("log"));
    let (dispatch, retry, egress, retention) = (one("dispatch"), one("retry"), one("egress"), one("retention"));
    let own_secrets = one("secrets");
    let (consent, policy, contacts, hooks) = (one("consent"), one("policy"), one("contacts"), one("hooks"));
    for name in table.keys() {
        errors.add(format!("[{name}]"), "there is no such section", "see config.default.toml for all settings");
    }
    let server: Option<Server> = section("server", server, errors);
    let database: Option<DatabaseSection> = section("database", database, errors);
    let storage: Option<Storage> = section("storage", storage, errors);
    let log: Option<Log> = section("log", log, errors);
    let dispatch: Option<Dispatch> = section("dispatch", dispatch, errors);
    let retry: Option<RetryPolicy> = section("retry", retry, errors);
    let retention = section::<RawRetention>("retention", retention, errors).map(|raw| check_retention(raw, errors));
    let egress: Option<Egress> = section("egress", egress, errors);
    let consent = section::<RawConsent>("consent", consent, errors).map(|raw| super::consent::check(raw, errors));
    let policy =
        section::<RawPolicy>("policy", policy, errors).and_then(|raw| super::consent::check_policy(raw, errors));
    let contacts = section::<RawContacts>("contacts", contacts, errors).map(|raw| super::contacts::check(raw, errors));
    let hooks = section::<RawHooks>("hooks", hooks, errors).map(|raw| super::hooks::check(raw, errors));
    let secrets = Secrets { environment };
    let own_secrets = section::<RawSecrets>("secrets", own_secrets, errors);
    let secrets_key = own_secrets.filter(|s| !s.key.is_empty()).and_then(|s| check_key(&s.key, &secrets, errors));
    let apps = apps.into_iter().enumerate().filter_map(|(i, app)| check_app(i, app, &secrets, errors)).collect();
    let plan = dispatch.as_ref().and_then(|d| d.plan.limit());
    let numbers = check_numbers(numbers, plan, &secrets, errors);
    let api_keys = check_keys(keys, &secrets, errors);
    let mut crms = super::crm::check(crms, &secrets, errors);
    let known: Vec<&str> = numbers.iter().map(|n| n.phone_number_id.as_str()).collect();
    let triggers = check_triggers(triggers, &mut crms, &known, errors);
    let (whatsapp, dispatch, database) = (whatsapp?, dispatch?, database?);
    check_whatsapp(&whatsapp, errors);
    check_dispatch(&dispatch, errors);
    let url = check_database(&database.url, errors)?;
    if let (Database::Postgres(_), None, Some(crm)) = (&url, &secrets_key, crms.iter().find(|crm| crm.keeps_tokens())) {
        let problem = format!("is empty, but {} gets tokens that must be kept encrypted in the database", crm.name);
        errors.add("[secrets] key", problem, "make one with openssl rand -base64 32; all nodes have the same one");
    }
    let server = server.inspect(|server| check_public(&server.public_url, errors));
    let (policy, reach) = policy?;
    Some(Settings {
        server: server?,
        database: url,
        database_section: database,
        media_dir: storage?.media_dir,
        log: log?,
        whatsapp,
        apps,
        numbers,
        dispatch,
        retry: retry?,
        retention: retention?,
        api_keys,
        crms,
        triggers,
        secrets_key,
        allow_private: egress?.allow_private,
        consent: consent?,
        policy,
        reach,
        contacts: contacts?,
        hooks: hooks?,
    })
}

fn take_table(table: &mut Table, name: &str, errors: &mut ConfigErrors) -> Table {
    match table.remove(name) {
        Some(Value::Table(table)) => table,
        Some(_) => {
            errors.add(name, "is not a section", format!("write [{name}] on a line of its own"));
            Table::new()
        }
        None => Table::new(),
    }
}

fn unknown(section: &str, rest: &Table, errors: &mut ConfigErrors) {
    for key in rest.keys() {
        errors.add(
            format!("[{section}] {key}"),
            "there is no such setting",
            "see config.default.toml for all settings",
        );
    }
}

fn section<T: DeserializeOwned>(name: &str, value: Value, errors: &mut ConfigErrors) -> Option<T> {
    match value.try_into::<T>() {
        Ok(section) => Some(section),
        Err(error) => {
            errors.add(format!("[{name}]"), error.to_string(), "see config.default.toml for what is expected");
            None
        }
    }
}

/// Every item on its own, so that one error doesn't hide the others.
fn list<T: DeserializeOwned>(table: &mut Table, section: &str, name: &str, errors: &mut ConfigErrors) -> Vec<T> {
    let Some(value) = table.remove(name) else { return Vec::new() };
    let Value::Array(items) = value else {
        errors.add(format!("[{section}] {name}"), "is not a list", format!("write [[{section}.{name}]] for each"));
        return Vec::new();
    };
    let mut read = Vec::new();
    for (i, item) in items.into_iter().enumerate() {
        match item.try_into::<T>() {
            Ok(item) => read.push(item),
            Err(error) => errors.add(
                format!("[[{section}.{name}]] number {}", i + 1),
                error.to_string(),
                "see config.default.toml for what is expected",
            ),
        }
    }
    read
}

/// Where secrets come from.
pub(super) struct Secrets<'a> {
    pub(super) environment: Environment<'a>,
}

impl Secrets<'_> {
    pub(super) fn get(&self, place: &str, text: &str, errors: &mut ConfigErrors) -> Option<SecretString> {
        let found = if let Some(name) = text.strip_prefix("env:") {
            match self.environment.iter().find(|(n, _)| n == name) {
                Some((_, value)) => value.clone(),
                None => {
                    errors.add(place, format!("the environment has no {name}"), format!("set {name} before starting"));
                    return None;
                }
            }
        } else if let Some(path) = text.strip_prefix("file:") {
            match std::fs::read_to_string(path) {
                Ok(content) => content.lines().next().unwrap_or_default().trim().to_owned(),
                Err(error) => {
                    errors.add(place, format!("{path} can't be read: {error}"), "make the file readable");
                    return None;
                }
            }
        } else {
            text.to_owned()
        };
        if found.trim().is_empty() {
            errors.add(place, "is empty", "give the secret, or \"env:NAME\" or \"file:PATH\"");
            return None;
        }
        Some(found.into())
    }
}

fn check_app(i: usize, app: RawApp, secrets: &Secrets<'_>, errors: &mut ConfigErrors) -> Option<AppSettings> {
    let place = format!("[[whatsapp.apps]] number {} ({})", i + 1, app.name);
    if app.app_secrets.is_empty() {
        errors.add(&place, "app_secrets is empty", "give the app secret from the app's basic settings at Meta");
    }
    let app_secrets: Vec<_> =
        app.app_secrets.iter().filter_map(|s| secrets.get(&format!("{place} app_secrets"), s, errors)).collect();
    let verify_token = secrets.get(&format!("{place} verify_token"), &app.verify_token, errors)?;
    (!app_secrets.is_empty()).then_some(AppSettings { name: app.name, app_secrets, verify_token })
}

fn check_numbers(
    numbers: Vec<RawNumber>,
    plan: Option<Limit>,
    secrets: &Secrets<'_>,
    errors: &mut ConfigErrors,
) -> Vec<NumberSettings> {
    let mut seen = HashSet::new();
    let mut checked = Vec::new();
    for (i, number) in numbers.into_iter().enumerate() {
        let place = format!("[[whatsapp.numbers]] number {} ({})", i + 1, number.phone_number_id);
        if number.phone_number_id.is_empty() || number.waba_id.is_empty() {
            errors.add(
                &place,
                "phone_number_id or waba_id is empty",
                "copy both from the API set-up page of your app at Meta",
            );
        }
        if !seen.insert(number.phone_number_id.clone()) {
            errors.add(&place, "this phone_number_id stands twice", "remove one");
        }
        for (name, value) in [
            ("per_second", number.per_second),
            ("pair_seconds", number.pair_seconds),
            ("pair_burst", number.pair_burst),
        ] {
            if value == 0 {
                errors.add(format!("{place} {name}"), "is 0", "give at least 1");
            }
        }
        let Some(access_token) = secrets.get(&format!("{place} access_token"), &number.access_token, errors) else {
            continue;
        };
        let limits = SendLimits {
            // A tenth of a second at once: smooth for Meta, yet no call is wasted on a slow clock.
            number: Limit::new(number.per_second, 1, (number.per_second / 10).max(1)),
            plan,
            pair: Limit::new(1, number.pair_seconds.max(1), number.pair_burst.max(1)),
            portfolio: number.portfolio_id.unwrap_or_else(|| number.waba_id.clone()),
            portfolio_per_day: (number.people_per_day > 0).then_some(number.people_per_day),
        };
        checked.push(NumberSettings {
            phone_number_id: number.phone_number_id,
            waba_id: number.waba_id,
            brand: number.brand,
            access_token,
            limits,
        });
    }
    checked
}

/// Shorter keys can be guessed.
const SHORTEST_KEY: usize = 20;

fn check_keys(keys: Vec<RawKey>, secrets: &Secrets<'_>, errors: &mut ConfigErrors) -> Vec<ApiKey> {
    let mut checked = Vec::new();
    for key in keys {
        let place = format!("[[api.keys]] {}", key.name);
        let Some(token) = secrets.get(&format!("{place} token"), &key.token, errors) else { continue };
        if token.expose_secret().len() < SHORTEST_KEY {
            errors.add(
                format!("{place} token"),
                format!("is shorter than {SHORTEST_KEY} characters"),
                "make one with: openssl rand -hex 24",
            );
        }
        checked.push(ApiKey { name: key.name, token });
    }
    checked
}

fn check_key(text: &str, secrets: &Secrets<'_>, errors: &mut ConfigErrors) -> Option<SecretString> {
    let key = secrets.get("[secrets] key", text, errors)?;
    if let Err(problem) = crate::vault::read(key.expose_secret()) {
        errors.add("[secrets] key", problem.to_string(), "several nodes have the same one");
        return None;
    }
    Some(key)
}

fn check_whatsapp(whatsapp: &WhatsApp, errors: &mut ConfigErrors) {
    let known = whatsapp
        .version
        .strip_prefix('v')
        .and_then(|v| v.split_once('.'))
        .is_some_and(|(major, minor)| major.parse::<u32>().is_ok_and(|m| m >= 21) && minor.parse::<u32>().is_ok());
    if !known {
        errors.add("[whatsapp] version", "is no living Graph API version", "write v26.0; v21.0 ends 2027-01-21");
    }
    if !whatsapp.base_url.starts_with("http") || whatsapp.base_url.ends_with('/') {
        errors.add(
            "[whatsapp] base_url",
            "must start with https:// and not end with /",
            "write https://graph.facebook.com",
        );
    }
    if !(100..=60_000).contains(&whatsapp.send_timeout_ms) {
        errors.add("[whatsapp] send_timeout_ms", "must be between 100 and 60000", "write 3500");
    }
}

/// CRMs send people back there with codes, so it must be https, but on this machine.
fn check_public(url: &str, errors: &mut ConfigErrors) {
    let own = ["http://127.0.0.1:", "http://localhost:"].iter().any(|start| url.starts_with(start));
    if !url.is_empty() && (!(own || url.starts_with("https://")) || url.ends_with('/')) {
        errors.add("[server] public_url", "must start with https:// and not end with /", "https://ponte.example.com");
    }
}

fn check_dispatch(dispatch: &Dispatch, errors: &mut ConfigErrors) {
    if !(0.05..=1.0).contains(&dispatch.cpu_ceiling) {
        errors.add("[dispatch] cpu_ceiling", "must be between 0.05 and 1.0", "write 0.70");
    }
    if !(1.0..=100_000.0).contains(&dispatch.start_per_second) {
        errors.add("[dispatch] start_per_second", "must be between 1 and 100000", "write 50.0");
    }
    if dispatch.max_in_flight == 0 {
        errors.add("[dispatch] max_in_flight", "is 0", "write 512");
    }
    if dispatch.unknown_settle_ms < dispatch.unknown_look_ms || dispatch.unknown_give_up_ms < dispatch.unknown_settle_ms
    {
        errors.add(
            "[dispatch] unknown_look_ms, unknown_settle_ms, unknown_give_up_ms",
            "must grow in this order",
            "write 5000, 60000 and 900000",
        );
    }
}

fn check_retention(raw: RawRetention, errors: &mut ConfigErrors) -> Periods {
    let periods = Periods::new([
        (Kind::Journal, raw.journal_days),
        (Kind::Content, raw.content_days),
        (Kind::Events, raw.events_days),
        (Kind::DeadLetters, raw.dead_letters_days),
        (Kind::Imports, raw.imports_days),
        (Kind::Merges, raw.merges_days),
        (Kind::Audit, raw.audit_days),
        (Kind::People, raw.people_days),
    ]);
    for found in periods.problems() {
        errors.add(format!("[retention] {}_days", found.kind.as_str()), found.problem, found.mend);
    }
    periods
}

fn check_database(url: &str, errors: &mut ConfigErrors) -> Option<Database> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.is_empty() {
            return Some(Database::Sqlite(path.into()));
        }
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Some(Database::Postgres(url.to_owned()));
    }
    errors.add(
        "[database] url",
        "is neither sqlite:PATH nor postgres://…",
        "write sqlite:ponte-data/ponte.db or postgres://user:password@host/name",
    );
    None
}
