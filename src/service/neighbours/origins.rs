//! Who may say what in a batch: which home speaks for a sender, for a group, and for a copy.
//!
//! Nobody but this server speaks for participants that live here alone. A group's home passes on what its members
//! posted, so it names anybody as the sender; whether they did, clients see by the signature inside. What it says in the
//! name of this server's own people is taken only if they posted it from here.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::documents::{BatchHeader, BatchItem, Outcome};

use super::finding::{self, Asker};
use super::finding_groups;
use crate::domain::neighbour::GROUP_QUESTIONS;
use crate::links::Counted;
use crate::service::ServiceError;
use crate::state::App;
use crate::store::{ReadTx, RemoteRow};

/// Senders about whom is asked anew for one batch.
const MAX_ASKED: usize = 4;

/// How long a batch waits for the word who keeps its groups; without it they come again later.
const GROUP_TIME: Duration = Duration::from_secs(3);

/// Learns what has to be known of senders and groups before a batch is judged, and says about which senders nobody could
/// be asked. What cannot be learned in time is judged without it.
///
/// # Errors
/// As [`ServiceError`] says.
pub(super) async fn learn(
    app: &App,
    via: Fingerprint,
    header: &BatchHeader,
) -> Result<BTreeSet<ParticipantId>, ServiceError> {
    let (senders, groups) = tokio::join!(learn_senders(app, via, header), learn_groups(app, via, header));
    groups?;
    senders
}

/// Asks anew about senders who wrote from another home than the one known: they may have two by now. Gives back about whom
/// nobody could be asked.
async fn learn_senders(
    app: &App,
    via: Fingerprint,
    header: &BatchHeader,
) -> Result<BTreeSet<ParticipantId>, ServiceError> {
    let origin = header.origin;
    let from = header.items.iter().filter(|item| item.group.is_none() && !item.copy).map(|item| item.from);
    let senders: BTreeSet<ParticipantId> = from.collect();
    let mut strangers = app
        .store
        .read(move |tx| {
            let mut strangers = Vec::new();
            for id in senders {
                if tx.find_remote(id)?.is_some_and(|row| !row.lives_at(origin) && row.disputed_by.is_none()) {
                    strangers.push(id);
                }
            }
            Ok::<_, ServiceError>(strangers)
        })
        .await?;
    let may_ask = |_: &ParticipantId| app.links.count_home(via, origin, app.clock.elapsed()).is_ok();
    let number = strangers.iter().take(MAX_ASKED).take_while(|id| may_ask(id)).count();
    let unasked = strangers.split_off(number).into_iter().collect();
    let found = join_all(strangers.into_iter().map(|id| finding::find(app, Asker::Server, id))).await;
    found.into_iter().try_for_each(|found| found.map(drop))?;
    Ok(unasked)
}

/// Asks the neighbour that brings a batch who keeps the groups in it of which nobody here has heard.
async fn learn_groups(app: &App, via: Fingerprint, header: &BatchHeader) -> Result<(), ServiceError> {
    let named = header.items.iter().filter(|item| !item.copy).filter_map(|item| item.group);
    let groups: BTreeSet<GroupId> = named.collect();
    if groups.is_empty() {
        return Ok(());
    }
    let unknown = app
        .store
        .read(move |tx| {
            let mut unknown = Vec::new();
            for group in groups {
                if !tx.has_group(group)? && tx.find_remote_group(group)?.is_none() {
                    unknown.push(group);
                }
            }
            Ok::<_, ServiceError>(unknown)
        })
        .await?;
    let may_ask =
        |_: &GroupId| app.links.count(via, Counted::Groups, GROUP_QUESTIONS, 1, app.clock.elapsed()).is_ok();
    let asked = unknown.into_iter().take_while(may_ask);
    let found = join_all(asked.map(|group| finding_groups::learn_from(app, via, group, GROUP_TIME))).await;
    found.into_iter().collect()
}

/// Whether a participant of this server lives nowhere else, so that nobody else speaks for them.
pub(super) fn lives_here_alone(tx: &ReadTx<'_>, id: ParticipantId) -> Result<bool, ServiceError> {
    Ok(tx.find_participant(id)?.is_some() && tx.find_other_home(id)?.is_none_or(|home| home.ends))
}

/// Whether what a home says its group's member posted, or another one's, may be so.
fn may_have_posted(tx: &ReadTx<'_>, item: &BatchItem, group: GroupId) -> Result<bool, ServiceError> {
    Ok(!lives_here_alone(tx, item.from)? || tx.has_posted_elsewhere(item.id, item.from, group)?)
}

/// Whether a home speaks for a sender of whom this is known; `None` while nothing decides it.
fn speaks_for(origin: Fingerprint, known: Option<&RemoteRow>, is_unasked: bool) -> Option<bool> {
    match known {
        None => Some(true),
        Some(known) if known.lives_at(origin) => Some(true),
        // Whoever was first to name somebody in a batch has proved nothing, and what is old may have changed.
        Some(known) if known.keys.is_none() || is_unasked => None,
        Some(_) => Some(false),
    }
}

/// What an envelope comes to because of who says it; `None` when `origin`, which signed the batch, may.
pub(super) fn check(
    tx: &ReadTx<'_>,
    origin: Fingerprint,
    via: Fingerprint,
    unasked: &BTreeSet<ParticipantId>,
    item: &BatchItem,
) -> Result<Option<Outcome>, ServiceError> {
    if item.copy {
        let other = tx.find_other_home(item.to)?.map(|home| home.server);
        if other != Some(origin) {
            return Ok(Some(Outcome::UnknownParticipant));
        }
    } else if item.device.is_some() || item.sender_device.is_some() {
        return Ok(Some(Outcome::Malformed));
    }
    if tx.is_blocked_remote(item.from)? {
        return Ok(Some(Outcome::NotAllowedAcross));
    }
    let speaks = match (item.group, item.copy) {
        // The group's home took it there; what was posted to a group of this server never comes back.
        (Some(group), true) => !tx.has_group(group)? && may_have_posted(tx, item, group)?,
        (None, true) => !lives_here_alone(tx, item.from)?,
        (Some(group), false) => match tx.find_remote_group(group)? {
            _ if tx.has_group(group)? => false,
            // Nobody has proved yet who keeps it.
            None => return Ok(Some(Outcome::Later)),
            Some((home, _)) => home == origin && may_have_posted(tx, item, group)?,
        },
        // Nobody but this server speaks for its own participants, nor for those another home has signed for.
        (None, false) => match tx.find_participant(item.from)? {
            // One that was given up speaks for nobody any more, whether it has said that it heard or not.
            Some(_) => tx.find_other_home(item.from)?.is_some_and(|home| home.server == origin && !home.ends),
            None => {
                let known = tx.find_remote(item.from)?;
                match speaks_for(origin, known.as_ref(), unasked.contains(&item.from)) {
                    Some(speaks) => speaks,
                    None => return Ok(Some(Outcome::Later)),
                }
            }
        },
    };
    if !speaks {
        tracing::warn!(neighbour = %via, "a batch brings what another home has to bring");
    }
    Ok((!speaks).then_some(Outcome::WrongHome))
}

#[cfg(test)]
mod tests {
    use momedo_protocol::digest::Sha512Digest;
    use momedo_protocol::message_id::MessageId;
    use momedo_protocol::time::UnixMillis;

    use super::*;
    use crate::store::{RemoteKeys, Tick};
    use crate::testing;

    #[test]
    fn what_nobody_proved_turns_nobody_away_for_good() {
        let [home, other] = [Fingerprint([1; 32]), Fingerprint([2; 32])];
        let mut known = RemoteRow {
            id: ParticipantId::from_number(7).unwrap(),
            home: other,
            via: other,
            keys: None,
            learned: Tick(0),
            disputed_by: None,
            settled: false,
            other_home: None,
        };
        assert_eq!(speaks_for(home, None, false), Some(true));
        assert_eq!(speaks_for(other, Some(&known), false), Some(true));
        assert_eq!(speaks_for(home, Some(&known), false), None, "only a batch said so");
        known.keys = Some(RemoteKeys {
            version: 1,
            digest: Sha512Digest([0; 64]),
            mceliece: None,
            published: String::new(),
        });
        assert_eq!(speaks_for(home, Some(&known), true), None, "nobody could be asked");
        assert_eq!(speaks_for(home, Some(&known), false), Some(false));
        known.other_home = Some(home);
        assert_eq!(speaks_for(home, Some(&known), true), Some(true));
    }

    #[tokio::test]
    async fn a_home_that_was_given_up_speaks_for_nobody_before_it_says_that_it_heard() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::store(&folder);
        let (ada, ben, home) = (ParticipantId::random(), ParticipantId::random(), Fingerprint([1; 32]));
        let item = BatchItem {
            from: ada,
            to: ben,
            id: MessageId([1; 16]),
            digest: Sha512Digest([0; 64]),
            group: None,
            slot: None,
            blobs: Vec::new(),
            device: None,
            sender_device: None,
            copy: false,
        };
        store
            .write(move |tx| {
                let said = |tx: &ReadTx<'_>| check(tx, home, home, &BTreeSet::new(), &item);
                tx.insert_participant(ada, "Ada", UnixMillis(0))?;
                assert_eq!(said(tx)?, Some(Outcome::WrongHome));
                tx.set_other_home(ada, home, true)?;
                assert_eq!((said(tx)?, lives_here_alone(tx, ada)?), (None, false));
                tx.end_other_home(ada)?;
                assert_eq!((said(tx)?, lives_here_alone(tx, ada)?), (Some(Outcome::WrongHome), true));
                Ok::<_, ServiceError>(())
            })
            .await
            .unwrap();
        store.close().await;
    }
}
