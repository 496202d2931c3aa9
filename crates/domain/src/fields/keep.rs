//! What becomes of a value that doesn't fit its field: it is kept as it was written, beside the field, under a key that says so.
//! When the field's type changes, both are looked at again.

use super::Fields;
use crate::phone::Region;
use crate::profile::{Field, Profile};

/// Ends the key of a value that doesn't fit: `birthday_as_written`.
pub const AS_WRITTEN: &str = "_as_written";

/// Between two values that stand side by side: what has it is no value any more, whatever could be read in it.
const AND: &str = " | ";

/// The key under which a value of this field is kept when it doesn't fit.
#[must_use]
pub fn as_written(key: &str) -> String {
    format!("{key}{AS_WRITTEN}")
}

/// The key and text under which a value is kept, and whether it fits.
#[must_use]
pub fn keep(fields: &Fields, key: &str, text: &str, country: Option<Region>) -> (String, String, bool) {
    match fields.read(key, text, country) {
        Ok(value) => (key.to_owned(), value, true),
        Err(_) => (as_written(key), text.trim().to_owned(), false),
    }
}

/// Reads the values of a field again after its definition changed: the profile as it is then, or `None` when nothing changes.
/// What doesn't fit any more moves to [`as_written`], what fits now comes back. Who said it and when stays.
#[must_use]
pub fn recheck(profile: &Profile, key: &str, fields: &Fields) -> Option<Profile> {
    let beside = as_written(key);
    let mut changed = profile.clone();
    match (profile.fields.get(key), profile.fields.get(&beside)) {
        (Some(field), aside) => match fields.read(key, &field.value, None) {
            Ok(value) if value == field.value => return None,
            Ok(value) => {
                changed.fields.insert(key.to_owned(), Field { value, ..field.clone() });
            }
            Err(_) => {
                changed.fields.remove(key);
                // Another one is there already: neither is lost.
                let value = aside.map_or_else(|| field.value.clone(), |a| format!("{}{AND}{}", field.value, a.value));
                changed.fields.insert(beside, Field { value, ..field.clone() });
            }
        },
        (None, Some(aside)) if aside.value.contains(AND) => return None,
        (None, Some(aside)) => {
            let value = fields.read(key, &aside.value, None).ok()?;
            let field = Field { value, ..aside.clone() };
            changed.fields.remove(&beside);
            changed.fields.insert(key.to_owned(), field);
        }
        (None, None) => return None,
    }
    Some(changed)
}
