//! What a device keeps of its homes' logs of key changes: every entry, who is who, and what was wrong.

use std::collections::HashMap;

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_log::{KeyLogEntry, LogPlace, LogSubject, LogView, SignedHead};
use momedo_protocol::time::UnixMillis;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::Profile;
use crate::ClientError;

/// Setting, with the server's fingerprint after it, with the newest signed head that continued its log.
const HEAD: &str = "key-log-head";

/// Setting, with the server's fingerprint after it, with the number up to which entries about the participant were looked at.
const CHECKED: &str = "key-log-checked";

/// Setting, with the server's fingerprint after it, with entries about the participant that nothing here accounts for
/// yet, and when each was first seen.
const UNEXPLAINED: &str = "key-log-unexplained";

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

/// Devices that a log says were added to a contact's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DevicesAdded {
    /// Whose.
    pub(crate) id: ParticipantId,
    /// Who stands for their devices.
    pub(crate) subject: LogSubject,
    /// The entry that says so.
    pub(crate) number: u64,
    /// The digest of their device list.
    pub(crate) digest: Sha512Digest,
}

/// A setting about one server's log.
fn of(setting: &str, server: Fingerprint) -> String {
    format!("{setting}:{server}")
}

impl Profile {
    /// Up to where the server's log was followed.
    pub(crate) fn log_end(&self, server: Fingerprint) -> Result<LogPlace, ClientError> {
        let sql = "SELECT number, hash FROM server_logs WHERE server = ?1 ORDER BY number DESC LIMIT 1";
        let end = self.sql(|database| {
            let place = |row: &rusqlite::Row<'_>| {
                Ok(LogPlace { number: row.get(0)?, hash: Sha512Digest(row.get(1)?) })
            };
            database.query_row(sql, [server.to_string()], place).optional()
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
        let sql = "SELECT hash FROM server_logs WHERE server = ?1 AND number = ?2";
        let hash: Option<[u8; 64]> = self.sql(|database| {
            database.query_row(sql, params![server.to_string(), number], |row| row.get(0)).optional()
        })?;
        Ok(hash.map(|hash| LogPlace { number, hash: Sha512Digest(hash) }))
    }

    /// Everything the log says about somebody after a number, newest first.
    pub(crate) fn log_entries_of(
        &self,
        server: Fingerprint,
        subject: LogSubject,
        after: u64,
    ) -> Result<Vec<Newest>, ClientError> {
        let sql = "SELECT number, version, digest, made_at FROM server_logs
                   WHERE server = ?1 AND subject = ?2 AND number > ?3 ORDER BY number DESC";
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
            statement.query_map(params![server.to_string(), subject.0, after], newest)?.collect()
        })
    }

    /// The last entries of a server's log, at most `most`, with the signed head they end at; `None` if nothing of it, or
    /// not all, was followed.
    pub(crate) fn log_tail(
        &self,
        server: Fingerprint,
        most: usize,
    ) -> Result<Option<(Vec<KeyLogEntry>, SignedHead)>, ClientError> {
        let end = self.log_end(server)?;
        let Some(head) = self.log_head(server)? else { return Ok(None) };
        if end.number == 0 || !head.verify(server).is_ok_and(|signed| signed.place() == end) {
            return Ok(None);
        }
        let sql = "SELECT subject, version, digest, made_at FROM server_logs
                   WHERE server = ?1 AND number > ?2 ORDER BY number";
        let after = end.number.saturating_sub(most as u64);
        let entries = self.sql(|database| {
            let mut statement = database.prepare(sql)?;
            let entry = |row: &rusqlite::Row<'_>| {
                Ok(KeyLogEntry {
                    subject: LogSubject(row.get(0)?),
                    version: row.get(1)?,
                    digest: Sha512Digest(row.get(2)?),
                    made_at: UnixMillis(row.get(3)?),
                })
            };
            statement.query_map(params![server.to_string(), after], entry)?.collect()
        })?;
        Ok(Some((entries, head)))
    }

    /// The newest versions of those subjects that the log tells of.
    pub(crate) fn newest_in_log(
        &self,
        server: Fingerprint,
        subjects: impl Iterator<Item = LogSubject>,
    ) -> Result<HashMap<LogSubject, u64>, ClientError> {
        let mut newest = HashMap::new();
        let sql =
            "SELECT version FROM server_logs WHERE server = ?1 AND subject = ?2 ORDER BY number DESC LIMIT 1";
        for subject in subjects {
            let version = self.sql(|database| {
                database.query_row(sql, params![server.to_string(), subject.0], |row| row.get(0)).optional()
            })?;
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
            let sql = "INSERT INTO server_logs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let name = server.to_string();
            for (entry, place) in entries {
                let KeyLogEntry { subject, version, digest, made_at } = entry;
                let row = params![name, place.number, subject.0, version, digest.0, made_at.0, place.hash.0];
                self.sql(|database| database.execute(sql, row))?;
                if let Some(home) = entry.home(server) {
                    let sql = "INSERT INTO log_homes VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
                    let row = params![name, home.to_string(), place.number];
                    self.sql(|database| database.execute(sql, row))?;
                }
            }
            self.set(&of(HEAD, server), head)
        })
    }

    /// The newest signed head that continued the log.
    pub(crate) fn log_head(&self, server: Fingerprint) -> Result<Option<SignedHead>, ClientError> {
        self.get(&of(HEAD, server))
    }

    /// Begins to follow the log anew; of what was seen before, the hashes are remembered.
    pub(crate) fn forget_log(&self, server: Fingerprint) -> Result<(), ClientError> {
        self.atomically(|| {
            for sql in [
                "INSERT INTO server_logs_past SELECT server, number, hash FROM server_logs WHERE server = ?1
                 ON CONFLICT DO NOTHING",
                "DELETE FROM server_logs WHERE server = ?1",
                "DELETE FROM log_homes WHERE server = ?1",
            ] {
                self.sql(|database| database.execute(sql, [server.to_string()]))?;
            }
            self.remove(&of(CHECKED, server))?;
            self.remove(&of(HEAD, server))
        })
    }

    /// Whether this device saw the log so before it began anew.
    pub(crate) fn was_seen(&self, server: Fingerprint, view: &LogView) -> Result<bool, ClientError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM server_logs_past
                   WHERE server = ?1 AND number = ?2 AND substr(hash, 1, 16) = ?3)";
        let parameters = params![server.to_string(), view.number, view.hash];
        self.sql(|database| database.query_row(sql, parameters, |row| row.get(0)))
    }

    /// Up to where entries about the participant were looked at.
    pub(crate) fn log_checked(&self, server: Fingerprint) -> Result<Option<u64>, ClientError> {
        self.get(&of(CHECKED, server))
    }

    /// Notes up to where entries about the participant were looked at.
    pub(crate) fn set_log_checked(&self, server: Fingerprint, number: u64) -> Result<(), ClientError> {
        self.set(&of(CHECKED, server), &number)
    }

    /// Entries about the participant that nothing here accounted for, with the time each was first seen.
    pub(crate) fn log_unexplained(
        &self,
        server: Fingerprint,
    ) -> Result<Vec<(Sha512Digest, UnixMillis)>, ClientError> {
        Ok(self.get(&of(UNEXPLAINED, server))?.unwrap_or_default())
    }

    /// Notes what nothing here accounts for yet.
    pub(crate) fn set_log_unexplained(
        &self,
        server: Fingerprint,
        entries: &[(Sha512Digest, UnixMillis)],
    ) -> Result<(), ClientError> {
        match entries {
            [] => self.remove(&of(UNEXPLAINED, server)),
            entries => self.set(&of(UNEXPLAINED, server), &entries),
        }
    }

    /// Who somebody is in a server's log, if that was worked out before.
    pub(crate) fn log_subject(
        &self,
        server: Fingerprint,
        id: ParticipantId,
    ) -> Result<Option<LogSubject>, ClientError> {
        let sql = "SELECT subject FROM server_log_subjects WHERE server = ?1 AND id = ?2";
        let parameters = [server.to_string(), id.to_string()];
        let subject: Option<[u8; 32]> =
            self.sql(|database| database.query_row(sql, parameters, |row| row.get(0)).optional())?;
        Ok(subject.map(LogSubject))
    }

    /// Keeps who somebody is in a server's log.
    pub(crate) fn set_log_subject(
        &self,
        server: Fingerprint,
        id: ParticipantId,
        subject: LogSubject,
    ) -> Result<(), ClientError> {
        let sql = "INSERT INTO server_log_subjects VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        let parameters = params![server.to_string(), id.to_string(), subject.0];
        self.sql(|database| database.execute(sql, parameters).map(drop))
    }

    /// Other servers whose logs this one says it follows, with the numbers of the entries that say so.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn log_homes(&self, server: Fingerprint) -> Result<Vec<(Fingerprint, u64)>, ClientError> {
        let sql = "SELECT home, number FROM log_homes WHERE server = ?1 ORDER BY number";
        let rows: Vec<(String, u64)> = self.sql(|database| {
            let mut statement = database.prepare(sql)?;
            statement.query_map([server.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        let read =
            |(home, number): (String, u64)| Ok((home.parse().map_err(|error| self.failed(error))?, number));
        rows.into_iter().map(read).collect()
    }

    /// Other servers in whose logs this device watches contacts' devices.
    pub(crate) fn watched_logs(&self, except: Fingerprint) -> Result<Vec<Fingerprint>, ClientError> {
        let sql = "SELECT DISTINCT server FROM log_watches WHERE server <> ?1";
        let rows: Vec<String> = self.sql(|database| {
            let mut statement = database.prepare(sql)?;
            statement.query_map([except.to_string()], |row| row.get(0))?.collect()
        })?;
        rows.iter().map(|server| server.parse().map_err(|error| self.failed(error))).collect()
    }

    /// Notices from now on when a log says that a contact's devices became more.
    pub(crate) fn watch_devices(
        &self,
        server: Fingerprint,
        subject: LogSubject,
        id: ParticipantId,
    ) -> Result<(), ClientError> {
        let since = self.log_end(server)?.number;
        let sql = "INSERT INTO log_watches VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let row = params![server.to_string(), subject.0, id.to_string(), since];
        self.sql(|database| database.execute(sql, row).map(drop))
    }

    /// What a log says of watched devices and was not noticed yet, in its order.
    pub(crate) fn devices_added(&self, server: Fingerprint) -> Result<Vec<DevicesAdded>, ClientError> {
        let sql = "SELECT w.id, w.subject, l.number, l.digest FROM log_watches w
                   JOIN server_logs l ON l.server = w.server AND l.subject = w.subject AND l.number > w.since
                   WHERE w.server = ?1 ORDER BY l.number";
        let rows: Vec<(String, [u8; 32], u64, [u8; 64])> = self.sql(|database| {
            let mut statement = database.prepare(sql)?;
            let columns = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            statement.query_map([server.to_string()], columns)?.collect()
        })?;
        let added = |(id, subject, number, digest): (String, _, _, _)| {
            let id = id.parse().map_err(|error| self.failed(error))?;
            Ok(DevicesAdded { id, subject: LogSubject(subject), number, digest: Sha512Digest(digest) })
        };
        rows.into_iter().map(added).collect()
    }

    /// Notes up to where a log was looked at for somebody's devices.
    pub(crate) fn note_devices_added(
        &self,
        server: Fingerprint,
        added: &DevicesAdded,
    ) -> Result<(), ClientError> {
        let sql = "UPDATE log_watches SET since = ?3 WHERE server = ?1 AND subject = ?2";
        let row = params![server.to_string(), added.subject.0, added.number];
        self.sql(|database| database.execute(sql, row).map(drop))
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
