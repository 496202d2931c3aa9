//! Events in a CRM that ask for a message: a record that comes to fulfil a condition, or a call of a program. What is asked for goes
//! through the send gate like any other wish; here is only when, under which key and with which words.
//! Invariant: a record that fulfils the condition when it is first read asks for nothing: it may have done so for years.

use super::codec::{Reason, plain, reason};
use super::{Facts, Item, Template};
use crate::crm::CrmRecord;
use crate::ids::{NumberId, PersonId};
use crate::message::Origin;
use crate::people::PersonCard;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A condition and the message that it asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Its configured name: part of every idempotency key.
    pub name: String,
    /// Whose records; `None`: only programs call it.
    pub connection: Option<String>,
    /// The condition over the record's fields; `None`: always.
    when: Option<Template>,
    /// What is asked for once: an order's number. `None`: each time the condition comes true.
    key: Option<Template>,
    /// Our number that sends; `None`: the first one.
    pub number: Option<NumberId>,
    /// The message, in the shape of the send API, with templates in its texts.
    message: Node,
}

/// The message with its texts read.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(Template),
    Plain(Value),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// What a trigger found in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The trigger.
    pub trigger: String,
    /// The CRM's record id.
    pub record: String,
    /// The key while the condition holds; empty while it doesn't.
    pub key: String,
}

/// A message that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fired {
    /// The trigger.
    pub trigger: String,
    /// To whom.
    pub person: PersonId,
    /// Under this key it is asked for once.
    pub key: String,
    /// Our number that sends.
    pub number: Option<NumberId>,
    /// The message, in the shape of the send API.
    pub message: Value,
}

impl Fired {
    /// Who asks.
    pub const ORIGIN: Origin = Origin::Crm;
}

impl Trigger {
    /// Reads a trigger's parts.
    ///
    /// # Errors
    /// Each part that can't be read, with its name.
    pub fn parse(
        name: &str,
        connection: Option<String>,
        when: Option<&str>,
        key: Option<&str>,
        number: Option<NumberId>,
        message: &Value,
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let mut errors = Vec::new();
        let mut read = |part: &'static str, text: Option<String>| {
            text.and_then(|text| Template::parse(&text).map_err(|problem| errors.push((part, problem))).ok())
        };
        let when = read("when", when.map(|w| format!("{{% if {w} %}}1{{% endif %}}")));
        let key = read("key", key.map(str::to_owned));
        match Node::read(message) {
            Ok(message) if errors.is_empty() => {
                Ok(Self { name: name.to_owned(), connection, when, key, number, message })
            }
            Ok(_) => Err(errors),
            Err(problem) => {
                errors.push(("message", problem));
                Err(errors)
            }
        }
    }

    /// Names that it uses.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let parts = self.when.iter().chain(&self.key);
        parts.for_each(|template| names.extend(template.variables()));
        self.message.names(&mut names);
        names
    }

    /// The key while the condition holds for these values; empty while it doesn't. `each`: of conditions without a key.
    ///
    /// # Errors
    /// Condition or key can't be worked out.
    pub fn holds(&self, values: &Values, each: &str) -> Result<String, Reason> {
        let holds = match &self.when {
            Some(when) => when.fill(None, values.iter())?.is_some(),
            None => true,
        };
        if !holds {
            return Ok(String::new());
        }
        match &self.key {
            None => Ok(each.to_owned()),
            Some(key) => {
                let key = key.fill(None, values.iter())?;
                key.ok_or_else(|| {
                    reason("key_empty", "The trigger's key comes out empty: the record lacks what it is made of.")
                })
            }
        }
    }

    /// The message with these values.
    ///
    /// # Errors
    /// A text can't be filled in.
    pub fn message(&self, values: &Values) -> Result<Value, Reason> {
        self.message.fill(values)
    }

    /// True when a condition without a key decides by itself when it is new.
    #[must_use]
    pub const fn has_key(&self) -> bool {
        self.key.is_some()
    }
}

/// Values by name, as templates see them.
#[derive(Debug, Clone, Default)]
pub struct Values(BTreeMap<String, Option<String>>);

impl Values {
    /// What we know of a person under our names (`phone_number` for the number), and a record's fields under the CRM's.
    #[must_use]
    pub fn of(facts: &Facts, names: &[String], record: &CrmRecord) -> Self {
        let mut values = Self::of_person(facts);
        values.0.extend(names.iter().zip(&record.values).map(|(name, value)| (name.clone(), plain(value))));
        values
    }

    /// What we know of a person under our names.
    #[must_use]
    pub fn of_person(facts: &Facts) -> Self {
        let mut values: BTreeMap<String, Option<String>> =
            facts.profile.fields.iter().map(|(key, field)| (key.clone(), Some(field.value.clone()))).collect();
        values.insert("name".to_owned(), facts.said(&Item::Field("name".to_owned())).value);
        values.insert("phone_number".to_owned(), facts.said(&Item::Phone).value);
        Self(values)
    }

    /// What a card tells of a person.
    #[must_use]
    pub fn of_card(card: &PersonCard) -> Self {
        let digits = card.phones().first().map(|d| (*d).to_owned()).unwrap_or_default();
        let facts = Facts {
            profile: card.profile.clone(),
            whatsapp_name: card.whatsapp_name.clone(),
            ..Facts::newcomer(card.id, &digits, card.created_at)
        };
        Self::of_person(&facts)
    }

    /// Adds what a program tells.
    pub fn add(&mut self, data: &Map<String, Value>) {
        self.0.extend(data.iter().map(|(name, value)| (name.clone(), plain(value))));
    }

    fn iter(&self) -> impl Iterator<Item = (&str, Option<String>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.clone()))
    }
}

impl Node {
    fn read(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) if text.contains("{{") || text.contains("{%") => Self::Text(Template::parse(text)?),
            Value::Array(items) => Self::List(items.iter().map(Self::read).collect::<Result<_, _>>()?),
            Value::Object(fields) => {
                let read = |(key, value): (&String, &Value)| Ok((key.clone(), Self::read(value)?));
                Self::Map(fields.iter().map(read).collect::<Result<_, String>>()?)
            }
            plain => Self::Plain(plain.clone()),
        })
    }

    fn names(&self, names: &mut BTreeSet<String>) {
        match self {
            Self::Text(template) => names.extend(template.variables()),
            Self::Plain(_) => {}
            Self::List(items) => items.iter().for_each(|item| item.names(names)),
            Self::Map(fields) => fields.iter().for_each(|(_, item)| item.names(names)),
        }
    }

    fn fill(&self, values: &Values) -> Result<Value, Reason> {
        Ok(match self {
            Self::Text(template) => Value::String(template.fill(None, values.iter())?.unwrap_or_default()),
            Self::Plain(value) => value.clone(),
            Self::List(items) => Value::Array(items.iter().map(|i| i.fill(values)).collect::<Result<_, _>>()?),
            Self::Map(fields) => {
                let fill = |(key, item): &(String, Self)| Ok((key.clone(), item.fill(values)?));
                Value::Object(fields.iter().map(fill).collect::<Result<_, Reason>>()?)
            }
        })
    }
}

/// What triggers make of a record. `known`: keys as they were found last.
#[must_use]
pub fn look(
    triggers: &[Trigger],
    facts: &Facts,
    names: &[String],
    record: &CrmRecord,
    known: impl Fn(&str) -> Option<String>,
    first_reading: bool,
) -> (Vec<Found>, Vec<Fired>, Vec<(String, Reason)>) {
    let (mut found, mut fired, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    let values = Values::of(facts, names, record);
    let each = record.modified_at.map_or_else(String::new, |at| at.to_string());
    for trigger in triggers {
        let before = known(&trigger.name);
        let key = match trigger.holds(&values, &each) {
            Ok(key) => key,
            Err(why) => {
                left_out.push((trigger.name.clone(), why));
                continue;
            }
        };
        // Without a key of its own a condition that holds on is no news.
        let holds_on = !trigger.has_key() && before.as_deref().is_some_and(|b| !b.is_empty());
        let key = if holds_on && !key.is_empty() { before.clone().unwrap_or_default() } else { key };
        let news = !key.is_empty() && before.as_ref() != Some(&key);
        if news && !(first_reading && before.is_none()) {
            match trigger.message(&values) {
                Ok(message) => fired.push(Fired {
                    trigger: trigger.name.clone(),
                    person: facts.person,
                    key: format!("trigger/{}/{}/{key}", trigger.name, record.id),
                    number: trigger.number.clone(),
                    message,
                }),
                Err(why) => {
                    left_out.push((trigger.name.clone(), why));
                    continue;
                }
            }
        }
        if before.as_ref() != Some(&key) {
            found.push(Found { trigger: trigger.name.clone(), record: record.id.clone(), key });
        }
    }
    (found, fired, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn trigger(when: Option<&str>, key: Option<&str>) -> Trigger {
        let message = json!({"type": "template", "template": {"name": "order", "language": {"code": "en"},
            "components": [{"type": "body", "parameters": [{"type": "text", "text": "{{ name | first_word }}: {{ order_no }}"}]}]}});
        Trigger::parse("order", Some("main".into()), when, key, None, &message).unwrap()
    }

    fn run(
        trigger: &Trigger,
        state: &mut Option<String>,
        status: &str,
        order: &str,
        at: i64,
        first: bool,
    ) -> Vec<Fired> {
        let facts = Facts {
            whatsapp_name: Some("Ana Lima".into()),
            ..Facts::newcomer(PersonId(Uuid::nil()), "886912345678", 0)
        };
        let names = ["status".to_owned(), "order_no".to_owned()];
        let values = vec![json!(status), json!(order)];
        let record = CrmRecord { id: "7".into(), person: None, modified_at: Some(at), values };
        let known = state.clone();
        let triggers = std::slice::from_ref(trigger);
        let (found, fired, left_out) = look(triggers, &facts, &names, &record, |_| known.clone(), first);
        assert!(left_out.is_empty(), "{left_out:?}");
        if let Some(found) = found.into_iter().next() {
            *state = Some(found.key);
        }
        fired
    }

    #[test]
    fn each_order_asks_once_and_what_was_there_before_asks_for_nothing() {
        let trigger = trigger(Some("status == 'confirmed'"), Some("{{ order_no }}"));
        let mut state = None;
        assert!(run(&trigger, &mut state, "confirmed", "A1", 1, true).is_empty(), "it has been so for years");
        assert!(run(&trigger, &mut state, "confirmed", "A1", 2, false).is_empty());
        let fired = run(&trigger, &mut state, "confirmed", "A2", 3, false);
        assert_eq!(fired[0].key, "trigger/order/7/A2");
        let text = fired[0].message.pointer("/template/components/0/parameters/0/text").unwrap();
        assert_eq!(text, "Ana: A2");
        assert!(run(&trigger, &mut state, "confirmed", "A2", 4, false).is_empty());
        assert!(run(&trigger, &mut state, "shipped", "A3", 5, false).is_empty());
        assert_eq!(run(&trigger, &mut state, "confirmed", "A3", 6, false).len(), 1);
        let mut new = None;
        assert_eq!(run(&trigger, &mut new, "confirmed", "B1", 7, false).len(), 1, "a new record's first order");
    }

    #[test]
    fn without_a_key_each_time_that_it_comes_true_counts() {
        let trigger = trigger(Some("status == 'overdue'"), None);
        let mut state = None;
        assert!(run(&trigger, &mut state, "fine", "", 1, false).is_empty());
        assert_eq!(run(&trigger, &mut state, "overdue", "", 2, false)[0].key, "trigger/order/7/2");
        assert!(run(&trigger, &mut state, "overdue", "", 3, false).is_empty(), "it holds on");
        assert!(run(&trigger, &mut state, "fine", "", 4, false).is_empty());
        assert_eq!(run(&trigger, &mut state, "overdue", "", 5, false)[0].key, "trigger/order/7/5");
    }

    #[test]
    fn what_it_uses_is_known_and_what_is_wrong_is_told() {
        let names = trigger(Some("status == 'x'"), Some("{{ order_no }}")).names();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["name", "order_no", "status"]);
        let wrong = Trigger::parse("x", None, Some("status =="), Some("{{"), None, &json!({"type": "{{ x"}));
        let parts: Vec<&str> = wrong.unwrap_err().iter().map(|(part, _)| *part).collect();
        assert_eq!(parts, ["when", "key", "message"]);
    }
}
