//! What a participant's first home tells the second one, so that it can stand in for it.

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, ParticipantId};
use crate::jws::Jws;

/// Everything a second home has to know of a participant. The bundle names both homes, so it is the participant who
/// wants this; the rest is the first home's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Who.
    pub id: ParticipantId,
    /// Whether they may act; false while an admin of the first home has disabled them.
    pub active: bool,
    /// `member`, `employee`, `admin` or `bot`; anything else counts as `member`.
    pub role: String,
    /// Bundles that changed the signature key, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Jws>,
    /// The current bundle.
    pub bundle: Jws,
    /// The first home's countersignature of it.
    pub countersignature: Jws,
    /// The current device list.
    pub device_list: Jws,
    /// Devices in the list that no admin locked out.
    pub devices: Vec<DeviceId>,
    /// From whom they take nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<ParticipantId>,
}
