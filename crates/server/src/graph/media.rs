//! Files as the Cloud API has them: upload, what is known of one, its bytes, deletion. Facts: whatsapp-api 5.3.
//! May touch: the channel. Must not touch: blobs; what came with a message is served by our own API.
//! Invariants: the address told for a file is ours. Meta's takes Meta's token, which the caller hasn't got, and the caller's client
//! would send our key there.
//! Failure story: nothing is kept here; whoever gets no answer asks again.

use super::error::GraphError;
use super::{Door, Named};
use crate::App;
use axum::Json;
use axum::extract::{DefaultBodyLimit, Multipart, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use http::{HeaderMap, HeaderValue, Uri, header};
use ponte_domain::error::ErrorClass;
use ponte_domain::ids::NumberId;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn uploads() -> MethodRouter<App> {
    post(upload).layer(DefaultBodyLimit::max(crate::api::LARGEST_FILE))
}

#[derive(Deserialize)]
struct Said {
    messaging_product: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Hands a file on to WhatsApp.
async fn upload(door: Door, State(app): State<App>, uri: Uri, mut form: Multipart) -> Result<Response, GraphError> {
    // Meta takes parameters from the address as well as from the form, and some clients put this one there.
    let asked = Query::<Said>::try_from_uri(&uri).map_err(|e| GraphError::parameter(&e.body_text()))?.0;
    let (mut file, mut kind, mut product) = (None, asked.kind, asked.messaging_product);
    while let Some(field) = form.next_field().await.map_err(|e| GraphError::parameter(&e.body_text()))? {
        let name = field.name().unwrap_or_default().to_owned();
        let (filename, of_file) = (field.file_name().map(str::to_owned), field.content_type().map(str::to_owned));
        let bytes = field.bytes().await.map_err(|e| GraphError::parameter(&e.body_text()))?;
        match name.as_str() {
            "file" => file = Some((bytes, filename, of_file)),
            "type" => kind = Some(String::from_utf8_lossy(&bytes).trim().to_owned()),
            "messaging_product" => product = Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => {}
        }
    }
    if product.as_deref() != Some("whatsapp") {
        return Err(GraphError::parameter("The parameter messaging_product is required."));
    }
    let Some((bytes, filename, of_file)) = file.filter(|(bytes, ..)| !bytes.is_empty()) else {
        return Err(GraphError::parameter("The parameter file is required."));
    };
    let kind = kind.filter(|k| k.contains('/')).or(of_file);
    let Some(kind) = kind else { return Err(GraphError::parameter("The parameter type is required.")) };
    let name = filename.unwrap_or_else(|| "file".to_owned());
    let uploaded = app.world.channel.upload_media(&door.number, bytes, &kind, &name).await;
    let id = uploaded.map_err(|e| GraphError::upstream(&e))?;
    Ok(Json(json!({ "id": id })).into_response())
}

/// Meta's own parameter: only a file of this number is meant.
#[derive(Deserialize)]
struct Owner {
    phone_number_id: Option<NumberId>,
}

/// Whose file it is, and what WhatsApp says of it. Without a number in the address all are asked, the first configured first: the
/// id doesn't say whose file it is.
async fn find(app: &App, id: &str, uri: &Uri) -> Result<(NumberId, Value), GraphError> {
    let owner = Query::<Owner>::try_from_uri(uri).map_err(|e| GraphError::parameter(&e.body_text()))?;
    let directory = &app.world.directory;
    let asked: Vec<NumberId> = match &owner.phone_number_id {
        Some(number) => vec![number.clone()],
        None => {
            let first = directory.default_number().map(|n| n.id.clone());
            let others = directory.all().map(|n| n.id.clone()).filter(|n| Some(n) != first.as_ref());
            first.iter().cloned().chain(others).collect()
        }
    };
    for number in asked.into_iter().filter(|number| directory.get(number).is_some()) {
        match app.world.channel.media_info(&number, id).await {
            Ok(told) => return Ok((number, told)),
            Err(error) if error.class == ErrorClass::Permanent => {}
            Err(error) => return Err(GraphError::upstream(&error)),
        }
    }
    Err(GraphError::no_object(id, "it is no number of [[whatsapp.numbers]], and no file of one"))
}

/// A number's state, as WhatsApp gives it (programs ask for it to try their token), or what is known of a file.
pub(super) async fn object(
    named: Named,
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, GraphError> {
    let number = NumberId::from(named.id.as_str());
    if app.world.directory.get(&number).is_some() {
        let health = app.world.channel.number_health(&number).await.map_err(|e| GraphError::upstream(&e))?;
        return Ok(Json(health).into_response());
    }
    let (number, mut told) = find(&app, &named.id, &uri).await?;
    if let Some(told) = told.as_object_mut() {
        told.insert("url".to_owned(), address(&named, &number, &headers).into());
    }
    Ok(Json(told).into_response())
}

/// Where the bytes are to be had from us, by the name under which we were called.
fn address(named: &Named, number: &NumberId, headers: &HeaderMap) -> String {
    let word = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    // Whoever stands in front and ends TLS says so; the caller can only mislead itself.
    let scheme = if word("x-forwarded-proto") == "https" { "https" } else { "http" };
    let host = word(header::HOST.as_str());
    format!("{scheme}://{host}/{}/{}/file?phone_number_id={number}", named.version, named.id)
}

/// The bytes of a file.
pub(super) async fn file(named: Named, State(app): State<App>, uri: Uri) -> Result<Response, GraphError> {
    let (number, _) = find(&app, &named.id, &uri).await?;
    let fetched = app.world.channel.fetch_media(&number, &named.id, None).await;
    let file = fetched.map_err(|e| GraphError::upstream(&e))?;
    let kind = file.mime_type.and_then(|kind| HeaderValue::from_str(&kind).ok());
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let mut response = ([(header::CONTENT_TYPE, kind)], file.bytes).into_response();
    crate::api::as_download(response.headers_mut());
    Ok(response)
}

/// Deletes a file at WhatsApp.
pub(super) async fn delete(named: Named, State(app): State<App>, uri: Uri) -> Result<Response, GraphError> {
    let (number, _) = find(&app, &named.id, &uri).await?;
    app.world.channel.delete_media(&number, &named.id).await.map_err(|e| GraphError::upstream(&e))?;
    Ok(Json(json!({ "success": true })).into_response())
}
