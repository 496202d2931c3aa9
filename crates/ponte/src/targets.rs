//! The way to subscribers' targets: a POST through the one door out, with the headers of the Standard Webhooks specification.
//! Must not touch: what a target answers beyond status and `Retry-After`. A body of theirs is neither kept nor shown, or a
//! subscription would be a way to read what only this machine can reach.

use async_trait::async_trait;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use ponte_domain::error::{CallError, ErrorClass};
use ponte_domain::ports::hooks::{Push, TargetAnswer, Targets};
use ponte_net::{Egress, NetError, Request, classify_read};
use std::time::Duration;

/// Bytes of an answer that are read, so that the connection can be used again.
const READ: usize = 16 << 10;

/// Targets behind the door out.
pub struct EgressTargets(pub Egress);

#[async_trait]
impl Targets for EgressTargets {
    fn check(&self, url: &str) -> Result<(), String> {
        self.0.check(url).map_err(|error| error.to_string())
    }

    async fn push(&self, push: Push) -> Result<TargetAnswer, CallError> {
        let limit = Duration::from_millis(u64::try_from(push.timeout_ms).unwrap_or(0));
        let request = request(push, limit).map_err(|e| told(&e))?;
        match tokio::time::timeout(limit, answer(&self.0, request)).await {
            Ok(answered) => answered.map_err(|e| told(&e)),
            Err(_) => Err(told(&NetError::TimeoutAfter)),
        }
    }
}

/// Whatever went wrong may go well later: somebody mends a name, a certificate, an allow list. Pushing twice does no harm.
fn told(error: &NetError) -> CallError {
    CallError { class: ErrorClass::Retryable { after_ms: None }, ..classify_read(error) }
}

fn request(push: Push, limit: Duration) -> Result<Request, NetError> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|e| NetError::Invalid(e.to_string()));
    Ok(Request::post("hook", push.url)
        .header(HeaderName::from_static("webhook-id"), value(&push.id)?)
        .header(HeaderName::from_static("webhook-timestamp"), HeaderValue::from(push.timestamp))
        .header(HeaderName::from_static("webhook-signature"), value(&push.signature)?)
        .body("application/json", push.body)
        .timeout(limit)
        .max_body(usize::MAX))
}

async fn answer(egress: &Egress, request: Request) -> Result<TargetAnswer, NetError> {
    // The status is what counts: it is known before the body is read, and stands whatever becomes of the body.
    let mut answer = egress.download(request).await?;
    let retry_after = answer.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let answered = TargetAnswer { status: answer.status.as_u16(), retry_after };
    let mut read = 0;
    while let Ok(Ok(Some(piece))) = tokio::time::timeout(Duration::from_secs(1), answer.chunk()).await {
        read += piece.len();
        if read > READ {
            break;
        }
    }
    Ok(answered)
}
