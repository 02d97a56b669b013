//! Everything a device keeps, in one SQLite file in a private folder. The only module that knows SQL here.

mod beginnings;
mod durability;
pub(crate) mod files;
mod groups;
pub(crate) mod key_log;
pub(crate) mod keyring;
pub(crate) mod living;
mod migrations;
pub(crate) mod passphrase;
pub(crate) mod set_aside;
mod unconfirmed;

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::random;
use momedo_protocol::time::UnixMillis;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::ClientError;
use crate::addresses::Finder;
use crate::clocks::Clocks;
use crate::contacts::{Contact, Trust};
use crate::groups::earlier::EarlierGroups;
use crate::registration::Step;
use passphrase::{CHECK, SALT};

/// A received message as it was signed, and who signed it.
pub(crate) type Signed = (ParticipantId, Zeroizing<Vec<u8>>);

/// A device's profile.
pub struct Profile {
    path: PathBuf,
    database: Connection,
    key: Option<Zeroizing<[u8; 32]>>,
    /// Who hears of clocks that are wrong, once.
    watcher: Cell<Option<fn(Step)>>,
    /// Groups as they were after an entry that was asked for, so that the next message is not checked from the first
    /// entry on.
    pub(crate) earlier_groups: EarlierGroups,
    /// Private keys in use.
    pub(crate) keyring: keyring::Keyring,
    /// Looks for the home when it is not where it was.
    pub(crate) finder: Option<Arc<dyn Finder>>,
}

impl Profile {
    /// Makes a new profile in `path`, which may be an existing empty folder and is made private; with a
    /// passphrase its secrets are encrypted (Argon2id, AES-256-GCM).
    ///
    /// # Errors
    /// [`ClientError::Profile`], also when there is a profile already.
    pub fn create(path: &Path, passphrase: Option<&str>) -> Result<Self, ClientError> {
        let failed = |reason: String| ClientError::Profile { path: path.to_owned(), reason };
        if Self::exists(path) {
            return Err(Self::exists_already(path));
        }
        std::fs::create_dir_all(path).map_err(|error| failed(error.to_string()))?;
        make_private(path).map_err(|error| failed(error.to_string()))?;
        let mut profile = Self {
            path: path.to_owned(),
            database: connect(path)?,
            key: None,
            watcher: Cell::new(None),
            earlier_groups: EarlierGroups::default(),
            keyring: keyring::Keyring::default(),
            finder: None,
        };
        // A profile whose making was cut off has no version, or not what opening checks.
        profile.upgrade(0)?;
        if let Some(passphrase) = passphrase {
            profile.lock(passphrase)?;
        }
        profile.set_secret(CHECK, b"momedo")?;
        Ok(profile)
    }

    /// Opens the profile in `path`.
    ///
    /// # Errors
    /// [`ClientError::Profile`], [`ClientError::Locked`] without the passphrase, [`ClientError::WrongPassphrase`] with a wrong one.
    pub fn open(path: &Path, passphrase: Option<&str>) -> Result<Self, ClientError> {
        let failed = |reason: &str| ClientError::Profile { path: path.to_owned(), reason: reason.into() };
        if !Self::exists(path) {
            return Err(failed("there is no profile; make one with `momedo user register`"));
        }
        let mut profile = Self {
            path: path.to_owned(),
            database: connect(path)?,
            key: None,
            watcher: Cell::new(None),
            earlier_groups: EarlierGroups::default(),
            keyring: keyring::Keyring::default(),
            finder: None,
        };
        let Some(version) = profile.schema_version()? else {
            return Err(failed("it was written by another version of momedo, or its making was cut off"));
        };
        profile.upgrade(version)?;
        if let Some(salt) = profile.get::<[u8; 16]>(SALT)? {
            profile.unlock(passphrase.ok_or(ClientError::Locked)?, &salt)?;
        }
        profile.secret(CHECK)?;
        Ok(profile)
    }

    /// Whether there is a profile in `path`, finished or not.
    pub(crate) fn exists(path: &Path) -> bool {
        path.join("profile.db").exists()
    }

    /// Why no profile is made in `path`.
    pub(crate) fn exists_already(path: &Path) -> ClientError {
        let reason = "there is a profile already; choose another folder".into();
        ClientError::Profile { path: path.to_owned(), reason }
    }

    /// Removes a profile that was begun and not finished.
    pub(crate) fn discard(self) {
        let path = self.path.clone();
        drop(self);
        for name in ["profile.db", "profile.db-wal", "profile.db-shm"] {
            // What cannot be removed is reported when somebody tries to use it.
            let _: Result<_, _> = std::fs::remove_file(path.join(name));
        }
    }

    /// Has `watcher` told, once, when a log-in shows that a clock is wrong.
    pub fn watch_clocks(&self, watcher: fn(Step)) {
        self.watcher.set(Some(watcher));
    }

    pub(crate) fn tell_of_clocks(&self, clocks: Option<Clocks>) {
        if let Some(clocks) = clocks
            && let Some(watcher) = self.watcher.take()
        {
            watcher(Step::ClocksDiffer(clocks));
        }
    }

    /// Has homes looked for that are not where they were.
    pub fn set_finder(&mut self, finder: Arc<dyn Finder>) {
        self.finder = Some(finder);
    }

    /// The profile's folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, reason: impl ToString) -> ClientError {
        ClientError::Profile { path: self.path.clone(), reason: reason.to_string() }
    }

    fn sql<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ClientError> {
        run(&self.database).map_err(|error| self.explain(error))
    }

    /// Tells what is wrong with a value, which somebody may have sent, from what is wrong with the profile.
    fn explain(&self, error: rusqlite::Error) -> ClientError {
        use rusqlite::{Error, ErrorCode};
        match &error {
            Error::ToSqlConversionFailure(_) | Error::IntegralValueOutOfRange(..) => {
                ClientError::Unfit(error.to_string())
            }
            Error::SqliteFailure(failure, _)
                if matches!(failure.code, ErrorCode::TooBig | ErrorCode::ConstraintViolation) =>
            {
                ClientError::Unfit(error.to_string())
            }
            _ => self.failed(error),
        }
    }

    /// Runs `work` so that all of it is kept or none.
    ///
    /// # Errors
    /// What `work` says.
    pub fn atomically<T>(&self, work: impl FnOnce() -> Result<T, ClientError>) -> Result<T, ClientError> {
        self.sql(|database| database.execute_batch("BEGIN IMMEDIATE"))?;
        let result = work();
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.sql(|database| database.execute_batch(end))?;
        result
    }

    /// A setting.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ClientError> {
        let text: Option<String> = self.sql(|database| {
            database
                .query_row("SELECT value FROM settings WHERE name = ?1", [name], |row| row.get(0))
                .optional()
        })?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| self.failed(error))).transpose()
    }

    /// Sets a setting.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn set<T: Serialize>(&self, name: &str, value: &T) -> Result<(), ClientError> {
        let text = serde_json::to_string(value).map_err(|error| self.failed(error))?;
        let sql = "INSERT INTO settings VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2";
        self.sql(|database| database.execute(sql, [name, &text]).map(drop))
    }

    /// Removes a setting.
    pub(crate) fn remove(&self, name: &str) -> Result<(), ClientError> {
        self.sql(|database| database.execute("DELETE FROM settings WHERE name = ?1", [name]).map(drop))
    }

    /// A secret, decrypted.
    ///
    /// # Errors
    /// [`ClientError::WrongPassphrase`] when it cannot be decrypted.
    pub(crate) fn secret(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let stored: Option<Vec<u8>> = self.sql(|database| {
            database
                .query_row("SELECT value FROM secrets WHERE name = ?1", [name], |row| row.get(0))
                .optional()
        })?;
        let stored = stored.ok_or_else(|| self.failed(format!("the secret {name} is missing")))?;
        self.unsealed(name, stored)
    }

    /// Decrypts what [`Profile::sealed`] made.
    fn unsealed(&self, name: &str, stored: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let Some(key) = &self.key else { return Ok(Zeroizing::new(stored)) };
        let (nonce, sealed) = stored.split_first_chunk::<12>().ok_or(ClientError::WrongPassphrase)?;
        let payload = Payload { msg: sealed, aad: name.as_bytes() };
        let opened =
            cipher(key).decrypt(&Nonce::from(*nonce), payload).map_err(|_| ClientError::WrongPassphrase)?;
        Ok(Zeroizing::new(opened))
    }

    /// Whether there is such a secret.
    pub(crate) fn has_secret(&self, name: &str) -> Result<bool, ClientError> {
        self.sql(|database| {
            database
                .query_row("SELECT EXISTS (SELECT 1 FROM secrets WHERE name = ?1)", [name], |row| row.get(0))
        })
    }

    /// Names of all secrets that begin with `prefix`.
    pub(crate) fn secret_names(&self, prefix: &str) -> Result<Vec<String>, ClientError> {
        self.sql(|database| {
            let mut statement = database.prepare("SELECT name FROM secrets ORDER BY rowid")?;
            let names = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
            Ok(names.into_iter().filter(|name| name.starts_with(prefix)).collect())
        })
    }

    /// Removes a secret.
    pub(crate) fn remove_secret(&self, name: &str) -> Result<(), ClientError> {
        self.sql(|database| database.execute("DELETE FROM secrets WHERE name = ?1", [name]).map(drop))
    }

    /// Stores a secret, encrypted when the profile has a passphrase.
    pub(crate) fn set_secret(&self, name: &str, value: &[u8]) -> Result<(), ClientError> {
        let stored = self.sealed(name, value)?;
        let sql = "INSERT INTO secrets VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2";
        self.sql(|database| database.execute(sql, params![name, stored]).map(drop))
    }

    /// Encrypts a value when the profile has a passphrase; `name` says what it is.
    fn sealed(&self, name: &str, value: &[u8]) -> Result<Vec<u8>, ClientError> {
        let Some(key) = &self.key else { return Ok(value.to_vec()) };
        let nonce = random::bytes::<12>();
        let payload = Payload { msg: value, aad: name.as_bytes() };
        let sealed = cipher(key)
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| self.failed("a secret cannot be encrypted"))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Keeps a received message as it was signed, and forgets those received before `before`.
    pub(crate) fn keep_signed(
        &self,
        sender: ParticipantId,
        id: MessageId,
        message: &[u8],
        now: UnixMillis,
        before: UnixMillis,
    ) -> Result<(), ClientError> {
        let stored = self.sealed(&signed_name(&sender.to_string(), &id.to_string()), message)?;
        let sql = "INSERT INTO signed_messages VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        let row = params![sender.to_string(), id.to_string(), now.0, stored];
        self.sql(|database| database.execute(sql, row))?;
        let sql = "DELETE FROM signed_messages WHERE received_at < ?1";
        self.sql(|database| database.execute(sql, [before.0]).map(drop))
    }

    /// Received messages with this ID, as they were signed, with their senders.
    pub(crate) fn signed(&self, id: MessageId) -> Result<Vec<Signed>, ClientError> {
        let id = id.to_string();
        let rows: Vec<(String, Vec<u8>)> = self.sql(|database| {
            let sql = "SELECT sender, message FROM signed_messages WHERE id = ?1";
            let mut statement = database.prepare(sql)?;
            statement.query_map([&id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        let read = |(sender, stored): (String, Vec<u8>)| {
            let message = self.unsealed(&signed_name(&sender, &id), stored)?;
            Ok((sender.parse().map_err(|error| self.failed(error))?, message))
        };
        rows.into_iter().map(read).collect()
    }

    /// A remembered contact.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn contact(&self, id: ParticipantId) -> Result<Option<Contact>, ClientError> {
        type Row = (String, String, String, Option<String>);
        let row: Option<Row> = self.sql(|database| {
            let sql = "SELECT trust, bundle, earlier_keys, reset FROM contacts WHERE id = ?1";
            database
                .query_row(sql, [id.to_string()], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })
                .optional()
        })?;
        let Some((trust, bundle, earlier_keys, reset)) = row else { return Ok(None) };
        let read = |text: &str| serde_json::from_str(text).map_err(|error| self.failed(error));
        Ok(Some(Contact {
            trust: Trust::of_name(&trust),
            bundle: read(&bundle)?,
            earlier_keys: serde_json::from_str(&earlier_keys).map_err(|error| self.failed(error))?,
            reset: reset.as_deref().map(read).transpose()?,
        }))
    }

    /// Remembers a contact.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn set_contact(&self, id: ParticipantId, contact: &Contact) -> Result<(), ClientError> {
        let write = |error| self.failed(error);
        let bundle = serde_json::to_string(&contact.bundle).map_err(write)?;
        let earlier_keys = serde_json::to_string(&contact.earlier_keys).map_err(write)?;
        let reset = contact.reset.as_ref().map(serde_json::to_string).transpose().map_err(write)?;
        let sql = "INSERT INTO contacts VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT DO UPDATE SET trust = ?2, bundle = ?3, earlier_keys = ?4, reset = ?5";
        let row = params![id.to_string(), contact.trust.name(), bundle, earlier_keys, reset];
        self.sql(|database| database.execute(sql, row).map(drop))
    }

    /// Copies every contact and every cached McEliece key from another profile of the same participant.
    pub(crate) fn copy_contacts(&self, from: &Profile) -> Result<(), ClientError> {
        for id in from.contact_ids()? {
            if let Some(contact) = from.contact(id)? {
                self.set_contact(id, &contact)?;
            }
        }
        Ok(())
    }

    /// Everybody who is remembered; whose fingerprint was compared first, then by ID.
    pub(crate) fn contact_ids(&self) -> Result<Vec<ParticipantId>, ClientError> {
        let ids: Vec<String> = self.sql(|database| {
            let mut statement =
                database.prepare("SELECT id FROM contacts ORDER BY trust <> 'compared', id")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// A cached McEliece key.
    pub(crate) fn mceliece_key(&self, digest: &Sha512Digest) -> Result<Option<Vec<u8>>, ClientError> {
        self.sql(|database| {
            let sql = "SELECT key FROM mceliece_keys WHERE digest = ?1";
            database.query_row(sql, [digest.0], |row| row.get(0)).optional()
        })
    }

    /// Caches a McEliece key.
    pub(crate) fn set_mceliece_key(&self, digest: &Sha512Digest, key: &[u8]) -> Result<(), ClientError> {
        let sql = "INSERT INTO mceliece_keys VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.sql(|database| database.execute(sql, params![digest.0, key]).map(drop))
    }

    /// Keeps the exact bytes of a submission until it is answered.
    pub(crate) fn put_outbox(&self, id: MessageId, request: &str) -> Result<(), ClientError> {
        let sql = "INSERT INTO outbox VALUES (?1, ?2)";
        self.sql(|database| database.execute(sql, [id.to_string(), request.to_owned()]).map(drop))
    }

    /// Forgets a submission.
    pub(crate) fn remove_outbox(&self, id: MessageId) -> Result<(), ClientError> {
        self.sql(|database| database.execute("DELETE FROM outbox WHERE id = ?1", [id.to_string()]).map(drop))
    }

    /// Submissions a killed program left unanswered, oldest first.
    pub(crate) fn outbox(&self) -> Result<Vec<String>, ClientError> {
        self.sql(|database| {
            let mut statement = database.prepare("SELECT request FROM outbox ORDER BY id")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// Whether a message was taken already.
    pub(crate) fn is_known(&self, sender: &str, id: MessageId) -> Result<bool, ClientError> {
        self.sql(|database| {
            let sql = "SELECT EXISTS (SELECT 1 FROM inbox WHERE sender = ?1 AND id = ?2)";
            database.query_row(sql, [sender, &id.to_string()], |row| row.get(0))
        })
    }

    /// Takes a message; `event` is what is to be shown of it, if anything.
    pub(crate) fn put_inbox(
        &self,
        sender: &str,
        id: MessageId,
        event: Option<&str>,
    ) -> Result<(), ClientError> {
        let sql = "INSERT INTO inbox (sender, id, event) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        let row = params![sender, id.to_string(), event];
        self.sql(|database| database.execute(sql, row).map(drop))
    }

    /// What was taken and not shown yet, in the order it came.
    pub(crate) fn unshown(&self) -> Result<Vec<(String, String, String)>, ClientError> {
        self.sql(|database| {
            let sql = "SELECT sender, id, event FROM inbox WHERE event IS NOT NULL ORDER BY rowid";
            let mut statement = database.prepare(sql)?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        })
    }

    /// How often files of messages that are not shown yet were tried, of each sender.
    pub(crate) fn tries(&self) -> Result<HashMap<String, u64>, ClientError> {
        self.sql(|database| {
            let sql = "SELECT sender, sum(tries) FROM inbox WHERE event IS NOT NULL GROUP BY sender";
            let mut statement = database.prepare(sql)?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Counts a try to fetch a message's files; how many there were.
    pub(crate) fn count_try(&self, sender: &str, id: &str) -> Result<u32, ClientError> {
        let sql = "UPDATE inbox SET tries = tries + 1 WHERE sender = ?1 AND id = ?2 RETURNING tries";
        self.sql(|database| database.query_row(sql, [sender, id], |row| row.get(0)))
    }

    /// Notes that a message was shown; its text is forgotten here.
    pub(crate) fn mark_shown(&self, sender: &str, id: &str) -> Result<(), ClientError> {
        let sql = "UPDATE inbox SET event = NULL WHERE sender = ?1 AND id = ?2";
        self.sql(|database| database.execute(sql, [sender, id]).map(drop))
    }

    /// The participant this profile belongs to.
    ///
    /// # Errors
    /// [`ClientError::Profile`], also when the registration was never finished.
    pub fn id(&self) -> Result<ParticipantId, ClientError> {
        self.get("id")?
            .ok_or_else(|| self.failed("its registration was not finished; register again elsewhere"))
    }

    /// The server's addresses and fingerprint.
    ///
    /// # Errors
    /// As [`Profile::id`].
    pub fn server(&self) -> Result<crate::connection::ServerAddress, ClientError> {
        let missing = || self.failed("its registration was not finished; register again elsewhere");
        let addresses: Vec<String> = self.get("addresses")?.ok_or_else(missing)?;
        let fingerprint: Fingerprint = self.get("server")?.ok_or_else(missing)?;
        Ok(crate::connection::ServerAddress { addresses, fingerprint })
    }
}

/// A time as the database holds it: somebody else's clock may say anything, and what they sent is taken all the same.
fn stored_time(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

/// What a kept message is sealed as.
fn signed_name(sender: &str, id: &str) -> String {
    format!("signed-message:{sender}:{id}")
}

fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key))
}

fn connect(path: &Path) -> Result<Connection, ClientError> {
    let open = || -> rusqlite::Result<Connection> {
        let database = Connection::open(path.join("profile.db"))?;
        // Two commands on one profile wait for each other.
        database.busy_timeout(std::time::Duration::from_secs(10))?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "FULL")?;
        database.pragma_update(None, "secure_delete", true)?;
        Ok(database)
    };
    open().map_err(|error| ClientError::Profile { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(unix)]
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> std::io::Result<()> {
    // Folders below a Windows user's own are private already.
    Ok(())
}
