-- What the staff write down about a report, for each other.
ALTER TABLE reports ADD COLUMN note TEXT NOT NULL DEFAULT '';

-- What was done about a report is shown with it; the log is long.
CREATE INDEX audit_log_of_reports ON audit_log (subject, id)
    WHERE action IN ('report-made', 'report-noted', 'report-closed', 'report-reopened');
