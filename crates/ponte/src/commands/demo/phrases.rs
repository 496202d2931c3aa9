//! What the demo's company says: short texts by language and subject, and how a customer's message is understood.
//! Must not touch: anything that sends.

use serde_json::value::RawValue;

/// A language the company speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    English,
    Portuguese,
    Spanish,
    Chinese,
    German,
}

impl Language {
    /// The language of a country, by its ISO code as it stands in front of a business-scoped user id.
    pub fn of_country(code: &str) -> Self {
        match code {
            "BR" | "PT" => Self::Portuguese,
            "ES" | "MX" | "AR" | "CO" | "CL" | "PE" => Self::Spanish,
            "TW" | "HK" => Self::Chinese,
            "DE" | "AT" => Self::German,
            _ => Self::English,
        }
    }

    /// The language of who wrote a message, by the country in front of their user id.
    pub fn of_message(content: &RawValue) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Sender {
            from_user_id: String,
        }
        let sender: Sender = serde_json::from_str(content.get()).ok()?;
        Some(Self::of_country(sender.from_user_id.split('.').next()?))
    }

    /// Two letters, for the live view.
    pub const fn short(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Portuguese => "pt",
            Self::Spanish => "es",
            Self::Chinese => "zh",
            Self::German => "de",
        }
    }

    /// The code of the company's templates.
    pub const fn template_code(self) -> &'static str {
        match self {
            Self::English => "en_US",
            Self::Portuguese => "pt_BR",
            Self::Spanish => "es",
            Self::Chinese => "zh_TW",
            Self::German => "de",
        }
    }

    /// What a template calls someone whose name the team doesn't look up, and a day.
    pub const fn friend_and_day(self) -> (&'static str, &'static str) {
        match self {
            Self::English => ("there", "Thursday"),
            Self::Portuguese => ("querido cliente", "quinta-feira"),
            Self::Spanish => ("estimado cliente", "el jueves"),
            Self::Chinese => ("親愛的顧客", "星期四"),
            Self::German => ("liebe Kundin, lieber Kunde", "Donnerstag"),
        }
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Stop,
    Person,
    Damaged,
    Charged,
    Appointment,
    Order,
    Delivery,
    Thanks,
    Picture,
    Other,
}

/// Words by which a subject is recognised, in every language; the first subject that fits is taken.
const SIGNS: [(Subject, &[&str]); 8] = [
    (Subject::Stop, &["stop", "parar", "baja", "停止"]),
    (Subject::Person, &["a person", "atendente", "una persona", "真人", "einem menschen"]),
    (Subject::Damaged, &["damaged", "quebrado", "roto", "破損", "beschädigt"]),
    (Subject::Charged, &["charged", "cobrado", "cobraron", "扣款"]),
    (Subject::Appointment, &["appointment", "consulta", "cita", "預約", "termin"]),
    (Subject::Thanks, &["thank", "obrigad", "gracias", "謝謝", "dank", "perfe", "👍"]),
    (Subject::Delivery, &["deliver", "entrega", "envíos", "配送", "liefern"]),
    (Subject::Order, &["order", "pedido", "訂單", "bestellung"]),
];

/// Understands a text.
pub fn subject(text: &str) -> Subject {
    let text = text.to_lowercase();
    let fits = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    SIGNS.iter().find(|(_, signs)| fits(signs)).map_or(Subject::Other, |(subject, _)| *subject)
}

/// The order's number in a text: `#` and six digits.
pub fn order_number(text: &str) -> Option<&str> {
    let start = text.find('#')?;
    let number = text.get(start..)?;
    let end = number.char_indices().skip(1).find(|(_, c)| !c.is_ascii_digit()).map_or(number.len(), |(at, _)| at);
    (end > 1).then(|| number.get(..end)).flatten()
}

/// What can be said; `chance` (0 to 1) picks one. `{n}` stands for the order's number.
pub fn answer(language: Language, subject: Subject, chance: f64) -> &'static str {
    let choice = answers(language, subject);
    let at = (chance.clamp(0.0, 0.999) * choice.len() as f64) as usize;
    choice.get(at).copied().unwrap_or_default()
}

fn answers(language: Language, subject: Subject) -> &'static [&'static str] {
    match language {
        Language::English => english(subject),
        Language::Portuguese => portuguese(subject),
        Language::Spanish => spanish(subject),
        Language::Chinese => chinese(subject),
        Language::German => german(subject),
    }
}

const fn english(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::Stop => &["Understood, no more offers from us. Answers about your orders still reach you."],
        Subject::Person => &["Of course. Our colleague Ruth takes over from here and writes to you in a moment."],
        Subject::Damaged => &["I am sorry about that! A picture is enough, and a new one leaves today."],
        Subject::Charged => &["That should not happen. The second amount goes back to your card within three days."],
        Subject::Appointment => {
            &["Thursday at 10:30 is free. Shall I put your name down?", "Done, your appointment is moved."]
        }
        Subject::Order => {
            &["Order {n} left our warehouse this morning 🚚", "{n} is out for delivery, today before 6 pm."]
        }
        Subject::Delivery => &["Yes, also on Saturdays, between 9 am and 2 pm."],
        Subject::Thanks => &["Happy to help. Have a lovely day!"],
        Subject::Picture => &["Thank you, that arrived well. I am looking into it.", "Got it! One moment please."],
        Subject::Other => &["Hello! Yes, it is in stock. May I set one aside?", "One moment, I am looking it up."],
    }
}

const fn portuguese(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::Stop => &["Entendido, sem mais ofertas. Sobre os seus pedidos continuamos respondendo."],
        Subject::Person => &["Claro! A Joana, da nossa equipe, assume agora e já escreve para você."],
        Subject::Damaged => &["Sinto muito! Uma foto basta, e um novo sai ainda hoje."],
        Subject::Charged => &["Isso não devia acontecer. O segundo valor volta para o cartão em até três dias."],
        Subject::Appointment => &["Quinta às 10h30 está livre. Posso marcar?", "Pronto, sua consulta foi remarcada."],
        Subject::Order => {
            &["O pedido {n} saiu hoje cedo do nosso depósito 🚚", "{n} está a caminho, chega até as 18h."]
        }
        Subject::Delivery => &["Entregamos sim, também aos sábados, das 9h às 14h."],
        Subject::Thanks => &["Nós que agradecemos. Ótimo dia!"],
        Subject::Picture => &["Obrigado, chegou direitinho. Já estou vendo.", "Recebi! Só um momento."],
        Subject::Other => &["Olá! Temos em estoque, sim. Quer que eu separe um?", "Um momento, já verifico."],
    }
}

const fn spanish(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::Stop => &["Entendido, no le enviaremos más ofertas. Sobre sus pedidos seguimos respondiendo."],
        Subject::Person => &["¡Por supuesto! Mi compañera Inés sigue con usted en un momento."],
        Subject::Damaged => &["¡Cuánto lo siento! Con una foto basta, y hoy mismo sale uno nuevo."],
        Subject::Charged => &["No debería pasar. El segundo cargo vuelve a su tarjeta en tres días."],
        Subject::Appointment => &["El jueves a las 10:30 está libre. ¿Se lo reservo?", "Listo, su cita está cambiada."],
        Subject::Order => {
            &["El pedido {n} salió esta mañana del almacén 🚚", "{n} va en camino, llega antes de las 18 h."]
        }
        Subject::Delivery => &["Sí, también los sábados, de 9 a 14 h."],
        Subject::Thanks => &["Con mucho gusto. ¡Que tenga un buen día!"],
        Subject::Picture => &["Gracias, llegó bien. Lo estoy revisando.", "¡Recibido! Un momento, por favor."],
        Subject::Other => &["¡Hola! Sí, lo tenemos. ¿Le aparto uno?", "Un momento, lo reviso ahora mismo."],
    }
}

const fn chinese(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::Stop => &["了解,之後不會再寄送優惠訊息。訂單問題我們仍會回覆您。"],
        Subject::Person => &["沒問題,馬上由我們的同事為您服務。"],
        Subject::Damaged => &["非常抱歉!請傳一張照片給我們,今天就補寄新的給您。"],
        Subject::Charged => &["真是不好意思,多扣的款項會在三天內退回您的信用卡。"],
        Subject::Appointment => &["星期四上午 10:30 有空,幫您預約好嗎?", "已經幫您改好時間了。"],
        Subject::Order => &["訂單 {n} 今天早上已經出貨 🚚", "{n} 正在配送中,今天傍晚六點前送達。"],
        Subject::Delivery => &["有的,週六上午九點到下午兩點也有配送。"],
        Subject::Thanks => &["不客氣,祝您有美好的一天!"],
        Subject::Picture => &["收到了,謝謝您,我們馬上處理。", "收到!請稍等一下。"],
        Subject::Other => &["您好!目前還有現貨,需要幫您保留嗎?", "請稍等,我幫您查一下。"],
    }
}

const fn german(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::Stop => &["Verstanden, keine Angebote mehr. Zu Ihren Bestellungen antworten wir weiterhin."],
        Subject::Person => &["Gern. Meine Kollegin Ruth übernimmt und schreibt Ihnen gleich."],
        Subject::Damaged => &["Das tut uns leid! Ein Foto genügt, Ersatz geht noch heute hinaus."],
        Subject::Charged => &["Das darf nicht sein. Der zweite Betrag ist in drei Tagen zurück."],
        Subject::Appointment => {
            &["Donnerstag um 10:30 Uhr ist frei. Soll ich Sie eintragen?", "Erledigt, der Termin ist verlegt."]
        }
        Subject::Order => &["Bestellung {n} hat heute früh unser Lager verlassen 🚚", "{n} kommt heute bis 18 Uhr."],
        Subject::Delivery => &["Ja, auch samstags von 9 bis 14 Uhr."],
        Subject::Thanks => &["Sehr gern. Einen schönen Tag noch!"],
        Subject::Picture => &["Danke, ist gut angekommen. Ich sehe nach.", "Erhalten! Einen Moment bitte."],
        Subject::Other => &["Guten Tag! Ja, vorrätig. Soll ich eines zurücklegen?", "Einen Moment, ich sehe nach."],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_understood_in_its_language() {
        for (text, wanted) in [
            ("Hi! Where is my order #123456?", Subject::Order),
            ("Oi, tudo bem? Cadê o meu pedido #200300?", Subject::Order),
            ("El paquete #1 llegó roto 😞", Subject::Damaged),
            ("訂單 #100200 重複扣款了。", Subject::Charged),
            ("STOP", Subject::Stop),
            ("Vielen Dank!", Subject::Thanks),
            ("Quiero hablar con una persona", Subject::Person),
            ("Is the blue one back in stock?", Subject::Other),
        ] {
            assert_eq!(subject(text), wanted, "{text}");
        }
        assert_eq!(order_number("pedido #200300?"), Some("#200300"));
        assert_eq!(order_number("# none"), None);
    }

    #[test]
    fn there_is_something_to_say_about_everything() {
        use Language::*;
        for language in [English, Portuguese, Spanish, Chinese, German] {
            for (subject, _) in SIGNS.iter().chain(&[(Subject::Picture, [].as_slice()), (Subject::Other, &[])]) {
                for chance in [0.0, 0.5, 1.0] {
                    assert!(!answer(language, *subject, chance).is_empty());
                }
            }
        }
    }
}
