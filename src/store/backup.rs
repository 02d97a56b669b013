//! Copies of the database: written beside the running writer, verified, completed, made ready for restoring.
//!
//! A backup holds every table as it stood in one snapshot, except that the bytes of McEliece keys stand in
//! [`KeyFiles`]; it carries an application ID of its own, so that no server starts on one by mistake.
//! [`complete`] puts the keys back in place. Nothing here names a table that it copies: whatever
//! `sqlite_schema` lists is copied, so a table added later is never forgotten.
//!
//! SQLite notices damaged structure and not damaged content, so every copy carries a digest of all rows,
//! taken from the original; McEliece keys are known by theirs anyway.
//!
//! Every function blocks, for as long as reading or writing the whole database takes.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use momedo_protocol::cursor::StoreEpoch;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::time::UnixMillis;
use momedo_texts::{Language, Refusal};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use strum::{EnumIter, IntoStaticStr};
use zeroize::Zeroizing;

pub(crate) use super::blob_copies::link_or_copy;
use super::blob_copies::list;
use super::blob_files::BlobFile;
use super::content::{KEY_ROWS, KEYS, STAMP, columns, content, has_table, quoted, tables};
use super::key_files::KEY_BYTES;
pub use super::key_files::KeyFiles;
use super::open::{APPLICATION_ID, pragma};
use super::{SCHEMA_VERSION, StoreError, settings};
use crate::domain::backup::Made;
use crate::surroundings::data_directory::{self, create_private_file};

/// Marks a file as a backup whose keys stand beside it: "MMDB".
const BACKUP_ID: i64 = 0x4d4d_4442;

/// What a restored server does not go on with, where the table exists: sessions and open invites end, and
/// invite links name the new machine.
const ENDED: &[(&str, &str)] = &[
    // The rest of an upload would go to a file that is not in the backup.
    ("blobs", "DELETE FROM blobs WHERE durable < size"),
    ("reservations", "DELETE FROM reservations"),
    ("pairing_codes", "DELETE FROM pairing_codes WHERE used_by IS NULL"),
    ("invites", "DELETE FROM invites WHERE spent_by IS NULL"),
    ("settings", "DELETE FROM settings WHERE name IN ('link-address', 'backup-trouble')"),
];

/// Why a copy cannot be made or used. Each kind is a row: what is said of it stands under its word in
/// `web-admin/messages/`.
#[derive(Debug, Clone, Default, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum CopyError {
    /// The file is something else.
    #[default]
    NotABackup,
    /// The file is the database of a server, whose newest part stands in another file.
    #[strum(serialize = "live-database")]
    Live,
    /// A newer program made it.
    #[strum(serialize = "newer-backup")]
    Newer {
        /// Its schema version.
        found: u32,
        /// The newest this program knows.
        known: u32,
    },
    /// Some of it is not what was written.
    #[strum(serialize = "damaged-backup")]
    Damaged(String),
    /// No room on the disk.
    #[strum(serialize = "disk-full")]
    Full,
    /// Anything else that SQLite or the operating system says.
    #[strum(serialize = "copying-failed")]
    Failed(String),
}

impl Refusal for CopyError {
    fn word(&self) -> &'static str {
        self.into()
    }

    fn values(&self, _: Language) -> Vec<(&'static str, String)> {
        match self {
            Self::Newer { found, known } => vec![("found", found.to_string()), ("known", known.to_string())],
            Self::Damaged(reason) | Self::Failed(reason) => vec![("reason", reason.clone())],
            Self::NotABackup | Self::Live | Self::Full => Vec::new(),
        }
    }
}

crate::texts::shown_in_english!(CopyError);

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) {
            return Self::NotABackup;
        }
        StoreError::from(error).into()
    }
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            StoreError::Corrupt => Self::Damaged("SQLite cannot read it".into()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<std::io::Error> for CopyError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// What a copy says of itself.
#[derive(Debug, Clone)]
pub struct Contents {
    /// The version of its schema.
    pub schema: u32,
    /// When it was made; unknown for the copies made before a migration.
    pub made: Option<Made>,
    /// Digests of the McEliece keys that stand beside it; `None` when its keys are in it.
    pub keys_beside: Option<HashSet<Sha512Digest>>,
    /// Its attachments, beside it or inside.
    pub blobs: HashSet<BlobFile>,
    /// Bytes of those that stand beside it.
    blob_bytes_beside: u64,
}

impl Contents {
    /// Bytes of the keys and attachments that stand beside it.
    pub fn bytes_beside(&self) -> u64 {
        let keys = self.keys_beside.as_ref().map_or(0, |keys| keys.len() as u64 * KEY_BYTES);
        keys + self.blob_bytes_beside
    }
}

/// About how many bytes a copy of `database` will take, with the keys that are not among `keys` yet.
///
/// # Errors
/// As [`CopyError`] says.
pub fn needed_bytes(database: &Path, keys: &KeyFiles) -> Result<u64, CopyError> {
    let connection = super::open::reader(database)?;
    let page = |name| Ok::<_, CopyError>(u64::try_from(pragma(&connection, name)?).unwrap_or(0));
    let used = page("page_count")?.saturating_sub(page("freelist_count")?) * page("page_size")?;
    let mut statement = connection.prepare("SELECT digest FROM mceliece_keys")?;
    let digests = statement.query_map([], |row| super::column::digest(row, 0))?;
    let (mut inside, mut missing) = (0, 0);
    for digest in digests {
        inside += KEY_BYTES;
        missing += if keys.has(&digest?) { 0 } else { KEY_BYTES };
    }
    Ok(used.saturating_sub(inside) + missing)
}

/// Writes a backup of `database`, which a server may be writing to, into the new file `target`, and new
/// keys and attachments beside it. Nobody may remove the files of attachments meanwhile. What is on disk when this returns has no name to go by yet and was not verified.
///
/// # Errors
/// As [`CopyError`] says; `target` is of no use then.
pub fn copy(database: &Path, target: &Path, keys: &KeyFiles, made: Made) -> Result<(), CopyError> {
    create_private_file(target)?;
    let connection = unjournaled(target)?;
    let path =
        database.to_str().ok_or_else(|| CopyError::Failed("the folder's name is not Unicode".into()))?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute("ATTACH ?1 AS source", [path])?;
    connection.pragma_update(Some("source"), "cache_size", -2048)?;
    let page_size: i64 = connection.pragma_query_value(Some("source"), "page_size", |row| row.get(0))?;
    connection.pragma_update(Some("main"), "page_size", page_size)?;
    // Every read in it sees the same snapshot; the writer goes on meanwhile.
    connection.execute_batch("BEGIN")?;
    let version: i64 = connection.pragma_query_value(Some("source"), "user_version", |row| row.get(0))?;
    connection.pragma_update(Some("main"), "user_version", version)?;
    connection.pragma_update(Some("main"), "application_id", BACKUP_ID)?;
    copy_tables(&connection)?;
    copy_keys(&connection, keys)?;
    if has_source_table(&connection, "blobs")? {
        let directory = database.parent().unwrap_or(Path::new("."));
        keys.blobs().take(&connection, &data_directory::blobs(directory))?;
    }
    let content = content(&connection, "source")?;
    connection.execute_batch(&format!(
        "CREATE TABLE main.{STAMP} (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID"
    ))?;
    let numbers = [made.at.0.to_be_bytes(), made.served.to_be_bytes()];
    for (name, value) in [("made-at", &numbers[0][..]), ("served", &numbers[1]), ("content", &content)] {
        connection.execute(&format!("INSERT INTO main.{STAMP} VALUES (?1, ?2)"), (name, value))?;
    }
    connection.execute_batch("COMMIT")?;
    close(connection)?;
    keys.sync()?;
    Ok(File::open(target)?.sync_all()?)
}

/// What the copy in `path` says of itself; only its own words, as reading everything takes a while.
///
/// # Errors
/// As [`CopyError`] says.
pub fn describe(path: &Path) -> Result<Contents, CopyError> {
    describe_open(&untrusted(path)?)
}

/// Reads all of the copy in `path`, and of its keys among `keys` where they are not in it, and compares it
/// with what it was when it was made.
///
/// # Errors
/// As [`CopyError`] says.
pub fn verify(path: &Path, keys: &KeyFiles) -> Result<Contents, CopyError> {
    let connection = untrusted(path)?;
    let contents = describe_open(&connection)?;
    let damaged = |what: String| Err(CopyError::Damaged(what));
    let said: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
    if said != "ok" {
        let first = said.lines().find(|line| !line.starts_with("***")).unwrap_or_default();
        return damaged(format!("its structure is broken ({first})"));
    }
    // Rows that refer to a key find it beside the backup.
    let parents = "SELECT count(*) FROM pragma_foreign_key_check WHERE parent <> ?1 OR ?2";
    let whole = contents.keys_beside.is_none();
    let dangling: u64 = connection.query_row(parents, (KEYS.0, whole), |row| row.get(0))?;
    if dangling > 0 {
        return damaged(format!("{dangling} rows refer to rows that are missing"));
    }
    match &contents.keys_beside {
        Some(digests) => {
            for digest in digests {
                if keys.get(digest)?.is_none() {
                    return damaged(format!("the key {digest} beside it is missing or damaged"));
                }
            }
        }
        None => {
            let mut statement = connection.prepare("SELECT digest, key FROM mceliece_keys")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let digest = super::column::digest(row, 0)?;
                if Sha512Digest::of(row.get_ref(1)?.as_blob().unwrap_or_default()) != digest {
                    return damaged(format!("the key {digest} is not what it was"));
                }
            }
        }
    }
    keys.blobs().verify(&connection)?;
    if contents.made.is_some()
        && stamp(&connection, "content")?.as_deref() != Some(&content(&connection, "main")?)
    {
        return damaged("its rows are not what they were when it was made".into());
    }
    Ok(contents)
}

/// Where the attachments of a completed copy are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blobs {
    /// In the file, which is then all there is.
    Inside,
    /// Where they are; [`unpack_blobs`] gets them.
    WhereTheyAre,
}

/// Writes the attachments of the copy in `path` into the data directory of a server.
///
/// # Errors
/// As [`CopyError`] says.
pub fn unpack_blobs(path: &Path, keys: &KeyFiles, directory: &Path) -> Result<(), CopyError> {
    keys.blobs().unpack(&untrusted(path)?, &data_directory::blobs(directory))
}

/// Puts the keys back in place, so that the file is a complete database.
///
/// # Errors
/// As [`CopyError`] says; the file is of no use then.
pub fn complete(path: &Path, keys: &KeyFiles, blobs: Blobs) -> Result<(), CopyError> {
    let connection = unjournaled(path)?;
    if pragma(&connection, "application_id")? == APPLICATION_ID {
        return Ok(());
    }
    let names = columns(&connection, "main", KEY_ROWS)?.join(", ");
    connection.execute_batch("BEGIN")?;
    for (row, digest) in key_rows(&connection, "main", KEY_ROWS)? {
        let key = keys.get(&digest)?.ok_or_else(|| {
            CopyError::Damaged(format!("the key {digest} beside the backup is missing or damaged"))
        })?;
        let sql = format!(
            "INSERT INTO {} ({names}, {}) SELECT {names}, ?2 FROM {KEY_ROWS} WHERE rowid = ?1",
            KEYS.0, KEYS.1
        );
        connection.prepare_cached(&sql)?.execute((row, key))?;
    }
    if blobs == Blobs::Inside {
        keys.blobs().put_inside(&connection)?;
    }
    connection.execute_batch(&format!("DROP TABLE {KEY_ROWS}"))?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.execute_batch("COMMIT")?;
    close(connection)?;
    Ok(File::open(path)?.sync_all()?)
}

/// Makes a complete copy the database of a restored server: another life of the store, in which nothing
/// goes on that ended since. Served time goes on.
///
/// # Errors
/// As [`CopyError`] says; the file is of no use then.
pub fn begin_new_life(path: &Path) -> Result<(), CopyError> {
    let connection = unjournaled(path)?;
    connection.execute_batch("BEGIN")?;
    for (table, sql) in ENDED {
        if has_table(&connection, table)? {
            connection.execute_batch(sql)?;
        }
    }
    settings::set_epoch(&connection, StoreEpoch::random())?;
    settings::note_restored(&connection)?;
    let with_parts = has_table(&connection, "backup_blob_parts")?;
    connection.execute_batch(&format!(
        "DROP TABLE IF EXISTS {STAMP}; DROP TABLE IF EXISTS backup_blobs;
         DROP TABLE IF EXISTS backup_blob_parts; COMMIT"
    ))?;
    if with_parts {
        // The room of the attachments, which stand in files again.
        connection.execute_batch("VACUUM")?;
    }
    close(connection)?;
    Ok(File::open(path)?.sync_all()?)
}

/// A named value of the server's own in the copy in `path`.
///
/// # Errors
/// As [`CopyError`] says.
pub fn setting(path: &Path, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, CopyError> {
    let sql = "SELECT value FROM settings WHERE name = ?1";
    let found = untrusted(path)?.query_row(sql, [name], |row| row.get(0)).optional()?;
    Ok(found.map(Zeroizing::new))
}

/// Brings what stands in the log of a database that nobody uses into its file, and ends the log.
///
/// # Errors
/// As [`CopyError`] says, for a damaged database; it is as it was.
pub fn finish_log(database: &Path) -> Result<(), CopyError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    close(connection)
}

fn has_source_table(connection: &Connection, name: &str) -> Result<bool, CopyError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM source.sqlite_schema WHERE type = 'table' AND name = ?1)";
    Ok(connection.query_row(sql, [name], |row| row.get(0))?)
}

/// Copies every table with its rows, then what hangs on tables.
fn copy_tables(connection: &Connection) -> Result<(), CopyError> {
    let tables = tables(connection, "source")?;
    for (name, sql) in &tables {
        if name == "sqlite_sequence" {
            continue;
        }
        if sql.get(..14).is_some_and(|begin| begin.eq_ignore_ascii_case("CREATE VIRTUAL")) {
            return Err(CopyError::Failed(format!("the virtual table {name} cannot be backed up")));
        }
        // The statement names no database, so it makes the table in the file that was opened.
        connection.execute_batch(sql)?;
        if name == KEYS.0 {
            let names = columns(connection, "source", name)?.join(", ");
            connection.execute_batch(&format!(
                "CREATE TABLE main.{KEY_ROWS} AS SELECT {names} FROM source.{name} ORDER BY rowid"
            ))?;
            continue;
        }
        let (table, names) = (quoted(name), columns(connection, "source", name)?.join(", "));
        connection.execute_batch(&format!(
            "INSERT INTO main.{table} ({names}) SELECT {names} FROM source.{table}"
        ))?;
    }
    if tables.iter().any(|(name, _)| name == "sqlite_sequence") {
        connection.execute_batch(
            "DELETE FROM main.sqlite_sequence;
             INSERT INTO main.sqlite_sequence SELECT * FROM source.sqlite_sequence",
        )?;
    }
    // Triggers last: rows that are copied must not set them off.
    let rest = "SELECT sql FROM source.sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL
                ORDER BY type = 'trigger', rowid";
    let mut statement = connection.prepare(rest)?;
    let rest = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    for sql in rest {
        connection.execute_batch(&sql)?;
    }
    Ok(())
}

/// Makes sure that every key stands beside the backup; a damaged file is written anew.
fn copy_keys(connection: &Connection, keys: &KeyFiles) -> Result<(), CopyError> {
    for (row, digest) in key_rows(connection, "source", KEYS.0)? {
        if keys.get(&digest)?.is_none() {
            let mut statement =
                connection.prepare_cached("SELECT key FROM source.mceliece_keys WHERE rowid = ?1")?;
            let key: Vec<u8> = statement.query_row([row], |row| row.get(0))?;
            keys.put(&digest, &key)?;
        }
    }
    Ok(())
}

/// Row numbers and digests of the keys, in order.
fn key_rows(
    connection: &Connection,
    schema: &str,
    table: &str,
) -> Result<Vec<(i64, Sha512Digest)>, CopyError> {
    let mut statement =
        connection.prepare(&format!("SELECT rowid, digest FROM {schema}.{table} ORDER BY rowid"))?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, super::column::digest(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn describe_open(connection: &Connection) -> Result<Contents, CopyError> {
    let id = pragma(connection, "application_id")?;
    if id != BACKUP_ID && id != APPLICATION_ID {
        return Err(CopyError::NotABackup);
    }
    let schema = u32::try_from(pragma(connection, "user_version")?).unwrap_or(u32::MAX);
    if schema > SCHEMA_VERSION {
        return Err(CopyError::Newer { found: schema, known: SCHEMA_VERSION });
    }
    let number = |bytes: Vec<u8>| <[u8; 8]>::try_from(bytes).ok().map(u64::from_be_bytes);
    let mut made = None;
    if has_table(connection, STAMP)? {
        let at = stamp(connection, "made-at")?.and_then(number);
        let served = stamp(connection, "served")?.and_then(number);
        made = at.zip(served).map(|(at, served)| Made { at: UnixMillis(at), served });
    }
    let listed = list(connection)?;
    let blobs = listed.iter().map(|blob| blob.file).collect();
    let beside = !has_table(connection, "backup_blob_parts")?;
    let blob_bytes_beside = if beside { listed.iter().map(|blob| blob.size).sum() } else { 0 };
    if id == APPLICATION_ID {
        return Ok(Contents { schema, made, keys_beside: None, blobs, blob_bytes_beside });
    }
    if made.is_none() {
        return Err(CopyError::Damaged("it does not say when it was made".into()));
    }
    let digests = key_rows(connection, "main", KEY_ROWS)?.into_iter().map(|(_, digest)| digest).collect();
    Ok(Contents { schema, made, keys_beside: Some(digests), blobs, blob_bytes_beside })
}

fn stamp(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, CopyError> {
    let sql = format!("SELECT value FROM {STAMP} WHERE name = ?1");
    Ok(connection.query_row(&sql, [name], |row| row.get(0)).optional()?)
}

/// Opens a file that may be damaged or hostile, for reading alone.
fn untrusted(path: &Path) -> Result<Connection, CopyError> {
    let mut header = Vec::with_capacity(20);
    File::open(path)?.take(20).read_to_end(&mut header)?;
    if header.len() < 20 || !header.starts_with(b"SQLite format 3\0") {
        return Err(CopyError::NotABackup);
    }
    // The file of a database with a log does not hold its newest part.
    if header[18..] != [1, 1] {
        return Err(CopyError::Live);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    harden(&connection)?;
    Ok(connection)
}

/// Opens a copy of our own for writing. Without a journal: a copy that is not finished is thrown away.
fn unjournaled(path: &Path) -> Result<Connection, CopyError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    harden(&connection)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -2048)?;
    // Checked as a whole when everything is in place.
    connection.pragma_update(None, "foreign_keys", false)?;
    Ok(connection)
}

fn harden(connection: &Connection) -> Result<(), CopyError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

fn close(connection: Connection) -> Result<(), CopyError> {
    connection.close().map_err(|(_, error)| error.into())
}
