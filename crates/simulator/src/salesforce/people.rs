//! What people in the CRM do and the REST API does not offer: merging records, converting leads.
//! May touch: the world's records. Must not touch: sockets, the clock (time is passed in).

use super::cell::Cell;
use super::error::Refusal;
use super::ids::RecordId;
use super::schema::ObjectNo;
use super::world::World;
use super::write::{self, Pen};
use serde_json::{Map, Value, json};

/// Merges records into `winner`: they go to the recycle bin with its id as master, and what pointed to them points to it.
/// Fields that the winner has not set are filled from the losers, in their order.
pub(super) fn merge(
    world: &mut World,
    pen: &Pen<'_>,
    number: ObjectNo,
    winner: RecordId,
    losers: &[RecordId],
) -> Result<(), Refusal> {
    let live =
        |world: &World, id| world.table(number).and_then(|t| t.live_row(id)).cloned().ok_or_else(Refusal::not_found);
    let name = world.schema.get(number).map(|object| object.name.clone()).unwrap_or_default();
    if !matches!(name.as_str(), "Account" | "Contact" | "Lead") || losers.is_empty() || losers.len() > 2 {
        return Err(Refusal::bad(
            "INVALID_OPERATION",
            "One or two accounts, contacts or leads can be merged into another.",
        ));
    }
    let before = live(world, winner)?;
    let lost = losers.iter().map(|id| live(world, *id)).collect::<Result<Vec<_>, _>>()?;
    if losers.contains(&winner) {
        return Err(Refusal::bad("INVALID_OPERATION", "A record cannot be merged with itself."));
    }
    let mut row = before.clone();
    for loser in &lost {
        // Buried first, so that unique values are free for the winner.
        write::bury(world, pen, number, loser, Some(winner));
        for (field, cell) in loser.values() {
            if row.get(*field).is_none() {
                row.put(*field, Some(cell.clone()));
            }
        }
        world.tally.merged += 1;
    }
    write::commit(world, pen, number, Some(&before), row);
    for loser in losers {
        repoint(world, pen, *loser, winner);
    }
    Ok(())
}

/// Lets all records that point to one point to another.
fn repoint(world: &mut World, pen: &Pen<'_>, from: RecordId, to: RecordId) {
    for (number, field, id) in world.pointing_to(from) {
        let Some(before) = world.table(number).and_then(|table| table.row(id)).cloned() else { continue };
        let mut row = before.clone();
        row.put(field, Some(Cell::Id(to)));
        write::commit(world, pen, number, Some(&before), row);
    }
}

/// Converts a lead into an account and a contact, as the button does. Gives the ids of account and contact.
pub(super) fn convert(world: &mut World, pen: &Pen<'_>, lead: RecordId) -> Result<(RecordId, RecordId), Refusal> {
    let find =
        |world: &World, name: &str| world.schema.find(name).map(|(number, _)| number).ok_or_else(Refusal::not_found);
    let (leads, accounts, contacts) = (find(world, "Lead")?, find(world, "Account")?, find(world, "Contact")?);
    let before = world.table(leads).and_then(|t| t.live_row(lead)).cloned().ok_or_else(Refusal::not_found)?;
    if world.value(leads, &before, "IsConverted") == Some(Cell::Bool(true)) {
        return Err(Refusal::bad("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead"));
    }
    let taken = |world: &World, pairs: &[(&str, &str)]| -> Map<String, Value> {
        let value = |name: &str| world.value(leads, &before, name).map(|cell| cell.csv(super::schema::Kind::Text));
        pairs.iter().filter_map(|(from, to)| Some(((*to).to_owned(), json!(value(from)?)))).collect()
    };
    let company =
        taken(world, &[("Company", "Name"), ("Phone", "Phone"), ("Website", "Website"), ("Industry", "Industry")]);
    let account = write::write(world, pen, accounts, None, &company)?;
    let plain =
        ["LastName", "FirstName", "Salutation", "Phone", "MobilePhone", "Email", "Title", "LeadSource", "Description"];
    let mut person = taken(world, &plain.map(|name| (name, name)));
    person.extend(taken(world, &[("Street", "MailingStreet"), ("City", "MailingCity"), ("Country", "MailingCountry")]));
    person.insert("AccountId".to_owned(), json!(account.to_string()));
    let contact = write::write(world, pen, contacts, None, &person)?;
    let mut row = before.clone();
    let object = world.schema.get(leads).ok_or_else(Refusal::not_found)?;
    let date = jiff::Timestamp::from_millisecond(pen.now).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
    for (name, cell) in [
        ("IsConverted", Cell::Bool(true)),
        ("Status", Cell::text("Closed - Converted")),
        ("ConvertedDate", Cell::Date(date)),
        ("ConvertedAccountId", Cell::Id(account)),
        ("ConvertedContactId", Cell::Id(contact)),
    ] {
        if let Some(no) = object.number(name) {
            row.put(no, Some(cell));
        }
    }
    repoint(world, pen, lead, contact);
    write::commit(world, pen, leads, Some(&before), row);
    Ok((account, contact))
}
