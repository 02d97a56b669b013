//! Which of this machine's addresses others are likely to reach: what a cable or a radio has before what a virtual
//! machine, a container or a VPN has.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// What an address belongs to, likeliest to be reached by a phone first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A network by cable or radio.
    Network,
    /// A VPN: whoever is in it reaches it.
    Vpn,
    /// Containers and virtual machines of this machine: nobody else reaches it.
    Virtual,
    /// This machine alone.
    Loopback,
}

/// An address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// What the operating system calls where it is.
    pub name: String,
    /// The address.
    pub ip: IpAddr,
    /// What it belongs to.
    pub kind: Kind,
}

/// What interfaces of VPNs are called, in lower case: how the name begins.
const VPN: [&str; 12] =
    ["tun", "tap", "wg", "utun", "ppp", "tailscale", "zt", "ipsec", "nebula", "wireguard", "openvpn", "vpn"];

/// What interfaces of containers and virtual machines are called, in lower case: how the name begins.
const VIRTUAL: [&str; 22] = [
    "docker",
    "br-",
    "veth",
    "virbr",
    "vboxnet",
    "vmnet",
    "lxc",
    "lxd",
    "incus",
    "podman",
    "cni",
    "flannel",
    "cali",
    "kube",
    "vnet",
    "bridge1",
    "vethernet",
    "virtualbox",
    "vmware",
    "hyper-v",
    "dummy",
    "nerdctl",
];

/// What an address belongs to, by what its interface is called.
pub fn kind_of(name: &str, ip: IpAddr) -> Kind {
    let name = name.to_lowercase();
    let begins = |names: &[&str]| names.iter().any(|known| name.starts_with(known));
    // Carrier-grade NAT's addresses, in a school, are those of Tailscale and its kind.
    let is_shared = |ip: Ipv4Addr| ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
    if ip.is_loopback() {
        Kind::Loopback
    } else if begins(&VIRTUAL) || name.contains("virtual") {
        Kind::Virtual
    } else if begins(&VPN) || name.contains("vpn") || matches!(ip, IpAddr::V4(ip) if is_shared(ip)) {
        Kind::Vpn
    } else {
        Kind::Network
    }
}

/// Whether an address counts on one line alone: nobody types which.
pub fn is_of_link(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// This machine's addresses, likeliest to be reached first.
pub fn all() -> Vec<Interface> {
    let found = if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|interface| {
        let ip = interface.ip();
        Interface { kind: kind_of(&interface.name, ip), name: interface.name, ip }
    });
    ordered(found.collect(), way_out())
}

/// The order: by kind, those of one line alone last, IPv4 before IPv6, where the way out of the network begins first;
/// otherwise as the operating system has them.
fn ordered(mut found: Vec<Interface>, way_out: Option<IpAddr>) -> Vec<Interface> {
    found.sort_by_key(|at| (at.kind, is_of_link(at.ip), at.ip.is_ipv6(), Some(at.ip) != way_out));
    found
}

/// The address with which this machine would leave its network. Nothing is sent: connecting a UDP socket only asks the
/// operating system for a way. The address asked about is one for documentation (RFC 5737).
fn way_out() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address: SocketAddr| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, ip: &str) -> Interface {
        let ip = ip.parse().unwrap();
        Interface { name: name.into(), ip, kind: kind_of(name, ip) }
    }

    #[test]
    fn what_others_reach_stands_before_containers_and_vpns() {
        let found = vec![
            at("lo", "127.0.0.1"),
            at("docker0", "172.17.0.1"),
            at("br-5f3a2b", "172.18.0.1"),
            at("tun0", "10.8.0.6"),
            at("tailscale0", "100.101.2.3"),
            at("eth1", "169.254.7.7"),
            at("wlan0", "192.168.178.20"),
            at("enp3s0", "10.20.1.5"),
            at("enp3s0", "fd00::5"),
        ];
        let names = |way_out: Option<&str>| {
            ordered(found.clone(), way_out.map(|ip| ip.parse().unwrap()))
                .into_iter()
                .map(|at| at.ip.to_string())
                .collect::<Vec<_>>()
        };
        let first = names(Some("10.20.1.5"));
        assert_eq!(first[..4], ["10.20.1.5", "192.168.178.20", "fd00::5", "169.254.7.7"]);
        assert_eq!(first[4..], ["10.8.0.6", "100.101.2.3", "172.17.0.1", "172.18.0.1", "127.0.0.1"]);
        // Where all of the traffic goes through a VPN, phones still are in the house.
        assert_eq!(names(Some("10.8.0.6"))[0], "192.168.178.20");
        assert_eq!(names(None)[0], "192.168.178.20");
    }

    #[test]
    fn interfaces_are_known_by_what_systems_call_them() {
        for (name, kind) in [
            ("vEthernet (WSL (Hyper-V firewall))", Kind::Virtual),
            ("VirtualBox Host-Only Network", Kind::Virtual),
            ("VMware Network Adapter VMnet8", Kind::Virtual),
            ("bridge100", Kind::Virtual),
            ("utun4", Kind::Vpn),
            ("Schul-VPN", Kind::Vpn),
            ("WLAN", Kind::Network),
            ("Ethernet 2", Kind::Network),
            ("en0", Kind::Network),
            ("br0", Kind::Network),
        ] {
            assert_eq!(kind_of(name, "192.168.1.2".parse().unwrap()), kind, "{name}");
        }
        assert_eq!(kind_of("eth0", "100.64.0.1".parse().unwrap()), Kind::Vpn);
        assert_eq!(kind_of("eth0", "100.128.0.1".parse().unwrap()), Kind::Network);
    }
}
