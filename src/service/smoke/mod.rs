//! The Smoke gateway's use cases: who takes part, ozones, keys, mail, listeners and neighbours.
//!
//! The gateway itself (`crate::smoke`) reads and writes frames and asks here; the pages and the command line
//! ask the same functions. What is kept is on disk before anybody is told.

pub mod directory;
pub mod error;
pub mod keys;
pub mod listeners;
pub mod mail;
pub mod neighbours;
pub mod ozones;
pub mod participants;

pub use error::SmokeError;
