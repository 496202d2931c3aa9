//! The CRMs, one folder each, behind the port `ponte_domain::ports::crm::Crm`.
//! May touch: the egress door (`ponte-net`); the `sql` folder also a business's own database. Must not touch: the store, the engine, one
//! CRM from another's folder.
//! Failure story: each connector says per row what happened and whether it is safe to try again; nothing is retried here.

#![allow(clippy::result_large_err, reason = "the port's error says much and is made once per failed call")]

mod adopting;
pub mod described;
pub mod grant;
pub mod http;
pub mod hubspot;
pub mod keeper;
mod pace;
mod percent;
pub mod phone;
mod rows;
pub mod salesforce;
mod secret;
pub mod sql;
pub mod zoho;

pub use self::http::{Http, HttpConfig};
pub use hubspot::{HubSpot, HubSpotAuth, HubSpotConfig};
pub use salesforce::{Salesforce, SalesforceAuth, SalesforceConfig};
pub use sql::{Sql, SqlConfig};
pub use zoho::{Zoho, ZohoConfig};
