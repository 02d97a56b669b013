//! The WebSocket `momedo.v1` at `/api/v1/stream`: one JSON object per text frame.
//!
//! Flow control: the server keeps at most a window of deliveries unacknowledged (asked for with
//! `?window=`); what comes beyond waits in the ozone. A client may have 64 submissions unanswered;
//! the server reads no further until it has answered some.

use serde::{Deserialize, Serialize};

use crate::api::{DeviceState, SubmitRequest};
use crate::blob::BlobId;
use crate::cursor::Cursor;
use crate::encoding::{Base64Bytes, append_base64};
use crate::group::GroupId;
use crate::id::{DeviceId, ParticipantId};
use crate::message_id::MessageId;
use crate::problem::Problem;
use crate::time::UnixMillis;

/// The WebSocket subprotocol's name.
pub const SUBPROTOCOL: &str = "momedo.v1";

/// Most submissions of one stream that may be unanswered.
pub const MAX_PENDING_SUBMISSIONS: usize = 64;

/// What a client sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", try_from = "AnyClientFrame")]
pub enum ClientFrame {
    /// Submits an envelope; answered by `accepted` or `refused`.
    Send(SubmitRequest),
    /// Everything up to the cursor is stored by the device.
    Ack {
        /// The last stored delivery's place.
        cursor: Cursor,
    },
}

/// Every field a client's frame may have. Read in one pass: a tagged enum would first copy the whole frame
/// to find its tag.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnyClientFrame {
    r#type: ClientFrameType,
    id: Option<MessageId>,
    to: Option<ParticipantId>,
    device: Option<DeviceId>,
    envelope: Option<Base64Bytes>,
    own_devices: Option<Base64Bytes>,
    blobs: Option<Vec<BlobId>>,
    cursor: Option<Cursor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ClientFrameType {
    Send,
    Ack,
}

impl TryFrom<AnyClientFrame> for ClientFrame {
    type Error = &'static str;
    fn try_from(frame: AnyClientFrame) -> Result<Self, &'static str> {
        match frame {
            AnyClientFrame {
                r#type: ClientFrameType::Send,
                id: Some(id),
                to: Some(to),
                device,
                envelope: Some(envelope),
                own_devices,
                blobs,
                cursor: None,
            } => {
                let blobs = blobs.unwrap_or_default();
                Ok(Self::Send(SubmitRequest { id, to, device, envelope, own_devices, blobs }))
            }
            AnyClientFrame {
                r#type: ClientFrameType::Ack,
                id: None,
                to: None,
                device: None,
                envelope: None,
                own_devices: None,
                blobs: None,
                cursor: Some(cursor),
            } => Ok(Self::Ack { cursor }),
            AnyClientFrame { r#type: ClientFrameType::Send, .. } => Err(
                "a send frame has id, to and envelope, may have device, own_devices and blobs, and no cursor",
            ),
            AnyClientFrame { r#type: ClientFrameType::Ack, .. } => {
                Err("an ack frame has a cursor and no more")
            }
        }
    }
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
        /// The group it was posted to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<GroupId>,
        /// In groups without a group key: the content key, sealed to the participant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<Base64Bytes>,
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

/// What a `deliver` frame says, borrowed from where it is kept.
#[derive(Debug, Clone, Copy)]
pub struct Delivering<'a> {
    /// Its place in the queue.
    pub cursor: Cursor,
    /// Who sent it.
    pub from: ParticipantId,
    /// The sender's ID for it.
    pub id: MessageId,
    /// When the server took it.
    pub accepted_at: UnixMillis,
    /// The group it was posted to.
    pub group: Option<GroupId>,
    /// The content key, sealed to the participant.
    pub slot: Option<&'a [u8]>,
    /// The envelope.
    pub envelope: &'a [u8],
}

/// A `deliver` frame as JSON, written in one pass; the same text as [`ServerFrame::Deliver`] makes.
///
/// Nothing in it needs escaping, which is what takes longest with a large envelope.
pub fn deliver_frame(delivering: &Delivering<'_>) -> String {
    use std::fmt::Write;
    let Delivering { cursor, from, id, accepted_at: UnixMillis(accepted_at), group, slot, envelope } =
        delivering;
    let bytes = envelope.len() + slot.map_or(0, <[u8]>::len);
    let mut text = String::with_capacity(256 + bytes.div_ceil(3) * 4);
    write!(
        text,
        r#"{{"type":"deliver","cursor":"{cursor}","from":"{from}","id":"{id}","accepted_at":{accepted_at},"#
    )
    .expect("writing into a String does not fail");
    if let Some(group) = group {
        write!(text, r#""group":"{group}","#).expect("writing into a String does not fail");
    }
    if let Some(slot) = slot {
        text.push_str(r#""slot":""#);
        append_base64(slot, &mut text);
        text.push_str("\",");
    }
    text.push_str(r#""envelope":""#);
    append_base64(envelope, &mut text);
    text.push_str("\"}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::StoreEpoch;

    #[test]
    fn a_written_delivery_is_what_its_type_serializes_to() {
        let cursor = Cursor { epoch: StoreEpoch::random(), sequence: 7 };
        let (from, id) = (ParticipantId::random(), MessageId([0xAB; 16]));
        let accepted_at = UnixMillis(1_790_000_000_000);
        for bytes in [vec![], vec![0xFF; 100], vec![1, 2, 3, 4]] {
            for (group, slot) in [
                (None, None),
                (GroupId::from_number(77), None),
                (GroupId::from_number(77), Some(vec![9, 8, 7])),
            ] {
                let frame = ServerFrame::Deliver {
                    cursor,
                    from,
                    id,
                    accepted_at,
                    group,
                    slot: slot.clone().map(Base64Bytes),
                    envelope: Base64Bytes(bytes.clone()),
                };
                let slot = slot.as_deref();
                let written = deliver_frame(&Delivering {
                    cursor,
                    from,
                    id,
                    accepted_at,
                    group,
                    slot,
                    envelope: &bytes,
                });
                assert_eq!(written, serde_json::to_string(&frame).unwrap());
            }
        }
    }

    #[test]
    fn a_client_frame_has_the_fields_of_its_type_and_no_other() {
        let id = r#""id":"00000000000000000000000000000000""#;
        let send = format!(r#"{{"type":"send",{id},"to":"M8N22HT6","envelope":"AAAA"}}"#);
        let sent = serde_json::from_str::<ClientFrame>(&send);
        assert!(matches!(sent, Ok(ClientFrame::Send(_))), "{sent:?}");
        for wrong in [
            r#"{"type":"send"}"#,
            r#"{"type":"ack"}"#,
            r#"{"type":"ack","cursor":"7QK0M3ZD.42","to":"M8N22HT6"}"#,
            r#"{"type":"ack","cursor":"7QK0M3ZD.42","more":1}"#,
            r#"{"type":"other","cursor":"7QK0M3ZD.42"}"#,
            r#"{"cursor":"7QK0M3ZD.42"}"#,
        ] {
            assert!(serde_json::from_str::<ClientFrame>(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<ClientFrame>(r#"{"type":"ack","cursor":"7QK0M3ZD.42"}"#).is_ok());
    }
}
