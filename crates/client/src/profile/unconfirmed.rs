//! What was accepted for people of other servers, until the own home says what became of it.

use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;
use rusqlite::params;

use super::Profile;
use crate::ClientError;

/// How long they are kept, in days: as long as a server does.
const DAYS: u64 = 90;

impl Profile {
    /// Keeps a submission that was accepted; those that nobody spoke of any more go.
    pub(crate) fn keep_unconfirmed(
        &self,
        id: MessageId,
        recipient: ParticipantId,
        request: &str,
        now: UnixMillis,
    ) -> Result<(), ClientError> {
        let before = now.0.saturating_sub(DAYS * 86_400_000);
        self.sql(|database| {
            database.execute("DELETE FROM unconfirmed WHERE accepted_at < ?1", [before])?;
            let sql = "INSERT INTO unconfirmed VALUES (?1, ?2, ?3, ?4, 0) ON CONFLICT DO NOTHING";
            database.execute(sql, params![id.to_string(), recipient.to_string(), request, now.0]).map(drop)
        })
    }

    /// Forgets a submission of which is known what became of it.
    pub(crate) fn forget_unconfirmed(
        &self,
        id: MessageId,
        recipient: ParticipantId,
    ) -> Result<(), ClientError> {
        let sql = "DELETE FROM unconfirmed WHERE id = ?1 AND recipient = ?2";
        self.sql(|database| database.execute(sql, [id.to_string(), recipient.to_string()]).map(drop))
    }

    /// Notes that all of them have to be submitted again: who had accepted them is lost.
    pub(crate) fn mark_unconfirmed_due(&self) -> Result<(), ClientError> {
        self.sql(|database| database.execute("UPDATE unconfirmed SET due = 1", []).map(drop))
    }

    /// Those that have to be submitted again, oldest first.
    pub(crate) fn due_unconfirmed(&self) -> Result<Vec<String>, ClientError> {
        self.sql(|database| {
            let mut statement =
                database.prepare("SELECT request FROM unconfirmed WHERE due = 1 ORDER BY id")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// Notes that one was submitted again.
    pub(crate) fn settle_unconfirmed(
        &self,
        id: MessageId,
        recipient: ParticipantId,
    ) -> Result<(), ClientError> {
        let sql = "UPDATE unconfirmed SET due = 0 WHERE id = ?1 AND recipient = ?2";
        self.sql(|database| database.execute(sql, [id.to_string(), recipient.to_string()]).map(drop))
    }
}
