//! Classes, and the accounts of the admin pages.

use super::Holds::Impersonal;
use super::Shown::{Plain, Time};
use super::Table;

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "classes",
        columns: &[
            ("id", Plain),
            ("name", Plain),
            ("folded_name", Plain),
            ("sort_key", Plain),
            ("created_at", Time),
        ],
        holds: Impersonal("names of classes; who is in them stands in class_members"),
    },
    Table {
        name: "admin_accounts",
        columns: &[
            ("name", Plain),
            ("password_hash", Plain),
            ("role", Plain),
            ("created_at", Time),
            ("totp_secret", Plain),
            ("totp_step", Plain),
            ("read_line", Plain),
        ],
        holds: Impersonal("accounts of the admin pages belong to staff and to no participant"),
    },
    Table {
        name: "recovery_codes",
        columns: &[("account", Plain), ("code_hash", Plain)],
        holds: Impersonal("of accounts of the admin pages"),
    },
    Table {
        name: "account_classes",
        columns: &[("account", Plain), ("class", Plain)],
        holds: Impersonal("of accounts of the admin pages"),
    },
];
