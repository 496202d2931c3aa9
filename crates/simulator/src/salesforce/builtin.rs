//! The standard object types and their fields, as an org has them on its first day.
//! May touch: nothing. Must not touch: records.

use super::cell::Cell;
use super::schema::{Field, Kind, SObject, Schema, System};

const SALUTATIONS: &[&str] = &["Mr.", "Ms.", "Mrs.", "Dr.", "Prof.", "Mx."];
const SOURCES: &[&str] = &["Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"];
const INDUSTRIES: &[&str] = &["Agriculture", "Banking", "Education", "Healthcare", "Retail", "Technology", "Other"];

fn text(name: &str, label: &str, length: usize) -> Field {
    Field::new(name, label, Kind::Text, length)
}

fn of(kind: Kind, name: &str, label: &str) -> Field {
    let length = match kind {
        Kind::Email => 80,
        Kind::Phone => 40,
        Kind::Url | Kind::TextArea | Kind::Picklist | Kind::Combobox => 255,
        Kind::LongText => 32_000,
        Kind::Id | Kind::Reference => 18,
        _ => 0,
    };
    Field::new(name, label, kind, length)
}

fn required(mut field: Field) -> Field {
    field.required = true;
    field
}

fn read_only(mut field: Field) -> Field {
    (field.createable, field.updateable) = (false, false);
    field
}

fn named(mut field: Field) -> Field {
    field.name_field = true;
    field
}

fn flag(name: &str, label: &str) -> Field {
    let mut field = of(Kind::Boolean, name, label);
    field.default = Some(Cell::Bool(false));
    field
}

/// Standard picklists take unknown values, as they do in a new org.
fn picklist(name: &str, label: &str, choices: &[&str]) -> Field {
    let mut field = of(Kind::Picklist, name, label);
    field.choices = choices.iter().map(ToString::to_string).collect();
    field
}

fn defaulted(value: &str, mut field: Field) -> Field {
    field.default = Some(Cell::text(value));
    field
}

fn first(field: Field) -> Field {
    let value = field.choices.first().cloned().unwrap_or_default();
    defaulted(&value, field)
}

fn reference(name: &str, label: &str, relationship: &str, to: &[&str]) -> Field {
    let mut field = of(Kind::Reference, name, label);
    field.relationship = Some(relationship.to_owned());
    field.reference_to = to.iter().map(ToString::to_string).collect();
    field
}

fn number(kind: Kind, name: &str, label: &str, scale: u32) -> Field {
    let mut field = of(kind, name, label);
    field.scale = scale;
    field
}

fn system(kind: Kind, name: &str, label: &str, system: System) -> Field {
    let mut field = read_only(of(kind, name, label));
    field.system = Some(system);
    field.indexed = false;
    if kind == Kind::Reference {
        field.reference_to = vec!["User".to_owned()];
        field.relationship = name.strip_suffix("Id").map(str::to_owned);
    }
    field
}

/// The fields that every object type has.
pub(super) fn common() -> Vec<Field> {
    let mut id = system(Kind::Id, "Id", "Record ID", System::Id);
    id.id_lookup = true;
    vec![
        id,
        system(Kind::Boolean, "IsDeleted", "Deleted", System::IsDeleted),
        system(Kind::DateTime, "CreatedDate", "Created Date", System::CreatedDate),
        system(Kind::Reference, "CreatedById", "Created By ID", System::CreatedById),
        system(Kind::DateTime, "LastModifiedDate", "Last Modified Date", System::LastModifiedDate),
        system(Kind::Reference, "LastModifiedById", "Last Modified By ID", System::LastModifiedById),
        system(Kind::DateTime, "SystemModstamp", "System Modstamp", System::Modstamp),
    ]
}

pub(super) fn owner() -> Field {
    reference("OwnerId", "Owner ID", "Owner", &["User"])
}

fn master(of: &str) -> Field {
    let mut field = system(Kind::Reference, "MasterRecordId", "Master Record ID", System::MasterRecordId);
    field.reference_to = vec![of.to_owned()];
    field
}

fn person() -> Vec<Field> {
    let mut name = named(read_only(text("Name", "Full Name", 121)));
    name.system = Some(System::PersonName);
    let mut email = of(Kind::Email, "Email", "Email");
    email.id_lookup = true;
    vec![
        required(text("LastName", "Last Name", 80)),
        text("FirstName", "First Name", 40),
        picklist("Salutation", "Salutation", SALUTATIONS),
        name,
        of(Kind::Phone, "Phone", "Business Phone"),
        of(Kind::Phone, "MobilePhone", "Mobile Phone"),
        of(Kind::Phone, "Fax", "Fax"),
        email,
        text("Title", "Title", 128),
        picklist("LeadSource", "Lead Source", SOURCES),
        of(Kind::LongText, "Description", "Description"),
        flag("HasOptedOutOfEmail", "Email Opt Out"),
        flag("HasOptedOutOfFax", "Fax Opt Out"),
        flag("DoNotCall", "Do Not Call"),
        read_only(of(Kind::DateTime, "EmailBouncedDate", "Email Bounced Date")),
        read_only(of(Kind::Date, "LastActivityDate", "Last Activity")),
        owner(),
    ]
}

fn address(prefix: &str, label: &str) -> Vec<Field> {
    vec![
        of(Kind::TextArea, &format!("{prefix}Street"), &format!("{label} Street")),
        text(&format!("{prefix}City"), &format!("{label} City"), 40),
        text(&format!("{prefix}State"), &format!("{label} State/Province"), 80),
        text(&format!("{prefix}PostalCode"), &format!("{label} Zip/Postal Code"), 20),
        text(&format!("{prefix}Country"), &format!("{label} Country"), 80),
    ]
}

fn contact() -> Vec<Field> {
    let mut fields = person();
    fields.extend(address("Mailing", "Mailing"));
    fields.extend(address("Other", "Other"));
    fields.extend([
        master("Contact"),
        reference("AccountId", "Account ID", "Account", &["Account"]),
        reference("ReportsToId", "Reports To ID", "ReportsTo", &["Contact"]),
        of(Kind::Phone, "HomePhone", "Home Phone"),
        of(Kind::Phone, "OtherPhone", "Other Phone"),
        of(Kind::Phone, "AssistantPhone", "Asst. Phone"),
        text("AssistantName", "Assistant's Name", 40),
        text("Department", "Department", 80),
        of(Kind::Date, "Birthdate", "Birthdate"),
    ]);
    fields
}

fn lead() -> Vec<Field> {
    let mut fields = person();
    fields.extend(address("", "Address"));
    let converted =
        |name: &str, label: &str, relationship: &str, to: &str| read_only(reference(name, label, relationship, &[to]));
    fields.extend([
        master("Lead"),
        required(text("Company", "Company", 255)),
        first(required(picklist(
            "Status",
            "Status",
            &["Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"],
        ))),
        picklist("Rating", "Rating", &["Hot", "Warm", "Cold"]),
        picklist("Industry", "Industry", INDUSTRIES),
        of(Kind::Url, "Website", "Website"),
        number(Kind::Currency, "AnnualRevenue", "Annual Revenue", 0),
        number(Kind::Int, "NumberOfEmployees", "Employees", 0),
        read_only(flag("IsConverted", "Converted")),
        read_only(of(Kind::Date, "ConvertedDate", "Converted Date")),
        converted("ConvertedAccountId", "Converted Account ID", "ConvertedAccount", "Account"),
        converted("ConvertedContactId", "Converted Contact ID", "ConvertedContact", "Contact"),
        converted("ConvertedOpportunityId", "Converted Opportunity ID", "ConvertedOpportunity", "Opportunity"),
        flag("IsUnreadByOwner", "Unread By Owner"),
    ]);
    fields
}

fn account() -> Vec<Field> {
    let mut fields = vec![
        named(required(text("Name", "Account Name", 255))),
        master("Account"),
        picklist("Type", "Account Type", &["Prospect", "Customer - Direct", "Customer - Channel", "Other"]),
        reference("ParentId", "Parent Account ID", "Parent", &["Account"]),
        of(Kind::Phone, "Phone", "Account Phone"),
        of(Kind::Phone, "Fax", "Account Fax"),
        text("AccountNumber", "Account Number", 40),
        of(Kind::Url, "Website", "Website"),
        picklist("Industry", "Industry", INDUSTRIES),
        number(Kind::Currency, "AnnualRevenue", "Annual Revenue", 0),
        number(Kind::Int, "NumberOfEmployees", "Employees", 0),
        of(Kind::LongText, "Description", "Account Description"),
        owner(),
    ];
    fields.extend(address("Billing", "Billing"));
    fields.extend(address("Shipping", "Shipping"));
    fields
}

fn opportunity() -> Vec<Field> {
    const STAGES: &[&str] = &["Prospecting", "Qualification", "Proposal/Price Quote", "Closed Won", "Closed Lost"];
    vec![
        named(required(text("Name", "Name", 120))),
        reference("AccountId", "Account ID", "Account", &["Account"]),
        reference("ContactId", "Contact ID", "Contact", &["Contact"]),
        reference("CampaignId", "Campaign ID", "Campaign", &["Campaign"]),
        required(picklist("StageName", "Stage", STAGES)),
        required(of(Kind::Date, "CloseDate", "Close Date")),
        number(Kind::Currency, "Amount", "Amount", 2),
        number(Kind::Percent, "Probability", "Probability (%)", 0),
        picklist("Type", "Opportunity Type", &["Existing Business", "New Business"]),
        text("NextStep", "Next Step", 255),
        picklist("LeadSource", "Lead Source", SOURCES),
        of(Kind::LongText, "Description", "Description"),
        read_only(flag("IsClosed", "Closed")),
        read_only(flag("IsWon", "Won")),
        owner(),
    ]
}

fn campaign() -> Vec<Field> {
    vec![
        named(required(text("Name", "Name", 80))),
        picklist("Type", "Type", &["Webinar", "Email", "Advertisement", "Other"]),
        first(picklist("Status", "Status", &["Planned", "In Progress", "Completed", "Aborted"])),
        of(Kind::Date, "StartDate", "Start Date"),
        of(Kind::Date, "EndDate", "End Date"),
        flag("IsActive", "Active"),
        of(Kind::LongText, "Description", "Description"),
        number(Kind::Currency, "BudgetedCost", "Budgeted Cost", 0),
        owner(),
    ]
}

fn task() -> Vec<Field> {
    let mut kind = picklist("TaskSubtype", "Task Subtype", &["Task", "Call", "Email", "Cadence", "LinkedIn"]);
    (kind.restricted, kind.updateable) = (true, false);
    vec![
        reference("WhoId", "Name ID", "Who", &["Contact", "Lead"]),
        reference("WhatId", "Related To ID", "What", &["Account", "Opportunity", "Campaign"]),
        named(of(Kind::Combobox, "Subject", "Subject")),
        of(Kind::Date, "ActivityDate", "Due Date Only"),
        first(required(picklist(
            "Status",
            "Status",
            &["Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred"],
        ))),
        defaulted("Normal", required(picklist("Priority", "Priority", &["High", "Normal", "Low"]))),
        of(Kind::LongText, "Description", "Description"),
        first(kind),
        picklist("Type", "Type", &["Call", "Meeting", "Email", "Other"]),
        picklist("CallType", "Call Type", &["Internal", "Inbound", "Outbound"]),
        number(Kind::Int, "CallDurationInSeconds", "Call Duration", 0),
        text("CallObject", "Call Object Identifier", 255),
        read_only(flag("IsClosed", "Closed")),
        read_only(of(Kind::DateTime, "CompletedDateTime", "Completed Date/Time")),
        owner(),
    ]
}

fn user() -> Vec<Field> {
    let fields = [
        text("Username", "Username", 80),
        text("LastName", "Last Name", 80),
        text("FirstName", "First Name", 40),
        named(text("Name", "Full Name", 121)),
        of(Kind::Email, "Email", "Email"),
        text("Alias", "Alias", 8),
        flag("IsActive", "Active"),
    ];
    fields.into_iter().map(read_only).collect()
}

fn field_permissions() -> Vec<Field> {
    vec![
        required(reference("ParentId", "Parent ID", "Parent", &["PermissionSet"])),
        required(text("SobjectType", "Sobject Type Name", 40)),
        required(text("Field", "Field Name", 120)),
        flag("PermissionsRead", "Read"),
        flag("PermissionsEdit", "Edit"),
    ]
}

fn object_permissions() -> Vec<Field> {
    let mut fields = vec![
        required(reference("ParentId", "Parent ID", "Parent", &["PermissionSet"])),
        required(text("SobjectType", "Sobject Type Name", 40)),
    ];
    for (name, label) in [("Read", "Read"), ("Create", "Create"), ("Edit", "Edit"), ("Delete", "Delete")] {
        fields.push(flag(&format!("Permissions{name}"), label));
    }
    fields
}

/// The schema of a new org.
pub(super) fn schema() -> Schema {
    let mut schema = Schema::default();
    let mut add = |name: &str, plural: &str, prefix: &[u8; 3], fields: Vec<Field>| {
        let mut object = SObject::new(name, name, plural, *prefix);
        for field in common().into_iter().chain(fields) {
            object.put(field);
        }
        object.tooling = name == "CustomField";
        object.fixed = matches!(name, "User" | "Organization");
        schema.add(object);
    };
    add("Account", "Accounts", b"001", account());
    add("Contact", "Contacts", b"003", contact());
    add("Lead", "Leads", b"00Q", lead());
    add("Opportunity", "Opportunities", b"006", opportunity());
    add("Campaign", "Campaigns", b"701", campaign());
    add(
        "CampaignMember",
        "Campaign Members",
        b"00v",
        vec![
            required(reference("CampaignId", "Campaign ID", "Campaign", &["Campaign"])),
            reference("ContactId", "Contact ID", "Contact", &["Contact"]),
            reference("LeadId", "Lead ID", "Lead", &["Lead"]),
            picklist("Status", "Status", &["Sent", "Responded"]),
        ],
    );
    add("Task", "Tasks", b"00T", task());
    add("User", "Users", b"005", user());
    add(
        "Organization",
        "Organizations",
        b"00D",
        vec![
            named(read_only(text("Name", "Name", 80))),
            read_only(text("OrganizationType", "Edition", 40)),
            read_only(flag("IsSandbox", "Is Sandbox")),
        ],
    );
    add(
        "PermissionSet",
        "Permission Sets",
        b"0PS",
        vec![
            named(required(text("Name", "Permission Set Name", 80))),
            required(text("Label", "Permission Set Label", 80)),
            text("Description", "Description", 255),
            read_only(flag("IsOwnedByProfile", "Is Owned By Profile")),
        ],
    );
    add(
        "PermissionSetAssignment",
        "Permission Set Assignments",
        b"0Pa",
        vec![
            required(reference("PermissionSetId", "PermissionSet ID", "PermissionSet", &["PermissionSet"])),
            required(reference("AssigneeId", "Assignee ID", "Assignee", &["User"])),
        ],
    );
    add("FieldPermissions", "Field Permissions", b"01k", field_permissions());
    add("ObjectPermissions", "Object Permissions", b"110", object_permissions());
    add(
        "CustomField",
        "Custom Fields",
        b"00N",
        vec![
            named(read_only(text("DeveloperName", "Custom Field Name", 80))),
            read_only(text("TableEnumOrId", "Table Enum Or ID", 40)),
            read_only(text("FullName", "Full Name", 255)),
        ],
    );
    schema
}
