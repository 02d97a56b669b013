//! Opening what was posted to a group, and checking that its sender belongs to it.

use momedo_protocol::api::Delivery;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Encryption, GroupRole, Posting};
use momedo_protocol::group::envelope::{self, GroupEnvelope, GroupSuite, decode_slot, open_message};
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message::{GroupContext, Message};
use zeroize::Zeroizing;

use super::notes::note;
use super::{chain, key_store};
use crate::inbox::{Received, described, unreadable};
use crate::known_keys::{self as contacts};
use crate::profile::Profile;
use crate::profile::contact::Trust;
use crate::questions::Kind;
use crate::receiving::questions::{self, Read};
use crate::session::Session;
use crate::{ClientError, reporting};

/// What a delivery to a group came to.
pub(crate) enum Taken {
    /// Something to show.
    Shown(Box<Received>, Option<Box<Message>>),
    /// It can be opened when its key comes.
    Locked,
}

/// Opens and checks a delivery to a group.
pub(crate) async fn take(
    profile: &Profile,
    session: &mut Session,
    delivery: &Delivery,
) -> Result<Taken, ClientError> {
    let unreadable =
        || Ok(Taken::Shown(Box::new(Received { group: delivery.group, ..unreadable(delivery) }), None));
    let Ok(outside) = envelope::decode(&delivery.envelope.0) else { return unreadable() };
    let id = GroupId::of(&outside.header.group);
    if delivery.group != Some(id) || outside.header.message_id != delivery.id {
        return unreadable();
    }
    let Some(state) = known_group(profile, session, delivery.from, id).await? else { return unreadable() };
    if state.group != outside.header.group {
        return unreadable();
    }
    let inner = match open(profile, &outside, delivery).await? {
        Opened::Inner(inner) => inner,
        Opened::Not => return unreadable(),
        Opened::NeedsKey => {
            // The epoch may be newer than what this device has read of the chain.
            let read = match questions::read_group(profile, session, delivery.from, id).await? {
                Read::ToItsEnd => open(profile, &outside, delivery).await?,
                Read::Broken => return unreadable(),
                Read::Unknown => Opened::NeedsKey,
            };
            match read {
                Opened::Inner(inner) => inner,
                Opened::NeedsKey => return Ok(Taken::Locked),
                Opened::Not => return unreadable(),
            }
        }
    };
    let Ok(claimed) = Message::unverified(&inner) else { return unreadable() };
    let says_the_same = claimed.from == delivery.from && claimed.id == delivery.id && claimed.to.is_none();
    let Some(context) = claimed.group.filter(|context| {
        says_the_same && context.id == outside.header.group && context.epoch == outside.header.epoch
    }) else {
        return unreadable();
    };
    let (verified, trust) = verify(profile, session, &inner, claimed.from, &context).await?;
    if verified && claimed.from != session.id {
        reporting::keep(profile, claimed.from, claimed.id, &inner)?;
    }
    let received = described(&claimed, verified, trust, outside.header.suite.number());
    Ok(Taken::Shown(Box::new(received), Some(Box::new(claimed))))
}

/// The group, read for the first time if need be; `None` if it cannot be used.
async fn known_group(
    profile: &Profile,
    session: &mut Session,
    from: ParticipantId,
    id: GroupId,
) -> Result<Option<GroupState>, ClientError> {
    if let Some(state) = profile.group(id)? {
        return Ok(Some(state));
    }
    match questions::read_group(profile, session, from, id).await? {
        Read::ToItsEnd => profile.group(id),
        Read::Broken | Read::Unknown => Ok(None),
    }
}

enum Opened {
    Inner(Zeroizing<Vec<u8>>),
    NeedsKey,
    Not,
}

async fn open(
    profile: &Profile,
    outside: &GroupEnvelope<'_>,
    delivery: &Delivery,
) -> Result<Opened, ClientError> {
    let key = match outside.header.suite {
        GroupSuite::GroupKey => {
            let id = GroupId::of(&outside.header.group);
            let commitment = profile.group_commitment(id, outside.header.epoch)?;
            let Some(key) =
                commitment.map(|commitment| key_store::find(profile, &commitment)).transpose()?.flatten()
            else {
                return Ok(Opened::NeedsKey);
            };
            key
        }
        GroupSuite::ContentKey => {
            let Some(slot) = &delivery.slot else { return Ok(Opened::Not) };
            let Ok(header) = decode_slot(&slot.0).map(|slot| slot.header) else { return Ok(Opened::Not) };
            let Some(private) = profile.private_keys(&header.recipient_digest).await? else {
                return Ok(Opened::Not);
            };
            let Some(key) = private.open_slot(&slot.0).await else { return Ok(Opened::Not) };
            key
        }
    };
    Ok(open_message(outside, &key, delivery.from).map_or(Opened::Not, Opened::Inner))
}

/// Whether the sender belonged to the group, could write, and signed with the key the group knows.
async fn verify(
    profile: &Profile,
    session: &mut Session,
    inner: &[u8],
    from: ParticipantId,
    context: &GroupContext,
) -> Result<(bool, Trust), ClientError> {
    let id = GroupId::of(&context.id);
    let mut then = chain::state_at(profile, id, context.number, &context.head)?;
    if then.is_none() && questions::read_group(profile, session, from, id).await? == Read::ToItsEnd {
        then = chain::state_at(profile, id, context.number, &context.head)?;
    }
    let Some(then) = then else { return Ok((false, Trust::FirstUse)) };
    let Some(member) = then.active(from) else { return Ok((false, Trust::FirstUse)) };
    let right_epoch = match then.encryption {
        Encryption::Symmetric => context.epoch == then.epoch && !then.needs_epoch,
        Encryption::Asymmetric => context.epoch == 0,
    };
    let may_write = then.settings.posting == Posting::Everyone || member.role == GroupRole::Moderator;
    if !right_epoch || !may_write || then.archived {
        return Ok((false, Trust::FirstUse));
    }
    if from == session.id {
        let mut own = profile.carried_signature_keys().await?;
        own.push(profile.own_bundle()?.signature_key);
        let fits = own
            .iter()
            .any(|key| key.fingerprint() == member.fingerprint && Message::verify(inner, key).is_ok());
        return Ok((fits, Trust::Compared));
    }
    let fits = |known: &contacts::KnownKeys| {
        std::iter::once(&known.bundle.signature_key)
            .chain(&known.earlier_keys)
            .any(|key| key.fingerprint() == member.fingerprint && Message::verify(inner, key).is_ok())
    };
    if let Some(known) = contacts::remembered(profile, from)?
        && fits(&known)
    {
        return Ok((true, known.trust));
    }
    questions::keys_that_fit(profile, session, from, fits).await
}

/// Reads on a group that another server keeps; while that one cannot be reached, the group stays as it is known.
async fn sync_elsewhere(
    profile: &Profile,
    session: &mut Session,
    known: &GroupState,
) -> Result<(), ClientError> {
    let belongs = match chain::sync(profile, session, known.id()).await {
        Ok(synced) => synced.state.active(session.id).is_some(),
        Err(ClientError::BrokenGroup { reason, .. }) => {
            let digest = momedo_protocol::digest::sha256(reason.as_bytes());
            let id = digest[..16].try_into().ok();
            return note(profile, known, id, &format!("this group must not be used: {reason}"));
        }
        Err(error) if error.problem() == Some("unknown-group") => false,
        Err(error) if matches!(error.problem(), Some("home-unreachable" | "not-allowed-across")) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if !belongs {
        let id = momedo_protocol::digest::sha256(&known.head.0)[..16].try_into().ok();
        note(profile, known, id, "you do not belong to this group any more")?;
        profile.mark_group_gone(known.id())?;
    }
    Ok(())
}

/// Reads every group on, and notices those the server does not count this participant into any more. Each by itself; the
/// first error is returned when all were tried.
pub(crate) async fn sync_all(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    key_store::erase_old(profile)?;
    let listed = session.groups().await?.groups;
    let own_server = profile.server()?.fingerprint;
    let mut first = None;
    for known in profile.groups()? {
        let synced = if known.home != own_server {
            sync_elsewhere(profile, session, &known).await
        } else if listed.iter().all(|group| group.id != known.id()) {
            sync_gone(profile, session, &known).await
        } else {
            Ok(())
        };
        if !goes_on(session, &mut first, synced) {
            break;
        }
    }
    for group in listed {
        if profile.group(group.id)?.is_some_and(|known| known.number == group.number) {
            continue;
        }
        let synced = sync_listed(profile, session, group.id).await;
        if !goes_on(session, &mut first, synced) {
            break;
        }
    }
    first.map_or(Ok(()), Err)
}

/// Remembers what went wrong first; false when no more groups should be asked for.
fn goes_on(session: &mut Session, first: &mut Option<ClientError>, result: Result<(), ClientError>) -> bool {
    let Err(error) = result else { return true };
    let goes_on = session.questions.hear(Kind::Group, &error);
    first.get_or_insert(error);
    goes_on
}

/// Reads a group on to which the participant does not belong any more, as the server says.
async fn sync_gone(profile: &Profile, session: &mut Session, known: &GroupState) -> Result<(), ClientError> {
    // How that came about can still be read.
    match chain::sync(profile, session, known.id()).await {
        // A server that was restored had forgotten it, and has it back.
        Ok(synced) if synced.state.active(session.id).is_some() => return Ok(()),
        Ok(_) | Err(ClientError::BrokenGroup { .. }) => {}
        Err(error) if error.problem() == Some("unknown-group") => {}
        Err(error) => return Err(error),
    }
    let id = momedo_protocol::digest::sha256(&known.head.0)[..16].try_into().ok();
    note(profile, known, id, "you do not belong to this group any more")?;
    profile.mark_group_gone(known.id())
}

/// Reads a group on that the server lists.
async fn sync_listed(profile: &Profile, session: &mut Session, id: GroupId) -> Result<(), ClientError> {
    match chain::sync(profile, session, id).await {
        Ok(_) => Ok(()),
        Err(ClientError::BrokenGroup { id, reason }) => {
            let Some(known) = profile.group(id)? else { return Ok(()) };
            let digest = momedo_protocol::digest::Sha512Digest::of(reason.as_bytes());
            let id = digest.0[..16].try_into().ok();
            note(profile, &known, id, &format!("this group must not be used: {reason}"))
        }
        Err(error) if error.problem() == Some("unknown-group") => Ok(()),
        Err(error) => Err(error),
    }
}
