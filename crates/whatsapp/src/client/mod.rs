//! The client: one value that speaks for all configured numbers.
//! May touch: the egress door. Must not touch: retries, limits, storage; who asked decides on the class of the error.
//! Failure story: a send that may have reached Meta ends as [`ErrorClass::UnknownOutcome`] and is never repeated here.

mod account;
mod answer;
mod config;
mod media;

pub use config::{CloudApiConfig, ConfigError, NumberAccess};

use crate::errors::{self, Effect};
use crate::{request, webhook};
use async_trait::async_trait;
use bytes::Bytes;
use ponte_domain::Millis;
use ponte_domain::account::{NumberState, Template};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::identity::Party;
use ponte_domain::ids::NumberId;
use ponte_domain::outbound::Outbound;
use ponte_domain::ports::channel::{Accepted, Address, Channel, FetchedMedia, Parsed};
use ponte_net::{Egress, Request, Response, classify_read, classify_transport};
use secrecy::SecretString;
use std::sync::OnceLock;

/// Whom calls go to, in metrics and logs.
const TARGET: &str = "whatsapp";

/// Answers of the API proper are small; files have a limit of their own.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// What the preflight check wants to know of a number (facts 5.8).
const HEALTH_FIELDS: &str = "id,display_phone_number,verified_name,name_status,new_name_status,code_verification_status,\
quality_rating,status,platform_type,throughput,whatsapp_business_manager_messaging_limit,is_on_biz_app,health_status,\
webhook_configuration,account_mode";

/// Meta's Cloud API, for all configured numbers.
#[derive(Debug)]
pub struct CloudApi {
    config: CloudApiConfig,
    egress: Egress,
    answered_version: OnceLock<String>,
}

impl CloudApi {
    /// A client with checked settings.
    ///
    /// # Errors
    /// The first setting that can't be used.
    pub fn new(config: CloudApiConfig, egress: Egress) -> Result<Self, ConfigError> {
        Ok(Self { config: config.checked()?, egress, answered_version: OnceLock::new() })
    }

    /// The settings in use.
    #[must_use]
    pub const fn config(&self) -> &CloudApiConfig {
        &self.config
    }

    /// The first version of the API that answered though we had asked for another: ours has expired. For the health page.
    #[must_use]
    pub fn other_version(&self) -> Option<&str> {
        self.answered_version.get().map(String::as_str)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{}/{path}", self.config.base_url, self.config.version)
    }

    fn token(&self, number: &NumberId) -> Option<&SecretString> {
        self.config.numbers.get(number).map(|access| &access.access_token)
    }

    /// One call to the Graph API: the body of a good answer, or what the failure means.
    async fn ask(&self, request: Request, token: &SecretString, effect: Effect) -> Result<Bytes, CallError> {
        let classify = match effect {
            Effect::Once => classify_transport,
            Effect::Repeatable => classify_read,
        };
        let request = request.bearer(token).map_err(|e| classify(&e))?.max_body(ANSWER_MAX_BYTES);
        let answer = self.egress.call(request).await.map_err(|e| classify(&e))?;
        self.note_version(&answer);
        // Partly failed calls have been seen with a status of success and an error inside.
        if !answer.status.is_success() || errors::GraphError::read(&answer.body).is_some() {
            return Err(errors::classify(answer.status.as_u16(), &answer.headers, &answer.body, effect));
        }
        Ok(answer.body)
    }

    fn note_version(&self, answer: &Response) {
        let Some(version) = answer.header("facebook-api-version") else { return };
        if version != self.config.version && self.answered_version.set(version.to_owned()).is_ok() {
            tracing::warn!(
                asked = %self.config.version,
                answered = %version,
                "Meta answers with another version of the Graph API: the configured one has probably expired"
            );
        }
    }
}

fn number_unknown() -> CallError {
    CallError::new(ErrorClass::Configuration, "number_unknown", "no access is configured for this business number")
}

/// An answer that is handed on as it is.
fn any_json(answer: &[u8]) -> Result<serde_json::Value, CallError> {
    serde_json::from_slice(answer).map_err(|_| {
        CallError::new(ErrorClass::Retryable { after_ms: None }, "answer_unreadable", "the answer is no JSON")
    })
}

#[async_trait]
impl Channel for CloudApi {
    fn parse(&self, body: &[u8], received_at: Millis) -> Parsed {
        webhook::parse(body, received_at)
    }

    async fn send(
        &self,
        number: &NumberId,
        to: &Address,
        message: &Outbound,
        reply_to: Option<&str>,
        opaque: &str,
    ) -> Result<Accepted, CallError> {
        let token = self.token(number).ok_or_else(number_unknown)?;
        let body = request::body(to, message, reply_to, opaque)?;
        let effect = if message.is_receipt() { Effect::Repeatable } else { Effect::Once };
        let request = Request::post(TARGET, self.url(&format!("{number}/messages")))
            .json(&body)
            .map_err(|e| classify_transport(&e))?
            .timeout(self.config.send_timeout);
        let answer = self.ask(request, token, effect).await?;
        if message.is_receipt() {
            return Ok(Accepted { wamid: None, party: Party::default(), held: None });
        }
        answer::accepted(&answer).ok_or_else(|| {
            let title = "the answer names no message: it may have been accepted";
            CallError::new(ErrorClass::UnknownOutcome, "answer_unreadable", title)
        })
    }

    async fn fetch_media(
        &self,
        number: &NumberId,
        media_id: &str,
        sha256_base64: Option<&str>,
    ) -> Result<FetchedMedia, CallError> {
        self.fetch(number, media_id, sha256_base64).await
    }

    async fn media_info(&self, number: &NumberId, media_id: &str) -> Result<serde_json::Value, CallError> {
        self.info(number, media_id).await
    }

    async fn delete_media(&self, number: &NumberId, media_id: &str) -> Result<(), CallError> {
        self.delete(number, media_id).await
    }

    async fn upload_media(
        &self,
        number: &NumberId,
        bytes: Bytes,
        mime_type: &str,
        filename: &str,
    ) -> Result<String, CallError> {
        self.upload(number, bytes, mime_type, filename).await
    }

    async fn number_health(&self, number: &NumberId) -> Result<serde_json::Value, CallError> {
        let token = self.token(number).ok_or_else(number_unknown)?;
        let url = self.url(&format!("{number}?fields={HEALTH_FIELDS}"));
        let request = Request::get(TARGET, url).timeout(self.config.send_timeout);
        let answer = self.ask(request, token, Effect::Repeatable).await?;
        any_json(&answer)
    }

    async fn number_state(&self, number: &NumberId) -> Result<NumberState, CallError> {
        Ok(account::number_state(number, &self.number_health(number).await?))
    }

    async fn templates(&self, number: &NumberId) -> Result<Vec<Template>, CallError> {
        self.all_templates(number).await
    }
}
