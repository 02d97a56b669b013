//! What is to be shown next: messages as they are shown, and what this program says itself. It stands on the profile alone,
//! so that whoever finds something out can say it.

mod notices;
mod received;

use momedo_protocol::api::Delivery;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;

use crate::ClientError;
use crate::profile::Profile;
pub(crate) use notices::{keep_beginning, put_undeliverable, take};
pub use received::{Received, ReceivedFile};
pub(crate) use received::{described, said, unreadable};

/// Has an event shown with the next messages, unless the sender's of this ID was already.
pub(crate) fn put_event(
    profile: &Profile,
    sender: &str,
    id: MessageId,
    event: &Received,
) -> Result<(), ClientError> {
    let text = serde_json::to_string(event).map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.put_inbox(sender, id, Some(&text))
}

/// Has an alarm about the server shown with the next messages.
pub(crate) fn put_alarm(profile: &Profile, words: &str) -> Result<(), ClientError> {
    let alarm = said(profile, words)?;
    let event = serde_json::to_string(&alarm).map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.put_inbox("alarm", alarm.id, Some(&event))
}

/// Has it shown with the next messages that some will not come to this device any more.
pub(crate) fn put_missed(profile: &Profile, count: u64) -> Result<(), ClientError> {
    let messages = if count == 1 { "1 message was".into() } else { format!("{count} messages were") };
    let words = format!(
        "{messages} lost to this device: they waited too long, there was no room for them, or the device was not seen for a \
         month; other devices of yours may have them, and their senders can send them again"
    );
    let event = Received { kind: "missed".into(), ..said(profile, &words)? };
    let text = serde_json::to_string(&event).map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.put_inbox("missed", event.id, Some(&text))
}

/// Has it shown with the next messages that a contact added a device; once for each device list.
pub(crate) fn put_device_added(
    profile: &Profile,
    contact: ParticipantId,
    list: &momedo_protocol::digest::Sha512Digest,
    words: &str,
) -> Result<(), ClientError> {
    let said = said(profile, words)?;
    let id = list.0.first_chunk().copied().map_or(said.id, MessageId);
    let event = Received { id, to: Some(contact), kind: "device-added".into(), event: true, ..said };
    let text = serde_json::to_string(&event).map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.put_inbox(&format!("devices {contact}"), id, Some(&text))
}

/// Has it shown with the next messages that somebody is called otherwise than before.
pub(crate) fn put_renamed(profile: &Profile, who: ParticipantId, words: &str) -> Result<(), ClientError> {
    let event = Received { from: who, kind: "renamed".into(), ..said(profile, words)? };
    let text = serde_json::to_string(&event).map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.put_inbox(&format!("renamed {who}"), event.id, Some(&text))
}

/// Shows what nobody vouches for.
pub(crate) fn put_unverified(
    profile: &Profile,
    delivery: &Delivery,
    received: &Received,
) -> Result<(), ClientError> {
    let sender = match delivery.group {
        Some(_) => group_sender(delivery),
        None => delivery.from.to_string(),
    };
    let event = serde_json::to_string(received).map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.put_inbox(&unverified(&sender), delivery.id, Some(&event))
}

/// What stands for a sender whom nobody vouches for.
pub(crate) fn unverified(sender: &str) -> String {
    format!("unverified {sender}")
}

/// One sender may use a message ID once in every conversation.
pub(crate) fn group_sender(delivery: &Delivery) -> String {
    let group = delivery.group.map(|group| group.to_string()).unwrap_or_default();
    format!("{} {group}", delivery.from)
}
