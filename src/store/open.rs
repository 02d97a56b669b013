//! Connection roles and their pragmas, in order, each with its reason.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{StoreError, StoreOptions, folding, migrations};

/// Marks the file as momedo's: "MMDO".
pub(super) const APPLICATION_ID: i64 = 0x4d4d_444f;

/// What is deleted is overwritten where that costs no further write, so that no acknowledged envelope can be
/// read from the file.
pub(super) const SECURE_DELETE: &str = "FAST";

/// Prepared statements kept per connection; there are fewer than this many in all.
const STATEMENTS: usize = 112;

/// Opens the one writing connection, creating and migrating the database where needed.
pub(super) fn writer(path: &Path, options: &StoreOptions) -> Result<Connection, StoreError> {
    let is_new = !path.exists() || std::fs::metadata(path).is_ok_and(|file| file.len() == 0);
    create_private(path)?;
    // Only the writer thread uses it, so it needs no lock of its own.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    if is_new {
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    } else if pragma(&connection, "application_id")? != APPLICATION_ID {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    migrations::refuse_newer(&connection, path)?;
    // Before the first write: readers go on while the writer works.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Every commit syncs the log: "accepted" means on disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // macOS's fsync leaves data in the drive's cache.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // 16 MiB of log before it is copied into the file: pages that change often are then copied once.
    connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
    connection.pragma_update(None, "journal_size_limit", 32 * 1024 * 1024)?;
    // Kibibytes, hence negative.
    connection.pragma_update(None, "cache_size", -8192)?;
    connection.pragma_update(None, "secure_delete", SECURE_DELETE)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    folding::register(&connection)?;
    migrations::run(&mut connection, path, is_new)?;
    folding::refresh(&mut connection)?;
    if let Some(bytes) = options.max_database_bytes {
        let page = pragma(&connection, "page_size")?.max(1);
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page;
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    Ok(connection)
}

/// Creates the file readable by its owner alone; SQLite gives its companions the same permissions.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed = |error| StoreError::Sqlite(format!("cannot write {}: {error}", path.display()));
    options.open(path).map(drop).map_err(failed)
}

/// Opens a connection that cannot write.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -1024)?;
    folding::register(&connection)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Looks at a database that no server has open, as a start would, and changes nothing; `None` where there is none yet.
/// Reads all of it, so it takes a while for a large one. Returns its schema version.
///
/// # Errors
/// [`StoreError::Foreign`], [`StoreError::Newer`], [`StoreError::Corrupt`], or what SQLite says.
pub fn examine(path: &Path) -> Result<Option<u32>, StoreError> {
    if std::fs::metadata(path).map_or(true, |file| file.len() == 0) {
        return Ok(None);
    }
    let connection = reader(path)?;
    if pragma(&connection, "application_id")? != APPLICATION_ID {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    migrations::refuse_newer(&connection, path)?;
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if said != "ok" {
        return Err(StoreError::Corrupt);
    }
    Ok(Some(migrations::version(&connection)?))
}

/// Reads an integer pragma.
pub(super) fn pragma(connection: &Connection, name: &str) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
}
