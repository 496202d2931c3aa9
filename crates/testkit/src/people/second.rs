//! What becomes of a person on the way into another system: the second card.

use super::makers::{From, Maker, Name, plain};
use super::names::HAN_SLIPS;
use super::{Made, Somebody};

impl Maker {
    /// Another card of the same person.
    pub(super) fn second(&mut self, of: &Somebody) -> Made {
        let mut card = of.card.clone();
        card.name = self.other_name(of);
        card.birthday = match self.below(100) {
            0..22 => None,
            22..25 => card.birthday.map(|day| self.other_day(&day)),
            _ => card.birthday,
        };
        card.city = if self.in_100(25) { None } else { card.city };
        card.company = if self.in_100(45) { None } else { card.company };
        match self.below(100) {
            // Seldom nothing changes but the name.
            0..18 => {}
            // The phone stays, the address is another one or none.
            18..50 => card.email = if self.in_100(50) { None } else { Some(self.mail(&of.name, of.from)) },
            // The address stays, the phone is another one or none.
            50..68 => card.phones = if self.in_100(50) { Vec::new() } else { vec![self.phone(of.from)] },
            // One wrong digit; the address stays or is missing.
            68..74 => {
                card.phones = card.phones.iter().map(|p| self.wrong_digit(p)).collect();
                card.email = if self.in_100(60) { card.email } else { None };
            }
            // Without or with a wrong country code.
            74..79 => card.phones = card.phones.iter().map(|p| format!("1{}", p.get(2..).unwrap_or(p))).collect(),
            // The old mailbox at a new provider, and no phone.
            79..84 => {
                let mailbox =
                    card.email.as_deref().and_then(|e| e.split_once('@')).map(|(mailbox, _)| mailbox.to_owned());
                card.email = mailbox.map(|mailbox| self.address(&mailbox));
                card.phones = Vec::new();
            }
            // A private phone besides the old one.
            84..91 => card.phones.insert(0, self.phone(of.from)),
            // A new life: phone and address are others. What is left is the name, perhaps a birthday, a company.
            91..95 => {
                card.phones = vec![self.phone(of.from)];
                card.email = Some(self.mail(&of.name, of.from));
            }
            // The same address, written otherwise.
            _ => {
                card.email = card.email.map(|email| match email.split_once("@gmail.com") {
                    Some((mailbox, _)) => format!("{}+shop@Gmail.com", mailbox.replace('.', "")),
                    None => email.to_uppercase(),
                });
            }
        }
        card.phones = card.phones.iter().map(|p| if self.in_100(25) { older_form(p) } else { p.clone() }).collect();
        if card.phones.is_empty() && card.email.is_none() {
            // A card that nobody can be reached by isn't kept anywhere.
            card.phones.clone_from(&of.card.phones);
            card.email.clone_from(&of.card.email);
        }
        card
    }

    fn other_name(&mut self, of: &Somebody) -> Option<String> {
        let mut name = of.name.clone();
        let written = match of.from {
            From::Taiwan => self.other_han_name(&name),
            from => match self.below(100) {
                0..30 => of.card.name.clone()?,
                30..42 => {
                    if self.in_100(50) {
                        name.given = self.typo(&name.given);
                    } else {
                        name.family = self.typo(&name.family);
                    }
                    name.whole(from)
                }
                42..50 => format!("{}, {}", name.family, name.given),
                50..55 => format!("{} {}", name.family, name.given),
                55..68 => {
                    name.middle.clear();
                    name.whole(from)
                }
                68..76 => {
                    let forms =
                        from.region().pets.iter().filter(|(given, _)| *given == name.given).map(|(_, pet)| *pet);
                    let forms: Vec<&str> = forms.collect();
                    if !forms.is_empty() {
                        name.given = self.any(&forms).to_owned();
                    }
                    name.middle.clear();
                    name.whole(from)
                }
                76..85 => plain(&name.whole(from)),
                85..89 => format!("{} {}", self.any(from.region().courtesy), name.whole(from)).to_uppercase(),
                89..92 => {
                    name.middle =
                        name.middle.iter().filter_map(|m| m.chars().next()).map(|c| format!("{c}.")).collect();
                    name.whole(from)
                }
                92..94 => format!("{}. {}", name.given.chars().next().unwrap_or('X'), name.family),
                94..96 => name.given,
                96..98 if name.woman => {
                    name.family = self.family(from);
                    name.whole(from)
                }
                98 => return None,
                _ => name.whole(from),
            },
        };
        // What follows the name is left out now and then.
        let suffix = of.suffix.filter(|_| self.in_100(85)).map(|s| format!(" {s}")).unwrap_or_default();
        let kept = suffix.is_empty() || written.ends_with(&suffix);
        Some(if kept { written } else { format!("{written}{suffix}") })
    }

    fn other_han_name(&mut self, name: &Name) -> String {
        let whole = name.whole(From::Taiwan);
        let last = name.given.chars().last().unwrap_or('明');
        match self.below(100) {
            0..55 => whole,
            55..65 => format!("{} {}", name.family, name.given),
            65..72 => format!("{}{}", name.given, name.family),
            72..80 => format!("阿{last}"),
            80..88 => format!("{whole}{}", self.any(&["先生", "小姐"])),
            88..93 => {
                let slip = HAN_SLIPS.iter().find(|(a, _)| name.given.contains(*a));
                slip.map_or(whole.clone(), |(a, b)| whole.replace(a, b))
            }
            93..97 => name.given.clone(),
            _ => format!("{whole} ({})", self.any(&["Amy", "Kevin", "Jason", "Vivian"])),
        }
    }

    /// Day and month changed places, or one digit is wrong.
    fn other_day(&mut self, day: &str) -> String {
        let parts: Vec<&str> = day.split('-').collect();
        match parts.as_slice() {
            [year, month, date] if self.in_100(50) && *date <= "12" => format!("{year}-{date}-{month}"),
            [year, month, date] => {
                let year: u64 = year.parse().unwrap_or(1980);
                format!("{:04}-{month}-{date}", year / 10 * 10 + self.below(10))
            }
            _ => day.to_owned(),
        }
    }
}

/// The number as it was written before its country changed the plan.
fn older_form(phone: &str) -> String {
    match (phone.get(..2), phone.len()) {
        (Some("55"), 13) => format!("{}{}", phone.get(..4).unwrap_or_default(), phone.get(5..).unwrap_or_default()),
        (Some("52"), 12) => format!("521{}", phone.get(2..).unwrap_or_default()),
        (Some("54"), 13) => format!("54{}", phone.get(3..).unwrap_or_default()),
        _ => phone.to_owned(),
    }
}
