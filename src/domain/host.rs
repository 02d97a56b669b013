//! Host names and addresses as people type them, made into what certificates, links and the resolver take.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Longest text that is looked at, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// Where a server is, as typed: `chat.schule.de`, `https://chat.schule-möhnesee.de/`, `192.168.1.9:4710`, `[fd00::1]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedHost {
    /// An IP address, or a name in its ASCII form (IDNA: UTS #46, RFC 5891), lower case, without a dot at its end.
    pub host: String,
    /// The port, if one was typed.
    pub port: Option<u16>,
}

/// The text names no host that a certificate could carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither a host name nor an IP address")]
pub struct HostError;

impl fmt::Display for TypedHost {
    /// `host` or `host:port`, IPv6 in brackets where a port follows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str(&self.host),
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

impl FromStr for TypedHost {
    type Err = HostError;

    /// Reads a host, also out of an address as a browser shows it; what follows the host is not kept.
    ///
    /// # Errors
    /// [`HostError`], also for addresses that nobody can be reached at, such as `0.0.0.0`.
    fn from_str(text: &str) -> Result<Self, HostError> {
        let text = text.trim();
        if text.len() > MAX_TEXT_BYTES {
            return Err(HostError);
        }
        if let Ok(ip) = text.parse() {
            return of_ip(ip, None);
        }
        let text = match text.split_once("://") {
            Some((scheme, rest)) if ["https", "http"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) => rest,
            Some(_) => return Err(HostError),
            None => text,
        };
        let text = text.split(['/', '?', '#']).next().unwrap_or(text);
        if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or(HostError)?;
            let ip: Ipv6Addr = host.parse().map_err(|_| HostError)?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(HostError)?) };
            return of_ip(ip.into(), port.map(port_of).transpose()?);
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port_of(port)?)),
            None => (text, None),
        };
        match host.parse() {
            Ok(ip) => of_ip(ip, port),
            Err(_) => Ok(Self { host: name(host)?, port }),
        }
    }
}

fn port_of(text: &str) -> Result<u16, HostError> {
    text.parse().ok().filter(|port| *port != 0).ok_or(HostError)
}

fn of_ip(ip: IpAddr, port: Option<u16>) -> Result<TypedHost, HostError> {
    if ip.is_unspecified() || ip.is_multicast() {
        return Err(HostError);
    }
    Ok(TypedHost { host: ip.to_string(), port })
}

fn name(text: &str) -> Result<String, HostError> {
    let text = text.strip_suffix(['.', '。']).unwrap_or(text);
    let ascii = Uts46::new()
        .to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .map_err(|_| HostError)?;
    // Whatever ends in a number is read as an IPv4 address by browsers (WHATWG URL, 3.5), and this is none.
    let last = ascii.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit()));
    if hexadecimal || last.chars().all(|c| c.is_ascii_digit()) {
        return Err(HostError);
    }
    Ok(ascii.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_understood_as_people_type_them() {
        for (typed, host, port) in [
            ("chat.schule.de", "chat.schule.de", None),
            (" Chat.Schule.DE. ", "chat.schule.de", None),
            ("chat.schule-möhnesee.de", "chat.xn--schule-mhnesee-2pb.de", None),
            ("chat.schule-mo\u{308}hnesee.de", "chat.xn--schule-mhnesee-2pb.de", None),
            ("STRASSE.Straße.example", "strasse.xn--strae-oqa.example", None),
            ("https://chat.schule.de", "chat.schule.de", None),
            ("HTTPS://chat.schule.de/admin?x=1#top", "chat.schule.de", None),
            ("chat.schule.de:4710", "chat.schule.de", Some(4710)),
            ("https://chat.schule.de:8443/", "chat.schule.de", Some(8443)),
            ("192.168.1.9", "192.168.1.9", None),
            ("192.168.1.9:4710", "192.168.1.9", Some(4710)),
            ("fd00::1", "fd00::1", None),
            ("[FD00:0:0::1]:4710", "fd00::1", Some(4710)),
            ("https://[fd00::1]/", "fd00::1", None),
            ("localhost", "localhost", None),
            ("schulserver", "schulserver", None),
        ] {
            let read: TypedHost = typed.parse().unwrap_or_else(|_| panic!("{typed}"));
            assert_eq!((read.host.as_str(), read.port), (host, port), "{typed}");
            assert_eq!(read.to_string().parse(), Ok(read), "{typed}");
        }
    }

    #[test]
    fn what_no_certificate_can_carry_is_refused() {
        let long = format!("{}.de", "x".repeat(64));
        let longer = vec!["abcdefgh"; 40].join(".");
        let huge = "x".repeat(1 << 20);
        for typed in [
            "",
            " ",
            ".",
            "a..b",
            ".a",
            "192.168.1.999",
            "1.2.3",
            "256.1.1.1",
            "127.1",
            "0x7f.0x1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "[::1",
            "[::1]4710",
            "::1]",
            "[1.2.3.4]",
            "a:0",
            "a:70000",
            "a:",
            "a:b",
            "a b",
            "a_b.de",
            "-a.de",
            "a-.de",
            "ftp://a.de",
            "user@a.de",
            "https://",
            "https:///x",
            "a\u{0}b",
            "xn--\u{fc}.de",
            "xn--a.de",
            "a,b",
            "ä".repeat(64).as_str(),
            &long,
            &longer,
            &huge,
        ] {
            assert_eq!(typed.parse::<TypedHost>(), Err(HostError), "{typed:.80}");
        }
    }
}
