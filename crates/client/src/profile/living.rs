//! What a device keeps of messages that live on after they were shown: who has seen them, how far a task is, how
//! people voted. Texts are kept of announcements, tasks and polls alone.

use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::{MessageReference, ReceiptKind};
use momedo_protocol::message_id::MessageId;
use rusqlite::params;

use super::{Profile, stored_time};
use crate::ClientError;

/// A message as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct KeptMessage {
    /// Whose it is, and its ID.
    pub(crate) reference: MessageReference,
    /// The participant or group it was exchanged with.
    pub(crate) conversation: String,
    /// Its kind.
    pub(crate) kind: String,
    /// Its body as JSON, for kinds that live on.
    pub(crate) body: Option<String>,
    /// Of an own message: to whom it went, as JSON.
    pub(crate) audience: Option<String>,
    /// Whether its sender took it back.
    pub(crate) withdrawn: bool,
}

/// A receipt that somebody should get.
#[derive(Debug, Clone)]
pub(crate) struct DueReceipt {
    /// The message it is about; it goes to its sender.
    pub(crate) reference: MessageReference,
    /// Digest of the group it was posted to, or empty.
    pub(crate) group: String,
    /// What happened to the message.
    pub(crate) state: ReceiptKind,
}

/// What somebody said about a message.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// Who.
    pub(crate) who: ParticipantId,
    /// What about: `receipt` (read), `arrived`, `task` or `vote`.
    pub(crate) mark: String,
    /// What it says.
    pub(crate) value: String,
    /// When, by that person's clock.
    pub(crate) at: u64,
}

fn pair(reference: &MessageReference) -> [String; 2] {
    [reference.from.to_string(), reference.id.to_string()]
}

impl Profile {
    /// Keeps what a message is about, unless it is kept already.
    pub(crate) fn keep_message(&self, message: &KeptMessage) -> Result<(), ClientError> {
        let [sender, id] = pair(&message.reference);
        let sql = "INSERT INTO messages (sender, id, conversation, kind, body, audience)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
        let row = params![sender, id, message.conversation, message.kind, message.body, message.audience];
        self.sql(|database| database.execute(sql, row).map(drop))
    }

    /// Every kept message with this ID; senders choose IDs, so there may be several.
    pub(crate) fn kept_messages(&self, id: MessageId) -> Result<Vec<KeptMessage>, ClientError> {
        type Row = (String, String, String, Option<String>, Option<String>, bool);
        let rows: Vec<Row> = self.sql(|database| {
            let sql =
                "SELECT sender, conversation, kind, body, audience, withdrawn FROM messages WHERE id = ?1";
            let mut statement = database.prepare(sql)?;
            statement
                .query_map([id.to_string()], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
                })?
                .collect()
        })?;
        rows.into_iter()
            .map(|(sender, conversation, kind, body, audience, withdrawn)| {
                let from = sender.parse().map_err(|error| self.failed(error))?;
                let reference = MessageReference { from, id };
                Ok(KeptMessage { reference, conversation, kind, body, audience, withdrawn })
            })
            .collect()
    }

    /// The kept messages that came or went last, newest first: of these kinds, and of one conversation if one is named.
    pub(crate) fn newest_messages(
        &self,
        conversation: Option<&str>,
        limit: usize,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<KeptMessage>, ClientError> {
        type Row = (String, String, String, String, Option<String>, Option<String>, bool);
        let rows: Vec<Row> = self.sql(|database| {
            // Rows come in the order in which they were kept; senders choose their times.
            let sql = "SELECT sender, id, conversation, kind, body, audience, withdrawn FROM messages
                       WHERE ?1 IS NULL OR conversation = ?1 ORDER BY rowid DESC";
            let mut statement = database.prepare(sql)?;
            let mut rows = statement.query([conversation])?;
            let mut found = Vec::new();
            while let (true, Some(row)) = (found.len() < limit, rows.next()?) {
                let kind: String = row.get(3)?;
                if is_wanted(&kind) {
                    found.push((
                        row.get(0)?,
                        row.get(1)?,
                        row.get(2)?,
                        kind,
                        row.get(4)?,
                        row.get(5)?,
                        row.get(6)?,
                    ));
                }
            }
            Ok(found)
        })?;
        rows.into_iter()
            .map(|(sender, id, conversation, kind, body, audience, withdrawn)| {
                let from = sender.parse().map_err(|error| self.failed(error))?;
                let id = id.parse().map_err(|error| self.failed(error))?;
                let reference = MessageReference { from, id };
                Ok(KeptMessage { reference, conversation, kind, body, audience, withdrawn })
            })
            .collect()
    }

    /// A kept message.
    pub(crate) fn kept_message(
        &self,
        reference: &MessageReference,
    ) -> Result<Option<KeptMessage>, ClientError> {
        let found = self.kept_messages(reference.id)?;
        Ok(found.into_iter().find(|message| message.reference.from == reference.from))
    }

    /// Gives a kept message another body.
    pub(crate) fn replace_body(&self, reference: &MessageReference, body: &str) -> Result<(), ClientError> {
        let [sender, id] = pair(reference);
        let sql = "UPDATE messages SET body = ?3 WHERE sender = ?1 AND id = ?2 AND body IS NOT NULL";
        self.sql(|database| database.execute(sql, [&sender, &id, body]).map(drop))
    }

    /// Forgets what a message said; its sender took it back.
    pub(crate) fn mark_withdrawn(&self, reference: &MessageReference) -> Result<(), ClientError> {
        let [sender, id] = pair(reference);
        let sql = "UPDATE messages SET withdrawn = 1, body = NULL WHERE sender = ?1 AND id = ?2";
        self.sql(|database| database.execute(sql, [&sender, &id]).map(drop))
    }

    /// Notes what somebody said about a message; only something later takes its place.
    pub(crate) fn put_mark(&self, reference: &MessageReference, mark: &Mark) -> Result<(), ClientError> {
        let [sender, id] = pair(reference);
        let sql = "INSERT INTO marks VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE
                   SET value = ?5, at = ?6 WHERE at <= ?6";
        let row = params![sender, id, mark.who.to_string(), mark.mark, mark.value, stored_time(mark.at)];
        self.sql(|database| database.execute(sql, row).map(drop))
    }

    /// What was said about a message, the newest last.
    pub(crate) fn marks(&self, reference: &MessageReference) -> Result<Vec<Mark>, ClientError> {
        let rows: Vec<(String, String, String, u64)> = self.sql(|database| {
            let sql = "SELECT who, mark, value, at FROM marks WHERE sender = ?1 AND id = ?2 ORDER BY at, who";
            let mut statement = database.prepare(sql)?;
            statement
                .query_map(pair(reference), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect()
        })?;
        rows.into_iter()
            .map(|(who, mark, value, at)| {
                let who = who.parse().map_err(|error| self.failed(error))?;
                Ok(Mark { who, mark, value, at })
            })
            .collect()
    }

    /// Notes that a sender should hear what happened to a message; that it was read says more than that it arrived.
    pub(crate) fn owe_receipt(
        &self,
        reference: &MessageReference,
        group: &str,
        state: ReceiptKind,
    ) -> Result<(), ClientError> {
        let [sender, id] = pair(reference);
        let sql = "INSERT INTO due_receipts (sender, id, group_digest, state) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET state = ?4 WHERE state = 'delivered'";
        self.sql(|database| database.execute(sql, [&sender, &id, group, state.word()]).map(drop))
    }

    /// Receipts that are due; those for one sender and group that say the same stand together.
    pub(crate) fn due_receipts(&self) -> Result<Vec<DueReceipt>, ClientError> {
        let rows: Vec<(String, String, String, String)> = self.sql(|database| {
            let sql = "SELECT sender, id, group_digest, state FROM due_receipts
                       ORDER BY sender, group_digest, state, id";
            let mut statement = database.prepare(sql)?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?.collect()
        })?;
        rows.into_iter()
            .map(|(sender, id, group, state)| {
                let from = sender.parse().map_err(|error| self.failed(error))?;
                let id = id.parse().map_err(|error| self.failed(error))?;
                let is_read = state == ReceiptKind::Read.word();
                let state = if is_read { ReceiptKind::Read } else { ReceiptKind::Delivered };
                Ok(DueReceipt { reference: MessageReference { from, id }, group, state })
            })
            .collect()
    }

    /// Notes that a sender has heard, or never will.
    pub(crate) fn settle_receipt(&self, due: &DueReceipt) -> Result<(), ClientError> {
        let [sender, id] = pair(&due.reference);
        let sql = "DELETE FROM due_receipts WHERE sender = ?1 AND id = ?2 AND state = ?3";
        self.sql(|database| database.execute(sql, [&sender, &id, due.state.word()]).map(drop))
    }
}
