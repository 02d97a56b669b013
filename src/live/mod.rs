//! What is in memory alone while the server runs: who is connected and logged in, how often they may, and what is under
//! way: listeners, uploads, the stop. Nothing here survives a restart, and nothing here reads the store.

pub mod activity;
pub mod counts;
pub mod device_links;
pub mod exports;
pub mod half_log_ins;
pub mod hub;
pub mod key_log;
pub mod listening;
pub mod login_nonces;
pub mod memory;
pub mod nearby;
pub mod pending_bundles;
pub mod previews;
pub mod printed;
pub mod rates;
pub mod sessions;
pub mod shutdown;
pub mod staff_sessions;
pub mod uploads;
