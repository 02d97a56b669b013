//! Settings: typed sections, each field with default, unit and meaning; loaded and validated once.
//!
//! `packaging/momedo.toml` shows every one of them; a test keeps it equal to the defaults here.

use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::domain::host::{HostError, TypedHost};
use crate::domain::ozone::Quota;
use crate::domain::proxy::{NOT_A_PROXY, Proxy};
use crate::domain::rate::Rate;
use crate::domain::security_contact::{is_address, is_contact};

const NOT_A_CONTACT: &str = "is an e-mail address, or begins with https:// or tel:";
const NOT_AN_ADDRESS: &str = "begins with https://";

/// Everything `momedo.toml` may hold. An unknown key is an error.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who this server is.
    pub server: ServerConfig,
    /// Where it listens, and how much it lets in.
    pub listen: ListenConfig,
    /// Own certificate.
    pub tls: TlsConfig,
    /// Certificates from a public authority.
    pub acme: AcmeConfig,
    /// What is kept, and for how long.
    pub mail: MailConfig,
    /// The database file.
    pub storage: StorageConfig,
    /// Attachments.
    pub blobs: BlobsConfig,
    /// Backups made by themselves.
    pub backup: BackupConfig,
    /// How often anybody may do anything.
    pub rates: RatesConfig,
    /// The links to other servers.
    pub neighbours: NeighboursConfig,
    /// What else the admin decides.
    pub rules: RulesConfig,
    /// Whom to tell of a fault of this server.
    pub security: SecurityConfig,
    /// The gateway for the Smoke app.
    pub smoke: SmokeConfig,
    /// Settings that stand in the file, as `section.key`: the pages show them and cannot change them.
    #[serde(skip)]
    pub fixed: BTreeSet<String>,
}

/// What else the admin decides.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesConfig {
    /// How long an invite can be used, in days.
    pub invite_days: u64,
    /// Whether accounts of the admin pages have to use one-time passwords.
    pub one_time_passwords: bool,
}

/// Whom to tell of a fault of this server: what `/.well-known/security.txt` says (RFC 9116).
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityConfig {
    /// An e-mail address, or an `https:` or `tel:` address; empty: nobody.
    pub contact: String,
    /// Where it is said what happens with reports, an `https:` address; empty: nowhere.
    pub policy: String,
    /// A key to write with, an `https:` address; empty: none.
    pub encryption: String,
}

/// Who this server is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// The name people see.
    pub name: String,
    /// Host names and IP addresses people use, the first one for invite links; empty: found by itself.
    pub addresses: Vec<String>,
}

/// Where the server listens, and how much it lets in at the door.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// Addresses with ports.
    pub addresses: Vec<SocketAddr>,
    /// Connections in all.
    pub max_connections: usize,
    /// Connections from one address; a whole school sits behind one.
    pub max_connections_per_address: usize,
    /// Streams and long polls one device may have open.
    pub max_streams_per_device: usize,
    /// Time for a TLS handshake, in seconds.
    pub handshake_seconds: u64,
    /// Time for a request's header, in seconds; also how long a connection is kept that has no request.
    pub header_seconds: u64,
    /// Time for a request's body, in seconds.
    pub body_seconds: u64,
    /// How long somebody may take nothing of what is written to them, in seconds.
    pub write_seconds: u64,
    /// Memory for all answers that were not taken yet and all bodies that are read, in bytes; a half of it for one
    /// address, a sixteenth for one participant, a thirty-second for one connection.
    pub max_unread_bytes: usize,
    /// How often a client at a stream is asked whether it is still there, in seconds; after two unanswered
    /// times it is not.
    pub keep_alive_seconds: u64,
}

/// An own certificate; without one the server's own authority issues it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// PEM file with the certificate chain; read again when it changes, and at SIGHUP.
    pub certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub key: Option<PathBuf>,
}

/// Certificates from a public authority; nothing is asked for before an admin switches it on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AcmeConfig {
    /// The authority's directory (RFC 8555), an `https` address.
    pub directory: String,
}

/// What is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailConfig {
    /// How long an envelope waits for a device, in days.
    pub retention_days: u64,
    /// Largest envelope, in bytes.
    pub max_envelope_bytes: usize,
    /// Largest queue of one device, in bytes.
    pub max_queue_bytes: u64,
    /// How much of a queue one sender may fill, in percent.
    pub sender_share_percent: u64,
    /// Most bytes of one sender that may wait, for all recipients together.
    pub max_sender_bytes: u64,
}

/// The database file.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// Largest database file, in bytes; 0: as large as the disk.
    pub max_database_bytes: u64,
}

/// Attachments.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlobsConfig {
    /// Largest attachment, in bytes before its sender seals it.
    pub max_blob_bytes: u64,
    /// Most bytes of one participant's attachments, sealed; each counts as whole blocks of 4,096.
    pub max_participant_bytes: u64,
    /// Most attachments of one participant.
    pub max_participant_files: u64,
    /// Most bytes of everybody's attachments, sealed; 0: as much as the disk has.
    pub max_server_bytes: u64,
    /// How long an attachment is kept, in days.
    pub retention_days: u64,
    /// With less free space than this no attachments are taken, in bytes: mail needs the room.
    pub min_free_bytes: u64,
}

/// Backups made by themselves.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupConfig {
    /// Time between two backups, in hours; 0: none are made by themselves.
    pub every_hours: u64,
    /// How many are kept.
    pub keep: usize,
    /// With less free space than this only the newest is kept, in bytes: mail needs the room.
    pub min_free_bytes: u64,
}

/// How often anybody may do anything.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RatesConfig {
    /// Submissions of one participant.
    pub messages: Rate,
    /// Other requests of one participant.
    pub requests: Rate,
    /// Key bundles and McEliece keys one participant offers: each may stay on the disk for months.
    pub publications: Rate,
    /// Requests without a session from one address; a registration takes five, a log-in two.
    pub unauthenticated: Rate,
    /// Failed log-ins, wrong codes and the like from one address.
    pub failures: Rate,
    /// TLS handshakes with one address; twice as many with a /56 of IPv6, four times with a /48.
    pub handshakes: Rate,
}

/// The gateway for the Smoke app.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmokeConfig {
    /// Whether Smoke clients are let in at the addresses everybody uses.
    pub shared_port: bool,
    /// Whether clients that know an ozone may register IDs.
    pub share_ids: bool,
    /// Most Smoke IDs.
    pub max_participants: u64,
}

impl Default for SmokeConfig {
    fn default() -> Self {
        Self { shared_port: true, share_ids: true, max_participants: 1_000 }
    }
}

/// The links to other servers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NeighboursConfig {
    /// How often something is sent over an idle link, in seconds.
    pub heartbeat_seconds: u16,
    /// Whether neighbours are told where this server may be dialled; useless behind a router that lets nobody in.
    pub announce: bool,
    /// Whether servers in the local network find each other, and may ask without a pairing link.
    pub nearby: bool,
    /// What neighbours outside the local network are dialled through.
    pub proxy: ProxySetting,
    /// Loopback and link-local addresses that are dialled all the same, when others name them: other servers on this
    /// machine, for example.
    pub dial_also: Vec<IpAddr>,
}

/// A proxy as written; empty: none. Never shown, since a password may stand in it.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(transparent)]
pub struct ProxySetting(Zeroizing<String>);

impl ProxySetting {
    /// The proxy, if there is one.
    pub fn get(&self) -> Option<Proxy> {
        self.0.parse().ok()
    }

    fn is_acceptable(&self) -> bool {
        self.0.is_empty() || self.get().is_some()
    }
}

impl fmt::Debug for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.get(), f)
    }
}

impl Default for NeighboursConfig {
    fn default() -> Self {
        Self {
            heartbeat_seconds: 30,
            announce: true,
            nearby: true,
            proxy: ProxySetting::default(),
            dial_also: Vec::new(),
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { name: "momedo".into(), addresses: Vec::new() }
    }
}

impl Default for AcmeConfig {
    fn default() -> Self {
        Self { directory: "https://acme-v02.api.letsencrypt.org/directory".into() }
    }
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self { invite_days: 30, one_time_passwords: false }
    }
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            addresses: vec![SocketAddr::from(([0; 8], 4710))],
            max_connections: 12_000,
            max_connections_per_address: 4_000,
            max_streams_per_device: 4,
            handshake_seconds: 10,
            header_seconds: 30,
            body_seconds: 120,
            write_seconds: 30,
            max_unread_bytes: 64 * 1024 * 1024,
            keep_alive_seconds: 45,
        }
    }
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            retention_days: 90,
            max_envelope_bytes: momedo_protocol::limits::DEFAULT_MAX_ENVELOPE_BYTES,
            max_queue_bytes: 64 * 1024 * 1024,
            sender_share_percent: 25,
            // In the largest group, in the form that seals to each member, a message takes up to 4 MiB until the last
            // has it: every other day one, for as long as mail is kept. A hundred who fill it fill no disk.
            max_sender_bytes: 256 * 1024 * 1024,
        }
    }
}

impl Default for BlobsConfig {
    fn default() -> Self {
        Self {
            max_blob_bytes: 100 * 1024 * 1024,
            max_participant_bytes: 1024 * 1024 * 1024,
            max_participant_files: 10_000,
            max_server_bytes: 0,
            retention_days: 90,
            min_free_bytes: 256 * 1024 * 1024,
        }
    }
}

impl Default for BackupConfig {
    fn default() -> Self {
        Self { every_hours: 24, keep: 7, min_free_bytes: 256 * 1024 * 1024 }
    }
}

impl Default for RatesConfig {
    fn default() -> Self {
        Self {
            messages: Rate { per_minute: 600, burst: 1200 },
            requests: Rate { per_minute: 1200, burst: 2400 },
            publications: Rate { per_minute: 1, burst: 30 },
            unauthenticated: Rate { per_minute: 1500, burst: 3000 },
            failures: Rate { per_minute: 60, burst: 120 },
            handshakes: Rate { per_minute: 1500, burst: 2000 },
        }
    }
}

impl MailConfig {
    /// What a device's queue holds.
    pub fn quota(&self) -> Quota {
        Quota::of(self.max_queue_bytes, self.sender_share_percent)
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is not TOML, or holds what is not a setting.
    #[error("{}: {message}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// An address of the server that is none.
    #[error("server.addresses: \"{text}\" {reason}")]
    Host {
        /// What stands there.
        text: String,
        /// What is wrong with it.
        reason: HostError,
    },
    /// A value that makes no sense.
    #[error("{setting} {requirement}")]
    Value {
        /// Section and key.
        setting: &'static str,
        /// What it must be.
        requirement: &'static str,
    },
}

impl ServerConfig {
    /// Brings the addresses into the form that certificates carry.
    fn read_addresses(&mut self) -> Result<(), ConfigError> {
        for address in &mut self.addresses {
            let read = address.parse::<TypedHost>();
            *address = read.map_err(|reason| ConfigError::Host { text: address.clone(), reason })?.host;
        }
        Ok(())
    }
}

impl Config {
    /// Reads `path`, or takes the defaults where there is no such file.
    ///
    /// # Errors
    /// As [`ConfigError`] says.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            // Below a file there is no file either; the data directory says what is wrong there.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(source) => return Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        };
        let malformed = |error: toml::de::Error| ConfigError::Malformed {
            path: path.to_owned(),
            message: describe(&error, &text),
        };
        let mut config: Self = toml::from_str(&text).map_err(malformed)?;
        config.validate()?;
        config.server.read_addresses()?;
        let table: toml::Table = toml::from_str(&text).map_err(malformed)?;
        config.fixed = table
            .iter()
            .filter_map(|(section, value)| Some((section, value.as_table()?)))
            .flat_map(|(section, keys)| keys.keys().map(move |key| format!("{section}.{key}")))
            .collect();
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let check = |holds: bool, setting, requirement| {
            if holds { Ok(()) } else { Err(ConfigError::Value { setting, requirement }) }
        };
        let acceptable_name = momedo_protocol::name::is_acceptable_name(&self.server.name);
        check(
            acceptable_name,
            "server.name",
            "needs 1 to 80 characters that can be seen, with single spaces",
        )?;
        let pair = self.tls.certificate.is_some() == self.tls.key.is_some();
        check(pair, "tls.certificate and tls.key", "come together")?;
        check(self.acme.directory.starts_with("https://"), "acme.directory", "begins with https://")?;
        check(!self.listen.addresses.is_empty(), "listen.addresses", "needs at least one address")?;
        check((1..=3650).contains(&self.mail.retention_days), "mail.retention_days", "is 1 to 3650")?;
        let envelope = (4096..=1024 * 1024).contains(&self.mail.max_envelope_bytes);
        check(envelope, "mail.max_envelope_bytes", "is 4096 to 1048576")?;
        check(
            (1..=100).contains(&self.mail.sender_share_percent),
            "mail.sender_share_percent",
            "is 1 to 100",
        )?;
        check(self.blobs.max_participant_files > 0, "blobs.max_participant_files", "is at least 1")?;
        let sender = self.mail.max_sender_bytes >= 4096;
        check(sender, "mail.max_sender_bytes", "is at least 4096")?;
        let blob = (1..=1 << 40).contains(&self.blobs.max_blob_bytes);
        check(blob, "blobs.max_blob_bytes", "is 1 to 1099511627776")?;
        check((1..=3650).contains(&self.blobs.retention_days), "blobs.retention_days", "is 1 to 3650")?;
        check((1..=365).contains(&self.backup.keep), "backup.keep", "is 1 to 365")?;
        check(self.backup.every_hours <= 8760, "backup.every_hours", "is 0 to 8760")?;
        check((1..=365).contains(&self.rules.invite_days), "rules.invite_days", "is 1 to 365")?;
        check(is_contact(&self.security.contact), "security.contact", NOT_A_CONTACT)?;
        check(is_address(&self.security.policy), "security.policy", NOT_AN_ADDRESS)?;
        check(is_address(&self.security.encryption), "security.encryption", NOT_AN_ADDRESS)?;
        let participants = (1..=10_000).contains(&self.smoke.max_participants);
        check(participants, "smoke.max_participants", "is 1 to 10000")?;
        let positive = self.listen.handshake_seconds > 0
            && self.listen.header_seconds > 0
            && self.listen.body_seconds > 0
            && self.listen.write_seconds > 0;
        check(positive, "listen: time-outs", "are at least one second")?;
        let unread = (32 * 1024 * 1024..=1 << 40).contains(&self.listen.max_unread_bytes);
        check(unread, "listen.max_unread_bytes", "is 33554432 to 1099511627776")?;
        let heartbeat = (1..=600).contains(&self.neighbours.heartbeat_seconds);
        check(heartbeat, "neighbours.heartbeat_seconds", "is 1 to 600")?;
        check(self.neighbours.proxy.is_acceptable(), "neighbours.proxy", NOT_A_PROXY)?;
        let keep_alive = (1..=3600).contains(&self.listen.keep_alive_seconds);
        check(keep_alive, "listen.keep_alive_seconds", "is 1 to 3600")
    }
}

/// Where and what, with the line itself unless a password may stand in it.
fn describe(error: &toml::de::Error, text: &str) -> String {
    let shown = error.to_string();
    if !shown.contains('@') {
        return shown;
    }
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.lines().count().max(1), error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_that_keeps_its_password() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("momedo.toml");
        for line in [
            "proxy = 'ftp://school:geheim@h:1'",
            "proxy = 'socks5://school:geheim@h'",
            "proxy = 'socks5://school:geheim@h:1",
            "proxy = ['socks5://school:geheim@h:1']",
            "proxi = 'socks5://school:geheim@h:1'",
        ] {
            std::fs::write(&path, format!("[neighbours]\n{line}\n")).unwrap();
            let message = Config::load(&path).unwrap_err().to_string();
            assert!(message.contains("prox") || message.contains("line 2"), "{message}");
            assert!(!message.contains("geheim"), "{message}");
        }
        std::fs::write(&path, "[neighbours]\nproxy = 'socks5://school:geheim@h:1'\n").unwrap();
        let config = Config::load(&path).unwrap();
        assert!(format!("{config:?}").contains("socks5://h:1") && !format!("{config:?}").contains("geheim"));
    }

    #[test]
    fn addresses_are_read_as_people_type_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("momedo.toml");
        let load = |address: &str| {
            std::fs::write(&path, format!("[server]\naddresses = ['{address}']\n")).unwrap();
            Config::load(&path)
        };
        for address in ["chat.schule-möhnesee.de", "https://chat.schule-möhnesee.de/"] {
            assert_eq!(load(address).unwrap().server.addresses, ["chat.xn--schule-mhnesee-2pb.de"]);
        }
        for address in ["192.168.1.999", "a..b", "", "chat schule"] {
            let message = load(address).unwrap_err().to_string();
            assert!(message.contains("server.addresses") && message.contains(address), "{message}");
        }
    }

    #[test]
    fn the_file_we_ship_says_what_the_defaults_are() {
        let shipped: Config = toml::from_str(include_str!("../packaging/momedo.toml")).unwrap();
        assert_eq!(shipped, Config::default());
    }

    #[test]
    fn a_misspelt_setting_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("momedo.toml");
        std::fs::write(&path, "[mail]\nretention_day = 3\n").unwrap();
        let message = Config::load(&path).unwrap_err().to_string();
        assert!(message.contains("retention_day") && message.contains("momedo.toml"), "{message}");
        std::fs::write(&path, "[mail]\nretention_days = 0\n").unwrap();
        assert!(Config::load(&path).unwrap_err().to_string().contains("mail.retention_days"));
    }
}
