//! What the admin pages list across tables: how full ozones are, and how old keys are. Never content.

use momedo_protocol::id::ParticipantId;

use super::{ReadTx, StoreError, Tick, column};

/// One participant's ozone.
#[derive(Debug, Clone)]
pub struct OzoneRow {
    /// Whose.
    pub participant: ParticipantId,
    /// Their name.
    pub name: String,
    /// Deliveries that wait, over all devices.
    pub depth: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest was accepted.
    pub oldest: Option<Tick>,
}

/// One participant's current keys.
#[derive(Debug, Clone)]
pub struct KeysRow {
    /// Whose.
    pub participant: ParticipantId,
    /// Their name.
    pub name: String,
    /// Version of the bundle.
    pub version: u64,
    /// The signed bundle.
    pub bundle: String,
    /// How often the signature key changed.
    pub changes: u64,
    /// Whether an admin reset the keys and no new ones came yet.
    pub awaits_keys: bool,
}

const FOUND: &str = "FROM people p JOIN participants a ON a.id = p.participant
    WHERE a.state <> 'erased' AND finds(p.name, ?1)";

impl ReadTx<'_> {
    /// One page of ozones, fullest first, and how many there are in all.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_ozones(
        &self,
        search: &str,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<OzoneRow>, u64), StoreError> {
        let total = self.count_found(search)?;
        let sql = format!(
            "WITH waiting AS (SELECT v.participant, count(*) AS depth, sum(d.size) AS bytes,
                 min(d.accepted_tick) AS oldest
                 FROM deliveries d JOIN devices v ON v.id = d.device GROUP BY v.participant)
             SELECT a.id, p.name, coalesce(w.depth, 0), coalesce(w.bytes, 0), w.oldest
             FROM people p JOIN participants a ON a.id = p.participant
             LEFT JOIN waiting w ON w.participant = a.id
             WHERE a.state <> 'erased' AND finds(p.name, ?1)
             ORDER BY 4 DESC, p.sort_key, p.id LIMIT {limit} OFFSET {offset}"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([search.trim()], |row| {
            Ok(OzoneRow {
                participant: column::participant(row, 0)?,
                name: row.get(1)?,
                depth: row.get(2)?,
                bytes: row.get(3)?,
                oldest: row.get::<_, Option<u64>>(4)?.map(Tick),
            })
        })?;
        Ok((rows.collect::<Result<_, _>>()?, total))
    }

    /// One page of current keys, by name, and how many there are in all.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_keys(
        &self,
        search: &str,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<KeysRow>, u64), StoreError> {
        let total = self.count_found(search)?;
        let sql = format!(
            "SELECT a.id, p.name, coalesce(b.version, 0), coalesce(b.bundle, ''),
                 (SELECT count(*) FROM key_bundles WHERE participant = a.id AND changes_signature_key),
                 a.key_reset_allowed
             FROM people p JOIN participants a ON a.id = p.participant
             LEFT JOIN key_bundles b ON b.participant = a.id AND b.version =
                 (SELECT max(version) FROM key_bundles WHERE participant = a.id)
             WHERE a.state <> 'erased' AND finds(p.name, ?1)
             ORDER BY p.sort_key, p.id LIMIT {limit} OFFSET {offset}"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([search.trim()], |row| {
            Ok(KeysRow {
                participant: column::participant(row, 0)?,
                name: row.get(1)?,
                version: row.get(2)?,
                bundle: row.get(3)?,
                changes: row.get(4)?,
                awaits_keys: row.get(5)?,
            })
        })?;
        Ok((rows.collect::<Result<_, _>>()?, total))
    }

    fn count_found(&self, search: &str) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) {FOUND}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row([search.trim()], |row| row.get(0))?)
    }
}
