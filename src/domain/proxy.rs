//! What neighbours are dialled through, as the settings name it.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::host::TypedHost;

/// Longest user name or password, in bytes: what SOCKS5 has room for (RFC 1929).
const MAX_CREDENTIAL_BYTES: usize = 255;

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyKind {
    /// SOCKS5 (RFC 1928).
    Socks5,
    /// HTTP with CONNECT (RFC 9110).
    Http,
}

/// A user name with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
}

/// A proxy. Shown without its credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// How it is spoken to.
    pub kind: ProxyKind,
    /// `host:port`, with an IPv6 host in brackets.
    pub address: String,
    /// Who this server is to it.
    pub credentials: Option<Credentials>,
}

/// The text names no proxy. It is not repeated: a password may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{NOT_A_PROXY}")]
pub struct ProxyError;

/// What a proxy must look like.
pub const NOT_A_PROXY: &str = "is socks5://[user:password@]host:port or http://[user:password@]host:port";

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Socks5 => "socks5",
            ProxyKind::Http => "http",
        };
        write!(f, "{scheme}://{}", self.address)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    /// Reads user and password as they stand: the last `@` ends them, the first `:` parts them.
    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = text.split_once("://").ok_or(ProxyError)?;
        let kind = match scheme {
            "socks5" => ProxyKind::Socks5,
            "http" => ProxyKind::Http,
            _ => return Err(ProxyError),
        };
        let (credentials, address) = match rest.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, rest),
        };
        let address = address.strip_suffix('/').unwrap_or(address);
        let typed: TypedHost = address.parse().map_err(|_| ProxyError)?;
        if typed.port.is_none() || address.contains(['/', '?', '#']) {
            return Err(ProxyError);
        }
        let fits = |part: &str| (1..=MAX_CREDENTIAL_BYTES).contains(&part.len());
        let credentials = match credentials.map(|both| both.split_once(':').ok_or(ProxyError)).transpose()? {
            None => None,
            Some((user, password)) if fits(user) && fits(password) => {
                Some(Credentials { user: user.into(), password: Zeroizing::new(password.into()) })
            }
            Some(_) => return Err(ProxyError),
        };
        Ok(Self { kind, address: typed.to_string(), credentials })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_and_shown_without_their_secrets() {
        let proxy: Proxy = "socks5://school:p@ss:word@proxy.example:1080".parse().unwrap();
        let credentials = proxy.credentials.clone().unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), ("school", "p@ss:word"));
        assert_eq!(
            (proxy.kind, proxy.to_string()),
            (ProxyKind::Socks5, "socks5://proxy.example:1080".into())
        );
        assert_eq!(format!("{proxy:?}"), "socks5://proxy.example:1080");
        let proxy: Proxy = "http://[fd00::1]:3128/".parse().unwrap();
        assert_eq!((proxy.kind, proxy.address.as_str()), (ProxyKind::Http, "[fd00::1]:3128"));
        assert!(proxy.credentials.is_none());
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_being_repeated() {
        let long = format!("socks5://u:{}@h:1", "x".repeat(256));
        for text in [
            "",
            "proxy:1080",
            "https://proxy:1",
            "socks5://proxy",
            "socks5://proxy:0",
            "socks5://:1080",
            "socks5://geheim@proxy:1",
            "socks5://:geheim@proxy:1",
            "http://pro xy:1",
            "http://h:1/x",
            &long,
        ] {
            let error = text.parse::<Proxy>().unwrap_err().to_string();
            assert!(!error.contains("geheim"), "{error}");
        }
    }
}
