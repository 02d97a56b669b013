//! What the database holds about one person: counted, handed out, erased, as the inventory says.
//!
//! Reading goes over a connection of its own and blocks, so that neither the server's readers nor its writer
//! wait for a large export.

mod inventory;

use std::path::Path;

use momedo_protocol::encoding::encode_base64;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::time::UnixMillis;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Statement};
use serde_json::{Map, Value};

pub use inventory::{Holds, Shown, Table, tables};

use super::{PersonId, ReadTx, StoreError, WriteTx};
use crate::domain::calendar::rfc3339;

/// Whom it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Once registered.
    pub participant: Option<ParticipantId>,
    /// Whom the admins know.
    pub person: Option<PersonId>,
    /// Their name; old log lines are found by it.
    pub name: String,
}

/// Rows of one table about somebody.
#[derive(Debug, Clone)]
pub struct Holding {
    /// The table.
    pub table: &'static str,
    /// Its rows, by column; of a file its path in the export.
    pub rows: Vec<Map<String, Value>>,
}

/// Bytes that an export keeps in a file of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOf {
    table: &'static str,
    column: &'static str,
    row: i64,
}

impl FileOf {
    /// Where it stands in an export.
    pub fn path(&self) -> String {
        format!("files/{}-{}.bin", self.table, self.row)
    }
}

fn bind(statement: &mut Statement<'_>, subject: &Subject) -> rusqlite::Result<()> {
    let mut bind = |name: &str, value: &dyn rusqlite::ToSql| match statement.parameter_index(name)? {
        Some(index) => statement.raw_bind_parameter(index, value),
        None => Ok(()),
    };
    bind(":participant", &subject.participant.map(ParticipantId::number))?;
    bind(":person", &subject.person.map(|person| person.0))?;
    bind(":id", &subject.participant.map(|id| id.to_string()))?;
    bind(":name", &subject.name)
}

/// A reader of everything about somebody.
pub struct PersonalReader(Connection);

impl PersonalReader {
    /// Opens the database in `directory`, which a server may be writing to.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self(super::open::reader(&directory.join("momedo.db"))?))
    }

    /// Everything about somebody, as it stood in one moment, and which files it refers to.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn holdings(&self, subject: &Subject) -> Result<(Vec<Holding>, Vec<FileOf>), StoreError> {
        let snapshot = self.0.unchecked_transaction()?;
        let (mut all, mut files) = (Vec::new(), Vec::new());
        for table in tables() {
            let Holds::Personal { export, .. } = table.holds else { continue };
            let rows = rows(&snapshot, table, export, subject, &mut files)?;
            all.push(Holding { table: table.name, rows });
        }
        Ok((all, files))
    }

    /// The bytes of a file; `None` if they are gone meanwhile, for example because they were delivered.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn file(&self, file: &FileOf) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = format!("SELECT {} FROM {} WHERE rowid = ?1", file.column, file.table);
        let bytes: Option<Option<Vec<u8>>> =
            self.0.prepare_cached(&sql)?.query_row([file.row], |row| row.get(0)).optional()?;
        Ok(bytes.flatten())
    }
}

fn rows(
    connection: &Connection,
    table: &'static Table,
    condition: &str,
    subject: &Subject,
    files: &mut Vec<FileOf>,
) -> Result<Vec<Map<String, Value>>, StoreError> {
    let selected: Vec<String> = table
        .columns
        .iter()
        .map(|(column, shown)| match shown {
            // Bytes of files are read one by one; the row's number leads to them.
            Shown::File => format!("CASE WHEN {column} IS NOT NULL THEN rowid END"),
            Shown::Expression(expression) => (*expression).to_owned(),
            _ => (*column).to_owned(),
        })
        .collect();
    let sql = format!("SELECT {} FROM {} WHERE {condition}", selected.join(", "), table.name);
    let mut statement = connection.prepare(&sql)?;
    bind(&mut statement, subject)?;
    let mut found = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let mut values = Map::new();
        for (index, (column, shown)) in table.columns.iter().enumerate() {
            let value = row.get_ref(index)?;
            let shown = match (shown, value) {
                (Shown::File, ValueRef::Integer(row)) => {
                    let file = FileOf { table: table.name, column, row };
                    let path = file.path();
                    files.push(file);
                    path.into()
                }
                (Shown::Id, ValueRef::Integer(number)) => id(number),
                (Shown::Time, ValueRef::Integer(at)) => time(at),
                (_, ValueRef::Integer(number)) => number.into(),
                (_, ValueRef::Real(number)) => number.into(),
                (_, ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned().into(),
                (_, ValueRef::Blob(bytes)) => encode_base64(bytes).into(),
                (_, ValueRef::Null) => Value::Null,
            };
            values.insert((*column).to_owned(), shown);
        }
        rows.push(values);
    }
    Ok(rows)
}

/// IDs of participants and devices are written alike.
fn id(number: i64) -> Value {
    let id = u64::try_from(number).ok().and_then(DeviceId::from_number);
    id.map_or_else(|| number.into(), |id| id.to_string().into())
}

/// A time as RFC 3339 writes it, to the second.
fn time(at: i64) -> Value {
    let written = u64::try_from(at).ok().and_then(|at| rfc3339(UnixMillis(at)));
    written.map_or_else(|| at.into(), Value::from)
}

impl ReadTx<'_> {
    /// Whom an ID belongs to.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn subject_of(&self, id: ParticipantId) -> Result<Subject, StoreError> {
        let person = self.find_person_of(id)?;
        let name = match &person {
            Some(person) => person.name.clone(),
            None => self.find_participant(id)?.map(|row| row.name).unwrap_or_default(),
        };
        Ok(Subject { participant: Some(id), person: person.map(|person| person.id), name })
    }

    /// How many rows of each table are about somebody; tables without any are left out.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_personal(&self, subject: &Subject) -> Result<Vec<(&'static str, u64)>, StoreError> {
        let mut counts = Vec::new();
        for table in tables() {
            let Holds::Personal { export, .. } = table.holds else { continue };
            let sql = format!("SELECT count(*) FROM {} WHERE {export}", table.name);
            let mut statement = self.connection.prepare(&sql)?;
            bind(&mut statement, subject)?;
            let mut rows = statement.raw_query();
            let count: u64 = rows.next()?.map_or(Ok(0), |row| row.get(0))?;
            if count > 0 {
                counts.push((table.name, count));
            }
        }
        Ok(counts)
    }
}

impl WriteTx<'_> {
    /// Erases everything about somebody; a participant's ID stays taken. What they sent and nobody fetched yet
    /// goes, too, and its recipients are told that they missed something.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn erase(&mut self, subject: &Subject) -> Result<(), StoreError> {
        self.directory.forget();
        // Pages that become free are overwritten, too; else whole envelopes would stay readable in the file.
        self.connection.pragma_update(None, "secure_delete", "ON")?;
        let erased = self.erase_rows(subject);
        self.connection.pragma_update(None, "secure_delete", super::open::SECURE_DELETE)?;
        erased
    }

    fn erase_rows(&mut self, subject: &Subject) -> Result<(), StoreError> {
        if let Some(participant) = subject.participant {
            self.drop_sent(participant)?;
            // Before their rows go with the others: the files go with these.
            self.erase_blobs_of(participant)?;
            for device in self.list_devices(participant)? {
                self.drop_queue(device.id)?;
            }
        }
        // Rows that others refer to go after those that refer to them.
        for table in tables().rev() {
            let Holds::Personal { erase, .. } = table.holds else { continue };
            for sql in erase {
                let mut statement = self.connection.prepare(sql)?;
                bind(&mut statement, subject)?;
                statement.raw_execute()?;
            }
        }
        Ok(())
    }
}

/// Copies the write-ahead log into the database and empties it, so that what was erased stands there no more.
/// Blocks; best effort, since a reader may be in the way, and stopping the server does it anyway.
///
/// # Errors
/// As [`StoreError`] says.
pub fn empty_log(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join("momedo.db");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection.pragma_update(None, "wal_checkpoint", "TRUNCATE")?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::StoreOptions;

    #[test]
    fn every_column_of_the_schema_is_in_the_inventory() {
        let folder = tempfile::tempdir().unwrap();
        let connection =
            crate::store::open::writer(&folder.path().join("momedo.db"), &StoreOptions::default()).unwrap();
        let mut statement = connection
            .prepare(
                "SELECT t.name || '.' || c.name FROM sqlite_schema t, pragma_table_xinfo(t.name) c
                 WHERE t.type = 'table' AND t.name NOT GLOB 'sqlite_stat*'",
            )
            .unwrap();
        let schema: BTreeSet<String> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let listed = tables().flat_map(|table| {
            table.columns.iter().map(move |(column, _)| format!("{}.{column}", table.name))
        });
        let listed: BTreeSet<String> = listed.collect();
        let forgotten: Vec<_> = schema.difference(&listed).collect();
        assert!(
            forgotten.is_empty(),
            "not in src/store/personal/inventory: {forgotten:?}.\nList each column there. If the table has \
             rows about a participant, say Personal: with a condition that finds those an export shows, and \
             statements that erase all of them, after every table that refers to it (erasing goes from the \
             end); give it words in src/http/export/words.rs, and fill it in tests/it/personal.rs. If not, say \
             Impersonal, and why."
        );
        let gone: Vec<_> = listed.difference(&schema).collect();
        assert!(gone.is_empty(), "in the inventory, and not in the schema any more: {gone:?}");
    }

    #[test]
    fn every_statement_of_the_inventory_runs_on_the_schema() {
        let folder = tempfile::tempdir().unwrap();
        let connection =
            crate::store::open::writer(&folder.path().join("momedo.db"), &StoreOptions::default()).unwrap();
        let subject = Subject { participant: None, person: None, name: String::new() };
        for table in tables() {
            let Holds::Personal { export, erase } = table.holds else { continue };
            let mut files = Vec::new();
            let found = rows(&connection, table, export, &subject, &mut files).unwrap();
            assert!(found.is_empty(), "{}: nobody's rows are found", table.name);
            for sql in erase {
                let mut statement = connection.prepare(sql).unwrap();
                bind(&mut statement, &subject).unwrap();
                assert_eq!(statement.raw_execute().unwrap(), 0, "{sql}");
            }
        }
    }
}
