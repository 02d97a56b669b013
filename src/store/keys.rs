//! The `key_bundles`, `mceliece_keys` and `device_lists` tables.

use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::id::ParticipantId;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, Tick, WriteTx, column};

/// A published bundle as stored; the documents are JSON text exactly as published.
#[derive(Debug, Clone)]
pub struct BundleRow {
    /// Its version.
    pub version: u64,
    /// Its digest.
    pub digest: Sha512Digest,
    /// Digest of its McEliece key.
    pub mceliece: Option<Sha512Digest>,
    /// Whether the signature key differs from the bundle before.
    pub changes_signature_key: bool,
    /// The home's countersignature.
    pub countersignature: String,
    /// The signed bundle.
    pub bundle: String,
}

/// Whether envelopes sealed to a bundle are still taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleStanding {
    /// The newest one.
    Current,
    /// A newer one exists since that time.
    Superseded(Tick),
    /// The participant never published it.
    Unknown,
}

const COLUMNS: &str = "version, digest, mceliece, changes_signature_key, countersignature, bundle";

fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<BundleRow> {
    Ok(BundleRow {
        version: row.get(0)?,
        digest: column::digest(row, 1)?,
        mceliece: row.get::<_, Option<[u8; 64]>>(2)?.map(Sha512Digest),
        changes_signature_key: row.get(3)?,
        countersignature: row.get(4)?,
        bundle: row.get(5)?,
    })
}

impl ReadTx<'_> {
    /// Every bundle of a participant, newest first, as signed.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_bundles(&self, id: ParticipantId) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT bundle FROM key_bundles WHERE participant = ?1 ORDER BY version DESC";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([id.number()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest bundle of a participant.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn current_bundle(&self, id: ParticipantId) -> Result<Option<BundleRow>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM key_bundles WHERE participant = ?1 ORDER BY version DESC LIMIT 1");
        Ok(self.connection.prepare_cached(&sql)?.query_row([id.number()], from_row).optional()?)
    }

    /// Bundles after `version` in which the signature key changed, oldest first.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn signature_key_changes(&self, id: ParticipantId, version: u64) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT bundle FROM key_bundles
                   WHERE participant = ?1 AND version > ?2 AND changes_signature_key ORDER BY version";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map((id.number(), version), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether envelopes for this version and digest are still taken.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn bundle_standing(
        &self,
        id: ParticipantId,
        version: u32,
        digest: &Sha512Digest,
    ) -> Result<BundleStanding, StoreError> {
        let sql = "SELECT superseded_tick FROM key_bundles
                   WHERE participant = ?1 AND version = ?2 AND digest = ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found = statement
            .query_row((id.number(), version, digest.0), |row| row.get::<_, Option<u64>>(0))
            .optional()?;
        Ok(match found {
            None => BundleStanding::Unknown,
            Some(None) => BundleStanding::Current,
            Some(Some(tick)) => BundleStanding::Superseded(Tick(tick)),
        })
    }

    /// The oldest own bundle version that something may still be sealed to: superseded after `since`,
    /// or waiting in a queue of the participant.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn oldest_bundle_in_use(&self, id: ParticipantId, since: Tick) -> Result<u64, StoreError> {
        let sql = "SELECT min(oldest) FROM (
                       SELECT min(version) AS oldest FROM key_bundles
                       WHERE participant = ?1 AND (superseded_tick IS NULL OR superseded_tick > ?2)
                       UNION ALL
                       SELECT min(d.bundle_version) FROM devices
                       JOIN deliveries d ON d.device = devices.id
                       WHERE devices.participant = ?1 AND d.bundle_version > 0)";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row((id.number(), since.0), |row| row.get::<_, Option<u64>>(0))?.unwrap_or(0))
    }

    /// The McEliece key with this digest (524,160 bytes).
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_mceliece_key(&self, digest: &Sha512Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT key FROM mceliece_keys WHERE digest = ?1")?;
        Ok(statement.query_row([digest.0], |row| row.get(0)).optional()?)
    }

    /// How many McEliece keys a participant uploaded that no bundle names.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_unused_mceliece_keys(&self, uploader: ParticipantId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM mceliece_keys k WHERE uploader = ?1 AND NOT EXISTS
                   (SELECT 1 FROM key_bundles b WHERE b.participant = ?1 AND b.mceliece = k.digest)";
        Ok(self.connection.prepare_cached(sql)?.query_row([uploader.number()], |row| row.get(0))?)
    }

    /// A participant's device list: its version and the signed JSON.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn device_list(&self, id: ParticipantId) -> Result<Option<(u64, String)>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT version, list FROM device_lists WHERE participant = ?1")?;
        Ok(statement.query_row([id.number()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }
}

impl WriteTx<'_> {
    /// Adds the newest bundle and marks the one before as superseded.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_bundle(&mut self, id: ParticipantId, row: &BundleRow) -> Result<(), StoreError> {
        self.directory.forget();
        self.connection
            .prepare_cached(
                "UPDATE key_bundles SET superseded_tick = ?2
                 WHERE participant = ?1 AND superseded_tick IS NULL",
            )?
            .execute((id.number(), self.tick().0))?;
        self.connection
            .prepare_cached(
                "INSERT INTO key_bundles (participant, version, digest, mceliece, changes_signature_key,
                                          countersignature, bundle)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                id.number(),
                row.version,
                row.digest.0,
                row.mceliece.map(|digest| digest.0),
                row.changes_signature_key,
                &row.countersignature,
                &row.bundle,
            ))?;
        self.settle_forgotten_keys(id, row.version)?;
        self.note_change_for_other_home(id)
    }

    /// Replaces the home's countersignature of a bundle.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_countersignature(
        &mut self,
        id: ParticipantId,
        version: u64,
        countersignature: &str,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE key_bundles SET countersignature = ?3 WHERE participant = ?1 AND version = ?2",
            )?
            .execute((id.number(), version, countersignature))?;
        self.note_change_for_other_home(id)
    }

    /// Keeps a McEliece key; storing it again changes nothing.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_mceliece_key(
        &self,
        digest: &Sha512Digest,
        uploader: ParticipantId,
        key: &[u8],
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO mceliece_keys (digest, uploader, stored_tick, key) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (digest) DO UPDATE SET stored_tick = ?3",
            )?
            .execute((digest.0, uploader.number(), self.tick().0, key))?;
        Ok(())
    }

    /// Notes that a McEliece key is being used; false when it is not stored.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn touch_mceliece_key(&self, digest: &Sha512Digest) -> Result<bool, StoreError> {
        let touched = self
            .connection
            .prepare_cached("UPDATE mceliece_keys SET stored_tick = ?2 WHERE digest = ?1")?
            .execute((digest.0, self.tick().0))?;
        Ok(touched == 1)
    }

    /// Deletes McEliece keys uploaded before `before` that only bundles superseded before `superseded`
    /// (or none) name.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_unused_mceliece_keys(&self, before: Tick, superseded: Tick) -> Result<usize, StoreError> {
        Ok(self
            .connection
            .prepare_cached(
                "DELETE FROM mceliece_keys WHERE stored_tick < ?1 AND digest NOT IN
                 (SELECT mceliece FROM key_bundles WHERE mceliece IS NOT NULL
                  AND (superseded_tick IS NULL OR superseded_tick > ?2)
                  UNION ALL SELECT mceliece FROM remote_participants WHERE mceliece IS NOT NULL)",
            )?
            .execute((before.0, superseded.0))?)
    }

    /// Replaces a participant's device list.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_device_list(&self, id: ParticipantId, version: u64, list: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO device_lists (participant, version, list) VALUES (?1, ?2, ?3)
                 ON CONFLICT (participant) DO UPDATE SET version = ?2, list = ?3",
            )?
            .execute((id.number(), version, list))?;
        self.note_change_for_other_home(id)
    }
}
