//! The `settings` table: the store's epoch, served time, and the server's own keys and addresses.

use momedo_protocol::cursor::StoreEpoch;
use rusqlite::{Connection, OptionalExtension};

use super::restored::RESTORED;
use super::{ReadTx, StoreError, WriteTx};

const EPOCH: &str = "store-epoch";
const FOLDING: &str = "folding";
const RECEIPT_KEY: &str = "receipt-key";
const SERVED_MILLIS: &str = "served-millis";

/// Reads the store's epoch, drawing one for a new store.
pub(super) fn epoch(connection: &Connection) -> Result<StoreEpoch, StoreError> {
    let stored = get(connection, EPOCH)?.and_then(|bytes| number(&bytes)).and_then(StoreEpoch::from_number);
    if let Some(epoch) = stored {
        return Ok(epoch);
    }
    let epoch = StoreEpoch::random();
    set_epoch(connection, epoch)?;
    Ok(epoch)
}

/// Begins another life of the store.
pub(super) fn set_epoch(connection: &Connection, epoch: StoreEpoch) -> Result<(), StoreError> {
    put(connection, EPOCH, &epoch.number().to_be_bytes())
}

/// Notes that the database was restored, now as the served time goes.
pub(super) fn note_restored(connection: &Connection) -> Result<(), StoreError> {
    put(connection, RESTORED, &served_millis(connection)?.to_be_bytes())
}

/// Which functions the stored forms of names were made by; `None`: those of a time before there was a version.
pub(super) fn folding_version(connection: &Connection) -> Result<Option<u64>, StoreError> {
    Ok(get(connection, FOLDING)?.and_then(|bytes| number(&bytes)))
}

/// Notes which functions they were made by.
pub(super) fn set_folding_version(connection: &Connection, version: u64) -> Result<(), StoreError> {
    put(connection, FOLDING, &version.to_be_bytes())
}

/// Reads the key that submissions are remembered under, drawing one for a new store.
pub(super) fn receipt_key(connection: &Connection) -> Result<[u8; 32], StoreError> {
    if let Some(key) = get(connection, RECEIPT_KEY)?.and_then(|bytes| bytes.try_into().ok()) {
        return Ok(key);
    }
    let key = momedo_protocol::random::bytes();
    put(connection, RECEIPT_KEY, &key)?;
    Ok(key)
}

pub(super) fn served_millis(connection: &Connection) -> Result<u64, StoreError> {
    Ok(get(connection, SERVED_MILLIS)?.and_then(|bytes| number(&bytes)).unwrap_or(0))
}

/// Stores the time served so far; what passes between two calls is lost by a crash, which only makes
/// mail live longer.
pub(super) fn store_served_millis(tx: &WriteTx<'_>) -> Result<(), StoreError> {
    put(tx.connection, SERVED_MILLIS, &tx.tick().0.to_be_bytes())
}

impl ReadTx<'_> {
    /// A named value of the server's own.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        get(self.connection, name)
    }
}

impl WriteTx<'_> {
    /// Sets a named value of the server's own.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_setting(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        put(self.connection, name, value)
    }

    /// Stores the time served so far.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn store_served_time(&self) -> Result<(), StoreError> {
        store_served_millis(self)
    }
}

fn get(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

fn put(connection: &Connection, name: &str, value: &[u8]) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
        )?
        .execute((name, value))?;
    Ok(())
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}
