//! # Contacts
//! Purpose: lists of people in files, and the database: reading, normalising, staging, applying with progress.
//! May touch: the files it is given, temporary files, the `People` port.
//! Must not touch: SQL; what is a duplicate and what survives a merge.
//! Failure story: a run that is killed goes on where its last batch was committed when the same file is imported again the same
//! way. Rejected rows are written again from the start, which gives the same file.

pub mod export;
pub mod from_crm;
pub mod import;
pub mod normalise;
pub mod report;
pub mod stage;
