//! Why something about Smoke that admins ask for was refused. The pages have words for each in both languages.

use crate::service::{AdminError, ServiceError};

/// Why something about Smoke was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SmokeError {
    /// Not 32 hexadecimal digits.
    #[error("a Smoke ID has 32 hexadecimal digits, such as 2151-A14F-7894-DBBF-41C3-FE81-84CC-AEF7")]
    NotASmokeId,
    /// The ID is there.
    #[error("this Smoke ID is there already")]
    ParticipantExists,
    /// Nobody with this ID.
    #[error("nobody has this Smoke ID here")]
    UnknownParticipant,
    /// The server's limit.
    #[error(
        "there are as many Smoke IDs as this server takes: delete some, or change smoke.max_participants"
    )]
    TooManyParticipants,
    /// There are none to decide about.
    #[error("no keys wait for approval under this Smoke ID")]
    NoWaitingKeys,
    /// Empty, too long, or with control characters.
    #[error("an ozone's name has 1 to 200 characters that can be typed")]
    UnacceptableOzone,
    /// An ozone of this name is there.
    #[error("this ozone is there already")]
    OzoneExists,
    /// No such ozone.
    #[error("there is no such ozone")]
    UnknownOzone,
    /// The server's limit.
    #[error("a server has at most 16 ozones")]
    TooManyOzones,
    /// Not a number of clients.
    #[error("a listener takes 1 to 10000 clients")]
    MaxClients,
    /// Not a host with a port.
    #[error("a host with a port is expected, such as smoke.example.org:4710")]
    NotANeighbour,
    /// The neighbour is there.
    #[error("this Smoke neighbour is there already")]
    NeighbourExists,
    /// No such neighbour.
    #[error("there is no such Smoke neighbour")]
    UnknownNeighbour,
    /// The server's limit.
    #[error("a server has at most 32 Smoke neighbours")]
    TooManyNeighbours,
}

impl SmokeError {
    /// The word the pages know it by.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotASmokeId => "not-a-smoke-id",
            Self::ParticipantExists => "smoke-id-exists",
            Self::UnknownParticipant => "unknown-smoke-id",
            Self::TooManyParticipants => "too-many-smoke-ids",
            Self::NoWaitingKeys => "no-waiting-keys",
            Self::UnacceptableOzone => "unacceptable-ozone",
            Self::OzoneExists => "ozone-exists",
            Self::UnknownOzone => "unknown-ozone",
            Self::TooManyOzones => "too-many-ozones",
            Self::MaxClients => "max-clients",
            Self::NotANeighbour => "not-a-smoke-neighbour",
            Self::NeighbourExists => "smoke-neighbour-exists",
            Self::UnknownNeighbour => "unknown-smoke-neighbour",
            Self::TooManyNeighbours => "too-many-smoke-neighbours",
        }
    }
}

impl From<SmokeError> for ServiceError {
    fn from(error: SmokeError) -> Self {
        Self::Admin(AdminError::Smoke(error))
    }
}
