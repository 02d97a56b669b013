//! What a device keeps of its server's log of key changes: every entry, who is who, and what was wrong.

use std::collections::HashMap;

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_log::{KeyLogEntry, LogPlace, LogSubject, LogView, SignedHead};
use momedo_protocol::time::UnixMillis;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::Profile;
use crate::ClientError;

/// The tables; made when they are missing, so that older profiles get them too.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS key_log (
        number INTEGER PRIMARY KEY, subject BLOB NOT NULL, version INTEGER NOT NULL, digest BLOB NOT NULL,
        made_at INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
    CREATE INDEX IF NOT EXISTS key_log_by_subject ON key_log (subject, number);
    CREATE TABLE IF NOT EXISTS key_log_past (number INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (number, hash)) STRICT;
    CREATE TABLE IF NOT EXISTS key_log_subjects (id TEXT PRIMARY KEY, subject BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS key_log_alarms (
        about TEXT PRIMARY KEY, at INTEGER NOT NULL, words TEXT NOT NULL, before TEXT, after TEXT) STRICT;";

/// Setting with the newest signed head that continued the log.
const HEAD: &str = "key-log-head";

/// Setting with the number up to which entries about the participant were looked at.
const CHECKED: &str = "key-log-checked";

/// Something that was wrong with a log.
#[derive(Debug, Clone, Serialize)]
pub struct LogAlarm {
    /// When it was noticed.
    pub at: UnixMillis,
    /// What it is, in words.
    pub words: String,
    /// The last signed head before, and the one that does not fit it: evidence for anybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<[serde_json::Value; 2]>,
}

/// The newest of what a log says about somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newest {
    pub(crate) number: u64,
    pub(crate) version: u64,
    pub(crate) digest: Sha512Digest,
    pub(crate) made_at: UnixMillis,
}

impl Profile {
    /// Up to where the server's log was followed.
    pub(crate) fn log_end(&self, server: Fingerprint) -> Result<LogPlace, ClientError> {
        let sql = "SELECT number, hash FROM key_log ORDER BY number DESC LIMIT 1";
        let end = self.sql(|database| {
            let place = |row: &rusqlite::Row<'_>| {
                Ok(LogPlace { number: row.get(0)?, hash: Sha512Digest(row.get(1)?) })
            };
            database.query_row(sql, [], place).optional()
        })?;
        Ok(end.unwrap_or_else(|| LogPlace::start(server)))
    }

    /// The place with this number, if the log was followed so far.
    pub(crate) fn log_place(
        &self,
        server: Fingerprint,
        number: u64,
    ) -> Result<Option<LogPlace>, ClientError> {
        if number == 0 {
            return Ok(Some(LogPlace::start(server)));
        }
        let sql = "SELECT hash FROM key_log WHERE number = ?1";
        let hash: Option<[u8; 64]> =
            self.sql(|database| database.query_row(sql, [number], |row| row.get(0)).optional())?;
        Ok(hash.map(|hash| LogPlace { number, hash: Sha512Digest(hash) }))
    }

    /// Everything the log says about somebody after a number, newest first.
    pub(crate) fn log_entries_of(&self, subject: LogSubject, after: u64) -> Result<Vec<Newest>, ClientError> {
        let sql = "SELECT number, version, digest, made_at FROM key_log
                   WHERE subject = ?1 AND number > ?2 ORDER BY number DESC";
        self.sql(|database| {
            let mut statement = database.prepare(sql)?;
            let newest = |row: &rusqlite::Row<'_>| {
                Ok(Newest {
                    number: row.get(0)?,
                    version: row.get(1)?,
                    digest: Sha512Digest(row.get(2)?),
                    made_at: UnixMillis(row.get(3)?),
                })
            };
            statement.query_map(params![subject.0, after], newest)?.collect()
        })
    }

    /// The newest versions of those subjects that the log tells of.
    pub(crate) fn newest_in_log(
        &self,
        subjects: impl Iterator<Item = LogSubject>,
    ) -> Result<HashMap<LogSubject, u64>, ClientError> {
        let mut newest = HashMap::new();
        let sql = "SELECT version FROM key_log WHERE subject = ?1 ORDER BY number DESC LIMIT 1";
        for subject in subjects {
            let version =
                self.sql(|database| database.query_row(sql, [subject.0], |row| row.get(0)).optional())?;
            newest.extend(version.map(|version: u64| (subject, version)));
        }
        Ok(newest)
    }

    /// Keeps what continues the log after `from`; does nothing if another command was faster.
    pub(crate) fn extend_log(
        &self,
        server: Fingerprint,
        from: LogPlace,
        entries: &[(KeyLogEntry, LogPlace)],
        head: &SignedHead,
    ) -> Result<(), ClientError> {
        self.atomically(|| {
            if self.log_end(server)? != from {
                return Ok(());
            }
            let sql = "INSERT INTO key_log VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            for (entry, place) in entries {
                let KeyLogEntry { subject, version, digest, made_at } = entry;
                let row = params![place.number, subject.0, version, digest.0, made_at.0, place.hash.0];
                self.sql(|database| database.execute(sql, row))?;
            }
            self.set(HEAD, head)
        })
    }

    /// The newest signed head that continued the log.
    pub(crate) fn log_head(&self) -> Result<Option<SignedHead>, ClientError> {
        self.get(HEAD)
    }

    /// Begins to follow the log anew; of what was seen before, the hashes are remembered.
    pub(crate) fn forget_log(&self) -> Result<(), ClientError> {
        self.atomically(|| {
            let sql =
                "INSERT INTO key_log_past SELECT number, hash FROM key_log WHERE true ON CONFLICT DO NOTHING;
                       DELETE FROM key_log;";
            self.sql(|database| database.execute_batch(sql))?;
            self.remove(CHECKED)?;
            self.remove(HEAD)
        })
    }

    /// Whether this device saw the log so before it began anew.
    pub(crate) fn was_seen(&self, view: &LogView) -> Result<bool, ClientError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM key_log_past WHERE number = ?1 AND substr(hash, 1, 16) = ?2)";
        self.sql(|database| database.query_row(sql, params![view.number, view.hash], |row| row.get(0)))
    }

    /// Up to where entries about the participant were looked at.
    pub(crate) fn log_checked(&self) -> Result<Option<u64>, ClientError> {
        self.get(CHECKED)
    }

    /// Notes up to where entries about the participant were looked at.
    pub(crate) fn set_log_checked(&self, number: u64) -> Result<(), ClientError> {
        self.set(CHECKED, &number)
    }

    /// Who somebody is in the own server's log, if that was worked out before.
    pub(crate) fn log_subject(&self, id: ParticipantId) -> Result<Option<LogSubject>, ClientError> {
        let sql = "SELECT subject FROM key_log_subjects WHERE id = ?1";
        let subject: Option<[u8; 32]> =
            self.sql(|database| database.query_row(sql, [id.to_string()], |row| row.get(0)).optional())?;
        Ok(subject.map(LogSubject))
    }

    /// Keeps who somebody is in the own server's log.
    pub(crate) fn set_log_subject(&self, id: ParticipantId, subject: LogSubject) -> Result<(), ClientError> {
        let sql = "INSERT INTO key_log_subjects VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.sql(|database| database.execute(sql, params![id.to_string(), subject.0]).map(drop))
    }

    /// Keeps an alarm; false when the same was raised before.
    pub(crate) fn keep_log_alarm(
        &self,
        about: &str,
        at: UnixMillis,
        words: &str,
        heads: Option<&[SignedHead; 2]>,
    ) -> Result<bool, ClientError> {
        let text = |head: &SignedHead| serde_json::to_string(head).map_err(|error| self.failed(error));
        let before = heads.map(|heads| text(&heads[0])).transpose()?;
        let after = heads.map(|heads| text(&heads[1])).transpose()?;
        let sql = "INSERT INTO key_log_alarms VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
        self.sql(|database| Ok(database.execute(sql, params![about, at.0, words, before, after])? == 1))
    }

    /// Every alarm that was raised, the newest first.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn log_alarms(&self) -> Result<Vec<LogAlarm>, ClientError> {
        let sql = "SELECT at, words, before, after FROM key_log_alarms ORDER BY at DESC";
        self.sql(|database| {
            let mut statement = database.prepare(sql)?;
            let alarm = |row: &rusqlite::Row<'_>| {
                let read = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
                let heads = read(row.get(2)?).zip(read(row.get(3)?));
                Ok(LogAlarm {
                    at: UnixMillis(row.get(0)?),
                    words: row.get(1)?,
                    heads: heads.map(|(before, after)| [before, after]),
                })
            };
            statement.query_map([], alarm)?.collect()
        })
    }
}
