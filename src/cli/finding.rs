//! Looks in the local network for a server whose address changed.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use momedo_client::platform::finding::Finder;
use momedo_protocol::digest::Fingerprint;

use crate::neighbours::nearby;

/// How long servers nearby may take to answer.
const TIME: Duration = Duration::from_secs(3);

/// DNS-SD over multicast DNS.
pub(super) struct LocalNetwork;

impl Finder for LocalNetwork {
    fn find(&self, server: Fingerprint) -> BoxFuture<'_, Vec<String>> {
        async move {
            note!("{}", words!("finding.looking"));
            nearby::look_for(server, TIME).await
        }
        .boxed()
    }
}
