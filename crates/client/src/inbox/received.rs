//! A received message as it is shown.

use std::path::PathBuf;

use momedo_protocol::api::Delivery;
use momedo_protocol::blob::{BlobId, FileReference};
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::Content;
use momedo_protocol::message::Message;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::profile::Profile;
use crate::profile::contact::Trust;
use crate::{ClientError, now};

/// A received message as it is shown; one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The sender's ID for it.
    pub id: MessageId,
    /// Who sent it.
    pub from: ParticipantId,
    /// What the sender is called, where their home vouches for a name and the message is theirs without doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_name: Option<String>,
    /// On a copy of what another own device sent: to whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ParticipantId>,
    /// What that person is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_name: Option<String>,
    /// The group it was posted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// What the group is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// `text`, `unreadable`, an unknown kind as it came, an event, or `waiting` for mail that cannot be judged yet.
    pub kind: String,
    /// The text, where the kind has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How the own message begins that did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Why it did not, as the recipient's home says; the text says it in words. Absent when its time was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The whole body, of kinds that are more than a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<serde_json::Value>,
    /// Files that came along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ReceivedFile>,
    /// When it was written, by the sender's clock; when the server took it, if it cannot be read.
    pub sent_at: UnixMillis,
    /// Whether the signature fits the pinned key.
    pub verified: bool,
    /// `first-use` or `compared`.
    pub trust: String,
    /// The suite it was sealed with.
    pub suite: u8,
    /// Whether people wrote it; the rest is shown only when asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub event: bool,
}

/// A file that came along with a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceivedFile {
    /// What `momedo file save` takes.
    pub id: BlobId,
    /// What its sender calls it.
    pub name: String,
    /// Its media type, as its sender says.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<PathBuf>,
    /// Why it was not saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Something that this program says itself.
pub(crate) fn said(profile: &Profile, words: &str) -> Result<Received, ClientError> {
    Ok(Received {
        id: MessageId::new(now()),
        from: profile.id()?,
        from_name: None,
        to: None,
        to_name: None,
        group: None,
        group_name: None,
        kind: "alarm".into(),
        text: Some(words.to_owned()),
        about: None,
        reason: None,
        body: None,
        files: Vec::new(),
        sent_at: now(),
        verified: true,
        trust: Trust::Compared.name().into(),
        suite: 0,
        event: false,
    })
}

/// A body as it is shown: the keys of its files are nobody's business.
fn without_keys(body: &serde_json::Value) -> serde_json::Value {
    let mut body = body.clone();
    let files = body.get_mut("files").and_then(serde_json::Value::as_array_mut);
    for file in files.into_iter().flatten().filter_map(serde_json::Value::as_object_mut) {
        file.remove("key");
    }
    body
}

fn described_file(file: &FileReference) -> ReceivedFile {
    ReceivedFile {
        id: file.blob,
        name: file.name.clone(),
        media_type: file.media_type.clone(),
        size: file.size,
        saved: None,
        problem: None,
    }
}

/// Kinds under which this program tells of something itself.
const OWN_KINDS: &[&str] =
    &["alarm", "delivered", "device-added", "missed", "renamed", "undeliverable", "unreadable", "waiting"];

/// The kind as it is shown: nobody's message passes for something that this program says.
fn shown_kind(kind: &str) -> String {
    if OWN_KINDS.contains(&kind) { format!("message {kind}") } else { kind.to_owned() }
}

/// An opened message as it is shown.
pub(crate) fn described(message: &Message, verified: bool, trust: Trust, suite: u8) -> Received {
    let content = Content::read(&message.kind, &message.body);
    let is_text = matches!(content, Content::Text(_));
    Received {
        id: message.id,
        from: message.from,
        from_name: None,
        to: None,
        to_name: None,
        group: message.group.map(|group| GroupId::of(&group.id)),
        group_name: None,
        kind: shown_kind(&message.kind),
        text: content.text().map(str::to_owned),
        about: None,
        reason: None,
        body: (!is_text).then(|| without_keys(&message.body)),
        files: content.files().iter().map(described_file).collect(),
        sent_at: message.sent_at,
        verified,
        trust: trust.name().into(),
        suite,
        event: matches!(content, Content::Receipt(_)),
    }
}

pub(crate) fn unreadable(delivery: &Delivery) -> Received {
    Received {
        id: delivery.id,
        from: delivery.from,
        from_name: None,
        to: None,
        to_name: None,
        group: None,
        group_name: None,
        kind: "unreadable".into(),
        text: None,
        about: None,
        reason: None,
        body: None,
        files: Vec::new(),
        sent_at: delivery.accepted_at,
        verified: false,
        trust: Trust::FirstUse.name().into(),
        suite: delivery.envelope.0.get(1).copied().unwrap_or(0),
        event: false,
    }
}
