//! Who may send and who receives, in the writer's memory.
//!
//! Every submission asks this about two participants, and it changes rarely. Only the writer thread has
//! it; whatever changes participants, devices or bundles forgets it all, and so does a job that fails.

use std::collections::HashMap;
use std::sync::Arc;

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::id::{DeviceId, ParticipantId};

use super::{ParticipantState, StoreError, WriteTx};

/// Participants kept in memory, a few hundred bytes each; beyond that all are forgotten.
const MAX_ENTRIES: usize = 50_000;

/// What a submission needs to know of a participant.
#[derive(Debug, Clone)]
pub struct DirectoryEntry {
    /// Whether the participant may act.
    pub state: ParticipantState,
    /// Devices that are neither revoked nor parked.
    pub receiving: Vec<DeviceId>,
    /// Devices that are parked.
    pub parked: Vec<DeviceId>,
    /// Version and digest of the newest bundle.
    pub current_bundle: Option<(u64, Sha512Digest)>,
    /// From whom the participant takes nothing, by ID.
    pub blocked: Vec<ParticipantId>,
    /// The other server that keeps their mail, if there is one.
    pub other_home: Option<Fingerprint>,
}

/// The entries in memory.
#[derive(Debug, Default)]
pub(super) struct Directory(HashMap<u64, Arc<DirectoryEntry>>);

impl Directory {
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

impl DirectoryEntry {
    /// Whether the device is listed and not revoked.
    pub fn has_device(&self, device: DeviceId) -> bool {
        self.receiving.contains(&device) || self.parked.contains(&device)
    }

    /// Whether the participant takes nothing from `sender`.
    pub fn blocks(&self, sender: ParticipantId) -> bool {
        self.blocked.binary_search(&sender).is_ok()
    }
}

impl WriteTx<'_> {
    /// What a submission needs to know of a participant; `None` for an ID nobody has.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn directory_entry(&mut self, id: ParticipantId) -> Result<Option<Arc<DirectoryEntry>>, StoreError> {
        if let Some(entry) = self.directory.0.get(&id.number()) {
            return Ok(Some(entry.clone()));
        }
        let Some(participant) = self.find_participant(id)? else { return Ok(None) };
        let devices = self.list_devices(id)?;
        let with = |parked| devices.iter().filter(move |d| d.parked == parked).map(|d| d.id).collect();
        let entry = Arc::new(DirectoryEntry {
            state: participant.state,
            receiving: with(false),
            parked: with(true),
            current_bundle: self.current_bundle(id)?.map(|row| (row.version, row.digest)),
            blocked: self.list_blocks(id)?.into_iter().map(|(blocked, _)| blocked).collect(),
            other_home: self.find_other_home(id)?.filter(|home| !home.ends).map(|home| home.server),
        });
        if self.directory.0.len() >= MAX_ENTRIES {
            self.directory.forget();
        }
        self.directory.0.insert(id.number(), entry.clone());
        Ok(Some(entry))
    }
}
