//! Queries, URL-encoded forms and path segments, decoded.
//! May touch: nothing. Must not touch: what the pairs mean.

/// Decoded pairs of a query or of a form.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(text: &str) -> Self {
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key, true), decode(value, true))
        };
        Self(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// A list given as `a,b`, as a repeated key, or both.
    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(k, _)| k == key)
            .flat_map(|(_, v)| v.split(','))
            .filter(|v| !v.is_empty())
            .map(ToOwned::to_owned)
            .collect()
    }

    /// These pairs first, then those of another form.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.0.extend(other.0.iter().cloned());
        self
    }
}

/// Percent escapes for a value in a query.
pub(crate) fn escape(text: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._~".contains(b);
    text.bytes().map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Undoes percent escapes; a plus sign is a blank in queries and forms, and itself in paths.
pub(crate) fn decode(text: &str, plus_is_blank: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped = || {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            u8::from_str_radix(digits, 16).ok()
        };
        match (*first, if *first == b'%' { escaped() } else { None }) {
            (_, Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
                continue;
            }
            (b'+', None) if plus_is_blank => bytes.push(b' '),
            (byte, None) => bytes.push(byte),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Form, decode};

    #[test]
    fn decodes_segments_and_forms() {
        assert_eq!(decode("a%40b.c+d", false), "a@b.c+d");
        assert_eq!(decode("100%", false), "100%");
        let form = Form::parse("properties=a%2Cb&properties=c&x=1+2");
        assert_eq!(form.list("properties"), ["a", "b", "c"]);
        assert_eq!(form.get("x"), Some("1 2"));
    }
}
