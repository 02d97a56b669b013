//! momedo: a messenger server for schools and towns, in one program and one file.
//!
//! | module | responsible for |
//! |---|---|
//! | [`cli`] | the command line, one file per command |
//! | [`server`], [`tls`] | accept, recognise the protocol, serve, drain |
//! | [`acme`] | ordering certificates from a public authority |
//! | [`http`] | the public API, one of the doors |
//! | [`admin`], [`local_pages`] | the admin pages, another; on loopback after a double-click |
//! | [`smoke`] | the Smoke app and its servers, another |
//! | [`neighbours`], [`links`], [`nearby`] | the federation link; which neighbours are connected, and who is in the local network |
//! | [`control`] | the socket for `momedo admin`, another door |
//! | [`service`] | the use cases behind all doors |
//! | [`state`] | what a use case may need |
//! | [`store`] | SQLite, and nothing else knows it |
//! | [`hub`], [`smoke_hub`], [`key_log`], [`sessions`], [`staff_sessions`], [`rates`], [`pending_bundles`], [`previews`], [`activity`], [`uploads`] | who is connected, logged in, and how often: in memory |
//! | [`listening`] | the listeners that run |
//! | [`domain`] | rules without I/O |
//! | [`settings`], [`config`] | every setting, declared once; reading them |
//! | [`clock`], [`addresses`], [`data_directory`], [`autostart`] | the surroundings |
//! | `texts` | what is said to people, in German and English |
//!
//! Arrows go one way: `cli → server, tasks → http, control → service → state → store, hub → domain →
//! momedo-protocol`.

// They panic when nobody takes what they print; `cli::output` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod acme;
pub mod activity;
pub mod addresses;
pub mod admin;
pub mod autostart;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod data_directory;
pub mod device_links;
pub mod dialling;
pub mod domain;
pub mod exports;
pub mod http;
pub mod hub;
pub mod key_log;
pub mod links;
pub mod listening;
pub mod local_pages;
pub mod logging;
pub mod login_nonces;
pub mod memory;
pub mod nearby;
pub mod neighbours;
pub mod pending_bundles;
pub mod previews;
pub mod rates;
pub mod running;
pub mod server;
pub mod service;
pub mod sessions;
pub mod settings;
pub mod shutdown;
pub mod smoke;
pub mod smoke_hub;
pub mod staff_sessions;
pub mod state;
pub mod store;
pub mod tasks;
mod texts;
pub mod tls;
pub mod uploads;
