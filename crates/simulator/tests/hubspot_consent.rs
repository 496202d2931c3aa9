//! HubSpot's consent page and the exchange of its codes: strict about the address, the proof key, the time, and the person's word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use ponte_simulator::hubspot::{Config, HubSpot};
use reqwest::redirect::Policy;

const BACK: &str = "http://127.0.0.1/oauth/callback";
/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Browser {
    base: String,
    http: reqwest::Client,
}

impl Browser {
    fn of(hubspot: &HubSpot) -> Self {
        Self { base: hubspot.base_url(), http: reqwest::Client::builder().redirect(Policy::none()).build().unwrap() }
    }

    /// Status, and where the browser is sent.
    async fn consent(&self, client: &str, back: &str) -> (u16, String) {
        let query = [
            ("client_id", client),
            ("redirect_uri", back),
            ("scope", "crm.objects.contacts.read"),
            ("state", "s&1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let url = reqwest::Url::parse_with_params(&format!("{}/oauth/authorize", self.base), query).unwrap();
        let answer = self.http.get(url).send().await.unwrap();
        let location = answer.headers().get("location").map_or("", |v| v.to_str().unwrap()).to_owned();
        (answer.status().as_u16(), location)
    }

    async fn code(&self) -> String {
        let (status, location) = self.consent("sim-client", BACK).await;
        assert_eq!(status, 302);
        assert!(location.ends_with("&state=s%261"), "{location}");
        location.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned()
    }

    async fn exchange(&self, code: &str, back: &str, verifier: &str) -> u16 {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "sim-client"),
            ("client_secret", "sim-client-secret"),
            ("code", code),
            ("redirect_uri", back),
            ("code_verifier", verifier),
        ];
        let encoded = reqwest::Url::parse_with_params("form:/", form).unwrap().query().unwrap().to_owned();
        let request = self.http.post(format!("{}/oauth/2026-09/token", self.base));
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(encoded);
        request.send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn a_code_is_good_once_for_its_address_and_its_proof_key() {
    let hubspot = HubSpot::start(Config::default()).await.unwrap();
    let browser = Browser::of(&hubspot);
    assert_eq!(browser.consent("other", BACK).await.0, 400);
    assert_eq!(browser.consent("sim-client", "http://127.0.0.1/other").await.0, 400);
    assert_eq!(browser.exchange(&browser.code().await, "http://127.0.0.1/other", VERIFIER).await, 400);
    assert_eq!(browser.exchange(&browser.code().await, BACK, "another").await, 400);
    let code = browser.code().await;
    assert_eq!(browser.exchange(&code, BACK, VERIFIER).await, 200);
    assert_eq!(browser.exchange(&code, BACK, VERIFIER).await, 400);
}

#[tokio::test]
async fn old_codes_and_persons_who_say_no_give_nothing() {
    let mut config = Config::default();
    config.oauth.code_life_s = 0;
    let hubspot = HubSpot::start(config.clone()).await.unwrap();
    let browser = Browser::of(&hubspot);
    assert_eq!(browser.exchange(&browser.code().await, BACK, VERIFIER).await, 400);
    config.oauth.refuse_consent = true;
    let hubspot = HubSpot::start(config).await.unwrap();
    let (status, location) = Browser::of(&hubspot).consent("sim-client", BACK).await;
    assert_eq!((status, location.contains("error=access_denied"), location.contains("code=")), (302, true, false));
}
