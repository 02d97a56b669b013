//! Posting to a group: whoever must not read is excluded first, then the message is sealed once.

use momedo_protocol::api::groups::{GroupMessageRequest, GroupSlot};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::Encryption;
use momedo_protocol::group::envelope::{seal_message, seal_slot};
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::key_log::LogView;
use momedo_protocol::message::{GroupContext, Message};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::seal::{RecipientKeys, SealError};
use web_time::Instant;

use super::chain::{self, suspend_reset};
use super::keys;
use crate::draft::Draft;
use crate::insisting::{StepTime, insist};
use crate::profile::Profile;
use crate::progress::{Progress, Step};
use crate::session::Session;
use crate::signing::signed;
use crate::submitting::{post_to_group, strongest_suite};
use crate::{ClientError, contacts, key_log, now};

/// How often a message is sealed again because the group changed meanwhile.
const MAX_TRIES: usize = 16;

/// What became of a message to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The message.
    pub id: MessageId,
    /// To how many members it goes, the sender included.
    pub members: u64,
    /// Members whom it does not reach.
    pub left_out: Vec<momedo_protocol::id::ParticipantId>,
}

/// Posts; returns once the message is on the server's disk.
///
/// # Errors
/// As [`ClientError`] says.
pub(crate) async fn post(
    profile: &Profile,
    session: &mut Session,
    group: GroupId,
    draft: &Draft,
    deadline: Instant,
    progress: Progress<'_>,
) -> Result<Posted, ClientError> {
    let step = StepTime::until(deadline);
    for _ in 0..MAX_TRIES {
        let deadline = step.deadline();
        // Reads on, and tells the group of a new own key.
        let state = chain::append(profile, session, group, deadline, |_| Ok(None)).await?;
        let mut synced =
            insist(profile, session, deadline, async |session| chain::sync(profile, session, group).await)
                .await?;
        if synced.state.head != state.head || suspend_reset(profile, session, &mut synced, deadline).await? {
            continue;
        }
        let mut state = synced.state;
        if !state.may_post(session.id) {
            return Err(ClientError::GroupRefused(
                match state.archived {
                    true => "the group is archived",
                    false if state.active(session.id).is_none() => "you do not belong to it",
                    false => "only moderators write to this group",
                }
                .into(),
            ));
        }
        let log = key_log::view_to_tell(profile, session).await?;
        let request = match state.encryption {
            Encryption::Symmetric => {
                let Some(key) = keys::ensure(profile, session, &mut state, deadline, progress).await? else {
                    continue;
                };
                sealed(profile, session, &state, draft, (state.epoch, log), &key).await?
            }
            Encryption::Asymmetric => {
                let key = GroupKey::random();
                let mut request = sealed(profile, session, &state, draft, (0, log), &key).await?;
                request.slots = slots(profile, session, &state, request.id, &key, deadline, progress).await?;
                request
            }
        };
        // With a thousand keys to fetch and to hand out, that took its time.
        match post_to_group(profile, session, group, &request, step.deadline()).await {
            Ok(receipt) => {
                return Ok(Posted { id: receipt.id, members: receipt.members, left_out: receipt.left_out });
            }
            Err(error) if matches!(error.problem(), Some("stale-group" | "member-reset")) => {}
            Err(error) => return Err(error),
        }
    }
    Err(ClientError::GroupRefused("others change the group all the time; try again later".into()))
}

async fn sealed(
    profile: &Profile,
    session: &Session,
    state: &GroupState,
    draft: &Draft,
    (epoch, log): (u32, Option<LogView>),
    key: &GroupKey,
) -> Result<GroupMessageRequest, ClientError> {
    let message = Message {
        from: session.id,
        to: None,
        group: Some(GroupContext { id: state.group, number: state.number, head: state.head, epoch }),
        id: MessageId::new(now()),
        sent_at: now(),
        conversation: None,
        log,
        kind: draft.kind.clone(),
        body: draft.body.clone(),
    };
    let signature_key = profile.signature_key().await?;
    let inner = signed(&message, &[&signature_key]).await?.to_bytes();
    let envelope = seal_message(state.group, epoch, key, session.id, message.id, &inner)
        .map_err(|_: SealError| ClientError::TooLong)?;
    Ok(GroupMessageRequest {
        id: message.id,
        number: state.number,
        envelope: Base64Bytes(envelope),
        slots: Vec::new(),
        blobs: draft.blobs(),
    })
}

/// The content key for everybody whose keys can be had; the rest hear from the server that they missed something.
async fn slots(
    profile: &Profile,
    session: &mut Session,
    state: &GroupState,
    id: MessageId,
    key: &GroupKey,
    deadline: Instant,
    progress: Progress<'_>,
) -> Result<Vec<GroupSlot>, ClientError> {
    let members: Vec<_> = state.active_members().map(|(id, _)| id).collect();
    let mut slots = Vec::with_capacity(members.len());
    let step = StepTime::until(deadline);
    for (done, to) in members.iter().copied().enumerate() {
        if done % 50 == 49 {
            progress(Step::FetchingKeys { done, total: members.len() });
        }
        let fetched = insist(profile, session, step.deadline(), async |session| {
            let bundle = match to == session.id {
                true => profile.own_bundle()?,
                false => keys::fetch_member(profile, session, state, to).await?,
            };
            let mceliece = contacts::mceliece_key(profile, session, &bundle, &|_| {}).await?;
            Ok((bundle, mceliece))
        })
        .await;
        let (bundle, mceliece) = match fetched {
            Ok(keys) => keys,
            Err(ClientError::KeysReset { .. } | ClientError::UntrustedKeys { .. }) => continue,
            Err(error) if error.is_about_one_recipient() => continue,
            Err(error) => return Err(error),
        };
        let keys = RecipientKeys::of_bundle(&bundle, mceliece.as_ref());
        let Some((keys, suite)) = keys.zip(strongest_suite(&bundle)) else { continue };
        let slot = seal_slot(suite, &keys, id, key).map_err(|_| ClientError::TooLong)?;
        slots.push(GroupSlot { to, slot: Base64Bytes(slot) });
    }
    Ok(slots)
}
