//! The use cases, shared by the HTTP API, the admin socket and the command line.
//!
//! Free functions taking `&App`; the only callers of the store. What may not enter: HTTP, sockets, SQL.

pub mod accounts;
pub mod acme;
pub mod activity;
pub mod admin_error;
pub mod administration;
pub mod audit;
pub mod backup;
pub mod blobs;
pub mod blocks;
pub mod certificates;
pub mod classes;
pub mod delivery;
mod device_cookie;
pub mod device_links;
pub mod devices;
mod documents;
pub mod error;
pub mod groups;
pub mod import;
pub mod key_backup;
pub mod key_log;
pub mod key_server;
pub mod link_address;
pub mod listeners;
pub mod login;
pub mod metrics;
pub mod naming;
pub mod neighbours;
pub mod overview;
pub mod ozone;
pub mod people;
pub mod permission;
pub mod personal;
pub mod published_keys;
mod recipients;
pub mod refusal;
pub mod registration;
pub mod reports;
pub mod restored;
pub mod rules;
pub mod second_home;
mod senders;
pub mod set_up;
pub mod smoke;
pub mod status;
pub mod upkeep;

pub use admin_error::AdminError;
pub use error::ServiceError;
