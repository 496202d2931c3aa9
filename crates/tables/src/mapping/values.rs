//! What values look like. A look only: whether a number can be called is decided elsewhere.
//! Must not touch: what the values are used for.

/// Looks like a phone number: 7 to 15 digits, nothing but what people put between them, and more than a bare number without a
/// sign that it is one.
pub(crate) fn is_phone(text: &str) -> bool {
    let text = text.trim();
    let (digits, marks) = phone_parts(text);
    (7..=15).contains(&digits) && !is_date(text) && (marks || text.starts_with(['0', '０']))
        || is_bare_phone(text) && digits >= 10
}

/// Digits that may be a phone number, or something else.
pub(crate) fn is_bare_phone(text: &str) -> bool {
    let text = text.trim();
    (8..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Digits, and whether there are marks of a phone number between them; no digits when something else is in it.
fn phone_parts(text: &str) -> (usize, bool) {
    let (mut digits, mut marks) = (0, false);
    for c in text.chars() {
        match c {
            '0'..='9' | '０'..='９' => digits += 1,
            '+' | '(' | ')' | '-' | '/' | '＋' | '－' | '‑' | '–' => marks = true,
            ' ' | '.' | '\u{a0}' | '\u{3000}' => {}
            _ => return (0, false),
        }
    }
    let spaced = text.contains([' ', '\u{a0}']) && text.matches('.').count() == 0;
    (digits, marks || spaced || text.matches('.').count() >= 2)
}

/// Looks like an e-mail address.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((user, host)) = text.trim().split_once('@') else { return false };
    let good = |s: &str| !s.is_empty() && !s.contains(['@', ' ', ',', ';']);
    good(user) && good(host) && host.split('.').count() >= 2 && host.split('.').all(|p| !p.is_empty())
}

/// Looks like a day: three numbers in one of the usual orders, with or without a time behind it.
pub(crate) fn is_date(text: &str) -> bool {
    let text = text.trim();
    let day = text.split(['T', ' ']).next().unwrap_or_default();
    let Some(mark) = day.chars().find(|c| !c.is_ascii_digit()) else { return false };
    if !matches!(mark, '-' | '/' | '.') {
        return false;
    }
    let parts: Vec<&str> = day.split(mark).collect();
    let [a, b, c] = parts.as_slice() else { return false };
    let number = |s: &str| if s.len() <= 4 { s.parse::<u32>().ok() } else { None };
    let (Some(x), Some(y), Some(z)) = (number(a), number(b), number(c)) else { return false };
    let year = |text: &str, n: u32| text.len() == 4 && (1800..2200).contains(&n);
    let of_year = |p: u32, q: u32| (1..=31).contains(&p) && (1..=31).contains(&q) && (p <= 12 || q <= 12);
    (year(a, x) && of_year(y, z)) || (year(c, z) && of_year(x, y)) || (c.len() == 2 && of_year(x, y) && mark != '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_by_their_look() {
        for phone in [
            "+886 912 345 678",
            "0912-345-678",
            "(11) 98765-4321",
            "0039.06.1234567",
            "０９１２３４５６７８",
            "5511987654321",
        ] {
            assert!(is_phone(phone), "{phone}");
        }
        for other in ["", "12", "1985-03-12", "12/03/1985", "12.03.1985", "abc", "1234567", "12345.67", "maria 1234567"]
        {
            assert!(!is_phone(other), "{other}");
        }
        for date in ["1985-03-12", "12/03/1985", "3/12/1985", "12.03.85", "1985/3/2", "2024-01-01T10:00:00Z"] {
            assert!(is_date(date), "{date}");
        }
        for other in ["", "1985", "192.168.1.1", "0912-345-678", "1985-13-32", "99/99/1999"] {
            assert!(!is_date(other), "{other}");
        }
        assert!(is_email("a.b@example.co"));
        for other in ["", "@", "a@b", "a b@example.com", "a@@example.com", "a@example..com"] {
            assert!(!is_email(other), "{other}");
        }
    }
}
