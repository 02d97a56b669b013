//! What arrived and cannot be judged yet, with the reason; each sender has a share of the room.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;

use momedo_protocol::api::Delivery;
use momedo_protocol::digest::{Sha512Digest, sha256};
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;

use super::Profile;
use super::rows::number;
use crate::ClientError;
use crate::keeping::tables::set_aside::{
    CONVERSATION, DELIVERY, DUE, ID, REASON, REFUSALS, SEALED_TO, SENDER, SET_ASIDE_BY_CONVERSATION,
    SET_ASIDE_BY_DUE, SET_ASIDE_BY_SENDER, TABLE, TOLD, TRIES,
};
use crate::keeping::{Cell, Column, Result as Kept, Row, Scan};

/// Setting that counts runs of receiving: what waits is due by it, so that no clock has to be right.
const RUNS: &str = "receive-runs";

/// Deliveries that are looked at for keys that are missing.
const MAX_LOOKED_AT: usize = 256;

/// Longest pause between two tries, in runs of receiving.
const LONGEST_PAUSE: u64 = 16;

/// Most tries that are counted.
const MAX_TRIES: u32 = 30;

/// The room there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Deliveries of one sender.
    pub(crate) of_sender: u64,
    /// Their bytes.
    pub(crate) bytes_of_sender: u64,
    /// Deliveries of all senders.
    pub(crate) of_all: u64,
    /// Their bytes.
    pub(crate) bytes_of_all: u64,
}

/// A delivery that waits.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// Names it here.
    pub(crate) row: i64,
    /// What arrived.
    pub(crate) delivery: Delivery,
    /// How often it was refused.
    pub(crate) refusals: u32,
    /// How often it was tried at all; at most 30 are counted.
    pub(crate) tries: u32,
}

/// What is read of a delivery that waits.
const WAITING: [Column; 4] = [ID, DELIVERY, REFUSALS, TRIES];

/// Reads one; its row alone if it is damaged on this disk.
fn waiting(row: &mut Row) -> Kept<Result<Waiting, i64>> {
    let (row, text, refusals, tries) = (row.number()?, row.text()?, row.number()?, row.number()?);
    Ok(match serde_json::from_str(&text) {
        Ok(delivery) => Ok(Waiting { row, delivery, refusals, tries }),
        Err(_) => Err(row),
    })
}

/// What waits of somebody, or of all.
#[derive(Default)]
struct Share {
    count: u64,
    bytes: u64,
    /// Which they are, the oldest first, with their bytes.
    rows: VecDeque<(i64, u64)>,
}

impl Share {
    fn add(&mut self, row: i64, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        self.rows.push_back((row, bytes));
    }

    /// Lets the oldest go.
    fn shift(&mut self) -> Option<(i64, u64)> {
        let (row, bytes) = self.rows.pop_front()?;
        self.count -= 1;
        self.bytes -= bytes;
        Some((row, bytes))
    }
}

/// Numbers what follows among others of the same kind, from 1 on.
fn place<K: Eq + std::hash::Hash>(places: &mut HashMap<K, u64>, of: K) -> u64 {
    let place = places.entry(of).or_default();
    *place += 1;
    *place
}

/// What waits for the same reason, to be told to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pile {
    pub(crate) from: ParticipantId,
    pub(crate) group: Option<GroupId>,
    pub(crate) reason: String,
    pub(crate) count: u64,
}

impl Profile {
    /// Counts a run of receiving; its number.
    pub(crate) fn begin_run(&self) -> Result<u64, ClientError> {
        let run = self.run()?.saturating_add(1);
        self.set(RUNS, &run)?;
        Ok(run)
    }

    fn run(&self) -> Result<u64, ClientError> {
        Ok(self.get(RUNS)?.unwrap_or_default())
    }

    /// Sets a delivery aside, unless it waits already; whether there is room for all is for the caller to look
    /// ([`Profile::gives_way_to`]). `quiet` ones are told to nobody.
    pub(crate) fn set_aside(
        &self,
        delivery: &Delivery,
        sealed_to: Option<&Sha512Digest>,
        reason: &str,
        quiet: bool,
    ) -> Result<(), ClientError> {
        let text = serde_json::to_string(delivery).map_err(|error| self.failed(error))?;
        let slot = delivery.slot.as_ref().map(|slot| slot.0.as_slice()).unwrap_or_default();
        let digest = sha256(&[&delivery.envelope.0[..], slot].concat());
        let sender = delivery.from.to_string();
        let group = delivery.group.map(|group| group.to_string()).unwrap_or_default();
        let due = self.run()?.saturating_add(1);
        let sealed_to = sealed_to.map(|digest| digest.0);
        let row = [
            Cell::Null,
            sender.into(),
            group.into(),
            digest.into(),
            sealed_to.into(),
            text.into(),
            reason.into(),
            Cell::Integer(0),
            Cell::Integer(0),
            number(due)?,
            quiet.into(),
        ];
        self.insert(&TABLE, row).map(drop)
    }

    /// What has to give way because there is no room for all that waits, one after another: the oldest of `sender`, who set
    /// something aside last, or of whoever has the most. It is for the caller to remove each.
    pub(crate) fn gives_way_to(
        &self,
        sender: ParticipantId,
        room: Room,
    ) -> Result<Vec<Waiting>, ClientError> {
        let sender = sender.to_string();
        if self.is_room(&sender, room)? {
            return Ok(Vec::new());
        }
        let mut shares: HashMap<String, Share> = HashMap::new();
        let (mut count, mut bytes) = (0_u64, 0_u64);
        self.visit(&TABLE, Scan::by_arrival(), &[SENDER, ID, DELIVERY.length()], |row| {
            let (sender, id, length) = (row.text()?, row.number()?, row.number()?);
            count += 1;
            bytes += length;
            shares.entry(sender).or_default().add(id, length);
            Ok(ControlFlow::Continue(()))
        })?;
        let mut rows = Vec::new();
        loop {
            let own = shares.get(&sender).filter(|own| own.count > 1);
            let is_own_full =
                own.is_some_and(|own| own.count > room.of_sender || own.bytes > room.bytes_of_sender);
            let largest = if is_own_full {
                shares.get_mut(&sender)
            } else if count <= 1 || (count <= room.of_all && bytes <= room.bytes_of_all) {
                None
            } else {
                let oldest = |share: &Share| std::cmp::Reverse(share.rows.front().map(|(row, _)| *row));
                let waiting = shares.values_mut().filter(|share| share.count > 0);
                waiting.max_by_key(|share| (share.bytes, oldest(share)))
            };
            let Some((row, length)) = largest.and_then(Share::shift) else { break };
            count -= 1;
            bytes -= length;
            rows.push(row);
        }
        self.waiting(rows)
    }

    /// Whether what waits fits, as it mostly does; whose it is is not read for this.
    fn is_room(&self, sender: &str, room: Room) -> Result<bool, ClientError> {
        let sum = |scan: Scan<'_>| {
            let (mut count, mut bytes) = (0_u64, 0_u64);
            self.visit(&TABLE, scan, &[DELIVERY.length()], |row| {
                count += 1;
                bytes += row.number::<u64>()?;
                Ok(ControlFlow::Continue(()))
            })?;
            Ok::<_, ClientError>((count, bytes))
        };
        let sender = [sender.into()];
        let (count, bytes) = sum(Scan::by_index(&SET_ASIDE_BY_SENDER, &sender))?;
        if count > room.of_sender || bytes > room.bytes_of_sender {
            return Ok(false);
        }
        let (count, bytes) = sum(Scan::by_arrival())?;
        Ok(count <= room.of_all && bytes <= room.bytes_of_all)
    }

    /// What waits in these rows, in this order.
    fn waiting(&self, rows: impl IntoIterator<Item = i64>) -> Result<Vec<Waiting>, ClientError> {
        let mut all = Vec::new();
        for row in rows {
            match self.row(&TABLE, &[row.into()], &WAITING, waiting)? {
                Some(Ok(waiting)) => all.push(waiting),
                // It will never be read.
                Some(Err(damaged)) => self.remove_set_aside(damaged)?,
                None => {}
            }
        }
        Ok(all)
    }

    /// What is to be tried in this run, at most `limit`: one of each sender before a second of anybody.
    pub(crate) fn due_set_aside(&self, limit: usize) -> Result<Vec<Waiting>, ClientError> {
        let Cell::Integer(run) = number(self.run()?)? else { return Ok(Vec::new()) };
        let mut due = Vec::new();
        self.visit(&TABLE, Scan::by_index(&SET_ASIDE_BY_DUE, &[]), &[DUE, TRIES, ID, SENDER], |row| {
            if row.number::<i64>()? > run {
                return Ok(ControlFlow::Break(()));
            }
            due.push((row.number::<u32>()?, row.number::<i64>()?, row.text()?));
            Ok(ControlFlow::Continue(()))
        })?;
        due.sort_by_key(|(tries, id, _)| (*tries, *id));
        let mut places = HashMap::new();
        // Chosen first and read after: only what is tried is read.
        let mut chosen: Vec<_> =
            due.into_iter().map(|(tries, id, sender)| (place(&mut places, sender), tries, id)).collect();
        chosen.sort();
        self.waiting(chosen.into_iter().take(limit).map(|(_, _, id)| id))
    }

    /// What waits in a group, oldest first.
    pub(crate) fn set_aside_in(&self, group: GroupId) -> Result<Vec<Waiting>, ClientError> {
        let group = [group.to_string().into()];
        let scan = Scan::by_index(&SET_ASIDE_BY_CONVERSATION, &group);
        self.waiting(self.rows(&TABLE, scan, &[ID], Row::number)?)
    }

    /// What was posted to groups and waits, as much of it as tells whose keys are missing, with how much waits in that
    /// group: one of each group before a second of any, so that nobody's flood hides another group.
    pub(crate) fn set_aside_for_group_keys(&self) -> Result<Vec<(Delivery, u64)>, ClientError> {
        let mut waiting = Vec::new();
        let scan = Scan::by_index(&SET_ASIDE_BY_CONVERSATION, &[]).down();
        self.visit(&TABLE, scan, &[CONVERSATION, ID], |row| {
            let conversation = row.text()?;
            if conversation.is_empty() {
                return Ok(ControlFlow::Break(()));
            }
            waiting.push((conversation, row.number::<i64>()?));
            Ok(ControlFlow::Continue(()))
        })?;
        // Of each group the newest come first.
        let mut places = HashMap::new();
        let mut chosen: Vec<_> = waiting
            .into_iter()
            .map(|(conversation, id)| (place(&mut places, conversation.clone()), id, conversation))
            .collect();
        chosen.sort_by_key(|(place, id, _)| (*place, *id));
        let mut found = Vec::new();
        for (_, id, conversation) in chosen.into_iter().take(MAX_LOOKED_AT) {
            let text = self.row(&TABLE, &[id.into()], &[DELIVERY], Row::text)?;
            let delivery = text.and_then(|text| serde_json::from_str(&text).ok());
            found.extend(delivery.zip(places.get(&conversation).copied()));
        }
        Ok(found)
    }

    /// Notes that another try led to nothing, and why.
    pub(crate) fn keep_waiting(&self, row: i64, reason: &str, was_refused: bool) -> Result<(), ClientError> {
        let key = [row.into()];
        self.whole(|| {
            let read = |row: &mut Row| Ok((row.number::<u32>()?, row.number::<u32>()?));
            let Some((refusals, tries)) = self.row(&TABLE, &key, &[REFUSALS, TRIES], read)? else {
                return Ok(());
            };
            let pause = 1_u64.checked_shl(tries).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
            let cells = [
                (REASON, reason.into()),
                (REFUSALS, refusals.saturating_add(was_refused.into()).into()),
                (TRIES, tries.saturating_add(1).min(MAX_TRIES).into()),
                (DUE, number(self.run()?.saturating_add(pause))?),
            ];
            self.change(&TABLE, &key, cells).map(drop)
        })
    }

    /// Has what waits in a group tried with the next occasion: its chain went on.
    pub(super) fn wake_set_aside(&self, group: &str) -> Result<(), ClientError> {
        self.whole(|| {
            let group = [group.into()];
            let scan = Scan::by_index(&SET_ASIDE_BY_CONVERSATION, &group);
            let rows = self.rows(&TABLE, scan, &[ID], Row::cell)?;
            rows.into_iter()
                .try_for_each(|id| self.change(&TABLE, &[id], [(DUE, Cell::Integer(0))]).map(drop))
        })
    }

    /// Forgets what waits no longer.
    pub(crate) fn remove_set_aside(&self, row: i64) -> Result<(), ClientError> {
        self.delete(&TABLE, &[row.into()]).map(drop)
    }

    /// Whether something waits that is sealed to the keys with this digest.
    pub(crate) fn awaits_keys(&self, digest: &Sha512Digest) -> Result<bool, ClientError> {
        let mut awaits = false;
        let scan = Scan::by_arrival().only(SEALED_TO, digest.0.into());
        self.visit(&TABLE, scan, &[], |_| {
            awaits = true;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(awaits)
    }

    /// What waits, and whether people were told; with `new` only what they were not, which counts as told from now on.
    pub(crate) fn piles(&self, new: bool) -> Result<Vec<Pile>, ClientError> {
        if !new {
            return self.piles_of(Scan::by_arrival());
        }
        self.whole(|| {
            let untold = || Scan::by_arrival().only(TOLD, false.into());
            let piles = self.piles_of(untold())?;
            for id in self.rows(&TABLE, untold(), &[ID], Row::cell)? {
                self.change(&TABLE, &[id], [(TOLD, true.into())])?;
            }
            Ok(piles)
        })
    }

    fn piles_of(&self, scan: Scan<'_>) -> Result<Vec<Pile>, ClientError> {
        let mut piles: Vec<((String, String, String), u64)> = Vec::new();
        let mut places = HashMap::new();
        self.visit(&TABLE, scan, &[SENDER, CONVERSATION, REASON], |row| {
            let pile = (row.text()?, row.text()?, row.text()?);
            let place = *places.entry(pile).or_insert_with_key(|pile| {
                piles.push((pile.clone(), 0));
                piles.len() - 1
            });
            piles[place].1 += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        let pile = |((from, group, reason), count): ((String, String, String), u64)| {
            Some(Pile { from: from.parse().ok()?, group: group.parse().ok(), reason, count })
        };
        Ok(piles.into_iter().filter_map(pile).collect())
    }
}

#[cfg(test)]
mod tests {
    use momedo_protocol::cursor::{Cursor, StoreEpoch};
    use momedo_protocol::encoding::Base64Bytes;
    use momedo_protocol::message_id::MessageId;
    use momedo_protocol::time::UnixMillis;

    use super::*;
    use crate::profile::tests::with_each;

    fn somebody(number: u64) -> ParticipantId {
        ParticipantId::from_number(number).unwrap()
    }

    fn delivery(from: u64, number: u64) -> Delivery {
        Delivery {
            cursor: Cursor { epoch: StoreEpoch::from_number(1).unwrap(), sequence: number },
            from: somebody(from),
            group: None,
            id: MessageId([u8::try_from(number).unwrap(); 16]),
            accepted_at: UnixMillis(0),
            envelope: Base64Bytes(number.to_be_bytes().to_vec()),
            slot: None,
        }
    }

    const ROOM: Room = Room { of_sender: 3, bytes_of_sender: 1 << 20, of_all: 5, bytes_of_all: 1 << 20 };

    #[test]
    fn whoever_floods_pushes_out_their_own_alone_and_nothing_goes_without_a_word() {
        with_each(|profile| {
            let put = |from, number| {
                profile.set_aside(&delivery(from, number), None, "because", false).unwrap();
                let gone = profile.gives_way_to(somebody(from), ROOM).unwrap();
                gone.iter().for_each(|waiting| profile.remove_set_aside(waiting.row).unwrap());
                gone.into_iter()
                    .map(|waiting| (waiting.delivery.from, waiting.delivery.id.0[0]))
                    .collect::<Vec<_>>()
            };
            assert_eq!(put(1, 1), []);
            for number in 2..5 {
                assert_eq!(put(2, number), []);
            }
            // The same again is not another one.
            assert_eq!(put(2, 4), []);
            assert_eq!(put(2, 5), [(somebody(2), 2)]);
            assert_eq!(put(3, 6), []);
            // All of the room is taken: whoever has the most makes some.
            assert_eq!(put(4, 7), [(somebody(2), 3)]);
            let left: u64 = profile.piles(false).unwrap().iter().map(|pile| pile.count).sum();
            assert_eq!(left, 5);
        });
    }

    #[test]
    fn what_waits_is_tried_in_turn_and_ever_more_seldom() {
        with_each(|profile| {
            for (from, number) in [(1, 1), (1, 2), (1, 3), (2, 4)] {
                profile.set_aside(&delivery(from, number), None, "because", false).unwrap();
            }
            assert!(profile.due_set_aside(9).unwrap().is_empty(), "not in the run that set it aside");
            profile.begin_run().unwrap();
            let due = profile.due_set_aside(2).unwrap();
            let senders: Vec<_> = due.iter().map(|waiting| waiting.delivery.from).collect();
            assert_eq!(senders, [somebody(1), somebody(2)]);
            let row = due[1].row;
            let mut tried = Vec::new();
            for _ in 0..70 {
                let run = profile.begin_run().unwrap();
                if profile.due_set_aside(9).unwrap().iter().any(|waiting| waiting.row == row) {
                    profile.keep_waiting(row, "still", true).unwrap();
                    tried.push(run);
                }
            }
            let pauses: Vec<u64> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert_eq!(pauses, [1, 2, 4, 8, 16, 16, 16]);
        });
    }

    #[test]
    fn a_flood_in_one_group_hides_no_other_that_waits_for_its_key() {
        with_each(|profile| {
            let group = |byte| GroupId::of(&Sha512Digest([byte; 64]));
            let put = |from, number: u64, byte| {
                let delivery = Delivery {
                    group: Some(group(byte)),
                    envelope: Base64Bytes(number.to_be_bytes().to_vec()),
                    ..delivery(from, from)
                };
                profile.set_aside(&delivery, None, "because", false).unwrap();
            };
            for number in 0..300 {
                put(1, number, 1);
            }
            put(2, 300, 2);
            let found = profile.set_aside_for_group_keys().unwrap();
            let of = |byte| -> Vec<u64> {
                let in_group = found.iter().filter(|(delivery, _)| delivery.group == Some(group(byte)));
                in_group.map(|(_, in_group)| *in_group).collect()
            };
            assert_eq!(of(2), [1]);
            assert_eq!(of(1), vec![300; 255]);
        });
    }

    #[test]
    fn people_are_told_once_and_can_always_look() {
        with_each(|profile| {
            for number in 1..3 {
                profile.set_aside(&delivery(1, number), None, "because", false).unwrap();
            }
            profile.set_aside(&delivery(2, 3), None, "a key", true).unwrap();
            let pile = Pile { from: somebody(1), group: None, reason: "because".into(), count: 2 };
            assert_eq!(profile.piles(true).unwrap(), std::slice::from_ref(&pile));
            assert_eq!(profile.piles(true).unwrap(), []);
            assert_eq!(profile.piles(false).unwrap().len(), 2);
            assert_eq!(profile.piles(false).unwrap()[0], pile);
        });
    }
}
