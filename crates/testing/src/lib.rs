//! What tests and benches share. Nothing here may become part of a program that people run.

mod anyone;

pub use anyone::client_config;
