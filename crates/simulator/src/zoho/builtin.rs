//! The modules and fields that an organisation begins with, as far as a messaging bridge meets them.
//! May touch: nothing; tables. Must not touch: custom fields and modules.

use super::schema::{Kind, Module, System, plain};

/// Name, kind and meaning of the fields that every module has.
pub(super) const SYSTEM: [(&str, Kind, System); 7] = [
    ("id", Kind::BigInt, System::Id),
    ("Owner", Kind::Owner, System::Owner),
    ("Created_By", Kind::Owner, System::CreatedBy),
    ("Modified_By", Kind::Owner, System::ModifiedBy),
    ("Created_Time", Kind::DateTime, System::CreatedTime),
    ("Modified_Time", Kind::DateTime, System::ModifiedTime),
    ("Tag", Kind::Tags, System::Tag),
];

/// The colours that a tag can have.
pub(super) const COLOURS: [&str; 13] = [
    "#57B1FD", "#879BFC", "#658BA8", "#FD87BD", "#969696", "#F48435", "#1DB9B4", "#E7A826", "#63C57E", "#F17574",
    "#D297EE", "#A8C026", "#B88562",
];

/// A field's name, kind and length (0: the kind's own).
type Row = (&'static str, Kind, usize);

/// A built-in module.
#[derive(Debug)]
pub(super) struct Definition {
    name: &'static str,
    singular: &'static str,
    key: Option<&'static str>,
    display: &'static str,
    mandatory: &'static [&'static str],
    fields: &'static [Row],
    lookups: &'static [(&'static str, &'static str)],
    lists: &'static [(&'static str, &'static [&'static str])],
}

impl Definition {
    pub(super) fn build(&self, ids: &mut u64, now: i64) -> Module {
        let mut module = Module::new(self.name, ids, now);
        module.singular = self.singular.to_owned();
        module.plural = self.name.to_owned();
        module.key = self.key.map(ToOwned::to_owned);
        module.display = self.display.to_owned();
        module.searchable = self.name != "Notes";
        if module.has_full_name() {
            *ids += 1;
            module.add(plain(*ids, "Full_Name", Kind::Text, now, Some(System::FullName)));
        }
        for (name, kind, length) in self.fields {
            *ids += 1;
            let mut field = plain(*ids, name, *kind, now, None);
            if *length > 0 {
                field.length = *length;
            }
            field.mandatory = self.mandatory.contains(name);
            field.target = self.lookups.iter().find(|(of, _)| of == name).map(|(_, to)| (*to).to_owned());
            let list = self.lists.iter().find(|(of, _)| of == name).map(|(_, options)| *options);
            field.options = list.unwrap_or_default().iter().map(ToString::to_string).collect();
            module.add(field);
        }
        module
    }
}

const SOURCES: &[&str] = &[
    "-None-",
    "Advertisement",
    "Cold Call",
    "Employee Referral",
    "External Referral",
    "Online Store",
    "Partner",
    "Public Relations",
    "Web Download",
    "Web Research",
    "Chat",
    "WhatsApp",
];
const SALUTATIONS: &[&str] = &["-None-", "Mr.", "Mrs.", "Ms.", "Dr.", "Prof."];
const RATINGS: &[&str] = &["-None-", "Acquired", "Active", "Market Failed", "Project Cancelled", "Shut Down"];
const INDUSTRIES: &[&str] = &[
    "-None-",
    "ASP (Application Service Provider)",
    "Data/Telecom OEM",
    "ERP (Enterprise Resource Planning)",
    "Government/Military",
    "Large Enterprise",
    "ManagementISV",
    "Small/Medium Enterprise",
    "Service Provider",
];

pub(super) const MODULES: [Definition; 6] = [
    Definition {
        name: "Leads",
        singular: "Lead",
        key: Some("Email"),
        display: "Full_Name",
        mandatory: &["Last_Name", "Company"],
        fields: &[
            ("First_Name", Kind::Text, 40),
            ("Last_Name", Kind::Text, 80),
            ("Salutation", Kind::Picklist, 0),
            ("Company", Kind::Text, 200),
            ("Designation", Kind::Text, 100),
            ("Email", Kind::Email, 0),
            ("Secondary_Email", Kind::Email, 0),
            ("Phone", Kind::Phone, 0),
            ("Mobile", Kind::Phone, 0),
            ("Fax", Kind::Text, 30),
            ("Website", Kind::Website, 0),
            ("Lead_Source", Kind::Picklist, 0),
            ("Lead_Status", Kind::Picklist, 0),
            ("Industry", Kind::Picklist, 0),
            ("Rating", Kind::Picklist, 0),
            ("No_of_Employees", Kind::Integer, 0),
            ("Annual_Revenue", Kind::Currency, 0),
            ("Email_Opt_Out", Kind::Boolean, 0),
            ("Skype_ID", Kind::Text, 50),
            ("Street", Kind::Text, 250),
            ("City", Kind::Text, 100),
            ("State", Kind::Text, 100),
            ("Zip_Code", Kind::Text, 30),
            ("Country", Kind::Text, 100),
            ("Description", Kind::TextArea, 32_000),
        ],
        lookups: &[],
        lists: &[
            ("Salutation", SALUTATIONS),
            ("Lead_Source", SOURCES),
            ("Industry", INDUSTRIES),
            ("Rating", RATINGS),
            (
                "Lead_Status",
                &[
                    "-None-",
                    "Attempted to Contact",
                    "Contact in Future",
                    "Contacted",
                    "Junk Lead",
                    "Lost Lead",
                    "Not Contacted",
                    "Pre-Qualified",
                    "Not Qualified",
                ],
            ),
        ],
    },
    Definition {
        name: "Contacts",
        singular: "Contact",
        key: Some("Email"),
        display: "Full_Name",
        mandatory: &["Last_Name"],
        fields: &[
            ("First_Name", Kind::Text, 40),
            ("Last_Name", Kind::Text, 80),
            ("Salutation", Kind::Picklist, 0),
            ("Account_Name", Kind::Lookup, 0),
            ("Title", Kind::Text, 100),
            ("Department", Kind::Text, 50),
            ("Email", Kind::Email, 0),
            ("Secondary_Email", Kind::Email, 0),
            ("Phone", Kind::Phone, 0),
            ("Mobile", Kind::Phone, 0),
            ("Home_Phone", Kind::Phone, 0),
            ("Other_Phone", Kind::Phone, 0),
            ("Fax", Kind::Text, 30),
            ("Date_of_Birth", Kind::Date, 0),
            ("Lead_Source", Kind::Picklist, 0),
            ("Email_Opt_Out", Kind::Boolean, 0),
            ("Skype_ID", Kind::Text, 50),
            ("Assistant", Kind::Text, 50),
            ("Reporting_To", Kind::Lookup, 0),
            ("Mailing_Street", Kind::Text, 250),
            ("Mailing_City", Kind::Text, 100),
            ("Mailing_State", Kind::Text, 100),
            ("Mailing_Zip", Kind::Text, 30),
            ("Mailing_Country", Kind::Text, 100),
            ("Description", Kind::TextArea, 32_000),
        ],
        lookups: &[("Account_Name", "Accounts"), ("Reporting_To", "Contacts")],
        lists: &[("Salutation", SALUTATIONS), ("Lead_Source", SOURCES)],
    },
    Definition {
        name: "Accounts",
        singular: "Account",
        key: Some("Account_Name"),
        display: "Account_Name",
        mandatory: &["Account_Name"],
        fields: &[
            ("Account_Name", Kind::Text, 200),
            ("Account_Number", Kind::BigInt, 0),
            ("Phone", Kind::Phone, 0),
            ("Fax", Kind::Text, 30),
            ("Website", Kind::Website, 0),
            ("Industry", Kind::Picklist, 0),
            ("Rating", Kind::Picklist, 0),
            ("Employees", Kind::Integer, 0),
            ("Annual_Revenue", Kind::Currency, 0),
            ("Parent_Account", Kind::Lookup, 0),
            ("Billing_Street", Kind::Text, 250),
            ("Billing_City", Kind::Text, 100),
            ("Billing_State", Kind::Text, 100),
            ("Billing_Code", Kind::Text, 30),
            ("Billing_Country", Kind::Text, 100),
            ("Description", Kind::TextArea, 32_000),
        ],
        lookups: &[("Parent_Account", "Accounts")],
        lists: &[("Industry", INDUSTRIES), ("Rating", RATINGS)],
    },
    Definition {
        name: "Deals",
        singular: "Deal",
        key: Some("Deal_Name"),
        display: "Deal_Name",
        mandatory: &["Deal_Name", "Stage"],
        fields: &[
            ("Deal_Name", Kind::Text, 120),
            ("Account_Name", Kind::Lookup, 0),
            ("Contact_Name", Kind::Lookup, 0),
            ("Amount", Kind::Currency, 0),
            ("Closing_Date", Kind::Date, 0),
            ("Stage", Kind::Picklist, 0),
            ("Probability", Kind::Integer, 3),
            ("Type", Kind::Picklist, 0),
            ("Lead_Source", Kind::Picklist, 0),
            ("Next_Step", Kind::Text, 100),
            ("Description", Kind::TextArea, 32_000),
        ],
        lookups: &[("Account_Name", "Accounts"), ("Contact_Name", "Contacts")],
        lists: &[
            ("Lead_Source", SOURCES),
            ("Type", &["-None-", "Existing Business", "New Business"]),
            (
                "Stage",
                &[
                    "Qualification",
                    "Needs Analysis",
                    "Value Proposition",
                    "Identify Decision Makers",
                    "Proposal/Price Quote",
                    "Negotiation/Review",
                    "Closed Won",
                    "Closed Lost",
                    "Closed Lost to Competition",
                ],
            ),
        ],
    },
    Definition {
        name: "Tasks",
        singular: "Task",
        key: None,
        display: "Subject",
        mandatory: &["Subject"],
        fields: &[
            ("Subject", Kind::Text, 255),
            ("Due_Date", Kind::Date, 0),
            ("Who_Id", Kind::Lookup, 0),
            ("What_Id", Kind::Parent, 0),
            ("Status", Kind::Picklist, 0),
            ("Priority", Kind::Picklist, 0),
            ("Description", Kind::TextArea, 32_000),
        ],
        lookups: &[("Who_Id", "Contacts")],
        lists: &[
            ("Status", &["Not Started", "Deferred", "In Progress", "Completed", "Waiting for input"]),
            ("Priority", &["High", "Highest", "Low", "Lowest", "Normal"]),
        ],
    },
    Definition {
        name: "Notes",
        singular: "Note",
        key: None,
        display: "Note_Title",
        mandatory: &["Note_Content", "Parent_Id"],
        fields: &[
            ("Note_Title", Kind::Text, 120),
            ("Note_Content", Kind::TextArea, 65_535),
            ("Parent_Id", Kind::Parent, 0),
        ],
        lookups: &[],
        lists: &[],
    },
];
