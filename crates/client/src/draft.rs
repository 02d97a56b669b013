//! What is to be said, and to whom.

use momedo_protocol::blob::{BlobId, FileReference};
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::Content;

/// What is to be said: the kind of a message and its body.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The kind.
    pub kind: String,
    /// The body, as the kind asks.
    pub body: serde_json::Value,
    /// Whether the own other devices get it too.
    pub own_copy: bool,
    /// Files that go along; whoever gets the message may fetch them.
    pub files: Vec<FileReference>,
}

impl Draft {
    /// A plain text.
    pub fn text(text: &str) -> Self {
        Self::of(&Content::Text(text.into()))
    }

    /// The blobs it refers to.
    pub(crate) fn blobs(&self) -> Vec<BlobId> {
        self.files.iter().map(|file| file.blob).collect()
    }

    /// Anything that has a kind.
    pub fn of(content: &Content) -> Self {
        let (kind, body) = content.write();
        Self { kind: kind.into(), body, own_copy: true, files: content.files().to_vec() }
    }
}

/// Whom a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// A participant.
    Participant(ParticipantId),
    /// A group.
    Group(GroupId),
}

impl std::str::FromStr for Destination {
    type Err = String;
    /// Tells the two by their length.
    fn from_str(text: &str) -> Result<Self, String> {
        let participant = text.parse().map(Self::Participant).ok();
        participant.or_else(|| text.parse().map(Self::Group).ok()).ok_or_else(|| {
            "a participant's ID has 8 letters and digits, such as M8N22HT6, a group's 12".to_owned()
        })
    }
}
