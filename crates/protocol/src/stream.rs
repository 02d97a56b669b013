//! The WebSocket `momedo.v1` at `/api/v1/stream`: one JSON object per text frame.
//!
//! Flow control: the server keeps at most a window of deliveries unacknowledged (asked for with
//! `?window=`); what comes beyond waits in the ozone. A client may have 64 submissions unanswered;
//! the server reads no further until it has answered some.

use serde::{Deserialize, Serialize};

use crate::api::{DeviceState, SubmitRequest};
use crate::cursor::Cursor;
use crate::encoding::Base64Bytes;
use crate::id::ParticipantId;
use crate::message_id::MessageId;
use crate::problem::Problem;
use crate::time::UnixMillis;

/// The WebSocket subprotocol's name.
pub const SUBPROTOCOL: &str = "momedo.v1";

/// Most submissions of one stream that may be unanswered.
pub const MAX_PENDING_SUBMISSIONS: usize = 64;

/// What a client sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ClientFrame {
    /// Submits an envelope; answered by `accepted` or `refused`.
    Send(SubmitRequest),
    /// Everything up to the cursor is stored by the device.
    Ack {
        /// The last stored delivery's place.
        cursor: Cursor,
    },
}

/// What a server sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerFrame {
    /// The envelope is on disk.
    Accepted {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: ParticipantId,
    },
    /// The envelope was not taken.
    Refused {
        /// The message.
        id: MessageId,
        /// Its recipient.
        to: ParticipantId,
        /// Why.
        problem: Problem,
    },
    /// An envelope for this device.
    Deliver {
        /// Its place in the queue.
        cursor: Cursor,
        /// Who sent it.
        from: ParticipantId,
        /// The sender's ID for it.
        id: MessageId,
        /// When the server took it.
        accepted_at: UnixMillis,
        /// The envelope.
        envelope: Base64Bytes,
    },
    /// Something else the client sent was refused, an acknowledgement for example.
    Problem {
        /// Why.
        problem: Problem,
    },
    /// The participant's own devices; sent at the start and when one comes or goes.
    Presence {
        /// Every listed device.
        devices: Vec<DeviceState>,
    },
    /// Envelopes were lost to this device because its queue was full or parked.
    Missed {
        /// How many.
        count: u64,
    },
}
