//! The log of key changes: every server keeps one, only ever appends to it, and signs where it ends.
//!
//! Each entry is hashed together with everything before it, so whoever remembers one place of the log notices when
//! its past is told differently; and a server that shows different keys to different people has to show them
//! different logs. Participants are named by a slow hash of their ID: whoever knows an ID finds its entries, and the
//! log is no list of everybody's IDs. What may not enter: where a log is kept, and what is done about a gap.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use crate::api::key_log::KeyLogPage;
use crate::cursor::StoreEpoch;
use crate::digest::{DigestError, Fingerprint, Sha512Digest, sha256};
use crate::encoding::{Base64Bytes, decode_base64, decode_hex, encode_base64, encode_hex, serde_as_text};
use crate::id::ParticipantId;
use crate::jws::{DocumentType, Jws, JwsError, Signer, read_payload, write_payload};
use crate::limits::MAX_KEY_LOG_PAGE;
use crate::rsa_key::RsaPublicKey;
use crate::time::UnixMillis;

/// Memory of the slow hash, in KiB: together with two passes about ten milliseconds on a computer, and all 2^40 IDs
/// some centuries.
const SUBJECT_MEMORY_KIB: u32 = 8 * 1024;

/// Passes of the slow hash.
const SUBJECT_PASSES: u32 = 2;

const SUBJECT_LABEL: &[u8] = b"momedo key log subject v1";
const DEVICES_LABEL: &[u8] = b"momedo key log devices v1";
const HOME_LABEL: &[u8] = b"momedo key log home v1";
const START_LABEL: &[u8] = b"momedo key log start v1";
const ENTRY_LABEL: &[u8] = b"momedo key log entry v1";

/// Whom an entry is about: Argon2id of the ID, salted with the server; base64url in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = "base64url"))]
pub struct LogSubject(pub [u8; 32]);

impl LogSubject {
    /// Who `id` is in the log of `server`. Takes about ten milliseconds and 8 MiB; blocks.
    pub fn of(server: Fingerprint, id: ParticipantId) -> Self {
        let params = Params::new(SUBJECT_MEMORY_KIB, SUBJECT_PASSES, 1, Some(32))
            .expect("the parameters are within what Argon2 allows");
        let salt = [SUBJECT_LABEL, &server.0].concat();
        let mut subject = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(id.to_string().as_bytes(), &salt, &mut subject)
            .expect("eight symbols and a salt of fixed length are within what Argon2 allows");
        Self(subject)
    }

    /// Who stands for the devices of the same participant: SHA-256 of a label and this subject. Entries about it say that
    /// a device was added; whoever knows the one finds the other.
    pub fn of_devices(&self) -> Self {
        Self(sha256(&[DEVICES_LABEL, &self.0].concat()))
    }
}

impl fmt::Display for LogSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_base64(&self.0))
    }
}

impl fmt::Debug for LogSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LogSubject {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        decode_base64(text).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(DigestError)
    }
}

serde_as_text!(LogSubject);

/// A key bundle became current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyLogEntry {
    /// Whose.
    pub subject: LogSubject,
    /// The bundle's version.
    pub version: u64,
    /// The bundle's digest.
    pub digest: Sha512Digest,
    /// When, by the server's clock.
    pub made_at: UnixMillis,
}

impl KeyLogEntry {
    /// Instead of a digest: the participant lives on the server no longer, and their keys are not its matter.
    pub const MOVED: Sha512Digest = Sha512Digest([0; 64]);

    /// The entry by which `server` tells everybody, once, that it follows the log of `home` and passes it on: whoever is
    /// told of people there can ask others whether they were told of that server. The subject is SHA-256 of a label and
    /// both servers, the digest the home's fingerprint and then the subject.
    pub fn of_home(server: Fingerprint, home: Fingerprint, made_at: UnixMillis) -> Self {
        let subject = LogSubject(sha256(&[HOME_LABEL, &server.0, &home.0].concat()));
        let mut digest = [0; 64];
        digest[..32].copy_from_slice(&home.0);
        digest[32..].copy_from_slice(&subject.0);
        Self { subject, version: 1, digest: Sha512Digest(digest), made_at }
    }

    /// The server whose log `server` says by this entry that it follows, if it is such an entry.
    pub fn home(&self, server: Fingerprint) -> Option<Fingerprint> {
        let home = Fingerprint(*self.digest.0.first_chunk()?);
        (Self::of_home(server, home, self.made_at) == Self { version: 1, ..*self }).then_some(home)
    }
}

/// A place in a log: so many entries, and the hash over all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPlace {
    /// The number of the last entry; entries count from 1.
    pub number: u64,
    /// The hash up to and with it.
    pub hash: Sha512Digest,
}

impl LogPlace {
    /// Before the first entry of a server's log.
    pub fn start(server: Fingerprint) -> Self {
        Self { number: 0, hash: Sha512Digest::of(&[START_LABEL, &server.0].concat()) }
    }

    /// After one entry more: SHA-512 over a label, the hash before, number, subject, version, digest and time.
    pub fn after(&self, entry: &KeyLogEntry) -> Self {
        let number = self.number + 1;
        let parts: [&[u8]; 7] = [
            ENTRY_LABEL,
            &self.hash.0,
            &number.to_be_bytes(),
            &entry.subject.0,
            &entry.version.to_be_bytes(),
            &entry.digest.0,
            &entry.made_at.0.to_be_bytes(),
        ];
        Self { number, hash: Sha512Digest::of(&parts.concat()) }
    }

    /// What is told to others, and read out on the telephone.
    pub fn view(&self, server: Fingerprint) -> LogView {
        LogView { server: first(&server.0), number: self.number, hash: first(&self.hash.0) }
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("fingerprints and hashes are longer than what is told of them")
}

/// Where a log ends: the payload of a `momedo-key-log-head+jws`, signed by the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLogHead {
    /// Whose log; signs.
    pub server: Fingerprint,
    /// Which life of the server's database; a restore from a backup begins a new one.
    pub epoch: StoreEpoch,
    /// How many entries there are.
    pub number: u64,
    /// The hash over all of them.
    pub hash: Sha512Digest,
    /// When it was signed, by the server's clock.
    pub made_at: UnixMillis,
}

impl KeyLogHead {
    /// Signs with the server's identity key.
    pub fn sign(&self, identity: &dyn Signer) -> Jws {
        Jws::sign(DocumentType::KeyLogHead, &write_payload(self), &[identity])
    }

    /// Verifies with the server's identity key; that `server` names that key is checked too.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(jws: &Jws, identity: &RsaPublicKey) -> Result<Self, JwsError> {
        let signed: Self = read_payload(&jws.verify(DocumentType::KeyLogHead, &[identity])?)?;
        if signed.server == identity.fingerprint() { Ok(signed) } else { Err(JwsError::Content) }
    }

    /// The place it names.
    pub fn place(&self) -> LogPlace {
        LogPlace { number: self.number, hash: self.hash }
    }
}

/// A head with the key that signed it, so that it can be shown to anybody as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedHead {
    /// The server's identity key (SPKI DER).
    pub identity_key: Base64Bytes,
    /// A [`KeyLogHead`].
    pub head: Jws,
}

impl SignedHead {
    /// The head, if `server` signed it.
    ///
    /// # Errors
    /// As [`JwsError`] says.
    pub fn verify(&self, server: Fingerprint) -> Result<KeyLogHead, JwsError> {
        let identity = RsaPublicKey::from_spki(&self.identity_key.0).map_err(|_| JwsError::Content)?;
        if identity.fingerprint() != server {
            return Err(JwsError::WrongSignature);
        }
        KeyLogHead::verify(&self.head, &identity)
    }
}

/// What somebody saw of a log, short: `SERVER.NUMBER.HASH`, with the first 8 bytes of the server ID in hexadecimal
/// and the first 16 of the hash in base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogView {
    /// The beginning of the ID of the server whose log it is.
    pub server: [u8; 8],
    /// A number in it.
    pub number: u64,
    /// The beginning of the hash there.
    pub hash: [u8; 16],
}

/// The text is not a view of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a view of a log is a server, a number and a hash, such as 9f86d081884c7d65.42.n4bQgYhMfWWaL-qgxVrQFg"
)]
pub struct LogViewError;

impl LogView {
    /// Whether it is about this server's log.
    pub fn is_of(&self, server: Fingerprint) -> bool {
        server.0.starts_with(&self.server)
    }

    /// Whether it says the same as this place, which has to have the same number.
    pub fn agrees(&self, place: &LogPlace) -> bool {
        self.number == place.number && place.hash.0.starts_with(&self.hash)
    }

    /// The hash as people compare it: four groups of eight hexadecimal digits.
    pub fn grouped_hash(&self) -> String {
        self.hash.chunks(4).map(encode_hex).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for LogView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", encode_hex(&self.server), self.number, encode_base64(&self.hash))
    }
}

impl FromStr for LogView {
    type Err = LogViewError;
    fn from_str(text: &str) -> Result<Self, LogViewError> {
        let mut parts = text.split('.');
        let (Some(server), Some(number), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(LogViewError);
        };
        let is_plain =
            number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0') || number == "0";
        // JSON readers stop at 2^53; nobody gets there by counting.
        let number = number.parse().ok().filter(|number| is_plain && *number <= 1 << 53);
        Ok(Self {
            server: decode_hex(server).ok_or(LogViewError)?,
            number: number.ok_or(LogViewError)?,
            hash: decode_base64(hash).and_then(|hash| hash.try_into().ok()).ok_or(LogViewError)?,
        })
    }
}

serde_as_text!(LogView);

/// What a log says of the participant who reads it, measured by their own current bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnStanding {
    /// The bundle is the newest entry.
    Current,
    /// There is no entry at all.
    Missing,
    /// They moved away.
    Moved,
    /// An older version is the newest.
    Older,
    /// Another bundle of the same version is the newest.
    Other,
    /// A newer version is the newest; the own devices know whether they made it.
    Newer,
}

/// Compares the newest entry about a participant (version and digest) with their own current bundle. Everybody demands
/// this of the log of their home: whoever may be left out of it unnoticed can be replaced unnoticed.
pub fn own_standing(newest: Option<(u64, Sha512Digest)>, own: (u64, Sha512Digest)) -> OwnStanding {
    match newest {
        None => OwnStanding::Missing,
        Some(newest) if newest == own => OwnStanding::Current,
        Some((_, digest)) if digest == KeyLogEntry::MOVED => OwnStanding::Moved,
        Some((version, _)) if version < own.0 => OwnStanding::Older,
        Some((version, _)) if version > own.0 => OwnStanding::Newer,
        Some(_) => OwnStanding::Other,
    }
}

/// How a page does not continue a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogGap {
    /// At a place that was seen, another hash is told now.
    #[error("its past is told differently")]
    OtherPast,
    /// It ends before a place that was seen.
    #[error("it is shorter than it was")]
    Shorter,
    /// The entries do not lead to the hash that is signed.
    #[error("its entries do not lead to the hash that is signed")]
    WrongHead,
    /// A version does not follow the one before of the same participant.
    #[error("a version in it does not follow the one before")]
    Versions,
    /// More entries than a page may have, or than there are; or none although there are more.
    #[error("a page of it has too many entries, or none")]
    Page,
}

/// Checks that `page` continues a log at `from`, towards `head`, which has been verified; returns the place after
/// each entry. `newest` holds the newest version, up to `from`, of each subject in the page that has one.
///
/// # Errors
/// As [`LogGap`] says.
pub fn follow(
    from: LogPlace,
    page: &KeyLogPage,
    head: &KeyLogHead,
    newest: &HashMap<LogSubject, u64>,
) -> Result<Vec<LogPlace>, LogGap> {
    if head.number < from.number {
        return Err(LogGap::Shorter);
    }
    if page.hash != Some(from.hash) {
        return Err(LogGap::OtherPast);
    }
    let missing = head.number - from.number;
    let count = page.entries.len() as u64;
    if page.entries.len() > MAX_KEY_LOG_PAGE || count > missing || (count == 0 && missing > 0) {
        return Err(LogGap::Page);
    }
    let (mut place, mut places) = (from, Vec::with_capacity(page.entries.len()));
    let mut versions: HashMap<LogSubject, u64> = HashMap::new();
    for entry in &page.entries {
        let before = versions.insert(entry.subject, entry.version).or(newest.get(&entry.subject).copied());
        if before.is_some_and(|before| entry.version <= before) {
            return Err(LogGap::Versions);
        }
        place = place.after(entry);
        places.push(place);
    }
    if place.number == head.number && place.hash != head.hash {
        return Err(LogGap::WrongHead);
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVER: Fingerprint = Fingerprint([7; 32]);

    #[test]
    fn everybody_finds_themselves_as_the_newest_or_knows_what_is_wrong() {
        let (now, other) = (Sha512Digest([2; 64]), Sha512Digest([3; 64]));
        let own = (2, now);
        for (newest, expected) in [
            (Some((2, now)), OwnStanding::Current),
            (None, OwnStanding::Missing),
            (Some((3, KeyLogEntry::MOVED)), OwnStanding::Moved),
            (Some((2, KeyLogEntry::MOVED)), OwnStanding::Moved),
            (Some((1, other)), OwnStanding::Older),
            // What was said before under another version does not count either.
            (Some((1, now)), OwnStanding::Older),
            (Some((2, other)), OwnStanding::Other),
            (Some((3, other)), OwnStanding::Newer),
        ] {
            assert_eq!(own_standing(newest, own), expected, "{newest:?}");
        }
    }

    #[test]
    fn a_server_that_is_vouched_for_is_read_out_of_its_entry_and_of_no_other() {
        let home = Fingerprint([9; 32]);
        let vouching = KeyLogEntry::of_home(SERVER, home, UnixMillis(5));
        assert_eq!(vouching.home(SERVER), Some(home));
        // Not for another server's log, nor with any part of it changed, nor out of keys.
        assert_eq!(vouching.home(home), None);
        let mut changed = vouching;
        changed.digest.0[0] ^= 1;
        assert_eq!(changed.home(SERVER), None);
        let subject = LogSubject([1; 32]);
        assert_eq!(KeyLogEntry { subject, ..vouching }.home(SERVER), None);
        assert_eq!(entry(1, 1, 1).home(SERVER), None);
        assert_ne!(subject.of_devices(), subject);
    }

    fn entry(subject: u8, version: u64, digest: u8) -> KeyLogEntry {
        KeyLogEntry {
            subject: LogSubject([subject; 32]),
            version,
            digest: Sha512Digest([digest; 64]),
            made_at: UnixMillis(1_790_000_000_000),
        }
    }

    fn any_log() -> impl Strategy<Value = Vec<KeyLogEntry>> {
        // Versions that rise with the place in the log rise for each subject.
        proptest::collection::vec((any::<u8>(), any::<u8>()), 1..40).prop_map(|all| {
            all.iter()
                .zip(1..)
                .map(|((subject, digest), version)| entry(*subject, version, *digest))
                .collect()
        })
    }

    fn places(entries: &[KeyLogEntry]) -> Vec<LogPlace> {
        let mut places = vec![LogPlace::start(SERVER)];
        for entry in entries {
            places.push(places.last().unwrap().after(entry));
        }
        places
    }

    fn head(place: LogPlace) -> KeyLogHead {
        let LogPlace { number, hash } = place;
        KeyLogHead { server: SERVER, epoch: StoreEpoch::random(), number, hash, made_at: UnixMillis(0) }
    }

    fn page(hash: Sha512Digest, entries: &[KeyLogEntry]) -> KeyLogPage {
        let jws = Jws::sign(DocumentType::KeyLogHead, b"", &[]);
        let head = SignedHead { identity_key: Base64Bytes(Vec::new()), head: jws };
        KeyLogPage { hash: Some(hash), entries: entries.to_vec(), head }
    }

    fn known(entries: &[KeyLogEntry]) -> HashMap<LogSubject, u64> {
        entries.iter().map(|entry| (entry.subject, entry.version)).collect()
    }

    proptest! {
        #[test]
        fn whoever_follows_page_by_page_arrives_at_the_head(log in any_log(), size in 1usize..10) {
            let all = places(&log);
            let (mut at, mut seen) = (all[0], 0);
            for part in log.chunks(size) {
                let followed =
                    follow(at, &page(at.hash, part), &head(*all.last().unwrap()), &known(&log[..seen])).unwrap();
                at = *followed.last().unwrap();
                seen += part.len();
                prop_assert_eq!(at, all[seen]);
            }
        }

        #[test]
        fn nothing_in_the_past_can_be_changed_unnoticed(log in any_log(), which: prop::sample::Index, what in 0u8..4) {
            let all = places(&log);
            let which = which.index(log.len());
            let mut other = log.clone();
            match what {
                0 => other[which].digest.0[0] ^= 1,
                1 => other[which].subject.0[31] ^= 1,
                2 => other[which].made_at.0 ^= 1,
                _ => other[which].version ^= 1 << 60,
            }
            // Told to somebody who saw nothing yet: the signed end does not fit.
            let told = follow(all[0], &page(all[0].hash, &other), &head(*all.last().unwrap()), &HashMap::new());
            prop_assert!(told.is_err());
            // Told with a new head to somebody who saw the old one.
            let new = places(&other);
            let told = follow(*all.last().unwrap(), &page(new.last().unwrap().hash, &[]),
                &head(*new.last().unwrap()), &known(&log));
            prop_assert_eq!(told, Err(LogGap::OtherPast));
        }

        #[test]
        fn a_log_that_was_cut_is_noticed(log in any_log(), which: prop::sample::Index) {
            let all = places(&log);
            let cut = all[which.index(log.len())];
            let end = *all.last().unwrap();
            prop_assert_eq!(follow(end, &page(cut.hash, &[]), &head(cut), &known(&log)), Err(LogGap::Shorter));
            // Nor is one that holds entries back.
            prop_assert_eq!(
                follow(cut, &page(cut.hash, &[]), &head(end), &known(&log)), Err(LogGap::Page));
        }

        #[test]
        fn a_view_comes_back_as_it_went(server: [u8; 8], number in 0u64..(1 << 53), hash: [u8; 16]) {
            let view = LogView { server, number, hash };
            prop_assert_eq!(view.to_string().parse(), Ok(view));
            prop_assert!(view.to_string().len() <= 60);
        }

        #[test]
        fn whatever_is_read_as_a_view_is_written_as_it_was_but_for_case(text in "[0-9a-fA-F.]{0,60}|\\PC*") {
            if let Ok(view) = text.parse::<LogView>() {
                prop_assert_eq!(view.to_string().parse(), Ok(view));
            }
        }
    }

    #[test]
    fn versions_of_one_participant_rise() {
        let log = [entry(1, 1, 1), entry(2, 5, 2), entry(1, 2, 3)];
        let all = places(&log);
        assert!(follow(all[0], &page(all[0].hash, &log), &head(all[3]), &HashMap::new()).is_ok());
        let known = HashMap::from([(LogSubject([1; 32]), 1)]);
        let again = follow(all[0], &page(all[0].hash, &log), &head(all[3]), &known);
        assert_eq!(again, Err(LogGap::Versions));
        let falls = [entry(1, 2, 1), entry(1, 2, 2)];
        let all = places(&falls);
        let told = follow(all[0], &page(all[0].hash, &falls), &head(all[2]), &HashMap::new());
        assert_eq!(told, Err(LogGap::Versions));
    }

    #[test]
    fn a_page_has_a_largest_size() {
        let log: Vec<_> = (1..=MAX_KEY_LOG_PAGE as u64 + 1).map(|version| entry(1, version, 1)).collect();
        let all = places(&log);
        let told = follow(all[0], &page(all[0].hash, &log), &head(*all.last().unwrap()), &HashMap::new());
        assert_eq!(told, Err(LogGap::Page));
        let fits = &log[..MAX_KEY_LOG_PAGE];
        assert!(
            follow(all[0], &page(all[0].hash, fits), &head(*all.last().unwrap()), &HashMap::new()).is_ok()
        );
    }

    #[test]
    fn nobody_else_has_the_same_subject() {
        let (anna, ben): (ParticipantId, ParticipantId) =
            ("M8N22HT6".parse().unwrap(), "7QK0M3ZD".parse().unwrap());
        let subject = LogSubject::of(SERVER, anna);
        assert_eq!(subject, LogSubject::of(SERVER, anna));
        assert_ne!(subject, LogSubject::of(SERVER, ben));
        assert_ne!(subject, LogSubject::of(Fingerprint([8; 32]), anna));
        assert_eq!(subject.to_string().parse(), Ok(subject));
    }

    #[test]
    fn views_that_are_none_are_refused() {
        for text in [
            "",
            "..",
            "0707070707070707.1",
            "0707070707070707.01.AAAAAAAAAAAAAAAAAAAAAA",
            "0707070707070707.+1.AAAAAAAAAAAAAAAAAAAAAA",
            "0707070707070707..AAAAAAAAAAAAAAAAAAAAAA",
            "0707070707070707.1.AAAAAAAAAAAAAAAAAAAAAA.",
            "0707070707070707.1.AAAAAAAAAAAAAAAAAAAAAA=",
            "0707.1.AAAAAAAAAAAAAAAAAAAAAA",
            "0707070707070707.99999999999999999.AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(text.parse::<LogView>(), Err(LogViewError), "{text}");
        }
    }
}
