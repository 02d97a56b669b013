//! Sending: seal, keep the bytes, submit, repeat exactly those until answered.

use std::time::Duration;

use momedo_protocol::api::SubmitRequest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::{self};
use momedo_protocol::limits::MAX_SIGNED_DOCUMENT_BYTES;
use momedo_protocol::message::Message;
use momedo_protocol::message_id::MessageId;

use web_time::Instant;

use crate::adopting::adopt_published_keys;
pub use crate::draft::{Destination, Draft};
use crate::groups::posting;
pub use crate::insisting::log_in;
use crate::insisting::{PAUSE, insist};
use crate::profile::Profile;
use crate::progress::Progress;
use crate::session::Session;
use crate::submitting::{finish_interrupted, seal_to, submit};
use crate::{ClientError, blobs, contacts, key_log, living, now};

/// Longest body, in bytes of JSON; leaves room for the rest of the signed message.
pub(crate) const MAX_BODY_BYTES: usize = MAX_SIGNED_DOCUMENT_BYTES / 2;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The message.
    pub id: MessageId,
    /// To how many members of a group it goes, the sender included.
    pub members: Option<u64>,
    /// Members whom it does not reach, because nothing leads to their server any more.
    pub left_out: Vec<ParticipantId>,
}

/// Sends a text to a participant; returns once it is on the server's disk.
///
/// # Errors
/// As [`send`].
pub async fn send_text(
    profile: &Profile,
    to: ParticipantId,
    text: &str,
    wait: Duration,
    language: &str,
    progress: Progress<'_>,
) -> Result<MessageId, ClientError> {
    let to = Destination::Participant(to);
    send(profile, to, &Draft::text(text), wait, language, progress).await.map(|sent| sent.id)
}

/// Sends a message; returns once it is on the server's disk.
///
/// Everything that is not answered is tried again for at most `wait`, a submission with the same bytes; after
/// an error nothing stays queued.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn send(
    profile: &Profile,
    to: Destination,
    draft: &Draft,
    wait: Duration,
    language: &str,
    progress: Progress<'_>,
) -> Result<Sent, ClientError> {
    // A receiver parses no larger document, whatever envelope a server would take.
    if draft.body.to_string().len() > MAX_BODY_BYTES {
        return Err(ClientError::TooLong);
    }
    // One honest try takes a moment, whatever was asked for.
    let deadline = Instant::now() + wait.max(Duration::from_secs(1));
    let mut session = log_in(profile, language, deadline).await?;
    adopt(profile, &mut session, deadline).await?;
    finish_interrupted(profile, &mut session, deadline).await?;
    let sent = match to {
        Destination::Participant(to) => {
            let id = send_to_participant(profile, &mut session, to, draft, deadline, progress).await?;
            Sent { id, members: None, left_out: Vec::new() }
        }
        Destination::Group(group) => {
            let posted = posting::post(profile, &mut session, group, draft, deadline, progress).await?;
            Sent { id: posted.id, members: Some(posted.members), left_out: posted.left_out }
        }
    };
    let own = session.id;
    let is_withdrawal = draft.kind == kind::WITHDRAW;
    profile.atomically(|| {
        for file in &draft.files {
            profile.keep_file(file, own, sent.id, now())?;
        }
        living::note_sent(profile, sent.id, to, draft)
    })?;
    if is_withdrawal {
        blobs::send_releases(profile, &mut session).await?;
    }
    Ok(sent)
}

pub(crate) async fn send_to_participant(
    profile: &Profile,
    session: &mut Session,
    to: ParticipantId,
    draft: &Draft,
    deadline: Instant,
    progress: Progress<'_>,
) -> Result<MessageId, ClientError> {
    loop {
        let message = Message {
            from: session.id,
            to: Some(to),
            group: None,
            id: MessageId::new(now()),
            sent_at: now(),
            conversation: None,
            log: None,
            kind: draft.kind.clone(),
            body: draft.body.clone(),
        };
        let request = insist(profile, session, deadline, async |session| {
            let mut request = sealed(profile, session, to, &message, draft.own_copy, progress).await?;
            request.blobs = draft.blobs();
            Ok(request)
        })
        .await?;
        match submit(profile, session, &request, deadline).await {
            // The keys changed while we sealed, the recipient's or the own ones: fetch and seal again.
            Err(error) if error.problem() == Some("stale-bundle") && Instant::now() + PAUSE < deadline => {
                profile.platform.wait(PAUSE).await;
                adopt(profile, session, deadline).await?;
            }
            result => return result.map(|()| request.id),
        }
    }
}

async fn adopt(profile: &Profile, session: &mut Session, deadline: Instant) -> Result<(), ClientError> {
    insist(profile, session, deadline, async |session| adopt_published_keys(profile, session).await).await
}

/// Seals a message to its recipient, and a copy to the own other devices if there are any.
async fn sealed(
    profile: &Profile,
    session: &mut Session,
    to: ParticipantId,
    message: &Message,
    own_copy: bool,
    progress: Progress<'_>,
) -> Result<SubmitRequest, ClientError> {
    let signature_key = profile.signature_key().await?;
    let log = key_log::view_to_tell(profile, session).await?;
    let message = &Message { log, ..message.clone() };
    let is_note_to_self = to == session.id;
    let bundle = if is_note_to_self {
        profile.own_bundle()?
    } else {
        contacts::fetch(profile, session, to).await?.bundle
    };
    let mceliece = contacts::mceliece_key(profile, session, &bundle, progress).await?;
    let envelope = seal_to(&bundle, mceliece.as_ref(), message, &signature_key).await?;
    let wants_copy = own_copy && !is_note_to_self;
    let own_devices = if wants_copy && session.devices().await?.devices.len() > 1 {
        let own = profile.own_bundle()?;
        let mceliece = contacts::mceliece_key(profile, session, &own, progress).await?;
        let copy = Message { to: Some(session.id), conversation: Some(to), ..message.clone() };
        Some(Base64Bytes(seal_to(&own, mceliece.as_ref(), &copy, &signature_key).await?))
    } else {
        None
    };
    let (id, envelope) = (message.id, Base64Bytes(envelope));
    Ok(SubmitRequest { id, to, device: None, envelope, own_devices, blobs: Vec::new() })
}
