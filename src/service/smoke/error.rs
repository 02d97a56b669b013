//! Why something about Smoke that admins ask for was refused. As [`AdminError`] is, each is a row.

use momedo_texts::Refusal;
use strum::{EnumIter, IntoStaticStr};

use crate::service::{AdminError, ServiceError};

/// Why something about Smoke was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum SmokeError {
    /// Not 32 hexadecimal digits.
    NotASmokeId,
    /// The ID is there.
    #[strum(serialize = "smoke-id-exists")]
    ParticipantExists,
    /// Nobody with this ID.
    #[strum(serialize = "unknown-smoke-id")]
    UnknownParticipant,
    /// The server's limit.
    #[strum(serialize = "too-many-smoke-ids")]
    TooManyParticipants,
    /// There are none to decide about.
    NoWaitingKeys,
    /// Empty, too long, or with control characters.
    UnacceptableOzone,
    /// An ozone of this name is there.
    OzoneExists,
    /// No such ozone.
    UnknownOzone,
    /// The server's limit.
    TooManyOzones,
    /// Not a number of clients.
    MaxClients,
    /// Not a host with a port.
    #[strum(serialize = "not-a-smoke-neighbour")]
    NotANeighbour,
    /// The neighbour is there.
    #[strum(serialize = "smoke-neighbour-exists")]
    NeighbourExists,
    /// No such neighbour.
    #[strum(serialize = "unknown-smoke-neighbour")]
    UnknownNeighbour,
    /// The server's limit.
    #[strum(serialize = "too-many-smoke-neighbours")]
    TooManyNeighbours,
}

crate::texts::shown_in_english!(SmokeError);

impl Refusal for SmokeError {
    fn word(&self) -> &'static str {
        self.into()
    }
}

impl From<SmokeError> for ServiceError {
    fn from(error: SmokeError) -> Self {
        Self::Admin(AdminError::Smoke(error))
    }
}
