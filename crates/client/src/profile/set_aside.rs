//! What arrived and cannot be judged yet, with the reason; each sender has a share of the room.

use momedo_protocol::api::Delivery;
use momedo_protocol::digest::{Sha512Digest, sha256};
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use rusqlite::params;

use super::Profile;
use crate::ClientError;

/// Setting that counts runs of receiving: what waits is due by it, so that no clock has to be right.
const RUNS: &str = "receive-runs";

/// Deliveries that are looked at for keys that are missing.
const MAX_LOOKED_AT: u32 = 256;

/// Longest pause between two tries, in runs of receiving.
const LONGEST_PAUSE: u64 = 16;

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

/// A row that waits: its number, the delivery as text, refusals and tries.
type Row = (i64, String, u32, u32);

fn columns(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
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

    /// Sets a delivery aside, unless it waits already; returns what has to give way for it: the oldest of its own sender,
    /// or of whoever has the most. `quiet` ones are told to nobody.
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
        let sql = "INSERT INTO set_aside (sender, conversation, digest, sealed_to, delivery, reason, refusals, tries, due, told)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?8) ON CONFLICT DO NOTHING";
        let sealed_to = sealed_to.map(|digest| digest.0);
        let row = params![sender, group, digest, sealed_to, text, reason, due, quiet];
        self.sql(|database| database.execute(sql, row).map(drop))
    }

    /// What has to give way because there is no room for all that waits: the oldest of `sender`, who set something aside
    /// last, or of whoever has the most; it is for the caller to remove it.
    pub(crate) fn gives_way_to(
        &self,
        sender: ParticipantId,
        room: Room,
    ) -> Result<Option<Waiting>, ClientError> {
        let sender = sender.to_string();
        let sql =
            "SELECT count(*), coalesce(sum(octet_length(delivery)), 0) FROM set_aside WHERE sender = ?1";
        let (count, bytes): (u64, u64) =
            self.sql(|database| database.query_row(sql, [&sender], |row| Ok((row.get(0)?, row.get(1)?))))?;
        if count > 1 && (count > room.of_sender || bytes > room.bytes_of_sender) {
            return self.oldest_of(&sender);
        }
        let sql = "SELECT count(*), coalesce(sum(octet_length(delivery)), 0) FROM set_aside";
        let (count, bytes): (u64, u64) =
            self.sql(|database| database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))))?;
        if count <= 1 || (count <= room.of_all && bytes <= room.bytes_of_all) {
            return Ok(None);
        }
        let sql = "SELECT sender FROM set_aside GROUP BY sender ORDER BY sum(octet_length(delivery)) DESC, min(id) LIMIT 1";
        let largest: String = self.sql(|database| database.query_row(sql, [], |row| row.get(0)))?;
        self.oldest_of(&largest)
    }

    fn oldest_of(&self, sender: &str) -> Result<Option<Waiting>, ClientError> {
        let sql = "SELECT id, delivery, refusals, tries FROM set_aside WHERE sender = ?1 ORDER BY id LIMIT 1";
        Ok(self.waiting(sql, [sender])?.pop())
    }

    fn waiting(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<Waiting>, ClientError> {
        let rows: Vec<Row> = self.sql(|database| {
            let mut statement = database.prepare(sql)?;
            statement.query_map(parameters, columns)?.collect()
        })?;
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            match read(&row) {
                Some(waiting) => all.push(waiting),
                // Damaged on this disk: it will never be read.
                None => self.remove_set_aside(row.0)?,
            }
        }
        Ok(all)
    }

    /// What is to be tried in this run, at most `limit`: one of each sender before a second of anybody.
    pub(crate) fn due_set_aside(&self, limit: usize) -> Result<Vec<Waiting>, ClientError> {
        // Chosen first and read after: sorting would carry every delivery along.
        let sql = "SELECT id, delivery, refusals, tries FROM set_aside JOIN (
                       SELECT id AS chosen, row_number() OVER (PARTITION BY sender ORDER BY tries, id) AS place
                       FROM set_aside WHERE due <= ?1 ORDER BY place, tries, id LIMIT ?2) ON id = chosen
                   ORDER BY place, tries, id";
        self.waiting(sql, params![self.run()?, limit])
    }

    /// What waits in a group, oldest first.
    pub(crate) fn set_aside_in(&self, group: GroupId) -> Result<Vec<Waiting>, ClientError> {
        let sql = "SELECT id, delivery, refusals, tries FROM set_aside WHERE conversation = ?1 ORDER BY id";
        self.waiting(sql, [group.to_string()])
    }

    /// What was posted to groups and waits, as much of it as tells whose keys are missing, with how much waits in that
    /// group: one of each group before a second of any, so that nobody's flood hides another group.
    pub(crate) fn set_aside_for_group_keys(&self) -> Result<Vec<(Delivery, u64)>, ClientError> {
        let sql = "SELECT delivery, in_group FROM set_aside JOIN (
                       SELECT id AS chosen, count(*) OVER (PARTITION BY conversation) AS in_group,
                              row_number() OVER (PARTITION BY conversation ORDER BY id DESC) AS place
                       FROM set_aside WHERE conversation <> '' ORDER BY place, id LIMIT ?1) ON id = chosen
                   ORDER BY place, id";
        let rows: Vec<(String, u64)> = self.sql(|database| {
            let mut statement = database.prepare(sql)?;
            statement.query_map([MAX_LOOKED_AT], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        Ok(rows
            .iter()
            .filter_map(|(text, in_group)| Some((serde_json::from_str(text).ok()?, *in_group)))
            .collect())
    }

    /// Notes that another try led to nothing, and why.
    pub(crate) fn keep_waiting(&self, row: i64, reason: &str, was_refused: bool) -> Result<(), ClientError> {
        let sql = "UPDATE set_aside SET reason = ?2, refusals = refusals + ?3, tries = min(tries + 1, 30),
                       due = ?4 + min(1 << tries, ?5) WHERE id = ?1";
        let row = params![row, reason, was_refused, self.run()?, LONGEST_PAUSE];
        self.sql(|database| database.execute(sql, row).map(drop))
    }

    /// Has what waits in a group tried with the next occasion: its chain went on.
    pub(super) fn wake_set_aside(&self, group: &str) -> Result<(), ClientError> {
        let sql = "UPDATE set_aside SET due = 0 WHERE conversation = ?1";
        self.sql(|database| database.execute(sql, [group]).map(drop))
    }

    /// Forgets what waits no longer.
    pub(crate) fn remove_set_aside(&self, row: i64) -> Result<(), ClientError> {
        self.sql(|database| database.execute("DELETE FROM set_aside WHERE id = ?1", [row]).map(drop))
    }

    /// Whether something waits that is sealed to the keys with this digest.
    pub(crate) fn awaits_keys(&self, digest: &Sha512Digest) -> Result<bool, ClientError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM set_aside WHERE sealed_to = ?1)";
        self.sql(|database| database.query_row(sql, [digest.0], |row| row.get(0)))
    }

    /// What waits, and whether people were told; with `new` only what they were not, which counts as told from now on.
    pub(crate) fn piles(&self, new: bool) -> Result<Vec<Pile>, ClientError> {
        let sql = "SELECT sender, conversation, reason, count(*) FROM set_aside WHERE told = 0 OR NOT ?1
                   GROUP BY sender, conversation, reason ORDER BY min(id)";
        let rows: Vec<(String, String, String, u64)> = self.sql(|database| {
            let mut statement = database.prepare(sql)?;
            statement
                .query_map([new], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect()
        })?;
        if new {
            self.sql(|database| database.execute("UPDATE set_aside SET told = 1 WHERE told = 0", []))?;
        }
        let pile = |(from, group, reason, count): (String, String, String, u64)| {
            Some(Pile { from: from.parse().ok()?, group: group.parse().ok(), reason, count })
        };
        Ok(rows.into_iter().filter_map(pile).collect())
    }
}

fn read((row, text, refusals, tries): &Row) -> Option<Waiting> {
    let delivery = serde_json::from_str(text).ok()?;
    Some(Waiting { row: *row, delivery, refusals: *refusals, tries: *tries })
}

#[cfg(test)]
mod tests {
    use momedo_protocol::cursor::{Cursor, StoreEpoch};
    use momedo_protocol::encoding::Base64Bytes;
    use momedo_protocol::message_id::MessageId;
    use momedo_protocol::time::UnixMillis;

    use super::*;

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

    fn profile() -> (tempfile::TempDir, Profile) {
        let folder = tempfile::tempdir().unwrap();
        let profile = Profile::create(folder.path(), None).unwrap();
        (folder, profile)
    }

    #[test]
    fn whoever_floods_pushes_out_their_own_alone_and_nothing_goes_without_a_word() {
        let (_folder, profile) = profile();
        let put = |from, number| {
            let gone = profile.set_aside(&delivery(from, number), None, "because", false, ROOM).unwrap();
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
    }

    #[test]
    fn what_waits_is_tried_in_turn_and_ever_more_seldom() {
        let (_folder, profile) = profile();
        let room = Room { of_sender: 100, of_all: 100, ..ROOM };
        for (from, number) in [(1, 1), (1, 2), (1, 3), (2, 4)] {
            profile.set_aside(&delivery(from, number), None, "because", false, room).unwrap();
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
    }

    #[test]
    fn a_flood_in_one_group_hides_no_other_that_waits_for_its_key() {
        let (_folder, profile) = profile();
        let room = Room { of_sender: 1_000, of_all: 1_000, ..ROOM };
        let group = |byte| GroupId::of(&Sha512Digest([byte; 64]));
        let put = |from, number: u64, byte| {
            let delivery = Delivery {
                group: Some(group(byte)),
                envelope: Base64Bytes(number.to_be_bytes().to_vec()),
                ..delivery(from, from)
            };
            profile.set_aside(&delivery, None, "because", false, room).unwrap();
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
    }

    #[test]
    fn people_are_told_once_and_can_always_look() {
        let (_folder, profile) = profile();
        for number in 1..3 {
            profile.set_aside(&delivery(1, number), None, "because", false, ROOM).unwrap();
        }
        profile.set_aside(&delivery(2, 3), None, "a key", true, ROOM).unwrap();
        let pile = Pile { from: somebody(1), group: None, reason: "because".into(), count: 2 };
        assert_eq!(profile.piles(true).unwrap(), std::slice::from_ref(&pile));
        assert_eq!(profile.piles(true).unwrap(), []);
        assert_eq!(profile.piles(false).unwrap().len(), 2);
        assert_eq!(profile.piles(false).unwrap()[0], pile);
    }
}
