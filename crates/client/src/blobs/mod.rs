//! Attachments: sealed once into a file that nobody else sees, uploaded from there however often the line breaks;
//! fetched, checked piece by piece and saved under a name that does no harm. Memory in use does not grow with the file.
//!
//! A file is sealed before anything is sent, and not while it is: it might change on the disk while an upload is
//! resumed, and two different pieces under one nonce would give both away.

mod fetching;
mod patience;
mod sealing;
mod uploading;

use std::path::Path;

use momedo_protocol::kind::Content;
use momedo_protocol::message::Message;

use crate::ClientError;
use crate::profile::Profile;
use crate::session::Session;

pub use crate::profile::files::KnownFile;
pub use fetching::{download, save};
pub use sealing::{Metadata, Sealed, seal_file};
pub use uploading::{attach, upload};

fn unusable(path: &Path, reason: impl ToString) -> ClientError {
    ClientError::File { path: path.to_owned(), reason: reason.to_string() }
}

/// Remembers the files of a verified message.
pub(crate) fn note(profile: &Profile, message: &Message) -> Result<(), ClientError> {
    let content = Content::read(&message.kind, &message.body);
    for file in content.files() {
        profile.keep_file(file, message.from, message.id, message.sent_at)?;
    }
    Ok(())
}

/// Tells the server which files of messages that were taken back it need not keep; what it cannot be told now it is told
/// another time.
pub(crate) async fn send_releases(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    for (blob, is_own) in profile.due_releases()? {
        let released = match is_own {
            true => session.release_blob(blob).await,
            false => session.release_hold(blob).await,
        };
        match released {
            Err(ClientError::Unreachable { .. }) => return Ok(()),
            Err(error) if error.is_temporary() || error.problem() == Some("not-logged-in") => {}
            // Gone already, or never handed to this device.
            _ => profile.settle_release(blob)?,
        }
    }
    Ok(())
}
