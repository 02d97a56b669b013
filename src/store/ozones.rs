//! The `deliveries` and `queues` tables: one queue per device.
//!
//! Sequence numbers of a queue rise by one per delivery and are never given twice: the next one follows
//! the highest that waits or was ever removed.

use std::collections::HashMap;
use std::sync::Arc;

use momedo_protocol::group::GroupId;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;

use super::{Delivered, NewEnvelope, ReadTx, StoreError, StoredEnvelope, Tick, WriteTx, column};
use crate::domain::delivery::{Queue, Takers};
use crate::domain::ozone::{Queued, Source, SourceNumbers};

/// Queues whose totals are kept in memory; beyond that all are forgotten and read again when needed.
const MAX_CACHED_QUEUES: usize = 50_000;

/// What a queue holds, counted.
#[derive(Debug, Clone, Default)]
pub struct QueueTotals {
    next_sequence: u64,
    bytes: u64,
    /// Whoever speaks for somebody else fills nothing of theirs.
    by_sender: HashMap<(i64, u64), u64>,
    by_home: HashMap<i64, u64>,
    by_neighbour: HashMap<i64, u64>,
}

fn subtract<K: Eq + std::hash::Hash>(totals: &mut HashMap<K, u64>, key: K, bytes: u64) {
    if let Some(total) = totals.get_mut(&key) {
        *total = total.saturating_sub(bytes);
        if *total == 0 {
            totals.remove(&key);
        }
    }
}

impl QueueTotals {
    fn add(&mut self, source: SourceNumbers, sender: u64, bytes: u64) {
        self.bytes += bytes;
        *self.by_sender.entry((source.home, sender)).or_default() += bytes;
        if source != SourceNumbers::default() {
            *self.by_home.entry(source.home).or_default() += bytes;
            *self.by_neighbour.entry(source.neighbour).or_default() += bytes;
        }
    }

    fn subtract(&mut self, source: SourceNumbers, sender: u64, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        subtract(&mut self.by_sender, (source.home, sender), bytes);
        subtract(&mut self.by_home, source.home, bytes);
        subtract(&mut self.by_neighbour, source.neighbour, bytes);
    }

    fn queued(&self, source: SourceNumbers, sender: u64) -> Queued {
        fn of<K: Eq + std::hash::Hash>(totals: &HashMap<K, u64>, key: &K) -> u64 {
            totals.get(key).copied().unwrap_or(0)
        }
        Queued {
            all: self.bytes,
            from_sender: of(&self.by_sender, &(source.home, sender)),
            from_home: of(&self.by_home, &source.home),
            over_neighbour: of(&self.by_neighbour, &source.neighbour),
        }
    }
}

/// Queue totals in the writer's memory, so that a quota check costs no read. Only the writer thread has
/// it; whatever a job touched that failed is forgotten.
#[derive(Debug, Default)]
pub struct Queues {
    totals: HashMap<u64, QueueTotals>,
    touched: Vec<u64>,
}

impl Queues {
    /// Forgets everything: the transaction failed.
    pub(super) fn forget(&mut self) {
        self.totals.clear();
        self.touched.clear();
    }

    /// What is touched from here on is forgotten by [`Queues::go_back`].
    pub(super) fn set_mark(&mut self) {
        self.touched.clear();
        if self.totals.len() > MAX_CACHED_QUEUES {
            self.totals.clear();
        }
    }

    pub(super) fn go_back(&mut self) {
        for device in self.touched.drain(..) {
            self.totals.remove(&device);
        }
    }
}

/// Where deliveries are removed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The oldest of a queue: nothing before them waits.
    Front,
    /// Any; what waits before them goes on waiting.
    Anywhere,
}

/// What is the same for a new delivery whatever queue it goes to.
#[derive(Debug, Clone, Copy)]
struct NewDelivery {
    body: i64,
    source: Source,
    bundle_version: u32,
}

/// A delivery that was removed.
struct Removed {
    sequence: u64,
    body: i64,
    sender: u64,
    size: u64,
    source: SourceNumbers,
}

/// One delivery that waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its place in the queue.
    pub sequence: u64,
    /// What was delivered.
    pub envelope: StoredEnvelope,
    /// The content key of a group message, sealed to the participant.
    pub slot: Option<Arc<[u8]>>,
}

/// A member of a group, and which devices take what is posted.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Who.
    pub participant: ParticipantId,
    /// The devices that take it.
    pub takers: Takers,
    /// The content key, sealed to the member.
    pub slot: Option<Arc<[u8]>>,
    /// Of the bundle the slot is sealed to; 0 without one.
    pub bundle_version: u32,
}

/// What is outside the deliveries of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueState {
    /// The highest sequence number that was acknowledged, expired or dropped.
    pub last_removed: u64,
    /// A number that was given and removed out of turn; no number up to it is given again.
    pub last_given: u64,
    /// Envelopes not kept for this device since it last acknowledged.
    pub missed: u64,
}

impl ReadTx<'_> {
    /// Deliveries after `after`, oldest first: at most `limit` and about `max_bytes`, at least one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn waiting(
        &self,
        device: DeviceId,
        after: u64,
        limit: usize,
        max_bytes: u64,
    ) -> Result<Vec<Waiting>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT d.sequence, b.sender, b.message_id, b.accepted_at, b.envelope, b.group_id,
                 CASE WHEN b.group_id IS NOT NULL THEN (SELECT slot FROM slots WHERE body = b.id AND participant =
                     (SELECT participant FROM devices WHERE id = d.device)) END
             FROM deliveries d JOIN bodies b ON b.id = d.body
             WHERE d.device = ?1 AND d.sequence > ?2 ORDER BY d.sequence LIMIT ?3",
        )?;
        let mut rows = statement.query((device.number(), after, limit as u64))?;
        let (mut page, mut bytes) = (Vec::new(), 0u64);
        while let Some(row) = rows.next()? {
            let envelope = StoredEnvelope {
                sender: column::participant(row, 1)?,
                message_id: column::message_id(row, 2)?,
                accepted_at: UnixMillis(row.get(3)?),
                bytes: row.get(4)?,
                group: row.get::<_, Option<u64>>(5)?.and_then(GroupId::from_number),
            };
            let slot: Option<Vec<u8>> = row.get(6)?;
            bytes += (envelope.bytes.len() + slot.as_ref().map_or(0, Vec::len)) as u64;
            if bytes > max_bytes && !page.is_empty() {
                break;
            }
            page.push(Waiting { sequence: row.get(0)?, envelope, slot: slot.map(Into::into) });
        }
        Ok(page)
    }

    /// A queue's state outside its deliveries.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn queue_state(&self, device: DeviceId) -> Result<QueueState, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT last_removed, last_given, missed FROM queues WHERE device = ?1")?;
        let row = statement.query_row([device.number()], |row| {
            Ok(QueueState { last_removed: row.get(0)?, last_given: row.get(1)?, missed: row.get(2)? })
        });
        Ok(row.optional()?.unwrap_or_default())
    }

    /// How many deliveries wait for a device.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_waiting(&self, device: DeviceId) -> Result<u64, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT count(*) FROM deliveries WHERE device = ?1")?;
        Ok(statement.query_row([device.number()], |row| row.get(0))?)
    }

    /// How many deliveries wait for a device, counted up to `most`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_waiting_up_to(&self, device: DeviceId, most: u64) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE device = ?1 LIMIT ?2)";
        Ok(self.connection.prepare_cached(sql)?.query_row((device.number(), most), |row| row.get(0))?)
    }

    fn queue_totals(&self, device: DeviceId) -> Result<QueueTotals, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT sender, sum(size), max(sequence), via, home FROM deliveries WHERE device = ?1
             GROUP BY sender, via, home",
        )?;
        let mut rows = statement.query([device.number()])?;
        let mut totals = QueueTotals::default();
        let state = self.queue_state(device)?;
        let mut last = state.last_removed.max(state.last_given);
        while let Some(row) = rows.next()? {
            let source = SourceNumbers { neighbour: row.get(3)?, home: row.get(4)? };
            totals.add(source, row.get(0)?, row.get(1)?);
            last = last.max(row.get(2)?);
        }
        totals.next_sequence = last + 1;
        Ok(totals)
    }
}

fn stored(envelope: NewEnvelope, group: Option<GroupId>) -> StoredEnvelope {
    StoredEnvelope {
        sender: envelope.sender,
        message_id: envelope.message_id,
        accepted_at: envelope.accepted_at,
        group,
        bytes: envelope.bytes,
    }
}

impl WriteTx<'_> {
    fn totals(&mut self, device: DeviceId) -> Result<&mut QueueTotals, StoreError> {
        let number = device.number();
        self.queues.touched.push(number);
        if !self.queues.totals.contains_key(&number) {
            let totals = self.read.queue_totals(device)?;
            self.queues.totals.insert(number, totals);
        }
        self.queues.totals.get_mut(&number).ok_or(StoreError::Closed)
    }

    /// What waits in the queues of `devices`, as far as it counts for something more of `sender` from `source`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn queues(
        &mut self,
        devices: &[DeviceId],
        source: Source,
        sender: ParticipantId,
    ) -> Result<Vec<Queue>, StoreError> {
        let source = source.numbers();
        let mut queues = Vec::with_capacity(devices.len());
        for device in devices.iter().copied() {
            let queued = self.totals(device)?.queued(source, sender.number());
            queues.push(Queue { device, queued });
        }
        Ok(queues)
    }

    /// Keeps `envelope` once and puts it into the queue of each device that takes it; one that misses it is told later.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn append(
        &mut self,
        recipient: ParticipantId,
        takers: &Takers,
        envelope: NewEnvelope,
    ) -> Result<(), StoreError> {
        if !takers.taking.is_empty() {
            let body = self.insert_body(&envelope, None, takers.taking.len(), 0)?;
            let place =
                NewDelivery { body, source: envelope.source, bundle_version: envelope.bundle_version };
            let stored = Arc::new(stored(envelope, None));
            for device in takers.taking.iter().copied() {
                self.enqueue(recipient, device, place, &stored, None)?;
            }
        }
        for device in takers.missing.iter().copied() {
            self.note_missed(device, 1)?;
        }
        Ok(())
    }

    /// Keeps `envelope` once for a whole group and puts it into the queues of everybody who takes it; a device
    /// that is full is told later that it missed something.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn append_to_group(
        &mut self,
        group: GroupId,
        recipients: &[Recipient],
        envelope: NewEnvelope,
    ) -> Result<(), StoreError> {
        let deliveries = recipients.iter().map(|recipient| recipient.takers.taking.len()).sum();
        if deliveries > 0 {
            let taken = recipients.iter().filter(|recipient| !recipient.takers.taking.is_empty());
            let slots = taken.filter_map(|recipient| Some(recipient.slot.as_ref()?.len() as u64)).sum();
            let body = self.insert_body(&envelope, Some(group), deliveries, slots)?;
            let source = envelope.source;
            let stored = Arc::new(stored(envelope, Some(group)));
            for recipient in recipients {
                let Recipient { participant, takers, slot, bundle_version } = recipient;
                if let Some(slot) = slot.as_ref().filter(|_| !takers.taking.is_empty()) {
                    self.connection
                        .prepare_cached("INSERT INTO slots (body, participant, slot) VALUES (?1, ?2, ?3)")?
                        .execute((body, participant.number(), &slot[..]))?;
                }
                for device in takers.taking.iter().copied() {
                    let place = NewDelivery { body, source, bundle_version: *bundle_version };
                    self.enqueue(*participant, device, place, &stored, slot.as_ref())?;
                }
            }
        }
        for device in recipients.iter().flat_map(|recipient| recipient.takers.missing.iter().copied()) {
            self.note_missed(device, 1)?;
        }
        Ok(())
    }

    fn enqueue(
        &mut self,
        participant: ParticipantId,
        device: DeviceId,
        NewDelivery { body, source, bundle_version }: NewDelivery,
        envelope: &Arc<StoredEnvelope>,
        slot: Option<&Arc<[u8]>>,
    ) -> Result<(), StoreError> {
        let source = source.numbers();
        let size = (envelope.bytes.len() + slot.map_or(0, |slot| slot.len())) as u64;
        let (sender, tick) = (envelope.sender.number(), self.tick());
        let sequence = self.totals(device)?.next_sequence;
        self.connection
            .prepare_cached(
                "INSERT INTO deliveries (device, sequence, body, sender, size, bundle_version, accepted_tick, via, home)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute((
                device.number(),
                sequence,
                body,
                sender,
                size,
                bundle_version,
                tick.0,
                source.neighbour,
                source.home,
            ))?;
        // After the row, so that the totals are right even if there is none.
        let totals = self.totals(device)?;
        totals.next_sequence += 1;
        totals.add(source, sender, size);
        self.delivered.push(Delivered {
            participant: participant.number(),
            device: device.number(),
            sequence,
            envelope: envelope.clone(),
            slot: slot.cloned(),
        });
        Ok(())
    }

    /// Removes everything up to `sequence` from a device's queue.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn acknowledge(&mut self, device: DeviceId, sequence: u64) -> Result<(), StoreError> {
        let last = self.totals(device)?.next_sequence - 1;
        self.remove(device, "sequence <= ?2", sequence, Place::Front)?;
        self.connection
            .prepare_cached(
                "INSERT INTO queues (device, last_removed) VALUES (?1, ?2)
                 ON CONFLICT (device) DO UPDATE SET last_removed = max(last_removed, ?2), missed = 0",
            )?
            .execute((device.number(), sequence.min(last)))?;
        self.refresh_device_seen(device)
    }

    /// Removes what a device's queue accepted before `before`; returns how many that were.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn expire(&mut self, device: DeviceId, before: Tick) -> Result<u64, StoreError> {
        let removed = self.remove(device, "accepted_tick < ?2", before.0, Place::Front)?;
        self.note_missed(device, removed)?;
        Ok(removed)
    }

    /// Empties a device's queue, and releases the attachments it could fetch; returns how many envelopes that were.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn drop_queue(&mut self, device: DeviceId) -> Result<u64, StoreError> {
        let removed = self.remove(device, "sequence <= ?2", i64::MAX as u64, Place::Front)?;
        self.note_missed(device, removed)?;
        self.release_blobs_of_device(device)?;
        Ok(removed)
    }

    /// Removes what `sender` sent from every queue it waits in; the devices are told that they missed it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub(super) fn drop_sent(&mut self, sender: ParticipantId) -> Result<(), StoreError> {
        let devices = {
            let sql = "SELECT DISTINCT device FROM deliveries WHERE sender = ?1";
            let mut statement = self.read.connection.prepare_cached(sql)?;
            let rows = statement.query_map([sender.number()], |row| column::device(row, 0))?;
            rows.collect::<Result<Vec<_>, _>>()?
        };
        for device in devices {
            let removed = self.remove(device, "sender = ?2", sender.number(), Place::Anywhere)?;
            self.note_missed(device, removed)?;
        }
        Ok(())
    }

    /// Devices whose queue has something accepted before `before`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn devices_with_mail_before(&self, before: Tick) -> Result<Vec<DeviceId>, StoreError> {
        // The first delivery of a queue is its oldest, so one look per device is enough.
        let sql = "SELECT devices.id FROM devices WHERE (
                       SELECT accepted_tick FROM deliveries WHERE device = devices.id
                       ORDER BY sequence LIMIT 1) < ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([before.0], |row| column::device(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Counts envelopes that were not kept for a device.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_missed(&mut self, device: DeviceId, count: u64) -> Result<(), StoreError> {
        if count > 0 {
            self.connection
                .prepare_cached(
                    "INSERT INTO queues (device, last_removed, missed) VALUES (?1, 0, ?2)
                     ON CONFLICT (device) DO UPDATE SET missed = missed + ?2",
                )?
                .execute((device.number(), count))?;
        }
        Ok(())
    }

    fn remove(
        &mut self,
        device: DeviceId,
        condition: &str,
        bound: u64,
        place: Place,
    ) -> Result<u64, StoreError> {
        let sql = format!(
            "DELETE FROM deliveries WHERE device = ?1 AND {condition}
             RETURNING sequence, body, sender, size, via, home"
        );
        // Before anything is deleted: totals read afterwards would not know the removed sequence numbers.
        self.totals(device)?;
        let mut removed = Vec::new();
        {
            let mut statement = self.read.connection.prepare_cached(&sql)?;
            let mut rows = statement.query((device.number(), bound))?;
            while let Some(row) = rows.next()? {
                removed.push(Removed {
                    sequence: row.get(0)?,
                    body: row.get(1)?,
                    sender: row.get(2)?,
                    size: row.get(3)?,
                    source: SourceNumbers { neighbour: row.get(4)?, home: row.get(5)? },
                });
            }
        }
        let totals = self.totals(device)?;
        for Removed { source, sender, size, .. } in &removed {
            totals.subtract(*source, *sender, *size);
        }
        for row in &removed {
            self.release_body(row.body)?;
        }
        if let Some(last) = removed.iter().map(|row| row.sequence).max() {
            let sql = match place {
                Place::Front => {
                    "INSERT INTO queues (device, last_removed) VALUES (?1, ?2)
                     ON CONFLICT (device) DO UPDATE SET last_removed = max(last_removed, ?2)"
                }
                // Reading goes on from what was removed last, and must not pass over what waits before these.
                Place::Anywhere => {
                    "INSERT INTO queues (device, last_removed, last_given) VALUES (?1, 0, ?2)
                     ON CONFLICT (device) DO UPDATE SET last_given = max(last_given, ?2)"
                }
            };
            self.connection.prepare_cached(sql)?.execute((device.number(), last))?;
        }
        Ok(removed.len() as u64)
    }
}
