//! The use cases, shared by the HTTP API, the admin socket and the command line.
//!
//! Free functions taking `&App`; the only callers of the store. What may not enter: HTTP, sockets, SQL.

pub mod administration;
pub mod backup;
pub mod delivery;
pub mod devices;
pub mod error;
pub mod key_server;
pub mod login;
pub mod ozone;
pub mod registration;
pub mod upkeep;

pub use error::ServiceError;
