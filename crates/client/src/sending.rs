//! Sending: seal, keep the bytes, submit, repeat exactly those until answered.

use std::time::Duration;

use momedo_protocol::api::SubmitRequest;
use momedo_protocol::api::groups::{GroupMessageRequest, GroupReceipt};
use momedo_protocol::blob::{BlobId, FileReference};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::kind::{self, Content};
use momedo_protocol::limits::MAX_SIGNED_DOCUMENT_BYTES;
use momedo_protocol::mceliece::McEliecePublicKey;
use momedo_protocol::message::Message;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::seal::{RecipientKeys, SealError, seal};
use momedo_protocol::suite::Suite;

use serde::{Deserialize, Serialize};
use web_time::Instant;

use crate::devices::adopt_published_keys;
use crate::groups::posting;
use crate::platform::Platform;
use crate::platform::keys::PrivateKey;
use crate::profile::Profile;
use crate::progress::Progress;
use crate::session::Session;
use crate::signing::signed;
use crate::{ClientError, blobs, contacts, key_log, living, now, unconfirmed};

/// Longest body, in bytes of JSON; leaves room for the rest of the signed message.
pub(crate) const MAX_BODY_BYTES: usize = MAX_SIGNED_DOCUMENT_BYTES / 2;

/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(300);

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

/// Logs in, trying again until `deadline` while the server cannot be reached.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn log_in(profile: &Profile, language: &str, deadline: Instant) -> Result<Session, ClientError> {
    loop {
        match by(&profile.platform, deadline, profile.log_in(language)).await {
            Err(error) if error.is_temporary() && Instant::now() + PAUSE < deadline => {
                profile.platform.wait(PAUSE).await;
            }
            result => return result,
        }
    }
}

/// How long each step of long work may take: fetching a thousand keys is no reason to give up, standing still is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepTime(Duration);

impl StepTime {
    /// What is left until `deadline`, for each step anew.
    pub(crate) fn until(deadline: Instant) -> Self {
        Self(deadline.saturating_duration_since(Instant::now()))
    }

    /// When the step that begins now is given up.
    pub(crate) fn deadline(self) -> Instant {
        Instant::now() + self.0
    }
}

/// Bounds one try, so that a server that takes connections and does not answer holds nobody longer than
/// they chose to wait.
async fn by<T>(
    platform: &Platform,
    deadline: Instant,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let late = || ClientError::Unreachable {
        addresses: "its address".into(),
        reason: "no answer in the time to wait".into(),
    };
    let left = deadline.saturating_duration_since(Instant::now());
    platform.within(left, work).await.unwrap_or_else(|| Err(late()))
}

/// Does something with a session until it is answered or `deadline` passes.
pub(crate) async fn insist<T>(
    profile: &Profile,
    session: &mut Session,
    deadline: Instant,
    mut work: impl AsyncFnMut(&mut Session) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    loop {
        match by(&profile.platform, deadline, work(session)).await {
            // The server restarted: sessions do not outlive that.
            Err(error) if error.problem() == Some("not-logged-in") && Instant::now() < deadline => {
                *session = log_in(profile, "en", deadline).await?;
            }
            Err(error) if error.is_temporary() && Instant::now() + PAUSE < deadline => {
                profile.platform.wait(PAUSE).await;
                // Perhaps the other home answers.
                if matches!(error, ClientError::Unreachable { .. }) && profile.second_home()?.is_some() {
                    *session = log_in(profile, "en", deadline).await?;
                }
            }
            result => return result,
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

/// Seals with the strongest suite the recipient accepts.
pub(crate) async fn seal_to(
    bundle: &KeyBundle,
    mceliece: Option<&McEliecePublicKey>,
    message: &Message,
    signature_key: &PrivateKey,
) -> Result<Vec<u8>, ClientError> {
    let id = bundle.payload.id;
    let refused = |reason: &str| ClientError::UntrustedKeys { id, reason: reason.into(), may_change: false };
    let suite = strongest_suite(bundle).ok_or_else(|| refused("they accept no suite known here"))?;
    let keys =
        RecipientKeys::of_bundle(bundle, mceliece).ok_or_else(|| refused("the McEliece key differs"))?;
    let inner = signed(message, &[signature_key]).await?.to_bytes();
    seal(suite, &keys, message.id, &inner).map_err(|error| match error {
        SealError::MissingMcElieceKey => refused("the McEliece key is missing"),
        SealError::TooLong => ClientError::TooLong,
    })
}

/// The strongest suite a bundle's owner accepts.
pub(crate) fn strongest_suite(bundle: &KeyBundle) -> Option<Suite> {
    Suite::ALL.into_iter().find(|suite| bundle.accepts(*suite))
}

/// A submission that is kept until it is answered.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Posted { group: GroupId, request: GroupMessageRequest },
    Sent(SubmitRequest),
}

impl Kept {
    async fn submit(&self, session: &mut Session) -> Result<(), ClientError> {
        match self {
            Self::Sent(request) => session.submit(request).await.map(drop),
            Self::Posted { group, request } => session.post_to_group(*group, request).await.map(drop),
        }
    }

    fn id(&self) -> MessageId {
        match self {
            Self::Sent(request) => request.id,
            Self::Posted { request, .. } => request.id,
        }
    }
}

/// Keeps a posting's bytes, submits them until they are answered or `deadline` passes, forgets them.
pub(crate) async fn post_to_group(
    profile: &Profile,
    session: &mut Session,
    group: GroupId,
    request: &GroupMessageRequest,
    deadline: Instant,
) -> Result<GroupReceipt, ClientError> {
    let kept = Kept::Posted { group, request: request.clone() };
    let text = serde_json::to_string(&kept).map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.put_outbox(request.id, &text)?;
    let result =
        insist(profile, session, deadline, async |session| session.post_to_group(group, request).await).await;
    profile.remove_outbox(request.id)?;
    result
}

/// Keeps the request's bytes, submits them until they are answered or `deadline` passes, forgets them.
pub(crate) async fn submit(
    profile: &Profile,
    session: &mut Session,
    request: &SubmitRequest,
    deadline: Instant,
) -> Result<(), ClientError> {
    let text = serde_json::to_string(request).map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.put_outbox(request.id, &text)?;
    let result =
        insist(profile, session, deadline, async |session| session.submit(request).await.map(drop)).await;
    profile.atomically(|| {
        if result.is_ok() {
            unconfirmed::keep(profile, session, request, &text)?;
        }
        profile.remove_outbox(request.id)
    })?;
    result
}

/// Submits again what a killed program left unanswered; the same bytes cannot arrive twice.
async fn finish_interrupted(
    profile: &Profile,
    session: &mut Session,
    deadline: Instant,
) -> Result<(), ClientError> {
    for text in profile.outbox()? {
        let kept: Kept =
            serde_json::from_str(&text).map_err(|error| ClientError::Protocol(error.to_string()))?;
        match insist(profile, session, deadline, async |session| kept.submit(session).await).await {
            Err(ClientError::Refused(problem)) if problem.status != 507 => {
                // Refused for good; a message that is not said to be refused would be lost without a word.
                profile.remove_outbox(kept.id())?;
                return Err(ClientError::Refused(problem));
            }
            Err(error) => return Err(error),
            Ok(()) => profile.remove_outbox(kept.id())?,
        }
    }
    Ok(())
}
