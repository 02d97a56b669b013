//! What a device keeps of its homes' logs of key changes: every entry, who is who, and what was wrong.

use std::collections::HashMap;
use std::ops::ControlFlow;

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_log::{KeyLogEntry, LogPlace, LogSubject, LogView, SignedHead};
use momedo_protocol::time::UnixMillis;
use serde::Serialize;

use super::Profile;
use super::rows::number;
use crate::ClientError;
use crate::keeping::tables::{
    key_log_alarms, log_homes, log_watches, server_log_subjects, server_logs, server_logs_past,
};
use crate::keeping::{Cell, Column, Result as Kept, Row, Scan};

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

/// A server's name among keys.
fn name(server: Fingerprint) -> Cell {
    server.to_string().into()
}

/// What is read of an entry about somebody.
const NEWEST: [Column; 4] =
    [server_logs::NUMBER, server_logs::VERSION, server_logs::DIGEST, server_logs::MADE_AT];

fn newest(row: &mut Row) -> Kept<Newest> {
    Ok(Newest {
        number: row.number()?,
        version: row.number()?,
        digest: Sha512Digest(row.array()?),
        made_at: UnixMillis(row.number()?),
    })
}

impl Profile {
    /// Up to where the server's log was followed.
    pub(crate) fn log_end(&self, server: Fingerprint) -> Result<LogPlace, ClientError> {
        use server_logs::{HASH, NUMBER, TABLE};
        let mut end = None;
        self.visit(&TABLE, Scan::by_key(&[name(server)]).down(), &[NUMBER, HASH], |row| {
            end = Some(LogPlace { number: row.number()?, hash: Sha512Digest(row.array()?) });
            Ok(ControlFlow::Break(()))
        })?;
        Ok(end.unwrap_or_else(|| LogPlace::start(server)))
    }

    /// The place with this number, if the log was followed so far.
    pub(crate) fn log_place(&self, server: Fingerprint, place: u64) -> Result<Option<LogPlace>, ClientError> {
        if place == 0 {
            return Ok(Some(LogPlace::start(server)));
        }
        let key = [name(server), number(place)?];
        let hash = self.row(&server_logs::TABLE, &key, &[server_logs::HASH], Row::array)?;
        Ok(hash.map(|hash| LogPlace { number: place, hash: Sha512Digest(hash) }))
    }

    /// Everything the log says about somebody after a number, newest first.
    pub(crate) fn log_entries_of(
        &self,
        server: Fingerprint,
        subject: LogSubject,
        after: u64,
    ) -> Result<Vec<Newest>, ClientError> {
        use server_logs::{SERVER_LOGS_BY_SUBJECT, TABLE};
        let key = [name(server), subject.0.into()];
        let mut entries = Vec::new();
        self.visit(&TABLE, Scan::by_index(&SERVER_LOGS_BY_SUBJECT, &key).down(), &NEWEST, |row| {
            let entry = newest(row)?;
            if entry.number <= after {
                return Ok(ControlFlow::Break(()));
            }
            entries.push(entry);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(entries)
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
        use server_logs::{DIGEST, MADE_AT, SUBJECT, TABLE, VERSION};
        let first = end.number.saturating_sub(most as u64).saturating_add(1);
        let key = [name(server)];
        let scan = Scan::by_key(&key).from(number(first)?);
        let entries = self.rows(&TABLE, scan, &[SUBJECT, VERSION, DIGEST, MADE_AT], |row| {
            Ok(KeyLogEntry {
                subject: LogSubject(row.array()?),
                version: row.number()?,
                digest: Sha512Digest(row.array()?),
                made_at: UnixMillis(row.number()?),
            })
        })?;
        Ok(Some((entries, head)))
    }

    /// The newest versions of those subjects that the log tells of.
    pub(crate) fn newest_in_log(
        &self,
        server: Fingerprint,
        subjects: impl Iterator<Item = LogSubject>,
    ) -> Result<HashMap<LogSubject, u64>, ClientError> {
        use server_logs::{SERVER_LOGS_BY_SUBJECT, TABLE, VERSION};
        let mut newest = HashMap::new();
        for subject in subjects {
            let key = [name(server), subject.0.into()];
            self.visit(&TABLE, Scan::by_index(&SERVER_LOGS_BY_SUBJECT, &key).down(), &[VERSION], |row| {
                newest.insert(subject, row.number()?);
                Ok(ControlFlow::Break(()))
            })?;
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
            for (entry, at) in entries {
                let KeyLogEntry { subject, version, digest, made_at } = entry;
                let (place, version, made_at) = (number(at.number)?, number(*version)?, number(made_at.0)?);
                let hash = at.hash.0.into();
                let row =
                    [name(server), place.clone(), subject.0.into(), version, digest.0.into(), made_at, hash];
                self.add(&server_logs::TABLE, row)?;
                if let Some(home) = entry.home(server) {
                    self.insert(&log_homes::TABLE, [name(server), home.to_string().into(), place])?;
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
            let key = [name(server)];
            let read = |row: &mut Row| Ok((row.cell()?, row.cell()?));
            let columns = [server_logs::NUMBER, server_logs::HASH];
            for (number, hash) in self.rows(&server_logs::TABLE, Scan::by_key(&key), &columns, read)? {
                self.insert(&server_logs_past::TABLE, [name(server), number.clone(), hash])?;
                self.delete(&server_logs::TABLE, &[name(server), number])?;
            }
            for home in self.rows(&log_homes::TABLE, Scan::by_key(&key), &[log_homes::HOME], Row::cell)? {
                self.delete(&log_homes::TABLE, &[name(server), home])?;
            }
            self.remove(&of(CHECKED, server))?;
            self.remove(&of(HEAD, server))
        })
    }

    /// Whether this device saw the log so before it began anew.
    pub(crate) fn was_seen(&self, server: Fingerprint, view: &LogView) -> Result<bool, ClientError> {
        use server_logs_past::{HASH, TABLE};
        let key = [name(server), number(view.number)?];
        let mut was_seen = false;
        self.visit(&TABLE, Scan::by_key(&key), &[HASH], |row| {
            was_seen = row.bytes()?.get(..view.hash.len()) == Some(&view.hash[..]);
            Ok(if was_seen { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(was_seen)
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
        use server_log_subjects::{SUBJECT, TABLE};
        let key = [name(server), id.to_string().into()];
        Ok(self.row(&TABLE, &key, &[SUBJECT], Row::array)?.map(LogSubject))
    }

    /// Keeps who somebody is in a server's log.
    pub(crate) fn set_log_subject(
        &self,
        server: Fingerprint,
        id: ParticipantId,
        subject: LogSubject,
    ) -> Result<(), ClientError> {
        let row = [name(server), id.to_string().into(), subject.0.into()];
        self.insert(&server_log_subjects::TABLE, row).map(drop)
    }

    /// Other servers whose logs this one says it follows, with the numbers of the entries that say so.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn log_homes(&self, server: Fingerprint) -> Result<Vec<(Fingerprint, u64)>, ClientError> {
        use log_homes::{HOME, NUMBER, TABLE};
        let read = |row: &mut Row| Ok((row.text()?, row.number::<u64>()?));
        let mut rows = self.rows(&TABLE, Scan::by_key(&[name(server)]), &[HOME, NUMBER], read)?;
        rows.sort_by_key(|(_, number)| *number);
        let read =
            |(home, number): (String, u64)| Ok((home.parse().map_err(|error| self.failed(error))?, number));
        rows.into_iter().map(read).collect()
    }

    /// Other servers in whose logs this device watches contacts' devices.
    pub(crate) fn watched_logs(&self, except: Fingerprint) -> Result<Vec<Fingerprint>, ClientError> {
        let scan = Scan::by_key(&[]);
        let mut rows = self.rows(&log_watches::TABLE, scan, &[log_watches::SERVER], Row::text)?;
        rows.dedup();
        rows.retain(|server| *server != except.to_string());
        rows.iter().map(|server| server.parse().map_err(|error| self.failed(error))).collect()
    }

    /// Notices from now on when a log says that a contact's devices became more.
    pub(crate) fn watch_devices(
        &self,
        server: Fingerprint,
        subject: LogSubject,
        id: ParticipantId,
    ) -> Result<(), ClientError> {
        let since = number(self.log_end(server)?.number)?;
        let row = [name(server), subject.0.into(), id.to_string().into(), since];
        self.insert(&log_watches::TABLE, row).map(drop)
    }

    /// What a log says of watched devices and was not noticed yet, in its order.
    pub(crate) fn devices_added(&self, server: Fingerprint) -> Result<Vec<DevicesAdded>, ClientError> {
        use log_watches::{ID, SINCE, SUBJECT};
        use server_logs::{DIGEST, NUMBER, SERVER_LOGS_BY_SUBJECT};
        let read = |row: &mut Row| Ok((row.text()?, row.array::<32>()?, row.number::<i64>()?));
        let scan = [name(server)];
        let columns = [ID, SUBJECT, SINCE];
        let mut rows: Vec<(String, [u8; 32], u64, [u8; 64])> = Vec::new();
        for (id, subject, since) in self.rows(&log_watches::TABLE, Scan::by_key(&scan), &columns, read)? {
            let key = [name(server), subject.into()];
            let scan = Scan::by_index(&SERVER_LOGS_BY_SUBJECT, &key).from(since.saturating_add(1).into());
            self.visit(&server_logs::TABLE, scan, &[NUMBER, DIGEST], |row| {
                rows.push((id.clone(), subject, row.number()?, row.array()?));
                Ok(ControlFlow::Continue(()))
            })?;
        }
        rows.sort_by_key(|row| row.2);
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
        let key = [name(server), added.subject.0.into()];
        let since = [(log_watches::SINCE, number(added.number)?)];
        self.change(&log_watches::TABLE, &key, since).map(drop)
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
        let row = [about.into(), number(at.0)?, words.into(), before.into(), after.into()];
        self.insert(&key_log_alarms::TABLE, row)
    }

    /// Every alarm that was raised, the newest first.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn log_alarms(&self) -> Result<Vec<LogAlarm>, ClientError> {
        use key_log_alarms::{AFTER, AT, BEFORE, TABLE, WORDS};
        let mut alarms = self.rows(&TABLE, Scan::by_arrival(), &[AT, WORDS, BEFORE, AFTER], |row| {
            let (at, words) = (UnixMillis(row.number()?), row.text()?);
            let read = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
            let heads = read(row.optional_text()?).zip(read(row.optional_text()?));
            Ok(LogAlarm { at, words, heads: heads.map(|(before, after)| [before, after]) })
        })?;
        alarms.sort_by_key(|alarm| std::cmp::Reverse(alarm.at.0));
        Ok(alarms)
    }
}
