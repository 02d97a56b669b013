//! How people came here, and what is kept of what they and admins did.

use super::Holds::Personal;
use super::Shown::{Expression, File, Id, Plain, Time};
use super::Table;

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "reservations",
        columns: &[("participant", Id), ("invite", Plain), ("token_hash", Plain), ("expires_tick", Plain)],
        holds: Personal {
            export: "participant = :participant
                     OR invite IN (SELECT code_hash FROM invites WHERE person = :person)",
            erase: &["DELETE FROM reservations WHERE participant = :participant
                      OR invite IN (SELECT code_hash FROM invites WHERE person = :person)"],
        },
    },
    Table {
        name: "invites",
        columns: &[
            ("code_hash", Plain),
            ("name", Plain),
            ("created_at", Time),
            ("expires_at", Time),
            ("expires_tick", Plain),
            ("spent_by", Id),
            ("person", Plain),
        ],
        holds: Personal {
            export: "spent_by = :participant OR person = :person",
            erase: &["DELETE FROM invites WHERE spent_by = :participant OR person = :person"],
        },
    },
    Table {
        name: "imports",
        columns: &[
            ("id", Plain),
            ("created_at", Time),
            ("account", Plain),
            ("file_name", Plain),
            // Of everybody else on the list, too.
            ("added", Expression("NULL")),
            ("changed", Expression("NULL")),
            ("before", Expression(remembered!("="))),
            ("undone_at", Time),
        ],
        holds: Personal {
            export: "id = (SELECT import FROM people WHERE people.id = :person) OR EXISTS (SELECT 1
                     FROM json_each(before, '$.people') WHERE json_extract(value, '$.person') = :person)",
            erase: &[concat!(
                "UPDATE imports SET before = json_set(before, '$.people', json(",
                remembered!("<>"),
                ")) WHERE EXISTS (SELECT 1 FROM json_each(before, '$.people')
                     WHERE json_extract(value, '$.person') = :person)"
            )],
        },
    },
    Table {
        name: "key_backups",
        columns: &[
            ("participant", Id),
            ("version", Plain),
            ("lock", Plain),
            ("stored_at", Time),
            ("fetched_at", Time),
            ("made_at", Time),
            ("made_by", Id),
            ("ended_at", Time),
            ("ended_by", Id),
            ("slot", File),
        ],
        holds: Personal {
            export: "participant = :participant",
            erase: &["DELETE FROM key_backups WHERE participant = :participant"],
        },
    },
    Table {
        name: "blocks",
        columns: &[("participant", Id), ("blocked", Id), ("since", Time)],
        holds: Personal {
            // Who blocks somebody is the blocker's own.
            export: "participant = :participant",
            erase: &["DELETE FROM blocks WHERE participant = :participant OR blocked = :participant"],
        },
    },
    Table {
        name: "reports",
        columns: &[
            ("id", Plain),
            ("reporter", Id),
            ("sender", Id),
            ("message_id", Plain),
            ("reported_at", Time),
            ("reported_tick", Plain),
            ("reason", Plain),
            ("message", Plain),
            ("closed_at", Time),
            ("closed_by", Plain),
            // Written about the sender, not the reporter.
            ("note", Expression("NULL")),
        ],
        holds: Personal {
            // Whoever reported somebody is not given away.
            export: "reporter = :participant",
            erase: &["DELETE FROM reports WHERE reporter = :participant OR sender = :participant"],
        },
    },
    Table {
        name: "audit_log",
        columns: &[
            ("id", Plain),
            ("at", Time),
            ("account", Plain),
            ("action", Plain),
            ("subject", Plain),
            ("person", Plain),
            ("grave", Plain),
        ],
        holds: Personal {
            export: log_lines!(),
            // That something was done stays, to whom does not.
            erase: &[concat!(
                "UPDATE audit_log SET subject = coalesce('#' || :person, '#'), person = NULL WHERE ",
                log_lines!()
            )],
        },
    },
];
