//! Which addresses this server dials that somebody else named: a pairing link, a neighbour's greeting, an announcement in
//! the local network, DNS, a public authority.
//!
//! Whoever names an address could make the server knock at doors that only it can reach: services of its own machine,
//! the address where clouds hand out secrets (169.254.169.254), itself. So those are never dialled, unless an admin
//! wrote that very address into momedo.toml (`neighbours.dial_also`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Ports below this one belong to other services, but for that of HTTPS.
const FIRST_PORT: u16 = 1024;

/// The one that firewalls let through.
const HTTPS_PORT: u16 = 443;

/// Why an address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDialled {
    /// Neither 443 nor one from 1024 on.
    #[error("no server is dialled at this port: it is 443, or one from 1024 on")]
    Port,
    /// It names no single machine.
    #[error("this is not the address of one machine")]
    NoMachine,
    /// Loopback or link-local.
    #[error(
        "this address leads to this machine alone, or no farther than its cable; if it is meant, name it in neighbours.dial_also in momedo.toml"
    )]
    TooNear,
    /// Where this server itself listens.
    #[error("this server itself listens there")]
    Own,
}

fn is_too_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

fn is_no_machine(ip: IpAddr) -> bool {
    match ip {
        // All of 0.0.0.0/8: some systems take 0.0.0.0 for themselves.
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_multicast() || v4.is_broadcast(),
        // With the addresses of IPv4 written into the last four bytes.
        IpAddr::V6(v6) => v6.is_multicast() || (v6 != Ipv6Addr::LOCALHOST && v6.segments()[..6] == [0; 6]),
    }
}

/// Whether an address leads to a machine that may be reached, whatever the port; `also` are those an admin allowed by hand.
///
/// # Errors
/// [`NotDialled`] says why not.
pub fn may_reach(ip: IpAddr, also: &[IpAddr]) -> Result<(), NotDialled> {
    let ip = ip.to_canonical();
    if is_no_machine(ip) {
        return Err(NotDialled::NoMachine);
    }
    if is_too_near(ip) && !also.iter().any(|allowed| allowed.to_canonical() == ip) {
        return Err(NotDialled::TooNear);
    }
    Ok(())
}

/// Whether an address is dialled that somebody else named; `also` are those an admin allowed by hand, `own` where this
/// server listens.
///
/// # Errors
/// [`NotDialled`] says why not.
pub fn may_dial(address: SocketAddr, also: &[IpAddr], own: &[SocketAddr]) -> Result<(), NotDialled> {
    let (ip, port) = (address.ip().to_canonical(), address.port());
    if port != HTTPS_PORT && port < FIRST_PORT {
        return Err(NotDialled::Port);
    }
    may_reach(ip, also)?;
    if own.iter().any(|own| own.port() == port && own.ip().to_canonical() == ip) {
        return Err(NotDialled::Own);
    }
    Ok(())
}

/// Reads `host:port`: the host without brackets, and the port.
pub fn parts(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok()?))
}

/// Whether a host is named as this machine, and not by an address.
pub fn is_this_machine(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether `host:port` may be dialled as far as it can be said before a name is looked up: whoever looks it up, a proxy
/// for example, has to look at what comes of it, too.
///
/// # Errors
/// [`NotDialled`] says why not.
pub fn may_dial_named(address: &str, also: &[IpAddr], own: &[SocketAddr]) -> Result<(), NotDialled> {
    let Some((host, port)) = parts(address) else { return Err(NotDialled::Port) };
    if let Ok(ip) = host.parse() {
        return may_dial(SocketAddr::new(ip, port), also, own);
    }
    if is_this_machine(host) {
        return may_dial(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), also, own);
    }
    // What looks like an address in another notation (0x7f.1, 2130706433) is none to us, but may be one to a resolver.
    let is_number = |part: &str| part.starts_with("0x") || part.bytes().all(|digit| digit.is_ascii_digit());
    if host.trim_end_matches('.').to_ascii_lowercase().split('.').all(is_number) {
        return Err(NotDialled::NoMachine);
    }
    may_dial(SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), port), also, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(address: &str) -> Result<(), NotDialled> {
        let own: [SocketAddr; 2] = ["192.168.1.5:4710".parse().unwrap(), "127.0.0.9:4710".parse().unwrap()];
        may_dial(address.parse().unwrap(), &["127.0.0.9".parse().unwrap()], &own)
    }

    #[test]
    fn only_addresses_of_other_machines_are_dialled() {
        for address in
            ["192.168.1.6:4710", "203.0.113.9:443", "[2001:db8::1]:4710", "[fd00::1]:1024", "10.0.0.1:65535"]
        {
            assert_eq!(dial(address), Ok(()), "{address}");
        }
        for address in [
            "127.0.0.1:4710",
            "127.255.255.254:4710",
            "[::1]:4710",
            "[::ffff:127.0.0.1]:4710",
            "169.254.169.254:4710",
            "[fe80::1]:4710",
            "[::ffff:169.254.169.254]:4710",
        ] {
            assert_eq!(dial(address), Err(NotDialled::TooNear), "{address}");
        }
        for address in [
            "0.0.0.0:4710",
            "0.1.2.3:4710",
            "[::]:4710",
            "[::7f00:1]:4710",
            "224.0.0.251:5353",
            "255.255.255.255:4710",
            "[ff02::fb]:5353",
        ] {
            assert_eq!(dial(address), Err(NotDialled::NoMachine), "{address}");
        }
        for address in ["203.0.113.9:0", "203.0.113.9:22", "203.0.113.9:25", "203.0.113.9:1023"] {
            assert_eq!(dial(address), Err(NotDialled::Port), "{address}");
        }
        assert_eq!(dial("192.168.1.5:4710"), Err(NotDialled::Own));
        assert_eq!(dial("[::ffff:192.168.1.5]:4710"), Err(NotDialled::Own));
        assert_eq!(dial("192.168.1.5:4711"), Ok(()));
        // Allowed by hand, and still not itself.
        assert_eq!(dial("127.0.0.9:4711"), Ok(()));
        assert_eq!(dial("127.0.0.9:4710"), Err(NotDialled::Own));
    }

    #[test]
    fn names_for_this_machine_are_known_without_looking_them_up() {
        for address in
            ["localhost:4710", "LOCALHOST.:4710", "evil.localhost:4710", "127.0.0.1:4710", "[::1]:4710"]
        {
            assert_eq!(may_dial_named(address, &[], &[]), Err(NotDialled::TooNear), "{address}");
        }
        for address in ["2130706433:4710", "0x7f.1:4710", "127.1:4710", "0177.0.0.1:4710"] {
            assert_eq!(may_dial_named(address, &[], &[]), Err(NotDialled::NoMachine), "{address}");
        }
        for address in ["schule.example:22", "schule.example", "schule.example:x"] {
            assert_eq!(may_dial_named(address, &[], &[]), Err(NotDialled::Port), "{address}");
        }
        for address in ["schule.example:4710", "anna.local:4710", "10.0.0.7:4710", "[fd00::1]:443"] {
            assert_eq!(may_dial_named(address, &[], &[]), Ok(()), "{address}");
        }
        assert_eq!(may_dial_named("localhost:4710", &["127.0.0.1".parse().unwrap()], &[]), Ok(()));
    }
}
