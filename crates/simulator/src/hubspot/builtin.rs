//! The properties HubSpot brings along, as far as a messaging bridge meets them.
//! May touch: nothing; a table. Must not touch: custom properties.

use super::object::Object;
use super::schema::Kind;

/// Name, type, field type, read-only, options.
type Row = (&'static str, Kind, &'static str, bool, &'static [&'static str]);

const fn text(name: &'static str) -> Row {
    (name, Kind::String, "text", false, &[])
}

const fn computed(name: &'static str) -> Row {
    (name, Kind::String, "text", true, &[])
}

const fn moment(name: &'static str, read_only: bool) -> Row {
    (name, Kind::Datetime, "date", read_only, &[])
}

const CONTACTS: &[Row] = &[
    text("email"),
    text("firstname"),
    text("lastname"),
    text("phone"),
    text("mobilephone"),
    text("hs_whatsapp_phone_number"),
    computed("hs_searchable_calculated_phone_number"),
    computed("hs_searchable_calculated_mobile_number"),
    text("company"),
    text("jobtitle"),
    text("address"),
    text("city"),
    text("state"),
    text("zip"),
    text("country"),
    text("website"),
    text("hs_language"),
    text("hubspot_owner_id"),
    (
        "lifecyclestage",
        Kind::Enumeration,
        "radio",
        false,
        &[
            "subscriber",
            "lead",
            "marketingqualifiedlead",
            "salesqualifiedlead",
            "opportunity",
            "customer",
            "evangelist",
            "other",
        ],
    ),
    (
        "hs_lead_status",
        Kind::Enumeration,
        "radio",
        false,
        &["NEW", "OPEN", "IN_PROGRESS", "OPEN_DEAL", "UNQUALIFIED", "ATTEMPTED_TO_CONTACT", "CONNECTED", "BAD_TIMING"],
    ),
    ("hs_object_id", Kind::Number, "number", true, &[]),
    computed("hs_merged_object_ids"),
    moment("createdate", true),
    moment("lastmodifieddate", true),
];

const COMMUNICATIONS: &[Row] = &[
    ("hs_communication_channel_type", Kind::Enumeration, "select", false, &["WHATS_APP", "SMS", "LINKEDIN_MESSAGE"]),
    ("hs_communication_logged_from", Kind::Enumeration, "select", false, &["CRM"]),
    text("hs_communication_body"),
    moment("hs_timestamp", false),
    text("hubspot_owner_id"),
    text("hs_attachment_ids"),
    ("hs_object_id", Kind::Number, "number", true, &[]),
    moment("hs_createdate", true),
    moment("hs_lastmodifieddate", true),
];

const NOTES: &[Row] = &[
    text("hs_note_body"),
    moment("hs_timestamp", false),
    text("hubspot_owner_id"),
    text("hs_attachment_ids"),
    ("hs_object_id", Kind::Number, "number", true, &[]),
    moment("hs_createdate", true),
    moment("hs_lastmodifieddate", true),
];

pub(super) const fn properties(object: Object) -> &'static [Row] {
    match object {
        Object::Contacts => CONTACTS,
        Object::Communications => COMMUNICATIONS,
        Object::Notes => NOTES,
    }
}
