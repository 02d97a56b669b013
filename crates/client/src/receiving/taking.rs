//! Taking what was delivered: open, verify, drop what is known, store.

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use momedo_protocol::api::Delivery;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::envelope::is_group_envelope;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message::{KIND_GROUP_KEY, KIND_GROUP_KEY_REQUEST, KIND_KEY_BACKUP, KIND_KEYS, Message};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::notice::Notice;

use super::questions;
use super::set_aside::{self, Why};
use crate::adopting::adopt_published_keys;
use crate::contacts::{self, Trust};
use crate::groups::asking;
use crate::groups::receiving::{self as groups, Taken};
use crate::inbox::{self, Received, described, group_sender, unreadable, unverified};
use crate::opening::{Opened, open};
use crate::profile::Profile;
use crate::secrets::CarriedKeys;
use crate::session::Session;
use crate::{ClientError, blobs, blocking, held, key_backup, living, receipts, reporting};

/// Takes one delivery: opens, verifies and stores it; low-level, [`super::receive`] does it for everything that waits.
///
/// # Errors
/// As [`ClientError::Profile`] says; whatever else goes wrong, the delivery is on disk and waits.
pub async fn take_delivery(
    profile: &Profile,
    session: &mut Session,
    delivery: &Delivery,
) -> Result<(), ClientError> {
    take_opened(profile, session, delivery, None).await
}

/// The same, for what may have been opened already.
pub(super) async fn take_opened(
    profile: &Profile,
    session: &mut Session,
    delivery: &Delivery,
    opened: Option<Opened>,
) -> Result<(), ClientError> {
    match judge(profile, session, delivery, opened).await {
        None => Ok(()),
        Some(why) => set_aside::put(profile, session, delivery, &why).await,
    }
}

/// Judges a delivery, and stores what it came to; says why if that cannot be done now. A group key has what waited for
/// it judged, too.
pub(super) fn judge<'a>(
    profile: &'a Profile,
    session: &'a mut Session,
    delivery: &'a Delivery,
    opened: Option<Opened>,
) -> LocalBoxFuture<'a, Option<Why>> {
    let judging = async move {
        match take_now(profile, session, delivery, opened).await {
            Ok(Taking::Done) => None,
            Ok(Taking::NeedsKey) => Some(Why::NoKey),
            Err(error) => Some(Why::Failed(error)),
        }
    };
    judging.boxed_local()
}

/// What taking came to.
enum Taking {
    Done,
    /// It can be opened when its key comes.
    NeedsKey,
}

/// Verifies first, then drops duplicates by sender and message ID.
async fn take_now(
    profile: &Profile,
    session: &mut Session,
    delivery: &Delivery,
    opened: Option<Opened>,
) -> Result<Taking, ClientError> {
    if let Some(notice) = Notice::decode(&delivery.envelope.0) {
        return inbox::take(profile, session.id, delivery, &notice).map(|()| Taking::Done);
    }
    if blocking::is_blocked(profile, delivery.from)? {
        return take_from_blocked(profile, session, delivery).await.map(|()| Taking::Done);
    }
    if is_group_envelope(&delivery.envelope.0) {
        return take_from_group(profile, session, delivery).await;
    }
    let opened = match opened {
        Some(opened) => Some(opened),
        None => open(profile, delivery).await?,
    };
    let received = match opened {
        Some((inner, suite)) => read(profile, session, delivery, &inner, suite).await?,
        None => Some((unreadable(delivery), None)),
    };
    let (received, message) = received.unzip();
    let (from, message) = (delivery.from, message.flatten());
    compare_logs(profile, session, received.as_ref(), message.as_ref()).await;
    put(profile, &from.to_string(), delivery.id, received.as_ref(), message.as_ref())?;
    Ok(Taking::Done)
}

/// Drops what somebody sent who is blocked, before the server is asked anything; a group key counts, and so does a
/// question for one, for a block hides what somebody says and not what is said under a key.
async fn take_from_blocked(
    profile: &Profile,
    session: &mut Session,
    delivery: &Delivery,
) -> Result<(), ClientError> {
    if is_group_envelope(&delivery.envelope.0) {
        return Ok(());
    }
    let Some((inner, _)) = open(profile, delivery).await? else { return Ok(()) };
    let Ok(claimed) = Message::unverified(&inner) else { return Ok(()) };
    if !claims_what_it_is(&claimed, delivery, profile.id()?) {
        return Ok(());
    }
    match claimed.kind.as_str() {
        // The chain says by its commitment whether it is one, whoever signed it.
        KIND_GROUP_KEY => take_group_key(profile, session, &claimed, Asking::Nothing).await,
        KIND_GROUP_KEY_REQUEST => {
            let known = contacts::remembered(profile, claimed.from)?;
            match known.filter(|known| Message::verify(&inner, &known.bundle.signature_key).is_ok()) {
                Some(_) => asking::note(profile, &claimed),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// What the server says outside must be what the sender signed inside.
fn claims_what_it_is(claimed: &Message, delivery: &Delivery, own: ParticipantId) -> bool {
    claimed.from == delivery.from
        && claimed.to == Some(own)
        && claimed.group.is_none()
        && claimed.id == delivery.id
}

/// Stores what was opened, unless it is known. Only what was verified stands for its ID: something forged must
/// not keep the true message out.
pub(super) fn put(
    profile: &Profile,
    sender: &str,
    id: MessageId,
    received: Option<&Received>,
    message: Option<&Message>,
) -> Result<(), ClientError> {
    let verified = received.is_none_or(|received| received.verified);
    let sender = if verified { sender.to_owned() } else { unverified(sender) };
    if profile.is_known(&sender, id)? {
        return Ok(());
    }
    let event = received.map(serde_json::to_string).transpose();
    let event = event.map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.atomically(|| {
        if let Some(message) = message.filter(|_| verified) {
            living::note(profile, message)?;
            blobs::note(profile, message)?;
            receipts::note_arrived(profile, message)?;
        }
        profile.put_inbox(&sender, id, event.as_deref())
    })
}

/// Compares what a verified message says of the server's log of key changes with what is seen here.
async fn compare_logs(
    profile: &Profile,
    session: &mut Session,
    received: Option<&Received>,
    message: Option<&Message>,
) {
    if let Some(message) = message.filter(|_| received.is_some_and(|received| received.verified)) {
        questions::compare_logs(profile, session, message).await;
    }
}

/// Takes what was posted to a group; without its key it waits for it.
async fn take_from_group(
    profile: &Profile,
    session: &mut Session,
    delivery: &Delivery,
) -> Result<Taking, ClientError> {
    let Taken::Shown(received, message) = groups::take(profile, session, delivery).await? else {
        return Ok(Taking::NeedsKey);
    };
    compare_logs(profile, session, Some(&received), message.as_deref()).await;
    put(profile, &group_sender(delivery), delivery.id, Some(&received), message.as_deref())?;
    Ok(Taking::Done)
}

/// What may be asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    Whatever,
    Nothing,
}

/// Keeps a group key, reads the group on where its chain is not known to say which epoch the key is for, and opens what
/// waited for it.
async fn take_group_key(
    profile: &Profile,
    session: &mut Session,
    message: &Message,
    asking: Asking,
) -> Result<(), ClientError> {
    let Some(body) = crate::groups::key_store::take(profile, message)? else { return Ok(()) };
    let id = GroupId::of(&body.group);
    if profile.group_commitment(id, body.epoch)?.is_none() && asking == Asking::Whatever {
        questions::read_group(profile, session, message.from, id).await?;
    }
    // A key that no entry of the chain means opens nothing.
    match profile.group_commitment(id, body.epoch)? {
        Some(_) => set_aside::try_group_again(profile, session, id).await,
        None => Ok(()),
    }
}

async fn read(
    profile: &Profile,
    session: &mut Session,
    delivery: &Delivery,
    inner: &[u8],
    suite: u8,
) -> Result<Option<(Received, Option<Message>)>, ClientError> {
    let own = profile.id()?;
    let Ok(claimed) = Message::unverified(inner) else { return Ok(Some((unreadable(delivery), None))) };
    if !claims_what_it_is(&claimed, delivery, own) {
        return Ok(Some((unreadable(delivery), None)));
    }
    let (verified, trust) = if claimed.from == own {
        // Of several changes made while this device was away, each is signed with the key before.
        let mut keys = profile.carried_signature_keys().await?;
        keys.push(profile.own_bundle()?.signature_key);
        if claimed.kind == KIND_KEYS && keys.iter().all(|key| Message::verify(inner, key).is_err()) {
            // What they were first carried with may be lost with a server that was restored.
            keys.extend(Box::pin(held::successor(profile, session)).await?);
        }
        let fits = keys.iter().find(|key| Message::verify(inner, key).is_ok());
        match (claimed.kind.as_str(), fits) {
            (KIND_KEYS, Some(_)) if keep_keys(profile, &claimed).await? => {
                adopt_published_keys(profile, session).await?;
                return Ok(None);
            }
            (KIND_KEY_BACKUP, Some(key)) if key_backup::take(profile, &claimed, key)? => return Ok(None),
            // Of a device that was revoked, or of nobody: secrets are not for the screen.
            (KIND_KEYS | KIND_KEY_BACKUP, None) => return Ok(None),
            _ => {}
        }
        (fits.is_some(), Trust::Compared)
    } else {
        verify(profile, session, inner, claimed.from).await?
    };
    if claimed.kind == KIND_GROUP_KEY_REQUEST {
        if verified {
            asking::note(profile, &claimed)?;
        }
        return Ok(None);
    }
    if claimed.kind == KIND_GROUP_KEY && verified {
        take_group_key(profile, session, &claimed, Asking::Whatever).await?;
        return Ok(None);
    }
    if verified && claimed.from != own {
        reporting::keep(profile, claimed.from, claimed.id, inner)?;
    }
    // Only an own device can say that it wrote to somebody else.
    let to = claimed.conversation.filter(|_| claimed.from == own);
    Ok(Some((Received { to, ..described(&claimed, verified, trust, suite) }, Some(claimed))))
}

/// Whether the signature fits the sender's pinned key, fetching it on first use or after a change.
async fn verify(
    profile: &Profile,
    session: &mut Session,
    inner: &[u8],
    from: ParticipantId,
) -> Result<(bool, Trust), ClientError> {
    if let Some(known) = contacts::remembered(profile, from)?
        && Message::verify(inner, &known.bundle.signature_key).is_ok()
    {
        return Ok((true, known.trust));
    }
    questions::keys_that_fit(profile, session, from, |known| {
        let mut keys = std::iter::once(&known.bundle.signature_key).chain(&known.earlier_keys);
        keys.any(|key| Message::verify(inner, key).is_ok())
    })
    .await
}

/// Keeps keys that another own device made and sealed to this one; false when they cannot be read, for
/// example because a newer version wrote them.
async fn keep_keys(profile: &Profile, message: &Message) -> Result<bool, ClientError> {
    let Ok(carried) = serde_json::from_value::<CarriedKeys>(message.body.clone()) else { return Ok(false) };
    if !carried.is_readable(&profile.platform).await {
        return Ok(false);
    }
    // A server that was restored had lost what was on its way: whoever has them gets them once more.
    if profile.knows_bundle(&carried.bundle_digest)? {
        return Ok(true);
    }
    profile.store_carried_keys(&carried).map(|()| true)
}
