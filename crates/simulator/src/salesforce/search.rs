//! SOSL and parameterized search over names, e-mail addresses and phone numbers.
//! May touch: the search index; records, to read them. Must not touch: sockets.

use super::Sim;
use super::error::{Answer, Refusal, Reply};
use super::ids::RecordId;
use super::index::{Scope, words, words_of};
use super::request::Call;
use super::schema::Kind;
use super::soql::{Bound, FoundRow, parse, render};
use super::world::World;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Records of one search at most.
const MOST: usize = 2_000;
/// Characters that mean something unless a backslash stands before them.
const RESERVED: &str = "?&|!{}[]()^~*:\\\"'+-";

/// One word looked for.
#[derive(Debug, PartialEq, Eq)]
struct Term {
    word: String,
    beginning: bool,
}

/// Alternatives, of which all words of one must be there.
type Wanted = Vec<Vec<Term>>;

#[derive(Debug)]
struct Returning {
    object: String,
    fields: Vec<String>,
    filter: Option<String>,
    limit: usize,
}

fn malformed(message: &str) -> Refusal {
    Refusal::bad("MALFORMED_SEARCH", message)
}

/// `GET /search?q=FIND {…} IN … FIELDS RETURNING …`.
pub(super) fn sosl(sim: &Sim, call: &Call, now: i64) -> Answer {
    let text =
        call.query.get("q").ok_or_else(|| malformed("No search term found. The search term must be in braces."))?;
    let rest = after_word(text.trim(), "FIND").ok_or_else(|| malformed("expecting FIND"))?;
    let rest = rest.strip_prefix('{').ok_or_else(|| malformed("expecting a left brace, found something else"))?;
    let end = closing(rest).ok_or_else(|| malformed("expecting a right brace, found <EOF>"))?;
    let (term, rest) = rest.split_at(end);
    let mut rest = rest.get(1..).unwrap_or_default().trim_start();
    let mut scope = Scope::All;
    if let Some(after) = after_word(rest, "IN") {
        let names = [("ALL", Scope::All), ("NAME", Scope::Name), ("EMAIL", Scope::Email), ("PHONE", Scope::Phone)];
        let found =
            names.into_iter().find_map(|(word, scope)| Some((scope, after_word(after_word(after, word)?, "FIELDS")?)));
        (scope, rest) = found.ok_or_else(|| malformed("unexpected token after IN"))?;
    }
    let returning = match after_word(rest, "RETURNING") {
        Some(list) => returnings(list)?,
        None if rest.is_empty() => ["Account", "Contact", "Lead"].map(plain).into(),
        None => return Err(malformed(&format!("unexpected token: {rest}"))),
    };
    answer(sim, call, &terms(term, true)?, scope, &returning, now)
}

fn plain(object: &str) -> Returning {
    Returning { object: object.to_owned(), fields: vec!["Id".to_owned()], filter: None, limit: MOST }
}

/// What follows a keyword.
fn after_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    let ends = rest.chars().next().is_none_or(|c| !c.is_ascii_alphanumeric());
    (ends && head.eq_ignore_ascii_case(word)).then(|| rest.trim_start())
}

/// The place of the brace that closes, passing escaped ones.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        let closes = letter == '}' && !escaped;
        escaped = letter == '\\' && !escaped;
        closes.then_some(at)
    })
}

/// Words, quoted phrases, `*` at an end, AND and OR. What is reserved must be escaped when `strict`.
fn terms(text: &str, strict: bool) -> Result<Wanted, Refusal> {
    let mut wanted: Wanted = vec![Vec::new()];
    let mut quoted = false;
    let mut word = String::new();
    let mut letters = text.chars().chain([' ']);
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if strict => word.extend(letters.next()),
            '"' if strict => quoted = !quoted,
            // Kept as a mark that no escaped character can be.
            '*' if strict => word.push('\u{1}'),
            reserved if strict && !quoted && RESERVED.contains(reserved) => {
                return Err(malformed(&format!("unexpected token: {reserved}: reserved characters must be escaped")));
            }
            blank if blank.is_whitespace() && !quoted => {
                let found = std::mem::take(&mut word);
                match found.to_uppercase().as_str() {
                    "" | "AND" if strict || found.is_empty() => {}
                    "OR" if strict => wanted.push(Vec::new()),
                    _ => {
                        let beginning = found.ends_with('\u{1}');
                        let parts = words(&found.replace('\u{1}', " "), Kind::Text);
                        let last = parts.len().saturating_sub(1);
                        if let Some(all) = wanted.last_mut() {
                            let ends = |at| beginning && at == last;
                            all.extend(
                                parts.into_iter().enumerate().map(|(at, word)| Term { word, beginning: ends(at) }),
                            );
                        }
                    }
                }
            }
            other => word.push(other),
        }
    }
    if quoted {
        return Err(malformed("a quotation mark is not closed"));
    }
    let letters: usize = wanted.iter().flatten().map(|term| term.word.chars().count()).sum();
    if letters < 2 || wanted.iter().any(Vec::is_empty) {
        return Err(malformed("search term must be longer than one character"));
    }
    Ok(wanted)
}

/// `Contact(Id, Phone WHERE … LIMIT n), Lead`.
fn returnings(text: &str) -> Result<Vec<Returning>, Refusal> {
    let mut list = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (object, after) = rest.split_at(end);
        if object.is_empty() {
            return Err(malformed(&format!("unexpected token: {rest}")));
        }
        let mut entry = plain(object);
        rest = after.trim_start();
        if let Some(inner) = rest.strip_prefix('(') {
            let (inside, after) = inner.split_once(')').ok_or_else(|| malformed("expecting a right parenthesis"))?;
            rest = after.trim_start();
            let upper = inside.to_ascii_uppercase();
            let cut = |word: &str| upper.find(&format!(" {word} "));
            let limit_at = cut("LIMIT").unwrap_or(inside.len());
            let filter_at = cut("WHERE").unwrap_or(limit_at);
            let names = inside.get(..filter_at).unwrap_or_default();
            entry.fields = names.split(',').map(|name| name.trim().to_owned()).collect();
            entry.filter = inside.get(filter_at..limit_at).map(|f| f.trim().to_owned()).filter(|f| !f.is_empty());
            if let Some(number) = inside.get(limit_at..).and_then(|limit| limit.split_whitespace().nth(1)) {
                entry.limit = number.parse().map_err(|_| malformed("LIMIT takes a number"))?;
            }
        }
        list.push(entry);
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(malformed(&format!("unexpected token: {rest}"))),
        };
    }
    Ok(list)
}

/// The records of a search, looked at again, with their fields.
fn answer(sim: &Sim, call: &Call, wanted: &Wanted, scope: Scope, returning: &[Returning], now: i64) -> Answer {
    let mut world = sim.world();
    world.catch_up_search(now);
    let mut records: Vec<Value> = Vec::new();
    for entry in returning {
        let filter = entry.filter.as_deref().unwrap_or_default();
        let query = parse(&format!("SELECT {} FROM {} {filter}", entry.fields.join(", "), entry.object))?;
        let bound = Bound::of(&query, &world, false, now)?;
        let allowed: Option<BTreeSet<RecordId>> =
            entry.filter.as_ref().map(|_| super::soql::find(&world, &query, &bound).into_iter().collect());
        let fits = |row: &&FoundRow| allowed.as_ref().is_none_or(|ids| ids.contains(&row.id));
        let found = found(&world, wanted, scope);
        let rows = found.iter().filter_map(|id| world.table(bound.object)?.live_row(*id));
        let left = MOST.saturating_sub(records.len()).min(entry.limit);
        records.extend(rows.filter(fits).take(left).map(|row| render(&world, &bound, row, &call.base)));
    }
    Ok(Reply::read(json!({"searchRecords": records})))
}

fn found(world: &World, wanted: &Wanted, scope: Scope) -> BTreeSet<RecordId> {
    let mut all = BTreeSet::new();
    for terms in wanted {
        let Some(rarest) = terms.iter().max_by_key(|term| term.word.len()) else { continue };
        all.extend(world.search.find(&rarest.word, rarest.beginning).into_iter().filter(|id| {
            let Some((_, object, row)) = world.any_row(*id) else { return false };
            let words = words_of(world, object, row, scope);
            terms.iter().all(|term| match term.beginning {
                true => words.iter().any(|word| word.starts_with(&term.word)),
                false => words.contains(&term.word),
            })
        }));
    }
    all
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Parameters {
    q: String,
    #[serde(default, rename = "in")]
    within: Option<String>,
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default)]
    sobjects: Vec<Part>,
    #[serde(default)]
    overall_limit: Option<usize>,
    #[serde(default)]
    default_limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    name: String,
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default, rename = "where")]
    filter: Option<String>,
}

/// `GET` and `POST /parameterizedSearch`: the term is plain text, nothing in it needs an escape.
pub(super) fn parameterized(sim: &Sim, call: &Call, now: i64) -> Answer {
    let given: Parameters = if call.method == Method::GET {
        let names = call.query.list("sobject");
        let part = |name: String| Part {
            fields: call.query.list(&format!("{name}.fields")),
            limit: call.query.get(&format!("{name}.limit")).and_then(|n| n.parse().ok()),
            filter: None,
            name,
        };
        Parameters {
            q: call.query.get("q").unwrap_or_default().to_owned(),
            within: call.query.get("in").map(str::to_owned),
            fields: call.query.list("fields"),
            sobjects: names.into_iter().map(part).collect(),
            overall_limit: None,
            default_limit: None,
        }
    } else {
        call.json()?
    };
    let scope = match given.within.as_deref().unwrap_or("ALL").to_uppercase().as_str() {
        "ALL" => Scope::All,
        "NAME" => Scope::Name,
        "EMAIL" => Scope::Email,
        "PHONE" => Scope::Phone,
        other => return Err(malformed(&format!("unknown scope: {other}"))),
    };
    let default = |fields: Vec<String>| match (fields.is_empty(), given.fields.is_empty()) {
        (false, _) => fields,
        (true, false) => given.fields.clone(),
        (true, true) => vec!["Id".to_owned()],
    };
    let limit = given.default_limit.or(given.overall_limit).unwrap_or(MOST);
    let mut returning: Vec<Returning> = given
        .sobjects
        .into_iter()
        .map(|part| Returning {
            object: part.name,
            fields: default(part.fields),
            filter: part.filter.map(|filter| format!("WHERE {filter}")),
            limit: part.limit.unwrap_or(limit),
        })
        .collect();
    if returning.is_empty() {
        returning = ["Account", "Contact", "Lead"].map(plain).into();
    }
    answer(sim, call, &terms(&given.q, false)?, scope, &returning, now)
}

#[cfg(test)]
mod tests {
    use super::{Term, terms};

    #[test]
    fn reserved_characters_need_an_escape() {
        let term = |word: &str, beginning| Term { word: word.to_owned(), beginning };
        assert_eq!(terms("\\+33 6*", true).unwrap(), [[term("33", false), term("6", true)]]);
        assert_eq!(terms("ana OR \"bo berg\"", true).unwrap().len(), 2);
        for bad in ["+33", "a", "", "(x) y", "\"open word", "ana OR "] {
            assert_eq!(terms(bad, true).unwrap_err().code, "MALFORMED_SEARCH", "{bad}");
        }
        assert_eq!(terms("+33 (6)", false).unwrap(), [[term("33", false), term("6", false)]]);
    }
}
