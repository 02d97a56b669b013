//! What the calls under `/groups` take and give.

use serde::{Deserialize, Serialize};

use super::{ReceiptStatus, wire};
use crate::blob::BlobId;
use crate::digest::Sha512Digest;
use crate::encoding::Base64Bytes;
use crate::group::GroupId;
use crate::id::ParticipantId;
use crate::jws::Jws;
use crate::message_id::MessageId;
use crate::problem::Problem;

/// Most envelopes one `POST /groups/{id}/keys` carries.
pub const MAX_GROUP_KEYS_AT_ONCE: usize = 50;

wire! {
    /// `POST /groups` and `POST /groups/{id}/entries`: one signed entry.
    request GroupEntryRequest {
        /// A `momedo-group-entry+jws`.
        pub entry: Jws,
    }
}

wire! {
    /// An entry was taken.
    response GroupEntryTaken {
        /// The group.
        pub id: GroupId,
        /// The entry's number, the last one now.
        pub number: u32,
    }
}

wire! {
    /// `GET /groups`: the asker's groups, and the open ones that can be joined.
    response Groups {
        /// Groups the asker belongs to.
        pub groups: Vec<GroupSummary>,
        /// Open groups the asker does not belong to, by name; not all of them if `more_open`.
        pub open: Vec<GroupSummary>,
        /// Whether there are more open groups than are listed.
        #[serde(default)]
        pub more_open: bool,
    }
}

wire! {
    /// What the server says of a group; the chain says it with a signature.
    response GroupSummary {
        /// The short ID.
        pub id: GroupId,
        /// The group: digest of its first entry.
        pub group: Sha512Digest,
        /// What people call it.
        pub name: String,
        /// Number of the last entry.
        pub number: u32,
        /// How many belong to it.
        pub members: u64,
    }
}

wire! {
    /// `GET /groups/{id}/entries`: the chain, or a part of it; whoever may only join gets the first entry alone.
    response GroupEntries {
        /// The group: digest of its first entry.
        pub group: Sha512Digest,
        /// Entries after the one asked from, in order; fewer than there are when they are large.
        pub entries: Vec<Jws>,
        /// Number of the last entry the asker may read.
        pub number: u32,
        /// To how many members the server passes on what is posted, as far as it knows; more than the chain has
        /// means that somebody listens who does not belong.
        pub members: u64,
        /// Members whose keys were reset and whom the chain does not exclude yet.
        pub reset: Vec<ParticipantId>,
        /// Where the chain ends, for somebody who does not belong and may join.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub join: Option<ChainEnd>,
    }
}

wire! {
    /// What the next entry of a chain follows.
    response ChainEnd {
        /// Number of the last entry.
        pub number: u32,
        /// Its digest.
        pub head: Sha512Digest,
    }
}

wire! {
    /// `POST /groups/{id}/keys`: an envelope of its own for each of several members.
    request GroupKeysRequest {
        /// One message ID for all of them.
        pub id: MessageId,
        /// At most 50, each for another member.
        pub messages: Vec<GroupKeyMessage>,
    }
}

wire! {
    /// One member's envelope.
    request GroupKeyMessage {
        /// The member.
        pub to: ParticipantId,
        /// The envelope.
        pub envelope: Base64Bytes,
    }
}

wire! {
    /// What became of the envelopes: all are on disk but those named.
    response GroupKeysReceipt {
        /// Envelopes that were not taken.
        pub refused: Vec<RefusedGroupKey>,
    }
}

wire! {
    /// An envelope that was not taken.
    response RefusedGroupKey {
        /// The member.
        pub to: ParticipantId,
        /// Why.
        pub problem: Problem,
    }
}

wire! {
    /// `POST /groups/{id}/messages`: posts to the whole group.
    request GroupMessageRequest {
        /// The message ID that also stands in the envelope.
        pub id: MessageId,
        /// Number of the last entry the sender knows; posting to an older state is refused.
        pub number: u32,
        /// The group envelope.
        pub envelope: Base64Bytes,
        /// In groups without a group key: the content key for each member, the sender included.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub slots: Vec<GroupSlot>,
        /// Blobs the message refers to, at most 16: whoever gets the message may fetch them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub blobs: Vec<BlobId>,
    }
}

wire! {
    /// The content key of a message, sealed to one member.
    request GroupSlot {
        /// The member.
        pub to: ParticipantId,
        /// The sealed content key.
        pub slot: Base64Bytes,
    }
}

wire! {
    /// 201: the message is on disk.
    response GroupReceipt {
        /// The message.
        pub id: MessageId,
        /// Always `accepted`.
        pub status: ReceiptStatus,
        /// To how many members it goes, the sender included.
        pub members: u64,
        /// Members it cannot be passed on to: their server is no neighbour any more, or they were blocked here. Said once,
        /// and not when the message is repeated.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub left_out: Vec<ParticipantId>,
    }
}
