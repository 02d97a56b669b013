//! Schema versions: numbered, forward-only, each in one transaction with its `user_version`.
//!
//! Append a file, never edit one that shipped: databases in schools already ran it.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;
use super::open::pragma;

/// Every step, oldest first; step `n` leads to `user_version` `n`.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_people.sql"),
    include_str!("migrations/0003_groups.sql"),
    include_str!("migrations/0004_class_origin.sql"),
    include_str!("migrations/0005_person.sql"),
    include_str!("migrations/0006_blobs.sql"),
    include_str!("migrations/0007_smoke.sql"),
    include_str!("migrations/0008_neighbours.sql"),
    include_str!("migrations/0009_nearby.sql"),
    include_str!("migrations/0010_key_log.sql"),
    include_str!("migrations/0011_second_homes.sql"),
    include_str!("migrations/0012_key_backup_ends.sql"),
    include_str!("migrations/0013_neighbour_shares.sql"),
    include_str!("migrations/0014_grave_acts.sql"),
    include_str!("migrations/0015_blob_totals.sql"),
    include_str!("migrations/0016_conversations.sql"),
    include_str!("migrations/0017_shares.sql"),
    include_str!("migrations/0018_restored.sql"),
    include_str!("migrations/0019_erasures.sql"),
    include_str!("migrations/0020_folded_names.sql"),
    include_str!("migrations/0021_homes_of_told.sql"),
    include_str!("migrations/0022_one_word_each.sql"),
    include_str!("migrations/0023_class_lists.sql"),
    include_str!("migrations/0024_report_notes.sql"),
];

/// The schema this program writes.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Refuses a database made by a newer program, before anything is written to it.
pub(super) fn refuse_newer(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found = version(connection)?;
    if found > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    Ok(())
}

/// Brings the database up to date, after copying an existing one into `backups/`.
pub(super) fn run(connection: &mut Connection, path: &Path, is_new: bool) -> Result<(), StoreError> {
    apply(connection, path, is_new, MIGRATIONS)
}

fn apply(
    connection: &mut Connection,
    path: &Path,
    is_new: bool,
    migrations: &[&str],
) -> Result<(), StoreError> {
    let from = version(connection)?;
    if !is_new && (from as usize) < migrations.len() {
        copy_before(connection, path, from)?;
    }
    for (number, step) in (1u32..).zip(migrations).skip(from as usize) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

pub(super) fn version(connection: &Connection) -> Result<u32, StoreError> {
    Ok(u32::try_from(pragma(connection, "user_version")?).unwrap_or(u32::MAX))
}

/// Writes a consistent copy named after the version it still has.
fn copy_before(connection: &Connection, path: &Path, from: u32) -> Result<(), StoreError> {
    let folder = path.with_file_name("backups");
    let copy = folder.join(format!("before-schema-{}.db", from + 1));
    let failed = |error: std::io::Error| {
        StoreError::Sqlite(format!("cannot write the backup copy {}: {error}", copy.display()))
    };
    std::fs::create_dir_all(&folder).map_err(failed)?;
    if copy.exists() {
        std::fs::remove_file(&copy).map_err(failed)?;
    }
    connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    Ok(())
}

#[cfg(test)]
mod filled;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every table, and every column as `table.column`, with a word about it, as the page tells them.
    fn described() -> BTreeSet<String> {
        let (mut all, mut table) = (BTreeSet::new(), "");
        let page = include_str!("../../docs/schema.md");
        for line in page.lines() {
            let name = if let Some(heading) = line.strip_prefix("### `") {
                table = heading.trim_end_matches('`');
                table.to_owned()
            } else if let Some((column, what)) =
                line.strip_prefix("| `").and_then(|row| row.split_once("` | "))
            {
                assert!(what.len() > " |".len(), "{table}.{column} is not explained");
                format!("{table}.{column}")
            } else {
                continue;
            };
            assert!(all.insert(name), "{line} stands twice");
        }
        all
    }

    #[test]
    fn the_page_about_the_schema_tells_every_table_and_column_and_no_other() {
        let connection = Connection::open_in_memory().unwrap();
        MIGRATIONS.iter().for_each(|step| connection.execute_batch(step).unwrap());
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' UNION ALL
                   SELECT t.name || '.' || c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
                   WHERE t.type = 'table'";
        let mut statement = connection.prepare(sql).unwrap();
        let found = statement.query_map([], |row| row.get(0)).unwrap();
        let found: BTreeSet<String> = found.map(Result::unwrap).collect();
        let described = described();
        let missing: Vec<_> = found.difference(&described).collect();
        let gone: Vec<_> = described.difference(&found).collect();
        assert!(missing.is_empty() && gone.is_empty(), "docs/schema.md: missing {missing:?}, gone {gone:?}");
    }

    #[test]
    fn an_older_database_is_copied_before_it_is_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("momedo.db");
        let mut connection = Connection::open(&path).unwrap();
        apply(&mut connection, &path, true, &["CREATE TABLE one (a INTEGER)"]).unwrap();
        assert!(!folder.path().join("backups").exists());
        let steps = ["CREATE TABLE one (a INTEGER)", "CREATE TABLE two (b INTEGER)"];
        apply(&mut connection, &path, false, &steps).unwrap();
        assert_eq!(version(&connection).unwrap(), 2);
        connection.execute("INSERT INTO two VALUES (1)", []).unwrap();
        let copy = Connection::open(folder.path().join("backups/before-schema-2.db")).unwrap();
        assert_eq!(version(&copy).unwrap(), 1);
        assert!(copy.execute("INSERT INTO two VALUES (1)", []).is_err());
    }

    #[test]
    fn a_failing_step_leaves_the_database_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("momedo.db");
        let mut connection = Connection::open(&path).unwrap();
        let steps = ["CREATE TABLE one (a INTEGER)", "CREATE TABLE two (b INTEGER); NONSENSE"];
        assert!(apply(&mut connection, &path, true, &steps).is_err());
        assert_eq!(version(&connection).unwrap(), 1);
        assert!(connection.execute("INSERT INTO two VALUES (1)", []).is_err());
    }
}
