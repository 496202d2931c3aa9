//! The rules that every connection starts with, at least 15 fields for each CRM, and the fields that we make for them. Names of fields:
//! crm-apis sections 1 to 3. What a CRM doesn't have is left out; what its people named otherwise is set in the configuration.

use super::{Codec, Conflict, Direction, Item, Rule};
use crate::crm::{CrmField, CrmKind};
use crate::profile::{Label, core};

/// How a default goes.
#[derive(Clone, Copy)]
enum Way {
    /// Both ways, the newest wins.
    Newest,
    /// Both ways, the CRM wins.
    Crm,
    /// Both ways, joined.
    Join,
    /// Out only.
    Out,
    /// In only.
    In,
}

/// The default rules for a product, by the name its capabilities tell; `prefix` begins the names of fields that are ours there.
#[must_use]
pub fn rules(product: &str) -> Vec<Rule> {
    let table: &[(&str, &str, Way)] = match product {
        "HubSpot" => HUBSPOT,
        "Salesforce" => SALESFORCE,
        "Zoho CRM" => ZOHO,
        _ => return Vec::new(),
    };
    let mut all: Vec<Rule> = table.iter().filter_map(|(item, theirs, way)| rule(item, theirs, *way)).collect();
    for rule in &mut all {
        let required = matches!(product, "Salesforce" | "Zoho CRM");
        if rule.theirs.len() == 2 {
            rule.codec = if required { Codec::FirstLastRequired } else { Codec::FirstLast };
        }
        if rule.item == Item::Tags && product != "Zoho CRM" {
            rule.codec = Codec::Joined("; ".to_owned());
        }
    }
    all
}

fn rule(item: &str, theirs: &str, way: Way) -> Option<Rule> {
    let (direction, conflict) = match way {
        Newest => (Direction::Both, Conflict::Newest),
        Crm => (Direction::Both, Conflict::CrmWins),
        Join => (Direction::Both, Conflict::Append),
        Out => (Direction::ToCrm, Conflict::PonteWins),
        In => (Direction::FromCrm, Conflict::CrmWins),
    };
    Some(Rule {
        theirs: theirs.split(' ').map(str::to_owned).collect(),
        direction,
        conflict,
        by_default: true,
        ..Rule::new(item.parse().ok()?, theirs)
    })
}

/// The fields that we make on contacts for the defaults. Only the names differ between CRMs.
#[must_use]
pub fn own_fields(product: &str) -> Vec<CrmField> {
    rules(product)
        .into_iter()
        .filter_map(|rule| {
            let name = rule.theirs.first().filter(|n| n.to_lowercase().starts_with("ponte_"))?;
            let (label, kind) = match &rule.item {
                Item::Tags => ("WhatsApp tags", CrmKind::LongText),
                Item::Marketing => ("WhatsApp marketing consent", CrmKind::Boolean),
                Item::MarketingAt => ("WhatsApp marketing consent since", CrmKind::Moment),
                Item::MarketingSource => ("WhatsApp marketing consent by", CrmKind::Text),
                Item::Transactional => ("WhatsApp service consent", CrmKind::Boolean),
                Item::Label(Label::RefusesMarketing) => ("Refuses WhatsApp marketing", CrmKind::Boolean),
                Item::Label(_) => ("WhatsApp can't be reached", CrmKind::Boolean),
                Item::CreatedAt => ("Known to Ponte since", CrmKind::Moment),
                Item::WhatsappName => ("WhatsApp profile name", CrmKind::Text),
                Item::Field(key) if key == core::LANGUAGE => ("Language", CrmKind::Text),
                Item::Field(key) if key == core::BIRTHDAY => ("Birthday", CrmKind::Date),
                _ => ("Ponte", CrmKind::Text),
            };
            Some(CrmField { label: label.to_owned(), ..CrmField::new(name.clone(), kind) })
        })
        .collect()
}

use Way::{Crm, In, Join, Newest, Out};

const HUBSPOT: &[(&str, &str, Way)] = &[
    ("name", "firstname lastname", Newest),
    ("phone", "phone", Crm),
    ("email", "email", Newest),
    ("company", "company", Newest),
    ("job_title", "jobtitle", Newest),
    ("street", "address", Newest),
    ("city", "city", Newest),
    ("region", "state", Newest),
    ("postal_code", "zip", Newest),
    ("country", "country", Newest),
    ("website", "website", Newest),
    ("language", "ponte_language", Newest),
    ("birthday", "date_of_birth", Newest),
    ("owner", "hubspot_owner_id", In),
    ("lifecycle_stage", "lifecyclestage", In),
    ("lead_status", "hs_lead_status", In),
    ("tags", "ponte_tags", Join),
    ("consent.marketing", "ponte_marketing_consent", Newest),
    ("consent.marketing_at", "ponte_marketing_consent_at", Out),
    ("consent.marketing_source", "ponte_marketing_consent_by", Out),
    ("consent.transactional", "ponte_service_consent", Newest),
    ("label.refuses_marketing", "ponte_refuses_marketing", Newest),
    ("label.unreachable", "ponte_unreachable", Out),
    ("whatsapp_name", "ponte_whatsapp_name", Out),
    ("created_at", "ponte_since", Out),
];

const SALESFORCE: &[(&str, &str, Way)] = &[
    ("name", "FirstName LastName", Newest),
    ("phone", "MobilePhone", Crm),
    ("email", "Email", Newest),
    ("job_title", "Title", Newest),
    ("department", "Department", Newest),
    ("street", "MailingStreet", Newest),
    ("city", "MailingCity", Newest),
    ("region", "MailingState", Newest),
    ("postal_code", "MailingPostalCode", Newest),
    ("country", "MailingCountry", Newest),
    ("birthday", "Birthdate", Newest),
    ("note", "Description", Crm),
    ("lead_source", "LeadSource", In),
    ("owner", "OwnerId", In),
    ("language", "Ponte_Language__c", Newest),
    ("tags", "Ponte_Tags__c", Join),
    ("consent.marketing", "Ponte_Marketing_Consent__c", Newest),
    ("consent.marketing_at", "Ponte_Marketing_Consent_At__c", Out),
    ("consent.marketing_source", "Ponte_Marketing_Consent_By__c", Out),
    ("consent.transactional", "Ponte_Service_Consent__c", Newest),
    ("label.refuses_marketing", "Ponte_Refuses_Marketing__c", Newest),
    ("label.unreachable", "Ponte_Unreachable__c", Out),
    ("whatsapp_name", "Ponte_WhatsApp_Name__c", Out),
    ("created_at", "Ponte_Since__c", Out),
];

const ZOHO: &[(&str, &str, Way)] = &[
    ("name", "First_Name Last_Name", Newest),
    ("phone", "Mobile", Crm),
    ("email", "Email", Newest),
    ("job_title", "Title", Newest),
    ("department", "Department", Newest),
    ("street", "Mailing_Street", Newest),
    ("city", "Mailing_City", Newest),
    ("region", "Mailing_State", Newest),
    ("postal_code", "Mailing_Zip", Newest),
    ("country", "Mailing_Country", Newest),
    ("birthday", "Date_of_Birth", Newest),
    ("note", "Description", Crm),
    ("lead_source", "Lead_Source", In),
    ("owner", "Owner", In),
    ("language", "Ponte_Language", Newest),
    ("tags", "Tag", Join),
    ("consent.marketing", "Ponte_Marketing_Consent", Newest),
    ("consent.marketing_at", "Ponte_Marketing_Consent_At", Out),
    ("consent.marketing_source", "Ponte_Marketing_Consent_By", Out),
    ("consent.transactional", "Ponte_Service_Consent", Newest),
    ("label.refuses_marketing", "Ponte_Refuses_Marketing", Newest),
    ("label.unreachable", "Ponte_Unreachable", Out),
    ("whatsapp_name", "Ponte_WhatsApp_Name", Out),
    ("created_at", "Ponte_Since", Out),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_crm_has_at_least_fifteen_fields_each_once() {
        for product in ["HubSpot", "Salesforce", "Zoho CRM"] {
            let rules = rules(product);
            assert!(rules.len() >= 15, "{product}");
            let items: BTreeSet<String> = rules.iter().map(|r| r.item.to_string()).collect();
            let theirs: BTreeSet<&String> = rules.iter().flat_map(|r| &r.theirs).collect();
            assert_eq!(items.len(), rules.len(), "{product}");
            assert_eq!(theirs.len(), rules.iter().map(|r| r.theirs.len()).sum::<usize>(), "{product}");
            assert!(rules.iter().all(|r| r.direction == Direction::ToCrm || r.item.can_be_pulled()), "{product}");
            assert!(own_fields(product).len() >= 7, "{product}");
        }
    }
}
