//! Settings as they are loaded: read and checked once, whoever asks.
//!
//! [`crate::settings`] declares them; `packaging/momedo.toml` shows every one.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::domain::host::{HostError, TypedHost};
use crate::domain::ozone::Quota;
use crate::domain::proxy::NOT_A_PROXY;
pub use crate::settings::{
    AcmeConfig, BackupConfig, BlobsConfig, Config, ListenConfig, LogConfig, MailConfig, MetricsConfig,
    NeighboursConfig, ProxySetting, RatesConfig, RulesConfig, SecurityConfig, ServerConfig, SmokeConfig,
    StorageConfig, TlsConfig,
};
use crate::settings::{Fault, Kind, Origin, SETTINGS, Value, Written, names};

/// The least that one sender must be able to leave in a queue: a short message, sealed, fits into it.
const LEAST_SHARE: u64 = 4096;

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
    /// Numbers that are out of their ranges.
    #[error("{}: {}", .path.display(), join(.faults))]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// Which, in the order they stand there.
        faults: Vec<Fault>,
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
        requirement: String,
    },
}

fn join(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
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
        let written = Written::read(&text).map_err(malformed)?;
        let faults = written.faults();
        if !faults.is_empty() {
            return Err(ConfigError::OutOfRange { path: path.to_owned(), faults });
        }
        let mut config: Self = toml::from_str(&text).map_err(malformed)?;
        config.validate()?;
        config.server.read_addresses()?;
        for setting in written.settings() {
            config.origins.note(setting.name, Origin::File);
        }
        Ok(config)
    }

    /// Listens where a flag or the environment says, whatever momedo.toml does.
    pub fn listen_at(&mut self, addresses: Vec<SocketAddr>) {
        self.listen.addresses = addresses;
        self.origins.note(names::listen::addresses, Origin::CommandLine);
    }

    /// Whether whoever started the server set this, so that no page changes it.
    pub fn is_fixed(&self, setting: &str) -> bool {
        self.origins.of(setting).is_fixed()
    }

    /// What numbers alone do not say.
    fn validate(&self) -> Result<(), ConfigError> {
        let check = |holds: bool, setting, requirement: &str| {
            if holds {
                Ok(())
            } else {
                Err(ConfigError::Value { setting, requirement: requirement.to_owned() })
            }
        };
        for setting in SETTINGS {
            match (setting.kind, setting.value(self)) {
                (Kind::Text { fits, requirement }, Value::Text(text)) => {
                    check(fits(&text), setting.name, requirement)?;
                }
                (Kind::Hosts { most }, Value::List(hosts)) => {
                    let requirement = format!("takes at most {most} of them");
                    check(hosts.len() as u64 <= most, setting.name, &requirement)?;
                }
                _ => {}
            }
        }
        let pair = self.tls.certificate.is_some() == self.tls.key.is_some();
        check(pair, "tls.certificate and tls.key", "come together")?;
        check(!self.listen.addresses.is_empty(), names::listen::addresses, "needs at least one address")?;
        check(self.neighbours.proxy.is_acceptable(), names::neighbours::proxy, NOT_A_PROXY)?;
        check(
            self.leaves_senders_room(),
            "mail.sender_share_percent",
            "of mail.max_queue_bytes is less than 4096 bytes: no message would fit",
        )
    }

    /// Whether any message of a sender fits into a queue.
    pub fn leaves_senders_room(&self) -> bool {
        self.mail.quota().sender_bytes >= LEAST_SHARE
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
    use crate::settings::Range;

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
        let shipped: Config = toml::from_str(include_str!("../../packaging/momedo.toml")).unwrap();
        assert_eq!(shipped, Config::default());
    }

    /// Reads these lines.
    fn read(lines: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("momedo.toml");
        std::fs::write(&path, lines).unwrap();
        Config::load(&path)
    }

    /// Reads one setting, and is content with what it is told of the range.
    fn try_number(name: &str, written: &str, section: &str, range: Range, number: i128) {
        // What goes together with a queue of the least size.
        let more = if name == names::mail::max_queue_bytes { "sender_share_percent = 100\n" } else { "" };
        let result = read(&format!("# momedo\n[{section}]\n{written}\n{more}"));
        let fits = u64::try_from(number).is_ok_and(|number| range.has(number));
        assert_eq!(result.is_ok(), fits, "{name} = {number}: {result:?}");
        if let Err(error) = result {
            let said = error.to_string();
            let expected = format!("line 3: {name} = {number} is out of its range, {range}");
            assert!(said.contains(&expected) && said.contains("momedo.toml"), "{said}");
        }
    }

    #[test]
    fn every_number_is_taken_within_its_range_and_refused_outside_with_that_range() {
        for setting in SETTINGS {
            let Some(range) = setting.kind.range() else { continue };
            let (least, most) = (i128::from(range.least), i128::from(range.most));
            for number in [-1, 0, least - 1, least, most, most + 1, i128::from(u64::MAX)] {
                let (name, section, key) = (setting.name, setting.section, setting.key);
                match setting.kind {
                    Kind::Rate(_) => {
                        let written = format!("{key} = {{ per_minute = {number}, burst = 1 }}");
                        try_number(&format!("{name}.per_minute"), &written, section, range, number);
                        let written = format!("{key} = {{ per_minute = 1, burst = {number} }}");
                        try_number(&format!("{name}.burst"), &written, section, range, number);
                    }
                    _ => try_number(name, &format!("{key} = {number}"), section, range, number),
                }
            }
        }
    }

    #[test]
    fn all_numbers_out_of_range_are_told_at_once_however_they_are_written() {
        let said = read(
            "mail.retention_days = 0x0\nbackup = { keep = 4_000 }\n[rates.messages]\nper_minute = 0\nburst = 5\n",
        );
        let said = said.unwrap_err().to_string();
        for part in [
            "line 1: mail.retention_days = 0x0 is out of its range, 1 to 3650 days; ",
            "line 2: backup.keep = 4_000 is out of its range, 1 to 365; ",
            "line 4: rates.messages.per_minute = 0 is out of its range, 1 to 100000000",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!said.contains("burst"), "{said}");
    }

    #[test]
    fn what_is_no_number_is_told_as_such() {
        for line in ["keep = 'seven'", "keep = 7.0", "keep = [7]", "keep = true", "keep = { a = 1 }"] {
            let said = read(&format!("[backup]\n{line}\n")).unwrap_err().to_string();
            assert!(said.contains("invalid type") && said.contains("line 2"), "{said}");
        }
    }

    #[test]
    fn a_queue_that_no_message_of_a_sender_fits_into_is_refused() {
        let said = read("[mail]\nmax_queue_bytes = 16383\n").unwrap_err().to_string();
        assert!(said.contains("sender_share_percent") && said.contains("max_queue_bytes"), "{said}");
        assert!(read("[mail]\nmax_queue_bytes = 16384\n").is_ok());
    }

    #[test]
    fn texts_and_lists_are_refused_with_what_they_must_be() {
        for (lines, expected) in [
            ("[server]\nname = ''\n", "server.name needs 1 to 80 characters"),
            ("[security]\ncontact = 'nobody'\n", "security.contact is an e-mail address"),
            ("[security]\npolicy = 'http://a'\n", "security.policy begins with https://"),
            ("[acme]\ndirectory = 'http://a'\n", "acme.directory begins with https://"),
            ("[listen]\naddresses = []\n", "listen.addresses needs at least one address"),
            ("[tls]\nkey = 'a'\n", "tls.certificate and tls.key come together"),
        ] {
            let said = read(lines).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
        let hosts = |number: usize| format!("[server]\naddresses = {:?}\n", vec!["a.example"; number]);
        assert!(read(&hosts(16)).is_ok());
        assert!(read(&hosts(17)).unwrap_err().to_string().contains("server.addresses takes at most 16"));
    }

    #[test]
    fn what_stands_in_the_file_is_known_to_come_from_there() {
        let mut config = read("[mail]\nretention_days = 90\n").unwrap();
        assert_eq!(config.origins.of(names::mail::retention_days), Origin::File);
        assert_eq!(config.origins.of(names::mail::max_queue_bytes), Origin::Default);
        config.listen_at(vec![SocketAddr::from(([127, 0, 0, 1], 1))]);
        assert_eq!(config.origins.of(names::listen::addresses), Origin::CommandLine);
        assert!(config.is_fixed(names::mail::retention_days) && !config.is_fixed(names::backup::keep));
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
