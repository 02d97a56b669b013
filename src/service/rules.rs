//! Rules that admins change on the pages while the server runs.
//!
//! What stands in momedo.toml wins and is shown as fixed; everything else is kept in the database, so it is
//! in every backup. Which there are, and what each may be, says [`crate::settings`].

use momedo_texts::Language;

use super::audit::{self, Action};
use super::naming::check_name;
use super::permission::RecentlyConfirmed;
use super::{AdminError, ServiceError};
use crate::domain::host::TypedHost;
pub use crate::settings::Rules;
use crate::settings::config::Config;
use crate::settings::{self, Setting, names};
use crate::state::App;

/// The setting the rules are kept under.
const RULES: &str = "rules";

impl Rules {
    fn check(&self, config: &Config) -> Result<(), AdminError> {
        if let Some((setting, ..)) = self.given().find(|(setting, ..)| config.is_fixed(setting.name)) {
            return Err(AdminError::RuleFixed(setting.name));
        }
        match self.given().find(|(setting, _, value)| !setting.kind.takes_as_rule(value)) {
            Some((setting, ..)) => Err(out_of_range(setting)),
            None => Ok(()),
        }
    }

    /// Whether one of the two that go together is to change, and not so that messages fit.
    fn leaves_no_room(&self, in_force: &Config) -> bool {
        let changes = self.queue_mib.or(self.sender_share_percent).is_some();
        changes && !in_force.leaves_senders_room()
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

    /// What changes, for the log; never a secret.
    fn summary(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        let parts = json.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        parts.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }
}

/// The refusal of a value that a setting does not take.
pub(crate) fn out_of_range(setting: &Setting) -> AdminError {
    let said = |language| {
        let allowed = setting.kind.allowed_as_rule_in(language);
        let comma = if allowed.is_empty() { "" } else { ", " };
        format!("{}{comma}{allowed}", setting.name)
    };
    AdminError::RuleOutOfRange { german: said(Language::German), english: said(Language::English) }
}

/// The refusal of two rules that together leave a sender no room for a message.
fn share_too_small() -> AdminError {
    let (share, queue) = (names::mail::sender_share_percent, names::mail::max_queue_bytes);
    AdminError::RuleOutOfRange {
        german: format!("{share} von {queue}, zusammen mindestens 4096 Bytes"),
        english: format!("{share} of {queue}, at least 4096 bytes together"),
    }
}

/// The rules in force, by their names.
pub fn in_force(config: &Config) -> serde_json::Value {
    let values = settings::changeable();
    values.map(|(setting, rule)| (rule.name, setting.rule_value(config).to_json())).collect()
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
    let file_config = app.file_config().clone();
    let in_force = app
        .store
        // On a full disk too: rules are what makes room again.
        .write_freeing(move |tx| {
            let mut all: Rules =
                tx.setting(RULES)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
            let summary = rules.summary();
            all.merge(&rules);
            let in_force = all.over(&file_config);
            if rules.leaves_no_room(&in_force) {
                return Err(share_too_small().into());
            }
            let bytes =
                serde_json::to_vec(&all).map_err(|error| ServiceError::Internal(error.to_string()))?;
            tx.set_setting(RULES, &bytes)?;
            audit::log(tx, now, &account, Action::RulesChanged, &summary)?;
            Ok::<_, ServiceError>(in_force)
        })
        .await?;
    app.change_config(in_force);
    super::listeners::refresh_link_address(app).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Value};

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn every_range_holds_on_both_sides() {
        let mut numbers = 0;
        for (setting, rule) in settings::changeable() {
            let Some(range) = setting.kind.rule_range() else { continue };
            numbers += 1;
            for (value, fits) in [
                (0, range.or_zero),
                (range.least - 1, range.or_zero && range.least == 1),
                (range.least, true),
                (range.most, true),
                (range.most + 1, false),
            ] {
                let mut rules = Rules::default();
                assert!(rule.set(&mut rules, &Value::Number(value)));
                let checked = rules.check(&Config::default());
                assert_eq!(checked.is_ok(), fits, "{} = {value}", rule.name);
                if let Err(error) = checked {
                    let said = error.to_string();
                    assert!(said.contains(setting.name) && said.contains(&range.to_string()), "{said}");
                }
            }
        }
        assert_eq!(numbers, 12);
    }

    #[test]
    fn the_ranges_of_the_pages_are_what_schools_were_told() {
        for (name, first, most) in [
            ("retention_days", 1, 3650),
            ("queue_mib", 1, 10_240),
            ("sender_share_percent", 1, 100),
            ("sender_mib", 1, 1_048_576),
            ("file_mib", 1, 10_240),
            ("person_files_mib", 1, 1_048_576),
            ("server_files_mib", 0, 104_857_600),
            ("file_days", 1, 3650),
            ("invite_days", 1, 365),
            ("messages_per_minute", 1, 100_000_000),
            ("backup_every_hours", 0, 8760),
            ("backup_keep", 1, 365),
        ] {
            let (setting, _) = settings::changeable().find(|(_, rule)| rule.name == name).unwrap();
            let range = setting.kind.rule_range().unwrap();
            assert_eq!((range.first(), range.most), (first, most), "{name}");
        }
    }

    #[test]
    fn a_share_that_no_message_fits_into_is_noticed_when_it_is_changed_alone() {
        let mut config = Config::default();
        config.mail.max_queue_bytes = 20_000;
        let rules = Rules { sender_share_percent: Some(20), ..Rules::default() };
        assert!(rules.leaves_no_room(&rules.over(&config)));
        let rules = Rules { sender_share_percent: Some(21), ..Rules::default() };
        assert!(!rules.leaves_no_room(&rules.over(&config)));
        let rules = Rules { name: Some("Rathaus".into()), ..Rules::default() };
        assert!(!rules.leaves_no_room(&rules.over(&config)));
    }

    #[test]
    fn rules_are_kept_as_they_were_always_kept() {
        let kept = r#"{"name":"Rathaus","addresses":["a.example"],"link_port":4710,"retention_days":7,"queue_mib":3,
            "sender_mib":null,"one_time_passwords":true,"messages_per_minute":9,"smoke_share_ids":false,"later":1}"#;
        let rules: Rules = serde_json::from_str(kept).unwrap();
        let config = rules.over(&Config::default());
        assert_eq!((config.server.name.as_str(), config.mail.retention_days), ("Rathaus", 7));
        assert_eq!((config.mail.max_queue_bytes, config.rates.messages.burst), (3 * MIB, 18));
        assert_eq!(config.mail.max_sender_bytes, Config::default().mail.max_sender_bytes);
        assert!(config.rules.one_time_passwords && !config.smoke.share_ids && config.smoke.shared_port);
        let mut merged = Rules { name: Some("Schule".into()), file_days: Some(2), ..Rules::default() };
        merged.merge(&rules);
        assert_eq!((merged.name.as_deref(), merged.file_days), (Some("Rathaus"), Some(2)));
        assert_eq!(merged.link_port, Some(4710));
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
        let mut config = Config::default();
        use names::blobs::{max_blob_bytes, max_participant_bytes, max_server_bytes, retention_days};
        for name in [max_blob_bytes, max_participant_bytes, max_server_bytes, retention_days] {
            config.origins.note(name, Origin::File);
        }
        assert_eq!(rules.over(&config).blobs, config.blobs);
        assert!(matches!(rules.check(&config), Err(AdminError::RuleFixed(_))));
    }
}
