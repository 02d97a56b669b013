//! The `outbox` and `outbox_bodies` tables: what is on its way from here to other servers.
//!
//! A row stays until the recipient's home has signed for it.

use std::sync::Arc;

use momedo_protocol::blob::BlobId;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::group::GroupId;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::message_id::MessageId;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, Tick, WriteTx, column};

/// Names an envelope on its way: one message ID may name a message to a participant, and others to groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutgoingKey {
    /// Who sent it.
    pub sender: ParticipantId,
    /// The sender's ID for it.
    pub message_id: MessageId,
    /// Whom it is for.
    pub recipient: ParticipantId,
    /// The group it was posted to.
    pub group: Option<GroupId>,
}

/// An envelope on its way.
#[derive(Debug, Clone)]
pub struct OutgoingRow {
    /// Its place; rises while the server runs, also over rows that are gone.
    pub id: i64,
    /// Names it.
    pub key: OutgoingKey,
    /// The recipient's home.
    pub home: Fingerprint,
    /// The envelope.
    pub envelope: Arc<[u8]>,
    /// The content key sealed to the recipient.
    pub slot: Option<Vec<u8>>,
    /// The attachments it refers to.
    pub blobs: Vec<BlobId>,
    /// What is said of a copy for the recipient's other home.
    pub copy: Option<CopyFor>,
}

/// Which devices get the copy that goes to a participant's other home: all, unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyFor {
    /// The only one.
    pub device: Option<DeviceId>,
    /// The one that sent it.
    pub sender_device: Option<DeviceId>,
}

/// An envelope that is put on its way.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Names it.
    pub key: OutgoingKey,
    /// Where it goes.
    pub home: Fingerprint,
    /// The neighbour that leads there.
    pub via: Fingerprint,
    /// The envelope.
    pub envelope: &'a [u8],
    /// The attachments it refers to.
    pub blobs: &'a [BlobId],
    /// Set when it is a copy for the recipient's other home.
    pub copy: Option<CopyFor>,
}

/// Where an envelope is on its way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnItsWay {
    /// The home.
    pub home: Fingerprint,
    /// Whether it is a copy, of which no sender hears.
    pub is_copy: bool,
}

/// A message to a group on its way to members who live elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct OutgoingPosting<'a> {
    /// The group.
    pub group: GroupId,
    /// Who posted it.
    pub sender: ParticipantId,
    /// The sender's ID for it.
    pub message_id: MessageId,
    /// The envelope.
    pub envelope: &'a [u8],
    /// The attachments it refers to.
    pub blobs: &'a [BlobId],
}

/// A member who lives elsewhere.
#[derive(Debug, Clone)]
pub struct RemoteRecipient {
    /// Who.
    pub participant: ParticipantId,
    /// Where they live.
    pub home: Fingerprint,
    /// The neighbour that leads there.
    pub via: Fingerprint,
    /// The content key sealed to them.
    pub slot: Option<Arc<[u8]>>,
    /// Set when it is a copy for the other home of a member who lives here.
    pub copy: Option<CopyFor>,
}

/// What waits for a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queued {
    /// Envelopes from here.
    pub envelopes: u64,
    /// Batches that pass through.
    pub batches: u64,
    /// Bytes of both.
    pub bytes: u64,
}

fn write_blobs(blobs: &[BlobId]) -> Vec<u8> {
    blobs.iter().flat_map(|blob| blob.0).collect()
}

fn read_blobs(bytes: &[u8]) -> Vec<BlobId> {
    let (blobs, _) = bytes.as_chunks::<16>();
    blobs.iter().copied().map(BlobId).collect()
}

/// Columns `copy`, `device` and `sender_device`.
fn read_copy(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Option<CopyFor>> {
    let device = |index| -> rusqlite::Result<Option<DeviceId>> {
        Ok(row.get::<_, Option<u64>>(index)?.and_then(DeviceId::from_number))
    };
    Ok(match row.get(first)? {
        true => Some(CopyFor { device: device(first + 1)?, sender_device: device(first + 2)? }),
        false => None,
    })
}

/// The same, to be written.
fn write_copy(copy: Option<CopyFor>) -> (bool, Option<u64>, Option<u64>) {
    let number = |device: Option<DeviceId>| device.map(DeviceId::number);
    let devices = copy.unwrap_or_default();
    (copy.is_some(), number(devices.device), number(devices.sender_device))
}

/// What finds the row of a key.
const OF_KEY: &str = "message_id = ?1 AND sender = ?2 AND recipient = ?3 AND coalesce(group_id, -1) = ?4";

/// The parameters of [`OF_KEY`].
fn parameters(key: &OutgoingKey) -> ([u8; 16], u64, u64, i64) {
    let group = key.group.map_or(-1, |group| group.number().cast_signed());
    (key.message_id.0, key.sender.number(), key.recipient.number(), group)
}

/// Columns `sender`, `message_id`, `recipient` and `group_id`.
fn key(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<OutgoingKey> {
    Ok(OutgoingKey {
        sender: column::participant(row, first)?,
        message_id: column::message_id(row, first + 1)?,
        recipient: column::participant(row, first + 2)?,
        group: row.get::<_, Option<u64>>(first + 3)?.and_then(GroupId::from_number),
    })
}

impl ReadTx<'_> {
    /// Envelopes from here for a neighbour after place `after`, oldest first: at most `limit` and about
    /// `max_bytes`, at least one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn outgoing(
        &self,
        via: Fingerprint,
        after: i64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<OutgoingRow>, StoreError> {
        let sql =
            "SELECT id, sender, message_id, recipient, group_id, home, envelope, body, slot, blobs, copy,
                          device, sender_device
                   FROM outbox WHERE via = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query((via.0, after, limit as u64))?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        // What several recipients have in common is read once.
        let mut common: Option<(i64, Arc<[u8]>)> = None;
        while let Some(row) = rows.next()? {
            let slot: Option<Vec<u8>> = row.get(8)?;
            bytes += slot.as_ref().map_or(0, Vec::len);
            let envelope = match row.get::<_, Option<i64>>(7)? {
                Some(body) => match &common {
                    Some((known, envelope)) if *known == body => envelope.clone(),
                    _ => {
                        let envelope = self.outgoing_body(body)?;
                        bytes += envelope.len();
                        common = Some((body, envelope.clone()));
                        envelope
                    }
                },
                None => {
                    let envelope: Vec<u8> = row.get(6)?;
                    bytes += envelope.len();
                    envelope.into()
                }
            };
            if bytes > max_bytes && !page.is_empty() {
                break;
            }
            page.push(OutgoingRow {
                id: row.get(0)?,
                key: key(row, 1)?,
                home: Fingerprint(row.get(5)?),
                envelope,
                slot,
                blobs: read_blobs(&row.get::<_, Vec<u8>>(9)?),
                copy: read_copy(row, 10)?,
            });
        }
        Ok(page)
    }

    fn outgoing_body(&self, body: i64) -> Result<Arc<[u8]>, StoreError> {
        let sql = "SELECT envelope FROM outbox_bodies WHERE id = ?1";
        let envelope: Vec<u8> = self.connection.prepare_cached(sql)?.query_row([body], |row| row.get(0))?;
        Ok(envelope.into())
    }

    /// Where an envelope is on its way to, if it still is.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn on_its_way(&self, key: &OutgoingKey) -> Result<Option<OnItsWay>, StoreError> {
        let sql = format!("SELECT home, copy FROM outbox WHERE {OF_KEY}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let row = statement.query_row(parameters(key), |row| {
            Ok(OnItsWay { home: Fingerprint(row.get(0)?), is_copy: row.get(1)? })
        });
        Ok(row.optional()?)
    }

    /// Bytes on their way over a neighbour from here, and those of one sender; copies for second homes left out.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn outgoing_bytes(&self, via: Fingerprint, sender: ParticipantId) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT coalesce(sum(size), 0), coalesce(sum(size) FILTER (WHERE sender = ?2), 0)
                   FROM outbox WHERE via = ?1 AND copy = 0";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row((via.0, sender.number()), |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// What waits for a neighbour.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn queued_for(&self, via: Fingerprint) -> Result<Queued, StoreError> {
        let count = |sql: &str| -> Result<(u64, u64), StoreError> {
            let mut statement = self.connection.prepare_cached(sql)?;
            Ok(statement.query_row([via.0], |row| Ok((row.get(0)?, row.get(1)?)))?)
        };
        let (envelopes, own) = count("SELECT count(*), coalesce(sum(size), 0) FROM outbox WHERE via = ?1")?;
        let (batches, others) =
            count("SELECT count(*), coalesce(sum(size), 0) FROM relayed WHERE via = ?1 AND answered = 0")?;
        Ok(Queued { envelopes, batches, bytes: own + others })
    }

    /// How many envelopes of this server's are on their way, to all others together.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_outgoing(&self) -> Result<u64, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT count(*) FROM outbox")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }
}

impl WriteTx<'_> {
    /// Puts an envelope on its way. Nothing may be on its way under its key.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_outgoing(&self, outgoing: &Outgoing<'_>) -> Result<(), StoreError> {
        let Outgoing { key, home, via, envelope, blobs, copy } = *outgoing;
        let (is_copy, device, sender_device) = write_copy(copy);
        self.connection
            .prepare_cached(
                "INSERT INTO outbox (id, message_id, sender, recipient, home, via, accepted_tick, size, envelope, blobs,
                                     copy, device, sender_device)
                 VALUES ((SELECT max(coalesce(max(id) + 1, 0), ?1) FROM outbox), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
                         ?11, ?12, ?13)",
            )?
            .execute((
                self.first_place(),
                key.message_id.0,
                key.sender.number(),
                key.recipient.number(),
                home.0,
                via.0,
                self.tick().0,
                envelope.len() as u64,
                envelope,
                write_blobs(blobs),
                is_copy,
                device,
                sender_device,
            ))?;
        self.hold_for_home(home, blobs)
    }

    /// The place of a row that finds its table empty. A link goes on after the last place it sent, so none may be
    /// given twice while the server runs, and none be 0; SQLite would begin anew. Nobody stores a thousand rows in a
    /// millisecond.
    pub(super) fn first_place(&self) -> u64 {
        self.tick().0.saturating_mul(1000).saturating_add(1)
    }

    /// Puts a message to a group on its way to members who live elsewhere; its envelope is kept once.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_outgoing_posting(
        &self,
        posting: OutgoingPosting<'_>,
        recipients: &[RemoteRecipient],
    ) -> Result<(), StoreError> {
        if recipients.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO outbox_bodies (envelope) VALUES (?1)";
        self.connection.prepare_cached(sql)?.execute([posting.envelope])?;
        let body = self.connection.last_insert_rowid();
        // Rows of one home stand together, so that its batch carries the envelope once.
        let mut recipients: Vec<_> = recipients.iter().collect();
        recipients.sort_by_key(|recipient| recipient.home.0);
        let mut last = None;
        for RemoteRecipient { participant, home, via, slot, copy } in recipients {
            let (is_copy, device, sender_device) = write_copy(*copy);
            let is_first = last.replace(*home) != Some(*home);
            let slot_bytes = slot.as_ref().map_or(0, |slot| slot.len());
            let size = slot_bytes + if is_first { posting.envelope.len() } else { 0 };
            self.connection
                .prepare_cached(
                    "INSERT INTO outbox (id, message_id, sender, recipient, home, via, accepted_tick, size, group_id,
                                         body, slot, blobs, copy, device, sender_device)
                     VALUES ((SELECT max(coalesce(max(id) + 1, 0), ?1) FROM outbox), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
                             ?10, ?11, ?12, ?13, ?14, ?15)",
                )?
                .execute((
                    self.first_place(),
                    posting.message_id.0,
                    posting.sender.number(),
                    participant.number(),
                    home.0,
                    via.0,
                    self.tick().0,
                    size as u64,
                    posting.group.number(),
                    body,
                    slot.as_deref(),
                    write_blobs(posting.blobs),
                    is_copy,
                    device,
                    sender_device,
                ))?;
            if is_first {
                self.hold_for_home(*home, posting.blobs)?;
            }
        }
        Ok(())
    }

    /// Takes an envelope off its way.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_outgoing(&self, key: &OutgoingKey) -> Result<(), StoreError> {
        let sql = format!("DELETE FROM outbox WHERE {OF_KEY}");
        self.connection.prepare_cached(&sql)?.execute(parameters(key))?;
        Ok(())
    }

    /// Envelopes accepted before `before`, at most `limit`, and whether they are copies.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn outgoing_before(&self, before: Tick, limit: u32) -> Result<Vec<(OutgoingKey, bool)>, StoreError> {
        let sql = "SELECT sender, message_id, recipient, group_id, copy FROM outbox
                   WHERE accepted_tick < ?1 LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map((before.0, limit), |row| Ok((key(row, 0)?, row.get(4)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Envelopes on their way over a neighbour, at most `limit`, and whether they are copies.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn outgoing_over(
        &self,
        via: Fingerprint,
        limit: u32,
    ) -> Result<Vec<(OutgoingKey, bool)>, StoreError> {
        let sql = "SELECT sender, message_id, recipient, group_id, copy FROM outbox WHERE via = ?1 ORDER BY id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map((via.0, limit), |row| Ok((key(row, 0)?, row.get(4)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Sends what waits for participants with two homes to the one that can be reached, when the other cannot; returns
    /// whether anything changed.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn send_to_other_home(&self, lost: Fingerprint, other: Fingerprint) -> Result<bool, StoreError> {
        const WAITING: &str = "home = ?1 AND copy = 0 AND recipient IN
            (SELECT id FROM remote_participants WHERE home = ?1 AND other_home = ?2 AND disputed_by IS NULL)";
        let sql = format!("SELECT DISTINCT blobs FROM outbox WHERE length(blobs) > 0 AND {WAITING}");
        let blobs: Vec<Vec<u8>> = self
            .connection
            .prepare_cached(&sql)?
            .query_map((lost.0, other.0), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for blobs in blobs {
            self.hold_for_home(other, &read_blobs(&blobs))?;
        }
        let sql = format!("UPDATE outbox SET home = ?2, via = ?2 WHERE {WAITING}");
        let waiting = self.connection.prepare_cached(&sql)?.execute((lost.0, other.0))?;
        let sql = "UPDATE remote_participants SET home = ?2, other_home = ?1, via = ?2
                   WHERE home = ?1 AND other_home = ?2 AND disputed_by IS NULL";
        let known = self.connection.prepare_cached(sql)?.execute((lost.0, other.0))?;
        Ok(waiting + known > 0)
    }

    /// Sends what waits for a home over another neighbour from now on; returns whether anything changed.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn reroute(&self, home: Fingerprint, via: Fingerprint) -> Result<bool, StoreError> {
        let mut changed = 0;
        for sql in [
            "UPDATE outbox SET via = ?2 WHERE home = ?1 AND via <> ?2",
            "UPDATE relayed SET via = ?2 WHERE home = ?1 AND via <> ?2 AND source <> ?2 AND answered = 0",
        ] {
            changed += self.connection.prepare_cached(sql)?.execute((home.0, via.0))?;
        }
        Ok(changed > 0)
    }
}
