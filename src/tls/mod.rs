//! TLS: the server's own authority, its certificates, and which of them a connection gets.
//!
//! The authority's key *is* the server's identity key; its fingerprint is what invite links pin. It never
//! changes. Everything else here may be issued anew at any time, except the certificate for clients
//! without ALPN, which Smoke clients pin byte for byte and for ever.
//!
//! # Failure
//! An own certificate that cannot be read stops the start with its file's name; one that breaks later
//! leaves the last good one in force.

mod authority;
mod certificates;
mod challenges;
pub mod door;
mod neighbour;
mod own_check;
pub(crate) mod patient;

pub(crate) use authority::is_private;
pub use authority::{AuthorityError, Identity, LeafWindow, Names};
pub use certificates::{Certificates, CertificatesError, InForce, Origin, Reload, examine};
pub use challenges::{ACME_ALPN, ACME_PATH, Challenges, Expected};
pub use neighbour::{LinkIdentity, is_wrong_identity, proved_key};
pub(crate) use own_check::{CertificateCheck, OwnVerifier};
