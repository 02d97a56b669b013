//! Walks through everything a database holds: what is copied into a backup, and the digest over it.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha512};

use super::backup::CopyError;

/// The table whose keys stand beside a backup, and the column with their bytes.
pub(super) const KEYS: (&str, &str) = ("mceliece_keys", "key");

/// In a backup: the rows of that table without the bytes.
pub(super) const KEY_ROWS: &str = "backup_mceliece_keys";

/// In a copy: when it was made, and the digest of its rows.
pub(super) const STAMP: &str = "backup_stamp";

/// SHA-512 over schema and rows of everything but the bytes of keys: the same for a database, its backup
/// and the backup completed.
pub(super) fn content(connection: &Connection, schema: &str) -> Result<[u8; 64], CopyError> {
    let mut hash = Sha512::new();
    let sql = format!(
        "SELECT type, name, sql FROM {schema}.sqlite_schema
         WHERE sql IS NOT NULL AND tbl_name NOT IN (?1, ?2) AND tbl_name NOT GLOB 'sqlite_stat*'
         AND tbl_name NOT GLOB 'backup_blob*'
         ORDER BY type, name"
    );
    hash_rows(&mut hash, &mut connection.prepare(&sql)?, (KEY_ROWS, STAMP))?;
    for (name, _) in tables(connection, schema)? {
        let beside = name == KEYS.0 && schema == "main" && has_table(connection, KEY_ROWS)?;
        let table = if beside { KEY_ROWS } else { name.as_str() };
        let names = columns(connection, schema, table)?.join(", ");
        let order = order(connection, schema, table)?;
        hash.update(name.as_bytes());
        let sql = format!("SELECT {names} FROM {schema}.{} ORDER BY {order}", quoted(table));
        hash_rows(&mut hash, &mut connection.prepare(&sql)?, [])?;
    }
    Ok(hash.finalize().into())
}

fn hash_rows(
    hash: &mut Sha512,
    statement: &mut rusqlite::Statement<'_>,
    parameters: impl rusqlite::Params,
) -> Result<(), CopyError> {
    let count = statement.column_count();
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        for index in 0..count {
            // Kind and length go before the bytes, so that no two rows look the same to the hash.
            let number;
            let (kind, bytes): (u8, &[u8]) = match row.get_ref(index)? {
                ValueRef::Null => (0, &[]),
                ValueRef::Integer(value) => {
                    number = value.to_be_bytes();
                    (1, &number)
                }
                ValueRef::Real(value) => {
                    number = value.to_be_bytes();
                    (2, &number)
                }
                ValueRef::Text(bytes) => (3, bytes),
                ValueRef::Blob(bytes) => (4, bytes),
            };
            hash.update([kind]);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
    }
    hash.update([5]);
    Ok(())
}

/// Names and statements of all tables by name, without those that are a backup's own and those that
/// `ANALYZE` makes.
pub(super) fn tables(connection: &Connection, schema: &str) -> Result<Vec<(String, String)>, CopyError> {
    let sql = format!(
        "SELECT name, sql FROM {schema}.sqlite_schema
         WHERE type = 'table' AND name NOT IN (?1, ?2) AND name NOT GLOB 'sqlite_stat*'
         AND name NOT GLOB 'backup_blob*' ORDER BY name"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([KEY_ROWS, STAMP], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The stored columns of a table, quoted, without the bytes of keys.
pub(super) fn columns(connection: &Connection, schema: &str, table: &str) -> Result<Vec<String>, CopyError> {
    let sql = "SELECT name FROM pragma_table_xinfo(?1, ?2) WHERE hidden = 0 ORDER BY cid";
    let mut statement = connection.prepare_cached(sql)?;
    let names =
        statement.query_map([table, schema], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    let stored = names.iter().filter(|name| (table, name.as_str()) != KEYS);
    Ok(stored.map(|name| quoted(name)).collect())
}

/// The order in which a table is stored.
fn order(connection: &Connection, schema: &str, table: &str) -> Result<String, CopyError> {
    let sql = "SELECT wr FROM pragma_table_list WHERE schema = ?1 AND name = ?2";
    if !connection.prepare_cached(sql)?.query_row([schema, table], |row| row.get::<_, bool>(0))? {
        return Ok("rowid".into());
    }
    let sql = "SELECT name FROM pragma_table_xinfo(?1, ?2) WHERE pk > 0 ORDER BY pk";
    let mut statement = connection.prepare_cached(sql)?;
    let names =
        statement.query_map([table, schema], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "))
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn has_table(connection: &Connection, name: &str) -> Result<bool, CopyError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1)";
    Ok(connection.query_row(sql, [name], |row| row.get(0))?)
}
