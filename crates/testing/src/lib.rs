//! What tests and benches share: a running server, people, stored keys, envelopes that nobody can open, a client that
//! takes anyone. Nothing here may become part of a program that people run.

mod anyone;
pub mod envelopes;
pub mod keys;
pub mod people;
pub mod serving;
pub mod stored_keys;

pub use anyone::client_config;
