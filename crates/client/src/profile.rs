//! Everything a device keeps, and when it changes: in an SQLite file in a private folder, or in whatever else keeps rows.
//! No SQL stands here; see [`crate::keeping`].

mod beginnings;
pub(crate) mod contact;
mod durability;
pub(crate) mod files;
pub(crate) mod groups;
pub(crate) mod key_log;
pub(crate) mod keyring;
pub(crate) mod living;
pub(crate) mod passphrase;
mod rows;
pub(crate) mod set_aside;
#[cfg(test)]
mod tests;
mod unconfirmed;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::random;
use momedo_protocol::time::UnixMillis;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::ClientError;
use crate::clocks::Clocks;
use crate::groups::earlier::EarlierGroups;
use crate::keeping::{Cell, Column, Keep, Row, Scan, tables};
use crate::platform::Platform;
use crate::platform::finding::Finder;
use crate::platform::folder::Folder;
use crate::progress::Step;
use contact::{Contact, Trust};
use passphrase::{CHECK, CHECKED, SALT};
use rows::number;

/// A received message as it was signed, and who signed it.
pub(crate) type Signed = (ParticipantId, Zeroizing<Vec<u8>>);

/// Where a profile is, or may be made, with what opens it.
pub trait Place: Send + Sync {
    /// What the client runs on there.
    fn platform(&self) -> &Platform;

    /// Whether there is a profile, finished or not.
    fn exists(&self) -> bool;

    /// Why no profile is made there.
    fn exists_already(&self) -> ClientError;

    /// Makes a new profile.
    ///
    /// # Errors
    /// [`ClientError::Profile`], also when there is one already.
    fn create(&self) -> Result<Profile, ClientError>;

    /// Opens the profile.
    ///
    /// # Errors
    /// [`ClientError::Profile`], [`ClientError::Locked`] without the passphrase, [`ClientError::WrongPassphrase`] with a wrong one.
    fn open(&self) -> Result<Profile, ClientError>;
}

/// What a profile's secrets are sealed with (AES-256-GCM).
pub enum Lock<'a> {
    /// Nothing: whoever reads the profile has them.
    Nothing,
    /// A key made of a passphrase (Argon2id).
    Passphrase(&'a str),
    /// A key that is kept elsewhere.
    Key(Zeroizing<[u8; 32]>),
}

impl<'a> From<Option<&'a str>> for Lock<'a> {
    fn from(passphrase: Option<&'a str>) -> Self {
        passphrase.map_or(Self::Nothing, Self::Passphrase)
    }
}

/// A device's profile.
pub struct Profile {
    keep: Box<dyn Keep>,
    /// In tables of which old rows are removed: nothing is older than this, by this column.
    oldest: RefCell<HashMap<&'static str, (Column, i64)>>,
    key: Option<Zeroizing<[u8; 32]>>,
    /// Who hears of clocks that are wrong, once.
    watcher: std::cell::Cell<Option<fn(Step)>>,
    /// Groups as they were after an entry that was asked for, so that the next message is not checked from the first
    /// entry on.
    pub(crate) earlier_groups: EarlierGroups,
    /// Private keys in use.
    pub(crate) keyring: keyring::Keyring,
    /// What it runs on.
    pub(crate) platform: Platform,
    /// Where it is kept.
    pub(crate) folder: Arc<dyn Folder>,
    /// Looks for the home when it is not where it was.
    pub(crate) finder: Option<Arc<dyn Finder>>,
}

impl Profile {
    /// Makes a new profile where `keep` keeps it; one whose making was cut off is made anew.
    ///
    /// # Errors
    /// [`ClientError::Profile`], also when there is a profile already.
    pub fn create(
        keep: Box<dyn Keep>,
        platform: Platform,
        folder: Arc<dyn Folder>,
        lock: Lock<'_>,
    ) -> Result<Self, ClientError> {
        let profile = Self::of(keep, platform, folder);
        if profile.kept(profile.keep.is_made())? {
            profile.kept(profile.keep.upgrade())?;
            if profile.has_secret(CHECK)? {
                return Err(profile.failed("there is a profile already; choose another folder"));
            }
        }
        profile.begin_with(lock)
    }

    /// Opens the profile that `keep` keeps.
    ///
    /// # Errors
    /// [`ClientError::Profile`], [`ClientError::Locked`] without the passphrase, [`ClientError::WrongPassphrase`] with a wrong one.
    pub fn open(
        keep: Box<dyn Keep>,
        platform: Platform,
        folder: Arc<dyn Folder>,
        lock: Lock<'_>,
    ) -> Result<Self, ClientError> {
        let profile = Self::of(keep, platform, folder);
        if !profile.kept(profile.keep.is_made())? {
            return Err(profile.failed("there is no profile; make one with `momedo user register`"));
        }
        profile.go_on_with(lock)
    }

    fn of(keep: Box<dyn Keep>, platform: Platform, folder: Arc<dyn Folder>) -> Self {
        Self {
            keep,
            oldest: RefCell::default(),
            key: None,
            watcher: std::cell::Cell::new(None),
            earlier_groups: EarlierGroups::default(),
            keyring: keyring::Keyring::default(),
            platform,
            folder,
            finder: None,
        }
    }

    fn begin_with(mut self, lock: Lock<'_>) -> Result<Self, ClientError> {
        // A profile whose making was cut off has no version, or not what opening checks.
        self.kept(self.keep.make())?;
        match lock {
            Lock::Nothing => {}
            Lock::Passphrase(passphrase) => self.lock(passphrase)?,
            Lock::Key(key) => self.key = Some(key),
        }
        self.set_secret(CHECK, CHECKED)?;
        Ok(self)
    }

    fn go_on_with(mut self, lock: Lock<'_>) -> Result<Self, ClientError> {
        self.kept(self.keep.upgrade())?;
        match (self.get::<[u8; 16]>(SALT)?, lock) {
            (Some(salt), Lock::Passphrase(passphrase)) => self.unlock(passphrase, &salt)?,
            (Some(_), _) => return Err(ClientError::Locked),
            (None, Lock::Key(key)) => self.key = Some(key),
            (None, _) => {}
        }
        // Without a key what is sealed is read as it is.
        if self.secret(CHECK)?[..] == CHECKED[..] { Ok(self) } else { Err(ClientError::Locked) }
    }

    /// Removes a profile that was begun and not finished.
    pub(crate) fn discard(self) {
        // What cannot be removed is reported when somebody tries to use it.
        let _: Result<_, _> = self.keep.discard();
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
        self.folder.path()
    }

    fn failed(&self, reason: impl ToString) -> ClientError {
        ClientError::Profile { path: self.path().to_owned(), reason: reason.to_string() }
    }

    /// Runs `work` so that all of it is kept or none.
    ///
    /// # Errors
    /// What `work` says.
    pub fn atomically<T>(&self, work: impl FnOnce() -> Result<T, ClientError>) -> Result<T, ClientError> {
        self.kept(self.keep.begin())?;
        let result = work();
        if result.is_err() {
            // What was removed comes back.
            self.oldest.borrow_mut().clear();
        }
        self.kept(if result.is_ok() { self.keep.commit() } else { self.keep.rollback() })?;
        result
    }

    /// A setting.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ClientError> {
        let (table, value) = (&tables::settings::TABLE, tables::settings::VALUE);
        let text = self.row(table, &[name.into()], &[value], Row::text)?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| self.failed(error))).transpose()
    }

    /// Sets a setting.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn set<T: Serialize>(&self, name: &str, value: &T) -> Result<(), ClientError> {
        let text = serde_json::to_string(value).map_err(|error| self.failed(error))?;
        self.put(&tables::settings::TABLE, [name.into(), text.into()])
    }

    /// Removes a setting.
    pub(crate) fn remove(&self, name: &str) -> Result<(), ClientError> {
        self.delete(&tables::settings::TABLE, &[name.into()]).map(drop)
    }

    /// A secret, decrypted.
    ///
    /// # Errors
    /// [`ClientError::WrongPassphrase`] when it cannot be decrypted.
    pub(crate) fn secret(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        let (table, value) = (&tables::secrets::TABLE, tables::secrets::VALUE);
        let stored = self.row(table, &[name.into()], &[value], Row::bytes)?;
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
        self.has(&tables::secrets::TABLE, &[name.into()])
    }

    /// Names of all secrets that begin with `prefix`, the oldest first.
    pub(crate) fn secret_names(&self, prefix: &str) -> Result<Vec<String>, ClientError> {
        let (table, name) = (&tables::secrets::TABLE, tables::secrets::NAME);
        let mut names = self.rows(table, Scan::by_arrival(), &[name], Row::text)?;
        names.retain(|name| name.starts_with(prefix));
        Ok(names)
    }

    /// Removes a secret.
    pub(crate) fn remove_secret(&self, name: &str) -> Result<(), ClientError> {
        self.delete(&tables::secrets::TABLE, &[name.into()]).map(drop)
    }

    /// Stores a secret, encrypted when the profile has a passphrase.
    pub(crate) fn set_secret(&self, name: &str, value: &[u8]) -> Result<(), ClientError> {
        let stored = self.sealed(name, value)?;
        self.put(&tables::secrets::TABLE, [name.into(), stored.into()])
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
        let row = [sender.to_string().into(), id.to_string().into(), number(now.0)?, stored.into()];
        self.whole(|| {
            self.insert(&tables::signed_messages::TABLE, row)?;
            self.delete_before(
                &tables::signed_messages::TABLE,
                tables::signed_messages::RECEIVED_AT,
                before.0,
            )
        })
    }

    /// Received messages with this ID, as they were signed, with their senders.
    pub(crate) fn signed(&self, id: MessageId) -> Result<Vec<Signed>, ClientError> {
        let id = id.to_string();
        use tables::signed_messages::{ID, MESSAGE, SENDER, TABLE};
        // Senders choose IDs, so there may be several.
        let scan = Scan::by_arrival().only(ID, (&id).into());
        let rows = self.rows(&TABLE, scan, &[SENDER, MESSAGE], |row| Ok((row.text()?, row.bytes()?)))?;
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
        use tables::contacts::{BUNDLE, EARLIER_KEYS, RESET, TABLE, TRUST};
        let columns = [TRUST, BUNDLE, EARLIER_KEYS, RESET];
        let row = self.row(&TABLE, &[id.to_string().into()], &columns, |row| {
            Ok((row.text()?, row.text()?, row.text()?, row.optional_text()?))
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
        let (id, trust) = (id.to_string().into(), contact.trust.name().into());
        self.put(&tables::contacts::TABLE, [id, trust, bundle.into(), earlier_keys.into(), reset.into()])
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
        use tables::contacts::{ID, TABLE, TRUST};
        let mut ids =
            self.rows(&TABLE, Scan::by_key(&[]), &[TRUST, ID], |row| Ok((row.text()?, row.text()?)))?;
        ids.sort_by_key(|(trust, _)| trust != "compared");
        Ok(ids.iter().filter_map(|(_, id)| id.parse().ok()).collect())
    }

    /// A cached McEliece key.
    pub(crate) fn mceliece_key(&self, digest: &Sha512Digest) -> Result<Option<Vec<u8>>, ClientError> {
        self.row(&tables::mceliece_keys::TABLE, &[digest.0.into()], &[tables::mceliece_keys::KEY], Row::bytes)
    }

    /// Caches a McEliece key.
    pub(crate) fn set_mceliece_key(&self, digest: &Sha512Digest, key: &[u8]) -> Result<(), ClientError> {
        self.insert(&tables::mceliece_keys::TABLE, [digest.0.into(), key.into()]).map(drop)
    }

    /// Keeps the exact bytes of a submission until it is answered.
    pub(crate) fn put_outbox(&self, id: MessageId, request: &str) -> Result<(), ClientError> {
        self.add(&tables::outbox::TABLE, [id.to_string().into(), request.into()])
    }

    /// Forgets a submission.
    pub(crate) fn remove_outbox(&self, id: MessageId) -> Result<(), ClientError> {
        self.delete(&tables::outbox::TABLE, &[id.to_string().into()]).map(drop)
    }

    /// Submissions a killed program left unanswered, oldest first.
    pub(crate) fn outbox(&self) -> Result<Vec<String>, ClientError> {
        self.rows(&tables::outbox::TABLE, Scan::by_key(&[]), &[tables::outbox::REQUEST], Row::text)
    }

    /// Whether a message was taken already.
    pub(crate) fn is_known(&self, sender: &str, id: MessageId) -> Result<bool, ClientError> {
        self.has(&tables::inbox::TABLE, &[sender.into(), id.to_string().into()])
    }

    /// Takes a message; `event` is what is to be shown of it, if anything.
    pub(crate) fn put_inbox(
        &self,
        sender: &str,
        id: MessageId,
        event: Option<&str>,
    ) -> Result<(), ClientError> {
        let row = [sender.into(), id.to_string().into(), event.into(), Cell::Integer(0)];
        self.insert(&tables::inbox::TABLE, row).map(drop)
    }

    /// What was taken and not shown yet, in the order it came.
    pub(crate) fn unshown(&self) -> Result<Vec<(String, String, String)>, ClientError> {
        use tables::inbox::{EVENT, ID, SENDER, TABLE};
        let scan = Scan::by_arrival().except(EVENT, Cell::Null);
        self.rows(&TABLE, scan, &[SENDER, ID, EVENT], |row| Ok((row.text()?, row.text()?, row.text()?)))
    }

    /// How often files of messages that are not shown yet were tried, of each sender.
    pub(crate) fn tries(&self) -> Result<HashMap<String, u64>, ClientError> {
        use tables::inbox::{EVENT, SENDER, TABLE, TRIES};
        let scan = Scan::by_arrival().except(EVENT, Cell::Null);
        let read = |row: &mut Row| Ok((row.text()?, row.number::<u64>()?));
        let mut tries = HashMap::new();
        for (sender, of_message) in self.rows(&TABLE, scan, &[SENDER, TRIES], read)? {
            *tries.entry(sender).or_default() += of_message;
        }
        Ok(tries)
    }

    /// Counts a try to fetch a message's files; how many there were.
    pub(crate) fn count_try(&self, sender: &str, id: &str) -> Result<u32, ClientError> {
        use tables::inbox::{TABLE, TRIES};
        let key = [sender.into(), id.into()];
        self.whole(|| {
            let tries = self.row(&TABLE, &key, &[TRIES], Row::number::<u32>)?;
            let tries = tries.ok_or_else(|| self.failed("a message is not there"))?.saturating_add(1);
            self.change(&TABLE, &key, [(TRIES, tries.into())])?;
            Ok(tries)
        })
    }

    /// Notes that a message was shown; its text is forgotten here.
    pub(crate) fn mark_shown(&self, sender: &str, id: &str) -> Result<(), ClientError> {
        let shown = [(tables::inbox::EVENT, Cell::Null)];
        self.change(&tables::inbox::TABLE, &[sender.into(), id.into()], shown).map(drop)
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
