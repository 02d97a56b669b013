//! `send`, and the files that go along with messages.

use std::path::PathBuf;
use std::time::Duration;

use momedo_protocol::blob::{FileReference, MAX_MESSAGE_BLOBS};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::{Announcement, Attachments, Content, Place, Poll, Task};
use momedo_protocol::message_id::MessageId;
use serde::Serialize;

use super::{CommandError, Reader, Status};
use crate::blobs::{self, Metadata};
use crate::contacts::Trust;
use crate::profile::Profile;
use crate::sending::{self, Destination, Draft};

/// How many seconds sending is tried while the server cannot be reached, unless somebody says otherwise.
pub const WAIT_SECONDS: u64 = 10;

/// Files to go along with a message.
#[derive(Debug, Clone)]
pub struct Attaching {
    /// The files.
    pub paths: Vec<PathBuf>,
    /// What images tell beside the picture.
    pub metadata: Metadata,
}

/// Uploads files; `wait` is how long nothing may move.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn attach(
    profile: &Profile,
    attaching: &Attaching,
    wait: Duration,
    reader: Reader<'_>,
) -> Result<Vec<FileReference>, CommandError> {
    let Attaching { paths, metadata } = attaching;
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    if paths.len() > MAX_MESSAGE_BLOBS {
        return Err(CommandError::TooManyFiles);
    }
    blobs::attach(profile, paths, *metadata, wait, reader.language, reader.progress)
        .await
        .map_err(CommandError::NotSent)
}

/// What a message is.
#[derive(Debug, Clone)]
pub enum Meant {
    /// Something said, perhaps about a place.
    Message(Option<Place>),
    /// Something whose readers are seen.
    Announcement,
    /// Something that gets done.
    Task,
    /// A question.
    Poll {
        /// Its answers.
        options: Vec<String>,
        /// Whether several may be chosen.
        several: bool,
    },
}

impl Meant {
    /// The message with this text and these files.
    ///
    /// # Errors
    /// [`CommandError::NoPoll`].
    pub fn draft(&self, text: &str, files: Vec<FileReference>) -> Result<Draft, CommandError> {
        let text = text.to_owned();
        let content = match self {
            Self::Announcement => Content::Announcement(Announcement { text, files }),
            Self::Task => Content::Task(Task { text, files }),
            Self::Poll { options, several } => {
                let poll = Poll { question: text, options: options.clone(), several: *several };
                if !poll.is_acceptable() {
                    return Err(CommandError::NoPoll);
                }
                Content::Poll(poll)
            }
            Self::Message(_) if files.is_empty() => Content::Text(text),
            Self::Message(place) => {
                let is_image = files.iter().all(|file| file.media_type.starts_with("image/"));
                let body = Attachments { text, files, place: *place };
                if is_image { Content::Image(body) } else { Content::File(body) }
            }
        };
        Ok(Draft::of(&content))
    }
}

/// A message that is on the server's disk.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// The message.
    pub id: MessageId,
    /// In a group: members whom it does not reach, because nothing leads to their server any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<Vec<ParticipantId>>,
    /// In a group: to how many it goes, the sender included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<u64>,
    /// What became of it.
    pub status: Status,
    /// Whom it went to though nobody vouches for their keys.
    #[serde(skip)]
    pub unvouched: Option<ParticipantId>,
}

/// Sends a message.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn send(
    profile: &Profile,
    to: Destination,
    draft: &Draft,
    wait: Duration,
    reader: Reader<'_>,
) -> Result<Sent, CommandError> {
    let sent = sending::send(profile, to, draft, wait, reader.language, reader.progress).await?;
    let unvouched = match to {
        Destination::Participant(to) => {
            let contact = profile.contact(to)?;
            contact.filter(|contact| contact.trust == Trust::Unvouched).map(|_| to)
        }
        Destination::Group(_) => None,
    };
    Ok(Sent {
        id: sent.id,
        left_out: sent.members.map(|_| sent.left_out),
        members: sent.members,
        status: Status::Accepted,
        unvouched,
    })
}

/// Reads a place: degrees north and east.
///
/// # Errors
/// What a place looks like.
pub fn place(text: &str) -> Result<Place, String> {
    let read = |text: &str| text.trim().parse::<f64>().ok();
    let place = text.split_once(',').and_then(|(latitude, longitude)| {
        Some(Place { latitude: read(latitude)?, longitude: read(longitude)? })
    });
    place.filter(Place::is_acceptable).ok_or_else(|| {
        "a place is two numbers of degrees, north (-90 to 90) and east (-180 to 180), such as 48.137,11.575".to_owned()
    })
}
