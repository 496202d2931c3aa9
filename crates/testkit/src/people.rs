//! People who don't exist, with and without second cards, from a seed: what finding duplicates is measured on. Each card says
//! whose it is.
//!
//! About a fifth of the people have a second card, some a third, with what goes wrong between two systems: typing errors, swapped
//! or missing names, pet forms, accents, number variants, old and new e-mail, a name changed by marriage. Some of them have
//! nothing left in common but the name: nobody could find them, and they count as missed.
//! Others only look alike: families and twins on one phone and e-mail, fathers and sons, very common names in one city,
//! companies with one switchboard and one `info@`, numbers that changed hands. Some of these differ in nothing that is written
//! down, and count as mistakes.
//! Must not touch: the rules that are measured with it. It knows nothing of them.

mod brazil;
mod makers;
mod names;
mod second;

use makers::{From, Maker, Name};
use names::{COMPANIES, TRADES};

/// A card of somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// Who it is: cards with the same number are one person.
    pub person: u32,
    /// Whole name.
    pub name: Option<String>,
    /// E-mail.
    pub email: Option<String>,
    /// E.164 digits.
    pub phones: Vec<String>,
    /// `YYYY-MM-DD`.
    pub birthday: Option<String>,
    /// Company.
    pub company: Option<String>,
    /// City.
    pub city: Option<String>,
}

/// Makes `count` cards, in no order. The same seed, the same cards.
#[must_use]
pub fn people(count: usize, seed: u64) -> Vec<Made> {
    let mut crowd = Crowd { make: Maker::new(seed), cards: Vec::with_capacity(count + 64), persons: 0 };
    while crowd.cards.len() < count {
        // Of a thousand turns; a turn makes one person or a handful.
        match crowd.make.below(1000) {
            0..40 => crowd.family(),
            40..52 => crowd.father_and_son(),
            52..80 => crowd.namesakes(),
            80..82 => crowd.office(),
            82..87 => crowd.changed_hands(),
            _ => {
                let somebody = crowd.somebody();
                crowd.file(&somebody);
            }
        }
    }
    crowd.cards.truncate(count);
    crowd.make.shuffle(&mut crowd.cards);
    crowd.cards
}

/// A person with the first card.
struct Somebody {
    card: Made,
    name: Name,
    from: From,
    suffix: Option<&'static str>,
}

impl Somebody {
    fn call(&mut self, given: String) {
        self.name.given = given;
        self.card.name = Some(self.name.whole(self.from));
    }
}

struct Crowd {
    make: Maker,
    cards: Vec<Made>,
    persons: u32,
}

impl Crowd {
    fn somebody(&mut self) -> Somebody {
        let from = self.make.from();
        let name = self.make.name(from);
        self.person(from, name)
    }

    fn person(&mut self, from: From, name: Name) -> Somebody {
        self.persons += 1;
        let make = &mut self.make;
        let card = Made {
            person: self.persons,
            name: Some(name.whole(from)),
            phones: if make.in_100(90) { vec![make.phone(from)] } else { Vec::new() },
            email: make.in_100(70).then(|| make.mail(&name, from)),
            birthday: make.in_100(45).then(|| make.day()),
            company: make.in_100(30).then(|| format!("{} {}", make.any(COMPANIES), make.any(TRADES))),
            city: make.in_100(70).then(|| make.city(from)),
        };
        let mut somebody = Somebody { card, name, from, suffix: None };
        if somebody.card.phones.is_empty() && somebody.card.email.is_none() {
            somebody.card.phones.push(self.make.phone(from));
        }
        somebody
    }

    /// The first card, and now and then a second and a third.
    fn file(&mut self, somebody: &Somebody) {
        self.cards.push(somebody.card.clone());
        let more = match self.make.below(100) {
            0..17 => 1,
            17..20 => 2,
            _ => 0,
        };
        for _ in 0..more {
            let card = self.make.second(somebody);
            self.cards.push(card);
        }
    }

    /// Two to four people of one name at one address; they share the phone, the e-mail or both. A third are twins, some of whom
    /// have names that differ by a letter.
    fn family(&mut self) {
        let first = self.somebody();
        let twins = self.make.in_100(30);
        let count = if twins { 2 } else { 2 + self.make.below(3) };
        let (phone, mail) = (self.make.in_100(75), self.make.in_100(50));
        self.file(&first);
        for _ in 1..count {
            let woman = self.make.in_100(50);
            let mut name = Name { woman, given: self.make.given(first.from, woman), ..first.name.clone() };
            if name.middle.len() > 1 {
                // The second given name is the member's own.
                name.middle.remove(0);
            }
            let mut member = self.person(first.from, name);
            if twins && self.make.in_100(8) {
                let given = alike(&first.name.given).map_or_else(|| self.make.given(first.from, woman), str::to_owned);
                member.call(given);
            }
            if member.name.given == first.name.given {
                continue;
            }
            if phone {
                member.card.phones.clone_from(&first.card.phones);
            }
            if mail {
                member.card.email.clone_from(&first.card.email);
            }
            if twins {
                member.card.birthday.clone_from(&first.card.birthday);
            }
            member.card.city.clone_from(&first.card.city);
            self.file(&member);
        }
    }

    /// One name, two people. Mostly a suffix tells them apart, on one card or on both; in one case of twenty nothing but the
    /// birthday does, if there is one.
    fn father_and_son(&mut self) {
        let mut father = self.somebody();
        let from = father.from;
        if from == From::Taiwan {
            return self.file(&father);
        }
        if father.name.woman {
            let given = self.make.given(from, false);
            father.name = Name { given, woman: false, ..father.name };
        }
        let mut son = self.person(from, father.name.clone());
        if self.make.in_100(95) {
            let suffixes = from.region().suffixes;
            let (elder, younger) = suffixes.get(self.make.place(suffixes.len())).copied().unwrap_or_default();
            (father.suffix, son.suffix) = (elder, Some(younger));
        }
        for one in [&mut father, &mut son] {
            let suffix = one.suffix.map(|s| format!(" {s}")).unwrap_or_default();
            one.card.name = Some(format!("{}{suffix}", one.name.whole(from)));
        }
        if self.make.in_100(50) {
            son.card.phones.clone_from(&father.card.phones);
        }
        if self.make.in_100(25) {
            son.card.email.clone_from(&father.card.email);
        }
        son.card.city.clone_from(&father.card.city);
        self.file(&father);
        self.file(&son);
    }

    /// Very common names in the largest city.
    fn namesakes(&mut self) {
        let (from, given, family, city) = match self.make.below(3) {
            0 => (From::Brazil, "Maria", "Silva", "São Paulo"),
            1 => (From::States, "John", "Smith", "New York"),
            _ => (From::Taiwan, "小明", "王", "台北市"),
        };
        let name = Name { given: given.into(), middle: Vec::new(), family: family.into(), woman: given == "Maria" };
        let mut somebody = self.person(from, name);
        somebody.card.city = Some(city.into());
        self.file(&somebody);
    }

    /// A company whose people give its switchboard and its `info@`, some with a phone of their own.
    fn office(&mut self) {
        let from = self.make.from();
        let (board, number) = (self.make.phone(from), self.make.below(10_000));
        let company = format!("{} {} {number}", self.make.any(COMPANIES), self.make.any(TRADES));
        let mailbox = self.make.any(&["info", "contato", "office", "vendas"]);
        let shared = format!("{mailbox}@{}{number}.com", self.make.any(COMPANIES).to_lowercase());
        let city = self.make.city(from);
        for _ in 0..10 + self.make.below(40) {
            let name = self.make.name(from);
            let mut worker = self.person(from, name);
            if self.make.in_100(60) {
                worker.card.phones = vec![board.clone()];
            } else {
                worker.card.phones.push(board.clone());
            }
            worker.card.email = if self.make.in_100(60) { Some(shared.clone()) } else { worker.card.email };
            worker.card.company = Some(company.clone());
            worker.card.city = Some(city.clone());
            self.file(&worker);
        }
    }

    /// A number that belongs to somebody else now.
    fn changed_hands(&mut self) {
        let first = self.somebody();
        let name = self.make.name(first.from);
        let mut second = self.person(first.from, name);
        second.card.phones.clone_from(&first.card.phones);
        self.file(&first);
        self.file(&second);
    }
}

/// Names that parents of twins like to give together.
fn alike(given: &str) -> Option<&'static str> {
    const PAIRS: &[(&str, &str)] = &[
        ("Marina", "Mariana"),
        ("Maria", "Marta"),
        ("Daniel", "Daniela"),
        ("Marcos", "Marcelo"),
        ("Joana", "João"),
        ("Jean", "Joan"),
        ("Paulo", "Paula"),
        ("Rafael", "Rafaela"),
        ("Juliana", "Luciana"),
        ("Emma", "Emily"),
        ("Fernando", "Fernanda"),
        ("Luana", "Luane"),
        ("Larissa", "Clarissa"),
        ("John", "Jon"),
    ];
    PAIRS.iter().find_map(|(a, b)| {
        if *a == given {
            Some(*b)
        } else if *b == given {
            Some(*a)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_people() {
        assert_eq!(people(500, 7), people(500, 7));
        assert_ne!(people(500, 7), people(500, 8));
        assert_eq!(people(500, 7).len(), 500);
    }

    #[test]
    fn about_a_fifth_has_more_than_one_card() {
        let mut persons: Vec<u32> = people(20_000, 7).iter().map(|c| c.person).collect();
        persons.sort_unstable();
        let several = persons.chunk_by(|a, b| a == b).filter(|cards| cards.len() > 1).count();
        let all = persons.chunk_by(|a, b| a == b).count();
        assert!((15..25).contains(&(several * 100 / all)), "{several} of {all}");
    }
}
