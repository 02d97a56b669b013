//! The `servers_told` and `erasures` tables: which servers were told of somebody, and which still have to forget them.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::UnixMillis;
use rusqlite::{OptionalExtension, params};

use super::{ReadTx, StoreError, WriteTx, column};

/// What another home signed about one of its participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDeparture {
    /// The home's identity key (SPKI DER).
    pub identity_key: Vec<u8>,
    /// The signed document as JSON.
    pub departure: String,
}

/// Somebody whom a server has to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToForget {
    /// Whom.
    pub participant: ParticipantId,
    /// What their home signed; absent: this server is the home.
    pub of_home: Option<StoredDeparture>,
}

/// Bytes of a server ID.
const ID_BYTES: usize = 32;

/// Homes as they stand in two columns; none for this server's own.
fn columns(homes: &[Fingerprint]) -> (Option<[u8; ID_BYTES]>, Option<[u8; ID_BYTES]>) {
    (homes.first().map(|home| home.0), homes.get(1).map(|home| home.0))
}

impl ReadTx<'_> {
    /// Whether a server was told of somebody, with these homes.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn was_told_of(
        &self,
        participant: ParticipantId,
        server: Fingerprint,
        homes: &[Fingerprint],
    ) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM servers_told
                                  WHERE participant = ?1 AND server = ?2 AND home IS ?3 AND other_home IS ?4)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let (home, other) = columns(homes);
        Ok(statement.query_row((participant.number(), server.0, home, other), |row| row.get(0))?)
    }

    /// Whom a server has to forget and has not acknowledged.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_to_forget(&self, server: Fingerprint) -> Result<Vec<ToForget>, StoreError> {
        // Few wait at any time, mostly none.
        let sql = "SELECT participant, servers, identity_key, departure FROM erasures ORDER BY participant";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let servers: Vec<u8> = row.get(1)?;
            if servers.chunks(ID_BYTES).any(|id| id == server.0) {
                let (identity_key, departure): (Option<Vec<u8>>, Option<String>) = (row.get(2)?, row.get(3)?);
                let of_home = identity_key
                    .zip(departure)
                    .map(|(identity_key, departure)| StoredDeparture { identity_key, departure });
                found.push(ToForget { participant: column::participant(row, 0)?, of_home });
            }
        }
        Ok(found)
    }
}

impl WriteTx<'_> {
    /// Notes that a server is told of somebody with these homes; none: this server.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_told_of(
        &self,
        participant: ParticipantId,
        server: Fingerprint,
        homes: &[Fingerprint],
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO servers_told (participant, server, told_at, home, other_home)
                   VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET home = ?4, other_home = ?5";
        let (home, other) = columns(homes);
        self.connection.prepare_cached(sql)?.execute((participant.number(), server.0, at.0, home, other))?;
        Ok(())
    }

    /// Has every server that was told of somebody forget them, but for `except`, which said so itself. With `by`, those
    /// alone that were told of them as of somebody of that home: any server may sign that somebody is gone of whom nothing is
    /// known here.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn begin_to_forget(
        &self,
        participant: ParticipantId,
        of_home: Option<&StoredDeparture>,
        except: Option<Fingerprint>,
        by: Option<Fingerprint>,
    ) -> Result<(), StoreError> {
        const THEIRS: &str = "participant = ?1 AND (?2 IS NULL OR home IS NULL OR ?2 IN (home, other_home))";
        let theirs = (participant.number(), by.map(|home| home.0));
        let mut told =
            self.connection.prepare_cached(&format!("SELECT server FROM servers_told WHERE {THEIRS}"))?;
        let told = told.query_map(theirs, |row| row.get::<_, [u8; ID_BYTES]>(0))?;
        let mut servers: Vec<[u8; ID_BYTES]> = told.collect::<Result<_, _>>()?;
        servers.retain(|server| except.is_none_or(|except| except.0 != *server));
        self.connection
            .prepare_cached(&format!("DELETE FROM servers_told WHERE {THEIRS}"))?
            .execute(theirs)?;
        let waiting = self.servers_to_forget(participant)?;
        servers.retain(|server| !waiting.chunks(ID_BYTES).any(|id| id == server));
        if servers.is_empty() {
            return Ok(());
        }
        let all = [waiting, servers.concat()].concat();
        let sql =
            "INSERT INTO erasures (participant, servers, identity_key, departure) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET servers = ?2, identity_key = ?3, departure = ?4";
        let (identity_key, departure) =
            of_home.map(|signed| (&signed.identity_key, &signed.departure)).unzip();
        let row = params![participant.number(), all, identity_key, departure];
        self.connection.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    /// Notes that a server has forgotten somebody.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_forgotten(&self, participant: ParticipantId, server: Fingerprint) -> Result<(), StoreError> {
        let mut servers = self.servers_to_forget(participant)?;
        servers = servers.chunks(ID_BYTES).filter(|id| *id != server.0).collect::<Vec<_>>().concat();
        if servers.is_empty() {
            let sql = "DELETE FROM erasures WHERE participant = ?1";
            self.connection.prepare_cached(sql)?.execute([participant.number()])?;
        } else {
            let sql = "UPDATE erasures SET servers = ?2 WHERE participant = ?1";
            self.connection.prepare_cached(sql)?.execute((participant.number(), servers))?;
        }
        Ok(())
    }

    fn servers_to_forget(&self, participant: ParticipantId) -> Result<Vec<u8>, StoreError> {
        let sql = "SELECT servers FROM erasures WHERE participant = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([participant.number()], |row| row.get(0)).optional()?.unwrap_or_default())
    }

    /// Forgets a participant of another server, and their large key unless somebody else has it, too.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn erase_remote(&self, id: ParticipantId) -> Result<(), StoreError> {
        let key = self.find_remote(id)?.and_then(|row| row.keys?.mceliece);
        self.delete_remote(id)?;
        let Some(digest) = key else { return Ok(()) };
        for sql in [
            "DELETE FROM mceliece_keys WHERE digest = ?1 AND digest IN (SELECT digest FROM mceliece_brought)
             AND NOT EXISTS (SELECT 1 FROM remote_participants WHERE mceliece = ?1)
             AND NOT EXISTS (SELECT 1 FROM key_bundles WHERE mceliece = ?1)",
            "DELETE FROM mceliece_brought WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM mceliece_keys WHERE digest = ?1)",
        ] {
            self.connection.prepare_cached(sql)?.execute([digest.0])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn only_the_home_that_was_told_of_has_somebody_forgotten_of_whom_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::store(&folder);
        let [a, thief, home, other] = [1, 2, 3, 4].map(|number| Fingerprint([number; 32]));
        let id = ParticipantId::random();
        let signed = |by: &str| StoredDeparture { identity_key: vec![1], departure: by.into() };
        store
            .write(move |tx| {
                tx.note_told_of(id, a, &[home], UnixMillis(1))?;
                assert!(!tx.was_told_of(id, a, &[home, other])?);
                tx.note_told_of(id, a, &[home, other], UnixMillis(1))?;
                let waiting = |tx: &WriteTx<'_>| tx.list_to_forget(a);
                tx.begin_to_forget(id, Some(&signed("thief")), Some(thief), Some(thief))?;
                assert!(waiting(tx)?.is_empty() && tx.was_told_of(id, a, &[home, other])?);
                for by in [home, other] {
                    tx.note_told_of(id, a, &[home, other], UnixMillis(1))?;
                    tx.begin_to_forget(id, Some(&signed("home")), Some(by), Some(by))?;
                    assert_eq!(waiting(tx)?[0].of_home, Some(signed("home")));
                    tx.note_forgotten(id, a)?;
                    // The same once more, as servers that told each other bring it, goes nowhere.
                    tx.begin_to_forget(id, Some(&signed("home")), Some(by), Some(by))?;
                    assert!(waiting(tx)?.is_empty());
                }
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        store.close().await;
    }

    #[tokio::test]
    async fn a_server_is_told_until_it_has_acknowledged_and_the_last_takes_the_row() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::store(&folder);
        let [a, b, c] = [1, 2, 3].map(|number| Fingerprint([number; 32]));
        let id = ParticipantId::random();
        store
            .write(move |tx| {
                for server in [a, b, c, a] {
                    tx.note_told_of(id, server, &[], UnixMillis(1))?;
                }
                assert!(tx.was_told_of(id, a, &[])?);
                tx.begin_to_forget(id, None, Some(c), None)?;
                assert!(!tx.was_told_of(id, a, &[])?);
                let waits = |tx: &WriteTx<'_>, server| Ok::<_, StoreError>(tx.list_to_forget(server)?.len());
                assert_eq!((waits(tx, a)?, waits(tx, b)?, waits(tx, c)?), (1, 1, 0));
                // Whoever is told meanwhile has to forget as well, and nobody stands there twice.
                tx.note_told_of(id, a, &[], UnixMillis(2))?;
                tx.note_told_of(id, c, &[], UnixMillis(2))?;
                tx.begin_to_forget(id, None, None, None)?;
                tx.note_forgotten(id, a)?;
                assert_eq!((waits(tx, a)?, waits(tx, b)?, waits(tx, c)?), (0, 1, 1));
                tx.note_forgotten(id, c)?;
                tx.note_forgotten(id, b)?;
                let left: u64 =
                    tx.connection.query_row("SELECT count(*) FROM erasures", [], |row| row.get(0))?;
                assert_eq!(left, 0);
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        store.close().await;
    }
}
