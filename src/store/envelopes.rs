//! The `bodies` and `receipts` tables: what was accepted, once, and the memory that makes it idempotent.

use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, Tick, WriteTx};
use crate::domain::ozone::{DELIVERY_BYTES, Source};

/// An envelope to be kept.
#[derive(Debug, Clone)]
pub struct NewEnvelope {
    /// Who sent it.
    pub sender: ParticipantId,
    /// The sender's ID for it.
    pub message_id: MessageId,
    /// When the server took it.
    pub accepted_at: UnixMillis,
    /// The own bundle version it is sealed to; 0 for device keys.
    pub bundle_version: u32,
    /// Where it came from.
    pub source: Source,
    /// Whether it counts as its sender's.
    pub charged: Charged,
    /// The envelope.
    pub bytes: Vec<u8>,
}

/// To whose room an envelope counts that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charged {
    /// Its sender's.
    Sender,
    /// Nobody's: another server brought it, which has limits of its own, or this one wrote it.
    Nobody,
}

/// A kept envelope, as it is handed out.
#[derive(Debug, Clone)]
pub struct StoredEnvelope {
    /// Who sent it.
    pub sender: ParticipantId,
    /// The sender's ID for it.
    pub message_id: MessageId,
    /// When the server took it.
    pub accepted_at: UnixMillis,
    /// The group it was posted to.
    pub group: Option<GroupId>,
    /// The envelope.
    pub bytes: Vec<u8>,
}

/// Whom a message is for, as the memory of accepted messages tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversation {
    /// A participant.
    With(ParticipantId),
    /// A group that is kept here, or that a participant of this server posts to.
    Group(GroupId),
    /// A participant, as a member of a group that another server keeps.
    Member(ParticipantId, GroupId),
}

impl Conversation {
    /// Columns `recipient` and `group_id`; -1 where there is none.
    fn columns(self) -> (i64, i64) {
        let participant = |id: ParticipantId| id.number().cast_signed();
        let group = |id: GroupId| id.number().cast_signed();
        match self {
            Self::With(who) => (participant(who), -1),
            Self::Group(id) => (-1, group(id)),
            Self::Member(who, id) => (participant(who), group(id)),
        }
    }
}

/// What the memory of accepted messages says about one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Never seen before.
    New,
    /// Accepted before with the same bytes.
    Same,
    /// Accepted before with other bytes.
    Different,
}

impl ReadTx<'_> {
    /// Envelopes waiting, and their bytes; each counted once however many devices it waits for.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_envelopes(&self) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT count(*), coalesce(sum(length(envelope)), 0) FROM bodies";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }
}

impl WriteTx<'_> {
    /// Remembers a message, or says how it was remembered before. `digest` stands for its bytes.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn remember_message(
        &self,
        message_id: MessageId,
        sender: ParticipantId,
        conversation: Conversation,
        digest: &[u8; 16],
    ) -> Result<Known, StoreError> {
        let (recipient, group) = conversation.columns();
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT INTO receipts (message_id, sender, recipient, group_id, digest, accepted_tick)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?
            .execute((message_id.0, sender.number(), recipient, group, digest, self.tick().0))?;
        if inserted == 1 {
            return Ok(Known::New);
        }
        self.known_message(message_id, sender, conversation, digest)
    }

    /// How a message is remembered, without remembering it. `digest` stands for its bytes.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn known_message(
        &self,
        message_id: MessageId,
        sender: ParticipantId,
        conversation: Conversation,
        digest: &[u8; 16],
    ) -> Result<Known, StoreError> {
        let (recipient, group) = conversation.columns();
        let known: Option<[u8; 16]> = self
            .connection
            .prepare_cached(
                "SELECT digest FROM receipts
                 WHERE message_id = ?1 AND sender = ?2 AND recipient = ?3 AND group_id = ?4",
            )?
            .query_row((message_id.0, sender.number(), recipient, group), |row| row.get(0))
            .optional()?;
        Ok(match known {
            None => Known::New,
            Some(known) if known == *digest => Known::Same,
            Some(_) => Known::Different,
        })
    }

    /// Forgets messages accepted before `before`, at most `limit` after `from`; returns where to go on.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn forget_messages(
        &self,
        before: Tick,
        from: [u8; 16],
        limit: u32,
    ) -> Result<Option<[u8; 16]>, StoreError> {
        let last: Option<[u8; 16]> = self
            .connection
            .prepare_cached(
                "SELECT message_id FROM receipts WHERE message_id >= ?1 ORDER BY message_id LIMIT 1 OFFSET ?2",
            )?
            .query_row((from, limit), |row| row.get(0))
            .optional()?;
        self.connection
            .prepare_cached(
                "DELETE FROM receipts WHERE message_id >= ?1 AND message_id <= coalesce(?2, message_id)
                 AND accepted_tick < ?3",
            )?
            .execute((from, last, before.0))?;
        Ok(last)
    }

    /// Bytes of a sender that wait, in queues here and on their way to other servers, each counted once.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn bytes_of_sender(&self, sender: ParticipantId) -> Result<u64, StoreError> {
        let sql = "SELECT bytes FROM sender_bytes WHERE sender = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([sender.number()], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// Keeps an envelope for `remaining` deliveries, with `slot_bytes` of content keys, and returns its body's number.
    pub(super) fn insert_body(
        &self,
        envelope: &NewEnvelope,
        group: Option<GroupId>,
        remaining: usize,
        slot_bytes: u64,
    ) -> Result<i64, StoreError> {
        let charged = match envelope.charged {
            Charged::Sender => envelope.bytes.len() as u64 + slot_bytes + remaining as u64 * DELIVERY_BYTES,
            Charged::Nobody => 0,
        };
        self.connection
            .prepare_cached(
                "INSERT INTO bodies (remaining, sender, message_id, accepted_at, envelope, group_id, charged)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                remaining as u64,
                envelope.sender.number(),
                envelope.message_id.0,
                envelope.accepted_at.0,
                &envelope.bytes,
                group.map(GroupId::number),
                charged,
            ))?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Takes one delivery off a body; the last one deletes it.
    pub(super) fn release_body(&self, body: i64) -> Result<(), StoreError> {
        let group: Option<Option<i64>> = self
            .connection
            .prepare_cached("DELETE FROM bodies WHERE id = ?1 AND remaining = 1 RETURNING group_id")?
            .query_row([body], |row| row.get(0))
            .optional()?;
        match group {
            Some(None) => {}
            Some(Some(_)) => {
                self.connection.prepare_cached("DELETE FROM slots WHERE body = ?1")?.execute([body])?;
            }
            None => {
                self.connection
                    .prepare_cached("UPDATE bodies SET remaining = remaining - 1 WHERE id = ?1")?
                    .execute([body])?;
            }
        }
        Ok(())
    }
}
