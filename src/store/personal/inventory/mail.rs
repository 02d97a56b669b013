//! What waits for devices, and what was accepted.

use super::Holds::Personal;
use super::Shown::{File, Id, Plain, Time};
use super::Table;

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "bodies",
        columns: &[
            ("id", Plain),
            ("remaining", Plain),
            ("sender", Id),
            ("message_id", Plain),
            ("accepted_at", Time),
            ("envelope", File),
            ("group_id", Plain),
            ("charged", Plain),
        ],
        holds: Personal {
            export: concat!(
                "sender = :participant OR id IN (SELECT body FROM deliveries WHERE device IN ",
                own_devices!(),
                ")"
            ),
            // With their deliveries, whose counters the writer keeps in memory.
            erase: &[],
        },
    },
    Table {
        name: "deliveries",
        columns: &[
            ("device", Id),
            ("sequence", Plain),
            ("body", Plain),
            ("sender", Id),
            ("size", Plain),
            ("bundle_version", Plain),
            ("accepted_tick", Plain),
            ("via", Plain),
            ("home", Plain),
        ],
        holds: Personal {
            // In other people's queues the places are other people's; the bodies show what was sent.
            export: concat!("device IN ", own_devices!()),
            // By `WriteTx::erase`: the writer keeps totals of queues in memory.
            erase: &[],
        },
    },
    Table {
        name: "queues",
        columns: &[("device", Id), ("last_removed", Plain), ("missed", Plain), ("last_given", Plain)],
        holds: Personal {
            export: concat!("device IN ", own_devices!()),
            erase: &[concat!("DELETE FROM queues WHERE device IN ", own_devices!())],
        },
    },
    Table {
        name: "sender_bytes",
        columns: &[("sender", Id), ("bytes", Plain)],
        holds: Personal {
            export: "sender = :participant",
            erase: &["DELETE FROM sender_bytes WHERE sender = :participant"],
        },
    },
    Table {
        name: "receipts",
        columns: &[
            ("message_id", Plain),
            ("sender", Id),
            ("recipient", Id),
            ("group_id", Plain),
            ("digest", Plain),
            ("accepted_tick", Plain),
        ],
        holds: Personal {
            export: "sender = :participant OR recipient = :participant",
            erase: &["DELETE FROM receipts WHERE sender = :participant OR recipient = :participant"],
        },
    },
];
