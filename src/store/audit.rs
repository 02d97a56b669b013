//! The `audit_log` table: who changed what and when; never content.

use momedo_protocol::time::UnixMillis;

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

impl ReadTx<'_> {
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
             AND (instr(lower(account || ' ' || action || ' ' || subject), lower(?2)) > 0
                  OR instr(replace(action, '-', ' '), lower(?2)) > 0
                  OR action IN (SELECT value FROM json_each(?4)))
             ORDER BY id DESC LIMIT ?3",
        )?;
        let rows = statement.query_map((before, search.trim(), limit, actions), |row| {
            Ok(AuditRow {
                id: row.get(0)?,
                at: UnixMillis(row.get(1)?),
                account: row.get(2)?,
                action: row.get(3)?,
                subject: row.get(4)?,
            })
        })?;
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

    /// Adds a line that names nobody the admins look after.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn log(&self, at: UnixMillis, account: &str, action: &str, subject: &str) -> Result<(), StoreError> {
        self.log_about(at, account, action, subject, None)
    }

    /// Adds a line that names `person`, who can then have it handed out and erased.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn log_about(
        &self,
        at: UnixMillis,
        account: &str,
        action: &str,
        subject: &str,
        person: Option<PersonId>,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO audit_log (at, account, action, subject, person) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((at.0, account, action, subject, person.map(|person| person.0)))?;
        Ok(())
    }
}
