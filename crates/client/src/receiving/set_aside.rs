//! What cannot be judged yet waits on disk with its reason, and is tried again; so the server's queue empties, and nobody's
//! mail waits behind it.

use momedo_protocol::api::Delivery;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::envelope;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::envelope::{decode_slot, is_group_envelope};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message::{KIND_GROUP_KEY, KIND_GROUP_KEY_REQUEST, KIND_KEY_BACKUP, KIND_KEYS, Message};
use serde::Serialize;

use super::taking::judge;
use crate::contacts::Trust;
use crate::inbox::{Received, described, put_unverified, said, unreadable};
use crate::meaning::Meaning;
use crate::opening::open;
use crate::profile::Profile;
use crate::profile::set_aside::{Pile, Room, Waiting};
use crate::session::Session;
use crate::{ClientError, blocking, now};

/// The room for what waits. What a sender sends beyond their share is shown unverified instead of waiting, the oldest
/// first; so is what is beyond the room of all, of whoever takes the most of it.
const ROOM: Room =
    Room { of_sender: 500, bytes_of_sender: 16 << 20, of_all: 10_000, bytes_of_all: 128 << 20 };

/// Deliveries tried again in one run.
const AT_ONCE: usize = 50;

/// How often something may be refused before it is shown unverified.
const REFUSALS: u32 = 8;

/// What may pass by itself waits long, but not for ever, since the private keys that it is sealed to wait with it: it is
/// shown unverified after so many tries (more than a hundred runs of receiving), if it arrived so many days ago, too. Of a
/// clock that is wrong and of a program that runs all day, neither settles it alone.
const LONG_TRIES: u32 = 12;
const LONG_DAYS: u64 = 45;

/// Why a delivery waits.
pub(super) enum Why {
    /// The key of its group has not come.
    NoKey,
    /// This came up while it was judged.
    Failed(ClientError),
}

impl Why {
    fn words(&self) -> String {
        match self {
            Self::NoKey => "its key has not come yet".into(),
            Self::Failed(error) => error.to_string(),
        }
    }

    fn meaning(&self, is_second: bool) -> Meaning {
        match self {
            Self::NoKey => Meaning::Passes,
            Self::Failed(error) => Meaning::of(error, is_second),
        }
    }
}

/// Mail that waits for something, by its sender, its group and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Who sent it.
    pub from: ParticipantId,
    /// The group it was posted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Why it waits, in words.
    pub reason: String,
    /// How many messages.
    pub count: u64,
}

/// What waits and cannot be shown yet.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn set_aside(profile: &Profile) -> Result<Vec<SetAside>, ClientError> {
    let piles = profile.piles(false)?.into_iter();
    Ok(piles.map(|Pile { from, group, reason, count }| SetAside { from, group, reason, count }).collect())
}

/// The keys that a delivery is sealed to, as it says itself.
fn sealed_to(delivery: &Delivery) -> Option<Sha512Digest> {
    match &delivery.slot {
        Some(slot) => decode_slot(&slot.0).ok().map(|slot| slot.header.recipient_digest),
        None => envelope::decode(&delivery.envelope.0).ok().map(|outside| outside.header.recipient_digest),
    }
}

/// What the sender says it is, if that can be read.
async fn claimed(profile: &Profile, delivery: &Delivery) -> Option<(Message, u8)> {
    if is_group_envelope(&delivery.envelope.0) {
        return None;
    }
    let (inner, suite) = open(profile, delivery).await.ok()??;
    let claimed = Message::unverified(&inner).ok()?;
    let says_the_same = claimed.from == delivery.from && claimed.id == delivery.id && claimed.group.is_none();
    (says_the_same && profile.id().is_ok_and(|own| claimed.to == Some(own))).then_some((claimed, suite))
}

/// Whether people are none the wiser for hearing of it.
fn is_about_keys(kind: &str) -> bool {
    matches!(kind, KIND_GROUP_KEY | KIND_GROUP_KEY_REQUEST | KIND_KEYS | KIND_KEY_BACKUP)
}

/// Keeps a delivery that cannot be judged now; what never can be is shown as what it is.
///
/// # Errors
/// [`ClientError::Profile`] when not even this can be kept: only then the delivery has to come again.
pub(super) async fn put(
    profile: &Profile,
    session: &Session,
    delivery: &Delivery,
    why: &Why,
) -> Result<(), ClientError> {
    if why.meaning(session.is_second) == Meaning::Settled {
        return show_last(profile, delivery, last_words(profile, delivery).await);
    }
    let is_quiet = claimed(profile, delivery).await.is_some_and(|(claimed, _)| is_about_keys(&claimed.kind));
    let sealed_to = sealed_to(delivery);
    profile.set_aside(delivery, sealed_to.as_ref(), &why.words(), is_quiet)?;
    // Each by itself: should this end in between, the next that is set aside goes on with it.
    for Waiting { row, delivery, .. } in profile.gives_way_to(delivery.from, ROOM)? {
        let words = last_words(profile, &delivery).await;
        profile.atomically(|| {
            show_last(profile, &delivery, words)?;
            profile.remove_set_aside(row)
        })?;
    }
    Ok(())
}

/// What is shown of a delivery that is given up: as far as it can be read, with nobody vouching for it; `None` when people
/// are none the wiser for it.
async fn last_words(profile: &Profile, delivery: &Delivery) -> Option<Received> {
    match claimed(profile, delivery).await {
        Some((claimed, _)) if is_about_keys(&claimed.kind) => None,
        Some((claimed, suite)) => Some(described(&claimed, false, Trust::FirstUse, suite)),
        None => Some(Received { group: delivery.group, ..unreadable(delivery) }),
    }
}

fn show_last(profile: &Profile, delivery: &Delivery, words: Option<Received>) -> Result<(), ClientError> {
    words.map_or(Ok(()), |received| put_unverified(profile, delivery, &received))
}

/// Tries again what is due.
///
/// # Errors
/// [`ClientError::Profile`].
pub(super) async fn try_again(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    for waiting in profile.due_set_aside(AT_ONCE)? {
        judge_again(profile, session, waiting).await?;
    }
    Ok(())
}

/// Tries again what was posted to a group, because its key came or its chain went on.
///
/// # Errors
/// [`ClientError::Profile`].
pub(super) async fn try_group_again(
    profile: &Profile,
    session: &mut Session,
    group: GroupId,
) -> Result<(), ClientError> {
    for waiting in profile.set_aside_in(group)? {
        judge_again(profile, session, waiting).await?;
    }
    Ok(())
}

async fn judge_again(profile: &Profile, session: &mut Session, waiting: Waiting) -> Result<(), ClientError> {
    let Waiting { row, delivery, refusals, tries } = waiting;
    let Some(why) = judge(profile, session, &delivery, None).await else {
        return profile.remove_set_aside(row);
    };
    let meaning = why.meaning(session.is_second);
    let was_refused = meaning == Meaning::Refused;
    if meaning == Meaning::Settled
        || (was_refused && refusals + 1 >= REFUSALS)
        || is_overdue(&delivery, tries)
    {
        let words = last_words(profile, &delivery).await;
        return profile.atomically(|| {
            show_last(profile, &delivery, words)?;
            profile.remove_set_aside(row)
        });
    }
    match why {
        // It was not tried at all.
        Why::Failed(ClientError::NotAsked(_)) => Ok(()),
        why => profile.keep_waiting(row, &why.words(), was_refused),
    }
}

fn is_overdue(delivery: &Delivery, tries: u32) -> bool {
    tries >= LONG_TRIES && now() > delivery.accepted_at.plus_days(LONG_DAYS)
}

/// Has people told of what was set aside since they were last told.
///
/// # Errors
/// [`ClientError::Profile`].
pub(super) fn tell(profile: &Profile) -> Result<(), ClientError> {
    profile.atomically(|| {
        for Pile { from, group, reason, count } in profile.piles(true)? {
            if blocking::is_blocked(profile, from)? {
                continue;
            }
            let messages =
                if count == 1 { "1 message waits".into() } else { format!("{count} messages wait") };
            let words = format!("{messages}: {reason}");
            let note = Received { from, group, kind: "waiting".into(), ..said(profile, &words)? };
            let event =
                serde_json::to_string(&note).map_err(|error| ClientError::Protocol(error.to_string()))?;
            profile.put_inbox("waiting", note.id, Some(&event))?;
        }
        Ok(())
    })
}
