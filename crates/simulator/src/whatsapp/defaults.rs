//! The believable default account: two numbers of a shop and its templates.
//! May touch: nothing. Must not touch: state; this is data.

use super::config::{Number, Waba};
use super::templates::Template;
use serde_json::{Value, json};

pub(super) fn waba() -> Waba {
    let number = |id: &str, shown: &str, name: &str| Number {
        id: id.into(),
        display_phone_number: shown.into(),
        verified_name: name.into(),
        quality: "GREEN".into(),
        throughput_per_s: 80,
        messaging_limit: "TIER_10K".into(),
        registered: true,
        verified: true,
        pin: None,
    };
    Waba {
        id: "102290129340398".into(),
        portfolio_id: "506914307656634".into(),
        numbers: vec![
            number("106540352242922", "+1 555-078-3881", "Lucky Shrub"),
            number("106540352242933", "+55 11 91234-5678", "Lucky Shrub Brasil"),
        ],
        templates: templates(),
    }
}

fn templates() -> Vec<Template> {
    let positional = json!([
        {"type": "HEADER", "format": "TEXT", "text": "Order {{1}}", "example": {"header_text": ["#860198"]}},
        {"type": "BODY", "text": "Hi {{1}}, we received your order {{2}} and will ship it by {{3}}. Thank you!",
         "example": {"body_text": [["Jessica", "#860198", "Friday"]]}},
        {"type": "FOOTER", "text": "Lucky Shrub"},
        {"type": "BUTTONS", "buttons": [
            {"type": "URL", "text": "Track order", "url": "https://www.luckyshrub.example/orders/{{1}}", "example": ["https://www.luckyshrub.example/orders/860198"]},
            {"type": "PHONE_NUMBER", "text": "Call us", "phone_number": "+15550783881"},
        ]},
    ]);
    let named = json!([
        {"type": "BODY", "text": "Hello {{first_name}}, your order {{order_number}} arrives on {{delivery_date}}. See you soon!",
         "example": {"body_text_named_params": [
            {"param_name": "first_name", "example": "Pablo"}, {"param_name": "order_number", "example": "860198"},
            {"param_name": "delivery_date", "example": "Monday"}]}},
        {"type": "BUTTONS", "buttons": [
            {"type": "QUICK_REPLY", "text": "Change the date"}, {"type": "QUICK_REPLY", "text": "Talk to us"}]},
    ]);
    let portuguese = json!([
        {"type": "BODY", "text": "Olá {{first_name}}, seu pedido {{order_number}} chega em {{delivery_date}}. Até logo!",
         "example": {"body_text_named_params": [
            {"param_name": "first_name", "example": "Paulo"}, {"param_name": "order_number", "example": "860198"},
            {"param_name": "delivery_date", "example": "segunda-feira"}]}},
        {"type": "BUTTONS", "buttons": [
            {"type": "QUICK_REPLY", "text": "Mudar a data"}, {"type": "QUICK_REPLY", "text": "Falar conosco"}]},
    ]);
    let reminder = json!([
        {"type": "BODY", "text": "Reminder: your appointment is on {{1}} at {{2}}. Reply if you cannot come.",
         "example": {"body_text": [["Tuesday", "10:30"]]}},
        {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Confirm"}, {"type": "QUICK_REPLY", "text": "Cancel"}]},
    ]);
    let promotion = json!([
        {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4:example"]}},
        {"type": "BODY", "text": "{{1}}, our spring sale is on! Use {{2}} for a quarter off everything green.",
         "example": {"body_text": [["Mark", "25OFF"]]}},
        {"type": "FOOTER", "text": "Reply STOP to opt out"},
        {"type": "BUTTONS", "buttons": [
            {"type": "COPY_CODE", "text": "Copy offer code", "example": ["25OFF"]}, {"type": "QUICK_REPLY", "text": "Stop promotions"}]},
    ]);
    let code = json!([
        {"type": "BODY", "text": "*{{1}}* is your verification code. For your security, do not share this code.", "add_security_recommendation": true,
         "example": {"body_text": [["123456"]]}},
        {"type": "FOOTER", "text": "This code expires in 10 minutes.", "code_expiration_minutes": 10},
        {"type": "BUTTONS", "buttons": [
            {"type": "URL", "text": "Copy code", "url": "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}",
             "example": ["https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp123456"]}]},
    ]);
    let paused = json!([
        {"type": "BODY", "text": "Hi {{1}}, we miss you. Come back for a free seedling this week only.", "example": {"body_text": [["Ana"]]}},
    ]);
    let hello = json!([
        {"type": "HEADER", "format": "TEXT", "text": "Hello World"},
        {"type": "BODY", "text": "Welcome and congratulations! This message shows that you can send templates."},
        {"type": "FOOTER", "text": "WhatsApp Business Platform sample message"},
    ]);
    vec![
        template(1, "order_confirmation", "en_US", "UTILITY", "POSITIONAL", positional),
        template(2, "order_confirmation_named", "en_US", "UTILITY", "NAMED", named),
        template(3, "order_confirmation_named", "pt_BR", "UTILITY", "NAMED", portuguese),
        template(4, "appointment_reminder", "en_US", "UTILITY", "POSITIONAL", reminder),
        template(5, "spring_sale", "en_US", "MARKETING", "POSITIONAL", promotion),
        template(6, "login_code", "en_US", "AUTHENTICATION", "POSITIONAL", code),
        template(7, "hello_world", "en_US", "UTILITY", "POSITIONAL", hello),
        Template { status: "PAUSED".into(), ..template(8, "win_back", "en_US", "MARKETING", "POSITIONAL", paused) },
    ]
}

fn template(number: u64, name: &str, language: &str, category: &str, format: &str, components: Value) -> Template {
    Template {
        id: (564_750_795_574_500 + number).to_string(),
        name: name.into(),
        language: language.into(),
        category: category.into(),
        status: "APPROVED".into(),
        parameter_format: format.into(),
        components: components.as_array().cloned().unwrap_or_default(),
        quality_score: "GREEN".into(),
        rejected_reason: "NONE".into(),
        message_send_ttl_seconds: None,
    }
}
