//! Looking for a server whose address is not known any more.

use futures_util::future::BoxFuture;
use momedo_protocol::digest::Fingerprint;

/// Looks for a server near this device, such as by DNS-SD in the local network.
pub trait Finder: Send + Sync {
    /// Addresses (`host:port`) of servers that claim this fingerprint; nothing of it is proved.
    fn find(&self, server: Fingerprint) -> BoxFuture<'_, Vec<String>>;
}
