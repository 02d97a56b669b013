//! Rules that admins change on the pages while the server runs.
//!
//! What stands in momedo.toml wins and is shown as fixed; everything else is kept in the database, so it is
//! in every backup.

use serde::{Deserialize, Serialize};

use super::audit::{self, Action};
use super::people::check_name;
use super::permission::RecentlyConfirmed;
use super::{AdminError, ServiceError};
use crate::config::Config;
use crate::domain::host::TypedHost;
use crate::domain::security_contact::{is_address, is_contact};
use crate::state::App;

/// The setting the rules are kept under.
const RULES: &str = "rules";

const MIB: u64 = 1024 * 1024;

/// Rules as kept and as asked for; `None` leaves one as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// The server's name.
    pub name: Option<String>,
    /// Host names and IP addresses people use, the first one for invite links.
    pub addresses: Option<Vec<String>>,
    /// The port invite links name, if a listener has it.
    pub link_port: Option<u16>,
    /// How long an envelope waits, in days.
    pub retention_days: Option<u64>,
    /// Largest queue of one device, in MiB.
    pub queue_mib: Option<u64>,
    /// How much of a queue one sender may fill, in percent.
    pub sender_share_percent: Option<u64>,
    /// How much of one sender may wait for everybody together, in MiB.
    pub sender_mib: Option<u64>,
    /// Largest attachment, in MiB.
    pub file_mib: Option<u64>,
    /// How much one participant's attachments may take, in MiB.
    pub person_files_mib: Option<u64>,
    /// How much everybody's attachments may take, in MiB; 0: as much as the disk has.
    pub server_files_mib: Option<u64>,
    /// How long an attachment is kept, in days.
    pub file_days: Option<u64>,
    /// How long an invite can be used, in days.
    pub invite_days: Option<u64>,
    /// Whether accounts of the admin pages have to use one-time passwords.
    pub one_time_passwords: Option<bool>,
    /// Whom to tell of a fault of this server; empty: nobody.
    pub security_contact: Option<String>,
    /// Where it is said what happens with reports; empty: nowhere.
    pub security_policy: Option<String>,
    /// A key to write reports with; empty: none.
    pub security_encryption: Option<String>,
    /// Messages one participant may send per minute.
    pub messages_per_minute: Option<u32>,
    /// Time between two backups, in hours; 0: none by themselves.
    pub backup_every_hours: Option<u64>,
    /// How many backups are kept.
    pub backup_keep: Option<u64>,
    /// Whether Smoke clients are let in at the addresses everybody uses.
    pub smoke_shared_port: Option<bool>,
    /// Whether Smoke clients that know an ozone may register IDs.
    pub smoke_share_ids: Option<bool>,
}

impl Rules {
    /// `config` with these rules where momedo.toml says nothing.
    pub fn over(&self, config: &Config) -> Config {
        let mut config = config.clone();
        let fixed = config.fixed.clone();
        let free = |setting: &str| !fixed.contains(setting);
        if let Some(name) = self.name.as_ref().filter(|_| free("server.name")) {
            config.server.name.clone_from(name);
        }
        if let Some(addresses) = self.addresses.as_ref().filter(|_| free("server.addresses")) {
            config.server.addresses.clone_from(addresses);
        }
        if let Some(days) = self.retention_days.filter(|_| free("mail.retention_days")) {
            config.mail.retention_days = days;
        }
        if let Some(mib) = self.queue_mib.filter(|_| free("mail.max_queue_bytes")) {
            config.mail.max_queue_bytes = mib * MIB;
        }
        if let Some(percent) = self.sender_share_percent.filter(|_| free("mail.sender_share_percent")) {
            config.mail.sender_share_percent = percent;
        }
        if let Some(mib) = self.sender_mib.filter(|_| free("mail.max_sender_bytes")) {
            config.mail.max_sender_bytes = mib * MIB;
        }
        if let Some(mib) = self.file_mib.filter(|_| free("blobs.max_blob_bytes")) {
            config.blobs.max_blob_bytes = mib * MIB;
        }
        if let Some(mib) = self.person_files_mib.filter(|_| free("blobs.max_participant_bytes")) {
            config.blobs.max_participant_bytes = mib * MIB;
        }
        if let Some(mib) = self.server_files_mib.filter(|_| free("blobs.max_server_bytes")) {
            config.blobs.max_server_bytes = mib * MIB;
        }
        if let Some(days) = self.file_days.filter(|_| free("blobs.retention_days")) {
            config.blobs.retention_days = days;
        }
        if let Some(days) = self.invite_days.filter(|_| free("rules.invite_days")) {
            config.rules.invite_days = days;
        }
        if let Some(asks) = self.one_time_passwords.filter(|_| free("rules.one_time_passwords")) {
            config.rules.one_time_passwords = asks;
        }
        for (rule, setting, value) in [
            (&self.security_contact, "security.contact", &mut config.security.contact),
            (&self.security_policy, "security.policy", &mut config.security.policy),
            (&self.security_encryption, "security.encryption", &mut config.security.encryption),
        ] {
            if let Some(text) = rule.as_ref().filter(|_| free(setting)) {
                value.clone_from(text);
            }
        }
        if let Some(rate) = self.messages_per_minute.filter(|_| free("rates.messages")) {
            config.rates.messages.per_minute = rate;
            config.rates.messages.burst = rate.saturating_mul(2);
        }
        if let Some(hours) = self.backup_every_hours.filter(|_| free("backup.every_hours")) {
            config.backup.every_hours = hours;
        }
        if let Some(keep) = self.backup_keep.filter(|_| free("backup.keep")) {
            config.backup.keep = usize::try_from(keep).unwrap_or(usize::MAX);
        }
        if let Some(lets_in) = self.smoke_shared_port.filter(|_| free("smoke.shared_port")) {
            config.smoke.shared_port = lets_in;
        }
        if let Some(may_share) = self.smoke_share_ids.filter(|_| free("smoke.share_ids")) {
            config.smoke.share_ids = may_share;
        }
        config
    }

    fn check(&self, config: &Config) -> Result<(), AdminError> {
        let given = [
            ("server.name", self.name.is_some()),
            ("server.addresses", self.addresses.is_some()),
            ("mail.retention_days", self.retention_days.is_some()),
            ("mail.max_queue_bytes", self.queue_mib.is_some()),
            ("mail.sender_share_percent", self.sender_share_percent.is_some()),
            ("mail.max_sender_bytes", self.sender_mib.is_some()),
            ("blobs.max_blob_bytes", self.file_mib.is_some()),
            ("blobs.max_participant_bytes", self.person_files_mib.is_some()),
            ("blobs.max_server_bytes", self.server_files_mib.is_some()),
            ("blobs.retention_days", self.file_days.is_some()),
            ("rules.invite_days", self.invite_days.is_some()),
            ("rules.one_time_passwords", self.one_time_passwords.is_some()),
            ("security.contact", self.security_contact.is_some()),
            ("security.policy", self.security_policy.is_some()),
            ("security.encryption", self.security_encryption.is_some()),
            ("rates.messages", self.messages_per_minute.is_some()),
            ("backup.every_hours", self.backup_every_hours.is_some()),
            ("backup.keep", self.backup_keep.is_some()),
            ("smoke.shared_port", self.smoke_shared_port.is_some()),
            ("smoke.share_ids", self.smoke_share_ids.is_some()),
        ];
        if let Some((setting, _)) =
            given.iter().find(|(setting, given)| *given && config.fixed.contains(*setting))
        {
            return Err(AdminError::RuleFixed(setting));
        }
        let within = |value: Option<u64>, range: std::ops::RangeInclusive<u64>, setting| {
            if value.is_none_or(|value| range.contains(&value)) {
                Ok(())
            } else {
                Err(AdminError::RuleOutOfRange(setting))
            }
        };
        within(self.retention_days, 1..=3650, "mail.retention_days")?;
        within(self.queue_mib, 1..=10_240, "mail.max_queue_bytes")?;
        within(self.sender_share_percent, 1..=100, "mail.sender_share_percent")?;
        within(self.sender_mib, 1..=1_048_576, "mail.max_sender_bytes")?;
        within(self.file_mib, 1..=10_240, "blobs.max_blob_bytes")?;
        within(self.person_files_mib, 1..=1_048_576, "blobs.max_participant_bytes")?;
        within(self.server_files_mib, 0..=104_857_600, "blobs.max_server_bytes")?;
        within(self.file_days, 1..=3650, "blobs.retention_days")?;
        within(self.invite_days, 1..=365, "rules.invite_days")?;
        within(self.messages_per_minute.map(u64::from), 1..=100_000, "rates.messages")?;
        within(self.backup_every_hours, 0..=8760, "backup.every_hours")?;
        within(self.backup_keep, 1..=365, "backup.keep")?;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        for (holds, setting) in [
            (is_contact(&text(&self.security_contact)), "security.contact"),
            (is_address(&text(&self.security_policy)), "security.policy"),
            (is_address(&text(&self.security_encryption)), "security.encryption"),
        ] {
            if !holds {
                return Err(AdminError::RuleOutOfRange(setting));
            }
        }
        match &self.addresses {
            Some(addresses) if addresses.len() > 16 => Err(AdminError::RuleOutOfRange("server.addresses")),
            _ => Ok(()),
        }
    }

    /// Brings addresses into the form that certificates carry. A port typed with the first one is what links name.
    fn read_addresses(&mut self) -> Result<(), AdminError> {
        for (place, address) in self.addresses.iter_mut().flatten().enumerate() {
            let read = address.parse::<TypedHost>();
            let TypedHost { host, port } = read.map_err(|_| AdminError::NotAHost(address.clone()))?;
            *address = host;
            if place == 0 {
                self.link_port = self.link_port.or(port);
            }
        }
        Ok(())
    }

    fn merge(&mut self, change: Self) {
        fn take<T>(into: &mut Option<T>, from: Option<T>) {
            if from.is_some() {
                *into = from;
            }
        }
        take(&mut self.name, change.name);
        take(&mut self.addresses, change.addresses);
        take(&mut self.link_port, change.link_port);
        take(&mut self.retention_days, change.retention_days);
        take(&mut self.queue_mib, change.queue_mib);
        take(&mut self.sender_share_percent, change.sender_share_percent);
        take(&mut self.sender_mib, change.sender_mib);
        take(&mut self.file_mib, change.file_mib);
        take(&mut self.person_files_mib, change.person_files_mib);
        take(&mut self.server_files_mib, change.server_files_mib);
        take(&mut self.file_days, change.file_days);
        take(&mut self.invite_days, change.invite_days);
        take(&mut self.one_time_passwords, change.one_time_passwords);
        take(&mut self.security_contact, change.security_contact);
        take(&mut self.security_policy, change.security_policy);
        take(&mut self.security_encryption, change.security_encryption);
        take(&mut self.messages_per_minute, change.messages_per_minute);
        take(&mut self.backup_every_hours, change.backup_every_hours);
        take(&mut self.backup_keep, change.backup_keep);
        take(&mut self.smoke_shared_port, change.smoke_shared_port);
        take(&mut self.smoke_share_ids, change.smoke_share_ids);
    }

    /// What changes, for the log; never a secret.
    fn summary(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        let parts = json.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        parts.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }
}

/// The rules kept in the database.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn kept(store: &crate::store::Store) -> Result<Rules, ServiceError> {
    let bytes = store.read(|tx| Ok::<_, ServiceError>(tx.setting(RULES)?)).await?;
    // Rules of a newer version may hold what this one does not know; it keeps what it does.
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
}

/// Changes rules and puts them into force at once.
///
/// # Errors
/// [`AdminError::RuleFixed`], [`AdminError::RuleOutOfRange`], [`AdminError::NotAHost`] or
/// [`AdminError::UnacceptableName`].
pub async fn change(app: &App, admin: &RecentlyConfirmed, mut rules: Rules) -> Result<(), ServiceError> {
    if let Some(name) = &rules.name {
        check_name(name)?;
    }
    rules.check(app.file_config())?;
    rules.read_addresses()?;
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let all = app
        .store
        // On a full disk too: rules are what makes room again.
        .write_freeing(move |tx| {
            let mut all: Rules =
                tx.setting(RULES)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
            let summary = rules.summary();
            all.merge(rules);
            let bytes =
                serde_json::to_vec(&all).map_err(|error| ServiceError::Internal(error.to_string()))?;
            tx.set_setting(RULES, &bytes)?;
            audit::log(tx, now, &account, Action::RulesChanged, &summary)?;
            Ok::<_, ServiceError>(all)
        })
        .await?;
    app.change_config(all.over(app.file_config()));
    super::listeners::refresh_link_address(app).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules with one of them set to a number.
    type With = fn(u64) -> Rules;

    #[test]
    fn every_range_holds_on_both_sides() {
        let rules: [(With, u64, u64); 12] = [
            (|n| Rules { retention_days: Some(n), ..Rules::default() }, 1, 3650),
            (|n| Rules { queue_mib: Some(n), ..Rules::default() }, 1, 10_240),
            (|n| Rules { sender_share_percent: Some(n), ..Rules::default() }, 1, 100),
            (|n| Rules { sender_mib: Some(n), ..Rules::default() }, 1, 1_048_576),
            (|n| Rules { file_mib: Some(n), ..Rules::default() }, 1, 10_240),
            (|n| Rules { person_files_mib: Some(n), ..Rules::default() }, 1, 1_048_576),
            (|n| Rules { server_files_mib: Some(n), ..Rules::default() }, 0, 104_857_600),
            (|n| Rules { file_days: Some(n), ..Rules::default() }, 1, 3650),
            (|n| Rules { invite_days: Some(n), ..Rules::default() }, 1, 365),
            (|n| Rules { messages_per_minute: u32::try_from(n).ok(), ..Rules::default() }, 1, 100_000),
            (|n| Rules { backup_every_hours: Some(n), ..Rules::default() }, 0, 8760),
            (|n| Rules { backup_keep: Some(n), ..Rules::default() }, 1, 365),
        ];
        for (with, least, most) in rules {
            for (value, fits) in [
                (least.checked_sub(1), false),
                (Some(least), true),
                (Some(most), true),
                (Some(most + 1), false),
            ] {
                let Some(value) = value else { continue };
                let checked = with(value).check(&Config::default());
                assert_eq!(checked.is_ok(), fits, "{:?}", with(value));
            }
        }
    }

    #[test]
    fn attachments_keep_to_the_rules_unless_the_file_says_otherwise() {
        let rules = Rules {
            file_mib: Some(3),
            person_files_mib: Some(4),
            server_files_mib: Some(5),
            file_days: Some(6),
            ..Rules::default()
        };
        let blobs = rules.over(&Config::default()).blobs;
        assert_eq!((blobs.max_blob_bytes, blobs.max_participant_bytes), (3 * MIB, 4 * MIB));
        assert_eq!((blobs.max_server_bytes, blobs.retention_days), (5 * MIB, 6));
        let settings = ["max_blob_bytes", "max_participant_bytes", "max_server_bytes", "retention_days"];
        let fixed = settings.map(|name| format!("blobs.{name}"));
        let config = Config { fixed: fixed.into(), ..Config::default() };
        assert_eq!(rules.over(&config).blobs, config.blobs);
        assert!(matches!(rules.check(&config), Err(AdminError::RuleFixed(_))));
    }
}
