//! Settings of an HTTP connection: a CRM's API described in the configuration. What each key means to whoever writes one is in
//! docs/crm/http.md.

use super::place::Place;
use crate::described::{FieldSpec, TimeForm};
use ponte_net::BreakerConfig;
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Settings of an HTTP connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where the API is; paths of operations follow it.
    pub base_url: String,
    /// Name of the product, for people.
    #[serde(default = "product")]
    pub product: String,
    /// How to sign in.
    #[serde(default)]
    pub auth: Auth,
    /// Headers of every request; templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Calls that the CRM allows in `per_ms`.
    #[serde(default = "ten")]
    pub calls: u32,
    /// Milliseconds in which `calls` are allowed.
    #[serde(default = "second")]
    pub per_ms: i64,
    /// Calls at the same time at most.
    #[serde(default = "four")]
    pub at_once: usize,
    /// Milliseconds for one call.
    #[serde(default = "quarter_minute")]
    pub request_timeout_ms: u64,
    /// How long a call may wait for its turn, milliseconds.
    #[serde(default = "three_seconds")]
    pub max_wait_ms: i64,
    /// How the CRM writes times.
    #[serde(default)]
    pub time: TimeForm,
    /// IANA zone of times without a zone.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Rows of a page, `page.limit` in templates.
    #[serde(default = "hundred")]
    pub page: usize,
    /// How far rounds of changes overlap, seconds: longer than the CRM takes to show a change.
    #[serde(default = "five_minutes")]
    pub overlap_seconds: u32,
    /// How long the CRM tells deletions, days; an older cursor reads everything again.
    pub keep_deletions_days: Option<u32>,
    /// Looks for existing contacts by phone number before making a new one.
    #[serde(default = "yes")]
    pub match_existing: bool,
    /// Messages are written. False: no operations for messages are needed, and messages stay here.
    #[serde(default = "yes")]
    pub log_messages: bool,
    /// Where a record of contacts has what.
    #[serde(default)]
    pub contact: Shape,
    /// The fields that can be mapped.
    #[serde(default)]
    pub fields: Vec<FieldSpec>,
    /// What answers mean.
    #[serde(default)]
    pub errors: Errors,
    /// What is called.
    pub operations: Operations,
    /// How the CRM notifies us.
    pub webhook: Option<Webhook>,
    /// When the breaker opens.
    #[serde(default)]
    pub breaker: BreakerConfig,
}

/// Where a record has what.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shape {
    /// The record's id.
    pub id: Place,
    /// Our id of the person.
    pub key: Option<Place>,
    /// When it last changed.
    pub modified: Option<Place>,
    /// A name: when it is empty, ours is written at adoption.
    pub name: Option<Place>,
    /// Phone numbers; `*` in a pointer stands for every element.
    pub phones: Vec<Place>,
    /// True: the record counts as deleted.
    pub gone: Option<Place>,
    /// The id of the record that this one became part of.
    pub merged_into: Option<Place>,
}

impl Default for Shape {
    fn default() -> Self {
        let (key, modified, name, gone, merged_into) = (None, None, None, None, None);
        Self { id: Place::Pointer("/id".to_owned()), key, modified, name, phones: Vec::new(), gone, merged_into }
    }
}

/// How the connection signs in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// A header with a key (`X-Api-Key`).
    Header {
        /// Its name.
        name: String,
        /// The key.
        #[serde(deserialize_with = "crate::described::secret")]
        value: SecretString,
    },
    /// User and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        #[serde(deserialize_with = "crate::described::secret")]
        password: SecretString,
    },
    /// `Authorization: Bearer …`.
    Bearer {
        /// The token.
        #[serde(deserialize_with = "crate::described::secret")]
        token: SecretString,
    },
    /// A key in the address.
    Query {
        /// Its name.
        name: String,
        /// The key.
        #[serde(deserialize_with = "crate::described::secret")]
        value: SecretString,
    },
    /// A signature over the request.
    Hmac {
        /// The secret.
        #[serde(deserialize_with = "crate::described::secret")]
        secret: SecretString,
        /// The hash.
        #[serde(default)]
        algorithm: Algorithm,
        /// How the signature is written.
        #[serde(default)]
        encoding: Encoding,
        /// What is signed: a template over `method`, `path` (with query), `host`, `body`, `body_sha256`, `timestamp`, `timestamp_ms`,
        /// `date`.
        signed: String,
        /// The headers to send: templates over the same and `signature`.
        headers: BTreeMap<String, String>,
    },
    /// OAuth 2.0, client credentials (RFC 6749, section 4.4).
    OauthClient {
        /// Where tokens are given.
        token_url: String,
        /// Client id.
        client_id: String,
        /// Client secret.
        #[serde(deserialize_with = "crate::described::secret")]
        client_secret: SecretString,
        /// Scope, where one is asked for.
        scope: Option<String>,
        /// Id and secret go into the body instead of `Authorization: Basic`.
        #[serde(default)]
        in_body: bool,
    },
    /// A call that gives a session, as Tryton's `common.db.login`.
    Login {
        /// Its path; a template over `user` and `password`, as the body is.
        path: String,
        /// The body, JSON.
        body: String,
        /// The user.
        user: String,
        /// The password.
        #[serde(deserialize_with = "crate::described::secret")]
        password: SecretString,
        /// The header to send with every request.
        #[serde(default = "authorization")]
        header: String,
        /// Its value: a template over `user` and `answer`; an empty one means that the login was refused.
        value: String,
        /// Seconds a session is good for; it is renewed after a refusal too.
        #[serde(default = "hour")]
        lives_seconds: i64,
    },
}

/// A hash for signatures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Hexadecimal digits.
    #[default]
    Hex,
    /// Base64.
    Base64,
}

/// What answers mean.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Errors {
    /// True: the call failed, whatever its status (JSON-RPC's `/error`).
    pub failed: Option<Place>,
    /// The CRM's code of an error.
    pub code: Option<Place>,
    /// The id of the record that is there already, in a conflict.
    pub existing: Option<Place>,
    /// What codes and statuses (`429`, `5xx`) mean; codes come first. Statuses have sensible defaults.
    pub classes: BTreeMap<String, Class>,
    /// Milliseconds to wait after a limit was met, when the CRM doesn't say.
    pub throttle_ms: Option<i64>,
}

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The credentials are refused.
    Auth,
    /// Somebody has to mend the set-up.
    Configuration,
    /// A limit was met.
    Throttled,
    /// Worth another try.
    Retry,
    /// The record is gone.
    Gone,
    /// The record is there already.
    Conflict,
    /// The row is refused for good.
    Permanent,
}

/// What is called. `list` is enough to read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Operations {
    /// Something cheap that proves credentials and reach; a page of `list` when absent.
    pub check: Option<Operation>,
    /// A page of all contacts.
    pub list: Option<Operation>,
    /// What changed since `since`. Absent: every look reads all contacts and compares them with what it saw before.
    pub changes: Option<Operation>,
    /// Records by `ids`.
    pub get: Option<Operation>,
    /// Records that may have a number.
    pub find: Option<Operation>,
    /// Records with our ids.
    pub find_key: Option<Operation>,
    /// Makes a contact.
    pub create_contact: Option<Operation>,
    /// Makes a contact, or updates the one with our id.
    pub upsert_contact: Option<Operation>,
    /// Updates the contact `contact.id`.
    pub update_contact: Option<Operation>,
    /// The record of a message.
    pub find_message: Option<Operation>,
    /// Makes the record of a message.
    pub create_message: Option<Operation>,
    /// Updates the record of a message.
    pub update_message: Option<Operation>,
    /// Makes or updates the record of a message by our id.
    pub upsert_message: Option<Operation>,
    /// Ids deleted since `since`.
    pub deleted: Option<Operation>,
    /// The CRM's own list of fields, beside those under `fields`.
    pub describe: Option<Describe>,
}

/// A call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// `GET`, `POST`, …
    #[serde(default = "get")]
    pub method: String,
    /// After `base_url`; a template whose values are escaped.
    pub path: String,
    /// Query; templates. What comes out empty is left out.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Headers; templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A JSON body; a template whose values are written as JSON.
    pub body: Option<String>,
    /// A form body; templates. What comes out empty is left out.
    pub form: Option<BTreeMap<String, String>>,
    /// Statuses that are a success; all of 200 to 299 when empty.
    #[serde(default)]
    pub success: Vec<u16>,
    /// Where the rows stand in the answer; the answer itself when absent.
    pub list: Option<Place>,
    /// Where a write's answer has the id; in a batch, where its row has it.
    pub id: Option<Place>,
    /// Where a write's answer or row says that a record was made.
    pub created: Option<Place>,
    /// Rows of one call.
    #[serde(default = "one")]
    pub batch: usize,
    /// In a batch: true when the row failed.
    pub row_failed: Option<Place>,
    /// In a batch: the row's code.
    pub row_code: Option<Place>,
    /// A write is left out when this expression isn't true.
    pub when: Option<String>,
    /// How the next page is asked for.
    #[serde(default)]
    pub paging: Paging,
    /// How pages follow each other; only for `changes`.
    #[serde(default)]
    pub walk: Walk,
}

/// How the next page is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Paging {
    /// There is one page.
    #[default]
    None,
    /// By `page.number`.
    Number {
        /// The first page's.
        #[serde(default = "one")]
        first: usize,
        /// True when there is another page; a full page when absent.
        more: Option<Place>,
    },
    /// By `page.offset`.
    Offset {
        /// True when there is another page; a full page when absent.
        more: Option<Place>,
    },
    /// By the last row's id, `page.after`; rows are sorted by it.
    After,
    /// By `page.cursor`, which the answer gives.
    Cursor {
        /// Where it stands.
        next: Place,
    },
    /// By an address that the answer gives, or its header `Link`.
    Link {
        /// Where it stands; the header when absent.
        next: Option<Place>,
    },
}

/// How the pages of changes follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Walk {
    /// By the paging, in any order, all since the same time.
    #[default]
    Pages,
    /// Rows are sorted by time: each page begins at the time of the last row, and the paging is used within one time.
    Time,
    /// Rows are sorted by time and id: each page begins behind the last row (`since.raw`, `since.id`).
    Keyset,
}

/// The CRM's own list of fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Describe {
    /// The call.
    pub call: Operation,
    /// A field's name in its row.
    pub name: Place,
    /// Its name for people.
    pub label: Option<Place>,
    /// Its kind, in the CRM's words.
    pub kind: Option<Place>,
    /// True: it can't be written.
    pub read_only: Option<Place>,
    /// The CRM's words for kinds.
    #[serde(default)]
    pub kinds: BTreeMap<String, ponte_domain::crm::CrmKind>,
    /// Where its value stands in a record, before the name: `/` or `/attributes/`.
    #[serde(default = "slash")]
    pub at: String,
}

/// How the CRM notifies us.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// How a notification proves where it comes from.
    pub verify: Verify,
    /// Where the events stand in the body; the body itself when absent.
    pub events: Option<Place>,
    /// Where an event has the record's id. Absent: we look for changes.
    pub id: Option<Place>,
    /// True: the record was deleted.
    pub gone: Option<Place>,
    /// The id of the record that it became part of.
    pub merged_into: Option<Place>,
    /// Events for which this isn't true say nothing to us.
    pub when: Option<Place>,
}

/// How a notification proves where it comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Verify {
    /// A signature.
    Hmac {
        /// The header.
        header: String,
        /// The secret.
        #[serde(deserialize_with = "crate::described::secret")]
        secret: SecretString,
        /// The hash.
        #[serde(default)]
        algorithm: Algorithm,
        /// How the signature is written.
        #[serde(default)]
        encoding: Encoding,
        /// The header's value is base64, and the signature stands in it behind the last `:` (EspoCRM).
        #[serde(default)]
        wrapped: bool,
        /// What stands before the signature, among others in a list with commas (`sha256=`, `v1=`).
        #[serde(default)]
        prefix: String,
        /// What is signed: `$body`, `$method`, `$uri`, `$time`, `$header:NAME`, or the text itself.
        #[serde(default = "body")]
        signed: Vec<String>,
        /// A header with the time of sending.
        time_header: Option<String>,
        /// What stands before the time, in the signature's header (`t=`).
        time_prefix: Option<String>,
        /// A notification older than this isn't believed, where it tells its time.
        #[serde(default = "three_hundred")]
        max_age_seconds: i64,
    },
    /// A token that is compared.
    Token {
        /// The header it comes in.
        header: Option<String>,
        /// The query parameter it comes in.
        query: Option<String>,
        /// The token.
        #[serde(deserialize_with = "crate::described::secret")]
        secret: SecretString,
    },
    /// User and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        #[serde(deserialize_with = "crate::described::secret")]
        password: SecretString,
    },
}

macro_rules! defaults {
    ($($name:ident: $kind:ty = $value:expr;)*) => { $(fn $name() -> $kind { $value.into() })* };
}

defaults! {
    product: String = "HTTP";
    utc: String = "UTC";
    get: String = "GET";
    slash: String = "/";
    authorization: String = "Authorization";
    body: Vec<String> = ["$body".to_owned()];
    ten: u32 = 10_u32;
    five_minutes: u32 = 300_u32;
    second: i64 = 1_000_i64;
    three_seconds: i64 = 3_000_i64;
    hour: i64 = 3_600_i64;
    three_hundred: i64 = 300_i64;
    quarter_minute: u64 = 15_000_u64;
    one: usize = 1_usize;
    four: usize = 4_usize;
    hundred: usize = 100_usize;
    yes: bool = true;
}
