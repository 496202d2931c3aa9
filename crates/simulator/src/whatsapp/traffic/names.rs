//! People's names and telephone numbers by language.
//! May touch: nothing. Must not touch: state; the numbers are made up and never dialled.

use crate::chance::Draw;

/// A first and last name as usual in that language.
pub(super) fn of(language: &str, draw: &mut Draw) -> String {
    let (first, last): (&[&str], &[&str]) = match language {
        "pt-BR" => (
            &["Ana", "João", "Maria", "Pedro", "Luiza", "Rafael", "Beatriz", "Thiago", "Camila", "Gustavo"],
            &["Silva", "Souza", "Oliveira", "Costa", "Pereira", "Almeida", "Ribeiro", "Araújo", "Gonçalves", "Barbosa"],
        ),
        "es" => (
            &["Lucía", "Mateo", "Sofía", "Diego", "Valentina", "Javier", "Ximena", "Andrés", "Íñigo", "Paula"],
            &["García", "Martínez", "López", "Hernández", "Núñez", "Ramírez", "Torres", "Muñoz", "Castro", "Vega"],
        ),
        "zh-TW" => (
            &["怡君", "志明", "雅婷", "家豪", "淑芬", "俊傑", "佩珊", "冠宇", "詩涵", "承恩"],
            &["陳", "林", "黃", "張", "李", "王", "吳", "劉", "蔡", "楊"],
        ),
        "de" => (
            &["Jürgen", "Anke", "Lukas", "Sabine", "Björn", "Katrin", "Felix", "Heike", "Maximilian", "Ute"],
            &["Müller", "Schmidt", "Weiß", "Fischer", "Köhler", "Becker", "Schäfer", "Vogel", "Groß", "Krüger"],
        ),
        "hi" => (
            &["आरव", "Priya", "राहुल", "Ananya", "Vikram", "सीमा", "Rohan", "Kavita", "Arjun", "मीना"],
            &["Sharma", "शर्मा", "Patel", "Gupta", "Singh", "वर्मा", "Iyer", "Khan", "Reddy", "Das"],
        ),
        _ => (
            &["Olivia", "James", "Emma", "Noah", "Grace", "Liam", "Zoë", "Ethan", "Siobhán", "Mia"],
            &["Smith", "Johnson", "O'Neill", "Brown", "Taylor", "Wilson", "Nguyen", "Clark", "Moore", "Young"],
        ),
    };
    let (first, last) = (draw.pick(first).copied().unwrap_or_default(), draw.pick(last).copied().unwrap_or_default());
    if language == "zh-TW" { format!("{last}{first}") } else { format!("{first} {last}") }
}

/// A number of that language's country that belongs to the n-th person alone.
pub(super) fn number(language: &str, person: u64, draw: &mut Draw) -> String {
    // Ends in 1 so that the rule "numbers ending in 0000 have no WhatsApp" never meets a customer who writes.
    let own =
        |digits: usize| format!("{:0width$}1", person % 10_u64.pow(u32::try_from(digits).unwrap_or(6)), width = digits);
    match language {
        "pt-BR" => format!("55{}9{}", draw.pick(&["11", "21", "27"]).copied().unwrap_or("11"), own(7)),
        "es" => match draw.below(3) {
            0 => format!("521{}{}", draw.pick(&["55", "33", "81"]).copied().unwrap_or("55"), own(7)),
            1 => format!("346{}", own(7)),
            _ => format!("573{}", own(8)),
        },
        "zh-TW" => format!("8869{}", own(7)),
        "de" => format!("4915{}", own(8)),
        "hi" => format!("919{}", own(8)),
        _ => format!("{}{}", draw.pick(&["1212", "1415", "1646"]).copied().unwrap_or("1212"), own(6)),
    }
}
