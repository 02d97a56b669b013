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
mod tests;
