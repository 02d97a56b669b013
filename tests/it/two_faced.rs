//! Servers that show two faces: real ones whose database is edited while they are down. Whoever holds the identity key
//! and the database can do no more than that.

use momedo::tls::Identity;
use momedo_client::profile::Profile;
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::jws::{Jws, Signer};
use momedo_protocol::key_bundle::{KeyBundle, KeyBundlePayload};
use momedo_protocol::key_log::{KeyLogEntry, LogPlace, LogSubject};
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::time::UnixMillis;
use rusqlite::Connection;

use crate::harness::{Server, rsa_key};

/// The data of a server that does not run, or only to be read.
pub(crate) struct Editor {
    pub(crate) database: Connection,
    pub(crate) identity: RsaPrivateKey,
    pub(crate) stored: Identity,
}

impl Editor {
    pub(crate) fn open(server: &Server) -> Self {
        let database = Connection::open(server.data().join("momedo.db")).unwrap();
        let sql = "SELECT value FROM settings WHERE name = ?1";
        let stored: Vec<u8> = database.query_row(sql, [Identity::SETTING], |row| row.get(0)).unwrap();
        let identity: Identity = serde_json::from_slice(&stored).unwrap();
        Self { database, identity: identity.key().unwrap(), stored: identity }
    }

    pub(crate) fn server(&self) -> Fingerprint {
        self.identity.public().fingerprint()
    }

    pub(crate) fn log(&self) -> Vec<KeyLogEntry> {
        let sql = "SELECT subject, version, digest, made_at FROM key_log ORDER BY number";
        let mut statement = self.database.prepare(sql).unwrap();
        let entry = |row: &rusqlite::Row<'_>| {
            Ok(KeyLogEntry {
                subject: LogSubject(row.get(0)?),
                version: row.get(1)?,
                digest: Sha512Digest(row.get(2)?),
                made_at: UnixMillis(row.get(3)?),
            })
        };
        statement.query_map([], entry).unwrap().map(Result::unwrap).collect()
    }

    /// Writes the log anew, with right hashes.
    pub(crate) fn set_log(&self, log: &[KeyLogEntry]) {
        self.database.execute_batch("BEGIN; DELETE FROM key_log").unwrap();
        let mut place = LogPlace::start(self.server());
        for entry in log {
            place = place.after(entry);
            let KeyLogEntry { subject, version, digest, made_at } = entry;
            let row = (place.number, subject.0, version, digest.0, made_at.0, place.hash.0);
            let sql = "INSERT INTO key_log (number, subject, version, digest, made_at, hash)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            self.database.execute(sql, row).unwrap();
        }
        self.database.execute_batch("COMMIT").unwrap();
    }

    /// Puts another bundle in the place of somebody's current one; what stood there.
    pub(crate) fn set_bundle(&self, bundle: &KeyBundle, jws: &Jws) {
        let countersignature = Countersignature {
            id: bundle.payload.id,
            fingerprint: bundle.fingerprint(),
            name: bundle.payload.name.clone(),
            home: self.server(),
            expires_at: bundle.payload.expires_at,
        };
        let texts = [
            serde_json::to_string(&countersignature.sign(&self.identity)).unwrap(),
            serde_json::to_string(jws).unwrap(),
        ];
        let sql = "UPDATE key_bundles SET digest = ?2, countersignature = ?3, bundle = ?4
                   WHERE participant = ?1 AND superseded_tick IS NULL";
        let row = (bundle.payload.id.number(), bundle.digest.0, &texts[0], &texts[1]);
        assert_eq!(self.database.execute(sql, row).unwrap(), 1);
    }

    pub(crate) fn bundle_of(&self, id: momedo_protocol::id::ParticipantId) -> (KeyBundle, Jws) {
        let sql = "SELECT bundle FROM key_bundles WHERE participant = ?1 AND superseded_tick IS NULL";
        let text: String = self.database.query_row(sql, [id.number()], |row| row.get(0)).unwrap();
        let jws = serde_json::from_str(&text).unwrap();
        (KeyBundle::verify(&jws).unwrap(), jws)
    }
}

/// Somebody's bundle with a signature key that the server made.
pub(crate) fn false_bundle(true_one: &KeyBundle) -> (KeyBundle, Jws) {
    let key = rsa_key(10);
    let signature_key = Base64Bytes(key.public().spki().to_vec());
    let signer: &dyn Signer = &key;
    let jws = KeyBundlePayload { signature_key, ..true_one.payload.clone() }.sign(&[signer]);
    (KeyBundle::verify(&jws).unwrap(), jws)
}

/// A server with a true and a false face: what it shows as one participant's keys, with a log that fits or without.
pub(crate) struct TwoFaced {
    pub(crate) server: Server,
    pub(crate) faces: [(KeyBundle, Jws); 2],
    pub(crate) logs: [Vec<KeyLogEntry>; 2],
    pub(crate) runs: bool,
}

pub(crate) const TRUE: usize = 0;
pub(crate) const FALSE: usize = 1;

impl TwoFaced {
    /// Prepares to show false keys of `ada`; the server is down afterwards.
    pub(crate) fn new(mut server: Server, ada: &Profile) -> Self {
        server.kill();
        let editor = Editor::open(&server);
        let honest = editor.bundle_of(ada.id().unwrap());
        let forged = false_bundle(&honest.0);
        let log = editor.log();
        let exchange = |entry: &KeyLogEntry| {
            let digest = if entry.digest == honest.0.digest { forged.0.digest } else { entry.digest };
            KeyLogEntry { digest, ..*entry }
        };
        let other: Vec<_> = log.iter().map(exchange).collect();
        assert_ne!(log, other);
        Self { server, faces: [honest, forged], logs: [log, other], runs: false }
    }

    pub(crate) fn show(&mut self, bundle: usize, log: usize) {
        if self.runs {
            self.server.kill();
        }
        self.runs = true;
        let editor = Editor::open(&self.server);
        editor.set_bundle(&self.faces[bundle].0, &self.faces[bundle].1);
        editor.set_log(&self.logs[log]);
        drop(editor);
        self.server.launch();
    }
}
