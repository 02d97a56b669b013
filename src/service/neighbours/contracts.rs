//! What may pass between this server and its neighbours, as admins say.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link::Frame;
use serde::{Deserialize, Serialize};

use super::Neighbour;
use super::greeting::standing;
use super::pairing::unknown;
use crate::domain::role::Role;
use crate::service::audit::{self, Action};
use crate::service::permission::RecentlyConfirmed;
use crate::service::{ServiceError, classes};
use crate::state::App;

/// What changes in a contract; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContractChange {
    /// Everybody, or not everybody any more.
    pub everybody: Option<bool>,
    /// The roles that may talk across.
    pub roles: Option<Vec<Role>>,
    /// Names of the classes that may, or `#` and their numbers.
    pub classes: Option<Vec<String>>,
    /// Whether what it brings may pass on.
    pub hop_through: Option<bool>,
    /// Envelopes it may bring per minute.
    pub per_minute: Option<u32>,
    /// MiB that may wait.
    pub queue_mib: Option<u64>,
    /// Whether each is a second home for the other's participants.
    pub second_home: Option<bool>,
}

/// Changes what may pass: with one neighbour, or with all there are.
///
/// # Errors
/// [`crate::service::AdminError::UnknownNeighbour`], or
/// [`crate::service::AdminError::UnknownClass`].
pub async fn allow(
    app: &App,
    admin: &RecentlyConfirmed,
    id: Option<Fingerprint>,
    change: ContractChange,
) -> Result<Vec<Neighbour>, ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    let changed = app
        .store
        .write(move |tx| {
            let classes = change.classes.as_ref().map(|names| {
                names
                    .iter()
                    .map(|name| Ok(classes::find_class(tx, name)?.id))
                    .collect::<Result<Vec<_>, ServiceError>>()
            });
            let classes = classes.transpose()?;
            let rows = match id {
                Some(id) => vec![tx.find_neighbour(id)?.ok_or_else(unknown)?],
                None => tx.list_neighbours()?,
            };
            let mut changed = Vec::with_capacity(rows.len());
            for mut row in rows {
                let contract = &mut row.contract;
                contract.everybody = change.everybody.unwrap_or(contract.everybody);
                contract.hop_through = change.hop_through.unwrap_or(contract.hop_through);
                contract.second_home = change.second_home.unwrap_or(contract.second_home);
                contract.per_minute = change.per_minute.unwrap_or(contract.per_minute).max(1);
                if let Some(mib) = change.queue_mib {
                    contract.queue_bytes = mib.clamp(1, 1024 * 1024) * 1024 * 1024;
                }
                if let Some(roles) = &change.roles {
                    contract.roles.clone_from(roles);
                }
                if let Some(classes) = &classes {
                    contract.classes.clone_from(classes);
                }
                tx.save_neighbour(&row)?;
                audit::log(tx, now, &account, Action::ContractChanged, &row.id.to_string())?;
                changed.push(row);
            }
            Ok::<_, ServiceError>(changed)
        })
        .await?;
    for row in changed {
        // What the other side holds back because of the contract before may come now.
        if let Some(link) = app.links.link(row.id) {
            link.try_send(&Frame::Standing(standing(&row)));
        }
    }
    app.links.forget_unknown();
    app.links.telling.notify_one();
    let all = super::list(app, admin).await?;
    Ok(all.into_iter().filter(|neighbour| id.is_none_or(|id| neighbour.id == id)).collect())
}
