//! The `smoke_ozones`, `smoke_listeners` and `smoke_neighbours` tables.

use momedo_protocol::time::UnixMillis;

use super::{ReadTx, StoreError, WriteTx};

/// A named ozone.
#[derive(Debug, Clone)]
pub struct SmokeOzoneRow {
    /// The row's number.
    pub number: i64,
    /// The name, which clients type.
    pub name: String,
}

/// A listener for Smoke clients alone.
#[derive(Debug, Clone)]
pub struct SmokeListenerRow {
    /// Address and port.
    pub address: String,
    /// Whether clients must prove who they are.
    pub is_private: bool,
    /// Most clients at once.
    pub max_clients: u64,
    /// Whether it is to run.
    pub is_enabled: bool,
}

/// A server this one connects to.
#[derive(Debug, Clone)]
pub struct SmokeNeighbourRow {
    /// The row's number.
    pub number: i64,
    /// Host and port.
    pub address: String,
    /// What kind of server.
    pub kind: String,
    /// Whether a connection is to be kept.
    pub is_enabled: bool,
    /// The certificate it is known by, DER.
    pub certificate: Option<Vec<u8>>,
}

impl ReadTx<'_> {
    /// Every ozone, by name.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn smoke_ozones(&self) -> Result<Vec<SmokeOzoneRow>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT id, name FROM smoke_ozones ORDER BY sort_key(name)")?;
        let rows =
            statement.query_map([], |row| Ok(SmokeOzoneRow { number: row.get(0)?, name: row.get(1)? }))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every listener.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn smoke_listeners(&self) -> Result<Vec<SmokeListenerRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT address, is_private, max_clients, is_enabled FROM smoke_listeners ORDER BY address",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(SmokeListenerRow {
                address: row.get(0)?,
                is_private: row.get(1)?,
                max_clients: row.get(2)?,
                is_enabled: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every neighbour.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn smoke_neighbours(&self) -> Result<Vec<SmokeNeighbourRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, address, kind, is_enabled, certificate FROM smoke_neighbours ORDER BY address",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(SmokeNeighbourRow {
                number: row.get(0)?,
                address: row.get(1)?,
                kind: row.get(2)?,
                is_enabled: row.get(3)?,
                certificate: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl WriteTx<'_> {
    /// Adds an ozone; its number.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_smoke_ozone(&self, name: &str, now: UnixMillis) -> Result<i64, StoreError> {
        self.connection
            .prepare_cached("INSERT INTO smoke_ozones (name, created_at) VALUES (?1, ?2)")?
            .execute((name, now.0))?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Removes an ozone.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_smoke_ozone(&self, number: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM smoke_ozones WHERE id = ?1")?.execute([number])?;
        Ok(())
    }

    /// Adds a listener or changes it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn put_smoke_listener(&self, listener: &SmokeListenerRow) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO smoke_listeners (address, is_private, max_clients, is_enabled)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute((&listener.address, listener.is_private, listener.max_clients, listener.is_enabled))?;
        Ok(())
    }

    /// Removes a listener.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_smoke_listener(&self, address: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM smoke_listeners WHERE address = ?1")?
            .execute([address])?;
        Ok(())
    }

    /// Adds a neighbour; its number.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_smoke_neighbour(&self, address: &str, kind: &str) -> Result<i64, StoreError> {
        self.connection
            .prepare_cached("INSERT INTO smoke_neighbours (address, kind, is_enabled) VALUES (?1, ?2, 1)")?
            .execute((address, kind))?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Says whether a connection to a neighbour is to be kept.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn enable_smoke_neighbour(&self, number: i64, is_enabled: bool) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE smoke_neighbours SET is_enabled = ?2 WHERE id = ?1")?
            .execute((number, is_enabled))?;
        Ok(())
    }

    /// Pins a neighbour's certificate if none is; `None` forgets it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn pin_smoke_neighbour(&self, number: i64, certificate: Option<&[u8]>) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE smoke_neighbours SET certificate = ?2
                 WHERE id = ?1 AND (certificate IS NULL OR ?2 IS NULL)",
            )?
            .execute((number, certificate))?;
        Ok(())
    }

    /// Removes a neighbour.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_smoke_neighbour(&self, number: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM smoke_neighbours WHERE id = ?1")?.execute([number])?;
        Ok(())
    }
}
