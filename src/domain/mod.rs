//! The server's rules: pure, without tokio, SQLite, axum, clock or randomness of their own.

pub mod backup;
pub mod blobs;
pub mod calendar;
pub mod class_list;
pub mod delivery;
pub mod dialling;
pub mod folding;
pub mod group;
pub mod host;
pub mod limits;
pub mod neighbour;
pub mod ozone;
pub mod password;
pub mod patience;
pub mod person_name;
pub mod proxy;
pub mod range;
pub mod rate;
pub mod receipt;
pub mod renewal;
pub mod role;
pub mod security_contact;
pub mod smoke;
pub mod turns;
