//! Who there is, with their keys and devices.

use super::Holds::{Impersonal, Personal};
use super::Shown::{Expression, File, Id, Plain, Time};
use super::Table;

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "settings",
        columns: &[("name", Plain), ("value", Plain)],
        holds: Impersonal("the server's own name, keys and rules"),
    },
    Table {
        name: "people",
        columns: &[
            ("id", Plain),
            ("name", Plain),
            ("family_name", Plain),
            ("folded_name", Plain),
            ("sort_key", Plain),
            ("role", Plain),
            ("external_key", Plain),
            ("created_at", Time),
            ("participant", Id),
            ("import", Plain),
        ],
        holds: Personal {
            export: "id = :person",
            // Memberships and unused invites go with it.
            erase: &["DELETE FROM people WHERE id = :person OR participant = :participant"],
        },
    },
    Table {
        name: "participants",
        columns: &[
            ("id", Id),
            ("name", Plain),
            ("role", Plain),
            ("state", Plain),
            ("created_at", Time),
            ("key_reset_allowed", Plain),
        ],
        holds: Personal {
            export: "id = :participant",
            // The row stays, so that the ID is never given again.
            erase: &["UPDATE participants SET state = 'erased', name = '', role = 'member', created_at = 0,
                      key_reset_allowed = 0 WHERE id = :participant"],
        },
    },
    Table {
        name: "class_members",
        columns: &[
            ("class", Expression("(SELECT name FROM classes WHERE id = class)")),
            ("person", Plain),
            ("by_list", Plain),
        ],
        holds: Personal {
            export: "person = :person",
            erase: &["DELETE FROM class_members WHERE person = :person"],
        },
    },
    Table {
        name: "key_bundles",
        columns: &[
            ("participant", Id),
            ("version", Plain),
            ("digest", Plain),
            ("mceliece", Plain),
            ("changes_signature_key", Plain),
            ("superseded_tick", Plain),
            ("countersignature", Plain),
            ("bundle", Plain),
        ],
        holds: Personal {
            export: "participant = :participant",
            erase: &["DELETE FROM key_bundles WHERE participant = :participant"],
        },
    },
    Table {
        name: "mceliece_keys",
        columns: &[("id", Plain), ("digest", Plain), ("uploader", Id), ("stored_tick", Plain), ("key", File)],
        holds: Personal {
            export: "uploader = :participant",
            // A key that others' bundles name, too, is theirs as much.
            erase: &[
                "UPDATE mceliece_keys SET uploader = (SELECT participant FROM key_bundles
                     WHERE mceliece = mceliece_keys.digest AND participant <> :participant LIMIT 1)
                 WHERE uploader = :participant AND EXISTS (SELECT 1 FROM key_bundles
                     WHERE mceliece = mceliece_keys.digest AND participant <> :participant)",
                "DELETE FROM mceliece_keys WHERE uploader = :participant",
            ],
        },
    },
    Table {
        name: "device_lists",
        columns: &[("participant", Id), ("version", Plain), ("list", Plain)],
        holds: Personal {
            export: "participant = :participant",
            erase: &["DELETE FROM device_lists WHERE participant = :participant"],
        },
    },
    Table {
        name: "key_log",
        columns: &[
            ("number", Plain),
            ("subject", Plain),
            ("version", Plain),
            ("digest", Plain),
            ("made_at", Time),
            ("hash", Plain),
        ],
        holds: Personal {
            export: "subject IN (SELECT subject FROM key_log_subjects WHERE participant = :participant)",
            // Every entry is hashed over the one before: without one of them nobody could check that the log was
            // not rewritten. They name no ID and no name, and whose they are is forgotten below.
            erase: &[],
        },
    },
    Table {
        name: "key_log_subjects",
        columns: &[("participant", Id), ("subject", Plain)],
        holds: Personal {
            export: "participant = :participant",
            erase: &["DELETE FROM key_log_subjects WHERE participant = :participant"],
        },
    },
    Table {
        name: "forgotten_keys",
        columns: &[("participant", Id), ("version", Plain)],
        holds: Personal {
            export: "participant = :participant",
            erase: &["DELETE FROM forgotten_keys WHERE participant = :participant"],
        },
    },
    Table {
        name: "devices",
        columns: &[
            ("id", Id),
            ("participant", Id),
            ("key_digest", Plain),
            ("login_key", Plain),
            ("revoked", Plain),
            ("parked", Plain),
            ("seen_tick", Plain),
            ("joined_at", Time),
            ("joined", Plain),
            ("joined_by", Id),
        ],
        holds: Personal {
            export: "participant = :participant",
            erase: &["DELETE FROM devices WHERE participant = :participant"],
        },
    },
];
