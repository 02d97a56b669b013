//! momedo: a messenger server for schools and towns, in one program and one file.
//!
//! | room | responsible for |
//! |---|---|
//! | [`cli`] | the command line, one file per command |
//! | [`server`], [`tls`] | accept, recognise the protocol, serve, drain; listeners, what runs beside them, starting and stopping |
//! | [`acme`] | ordering certificates from a public authority |
//! | [`http`] | the public API, one of the doors |
//! | [`admin`] | the admin pages, another |
//! | [`smoke`], [`smoke_hub`] | the Smoke app and its servers, another; whom frames are passed on to |
//! | [`neighbours`], [`links`] | the federation link, another; which neighbours are connected |
//! | [`control`] | the socket for `momedo admin`, another |
//! | [`service`] | the use cases behind all doors |
//! | [`state`] | what a use case may need |
//! | [`store`] | SQLite, and nothing else knows it |
//! | [`live`] | who is connected, logged in, and how often; what is under way: in memory |
//! | [`domain`] | rules without I/O |
//! | [`settings`] | every setting, declared once; reading them |
//! | [`surroundings`] | clock, addresses, folders, autostart, the log |
//! | `texts` | what is said to people, in German and English |
//!
//! Arrows go one way: `cli → server → http, admin, neighbours, smoke, control → service → state → store, live, links → domain →
//! momedo-protocol`. `tests/it/rooms.rs` keeps them.

// They panic when nobody takes what they print; `cli::output` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod acme;
pub mod admin;
pub mod cli;
pub mod control;
pub mod domain;
pub mod http;
pub mod links;
pub mod live;
pub mod neighbours;
pub mod server;
pub mod service;
pub mod settings;
pub mod smoke;
pub mod smoke_hub;
pub mod state;
pub mod store;
pub mod surroundings;
#[cfg(test)]
mod testing;
mod texts;
pub mod tls;
