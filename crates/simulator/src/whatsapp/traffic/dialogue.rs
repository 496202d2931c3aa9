//! What customers say: small scripts about orders, deliveries, complaints, appointments and thanks.
//! May touch: nothing. Must not touch: state.

use crate::chance::Draw;
use crate::whatsapp::customers::CustomerKind;
use serde_json::json;

/// One step of a script.
#[derive(Debug)]
pub(super) enum Step {
    Say(CustomerKind),
    /// Withdraws the message before.
    TakeBack,
}

struct Lines {
    opening: &'static [&'static str],
    detail: &'static [&'static str],
    caption: &'static str,
    yes: &'static [&'static str],
    city: (&'static str, f64, f64),
}

const EN: Lines = Lines {
    opening: &[
        "Hi! Where is my order {n}?",
        "Hello, I'd like to order two more of the same.",
        "The parcel {n} arrived damaged 😕",
        "Can I move my appointment to Thursday?",
        "Do you deliver on Saturdays?",
        "I was charged twice for {n}.",
        "Is the blue one back in stock?",
    ],
    detail: &[
        "It was supposed to be here yesterday.",
        "Thanks in advance!",
        "My name is on the invoice.",
        "Please call me after 5 pm.",
        "No rush.",
    ],
    caption: "This is how it arrived",
    yes: &[
        "Yes, perfect 👍",
        "Thank you!",
        "No, that does not work for me.",
        "Great, see you then.",
        "Can I talk to a person?",
        "STOP",
    ],
    city: ("New York", 40.7128, -74.006),
};
const PT: Lines = Lines {
    opening: &[
        "Oi, tudo bem? Cadê o meu pedido {n}?",
        "Bom dia! Queria remarcar minha consulta.",
        "Meu pacote {n} chegou quebrado 😡",
        "Vocês entregam em Niterói?",
        "Fui cobrado duas vezes no pedido {n}.",
        "Ainda tem no tamanho M?",
    ],
    detail: &[
        "Era pra ter chegado ontem.",
        "Obrigada desde já!",
        "Pode me ligar depois das 17h?",
        "Não é urgente.",
        "Segue o comprovante.",
    ],
    caption: "Olha como chegou",
    yes: &[
        "Sim, perfeito 👍",
        "Muito obrigado!",
        "Não, esse horário não dá.",
        "Combinado, até lá.",
        "Quero falar com um atendente",
        "PARAR",
    ],
    city: ("São Paulo", -23.5505, -46.6333),
};
const ES: Lines = Lines {
    opening: &[
        "Hola, ¿dónde está mi pedido {n}?",
        "Buenos días, quisiera cambiar mi cita.",
        "El paquete {n} llegó roto 😞",
        "¿Hacen envíos los sábados?",
        "Me cobraron dos veces el {n}.",
        "¿Todavía tienen la talla M?",
    ],
    detail: &[
        "Tenía que llegar ayer.",
        "¡Gracias de antemano!",
        "¿Me pueden llamar después de las 5?",
        "Sin prisa.",
        "Adjunto el recibo.",
    ],
    caption: "Así llegó",
    yes: &[
        "Sí, perfecto 👍",
        "¡Muchas gracias!",
        "No, a esa hora no puedo.",
        "De acuerdo, nos vemos.",
        "Quiero hablar con una persona",
        "BAJA",
    ],
    city: ("Ciudad de México", 19.4326, -99.1332),
};
const ZH: Lines = Lines {
    opening: &[
        "你好,請問我的訂單 {n} 到哪裡了?",
        "想改預約時間到星期四,可以嗎?",
        "包裹 {n} 收到時已經破損 😢",
        "請問週六有配送嗎?",
        "訂單 {n} 重複扣款了。",
        "藍色的還有貨嗎?",
    ],
    detail: &["昨天就應該到了。", "先謝謝你!", "下午五點後請打電話給我。", "不急。", "附上收據。"],
    caption: "收到的時候就是這樣",
    yes: &["好的 👍", "謝謝你!", "這個時間不行。", "好,到時候見。", "我想找真人客服", "停止"],
    city: ("台北", 25.033, 121.5654),
};
const DE: Lines = Lines {
    opening: &[
        "Guten Tag, wo bleibt meine Bestellung {n}?",
        "Kann ich den Termin auf Donnerstag verschieben?",
        "Das Paket {n} kam beschädigt an.",
        "Liefern Sie auch samstags?",
    ],
    detail: &["Es sollte gestern ankommen.", "Danke im Voraus!", "Bitte nach 17 Uhr anrufen."],
    caption: "So kam es an",
    yes: &[
        "Ja, passt 👍",
        "Vielen Dank!",
        "Nein, da kann ich nicht.",
        "Ich möchte mit einem Menschen sprechen.",
        "STOPP",
    ],
    city: ("München", 48.1351, 11.582),
};
const HI: Lines = Lines {
    opening: &["नमस्ते, मेरा ऑर्डर {n} कहाँ है?", "Appointment Thursday ko shift ho sakta hai?", "पार्सल {n} टूटा हुआ मिला।"],
    detail: &["कल आना था।", "धन्यवाद!", "शाम 5 बजे के बाद फ़ोन करें।"],
    caption: "ऐसा मिला",
    yes: &["हाँ, ठीक है 👍", "धन्यवाद!", "नहीं, यह समय ठीक नहीं है।", "STOP"],
    city: ("मुंबई", 19.076, 72.8777),
};

fn lines(language: &str) -> &'static Lines {
    match language {
        "pt-BR" => &PT,
        "es" => &ES,
        "zh-TW" => &ZH,
        "de" => &DE,
        "hi" => &HI,
        _ => &EN,
    }
}

fn say(pool: &[&str], draw: &mut Draw) -> String {
    let number = format!("#{}", 100_000 + draw.below(900_000));
    draw.pick(pool).copied().unwrap_or_default().replace("{n}", &number)
}

/// One opening line.
pub(super) fn line(language: &str, draw: &mut Draw) -> String {
    say(lines(language).opening, draw)
}

/// A dialogue of one to four messages.
pub(super) fn script(language: &str, draw: &mut Draw) -> Vec<Step> {
    let words = lines(language);
    let mut steps = vec![Step::Say(CustomerKind::Text { body: say(words.opening, draw) })];
    match draw.below(20) {
        0..=6 => {}
        7..=10 => steps.push(Step::Say(CustomerKind::Text { body: say(words.detail, draw) })),
        11 | 12 => steps.push(Step::Say(CustomerKind::Image { caption: Some(words.caption.to_owned()) })),
        13 => steps.push(Step::Say(CustomerKind::Audio { voice: true })),
        14 => steps.push(Step::Say(CustomerKind::Document { filename: "invoice 2026 (1).pdf".into(), caption: None })),
        15 => {
            let (city, latitude, longitude) = words.city;
            steps.push(Step::Say(CustomerKind::Location { latitude, longitude, name: Some(city.into()), address: None }));
        }
        16 => steps.push(Step::Say(CustomerKind::Sticker { animated: false })),
        17 => steps.push(Step::Say(CustomerKind::Video { caption: None })),
        18 => steps.push(Step::Say(CustomerKind::Order {
            catalog_id: "194836987003835".into(),
            text: None,
            product_items: json!([{"product_retailer_id": "di9ozbzfi4", "quantity": 2, "item_price": 30, "currency": "USD"}]),
        })),
        _ => steps.push(Step::TakeBack),
    }
    if draw.happens(0.25) {
        steps.push(Step::Say(CustomerKind::Text { body: say(words.detail, draw) }));
    }
    steps
}

/// An answer to something the business sent.
pub(super) fn answer(language: &str, sent_kind: &str, draw: &mut Draw) -> CustomerKind {
    let words = lines(language);
    match sent_kind {
        "template" if draw.happens(0.3) => CustomerKind::Button { payload: "Confirm".into(), text: "Confirm".into() },
        "interactive" if draw.happens(0.6) => CustomerKind::ButtonReply { id: "yes".into(), title: "Yes".into() },
        _ if draw.happens(0.05) => CustomerKind::Audio { voice: true },
        _ => CustomerKind::Text { body: say(words.yes, draw) },
    }
}

/// A reaction.
pub(super) fn emoji(draw: &mut Draw) -> String {
    draw.pick(&["👍", "❤️", "😂", "🙏", "😮"]).copied().unwrap_or("👍").to_owned()
}
