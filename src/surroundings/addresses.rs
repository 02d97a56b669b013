//! This machine's names and addresses: for certificates, and for the links people get.

use std::net::{IpAddr, SocketAddr};

use if_addrs::IfAddr;

use super::interfaces;
use crate::settings::config::Config;

/// The machine's host name, if it is one that certificates can carry.
pub fn host_name() -> Option<String> {
    let name = gethostname::gethostname().to_str()?.trim_end_matches('.').to_ascii_lowercase();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let acceptable = !name.is_empty() && name.len() < 200 && name.chars().all(is_plain);
    (acceptable && name.parse::<IpAddr>().is_err()).then_some(name)
}

/// Every name the certificate carries: configured ones, the host name, its `.local` name, localhost.
pub fn names(config: &Config) -> Vec<String> {
    let configured = config
        .server
        .addresses
        .iter()
        .filter(|a| a.parse::<IpAddr>().is_err())
        .map(|a| a.to_ascii_lowercase());
    let mut names: Vec<String> = configured.collect();
    if let Some(host) = host_name() {
        let first = host.split('.').next().unwrap_or(&host);
        names.push(format!("{first}.local"));
        names.push(host);
    }
    names.push("localhost".into());
    names.sort();
    names.dedup();
    names
}

/// Every address the certificate carries: configured ones, and those of all interfaces but public IPv6
/// ones, which change every day for privacy and would need a new certificate each time.
pub fn ip_addresses(config: &Config) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> =
        config.server.addresses.iter().filter_map(|address| address.parse().ok()).collect();
    let lasting = |ip: &IpAddr| ip.is_ipv4() || crate::tls::is_private(*ip);
    addresses.extend(interface_addresses().into_iter().filter(lasting));
    addresses.push(IpAddr::from([127, 0, 0, 1]));
    addresses.push(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Whether an address is in a network that this machine has an address in, loopback aside.
pub fn is_in_own_network(address: IpAddr) -> bool {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.into_iter().filter(|interface| !interface.is_loopback()).any(|interface| {
        match (interface.addr, address) {
            (IfAddr::V4(own), IpAddr::V4(other)) => {
                (own.ip.to_bits() ^ other.to_bits()) & own.netmask.to_bits() == 0
            }
            (IfAddr::V6(own), IpAddr::V6(other)) => {
                (own.ip.to_bits() ^ other.to_bits()) & own.netmask.to_bits() == 0
            }
            _ => false,
        }
    })
}

/// Every address at which this server's listeners are reached: one that listens everywhere is reached at all of the
/// machine's.
pub fn listened_on(listeners: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    for listener in listeners {
        if listener.ip().is_unspecified() {
            all.extend(interface_addresses().into_iter().map(|ip| SocketAddr::new(ip, listener.port())));
        } else {
            all.push(*listener);
        }
    }
    all
}

/// Most addresses a client is told.
const MAX_TOLD: usize = 8;

/// `host:port` of everything a client may try: what is configured, the addresses of this machine that last, its `.local`
/// name; nothing while only this machine is listened to.
pub fn reachable(config: &Config, listeners: &[SocketAddr]) -> Vec<String> {
    let port = listeners.first().map_or(4710, SocketAddr::port);
    if listeners.iter().all(|listener| listener.ip().is_loopback()) {
        return Vec::new();
    }
    let configured = config.server.addresses.iter().map(|address| match address.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{address}:{port}"),
    });
    let mut all: Vec<String> = configured.collect();
    let leads_here = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(_) => crate::tls::is_private(ip) && !interfaces::is_of_link(ip),
    };
    let own = listened_on(listeners).into_iter().filter(|address| leads_here(address.ip()));
    all.extend(own.map(|address| address.to_string()));
    if let Some(host) = host_name() {
        all.push(format!("{}.local:{port}", host.split('.').next().unwrap_or(&host)));
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|address| seen.insert(address.clone()));
    all.truncate(MAX_TOLD);
    all
}

/// Those that others are likely to reach first.
fn interface_addresses() -> Vec<IpAddr> {
    interfaces::all().into_iter().map(|interface| interface.ip).collect()
}

/// `host:port` for invite links: a listener's specific address, else what is configured, else the address
/// of this machine in the local network, else its `.local` name.
pub fn for_links(config: &Config, listeners: &[SocketAddr]) -> String {
    if let Some(specific) = listeners.iter().find(|listener| !listener.ip().is_unspecified()) {
        return specific.to_string();
    }
    let port = listeners.first().map_or(4710, SocketAddr::port);
    if let Some(configured) = config.server.addresses.first() {
        return match configured.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, port).to_string(),
            Err(_) => format!("{configured}:{port}"),
        };
    }
    let in_network = interface_addresses().into_iter().find(|ip| match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(_) => false,
    });
    match (in_network, host_name()) {
        (Some(ip), _) => SocketAddr::new(ip, port).to_string(),
        (None, Some(host)) => format!("{}.local:{port}", host.split('.').next().unwrap_or(&host)),
        (None, None) => format!("localhost:{port}"),
    }
}
