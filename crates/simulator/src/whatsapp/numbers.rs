//! Business numbers: their fields, registration, profile and block list.
//! May touch: the office and the book. Must not touch: sockets.

use super::config::{Config, Number};
use super::content::missing;
use super::errors::ApiError;
use super::phone;
use super::world::World;
use serde_json::{Map, Value, json};

/// What is on file about the numbers.
#[derive(Debug, Default)]
pub(crate) struct Office {
    desks: Vec<Desk>,
}

#[derive(Debug)]
struct Desk {
    number: Number,
    registered: bool,
    verified: bool,
    code_sent: bool,
    pin: Option<String>,
    wrong_pins: u32,
    registrations: Vec<i64>,
    profile: Map<String, Value>,
}

impl Office {
    pub fn of(config: &Config) -> Self {
        let numbers = config.wabas.iter().flat_map(|waba| &waba.numbers);
        let desk = |number: &Number| Desk {
            registered: number.registered,
            verified: number.verified,
            code_sent: false,
            pin: number.pin.clone(),
            wrong_pins: 0,
            registrations: Vec::new(),
            profile: Map::from_iter([
                ("messaging_product".to_owned(), json!("whatsapp")),
                ("about".to_owned(), json!("Available")),
                ("vertical".to_owned(), json!("RETAIL")),
            ]),
            number: number.clone(),
        };
        Self { desks: numbers.map(desk).collect() }
    }

    pub fn registered(&self, number: usize) -> bool {
        self.desks.get(number).is_some_and(|desk| desk.registered)
    }

    fn desk(&mut self, number: usize) -> Result<&mut Desk, ApiError> {
        self.desks.get_mut(number).ok_or_else(|| ApiError::no_object("number"))
    }
}

/// `GET /{phone_number_id}?fields=`.
pub(crate) fn describe(world: &World, number: usize, fields: Option<&str>) -> Result<Value, ApiError> {
    let webhook = world.hooks.read().ok().and_then(|hooks| hooks.number_overrides.get(&number).cloned());
    let waba = world.lines.get(number).map_or(0, |line| line.waba);
    let mut office = world.office();
    let desk = office.desk(number)?;
    let id = desk.number.id.clone();
    let usable = if desk.registered { "AVAILABLE" } else { "BLOCKED" };
    let all = json!({
        "id": id, "display_phone_number": desk.number.display_phone_number, "verified_name": desk.number.verified_name,
        "quality_rating": desk.number.quality, "name_status": "APPROVED", "new_name_status": "NONE",
        "code_verification_status": if desk.verified { "VERIFIED" } else { "NOT_VERIFIED" },
        "status": if desk.registered { "CONNECTED" } else { "DISCONNECTED" },
        "platform_type": "CLOUD_API", "account_mode": "LIVE", "is_on_biz_app": false, "is_official_business_account": false,
        "is_pin_enabled": desk.pin.is_some(), "messaging_limit_tier": desk.number.messaging_limit,
        "whatsapp_business_manager_messaging_limit": desk.number.messaging_limit,
        "throughput": {"level": if desk.number.throughput_per_s > 80 { "HIGH" } else { "STANDARD" }},
        "webhook_configuration": {"application": null, "phone_number": webhook},
        "health_status": health(world, waba, &id, usable),
    });
    let wanted = fields.unwrap_or("id,verified_name,code_verification_status,display_phone_number,quality_rating,platform_type,throughput,webhook_configuration");
    Ok(select(&all, wanted))
}

/// The `health_status` object of a number or account.
pub(crate) fn health(world: &World, waba: usize, id: &str, usable: &str) -> Value {
    let account = world.config.wabas.get(waba);
    let entity = |kind: &str, id: &str, state: &str| json!({"entity_type": kind, "id": id, "can_send_message": state});
    json!({"can_send_message": usable, "entities": [
        entity("PHONE_NUMBER", id, usable),
        entity("WABA", account.map_or("", |waba| waba.id.as_str()), "AVAILABLE"),
        entity("BUSINESS", account.map_or("", |waba| waba.portfolio_id.as_str()), "AVAILABLE"),
        entity("APP", &world.config.app_id, "AVAILABLE"),
    ]})
}

/// Only the wanted top-level fields; `id` always.
pub(crate) fn select(all: &Value, wanted: &str) -> Value {
    let mut out = Map::new();
    for field in std::iter::once("id")
        .chain(wanted.split(',').map(|field| field.split(['{', '.']).next().unwrap_or(field).trim()))
    {
        if let Some(value) = all.get(field).filter(|value| !value.is_null()) {
            out.insert(field.to_owned(), value.clone());
        }
    }
    Value::Object(out)
}

/// `GET /{waba_id}/phone_numbers`.
pub(crate) fn list(world: &World, waba: usize, fields: Option<&str>) -> Result<Value, ApiError> {
    let numbers = world.lines.iter().enumerate().filter(|(_, line)| line.waba == waba);
    let data: Vec<Value> = numbers.map(|(number, _)| describe(world, number, fields)).collect::<Result<_, _>>()?;
    Ok(json!({"data": data, "paging": {"cursors": {"before": "MAZDZD", "after": "MjQZD"}}}))
}

/// `register`, `deregister`, `request_code`, `verify_code` and the PIN.
///
/// # Errors
/// 133005, 133006, 133008, 133016, 136024, 136025, 131008 or 131009.
pub(crate) fn lifecycle(
    world: &World,
    number: usize,
    step: &str,
    body: &Map<String, Value>,
) -> Result<Value, ApiError> {
    let now = world.now_ms();
    let mut office = world.office();
    let desk = office.desk(number)?;
    let text = |key: &str| body.get(key).and_then(Value::as_str).ok_or_else(|| missing(key));
    match step {
        "register" | "deregister" => {
            desk.registrations.retain(|at| now - at < 72 * 3_600_000);
            if desk.registrations.len() >= 10 {
                return Err(ApiError::new(133_016, "More than 10 attempts in 72 hours"));
            }
            if step == "register" {
                let pin = text("pin")?;
                six_digits(pin)?;
                if !desk.verified {
                    return Err(ApiError::new(133_006, "The phone number must be verified before it is registered"));
                }
                right_pin(desk, pin)?;
                desk.pin = Some(pin.to_owned());
            }
            desk.registrations.push(now);
            desk.registered = step == "register";
        }
        "request_code" => {
            if !matches!(text("code_method")?, "SMS" | "VOICE") {
                return Err(ApiError::new(131_009, "Param code_method must be one of {SMS, VOICE}"));
            }
            text("language")?;
            if desk.verified {
                return Err(ApiError::new(136_024, "The number is verified; go on with register"));
            }
            desk.code_sent = true;
        }
        "verify_code" => {
            if !desk.code_sent || text("code")? != world.config.rules.verification_code {
                return Err(ApiError::new(136_025, "The code is wrong or was not requested"));
            }
            desk.verified = true;
        }
        _ => {
            let pin = text("pin")?;
            six_digits(pin)?;
            desk.pin = Some(pin.to_owned());
        }
    }
    Ok(json!({"success": true}))
}

fn six_digits(pin: &str) -> Result<(), ApiError> {
    if pin.len() == 6 && pin.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(ApiError::new(131_009, "Param pin must have 6 digits"))
}

fn right_pin(desk: &mut Desk, pin: &str) -> Result<(), ApiError> {
    if desk.wrong_pins >= 5 {
        return Err(ApiError::new(133_008, "Too many wrong PINs; wait"));
    }
    if desk.pin.as_deref().is_some_and(|known| known != pin) {
        desk.wrong_pins += 1;
        return Err(ApiError::new(133_005, "The two-step verification PIN is wrong"));
    }
    desk.wrong_pins = 0;
    Ok(())
}

/// `GET|POST /{phone_number_id}/whatsapp_business_profile`.
pub(crate) fn profile(world: &World, number: usize, change: Option<&Map<String, Value>>) -> Result<Value, ApiError> {
    let mut office = world.office();
    let desk = office.desk(number)?;
    let Some(change) = change else { return Ok(json!({"data": [desk.profile]})) };
    for (key, value) in change {
        let length = value.as_str().map_or(0, |text| text.chars().count());
        let fits = match key.as_str() {
            "about" => (1..=139).contains(&length),
            "address" => length <= 256,
            "description" => length <= 512,
            "email" => length <= 128,
            "websites" => value.as_array().is_some_and(|list| list.len() <= 2),
            _ => true,
        };
        if !fits {
            return Err(ApiError::new(100, format!("Param {key} is too long, too short or of the wrong type")));
        }
    }
    desk.profile.extend(
        change.iter().filter(|(key, _)| *key != "access_token").map(|(key, value)| (key.clone(), value.clone())),
    );
    Ok(json!({"success": true}))
}

/// `POST|DELETE /{phone_number_id}/block_users`.
///
/// # Errors
/// 139100 with nothing done when nobody could be blocked (only people who wrote in the last 24 hours can).
pub(crate) fn block(world: &World, number: usize, body: &Map<String, Value>, block: bool) -> Result<Value, ApiError> {
    let users = body.get("block_users").and_then(Value::as_array).ok_or_else(|| missing("block_users"))?;
    if users.is_empty() || users.len() > 1_000 {
        return Err(ApiError::new(131_009, "Param block_users must have 1 to 1000 elements"));
    }
    let now = world.now_ms();
    let mut guard = world.book();
    let book = &mut *guard;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for user in users {
        let input = user["user"].as_str().unwrap_or_default();
        let digits = phone::digits(input);
        let person = book
            .people
            .by_user_id(input)
            .or_else(|| book.people.by_wa_id(&digits))
            .or_else(|| book.people.by_wa_id(&phone::wa_id(&digits)));
        let recent = |person: &usize| {
            book.people.get(*person).is_some_and(|known| !block || known.wrote_within(number, now, 86_400_000))
        };
        match person.filter(recent) {
            Some(person) => {
                if block {
                    book.blocked.insert((number, person));
                } else {
                    book.blocked.remove(&(number, person));
                }
                done.push(json!({"input": input, "wa_id": book.people.get(person).map(|person| person.peer())}));
            }
            None => {
                failed.push(json!({"input": input, "errors": [{"message": "Re-engagement required", "code": 139_100}]}))
            }
        }
    }
    if done.is_empty() {
        return Err(ApiError::new(139_100, "No user could be blocked or unblocked"));
    }
    let mut lists =
        Map::from_iter([(if block { "added_users" } else { "removed_users" }.to_owned(), Value::from(done))]);
    if !failed.is_empty() {
        lists.insert("failed_users".into(), failed.into());
    }
    Ok(json!({"messaging_product": "whatsapp", "block_users": lists}))
}

/// `GET /{phone_number_id}/block_users`.
pub(crate) fn blocked(world: &World, number: usize) -> Value {
    let book = world.book();
    let people =
        book.blocked.iter().filter(|(from, _)| *from == number).filter_map(|(_, person)| book.people.get(*person));
    let data: Vec<Value> =
        people.map(|person| json!({"messaging_product": "whatsapp", "wa_id": person.peer()})).collect();
    json!({"data": data})
}
