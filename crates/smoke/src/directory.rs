//! Whom and what a server knows: participants, ozones, and who is connected, with all keys prepared.

use std::collections::HashMap;

use crate::destination::Identity;
use crate::key_stream::KeyStream;
use crate::mac::MacKey;
use crate::smoke_id::SmokeId;

/// A named ozone.
pub struct Ozone {
    /// The keys that follow from its name.
    pub stream: KeyStream,
}

/// A participant.
pub struct Participant {
    /// The caller's number for it.
    pub number: i64,
    /// The ID.
    pub id: SmokeId,
    /// The keys that follow from the ID; also those of the ozone of that name.
    pub stream: KeyStream,
    /// What frames for it are addressed with.
    pub identity: Identity,
    identity_key: MacKey,
}

impl Participant {
    /// Prepares a participant's keys.
    pub fn new(number: i64, id: SmokeId, stream: KeyStream) -> Self {
        let identity = id.routing_identity();
        Self { number, id, stream, identity, identity_key: MacKey::new(&identity) }
    }

    /// The key of its routing identity.
    pub fn identity_key(&self) -> &MacKey {
        &self.identity_key
    }
}

/// Everything a server recognises frames by, apart from who is connected. Replaced as a whole when it changes.
#[derive(Default)]
pub struct Directory {
    ozones: Vec<Ozone>,
    participants: Vec<Participant>,
    by_identity: HashMap<Identity, usize>,
}

impl Directory {
    /// Puts a directory together.
    pub fn new(ozones: Vec<Ozone>, participants: Vec<Participant>) -> Self {
        let by_identity = participants.iter().enumerate().map(|(index, one)| (one.identity, index)).collect();
        Self { ozones, participants, by_identity }
    }

    /// The ozones.
    pub fn ozones(&self) -> &[Ozone] {
        &self.ozones
    }

    /// The participants.
    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }

    /// The participant with this routing identity.
    pub fn by_identity(&self, identity: &Identity) -> Option<&Participant> {
        self.by_identity.get(identity).map(|index| &self.participants[*index])
    }

    /// The participant with this ID.
    pub fn by_id(&self, id: &SmokeId) -> Option<&Participant> {
        self.by_identity(&id.routing_identity())
    }
}
