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

impl ReadTx<'_> {
    /// Whether a server was told of somebody.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn was_told_of(&self, participant: ParticipantId, server: Fingerprint) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM servers_told WHERE participant = ?1 AND server = ?2)";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row((participant.number(), server.0), |row| row.get(0))?)
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
    /// Notes that a server is told of somebody.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_told_of(
        &self,
        participant: ParticipantId,
        server: Fingerprint,
        at: UnixMillis,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO servers_told (participant, server, told_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        self.connection.prepare_cached(sql)?.execute((participant.number(), server.0, at.0))?;
        Ok(())
    }

    /// Has every server that was told of somebody forget them, but for `except`, which said so itself.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn begin_to_forget(
        &self,
        participant: ParticipantId,
        of_home: Option<&StoredDeparture>,
        except: Option<Fingerprint>,
    ) -> Result<(), StoreError> {
        let number = participant.number();
        let mut told =
            self.connection.prepare_cached("SELECT server FROM servers_told WHERE participant = ?1")?;
        let told = told.query_map([number], |row| row.get::<_, [u8; ID_BYTES]>(0))?;
        let mut servers: Vec<[u8; ID_BYTES]> = told.collect::<Result<_, _>>()?;
        servers.retain(|server| except.is_none_or(|except| except.0 != *server));
        self.connection
            .prepare_cached("DELETE FROM servers_told WHERE participant = ?1")?
            .execute([number])?;
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
        self.connection.prepare_cached(sql)?.execute(params![number, all, identity_key, departure])?;
        Ok(())
    }

    /// Has every server that was told of somebody hear what a home signed of whom nothing is known here. Any server may
    /// have signed it, so it stays noted whom they were told to: a true departure goes there as well, and takes its place.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn pass_on_departure(
        &self,
        participant: ParticipantId,
        of_home: &StoredDeparture,
        except: Fingerprint,
    ) -> Result<(), StoreError> {
        let number = participant.number();
        let mut told =
            self.connection.prepare_cached("SELECT server FROM servers_told WHERE participant = ?1")?;
        let told = told.query_map([number], |row| row.get::<_, [u8; ID_BYTES]>(0))?;
        let mut servers: Vec<[u8; ID_BYTES]> = told.collect::<Result<_, _>>()?;
        servers.retain(|server| except.0 != *server);
        if servers.is_empty() {
            return Ok(());
        }
        let sql =
            "INSERT INTO erasures (participant, servers, identity_key, departure) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET servers = ?2, identity_key = ?3, departure = ?4";
        let row = params![number, servers.concat(), of_home.identity_key, of_home.departure];
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
    use crate::store::{Store, StoreOptions};
    use crate::surroundings::clock::Clock;

    #[tokio::test]
    async fn what_anybody_may_have_signed_keeps_no_true_departure_from_being_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(folder.path(), Clock::manual(), &StoreOptions::default(), Box::new(|_| {})).unwrap();
        let [a, thief, home] = [1, 2, 3].map(|number| Fingerprint([number; 32]));
        let id = ParticipantId::random();
        let signed = |by: &str| StoredDeparture { identity_key: vec![1], departure: by.into() };
        store
            .write(move |tx| {
                tx.note_told_of(id, a, UnixMillis(1))?;
                tx.pass_on_departure(id, &signed("thief"), thief)?;
                let waiting = |tx: &WriteTx<'_>| tx.list_to_forget(a);
                assert_eq!(waiting(tx)?[0].of_home, Some(signed("thief")));
                // The server that was told ignores it, and says that it heard.
                tx.note_forgotten(id, a)?;
                assert!(waiting(tx)?.is_empty());
                tx.pass_on_departure(id, &signed("home"), home)?;
                assert_eq!(waiting(tx)?[0].of_home, Some(signed("home")));
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        store.close().await;
    }

    #[tokio::test]
    async fn a_server_is_told_until_it_has_acknowledged_and_the_last_takes_the_row() {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(folder.path(), Clock::manual(), &StoreOptions::default(), Box::new(|_| {})).unwrap();
        let [a, b, c] = [1, 2, 3].map(|number| Fingerprint([number; 32]));
        let id = ParticipantId::random();
        store
            .write(move |tx| {
                for server in [a, b, c, a] {
                    tx.note_told_of(id, server, UnixMillis(1))?;
                }
                assert!(tx.was_told_of(id, a)?);
                tx.begin_to_forget(id, None, Some(c))?;
                assert!(!tx.was_told_of(id, a)?);
                let waits = |tx: &WriteTx<'_>, server| Ok::<_, StoreError>(tx.list_to_forget(server)?.len());
                assert_eq!((waits(tx, a)?, waits(tx, b)?, waits(tx, c)?), (1, 1, 0));
                // Whoever is told meanwhile has to forget as well, and nobody stands there twice.
                tx.note_told_of(id, a, UnixMillis(2))?;
                tx.note_told_of(id, c, UnixMillis(2))?;
                tx.begin_to_forget(id, None, None)?;
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
