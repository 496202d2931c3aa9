//! Where a CRM sends people back to after they authorised a connection: `GET /oauth/crm/{name}/callback`, or any path of a listener that
//! the command line opened on the person's own machine. Answers a small page in the browser's language.
//! May touch: the connection's way to be authorised, the audit log.
//! Must not touch: logs with codes or states; the page shows neither, loads nothing and runs nothing.
//! Failure story: what failed is on the page; the person begins again.

use crate::App;
use crate::api::Params;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ponte_domain::ports::access::{Access, AccessError, Callback, Granted};
use ponte_domain::ports::people::NewAudit;
use ponte_domain::ports::world::Clock;
use ponte_engine::connection::Connection;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/oauth/crm/{name}/callback", get(callback))
}

/// The query of a callback, as HubSpot, Salesforce and Zoho write it.
#[derive(Deserialize)]
pub(crate) struct Query {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    #[serde(rename = "accounts-server")]
    accounts_server: Option<String>,
}

impl From<Query> for Callback {
    fn from(query: Query) -> Self {
        let Query { state, code, error, accounts_server } = query;
        Self { state, code, error, accounts_server }
    }
}

async fn callback(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    query: Params<Query>,
) -> Response {
    let connection = app.crms.iter().find(|crm| crm.id.as_str() == name);
    let Some((connection, access)) = connection.and_then(|crm| Some((crm, crm.access.as_ref()?))) else {
        return page(&headers, &Err(AccessError::Stale));
    };
    let now = app.world.clock.now();
    let done = access.finish(query.0.into(), now).await;
    told(connection, &done);
    if done.is_ok() {
        let entry = NewAudit {
            at: now,
            who: "browser".to_owned(),
            act: "crm.authorize",
            subject: Some(name),
            data: json!({ "missing_scopes": done.as_ref().map(|g| g.missing_scopes.clone()).unwrap_or_default() })
                .to_string(),
        };
        if let Err(error) = app.world.people.audit(app.world.workspace, entry).await {
            tracing::error!(connection = %connection.id, "an authorisation can't be written to the audit log: {error}");
        }
    }
    page(&headers, &done)
}

fn told(connection: &Connection, done: &Result<Granted, AccessError>) {
    match done {
        Ok(granted) => {
            tracing::info!(connection = %connection.id, missing_scopes = ?granted.missing_scopes, "the connection was authorised");
        }
        Err(error) => tracing::warn!(connection = %connection.id, "the connection was not authorised: {error}"),
    }
}

/// Words of the page: title and text, for success, refusal, a wrong or old state, and the rest; and what stands before missing scopes.
const WORDS: [(&str, [[&str; 2]; 4], &str); 3] = [
    (
        "en",
        [
            ["Connected", "Ponte may use the CRM now. You can close this page."],
            ["Not allowed", "The CRM says that it was not allowed. Nothing was changed. To try again, begin again."],
            [
                "Begin again",
                "This authorisation was begun more than ten minutes ago, in another place, or is used already. Begin again.",
            ],
            ["It did not work", "The CRM or the database did not take it. Nothing was changed. Begin again."],
        ],
        "These rights were not granted. Give them to the app at the CRM, then authorise again:",
    ),
    (
        "pt-BR",
        [
            ["Conectado", "Agora o Ponte pode usar o CRM. Você pode fechar esta página."],
            ["Não autorizado", "O CRM diz que não foi autorizado. Nada mudou. Para tentar de novo, comece de novo."],
            [
                "Comece de novo",
                "Esta autorização foi iniciada há mais de dez minutos, em outro lugar, ou já foi usada. Comece de novo.",
            ],
            ["Não funcionou", "O CRM ou o banco de dados não aceitou. Nada mudou. Comece de novo."],
        ],
        "Estas permissões não foram concedidas. Dê-as ao aplicativo no CRM e autorize de novo:",
    ),
    (
        "zh-TW",
        [
            ["已連線", "Ponte 現在可以使用 CRM。您可以關閉此頁面。"],
            ["未獲授權", "CRM 表示未獲授權。沒有任何變更。若要再試，請重新開始。"],
            ["請重新開始", "此授權在十分鐘之前開始、在其他地方開始，或已使用過。請重新開始。"],
            ["未能完成", "CRM 或資料庫未接受。沒有任何變更。請重新開始。"],
        ],
        "下列權限未授予。請在 CRM 中授予此應用程式，然後重新授權：",
    ),
];

/// The first language of the browser that the page is written in; English otherwise.
fn language(headers: &HeaderMap) -> usize {
    let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut known = wanted.split(',').filter_map(|part| {
        let tag = part.split(';').next()?.trim().to_ascii_lowercase();
        ["en", "pt", "zh"].iter().position(|base| tag.split('-').next() == Some(*base))
    });
    known.next().unwrap_or(0)
}

/// Reads well at any width, light and dark.
const STYLE: &str = "body{font:1.05rem/1.5 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;place-items:center}\
                     main{max-width:32rem;padding:2rem}h1{font-size:1.6rem;margin:0 0 .5rem}code{font-size:.95rem}";
/// Nothing is loaded and nothing runs; only the style above, by its hash, counts.
const POLICY: &str = "default-src 'none'; style-src 'sha256-Hz8LaohISuDg2rQaHRWTkyFZ7Du97wUCZg5Z/sOQtCk='; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

fn page(headers: &HeaderMap, done: &Result<Granted, AccessError>) -> Response {
    let (status, which) = match done {
        Ok(_) => (StatusCode::OK, 0),
        Err(AccessError::Refused(_)) => (StatusCode::FORBIDDEN, 1),
        Err(AccessError::Stale) => (StatusCode::BAD_REQUEST, 2),
        Err(AccessError::Call(_)) => (StatusCode::BAD_GATEWAY, 3),
        Err(AccessError::Store(_)) => (StatusCode::SERVICE_UNAVAILABLE, 3),
    };
    let (tag, texts, lacking) = WORDS.get(language(headers)).copied().unwrap_or_default();
    let [title, text] = texts.get(which).copied().unwrap_or_default();
    // Words of ours out of the scopes that were asked for: nothing of the request is on the page.
    let scopes = done.as_ref().map(|granted| granted.missing_scopes.as_slice()).unwrap_or_default();
    let scopes: String = scopes.iter().map(|scope| format!("<li><code>{scope}</code></li>")).collect();
    let missing = if scopes.is_empty() { String::new() } else { format!("<p>{lacking}</p><ul>{scopes}</ul>") };
    let html = format!(
        "<!doctype html><html lang=\"{tag}\"><head><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Ponte: {title}</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1><p>{text}</p>{missing}</main></body></html>"
    );
    let mut response = (status, Html(html)).into_response();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

struct Waiting {
    access: Arc<dyn Access>,
    clock: Arc<dyn Clock>,
    done: mpsc::Sender<Result<Granted, AccessError>>,
}

/// Waits on a listener for the callback of an authorisation that was begun, and answers the browser. A wrong state is answered and waited
/// on after.
///
/// # Errors
/// Why there is no grant.
pub async fn wait_for_callback(
    listener: TcpListener,
    access: Arc<dyn Access>,
    clock: Arc<dyn Clock>,
) -> Result<Granted, AccessError> {
    let (done, mut outcome) = mpsc::channel(1);
    let router = Router::new().route("/callback", get(local)).with_state(Arc::new(Waiting { access, clock, done }));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let until = async move {
            let _ = stopped.await;
        };
        axum::serve(listener, router).with_graceful_shutdown(until).await
    });
    let result = outcome.recv().await.unwrap_or(Err(AccessError::Stale));
    // The browser gets its page before the program goes; an idle connection of it isn't waited for.
    let _ = stop.send(());
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), server).await;
    result
}

async fn local(
    State(waiting): State<Arc<Waiting>>,
    headers: HeaderMap,
    query: axum::extract::Query<Query>,
) -> Response {
    let done = waiting.access.finish(query.0.into(), waiting.clock.now()).await;
    let answer = page(&headers, &done);
    if !matches!(done, Err(AccessError::Stale)) {
        let _ = waiting.done.try_send(done);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_page_is_in_the_browsers_language_and_english_for_others() {
        for (wanted, expected) in [
            ("pt-BR,pt;q=0.9,en;q=0.8", "Conectado"),
            ("de-DE,zh-TW;q=0.7", "已連線"),
            ("fr", "Connected"),
            ("", "Connected"),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_str(wanted).unwrap())]);
            let (_, words, _) = WORDS[language(&headers)];
            assert_eq!(words[0][0], expected, "{wanted}");
        }
    }

    #[tokio::test]
    async fn what_was_not_granted_is_said_and_the_style_is_the_one_that_is_let_in() {
        let done = Ok(Granted { missing_scopes: vec!["crm.objects.contacts.write".to_owned()] });
        let response = page(&HeaderMap::new(), &done);
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        let html = std::str::from_utf8(&body).unwrap();
        assert!(
            html.contains("were not granted") && html.contains("<code>crm.objects.contacts.write</code>"),
            "{html}"
        );
        let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
        assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{policy} does not let in {hash}");
    }
}
