//! Backup and restore: the drill on the command line, and the use cases on a clock of the test's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt;
use momedo::domain::backup::Made;
use momedo::server::running::{self, Opened};
use momedo::service::administration::{self, AdminRequest, AdminResponse};
use momedo::service::backup::{
    self, Backup, BackupError, BackupRequest, Overwrite, Passphrase, Replace, Restored,
};
use momedo::service::{ServiceError, set_up};
use momedo::settings::config::Config;
use momedo::state::App;
use momedo::store::Tick;
use momedo::store::backup::{self as copies, KeyFiles};
use momedo::surroundings::clock::Clock;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::encode_hex;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::invite::InviteLink;
use momedo_protocol::random;
use momedo_protocol::time::UnixMillis;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Server, program, recently_confirmed};
use crate::visitor::PASSWORD;

const DAY: Duration = Duration::from_secs(86_400);
const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn register(server: &Server, profile: &str) -> Value {
    let link = server.invite().to_string();
    server
        .json(&["user", "register", "--invite", &link, "--profile", profile, "--name", profile, "--json"])
        .remove(0)
}

fn texts(server: &Server, profile: &str) -> Vec<String> {
    let received = server.json(&["receive", "--profile", profile, "--json"]);
    assert!(received.iter().all(|message| message["verified"] == true), "{received:?}");
    received.iter().map(|message| field(message, "text").to_owned()).collect()
}

fn backup_now(server: &Server) -> String {
    let made = server.json(&["admin", "backup", "now", "--data-dir", "data", "--json"]).remove(0);
    assert_eq!(made["verified"], true);
    field(&made, "name").to_owned()
}

#[test]
fn the_drill_brings_the_same_server_back_on_another_machine() {
    let mut old = Server::start();
    register(&old, "ada");
    let ben = register(&old, "ben");
    old.json(&["user", "add-device", "--profile", "ben", "--new-profile", "tablet", "--json"]);
    let send = |server: &Server, text: &str| {
        server.json(&["send", "--profile", "ada", "--to", field(&ben, "id"), text, "--json"]);
    };
    send(&old, "eins");
    assert_eq!(texts(&old, "ben"), ["eins"]);
    let open_invite = old.invite();
    // One while messages come in, which must be whole in itself.
    let busy = std::thread::scope(|scope| {
        let sending = scope.spawn(|| ["zwei", "drei", "vier"].map(|text| send(&old, text)));
        let name = backup_now(&old);
        sending.join().unwrap();
        name
    });
    let verify = ["admin", "backup", "verify", &busy, "--data-dir", "data", "--json"];
    assert_eq!(old.json(&verify)[0]["verified"], true);
    let before = old.status();
    let name = backup_now(&old);
    // What the phone fetches after the backup waits for it again in the restored server.
    assert_eq!(texts(&old, "ben"), ["zwei", "drei", "vier"]);

    std::fs::write(old.profile("pass"), "correct horse battery\n").unwrap();
    let export = ["admin", "backup", "export", &name, "--data-dir", "data", "--to", "out.sealed", "--json"];
    let sealed = [&export[..], &["--passphrase-file", "pass"]].concat();
    let exported = old.json(&sealed).remove(0);
    assert_eq!(exported["sealed"], true);
    assert_eq!(exported["private"], true, "this disk knows permissions");
    assert_eq!(exported["bytes"], std::fs::metadata(old.profile("out.sealed")).unwrap().len());
    assert!(old.failure(&sealed).contains("--overwrite"));
    old.json(&[&sealed[..], &["--overwrite"]].concat());
    old.kill();

    let mut new = Server::unstarted();
    let file = old.profile("out.sealed");
    let pass = old.profile("pass");
    let (file, pass) = (file.to_str().unwrap(), pass.to_str().unwrap());
    let restore = ["admin", "restore", file, "--passphrase-file", pass, "--data-dir", "data", "--json"];
    let restored = new.json(&restore).remove(0);
    assert_eq!(restored["fingerprint"], before["fingerprint"]);
    // Without a server it says the same already.
    for name in ["participants", "devices", "ozone_envelopes", "ozone_bytes", "fingerprint", "schema"] {
        assert_eq!(new.status()[name], before[name], "{name}");
    }
    new.launch();
    assert_ne!(new.address, old.address);
    assert!(new.failure(&restore).contains("stop it first"));

    for profile in ["ada", "ben", "tablet"] {
        let opened = momedo_client_native::profiles::open(&old.profile(profile), None).unwrap();
        opened.set("addresses", &[&new.address]).unwrap();
        drop(opened);
        std::fs::rename(old.profile(profile), new.profile(profile)).unwrap();
    }
    // The tablet gets what waited; the phone starts at zero and drops what it knows.
    assert_eq!(texts(&new, "tablet"), ["eins", "zwei", "drei", "vier"]);
    assert_eq!(texts(&new, "ben"), Vec::<String>::new());
    assert_eq!(new.status()["ozone_envelopes"], 0);
    send(&new, "danach");
    assert_eq!(texts(&new, "ben"), ["danach"]);
    assert_eq!(texts(&new, "tablet"), ["danach"]);

    let link = InviteLink { address: new.address.clone(), ..open_invite }.to_string();
    let refused = new.failure(&["user", "register", "--invite", &link, "--profile", "cem"]);
    assert!(refused.contains("invite"), "{refused}");
    // A new one names the new machine.
    assert_eq!(new.invite().address, new.address);
    register(&new, "dana");
}

#[test]
fn a_restore_moves_aside_what_was_there_and_only_when_asked() {
    let mut server = Server::start();
    let name = backup_now(&server);
    register(&server, "ada");
    // The newest part stands in the log, as after a power cut.
    server.kill();
    let backup = format!("data/backups/{name}.db");
    let restore = ["admin", "restore", &backup, "--data-dir", "data", "--json"];
    assert!(server.failure(&restore).contains("--replace"));
    assert_eq!(server.status()["participants"], 1);
    let restored = server.json(&[&restore[..], &["--replace"]].concat()).remove(0);
    assert_eq!(server.status()["participants"], 0);
    let replaced = server.folder.path().join(field(&restored, "replaced"));
    let old = rusqlite::Connection::open(replaced.join("momedo.db")).unwrap();
    assert_eq!(old.query_row("SELECT count(*) FROM participants", [], |row| row.get(0)), Ok(1));
    server.launch();
    assert_eq!(server.status()["participants"], 0);
    assert_eq!(private_mode(&replaced), 0o700);
    assert_eq!(private_mode(&server.data().join("momedo.db")), 0o600);
    assert_eq!(private_mode(&server.data().join("backups")), 0o700);
    assert_eq!(private_mode(&server.data().join("backups").join(format!("{name}.db"))), 0o600);
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_server_or_the_new() {
    let mut server = Server::start();
    let name = backup_now(&server);
    register(&server, "ada");
    server.kill();
    let kept = server.folder.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let files = ["momedo.db", "momedo.db-wal", "momedo.db-shm"];
    for file in files {
        std::fs::copy(server.data().join(file), kept.join(file)).unwrap();
    }
    let backup = format!("data/backups/{name}.db");
    let fingerprint = server.status()["fingerprint"].clone();
    let mut seen = BTreeSet::new();
    for round in 0..12 {
        for file in files {
            let _: Result<_, _> = std::fs::remove_file(server.data().join(file));
            std::fs::copy(kept.join(file), server.data().join(file)).unwrap();
        }
        let mut restoring = program()
            .args(["admin", "restore", &backup, "--data-dir", "data", "--replace"])
            .current_dir(server.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // A different moment each time is the point; the last rounds run to their end.
        std::thread::sleep(Duration::from_millis(4 * round));
        if round < 10 {
            restoring.kill().unwrap();
        }
        restoring.wait().unwrap();
        let status = server.status();
        assert_eq!(status["fingerprint"], fingerprint);
        seen.insert(status["participants"].as_u64().unwrap());
        assert!(seen.is_subset(&BTreeSet::from([0, 1])), "{status}");
        let database = rusqlite::Connection::open(server.data().join("momedo.db")).unwrap();
        assert_eq!(database.query_row("PRAGMA integrity_check", [], |row| row.get(0)), Ok("ok".to_owned()));
    }
    assert!(seen.contains(&0));
}

fn private_mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn names_that_are_paths_are_refused_with_and_without_a_server() {
    let mut server = Server::start();
    std::fs::write(server.profile("SECRET.db"), "not a backup").unwrap();
    for running in [true, false] {
        for name in ["../../SECRET", "..", ".", "/etc/passwd", "a", "A/B", "A.DB", ""] {
            let verify = server.failure(&["admin", "backup", "verify", name, "--data-dir", "data"]);
            let export =
                server.failure(&["admin", "backup", "export", name, "--to", "out", "--data-dir", "data"]);
            assert!(verify.contains("digits, capital letters"), "{name}: {verify}");
            assert!(export.contains("digits, capital letters"), "{name}: {export}");
        }
        let unknown =
            server.failure(&["admin", "backup", "verify", "19700101-000000Z", "--data-dir", "data"]);
        assert!(unknown.contains("There is no backup"), "{unknown}");
        if running {
            server.kill();
        }
    }
    assert!(!server.profile("out").exists());
}

/// A server without listeners, on a clock that stands still.
struct Bench {
    folder: TempDir,
    opened: Opened,
    clock: Clock,
}

impl Bench {
    async fn open(change: impl FnOnce(&mut Config)) -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual());
        let mut config = Config::default();
        change(&mut config);
        let opened = running::open(&folder.path().join("data"), config, clock.clone()).await.unwrap();
        Self { folder, opened, clock }
    }

    fn app(&self) -> &App {
        &self.opened.app
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds a McEliece key that nobody could have made.
    async fn add_key(&self) -> Sha512Digest {
        let mut key = vec![0; 524_160];
        random::fill(&mut key);
        let digest = Sha512Digest::of(&key);
        let uploader = ParticipantId::random();
        let add = move |tx: &mut momedo::store::WriteTx<'_>| {
            Ok::<_, ServiceError>(tx.insert_mceliece_key(&digest, uploader, &key)?)
        };
        self.app().store.write(add).await.unwrap();
        digest
    }

    /// Adds somebody whose name can be found in the file.
    async fn add_participant(&self, name: &'static str) {
        let id = ParticipantId::random();
        let add = move |tx: &mut momedo::store::WriteTx<'_>| {
            Ok::<_, ServiceError>(tx.insert_participant(id, name, UnixMillis(0))?)
        };
        self.app().store.write(add).await.unwrap();
    }

    /// As whoever is at the machine asks.
    async fn ask(&self, request: BackupRequest) -> Result<Vec<Backup>, ServiceError> {
        match administration::execute(self.app(), AdminRequest::Backup(request)).await? {
            AdminResponse::Backups { backups } => Ok(backups),
            other => panic!("{other:?}"),
        }
    }

    async fn make(&self) -> Backup {
        self.ask(BackupRequest::Now).await.unwrap().remove(0)
    }

    async fn verify(&self, name: &str) -> Result<Vec<Backup>, ServiceError> {
        self.ask(BackupRequest::Verify { name: name.into() }).await
    }

    async fn names(&self) -> Vec<String> {
        let list = self.ask(BackupRequest::List).await.unwrap();
        list.iter().map(|backup| backup.name.to_string()).collect()
    }

    fn key_files(&self) -> BTreeSet<String> {
        let Ok(files) = std::fs::read_dir(self.path("data/backups/mceliece")) else { return BTreeSet::new() };
        files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    async fn export(&self, backup: &Backup, to: &str, passphrase: Option<&str>) -> PathBuf {
        let path = self.path(to);
        let passphrase = passphrase.map(Passphrase::typed);
        let name = backup.name.as_str();
        let directory = self.app().store.directory();
        backup::export_from(directory, name, &path, passphrase.as_ref(), Overwrite::Refuse).unwrap();
        path
    }

    /// Restores into a folder that is not there yet.
    fn restore(&self, file: &Path, passphrase: Option<&str>) -> Result<Restored, BackupError> {
        let passphrase = passphrase.map(Passphrase::typed);
        backup::restore(file, &self.path("restored"), passphrase.as_ref(), Replace::Refuse, NOW)
    }
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_refused_and_leaves_nothing_behind() {
    let bench = Bench::open(|_| {}).await;
    let digest = bench.add_key().await;
    bench.add_participant("Findemich").await;
    let made = bench.make().await;
    let plain = bench.export(&made, "plain", None).await;
    let sealed = bench.export(&made, "sealed", Some("correct horse")).await;
    let refused = |bytes: &[u8], passphrase: Option<&str>, expected: &str| {
        let path = bench.path("broken");
        std::fs::write(&path, bytes).unwrap();
        let said = bench.restore(&path, passphrase).unwrap_err().to_string();
        assert!(said.contains(expected), "{said} instead of {expected}");
        assert!(!bench.path("restored").exists(), "{expected}: something is left behind");
    };
    let flipped = |bytes: &[u8], place: usize| {
        let mut bytes = bytes.to_vec();
        bytes[place] ^= 1;
        bytes
    };
    let key = Some("correct horse");

    let bytes = std::fs::read(&sealed).unwrap();
    assert!(!bytes.windows(9).any(|window| window == b"Findemich"));
    refused(&bytes, Some("wrong horse"), "passphrase is wrong");
    refused(&bytes, None, "--passphrase-file");
    refused(&bytes[..bytes.len() / 2], key, "damaged or cut off");
    refused(&bytes[..bytes.len() - 1], key, "damaged or cut off");
    refused(&bytes[..20], key, "cut off");
    refused(&flipped(&bytes, bytes.len() / 2), key, "damaged");

    let bytes = std::fs::read(&plain).unwrap();
    let some_key = std::fs::read(bench.path("data/backups/mceliece").join(encode_hex(&digest.0))).unwrap();
    let name = bytes.windows(9).position(|window| window == b"Findemich").unwrap();
    // SQLite itself would not notice: the structure is whole.
    refused(&flipped(&bytes, name), None, "not what they were");
    let key_place = bytes.windows(100).position(|window| window == &some_key[100..200]).unwrap();
    refused(&flipped(&bytes, key_place), None, "not what it was");
    // A pointer from page to page: the pages in the middle of a key begin with one.
    let middle = &some_key[some_key.len() / 2..][..20];
    let place = bytes.windows(20).position(|window| window == middle).unwrap();
    refused(&flipped(&bytes, place / 4096 * 4096), None, "damaged");
    refused(&bytes[..bytes.len() / 2], None, "damaged");
    refused(b"dear diary", None, "not a backup");
    refused(&b"dear diary".repeat(1000), None, "not a backup");
    refused(b"", None, "not a backup");
    let live = std::fs::read(bench.path("data/momedo.db")).unwrap();
    refused(&live, None, "not a backup");
    refused(
        &std::fs::read(bench.path("data/backups").join(format!("{}.db", made.name))).unwrap(),
        None,
        "key",
    );
    let newer = rusqlite::Connection::open(&plain).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    refused(&std::fs::read(&plain).unwrap(), None, "newer momedo");

    // The same file, left alone, is the server.
    let restored = bench.restore(&sealed, key).unwrap();
    assert_eq!(restored.fingerprint, bench.app().fingerprint);
    assert_eq!(restored.made_at, made.made_at);
    bench.app().store.close().await;
}

#[tokio::test]
async fn a_restored_store_has_another_epoch_and_goes_on_with_served_time() {
    let bench = Bench::open(|_| {}).await;
    bench.clock.advance(DAY * 40);
    let store = &bench.app().store;
    store.write(|tx| Ok::<_, ServiceError>(tx.store_served_time()?)).await.unwrap();
    let made = bench.make().await;
    // What is downloaded is what is exported.
    let (app, address) = (bench.app(), [127, 0, 0, 1].into());
    let password = PASSWORD.to_owned().into();
    let who = set_up::with_code(app, &set_up::code(app), password, address).await.unwrap();
    let admin = recently_confirmed(app, who).await;
    let mut download = backup::download(app, &admin, made.name.as_str(), None).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(part) = download.parts.next().await {
        bytes.extend_from_slice(&part.unwrap());
    }
    assert_eq!(bytes.len() as u64, download.bytes);
    let file = bench.path(&download.file_name);
    std::fs::write(&file, bytes).unwrap();
    bench.restore(&file, None).unwrap();
    let again = running::open(&bench.path("restored"), Config::default(), Clock::manual()).await.unwrap();
    assert_ne!(again.app.store.epoch(), store.epoch());
    assert!(again.app.store.tick() >= Tick(0).plus_days(40));
    again.app.store.close().await;
    store.close().await;
}

#[tokio::test]
async fn a_copy_made_before_a_migration_can_be_restored() {
    let bench = Bench::open(|_| {}).await;
    bench.add_key().await;
    let copy = bench.path("before-schema-2.db");
    let database = rusqlite::Connection::open(bench.path("data/momedo.db")).unwrap();
    database.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    let restored = bench.restore(&copy, None).unwrap();
    assert_eq!((restored.fingerprint, restored.made_at), (bench.app().fingerprint, None));
    bench.app().store.close().await;
}

#[tokio::test]
async fn keys_stand_beside_backups_once_and_go_with_the_last_that_has_them() {
    let bench = Bench::open(|config| config.backup.keep = 2).await;
    bench.add_key().await;
    bench.add_key().await;
    let first = bench.make().await;
    let files = bench.key_files();
    assert_eq!(files.len(), 2);
    assert!(first.bytes < 2 * 524_160, "no key is inside: {}", first.bytes);
    let second = bench.make().await;
    assert_eq!(bench.key_files(), files);
    let status = backup::status(bench.app()).await;
    assert_eq!((status.count, status.bytes), (2, first.bytes + second.bytes + 2 * 524_160));

    // A damaged key is found, and the next backup mends it.
    let key = bench.path("data/backups/mceliece").join(files.first().unwrap());
    let mut bytes = std::fs::read(&key).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&key, &bytes).unwrap();
    let name = second.name.as_str();
    assert!(bench.verify(name).await.unwrap_err().to_string().contains("damaged"));
    assert!(!bench.ask(BackupRequest::List).await.unwrap()[1].verified);
    let third = bench.make().await;
    assert!(bench.verify(name).await.unwrap()[0].verified);
    assert!(bench.ask(BackupRequest::List).await.unwrap()[0].verified);
    assert_eq!(bench.names().await, [name, third.name.as_str()]);

    // Nobody uses them any more; they go with the last backup that has them.
    let store = &bench.app().store;
    let end = Tick(i64::MAX as u64);
    let forget = move |tx: &mut momedo::store::WriteTx<'_>| {
        Ok::<_, ServiceError>(tx.delete_unused_mceliece_keys(end, end)?)
    };
    assert_eq!(store.write(forget).await.unwrap(), 2);
    bench.make().await;
    assert_eq!(bench.key_files().len(), 2);
    bench.make().await;
    assert_eq!(bench.key_files().len(), 0);
    store.close().await;
}

#[tokio::test]
async fn one_a_day_is_made_and_as_many_are_kept_as_configured() {
    let bench = Bench::open(|config| config.backup.keep = 3).await;
    let app = bench.app();
    assert!(backup::status(app).await.last_at.is_none());
    for day in 0..5 {
        assert!(backup::keep_up(app).await.unwrap().is_some(), "day {day}");
        assert!(backup::keep_up(app).await.unwrap().is_none(), "day {day}");
        bench.clock.advance(DAY - Duration::from_secs(1));
        assert!(backup::keep_up(app).await.unwrap().is_none(), "day {day}");
        bench.clock.advance(Duration::from_secs(1));
    }
    let names = bench.names().await;
    assert_eq!(names, ["20260923-141320Z", "20260924-141320Z", "20260925-141320Z"]);
    let status = backup::status(app).await;
    assert_eq!((status.count, status.last_at), (3, Some(NOW.plus_days(4))));
    app.store.close().await;
}

#[tokio::test]
async fn with_little_space_only_the_newest_is_kept() {
    let bench = Bench::open(|config| config.backup.min_free_bytes = 1 << 60).await;
    // What a power cut left behind goes at once, what may be an export in progress later.
    std::fs::create_dir(bench.path("data/backups")).unwrap();
    let (begun, export) =
        (bench.path("data/backups/unfinished-backup-1"), bench.path("data/backups/unfinished-2"));
    std::fs::write(&begun, "").unwrap();
    std::fs::write(&export, "").unwrap();
    for _ in 0..3 {
        let made = bench.make().await;
        assert_eq!(bench.names().await, [made.name.as_str()]);
        bench.clock.advance(DAY);
    }
    assert!(!begun.exists() && export.exists());
    bench.app().store.close().await;
}

#[tokio::test]
async fn what_goes_wrong_is_told_until_a_backup_succeeds() {
    let bench = Bench::open(|_| {}).await;
    bench.add_key().await;
    std::fs::create_dir_all(bench.path("data/backups")).unwrap();
    std::fs::write(bench.path("data/backups/mceliece"), "in the way").unwrap();
    bench.ask(BackupRequest::Now).await.unwrap_err();
    assert!(backup::status(bench.app()).await.trouble.is_some());
    std::fs::remove_file(bench.path("data/backups/mceliece")).unwrap();
    let trouble = backup::status(bench.app()).await;
    assert!(trouble.trouble.unwrap().contains("not made"));
    assert_eq!(trouble.trouble_at, Some(NOW));
    // Nothing unfinished stays behind.
    assert_eq!(std::fs::read_dir(bench.path("data/backups")).unwrap().count(), 0);
    bench.make().await;
    assert!(backup::status(bench.app()).await.trouble.is_none());
    bench.app().store.close().await;
}

#[tokio::test]
async fn whatever_table_is_added_later_is_backed_up_too() {
    let bench = Bench::open(|_| {}).await;
    bench.add_key().await;
    bench.app().store.close().await;
    let database = bench.path("data/momedo.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE later (a TEXT NOT NULL, b AS (upper(a)) STORED, c REAL);
             CREATE UNIQUE INDEX later_by_a ON later (a);
             CREATE TABLE \"odd \"\" name\" (id INTEGER PRIMARY KEY AUTOINCREMENT, x BLOB);
             CREATE TABLE pairs (x INTEGER, y TEXT, PRIMARY KEY (y, x)) WITHOUT ROWID;
             CREATE VIEW seen AS SELECT a FROM later;
             CREATE TRIGGER noted AFTER INSERT ON later BEGIN INSERT INTO pairs VALUES (9, new.a); END;
             INSERT INTO later VALUES ('ada', 1.5), ('ben', NULL);
             INSERT INTO \"odd \"\" name\" VALUES (7, x'00ff'), (41, NULL);
             DELETE FROM \"odd \"\" name\" WHERE id = 41;
             ALTER TABLE mceliece_keys ADD COLUMN note TEXT;
             UPDATE mceliece_keys SET note = 'a column added later';",
        )
        .unwrap();
    let (copy, keys) = (bench.path("copy.db"), KeyFiles::beside(&bench.path("beside")));
    std::fs::create_dir(bench.path("beside")).unwrap();
    copies::copy(&database, &copy, &keys, Made { at: NOW, served: 5 }).unwrap();
    let contents = copies::verify(&copy, &keys).unwrap();
    assert_eq!(contents.made, Some(Made { at: NOW, served: 5 }));
    assert_eq!(contents.keys_beside.unwrap().len(), 1);
    copies::complete(&copy, &keys, copies::Blobs::Inside).unwrap();
    assert!(copies::verify(&copy, &keys).unwrap().keys_beside.is_none());

    let copied = rusqlite::Connection::open(&copy).unwrap();
    let dump = |connection: &rusqlite::Connection, sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        let count = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            Ok((0..count).map(|i| format!("{:?}|", row.get_ref(i).unwrap())).collect::<String>())
        };
        statement.query_map([], row).unwrap().map(Result::unwrap).collect()
    };
    let schema = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT GLOB 'backup_*'
                  AND tbl_name NOT GLOB 'backup_*' ORDER BY type, name";
    assert_eq!(dump(&copied, schema), dump(&connection, schema));
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'backup_stamp'";
    let mut statement = connection.prepare(tables).unwrap();
    let tables: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(tables.len() > 15, "{tables:?}");
    for table in tables {
        let sql = format!("SELECT * FROM \"{}\"", table.replace('"', "\"\""));
        assert_eq!(dump(&copied, &sql), dump(&connection, &sql), "{table}");
    }
}
