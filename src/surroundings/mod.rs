//! The machine the program runs on: its clock, addresses and folders, starting with it, dialling from it, and the log.

pub mod addresses;
pub mod autostart;
pub mod clock;
pub mod data_directory;
pub mod dialling;
pub mod interfaces;
pub mod log_file;
pub mod logging;
pub mod privacy;
