//! Small adapters of the real world: the clock, chance, identifiers, files on disk, the processor meter, keys, signatures,
//! places of phone numbers.
//! May touch: the system. Must not touch: anything of the flow.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ponte_domain::Millis;
use ponte_domain::ids::{IdSource, WorkspaceId};
use ponte_domain::phone::{self, Region};
use ponte_domain::policy::{Offsets, Place, Places};
use ponte_domain::ports::world::{BlobError, Blobs, Chance, Clock};
use ponte_engine::dispatch::CpuMeter;
use ponte_engine::receive::{Refusal, Verifier};
use ponte_server::ApiKeys;
use ponte_whatsapp::verify::{Secrets, SignatureError};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// The system's clock.
pub struct SystemClock;

/// Now, by the system's clock.
#[expect(clippy::disallowed_methods, reason = "the one place where the time comes from")]
#[must_use]
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Millis {
        now()
    }

    async fn sleep_ms(&self, ms: Millis) {
        tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap_or(0))).await;
    }
}

/// The system's chance.
pub struct SystemChance;

impl Chance for SystemChance {
    fn draw(&self) -> f64 {
        rand::random()
    }

    fn secret(&self) -> [u8; 32] {
        // The thread's generator is a cryptographic one, seeded by the system.
        rand::random()
    }
}

/// Identifiers that sort by time.
pub struct TimeIds;

impl IdSource for TimeIds {
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Files by content on disk: `ab/cdef…`, written whole or not at all.
pub struct DiskBlobs {
    dir: PathBuf,
}

impl DiskBlobs {
    /// Keeps files under `dir`, made when missing.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn open(dir: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_path_buf() })
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let plain = key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| key.split_at(2)).map(|(folder, name)| self.dir.join(folder).join(name))
    }
}

#[async_trait]
impl Blobs for DiskBlobs {
    async fn put(&self, bytes: Bytes) -> Result<String, BlobError> {
        let key: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let path = self.path(&key).ok_or_else(|| BlobError("no place for this key".into()))?;
        let written = tokio::task::spawn_blocking(move || write_whole(&path, &bytes)).await;
        match written {
            Ok(Ok(())) => Ok(key),
            Ok(Err(error)) => Err(BlobError(error.to_string())),
            Err(_) => Err(BlobError("the writer stopped".into())),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, BlobError> {
        let Some(path) = self.path(key) else { return Ok(None) };
        match tokio::fs::read(&path).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BlobError(error.to_string())),
        }
    }

    async fn remove(&self, key: &str) -> Result<(), BlobError> {
        let Some(path) = self.path(key) else { return Ok(()) };
        match tokio::fs::remove_file(&path).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(BlobError(error.to_string())),
        }
    }
}

/// A temporary file, synced, renamed, and its folder synced: after this the power may fail.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    if path.exists() {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let temporary = folder.join(format!(".{}.part", Uuid::now_v7().simple()));
    let written = (|| {
        let mut file = std::fs::File::create_new(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        std::fs::File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// Share of all processors that this program used since last asked, 0 to 1. Linux only; 0 elsewhere.
#[must_use]
pub fn cpu_meter() -> CpuMeter {
    let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    let last: Mutex<Option<(Instant, f64, f64)>> = Mutex::new(None);
    Arc::new(move || {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, used) = (Instant::now(), used_seconds());
        match *last {
            Some((at, _, share)) if now.duration_since(at) < Duration::from_millis(200) => share,
            Some((at, before, _)) => {
                let share = ((used - before) / now.duration_since(at).as_secs_f64() / cores).clamp(0.0, 1.0);
                *last = Some((now, used, share));
                share
            }
            None => {
                *last = Some((now, used, 0.0));
                0.0
            }
        }
    })
}

/// Processor seconds this program used so far. The kernel counts in hundredths.
fn used_seconds() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    // The name stands in brackets and may hold anything: count the fields behind it.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// API keys, kept as hashes.
pub struct HashedKeys(Vec<(String, [u8; 32])>);

impl HashedKeys {
    /// Keys by owner.
    #[must_use]
    pub fn new<'a>(keys: impl Iterator<Item = (&'a str, &'a SecretString)>) -> Self {
        Self(keys.map(|(name, token)| (name.to_owned(), hash(token.expose_secret()))).collect())
    }
}

impl ApiKeys for HashedKeys {
    fn owner(&self, token: &str) -> Option<String> {
        // Hashes are compared, so the time taken tells nothing about a key.
        let given = hash(token);
        self.0.iter().find(|(_, known)| *known == given).map(|(name, _)| name.clone())
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Signatures of the configured apps; all of them belong to one workspace.
pub struct AppSignatures {
    /// The apps' secrets; `None`: no app is configured, nothing is taken.
    pub secrets: Option<Secrets>,
    /// Their workspace.
    pub workspace: WorkspaceId,
}

impl Verifier for AppSignatures {
    fn verify(&self, body: &[u8], signature: Option<&str>) -> Result<WorkspaceId, Refusal> {
        let Some(secrets) = &self.secrets else {
            return Err(if signature.is_some() { Refusal::BadSignature } else { Refusal::Unsigned });
        };
        match secrets.verify(body, signature) {
            Ok(_) => Ok(self.workspace),
            Err(SignatureError::Missing) => Err(Refusal::Unsigned),
            Err(_) => Err(Refusal::BadSignature),
        }
    }

    fn verify_subscription(&self, mode: &str, token: &str) -> bool {
        self.secrets.as_ref().is_some_and(|s| s.verify_subscription(mode, token).is_some())
    }
}

/// Places by phone number: the country of its plan, and the clocks of every time zone in which its holder may be.
pub struct PhonePlaces;

impl Places for PhonePlaces {
    fn place_of(&self, digits: &str, now: Millis) -> Place {
        let country = phone::country_of(digits);
        let offsets = Timestamp::from_millisecond(now).ok().and_then(|now| {
            let minutes = |zone: &&str| {
                let zone = TimeZone::get(zone).ok()?;
                i16::try_from(zone.to_offset(now).seconds() / 60).ok()
            };
            let all = phone::time_zones(digits).iter().filter_map(minutes);
            all.fold(None, |known: Option<Offsets>, at| {
                let known = known.unwrap_or(Offsets { west: at, east: at });
                Some(Offsets { west: known.west.min(at), east: known.east.max(at) })
            })
        });
        Place::new(country.as_ref().map(Region::as_str), offsets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_clocks_of_its_day() {
        const WINTER: Millis = 1_767_225_600_000; // 2026-01-01
        const SUMMER: Millis = 1_782_864_000_000; // 2026-07-01
        let at = |digits: &str, now| {
            let place = PhonePlaces.place_of(digits, now);
            (place.country().map(str::to_owned), place.offsets.map(|o| (o.west, o.east)))
        };
        let of = |country: &str, west, east| (Some(country.to_owned()), Some((west, east)));
        assert_eq!(at("4915112345678", WINTER), of("DE", 60, 60));
        assert_eq!(at("4915112345678", SUMMER), of("DE", 120, 120));
        assert_eq!(at("886912345678", SUMMER), of("TW", 480, 480));
        assert_eq!(at("12125551234", WINTER), of("US", -300, -300));
        assert_eq!(at("14165551234", SUMMER), of("CA", -240, -240));
        assert_eq!(at("18765551234", WINTER), of("JM", -300, -300));
        assert_eq!(at("5511987654321", WINTER), of("BR", -180, -180));
        assert_eq!(at("99912345", WINTER), (None, None));
        assert_eq!(at("", WINTER), (None, None));
    }

    #[tokio::test]
    async fn files_are_kept_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = DiskBlobs::open(dir.path()).unwrap();
        let key = blobs.put(Bytes::from_static(b"hello")).await.unwrap();
        assert_eq!(key, blobs.put(Bytes::from_static(b"hello")).await.unwrap());
        assert_eq!(blobs.get(&key).await.unwrap().as_deref(), Some(&b"hello"[..]));
        assert_eq!(blobs.get("../../etc/passwd").await.unwrap(), None);
        let parts = std::fs::read_dir(dir.path().join(&key[..2])).unwrap().count();
        assert_eq!(parts, 1);
    }
}
