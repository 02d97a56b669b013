//! The `reports` table: messages that their recipients disclosed to the staff.

use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;
use rusqlite::types::Value;

use super::{ReadTx, StoreError, Tick, WriteTx, column};

/// Names a report; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ReportId(pub i64);

/// A report to be kept.
#[derive(Debug, Clone)]
pub struct NewReport {
    /// Who discloses it.
    pub reporter: ParticipantId,
    /// Who wrote it.
    pub sender: ParticipantId,
    /// The sender's ID for it.
    pub message_id: MessageId,
    /// What is wrong with it.
    pub reason: String,
    /// The signed message, JSON text.
    pub message: String,
}

/// A report as stored.
#[derive(Debug, Clone)]
pub struct ReportRow {
    /// Names it.
    pub id: ReportId,
    /// What was disclosed by whom.
    pub report: NewReport,
    /// The reporter's name.
    pub reporter_name: String,
    /// The sender's name.
    pub sender_name: String,
    /// When.
    pub reported_at: UnixMillis,
    /// When and by which account it was closed.
    pub closed: Option<(UnixMillis, String)>,
    /// What the staff wrote down.
    pub note: String,
    /// Every report about this sender, this one included.
    pub of_sender: u64,
}

const COLUMNS: &str = "r.id, r.reporter, r.sender, r.message_id, r.reason, r.message,
    coalesce((SELECT name FROM people WHERE participant = r.reporter), ''),
    coalesce((SELECT name FROM people WHERE participant = r.sender), ''),
    r.reported_at, r.closed_at, r.closed_by, r.note,
    (SELECT count(*) FROM reports o WHERE o.sender = r.sender) FROM reports r";

fn report(row: &rusqlite::Row<'_>) -> rusqlite::Result<ReportRow> {
    let closed_at: Option<u64> = row.get(9)?;
    let closed_by: Option<String> = row.get(10)?;
    Ok(ReportRow {
        id: ReportId(row.get(0)?),
        report: NewReport {
            reporter: column::participant(row, 1)?,
            sender: column::participant(row, 2)?,
            message_id: column::message_id(row, 3)?,
            reason: row.get(4)?,
            message: row.get(5)?,
        },
        reporter_name: row.get(6)?,
        sender_name: row.get(7)?,
        reported_at: UnixMillis(row.get(8)?),
        closed: closed_at.map(|at| (UnixMillis(at), closed_by.unwrap_or_default())),
        note: row.get(11)?,
        of_sender: row.get(12)?,
    })
}

/// The condition that the reporter is in one of these classes, or, of reports from other servers, the sender;
/// everybody's reports without classes.
fn within(classes: Option<&[i64]>) -> String {
    let Some(classes) = classes else { return "1".into() };
    let numbers: Vec<String> = classes.iter().map(i64::to_string).collect();
    let members = format!(
        "(SELECT p.participant FROM people p JOIN class_members m ON m.person = p.id WHERE m.class IN ({}))",
        numbers.join(", ")
    );
    format!(
        "(r.reporter IN {members}
          OR (r.sender IN {members} AND r.reporter NOT IN (SELECT id FROM participants)))"
    )
}

impl ReadTx<'_> {
    /// A page of reports, open ones first, then the newest, and how many there are; only of reporters in
    /// `classes`, if some are given.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_reports(
        &self,
        classes: Option<&[i64]>,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<ReportRow>, u64), StoreError> {
        let within = within(classes);
        let count = format!("SELECT count(*) FROM reports r WHERE {within}");
        let total = self.connection.query_row(&count, [], |row| row.get(0))?;
        let sql = format!(
            "SELECT {COLUMNS} WHERE {within} ORDER BY r.closed_at IS NOT NULL, r.id DESC LIMIT ?1 OFFSET ?2"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_map((limit, offset), report)?;
        Ok((rows.collect::<Result<_, _>>()?, total))
    }

    /// How many reports are open.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_open_reports(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM reports WHERE closed_at IS NULL";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// The report of this number, if its reporter is in `classes`, should some be given.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_report(
        &self,
        id: ReportId,
        classes: Option<&[i64]>,
    ) -> Result<Option<ReportRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} WHERE r.id = ?1 AND {}", within(classes));
        Ok(self.connection.query_row(&sql, [id.0], report).optional()?)
    }
}

impl WriteTx<'_> {
    /// Keeps a report, or finds the same one from before; true when it is new.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_report(&self, report: &NewReport, now: UnixMillis) -> Result<(ReportId, bool), StoreError> {
        let known = "SELECT id FROM reports WHERE reporter = ?1 AND sender = ?2 AND message_id = ?3";
        let names = (report.reporter.number(), report.sender.number(), report.message_id.0);
        if let Some(id) =
            self.connection.prepare_cached(known)?.query_row(names, |row| row.get(0)).optional()?
        {
            return Ok((ReportId(id), false));
        }
        self.connection
            .prepare_cached(
                "INSERT INTO reports (reporter, sender, message_id, reported_at, reported_tick, reason, message)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                report.reporter.number(),
                report.sender.number(),
                report.message_id.0,
                now.0,
                self.tick().0,
                &report.reason,
                &report.message,
            ))?;
        Ok((ReportId(self.connection.last_insert_rowid()), true))
    }

    /// Closes a report, or opens it again.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_report_closed(
        &self,
        id: ReportId,
        closed: Option<(UnixMillis, &str)>,
    ) -> Result<(), StoreError> {
        let (at, by) = closed.map_or((Value::Null, Value::Null), |(at, by)| {
            (Value::Integer(i64::try_from(at.0).unwrap_or(i64::MAX)), Value::Text(by.to_owned()))
        });
        self.connection
            .prepare_cached("UPDATE reports SET closed_at = ?2, closed_by = ?3 WHERE id = ?1")?
            .execute((id.0, at, by))?;
        Ok(())
    }

    /// Keeps what the staff write down about a report, in place of what was there.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_report_note(&self, id: ReportId, note: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE reports SET note = ?2 WHERE id = ?1")?
            .execute((id.0, note))?;
        Ok(())
    }

    /// Erases reports made before `before`, open or not.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_reports_before(&self, before: Tick) -> Result<usize, StoreError> {
        let sql = "DELETE FROM reports WHERE reported_tick < ?1";
        Ok(self.connection.prepare_cached(sql)?.execute([before.0])?)
    }
}
