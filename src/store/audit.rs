//! The `audit_log` table: who changed what and when; never content.

use momedo_protocol::time::UnixMillis;
use rusqlite::named_params;

use super::{PersonId, ReadTx, StoreError, WriteTx};

/// One line of the log.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AuditRow {
    /// Its number; rises.
    pub id: i64,
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub account: String,
    /// What, as one word.
    pub action: String,
    /// Whom or what it was done to.
    pub subject: String,
}

/// A line to be added.
#[derive(Debug, Clone, Copy)]
pub struct NewAuditRow<'a> {
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub account: &'a str,
    /// What, as one word.
    pub action: &'a str,
    /// Whether every admin is to read it.
    pub is_grave: bool,
    /// Whom or what it was done to.
    pub subject: &'a str,
    /// Whom the line names, who can then have it handed out and erased; `None`: nobody the admins look after.
    pub person: Option<PersonId>,
}

/// Grave lines `:name` has not read: neither up to the one it read last, nor its own of a session that began at `:begun`.
macro_rules! unread {
    ($what:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM audit_log WHERE grave = 1
              AND id > (SELECT coalesce(max(read_line), 0) FROM admin_accounts WHERE name = :name)
              AND (account <> :name OR at < :begun)"
        )
    };
}

fn audit_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        id: row.get(0)?,
        at: UnixMillis(row.get(1)?),
        account: row.get(2)?,
        action: row.get(3)?,
        subject: row.get(4)?,
    })
}

impl ReadTx<'_> {
    /// What was done about a report, oldest first. Lines of reports name them by their number, which is never given twice.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn log_of_report(&self, number: i64) -> Result<Vec<AuditRow>, StoreError> {
        // The actions are those of the index, word for word: it is used only then.
        let sql = "SELECT id, at, account, action, subject FROM audit_log
                   WHERE action IN ('report-made', 'report-noted', 'report-closed', 'report-reopened')
                     AND subject = ?1 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([format!("#{number}")], audit_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many grave lines an account has not read, but for its own since `begun`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_unread_grave(&self, account: &str, begun: UnixMillis) -> Result<u64, StoreError> {
        let mut statement = self.connection.prepare_cached(unread!("count(*)"))?;
        let values = named_params! { ":name": account, ":begun": begun.0 };
        Ok(statement.query_row(values, |row| row.get(0))?)
    }

    /// Those lines, newest first.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_unread_grave(
        &self,
        account: &str,
        begun: UnixMillis,
        limit: u64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let sql = concat!(unread!("id, at, account, action, subject"), " ORDER BY id DESC LIMIT :limit");
        let mut statement = self.connection.prepare_cached(sql)?;
        let values = named_params! { ":name": account, ":begun": begun.0, ":limit": limit };
        let rows = statement.query_map(values, audit_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Lines before line `before`, newest first, in which account, action or subject contains `search`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn audit_log(
        &self,
        search: &str,
        actions: &[&str],
        before: i64,
        limit: u64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let actions = serde_json::to_string(actions).unwrap_or_else(|_| "[]".into());
        let mut statement = self.connection.prepare_cached(
            "SELECT id, at, account, action, subject FROM audit_log WHERE id < ?1
             AND (finds(account || ' ' || action || ' ' || subject, ?2)
                  OR finds(replace(action, '-', ' '), ?2)
                  OR action IN (SELECT value FROM json_each(?4)))
             ORDER BY id DESC LIMIT ?3",
        )?;
        let rows = statement.query_map((before, search.trim(), limit, actions), audit_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Lines that are kept: years of a school's.
const KEPT: i64 = 200_000;

impl WriteTx<'_> {
    /// Forgets the oldest lines beyond those that are kept.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn trim_audit_log(&self) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM audit_log WHERE id <= (SELECT max(id) FROM audit_log) - ?1")?
            .execute([KEPT])?;
        Ok(())
    }

    /// Adds a line.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn log(&self, line: &NewAuditRow<'_>) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO audit_log (at, account, action, subject, person, grave)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                line.at.0,
                line.account,
                line.action,
                line.subject,
                line.person.map(|person| person.0),
                line.is_grave,
            ))?;
        Ok(())
    }

    /// Notes that an account has read the grave lines up to `line`; never fewer than before, nor what is not there yet.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn note_read_lines(&self, account: &str, line: i64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE admin_accounts SET read_line = max(read_line, min(?2,
                     (SELECT coalesce(max(id), 0) FROM audit_log))) WHERE name = ?1",
            )?
            .execute((account, line))?;
        Ok(())
    }
}
