//! Carrying a query out: which records, in which order, and how they are shown.
//! May touch: records, to read them. Must not touch: anything else.
//! What can be looked up is: ids, indexed values, SystemModstamp. The rest is read through.

use super::bind::{Bound, Leaf, Test, Way};
use super::{Operator, Query};
use crate::salesforce::cell::Cell;
use crate::salesforce::ids::RecordId;
use crate::salesforce::schema::{Kind, ObjectNo, SObject, System};
use crate::salesforce::table::{self, Table};
use crate::salesforce::world::World;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A record that a query found.
pub(in crate::salesforce) type Row = table::Row;

/// The ids that a query finds, in its order, offset and limit applied.
pub(in crate::salesforce) fn find(world: &World, query: &Query, bound: &Bound) -> Vec<RecordId> {
    let (Some(table), Some(object)) = (world.table(bound.object), world.schema.get(bound.object)) else {
        return Vec::new();
    };
    let wanted = |row: &&Row| {
        (query.all_rows || row.deleted_at.is_none())
            && bound.filter.as_ref().is_none_or(|test| holds(world, bound.object, row, test))
    };
    let limit = query.limit.unwrap_or(usize::MAX);
    let (rows, in_order) = candidates(table, object, query, bound);
    let found = rows.filter(wanted);
    if in_order || bound.order.is_empty() {
        // Nothing to sort: what is beyond the limit isn't even looked at.
        return found.skip(query.offset).take(limit).map(|row| row.id).collect();
    }
    let mut rows: Vec<&Row> = found.collect();
    sort(world, bound, &mut rows);
    rows.into_iter().skip(query.offset).take(limit).map(|row| row.id).collect()
}

type Rows<'a> = Box<dyn Iterator<Item = &'a Row> + 'a>;

/// True for `ORDER BY SystemModstamp, Id`, in which an incremental reader goes, and which an index keeps.
fn follows_stamps(object: &SObject, bound: &Bound) -> bool {
    let systems = bound.order.iter().map(|(way, descending, _)| match way.leaf {
        Leaf::Field(no, _) if way.steps.is_empty() && !descending => object.field(no).and_then(|field| field.system),
        _ => None,
    });
    systems.eq([Some(System::Modstamp), Some(System::Id)])
}

/// The records that can hold, by the cheapest part that must; and whether they come in the order of the query.
fn candidates<'a>(table: &'a Table, object: &SObject, query: &Query, bound: &Bound) -> (Rows<'a>, bool) {
    let parts = match &bound.filter {
        Some(Test::And(parts)) => parts.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let mut since = None;
    for part in parts {
        let Test::Compare { way, operator, values } = part else { continue };
        let (Leaf::Field(no, kind), true) = (&way.leaf, way.steps.is_empty()) else { continue };
        let Some(field) = object.field(*no) else { continue };
        let listed = matches!(operator, Operator::Equal | Operator::In) && values.iter().all(Option::is_some);
        if *kind == Kind::Id && listed {
            let mut ids: Vec<RecordId> =
                values.iter().flatten().filter_map(|c| if let Cell::Id(id) = c { Some(*id) } else { None }).collect();
            ids.sort_unstable();
            ids.dedup();
            return (Box::new(ids.into_iter().filter_map(|id| table.row(id))), false);
        }
        // The indexes know live records only.
        if field.indexed && listed && !query.all_rows {
            let mut ids: Vec<RecordId> =
                values.iter().flatten().flat_map(|cell| table.with_value(*no, field, cell)).collect();
            ids.sort_unstable();
            ids.dedup();
            return (Box::new(ids.into_iter().filter_map(|id| table.row(id))), false);
        }
        let stamped = field.system == Some(System::Modstamp);
        let after = matches!(operator, Operator::Greater | Operator::GreaterOrEqual | Operator::Equal);
        if let (true, true, [Some(Cell::Moment(ms))]) = (stamped, after, values.as_slice()) {
            since = since.max(Some(*ms));
        }
    }
    let follows = follows_stamps(object, bound);
    match since {
        Some(ms) => (Box::new(table.stamped_since(ms)), follows),
        None if follows => (Box::new(table.stamped_since(i64::MIN)), true),
        None => (Box::new(table.rows()), false),
    }
}

fn sort(world: &World, bound: &Bound, rows: &mut [&Row]) {
    let mut keyed: Vec<(Vec<Option<Cow<'_, Cell>>>, &Row)> = rows
        .iter()
        .map(|row| (bound.order.iter().map(|(way, ..)| value(world, bound.object, row, way)).collect(), *row))
        .collect();
    keyed.sort_by(|(a, _), (b, _)| {
        for ((a, b), (_, descending, nulls_last)) in a.iter().zip(b).zip(&bound.order) {
            let order = match (a, b) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => {
                    if *nulls_last {
                        Ordering::Greater
                    } else {
                        Ordering::Less
                    }
                }
                (Some(_), None) => {
                    if *nulls_last {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    }
                }
                (Some(a), Some(b)) if *descending => b.order(a),
                (Some(a), Some(b)) => a.order(b),
            };
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    });
    for (slot, (_, row)) in rows.iter_mut().zip(keyed) {
        *slot = row;
    }
}

/// The value at the end of a way; `None` when it or a record on the way is absent.
pub(in crate::salesforce) fn value<'a>(
    world: &'a World,
    number: ObjectNo,
    row: &'a Row,
    way: &Way,
) -> Option<Cow<'a, Cell>> {
    let (mut number, mut row) = (number, row);
    for (no, _) in &way.steps {
        let object = world.schema.get(number)?;
        let Cell::Id(id) = *row.cell(object, *no, object.field(*no)?, world.users)? else { return None };
        let (next, _, parent) = world.any_row(id)?;
        (number, row) = (next, parent);
    }
    let object = world.schema.get(number)?;
    match &way.leaf {
        Leaf::Field(no, _) => row.cell(object, *no, object.field(*no)?, world.users),
        Leaf::Any(name) if name == "Type" => Some(Cow::Owned(Cell::text(&object.name))),
        Leaf::Any(name) => {
            let (no, field) = object.find(name)?;
            row.cell(object, no, field, world.users)
        }
    }
}

fn holds(world: &World, number: ObjectNo, row: &Row, test: &Test) -> bool {
    match test {
        Test::And(parts) => parts.iter().all(|part| holds(world, number, row, part)),
        Test::Or(parts) => parts.iter().any(|part| holds(world, number, row, part)),
        Test::Not(inner) => !holds(world, number, row, inner),
        Test::Within { way, from, to, negated } => {
            let found = value(world, number, row, way);
            let within = found.is_some_and(|cell| cell.order(from).is_ge() && cell.order(to).is_lt());
            within != *negated
        }
        Test::Compare { way, operator, values } => {
            let found = value(world, number, row, way);
            compare(found.as_deref(), *operator, values)
        }
    }
}

fn same(a: Option<&Cell>, b: Option<&Cell>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.order(b).is_eq(),
        _ => false,
    }
}

fn compare(found: Option<&Cell>, operator: Operator, values: &[Option<Cell>]) -> bool {
    let first = values.first().and_then(Option::as_ref);
    let ordered = |wanted: fn(Ordering) -> bool| found.zip(first).is_some_and(|(a, b)| wanted(a.order(b)));
    match operator {
        Operator::Equal => same(found, first),
        Operator::NotEqual => !same(found, first),
        Operator::Less => ordered(Ordering::is_lt),
        Operator::LessOrEqual => ordered(Ordering::is_le),
        Operator::Greater => ordered(Ordering::is_gt),
        Operator::GreaterOrEqual => ordered(Ordering::is_ge),
        Operator::In => values.iter().any(|value| same(found, value.as_ref())),
        Operator::NotIn => !values.iter().any(|value| same(found, value.as_ref())),
        Operator::Like => matches!((found, first), (Some(Cell::Text(text)), Some(Cell::Text(pattern)))
            if like(&text.to_lowercase(), &pattern.to_lowercase())),
        Operator::Includes => includes(found, values),
        Operator::Excludes => !includes(found, values),
    }
}

/// One of the values, of which each asks for all its parts.
fn includes(found: Option<&Cell>, values: &[Option<Cell>]) -> bool {
    let Some(Cell::Text(found)) = found else { return false };
    let chosen: Vec<&str> = found.split(';').collect();
    values.iter().flatten().any(|value| match value {
        Cell::Text(text) => text.split(';').all(|part| chosen.contains(&part.trim())),
        _ => false,
    })
}

/// `%` is any text, `_` one character; a backslash makes them plain. Both sides in lower case.
fn like(text: &str, pattern: &str) -> bool {
    let mut parts: Vec<Option<char>> = Vec::new();
    let mut wild = Vec::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => {
                parts.push(None);
                wild.push(true);
            }
            '_' => {
                parts.push(None);
                wild.push(false);
            }
            '\\' => {
                parts.push(letters.next());
                wild.push(false);
            }
            plain => {
                parts.push(Some(plain));
                wild.push(false);
            }
        }
    }
    // One row of the classic table: which beginnings of the text the pattern so far can match.
    let letters: Vec<char> = text.chars().collect();
    let mut reach = vec![false; letters.len() + 1];
    if let Some(first) = reach.first_mut() {
        *first = true;
    }
    for (part, any) in parts.into_iter().zip(wild) {
        let mut next = vec![false; letters.len() + 1];
        let mut open = false;
        for (at, slot) in next.iter_mut().enumerate() {
            let here = reach.get(at) == Some(&true);
            open |= here;
            let before = at.checked_sub(1);
            let stepped = before.and_then(|b| reach.get(b)) == Some(&true);
            let letter = before.and_then(|b| letters.get(b));
            *slot = if any { open } else { stepped && part.is_none_or(|part| letter == Some(&part)) };
        }
        reach = next;
    }
    reach.last() == Some(&true)
}

/// A record as the REST API shows it, with the selected fields only.
pub(in crate::salesforce) fn render(world: &World, bound: &Bound, row: &Row, base: &str) -> Value {
    let mut record = shell(world, row.id, base);
    for way in &bound.select {
        let kind = match &way.leaf {
            Leaf::Field(_, kind) => *kind,
            Leaf::Any(_) => Kind::Text,
        };
        let cell = value(world, bound.object, row, way).map_or(Value::Null, |cell| cell.json(kind));
        place(world, &mut record, bound.object, row, way, cell, base);
    }
    Value::Object(record)
}

/// `attributes`, of which every record has one.
fn shell(world: &World, id: RecordId, base: &str) -> Map<String, Value> {
    let name = world.schema.of_id(id).map(|(_, object)| object.name.clone()).unwrap_or_default();
    let mut record = Map::new();
    record.insert("attributes".to_owned(), json!({"type": name, "url": format!("{base}/sobjects/{name}/{id}")}));
    record
}

/// Puts a value of a parent under the parent; an absent parent is null as a whole.
fn place(
    world: &World,
    record: &mut Map<String, Value>,
    number: ObjectNo,
    row: &Row,
    way: &Way,
    cell: Value,
    base: &str,
) {
    let (mut number, mut row, mut record) = (number, row, record);
    for (no, name) in &way.steps {
        let Some(object) = world.schema.get(number) else { return };
        let name = object.field(*no).and_then(|field| field.relationship.clone()).unwrap_or_else(|| name.clone());
        let parent = object.field(*no).and_then(|field| row.cell(object, *no, field, world.users));
        let Some((next, id, parent)) = parent.and_then(|cell| match *cell {
            Cell::Id(id) => world.any_row(id).map(|(next, _, parent)| (next, id, parent)),
            _ => None,
        }) else {
            record.insert(name, Value::Null);
            return;
        };
        let entry = record.entry(name).or_insert_with(|| Value::Object(shell(world, id, base)));
        let Value::Object(inner) = entry else { return };
        (number, row, record) = (next, parent, inner);
    }
    record.insert(way.name.clone(), cell);
}

#[cfg(test)]
mod tests {
    use super::like;
    use proptest::prelude::*;

    #[test]
    fn like_knows_its_wild_cards() {
        for (text, pattern, wanted) in [
            ("ana souza", "ana%", true),
            ("ana souza", "%souza", true),
            ("ana souza", "%na%ou%", true),
            ("ana", "a_a", true),
            ("anna", "a_a", false),
            ("50%", "50\\%", true),
            ("50x", "50\\%", false),
            ("", "%", true),
            ("", "_", false),
        ] {
            assert_eq!(like(text, pattern), wanted, "{text} {pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_like_itself_and_like_its_parts(text in "[a-z]{1,12}", cut in 0_usize..12) {
            let cut = cut.min(text.len());
            let (head, tail) = text.split_at(cut);
            prop_assert!(like(&text, &text));
            let (begins, ends) = (format!("{head}%"), format!("%{tail}"));
            prop_assert!(like(&text, &begins) && like(&text, &ends));
            let longer = format!("{text}x");
            prop_assert!(!like(&text, &longer));
        }
    }
}
