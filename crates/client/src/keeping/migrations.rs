//! SQLite's schema: numbered steps, forward-only, each whole or not at all with its `user_version`.
//!
//! Append a file, never edit one that shipped: devices already ran it.

use super::{Keep, Result, Sqlite};

/// Every step, oldest first.
const STEPS: &[&str] = &[
    include_str!("migrations/0002_profile.sql"),
    include_str!("migrations/0003_signed_messages.sql"),
    include_str!("migrations/0004_files.sql"),
    include_str!("migrations/0005_logs_by_server.sql"),
    include_str!("migrations/0006_unconfirmed.sql"),
    include_str!("migrations/0007_set_aside.sql"),
    include_str!("migrations/0008_beginnings.sql"),
];

/// The `user_version` the first step leads to.
const FIRST: usize = 2;

impl Sqlite {
    pub(super) fn user_version(&self) -> Result<i64> {
        Ok(self.database.pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    /// The version of the schema, if it is one that a finished profile of this or an earlier momedo has.
    pub(super) fn schema_version(&self) -> Result<Option<usize>> {
        let known = FIRST..FIRST + STEPS.len();
        Ok(usize::try_from(self.user_version()?).ok().filter(|version| known.contains(version)))
    }

    /// Brings the schema up to date from `version`; 0 for one that is being made.
    pub(super) fn migrate_from(&self, version: usize) -> Result<()> {
        for (number, step) in (FIRST..).zip(STEPS).filter(|(number, _)| *number > version) {
            self.begin()?;
            let result = self
                .database
                .execute_batch(step)
                .and_then(|()| self.database.pragma_update(None, "user_version", number));
            if result.is_ok() {
                self.commit()?
            } else {
                self.rollback()?
            }
            result?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rusqlite::Connection;

    use super::super::tables;
    use super::*;
    use crate::ClientError;
    use crate::keeping::{KeepError, Sqlite};
    use crate::testing::{made_in, opened_in};

    fn create(path: &Path) -> Profile {
        made_in(Box::new(Sqlite::create(path).unwrap()), None).unwrap()
    }

    fn open(path: &Path) -> std::result::Result<Profile, ClientError> {
        let failed = |error: KeepError| ClientError::Protocol(error.to_string());
        opened_in(Box::new(Sqlite::open(path).map_err(failed)?), None)
    }
    use crate::profile::Profile;
    use crate::profile::passphrase::CHECK;

    fn schema(database: &Connection) -> Vec<(String, String)> {
        let sql =
            "SELECT name, replace(coalesce(sql, ''), 'IF NOT EXISTS ', '') FROM sqlite_schema ORDER BY name";
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(rusqlite::Result::unwrap).collect()
    }

    /// A profile as a momedo left it that knew fewer steps.
    fn older(path: &Path, version: usize) -> Connection {
        std::fs::create_dir(path).unwrap();
        let old = Connection::open(path.join("profile.db")).unwrap();
        STEPS[..=version - FIRST].iter().for_each(|step| old.execute_batch(step).unwrap());
        old.execute("INSERT INTO secrets VALUES (?1, x'6d6f6d65646f')", [CHECK]).unwrap();
        old.pragma_update(None, "user_version", version).unwrap();
        old
    }

    #[test]
    fn a_profile_of_any_earlier_version_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        drop(create(&folder.path().join("new")));
        let wanted = schema(&Sqlite::open(&folder.path().join("new")).unwrap().database);
        for version in FIRST..FIRST + STEPS.len() {
            let path = folder.path().join(version.to_string());
            drop(older(&path, version));
            drop(open(&path).unwrap());
            let sqlite = Sqlite::open(&path).unwrap();
            assert_eq!(schema(&sqlite.database), wanted, "{version}");
            assert_eq!(sqlite.schema_version().unwrap(), Some(FIRST + STEPS.len() - 1));
            assert_eq!(sqlite.user_version().unwrap(), i64::from(tables::VERSION));
        }
    }

    #[test]
    fn what_an_early_profile_kept_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile");
        older(&path, 3)
            .execute_batch(
                r#"CREATE TABLE files (
                    blob TEXT NOT NULL, sender TEXT NOT NULL, message TEXT NOT NULL, name TEXT NOT NULL, media_type TEXT NOT NULL,
                    size INTEGER NOT NULL, sent_at INTEGER NOT NULL, saved TEXT, PRIMARY KEY (blob, sender)) STRICT;
                INSERT INTO files VALUES ('b', 's', 'm', 'a.pdf', 'application/pdf', 1, 1, NULL);
                CREATE TABLE key_log (
                    number INTEGER PRIMARY KEY, subject BLOB NOT NULL, version INTEGER NOT NULL, digest BLOB NOT NULL,
                    made_at INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
                INSERT INTO key_log VALUES (1, x'01', 1, x'02', 3, x'04');
                INSERT INTO settings VALUES ('server', '"ab"'), ('key-log-head', '1');
                INSERT INTO locked_messages (delivery) VALUES ('{"from":"M8N22HT6"}');"#,
            )
            .unwrap();
        drop(open(&path).unwrap());
        let sqlite = Sqlite::open(&path).unwrap();
        for found in [
            "SELECT 1 FROM file_messages WHERE message = 'm'",
            "SELECT 1 FROM server_logs WHERE server = 'ab' AND number = 1",
            "SELECT 1 FROM settings WHERE name = 'key-log-head:ab'",
            "SELECT 1 FROM set_aside WHERE sender = 'M8N22HT6'",
        ] {
            assert_eq!(sqlite.database.query_row(found, [], |row| row.get(0)), Ok(1), "{found}");
        }
    }

    #[test]
    fn a_profile_of_a_newer_version_or_one_that_was_cut_off_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile");
        create(&path);
        for version in [0, 1, FIRST + STEPS.len(), 99] {
            let database = Connection::open(path.join("profile.db")).unwrap();
            database.pragma_update(None, "user_version", version).unwrap();
            drop(database);
            assert!(open(&path).is_err(), "{version}");
        }
    }
}
