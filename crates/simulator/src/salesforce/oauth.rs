//! The OAuth endpoints: token, authorize, introspect, revoke, user info, identity.
//! May touch: tokens of the org. Must not touch: records, allowances.

use super::Sim;
use super::config::Oauth;
use super::error::{Answer, Refusal, Reply};
use super::request::Call;
use crate::form::{Form, escape};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Value, json};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How far in the future an assertion may end, seconds; the documented three minutes and some drift of clocks.
const LONGEST_ASSERTION_S: i64 = 300;

/// Serves `/services/oauth2/…` and `/id/…`.
pub(super) fn serve(sim: &Sim, call: &Call) -> Answer {
    match (&call.method, call.path().as_slice()) {
        (&Method::POST, ["token"]) => token(sim, &call.form()?),
        (&Method::GET, ["authorize"]) => authorize(sim, call),
        (&Method::POST, ["introspect"]) => introspect(sim, &call.form()?),
        (&Method::POST, ["revoke"]) => revoke(sim, call.form()?.get("token").unwrap_or_default()),
        (&Method::GET, ["revoke"]) => revoke(sim, call.query.get("token").unwrap_or_default()),
        (&Method::GET | &Method::POST, ["userinfo"]) => identity(sim, call),
        _ => Err(Refusal::not_found()),
    }
}

/// Who the session belongs to.
pub(super) fn identity(sim: &Sim, call: &Call) -> Answer {
    let now = sim.clock.now_ms();
    let mut world = sim.world();
    // The identity page answers a bad token with 403 and a bare text.
    let bad = |_| Refusal::new(403, "Bad_OAuth_Token", "Bad_OAuth_Token");
    world.auth.check(call.authorization.as_deref(), &sim.config.oauth, now).map_err(bad)?;
    let (user, org) = (world.users.api.to_string(), world.org.to_string());
    let url = |path: &str| format!("{}{path}", sim.instance_url());
    Ok(Reply::read(json!({
        "id": url(&format!("/id/{org}/{user}")), "sub": url(&format!("/id/{org}/{user}")), "user_id": user,
        "organization_id": org, "username": sim.config.oauth.username, "preferred_username": sim.config.oauth.username,
        "email": sim.config.oauth.username, "name": "Integration User", "display_name": "Integration User",
        "active": true, "user_type": "STANDARD", "language": "en_US", "locale": "en_US", "utcOffset": 0,
        "urls": {"rest": url("/services/data/v{version}/"), "sobjects": url("/services/data/v{version}/sobjects/"),
                 "query": url("/services/data/v{version}/query/"), "search": url("/services/data/v{version}/search/"),
                 "custom_domain": sim.instance_url()},
    })))
}

fn check_client(form: &Form, oauth: &Oauth, secret: bool) -> Result<(), Refusal> {
    if form.get("client_id") != Some(oauth.client_id.as_str()) {
        return Err(Refusal::oauth(400, "invalid_client_id", "client identifier invalid"));
    }
    match form.get("client_secret") {
        Some(given) if given != oauth.client_secret => {
            Err(Refusal::oauth(400, "invalid_client", "invalid client credentials"))
        }
        None if secret => Err(Refusal::oauth(400, "invalid_client", "invalid client credentials")),
        _ => Ok(()),
    }
}

fn token(sim: &Sim, form: &Form) -> Answer {
    let now = sim.clock.now_ms();
    let (oauth, chance) = (&sim.config.oauth, &sim.chance);
    let grant = form.get("grant_type").unwrap_or_default();
    let mut world = sim.world();
    let (family, refresh) = match grant {
        "client_credentials" => {
            check_client(form, oauth, true)?;
            if !oauth.client_credentials {
                return Err(Refusal::oauth(400, "invalid_grant", "no client credentials user enabled"));
            }
            (None, None)
        }
        JWT_BEARER => {
            super::jwt::check(form.get("assertion").unwrap_or_default(), oauth, &sim.instance_url(), now / 1_000)?;
            (None, None)
        }
        "authorization_code" => {
            check_client(form, oauth, true)?;
            let (code, to) = (form.get("code").unwrap_or_default(), form.get("redirect_uri").unwrap_or_default());
            let taken = world.auth.take_code(code, to, form.get("code_verifier"), oauth, chance, now)?;
            (Some(taken.0), Some(taken.1))
        }
        "refresh_token" => {
            check_client(form, oauth, false)?;
            let given = form.get("refresh_token").unwrap_or_default();
            let (family, refresh) = world.auth.take_refresh(given, oauth, chance)?;
            (Some(family), refresh)
        }
        _ => return Err(Refusal::oauth(400, "unsupported_grant_type", "grant type not supported")),
    };
    let org = world.org.to_string();
    let short: String = org.chars().take(15).collect();
    let token = world.auth.open(&short, &sim.config, chance, family, now);
    world.tally.session(grant);
    let instance = sim.instance_url();
    let id = format!("{instance}/id/{org}/{}", world.users.api);
    // No `expires_in`: when a session ends is not told.
    let mut body = json!({
        "access_token": token, "instance_url": instance, "id": id, "token_type": "Bearer",
        "scope": oauth.scopes.join(" "), "issued_at": now.to_string(), "api_instance_url": instance,
        "signature": signature(&oauth.client_secret, &id, now),
    });
    if let (Some(refresh), Some(fields)) = (refresh, body.as_object_mut()) {
        fields.insert("refresh_token".to_owned(), Value::String(refresh));
    }
    Ok(Reply::wrote(200, body))
}

/// HMAC-SHA256 of id and time with the consumer secret, base64.
fn signature(secret: &str, id: &str, issued_at: i64) -> String {
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{id}{issued_at}").as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A person who always says yes.
fn authorize(sim: &Sim, call: &Call) -> Answer {
    let oauth = &sim.config.oauth;
    let given = |name| call.query.get(name);
    if given("client_id") != Some(oauth.client_id.as_str()) {
        return Err(Refusal::oauth(400, "invalid_client_id", "client identifier invalid"));
    }
    if given("redirect_uri") != Some(oauth.redirect_uri.as_str()) {
        return Err(Refusal::oauth(400, "redirect_uri_mismatch", "redirect_uri must match configuration"));
    }
    let state = given("state").map(|state| format!("&state={}", escape(state))).unwrap_or_default();
    let back = |rest: String| Ok(Reply::redirect(format!("{}?{rest}{state}", oauth.redirect_uri)));
    if oauth.refuse_consent {
        return back("error=access_denied&error_description=end-user+denied+authorization".to_owned());
    }
    if given("response_type") != Some("code") {
        return back("error=unsupported_response_type&error_description=response+type+not+supported".to_owned());
    }
    if given("code_challenge").is_none() && oauth.require_pkce {
        return back("error=invalid_request&error_description=missing+required+code+challenge".to_owned());
    }
    let now = sim.clock.now_ms();
    let code = sim.world().auth.new_code(&oauth.redirect_uri, given("code_challenge"), &sim.chance, now);
    back(format!("code={code}"))
}

fn introspect(sim: &Sim, form: &Form) -> Answer {
    let oauth = &sim.config.oauth;
    check_client(form, oauth, true)?;
    let now = sim.clock.now_ms();
    let world = sim.world();
    let token = form.get("token").unwrap_or_default();
    let about = json!({"active": true, "client_id": oauth.client_id, "username": oauth.username,
                       "sub": format!("{}/id/{}/{}", sim.instance_url(), world.org, world.users.api)});
    let more = match world.auth.look(token, oauth, now) {
        Some((session, end)) => {
            let scopes: Vec<&str> = session.scopes.iter().map(String::as_str).collect();
            json!({"scope": scopes.join(" "), "token_type": "access_token", "exp": end, "iat": now / 1_000, "nbf": now / 1_000})
        }
        None if world.auth.knows_refresh(token) => {
            json!({"scope": oauth.scopes.join(" "), "token_type": "refresh_token"})
        }
        None => return Ok(Reply::read(json!({"active": false}))),
    };
    let mut body = about;
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    Ok(Reply::read(body))
}

fn revoke(sim: &Sim, token: &str) -> Answer {
    if sim.world().auth.revoke(token) {
        return Ok(Reply::wrote(200, json!({})));
    }
    Err(Refusal::oauth(400, "unsupported_token_type", "this token type is not supported"))
}

/// The parts of a compact JWT: header, claims, the signed text and the signature.
pub(super) fn parts(assertion: &str) -> Option<(Value, Value, &str, Vec<u8>)> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let json = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    Some((json(header)?, json(claims)?, signed, URL_SAFE_NO_PAD.decode(signature).ok()?))
}

/// True when the claims' `exp` is neither over nor too far.
pub(super) fn timely(claims: &Value, now_s: i64) -> bool {
    let exp = claims.get("exp").and_then(|exp| exp.as_i64().or_else(|| exp.as_str()?.parse().ok()));
    exp.is_some_and(|exp| (now_s..=now_s + LONGEST_ASSERTION_S).contains(&exp))
}
