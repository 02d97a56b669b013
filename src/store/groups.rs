//! The `groups`, `group_entries` and `group_members` tables: chains, and what they come to.

use std::collections::BTreeMap;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::Access;
use momedo_protocol::group::state::{GroupState, Member};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::UnixMillis;
use rusqlite::{OptionalExtension, Row};

use super::{ReadTx, StoreError, WriteTx, column};
use crate::domain::group::{Added, ChainUse};

/// A group as lists show it.
#[derive(Debug, Clone)]
pub struct GroupRow {
    /// Everything the chain says but its members.
    pub state: GroupState,
    /// How many members it has.
    pub members: u64,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// Who wrote an entry of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Author {
    /// Who.
    pub participant: ParticipantId,
    /// Their home, if it is not this server.
    pub elsewhere: Option<Fingerprint>,
    /// Whether they were a moderator of the group.
    pub is_moderator: bool,
}

/// Whom a message to a group goes to.
#[derive(Debug, Clone, Default)]
pub struct Audience {
    /// Members who are sent what is posted, the sender included.
    pub members: Vec<ParticipantId>,
    /// Members whose keys were reset and whom the chain does not exclude yet.
    pub reset: Vec<ParticipantId>,
}

const ROW: &str = "g.state, (SELECT count(*) FROM group_members m WHERE m.group_id = g.id), g.created_at";

fn from_row(row: &Row<'_>) -> Result<(String, u64, u64), rusqlite::Error> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn damaged(error: serde_json::Error) -> StoreError {
    StoreError::Sqlite(format!("a group cannot be read: {error}"))
}

fn read_row((state, members, created_at): (String, u64, u64)) -> Result<GroupRow, StoreError> {
    let state = serde_json::from_str(&state).map_err(damaged)?;
    Ok(GroupRow { state, members, created_at: UnixMillis(created_at) })
}

fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("groups are plain structures that always serialize")
}

impl ReadTx<'_> {
    /// Whether the group is kept here.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn has_group(&self, id: GroupId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM groups WHERE id = ?1)";
        Ok(self.connection.prepare_cached(sql)?.query_row([id.number()], |row| row.get(0))?)
    }

    /// A group without its members.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_group(&self, id: GroupId) -> Result<Option<GroupState>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT state FROM groups WHERE id = ?1")?;
        let state: Option<String> = statement.query_row([id.number()], |row| row.get(0)).optional()?;
        state.map(|state| serde_json::from_str(&state).map_err(damaged)).transpose()
    }

    /// A group with its members.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_whole_group(&self, id: GroupId) -> Result<Option<GroupState>, StoreError> {
        let Some(mut state) = self.find_group(id)? else { return Ok(None) };
        state.members = self.group_members(id)?;
        Ok(Some(state))
    }

    fn group_members(&self, id: GroupId) -> Result<BTreeMap<ParticipantId, Member>, StoreError> {
        let sql = "SELECT participant, member FROM group_members WHERE group_id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([id.number()])?;
        let mut members = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let member: String = row.get(1)?;
            members.insert(column::participant(row, 0)?, serde_json::from_str(&member).map_err(damaged)?);
        }
        Ok(members)
    }

    /// One member of a group.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_group_member(&self, id: GroupId, who: ParticipantId) -> Result<Option<Member>, StoreError> {
        let sql = "SELECT member FROM group_members WHERE group_id = ?1 AND participant = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let member: Option<String> =
            statement.query_row((id.number(), who.number()), |row| row.get(0)).optional()?;
        member.map(|member| serde_json::from_str(&member).map_err(damaged)).transpose()
    }

    /// Number of the entry with which somebody left a group.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn left_group_at(&self, id: GroupId, who: ParticipantId) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT until FROM former_group_members WHERE group_id = ?1 AND participant = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row((id.number(), who.number()), |row| row.get(0)).optional()?)
    }

    /// Whether somebody belongs to a group, or once did.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn was_ever_member(&self, id: GroupId, who: ParticipantId) -> Result<bool, StoreError> {
        Ok(self.find_group_member(id, who)?.is_some() || self.left_group_at(id, who)?.is_some())
    }

    /// Whom a message to the group goes to.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn group_audience(&self, id: GroupId) -> Result<Audience, StoreError> {
        let sql = "SELECT participant, reset FROM group_members WHERE group_id = ?1 AND suspended = 0";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([id.number()])?;
        let mut audience = Audience::default();
        while let Some(row) = rows.next()? {
            let list = if row.get(1)? { &mut audience.reset } else { &mut audience.members };
            list.push(column::participant(row, 0)?);
        }
        Ok(audience)
    }

    /// Entries after number `after` up to `until`, in order: about `max_bytes` of them, at least one if there is one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn group_entries(
        &self,
        id: GroupId,
        after: u32,
        until: u32,
        max_bytes: usize,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT entry FROM group_entries
                   WHERE group_id = ?1 AND number > ?2 AND number <= ?3 ORDER BY number";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query((id.number(), after, until))?;
        let (mut entries, mut bytes) = (Vec::<String>::new(), 0);
        while let Some(row) = rows.next()? {
            let entry: String = row.get(0)?;
            bytes += entry.len();
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The groups a participant belongs to.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn groups_of(&self, who: ParticipantId) -> Result<Vec<GroupRow>, StoreError> {
        let sql = format!(
            "SELECT {ROW} FROM group_members m JOIN groups g ON g.id = m.group_id
             WHERE m.participant = ?1 ORDER BY g.sort_key, g.id"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([who.number()], from_row)?;
        rows.map(|row| read_row(row?)).collect()
    }

    /// Open groups a participant does not belong to, by name; at most `limit`, and at most `of_one` that one and the same
    /// participant made.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn open_groups(
        &self,
        who: ParticipantId,
        limit: u32,
        of_one: u32,
    ) -> Result<Vec<GroupRow>, StoreError> {
        let sql = format!(
            "SELECT {ROW} FROM (
                 SELECT id, sort_key, state, created_at, made_by,
                     row_number() OVER (PARTITION BY made_by ORDER BY sort_key, id) AS place
                 FROM groups o WHERE o.open = 1 AND NOT EXISTS (SELECT 1 FROM group_members m
                     WHERE m.group_id = o.id AND m.participant = ?1)) g
             WHERE g.made_by IS NULL OR g.place <= ?3 ORDER BY g.sort_key, g.id LIMIT ?2"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map((who.number(), limit, of_one), from_row)?;
        rows.map(|row| read_row(row?)).collect()
    }

    /// One page of all groups by name, those whose name contains `search`, and how many there are in all.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_groups(
        &self,
        search: &str,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<GroupRow>, u64), StoreError> {
        let found = "FROM groups g WHERE finds(g.name, ?1)";
        let count = format!("SELECT count(*) {found}");
        let total = self.connection.prepare_cached(&count)?.query_row([search.trim()], |row| row.get(0))?;
        let sql = format!("SELECT {ROW} {found} ORDER BY g.sort_key, g.id LIMIT {limit} OFFSET {offset}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([search.trim()], from_row)?;
        Ok((rows.map(|row| read_row(row?)).collect::<Result<_, _>>()?, total))
    }

    /// How many members get what is posted to a group; `None` if it is not kept here.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_group_members(&self, id: GroupId) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM group_members m WHERE m.group_id = g.id AND m.suspended = 0)
                   FROM groups g WHERE g.id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([id.number()], |row| row.get(0)).optional()?)
    }

    /// How many groups a participant belongs to whom nobody else added, without those their keys do not open any more.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_own_groups(&self, who: ParticipantId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM group_members
                   WHERE participant = ?1 AND added_by IS NULL AND suspended = 0 AND reset = 0";
        Ok(self.connection.prepare_cached(sql)?.query_row([who.number()], |row| row.get(0))?)
    }

    /// How many groups a participant belongs to because this author, or this author's home, added them.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_added(&self, who: ParticipantId, author: &Author) -> Result<Added, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM group_members WHERE participant = ?1 AND added_by = ?2),
                          (SELECT count(*) FROM group_members WHERE participant = ?1 AND added_over = ?3)";
        let parameters = (who.number(), author.participant.number(), author.elsewhere.map(|home| home.0));
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement
            .query_row(parameters, |row| Ok(Added { by_adder: row.get(0)?, over_home: row.get(1)? }))?)
    }

    /// How much of a group's chain was written by this participant, and by all who are no moderators.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn chain_use(&self, id: GroupId, author: ParticipantId) -> Result<ChainUse, StoreError> {
        let sql = "SELECT coalesce((SELECT entries FROM group_authors WHERE group_id = ?1 AND participant = ?2), 0),
                          by_members
                   FROM groups WHERE id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row((id.number(), author.number()), |row| {
            Ok(ChainUse { by_author: row.get(0)?, by_members: row.get(1)? })
        })?)
    }
}

impl WriteTx<'_> {
    /// Keeps a new group with its first entry; false if another has the same short ID.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_group(
        &self,
        state: &GroupState,
        entry: &str,
        author: &Author,
        created_at: UnixMillis,
    ) -> Result<bool, StoreError> {
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT INTO groups (id, name, number, state, open, created_at, made_by)
                 VALUES (?1, '', 0, '', 0, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute((state.id().number(), created_at.0, author.participant.number()))?;
        if inserted == 1 {
            self.save_group(&BTreeMap::new(), state, entry, author)?;
        }
        Ok(inserted == 1)
    }

    /// Keeps an entry and what the group is after it; `before` were its members. Who comes in was added by the author,
    /// unless they are the author.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn save_group(
        &self,
        before: &BTreeMap<ParticipantId, Member>,
        after: &GroupState,
        entry: &str,
        author: &Author,
    ) -> Result<(), StoreError> {
        let id = after.id().number();
        let open = after.settings.access == Access::Open && !after.archived;
        self.connection
            .prepare_cached(
                "UPDATE groups SET name = ?2, sort_key = sort_key(?2), number = ?3, state = ?4, open = ?5 WHERE id = ?1",
            )?
            .execute((id, &after.settings.name, after.number, text(after), open))?;
        self.connection
            .prepare_cached("INSERT INTO group_entries (group_id, number, entry) VALUES (?1, ?2, ?3)")?
            .execute((id, after.number, entry))?;
        self.connection
            .prepare_cached(
                "INSERT INTO group_authors (group_id, participant, entries) VALUES (?1, ?2, 1)
                 ON CONFLICT DO UPDATE SET entries = entries + 1",
            )?
            .execute((id, author.participant.number()))?;
        if !author.is_moderator {
            self.connection
                .prepare_cached("UPDATE groups SET by_members = by_members + 1 WHERE id = ?1")?
                .execute([id])?;
        }
        for gone in before.keys().filter(|who| !after.members.contains_key(who)) {
            self.connection
                .prepare_cached("DELETE FROM group_members WHERE group_id = ?1 AND participant = ?2")?
                .execute((id, gone.number()))?;
            self.connection
                .prepare_cached(
                    "INSERT INTO former_group_members (group_id, participant, until) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET until = ?3",
                )?
                .execute((id, gone.number(), after.number))?;
        }
        for (who, member) in &after.members {
            if before.get(who) == Some(member) {
                continue;
            }
            let adder = Some(author).filter(|author| author.participant != *who);
            self.connection
                .prepare_cached("DELETE FROM former_group_members WHERE group_id = ?1 AND participant = ?2")?
                .execute((id, who.number()))?;
            self.connection
                .prepare_cached(
                    "INSERT INTO group_members (group_id, participant, member, suspended, added_by, added_over)
                     VALUES (?1, ?2, ?3, ?4, ?6, ?7)
                     ON CONFLICT DO UPDATE SET member = ?3, suspended = ?4,
                         reset = reset AND NOT ?4 AND member ->> 'fingerprint' = ?5",
                )?
                .execute((
                    id,
                    who.number(),
                    text(member),
                    member.suspended,
                    member.fingerprint.to_string(),
                    adder.map(|author| author.participant.number()),
                    adder.and_then(|author| author.elsewhere).map(|home| home.0),
                ))?;
        }
        Ok(())
    }

    /// Notes in every group of a participant that the keys were reset.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_reset_in_groups(&self, who: ParticipantId) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE group_members SET reset = 1 WHERE participant = ?1 AND suspended = 0")?
            .execute([who.number()])?;
        Ok(())
    }

    /// As [`WriteTx::note_reset_in_groups`], but where the chain pins the key with this fingerprint already.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_reset_unless_pinned(
        &self,
        who: ParticipantId,
        pinned: Fingerprint,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE group_members SET reset = 1
                   WHERE participant = ?1 AND suspended = 0 AND member ->> 'fingerprint' <> ?2";
        self.connection.prepare_cached(sql)?.execute((who.number(), pinned.to_string()))?;
        Ok(())
    }

    /// Deletes a group with its chain; false if there is none. What was posted stays in the queues.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_group(&self, id: GroupId) -> Result<bool, StoreError> {
        self.connection
            .prepare_cached("INSERT INTO deleted_groups (id) VALUES (?1) ON CONFLICT DO NOTHING")?
            .execute([id.number()])?;
        let deleted =
            self.connection.prepare_cached("DELETE FROM groups WHERE id = ?1")?.execute([id.number()])?;
        Ok(deleted == 1)
    }
}
