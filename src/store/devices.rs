//! The `devices` table.

use momedo_protocol::api::{DeviceJoined, JoinedHow};
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, Tick, WriteTx, column};

/// A device as stored.
#[derive(Debug, Clone)]
pub struct DeviceRow {
    /// Its ID.
    pub id: DeviceId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// Names its encryption keys in envelopes.
    pub key_digest: Sha512Digest,
    /// Its log-in key (SPKI DER).
    pub login_key: Vec<u8>,
    /// Whether the participant took it off the list.
    pub revoked: bool,
    /// Whether its queue was dropped because it was not seen for a month.
    pub parked: bool,
    /// When it last logged in or acknowledged, to the day.
    pub seen: Tick,
    /// How it joined, as far as that is known.
    pub joined: Option<DeviceJoined>,
}

const COLUMNS: &str =
    "id, participant, key_digest, login_key, revoked, parked, seen_tick, joined_at, joined, joined_by";

fn joined(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<DeviceJoined>> {
    let (at, how): (Option<u64>, Option<String>) = (row.get(7)?, row.get(8)?);
    let how = match how.as_deref() {
        Some("registered") => JoinedHow::Registered,
        Some("linked") => JoinedHow::Linked,
        Some("recovered") => JoinedHow::Recovered,
        _ => return Ok(None),
    };
    let by = row.get::<_, Option<i64>>(9)?.map(|_| column::device(row, 9)).transpose()?;
    Ok(at.map(|at| DeviceJoined { at: UnixMillis(at), how, by }))
}

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeviceRow> {
    Ok(DeviceRow {
        id: column::device(row, 0)?,
        participant: column::participant(row, 1)?,
        key_digest: column::digest(row, 2)?,
        login_key: row.get(3)?,
        revoked: row.get(4)?,
        parked: row.get(5)?,
        seen: Tick(row.get(6)?),
        joined: joined(row)?,
    })
}

impl ReadTx<'_> {
    /// The device with this ID, revoked ones included.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_device(&self, id: DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM devices WHERE id = ?1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([id.number()], from_row).optional()?)
    }

    /// A participant's devices that are not revoked.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_devices(&self, participant: ParticipantId) -> Result<Vec<DeviceRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM devices WHERE participant = ?1 AND NOT revoked ORDER BY id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([participant.number()], from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The devices an envelope for `participant` goes to: neither revoked nor parked.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn receiving_devices(&self, participant: ParticipantId) -> Result<Vec<DeviceId>, StoreError> {
        let sql = "SELECT id FROM devices WHERE participant = ?1 AND NOT revoked AND NOT parked";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([participant.number()], |row| column::device(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many devices are not revoked.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_devices(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM devices WHERE NOT revoked";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Devices not seen since `since` and not parked yet, whose owner has another device that was seen
    /// later: nobody's last device is parked, or a long holiday would cost accepted mail.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn unseen_devices(&self, since: Tick) -> Result<Vec<DeviceRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM devices d WHERE NOT revoked AND NOT parked AND seen_tick < ?1
             AND EXISTS (SELECT 1 FROM devices other WHERE other.participant = d.participant
                         AND NOT other.revoked AND NOT other.parked
                         AND (other.seen_tick, other.id) > (d.seen_tick, d.id))"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([since.0], from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl WriteTx<'_> {
    /// Adds a listed device, or takes over its new encryption keys.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn upsert_device(
        &mut self,
        id: DeviceId,
        participant: ParticipantId,
        key_digest: &Sha512Digest,
        login_key: &[u8],
    ) -> Result<(), StoreError> {
        self.directory.forget();
        self.connection
            .prepare_cached(
                "INSERT INTO devices (id, participant, key_digest, login_key, seen_tick)
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET key_digest = ?3",
            )?
            .execute((id.number(), participant.number(), key_digest.0, login_key, self.tick().0))?;
        Ok(())
    }

    /// Notes how a device joined.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_device_joined(&self, id: DeviceId, joined: &DeviceJoined) -> Result<(), StoreError> {
        let how = match joined.how {
            JoinedHow::Registered => "registered",
            JoinedHow::Linked => "linked",
            JoinedHow::Recovered => "recovered",
        };
        self.connection
            .prepare_cached("UPDATE devices SET joined_at = ?2, joined = ?3, joined_by = ?4 WHERE id = ?1")?
            .execute((id.number(), joined.at.0, how, joined.by.map(DeviceId::number)))?;
        Ok(())
    }

    /// Marks a device as revoked; its row stays, so that its key is never listed again. Whatever key backup there is ends
    /// with it: the device may have made its recovery code, or read it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn revoke_device(&mut self, id: DeviceId, now: UnixMillis) -> Result<(), StoreError> {
        self.directory.forget();
        self.connection
            .prepare_cached("UPDATE devices SET revoked = 1 WHERE id = ?1")?
            .execute([id.number()])?;
        match self.find_device(id)? {
            Some(device) => {
                self.end_key_backup(device.participant, now, None)?;
                self.note_change_for_other_home(device.participant)
            }
            None => Ok(()),
        }
    }

    /// Notes that a device was seen, and that it is parked no longer.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn mark_device_seen(&mut self, id: DeviceId) -> Result<(), StoreError> {
        self.directory.forget();
        self.connection
            .prepare_cached("UPDATE devices SET seen_tick = ?2, parked = 0 WHERE id = ?1")?
            .execute((id.number(), self.tick().0))?;
        Ok(())
    }

    /// As [`WriteTx::mark_device_seen`], but written only when the last note is more than a day old: an
    /// SD card need not hear of every acknowledgement.
    pub(super) fn refresh_device_seen(&mut self, id: DeviceId) -> Result<(), StoreError> {
        let now = self.tick();
        let refreshed = self
            .connection
            .prepare_cached(
                "UPDATE devices SET seen_tick = ?2, parked = 0 WHERE id = ?1 AND (parked OR seen_tick < ?3)",
            )?
            .execute((id.number(), now.0, now.minus_days(1).0))?;
        if refreshed > 0 {
            self.directory.forget();
        }
        Ok(())
    }

    /// Parks a device not seen since `since`: its queue is dropped, and nothing is kept for it until it is
    /// seen again. A device that was seen meanwhile is left alone.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn park_device(&mut self, id: DeviceId, since: Tick) -> Result<(), StoreError> {
        let parked = self
            .connection
            .prepare_cached("UPDATE devices SET parked = 1 WHERE id = ?1 AND NOT parked AND seen_tick < ?2")?
            .execute((id.number(), since.0))?;
        if parked == 1 {
            self.directory.forget();
            self.drop_queue(id)?;
        }
        Ok(())
    }
}
