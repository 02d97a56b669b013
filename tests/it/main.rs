//! Black-box tests: the real program on a free port with a temporary data directory, over real TLS.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

mod acme;
mod across;
mod admin_attacks;
mod admin_pages;
mod authority;
mod autostart;
mod backup;
mod blob_memory;
mod blobs;
mod broken_line;
mod browser;
mod certificates;
mod crash;
mod delivery;
mod door;
mod examples;
mod expiry;
mod faults;
#[cfg(unix)]
mod first_run;
mod group_limits;
mod groups;
mod hostile_neighbour;
mod key_backup;
mod key_log;
mod kinds;
mod line;
mod linking;
mod login;
mod manners;
mod member_keys;
mod nearby;
mod neighbour_pages;
mod neighbours;
mod openapi;
mod own_network;
mod people;
mod personal;
mod proxies;
mod raw;
mod receiving;
mod registration;
mod restoring;
mod revoking;
mod smoke;
mod smoke_client;
mod smoke_pages;
mod smoke_vectors;
mod start;
mod stream;
mod tour;
mod visitor;
mod withdrawing;
