//! Sealing for one recipient, and submitting: the bytes are kept, and exactly those are repeated until they are answered.

use momedo_protocol::api::SubmitRequest;
use momedo_protocol::api::groups::{GroupMessageRequest, GroupReceipt};
use momedo_protocol::group::GroupId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::mceliece::McEliecePublicKey;
use momedo_protocol::message::Message;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::seal::{RecipientKeys, SealError, seal};
use momedo_protocol::suite::Suite;

use serde::{Deserialize, Serialize};
use web_time::Instant;

use crate::insisting::insist;
use crate::platform::keys::PrivateKey;
use crate::profile::Profile;
use crate::session::Session;
use crate::signing::signed;
use crate::{ClientError, unconfirmed};

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
pub(crate) async fn finish_interrupted(
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
