//! People with the Smoke app.

use super::Holds::Impersonal;
use super::Shown::Plain;
use super::Table;

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "smoke_participants",
        columns: &[
            ("id", Plain),
            ("smoke_id", Plain),
            ("name", Plain),
            ("stream", Plain),
            ("origin", Plain),
            ("accepts_unsigned", Plain),
            ("created_at", Plain),
            ("seen_at", Plain),
            ("refusal", Plain),
            ("sort_key", Plain),
        ],
        holds: Impersonal(
            "about people with the Smoke app, who are no participants; deleted with them under Smoke",
        ),
    },
    Table {
        name: "smoke_keys",
        columns: &[
            ("participant", Plain),
            ("state", Plain),
            ("encryption_digest", Plain),
            ("signature_digest", Plain),
            ("received_at", Plain),
            ("encryption_key", Plain),
            ("encryption_signature", Plain),
            ("signature_key", Plain),
            ("signature", Plain),
        ],
        holds: Impersonal(
            "about people with the Smoke app, who are no participants; deleted with them under Smoke",
        ),
    },
    Table {
        name: "smoke_ozones",
        columns: &[("id", Plain), ("name", Plain), ("created_at", Plain)],
        holds: Impersonal("shared passwords of the Smoke app"),
    },
    Table {
        name: "smoke_messages",
        columns: &[
            ("id", Plain),
            ("participant", Plain),
            ("digest", Plain),
            ("size", Plain),
            ("released", Plain),
            ("stored_tick", Plain),
            ("read_tick", Plain),
            ("body", Plain),
        ],
        holds: Impersonal(
            "about people with the Smoke app, who are no participants; deleted with them under Smoke",
        ),
    },
    Table {
        name: "smoke_listeners",
        columns: &[("address", Plain), ("is_private", Plain), ("max_clients", Plain), ("is_enabled", Plain)],
        holds: Impersonal("addresses that the Smoke app is listened for"),
    },
    Table {
        name: "smoke_neighbours",
        columns: &[
            ("id", Plain),
            ("address", Plain),
            ("kind", Plain),
            ("is_enabled", Plain),
            ("certificate", Plain),
        ],
        holds: Impersonal("servers this one connects to"),
    },
    Table {
        name: "sqlite_sequence",
        columns: &[("name", Plain), ("seq", Plain)],
        holds: Impersonal("SQLite's own counters of numbers given"),
    },
];
