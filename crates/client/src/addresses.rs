//! Where a home is reached. Addresses change: a router gives out others, a server moves. The fingerprint does not, so any
//! address may be tried, from whomever it is, and counts once the server there has proved its identity key.

use std::net::IpAddr;

use crate::ClientError;
use crate::connection::{Connection, ServerAddress};
use crate::profile::Profile;
use crate::session::server_information;

/// Most addresses that are remembered of one server; the ones that worked longest ago go.
const MAX_ADDRESSES: usize = 12;

/// Most of those that a server names at a log-in.
const MAX_NAMED: usize = 8;

/// Longest address, in bytes: a DNS name, a colon and a port.
const MAX_ADDRESS_BYTES: usize = 262;

/// Whether an address has the shape `host:port`.
fn is_acceptable(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let has_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
    has_port && !host.is_empty() && address.len() <= MAX_ADDRESS_BYTES && host.chars().all(is_plain)
}

/// What is remembered: the address that works, what the server names, and what was known before.
fn joined(works: &str, named: &[String], known: Vec<String>) -> Vec<String> {
    let named = named.iter().filter(|address| is_acceptable(address)).take(MAX_NAMED).cloned();
    let mut all: Vec<String> = Vec::new();
    for address in std::iter::once(works.to_owned()).chain(named).chain(known) {
        if all.len() < MAX_ADDRESSES && !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

/// Remembers the address at which the first home proved who it is, before all others, and what it names besides.
pub(crate) fn learn(profile: &Profile, works: &str, named: &[String]) -> Result<(), ClientError> {
    let known = profile.server()?.addresses;
    let all = joined(works, named, known.clone());
    if all == known { Ok(()) } else { profile.set("addresses", &all) }
}

/// Takes an address of the first home that somebody says, if the server there proves that it is this home.
///
/// # Errors
/// [`ClientError::Unreachable`], or [`ClientError::WrongServer`] when another server answers there.
pub async fn take(profile: &Profile, address: &str, language: &str) -> Result<(), ClientError> {
    let server =
        ServerAddress { addresses: vec![address.to_owned()], fingerprint: profile.server()?.fingerprint };
    server_information(&mut Connection::new(&profile.platform, server, language)).await?;
    learn(profile, address, &[])
}

/// Looks for the first home in the local network, if that is where it was; `None` when it is not found.
pub(crate) async fn find_again(profile: &Profile) -> Result<Option<ServerAddress>, ClientError> {
    let known = profile.server()?;
    let Some(finder) = profile.finder.clone().filter(|_| known.addresses.iter().any(|a| is_near(a))) else {
        return Ok(None);
    };
    let mut addresses = finder.find(known.fingerprint).await;
    addresses.retain(|address| is_acceptable(address) && !known.addresses.contains(address));
    addresses.truncate(MAX_NAMED);
    let found = ServerAddress { addresses, fingerprint: known.fingerprint };
    Ok(Some(found).filter(|found| !found.addresses.is_empty()))
}

/// Whether an address is one of a local network.
fn is_near(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => v4.is_private() || v4.is_link_local(),
        Ok(IpAddr::V6(v6)) => v6.is_unique_local() || v6.is_unicast_link_local(),
        Err(_) => host.ends_with(".local"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(addresses: &[&str]) -> Vec<String> {
        addresses.iter().map(|address| (*address).to_owned()).collect()
    }

    #[test]
    fn what_works_comes_first_and_a_server_that_names_much_pushes_nothing_out() {
        let known = owned(&["10.0.0.7:4710", "schule.local:4710"]);
        let named = owned(&["10.0.0.9:4710", "chat.schule.de:4710", "kein Name:1", "x:0", "ohne-port"]);
        let all = joined("10.0.0.9:4710", &named, known.clone());
        assert_eq!(all, ["10.0.0.9:4710", "chat.schule.de:4710", "10.0.0.7:4710", "schule.local:4710"]);
        assert_eq!(joined("10.0.0.7:4710", &[], known.clone()), known);
        let many: Vec<String> = (0..100).map(|number| format!("host-{number}:1")).collect();
        let all = joined("10.0.0.9:4710", &many, known.clone());
        assert_eq!(all.len(), 1 + MAX_NAMED + known.len());
        assert_eq!(joined("a:1", &many, many[50..].to_vec()).len(), MAX_ADDRESSES);
    }

    #[test]
    fn only_a_server_of_the_local_network_is_looked_for_there() {
        for near in ["192.168.1.9:4710", "10.0.0.1:1", "[fd00::7]:4710", "schule.local:4710"] {
            assert!(is_near(near), "{near}");
        }
        for far in ["chat.schule.de:4710", "127.0.0.1:4710", "[::1]:4710", "203.0.113.7:4710"] {
            assert!(!is_near(far), "{far}");
        }
    }
}
