//! Rows in SQLite: one file, `profile.db`, in a private folder. The only module that knows SQL here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OptionalExtension, ToSql, params_from_iter};

use super::{
    By, Cell, Column, Direction, Durability, Filter, Keep, KeepError, Result, Row, Scan, Table, Visit,
};

/// Statements that stay prepared; every place that reads or writes rows has one or two.
const STATEMENTS: usize = 128;

/// Rows in an SQLite file.
pub struct Sqlite {
    folder: PathBuf,
    pub(super) database: Connection,
}

impl Sqlite {
    /// Whether there is such a file in `folder`, finished or not.
    pub fn exists(folder: &Path) -> bool {
        folder.join("profile.db").exists()
    }

    /// Opens the file in `folder`, and makes both if need be; the folder becomes private then.
    ///
    /// # Errors
    /// [`KeepError::Failed`].
    pub fn create(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(KeepError::failed)?;
        make_private(folder).map_err(KeepError::failed)?;
        Self::open(folder)
    }

    /// Opens the file in `folder`.
    ///
    /// # Errors
    /// [`KeepError::Failed`].
    pub fn open(folder: &Path) -> Result<Self> {
        let database = Connection::open(folder.join("profile.db"))?;
        // Two commands on one profile wait for each other.
        database.busy_timeout(std::time::Duration::from_secs(10))?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "FULL")?;
        database.pragma_update(None, "secure_delete", true)?;
        database.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self { folder: folder.to_owned(), database })
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        Ok(self.database.prepare_cached(sql)?)
    }

    /// Changes rows; how many.
    fn change<'a>(&self, sql: &str, cells: impl IntoIterator<Item = &'a Cell>) -> Result<usize> {
        Ok(self.prepare(sql)?.execute(params_from_iter(cells))?)
    }
}

impl Keep for Sqlite {
    fn make(&self) -> Result<()> {
        if self.is_made()? { self.upgrade() } else { self.migrate_from(0) }
    }

    fn upgrade(&self) -> Result<()> {
        self.migrate_from(self.schema_version()?.ok_or(KeepError::Version)?)
    }

    fn is_made(&self) -> Result<bool> {
        Ok(self.user_version()? != 0)
    }

    fn begin(&self) -> Result<()> {
        Ok(self.database.execute_batch("BEGIN IMMEDIATE")?)
    }

    fn commit(&self) -> Result<()> {
        Ok(self.database.execute_batch("COMMIT")?)
    }

    fn rollback(&self) -> Result<()> {
        Ok(self.database.execute_batch("ROLLBACK")?)
    }

    fn is_in_transaction(&self) -> bool {
        !self.database.is_autocommit()
    }

    fn set_durability(&self, durability: Durability) -> Result<()> {
        // In WAL mode the log is one file: making its last commit durable makes all before it so.
        let level = match durability {
            Durability::AtOnce => "FULL",
            Durability::Together => "NORMAL",
        };
        Ok(self.database.pragma_update(None, "synchronous", level)?)
    }

    fn row(&self, table: &'static Table, key: &[Cell], columns: &[Column]) -> Result<Option<Row>> {
        let sql = format!("SELECT {} FROM {} WHERE {}", wanted(table, columns), table.name, key_is(table, 1));
        let mut statement = self.prepare(&sql)?;
        let mut found = Row::default();
        let read = |row: &rusqlite::Row<'_>| Ok(read(row, columns.len(), &mut found));
        let is_found = statement.query_row(params_from_iter(key), read).optional()?.transpose()?.is_some();
        Ok(is_found.then_some(found))
    }

    fn insert(&self, table: &'static Table, row: Vec<Cell>) -> Result<bool> {
        Ok(self.change(&format!("{} ON CONFLICT DO NOTHING", insertion(table)), &row)? == 1)
    }

    fn put(&self, table: &'static Table, row: Vec<Cell>) -> Result<()> {
        let (key, values) = table.columns.split_at(table.key.into());
        let values: Vec<_> = values.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        let otherwise = match values.is_empty() {
            true => "DO NOTHING".to_owned(),
            false => format!("({}) DO UPDATE SET {}", key.join(", "), values.join(", ")),
        };
        self.change(&format!("{} ON CONFLICT {otherwise}", insertion(table)), &row).map(drop)
    }

    fn set(&self, table: &'static Table, key: &[Cell], cells: Vec<(Column, Cell)>) -> Result<bool> {
        let names: Vec<_> = (1..)
            .zip(&cells)
            .map(|(number, (column, _))| format!("{} = ?{number}", table.column_name(*column)))
            .collect();
        let is_key = key_is(table, cells.len() + 1);
        let sql = format!("UPDATE {} SET {} WHERE {is_key}", table.name, names.join(", "));
        Ok(self.change(&sql, cells.iter().map(|(_, cell)| cell).chain(key))? > 0)
    }

    fn remove(&self, table: &'static Table, key: &[Cell]) -> Result<bool> {
        Ok(self.change(&format!("DELETE FROM {} WHERE {}", table.name, key_is(table, 1)), key)? > 0)
    }

    fn scan(
        &self,
        table: &'static Table,
        scan: Scan<'_>,
        columns: &[Column],
        visit: Visit<'_>,
    ) -> Result<()> {
        let mut statement = self.prepare(&selection(table, &scan, columns))?;
        let mut rows = statement.query(params_from_iter(parameters(&scan)))?;
        let mut seen = Row::default();
        while let Some(row) = rows.next()? {
            read(row, columns.len(), &mut seen)?;
            if visit(&mut seen)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn discard(self: Box<Self>) -> Result<()> {
        let Self { folder, database } = *self;
        drop(database);
        ["profile.db", "profile.db-wal", "profile.db-shm"]
            .map(|name| match std::fs::remove_file(folder.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(KeepError::failed(error)),
                _ => Ok(()),
            })
            .into_iter()
            .collect()
    }
}

fn wanted(table: &Table, columns: &[Column]) -> String {
    if columns.is_empty() {
        return "1".to_owned();
    }
    let names = columns.iter().map(|column| match column.is_length {
        true => format!("octet_length({})", table.column_name(*column)),
        false => table.column_name(*column).to_owned(),
    });
    names.collect::<Vec<_>>().join(", ")
}

fn insertion(table: &Table) -> String {
    let places: Vec<_> = (1..=table.columns.len()).map(|number| format!("?{number}")).collect();
    format!("INSERT INTO {} ({}) VALUES ({})", table.name, table.columns.join(", "), places.join(", "))
}

/// That the key is what the parameters from `first` on say.
fn key_is(table: &Table, first: usize) -> String {
    let conditions = (first..).zip(table.key_columns());
    let conditions = conditions.map(|(number, column)| format!("{} = ?{number}", table.column_name(column)));
    conditions.collect::<Vec<_>>().join(" AND ")
}

fn selection(table: &Table, scan: &Scan<'_>, columns: &[Column]) -> String {
    let order = scan.columns(table);
    let mut sql = format!("SELECT {} FROM {}", wanted(table, columns), table.name);
    if let By::Index(index) = scan.by
        // SQLite has its own names for those that keep rows unique, and finds them by itself.
        && !index.is_unique
    {
        let _ = write!(sql, " INDEXED BY {}", index.name);
    }
    let (fixed, free) = order.split_at(scan.prefix.len().min(order.len()));
    let mut conditions: Vec<_> = (1..)
        .zip(fixed)
        .map(|(number, column)| format!("{} = ?{number}", table.column_name(*column)))
        .collect();
    if let (Some(column), Some(_)) = (free.first(), &scan.from) {
        let relation = if scan.direction == Direction::Up { ">=" } else { "<=" };
        let name = table.column_name(*column);
        conditions.push(format!("{name} {relation} ?{}", fixed.len() + 1));
    }
    if let Some(Filter { column, is, .. }) = &scan.filter {
        let relation = if *is { "IS" } else { "IS NOT" };
        let number = fixed.len() + usize::from(scan.from.is_some()) + 1;
        conditions.push(format!("{} {relation} ?{number}", table.column_name(*column)));
    }
    if !conditions.is_empty() {
        let _ = write!(sql, " WHERE {}", conditions.join(" AND "));
    }
    let mut order: Vec<_> = free.iter().map(|column| table.column_name(*column)).collect();
    if !matches!(scan.by, By::Key) {
        order.push("rowid");
    }
    let direction = if scan.direction == Direction::Up { "" } else { " DESC" };
    if !order.is_empty() {
        let order: Vec<_> = order.iter().map(|name| format!("{name}{direction}")).collect();
        let _ = write!(sql, " ORDER BY {}", order.join(", "));
    }
    sql
}

/// What the parameters of a [`selection`] are.
fn parameters<'a>(scan: &'a Scan<'_>) -> impl Iterator<Item = &'a Cell> {
    scan.prefix.iter().chain(&scan.from).chain(scan.filter.iter().map(|filter| &filter.cell))
}

fn read(row: &rusqlite::Row<'_>, columns: usize, into: &mut Row) -> Result<()> {
    let cell = |index| {
        Ok(match row.get_ref(index)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(number) => Cell::Integer(number),
            ValueRef::Text(text) => Cell::Text(
                String::from_utf8(text.to_vec()).map_err(|_| KeepError::failed("a text is no text"))?,
            ),
            ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
            ValueRef::Real(_) => return Err(KeepError::failed("a value is of another kind")),
        })
    };
    into.fill((0..columns).map(cell))
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Tells what is wrong with a value, which somebody may have sent, from what is wrong with the file.
impl From<rusqlite::Error> for KeepError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::{Error, ErrorCode};
        match &error {
            Error::ToSqlConversionFailure(_) | Error::IntegralValueOutOfRange(..) => {
                Self::Unfit(error.to_string())
            }
            Error::SqliteFailure(failure, _)
                if matches!(failure.code, ErrorCode::TooBig | ErrorCode::ConstraintViolation) =>
            {
                Self::Unfit(error.to_string())
            }
            _ => Self::failed(error),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::super::tables;
    use super::*;

    fn made() -> (tempfile::TempDir, Sqlite) {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::create(folder.path()).unwrap();
        sqlite.make().unwrap();
        (folder, sqlite)
    }

    #[test]
    fn every_commit_reaches_the_disk_by_itself_unless_they_do_together() {
        let (_folder, sqlite) = made();
        let level =
            || -> i64 { sqlite.database.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap() };
        assert_eq!(level(), 2);
        sqlite.set_durability(Durability::Together).unwrap();
        assert_eq!(level(), 1);
        sqlite.set_durability(Durability::AtOnce).unwrap();
        assert_eq!(level(), 2);
    }

    #[test]
    fn the_tables_are_described_as_they_are() {
        let (_folder, sqlite) = made();
        let texts = |sql: &str| -> Vec<String> {
            let mut statement = sqlite.database.prepare(sql).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(rusqlite::Result::unwrap).collect()
        };
        let lower = |names: Vec<&str>| names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
        let names = texts("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
        let mut known: Vec<_> = tables::ALL.iter().map(|table| table.name.to_owned()).collect();
        known.sort();
        assert_eq!(names, known);
        for table in tables::ALL {
            let name = table.name;
            let columns = texts(&format!("SELECT name FROM pragma_table_info('{name}') ORDER BY cid"));
            assert_eq!(columns, lower(table.columns.to_vec()), "{name}");
            let key =
                texts(&format!("SELECT name FROM pragma_table_info('{name}') WHERE pk > 0 ORDER BY pk"));
            assert_eq!(key, columns[..usize::from(table.key)], "{name}");
            let mut indexes: Vec<_> =
                texts(&format!("SELECT name FROM pragma_index_list('{name}') WHERE origin <> 'pk'"))
                    .into_iter()
                    .map(|index| {
                        let is_unique = index.starts_with("sqlite_autoindex");
                        (
                            texts(&format!("SELECT name FROM pragma_index_info('{index}') ORDER BY seqno")),
                            is_unique,
                        )
                    })
                    .collect();
            let described = |index: &&super::super::Index| {
                let columns = index.columns.iter().map(|column| table.column_name(*column)).collect();
                (lower(columns), index.is_unique)
            };
            let mut known: Vec<_> = table.indexes.iter().map(described).collect();
            indexes.sort();
            known.sort();
            assert_eq!(indexes, known, "{name}");
            let of_order = |column: &Column| {
                column.place < table.key || table.indexes.iter().any(|index| index.columns.contains(column))
            };
            assert!(!table.heavy.iter().any(of_order), "{name}");
        }
        let mut numbers: Vec<_> = tables::ALL.iter().map(|table| table.number).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), tables::ALL.len());
        assert!(numbers.is_sorted() && numbers.iter().all(|number| (1..255).contains(number)));
    }

    #[test]
    fn no_scan_that_an_index_serves_sorts_or_reads_everything() {
        let (_folder, sqlite) = made();
        let server = [Cell::from("s")];
        let both = [Cell::from("s"), Cell::from([0; 32])];
        let asked = [
            (&tables::server_logs::TABLE, Scan::by_key(&server).down()),
            (&tables::server_logs::TABLE, Scan::by_key(&server).from(Cell::Integer(4)).down()),
            (
                &tables::server_logs::TABLE,
                Scan::by_index(&tables::server_logs::SERVER_LOGS_BY_SUBJECT, &both).down(),
            ),
            (&tables::messages::TABLE, Scan::by_index(&tables::messages::MESSAGES_BY_ID, &server)),
            (&tables::messages::TABLE, Scan::by_arrival().down()),
            (&tables::marks::TABLE, Scan::by_key(&both)),
            (&tables::group_entries::TABLE, Scan::by_key(&server).from(Cell::Integer(4))),
            (&tables::set_aside::TABLE, Scan::by_index(&tables::set_aside::SET_ASIDE_BY_DUE, &[])),
            (
                &tables::set_aside::TABLE,
                Scan::by_index(&tables::set_aside::SET_ASIDE_BY_CONVERSATION, &server),
            ),
        ];
        for (table, scan) in asked {
            let sql = format!("EXPLAIN QUERY PLAN {}", selection(table, &scan, &[Column::at(1)]));
            let mut statement = sqlite.database.prepare(&sql).unwrap();
            let plan: Vec<String> = statement
                .query_map(params_from_iter(parameters(&scan)), |row| row.get("detail"))
                .unwrap()
                .map(rusqlite::Result::unwrap)
                .collect();
            let is_bound = !scan.prefix.is_empty();
            assert!(plan.iter().all(|step| !step.contains("B-TREE")), "{sql}: {plan:?}");
            assert!(!is_bound || plan.iter().all(|step| step.starts_with("SEARCH")), "{sql}: {plan:?}");
        }
    }

    #[test]
    fn nothing_is_left_of_what_was_discarded() {
        let (folder, sqlite) = made();
        Box::new(sqlite).discard().unwrap();
        assert!(!Sqlite::exists(folder.path()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
