//! The words and buttons by which people withdraw and confirm. The rule, with examples, is in docs/consent.md: the message is
//! one of the phrases, or a short message of which nothing is left beside a phrase but polite words. So "please stop" counts,
//! "don't stop" and "stop sign broken" don't: what isn't understood for sure is left to a person.

use super::ledger::{Action, Source};
use crate::ids::ConsentId;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longest message looked at, bytes: a phrase with courtesies in any script.
const LONGEST: usize = 120;
/// Most words of a short message.
const SHORT: usize = 4;

/// Withdrawal words by language. "Cancel" and its kin are not among them: they are said of orders.
const WITHDRAW: &[(&str, &[&str])] = &[
    ("en", &["stop", "stop all", "stopall", "unsubscribe", "opt out", "optout", "stop promotions", "stop messages"]),
    ("pt", &["sair", "parar", "pare", "descadastrar", "remover", "cancelar inscrição"]),
    ("es", &["baja", "dar de baja", "darme de baja", "cancelar suscripción", "no más mensajes"]),
    ("zh", &["退訂", "退订", "停止", "取消訂閱", "取消订阅", "拒收", "停止發送", "停止发送", "不要再傳", "不要再发"]),
    ("fr", &["arrêt", "arrêter", "arrêtez", "désabonner", "me désabonner", "désinscription", "désinscrire"]),
    ("de", &["stopp", "abmelden", "abbestellen", "abmeldung", "austragen"]),
    ("hi", &["बंद", "बंद करो", "बंद करें", "बंद कीजिए", "रोकें", "रोको"]),
    ("ar", &["إلغاء", "إيقاف", "توقف", "إلغاء الاشتراك", "أوقف"]),
    ("id", &["berhenti", "hentikan", "berhenti berlangganan"]),
];

/// Confirmation words by language. They count only as the answer to a question that is open.
const CONFIRM: &[(&str, &[&str])] = &[
    ("en", &["yes", "yes please", "i agree", "agree", "confirm", "subscribe"]),
    ("pt", &["sim", "aceito", "concordo", "confirmo"]),
    ("es", &["sí", "acepto", "confirmo", "de acuerdo"]),
    ("zh", &["是", "是的", "好", "好的", "同意", "確認", "确认"]),
    ("fr", &["oui", "j'accepte", "d'accord", "confirmer"]),
    ("de", &["ja", "ja bitte", "bestätigen", "einverstanden"]),
    ("hi", &["हाँ", "हां", "जी हाँ", "सहमत"]),
    ("ar", &["نعم", "موافق", "أوافق"]),
    ("id", &["ya", "setuju", "iya"]),
];

/// What may stand beside a phrase in a short message without changing what it says.
const POLITE: &[&str] = &[
    "please",
    "pls",
    "plz",
    "thanks",
    "thank",
    "you",
    "thx",
    "now",
    "me",
    "it",
    "por",
    "favor",
    "obrigado",
    "obrigada",
    "quero",
    "gracias",
    "quiero",
    "ya",
    "svp",
    "s'il",
    "vous",
    "plaît",
    "te",
    "merci",
    "bitte",
    "danke",
    "sofort",
    "jetzt",
    "tolong",
    "mohon",
    "terima",
    "kasih",
    "कृपया",
    "धन्यवाद",
    "من",
    "فضلك",
    "لو",
    "سمحت",
    "شكرا",
    "رجاء",
];

/// The same for Chinese, which has no spaces: taken from both ends.
const POLITE_HAN: &[&str] = &["請", "请", "麻煩", "麻烦", "我要", "謝謝", "谢谢", "了", "吧", "你", "您"];

/// What a message says about consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Withdrawn or confirmed.
    pub action: Action,
    /// Language of the word; empty for words of the configuration without one.
    pub language: String,
}

/// The phrases, ready to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    phrases: HashMap<String, Said>,
    polite: HashSet<String>,
}

impl Default for Words {
    fn default() -> Self {
        Self::new(&BTreeMap::new(), &BTreeMap::new())
    }
}

impl Words {
    /// The default words, with those of the configuration by language. A language given there replaces the default list of
    /// that language; an empty list switches it off.
    #[must_use]
    pub fn new(withdraw: &BTreeMap<String, Vec<String>>, confirm: &BTreeMap<String, Vec<String>>) -> Self {
        let mut phrases = HashMap::new();
        // A phrase on both lists withdraws: entered last.
        for (action, defaults, own) in [(Action::Confirmed, CONFIRM, confirm), (Action::Withdrawn, WITHDRAW, withdraw)]
        {
            let defaults = defaults.iter().filter(|(language, _)| !own.contains_key(*language));
            let defaults = defaults.flat_map(|(language, words)| words.iter().map(move |word| (*language, *word)));
            let own =
                own.iter().flat_map(|(language, words)| words.iter().map(move |w| (language.as_str(), w.as_str())));
            for (language, word) in defaults.chain(own) {
                let key = key_of(word);
                if !key.is_empty() {
                    phrases.insert(key, Said { action, language: language.to_owned() });
                }
            }
        }
        Self { phrases, polite: POLITE.iter().map(|word| key_of(word)).collect() }
    }

    /// What the message says, when it says anything for sure.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Said> {
        if text.len() > LONGEST {
            return None;
        }
        let whole = normal(text);
        let key: String = if has_han(&whole) { whole.replace(' ', "") } else { whole };
        if key.is_empty() {
            return None;
        }
        if let Some(said) = self.phrases.get(&key) {
            return Some(said.clone());
        }
        if has_han(&key) { self.without_courtesies(&key) } else { self.among_polite(&key) }
    }

    fn among_polite(&self, key: &str) -> Option<Said> {
        let words: Vec<&str> = key.split(' ').collect();
        if words.len() > SHORT {
            return None;
        }
        let all_polite = |words: &[&str]| words.iter().all(|w| self.polite.contains(*w));
        // The longest phrase first: "stop all" before "stop".
        for length in (1..words.len()).rev() {
            for (start, window) in words.windows(length).enumerate() {
                let (before, rest) = words.split_at(start);
                let after = rest.get(length..).unwrap_or_default();
                if all_polite(before)
                    && all_polite(after)
                    && let Some(said) = self.phrases.get(&window.join(" "))
                {
                    return Some(said.clone());
                }
            }
        }
        None
    }

    fn without_courtesies(&self, key: &str) -> Option<Said> {
        let mut rest = key;
        while let Some(shorter) =
            POLITE_HAN.iter().find_map(|polite| rest.strip_prefix(polite).or_else(|| rest.strip_suffix(polite)))
        {
            rest = shorter;
            if let Some(said) = self.phrases.get(rest) {
                return Some(said.clone());
            }
        }
        None
    }
}

fn key_of(phrase: &str) -> String {
    let key = normal(phrase);
    if has_han(&key) { key.replace(' ', "") } else { key }
}

const fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

fn has_han(text: &str) -> bool {
    text.chars().any(is_han)
}

/// Words in lower case with one space between: compatibility forms unified, accents of Latin letters and Arabic vowel signs
/// left out (they are often not typed), marks of other scripts kept (in Hindi they are letters), everything else that is no
/// letter or digit a separator. Apostrophes join: `don't` is one word, and never `don` and `t`.
fn normal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut latin = false;
    for c in text.nfkd().flat_map(char::to_lowercase) {
        match c {
            '\''
            | '\u{2019}'
            | '\u{2bc}'
            | '`'
            | '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{2060}'
            | '\u{feff}' => {}
            // Arabic: vowel signs, tatweel, and the hamza that decomposition splits off.
            '\u{640}' | '\u{64b}'..='\u{655}' | '\u{670}' => {}
            c if is_combining_mark(c) && latin => {}
            c if is_combining_mark(c) => out.push(c),
            c if c.is_alphanumeric() => {
                latin = c.is_ascii_alphabetic() || matches!(c, '\u{c0}'..='\u{24f}');
                out.push(c);
            }
            _ => {
                latin = false;
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
            }
        }
    }
    if out.ends_with(' ') {
        out.pop();
    }
    // One form for stored words and typed ones; Hangul and the like come together again.
    out.nfc().collect()
}

/// What a button of one of our questions means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Button {
    /// The question it belongs to.
    pub request: ConsentId,
    /// Yes or no.
    pub yes: bool,
}

const BUTTON: &str = "ponte:consent:";

/// The id (or payload) of a button of a question.
#[must_use]
pub fn button_id(request: ConsentId, yes: bool) -> String {
    format!("{BUTTON}{}:{request}", if yes { "yes" } else { "no" })
}

/// Whether a template is a question for consent: its first button carries what [`button_id`] makes.
#[must_use]
pub fn is_question(template: &Value) -> bool {
    let payload = template.pointer("/components/0/parameters/0/payload").and_then(Value::as_str);
    payload.is_some_and(|payload| payload.starts_with(BUTTON))
}

/// Reads a tapped button from the message as it came: `button.payload` of a template, `interactive.button_reply.id` of ours.
/// Facts: whatsapp-api section 2.3.
#[must_use]
pub fn button_of(kind: &str, raw: &str) -> Option<Button> {
    let place = match kind {
        "button" => "/button/payload",
        "interactive" => "/interactive/button_reply/id",
        _ => return None,
    };
    if !raw.contains(BUTTON) {
        return None;
    }
    let raw: Value = serde_json::from_str(raw).ok()?;
    let (answer, request) = raw.pointer(place)?.as_str()?.strip_prefix(BUTTON)?.split_once(':')?;
    let yes = match answer {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    Some(Button { request: request.parse().ok()?, yes })
}

impl Said {
    /// By which way it was said, when it came in a message of this kind.
    #[must_use]
    pub fn source(&self, kind: &str) -> Source {
        match (self.action, kind) {
            (_, "button" | "interactive") => Source::Button,
            (Action::Confirmed, _) => Source::Reply,
            _ => Source::Keyword,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The table of docs/consent.md.
    const EXAMPLES: &[(&str, Option<Action>)] = &[
        ("STOP", Some(Action::Withdrawn)),
        ("  stop!!! ", Some(Action::Withdrawn)),
        ("Stop 🛑", Some(Action::Withdrawn)),
        ("ＳＴＯＰ", Some(Action::Withdrawn)),
        ("please stop", Some(Action::Withdrawn)),
        ("Stop it now please", Some(Action::Withdrawn)),
        ("opt-out", Some(Action::Withdrawn)),
        ("don't stop", None),
        ("don’t stop", None),
        ("stop sign broken, when do you repair it?", None),
        ("stop sign", None),
        ("nonstop", None),
        ("bus stop", None),
        ("never stop please", None),
        ("cancel my order", None),
        ("SAIR", Some(Action::Withdrawn)),
        ("quero sair por favor", Some(Action::Withdrawn)),
        ("cancelar inscricao", Some(Action::Withdrawn)),
        ("vou sair agora", None),
        ("Baja, por favor", Some(Action::Withdrawn)),
        ("planta baja", None),
        ("退訂", Some(Action::Withdrawn)),
        ("請退訂，謝謝！", Some(Action::Withdrawn)),
        ("请停止发送", Some(Action::Withdrawn)),
        ("停止營業了嗎", None),
        ("ARRET", Some(Action::Withdrawn)),
        ("Arrêt s'il vous plaît", Some(Action::Withdrawn)),
        ("arrêt de bus", None),
        ("Bitte abmelden", Some(Action::Withdrawn)),
        ("बंद", Some(Action::Withdrawn)),
        ("कृपया बंद करें", Some(Action::Withdrawn)),
        ("दुकान कब बंद होती है", None),
        ("إلغاء", Some(Action::Withdrawn)),
        ("الغاء من فضلك", Some(Action::Withdrawn)),
        ("إلغاء الطلب", None),
        ("BERHENTI", Some(Action::Withdrawn)),
        ("tolong berhenti", Some(Action::Withdrawn)),
        ("Yes", Some(Action::Confirmed)),
        ("yes please", Some(Action::Confirmed)),
        ("Sim, obrigado", Some(Action::Confirmed)),
        ("Si", Some(Action::Confirmed)),
        ("是", Some(Action::Confirmed)),
        ("好的謝謝", Some(Action::Confirmed)),
        ("D'accord", Some(Action::Confirmed)),
        ("हाँ", Some(Action::Confirmed)),
        ("نعم", Some(Action::Confirmed)),
        ("yes, but when does it arrive?", None),
        ("", None),
        ("👍", None),
    ];

    #[test]
    fn the_examples_of_the_documentation_hold() {
        let words = Words::default();
        for (text, wanted) in EXAMPLES {
            assert_eq!(words.read(text).map(|s| s.action), *wanted, "{text:?}");
        }
    }

    #[test]
    fn the_documentation_has_every_example() {
        let page = include_str!("../../../../docs/consent.md");
        for (text, _) in EXAMPLES.iter().filter(|(text, _)| !text.is_empty()) {
            assert!(page.contains(&format!("`{text}`")), "{text:?} is not in docs/consent.md");
        }
    }

    #[test]
    fn the_language_of_the_word_is_known() {
        let words = Words::default();
        assert_eq!(words.read("請退訂").map(|s| s.language).as_deref(), Some("zh"));
        assert_eq!(words.read("sair").map(|s| s.language).as_deref(), Some("pt"));
    }

    #[test]
    fn a_configured_language_replaces_its_defaults_only() {
        let own = BTreeMap::from([("en".to_owned(), vec!["Genug Jetzt".to_owned()])]);
        let words = Words::new(&own, &BTreeMap::new());
        assert!(words.read("genug, jetzt!").is_some());
        assert!(words.read("stop").is_none() && words.read("sair").is_some());
    }

    #[test]
    fn buttons_of_ours_are_read_and_others_are_not() {
        let id = ConsentId(uuid::Uuid::from_u128(7));
        let raw = serde_json::json!({ "button": { "payload": button_id(id, true), "text": "Yes" } }).to_string();
        assert_eq!(button_of("button", &raw), Some(Button { request: id, yes: true }));
        let raw = serde_json::json!({ "interactive": { "button_reply": { "id": button_id(id, false) } } }).to_string();
        assert_eq!(button_of("interactive", &raw), Some(Button { request: id, yes: false }));
        assert_eq!(button_of("text", &raw), None);
        assert_eq!(button_of("button", r#"{"button":{"payload":"ponte:consent:maybe:cst_1"}}"#), None);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_whole_words_only(text in ".{0,60}", before in "[a-z]{1,3}", after in "[a-z]{1,3}") {
            let words = Words::default();
            let _ = words.read(&text);
            let inside = words.read(&format!("{before}unsubscribe{after}"));
            prop_assert!(inside.is_none());
        }

        #[test]
        fn reading_twice_is_reading_once(text in ".{0,40}") {
            prop_assert_eq!(normal(&normal(&text)), normal(&text));
        }
    }
}
