//! Groups and attachments.

use super::Holds::{Impersonal, Personal};
use super::Shown::{File, Id, Plain, Time};
use super::Table;

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "deleted_groups",
        columns: &[("id", Plain)],
        holds: Impersonal("IDs of groups that are gone"),
    },
    Table {
        name: "groups",
        columns: &[
            ("id", Plain),
            ("name", Plain),
            ("sort_key", Plain),
            ("number", Plain),
            ("state", Plain),
            ("open", Plain),
            ("created_at", Time),
            ("by_members", Plain),
            ("made_by", Id),
        ],
        holds: Personal {
            export: concat!("id IN ", own_groups!()),
            // A group nobody else is in goes; what others are in is theirs.
            erase: &[
                "DELETE FROM groups WHERE id IN
                          (SELECT group_id FROM group_members WHERE participant = :participant)
                      AND NOT EXISTS (SELECT 1 FROM group_members m
                          JOIN participants p ON p.id = m.participant AND p.state <> 'erased'
                          WHERE m.group_id = groups.id AND m.participant <> :participant)",
                "UPDATE groups SET made_by = NULL WHERE made_by = :participant",
            ],
        },
    },
    Table {
        name: "group_entries",
        columns: &[("id", Plain), ("group_id", Plain), ("number", Plain), ("entry", Plain)],
        holds: Personal {
            export: concat!("group_id IN ", own_groups!()),
            // With their group. Every entry is signed over the one before: without one of them nobody could
            // check who belongs to the group. They name an ID and no name.
            erase: &[],
        },
    },
    Table {
        name: "group_members",
        columns: &[
            ("group_id", Plain),
            ("participant", Id),
            ("member", Plain),
            ("suspended", Plain),
            ("reset", Plain),
            ("added_by", Id),
            ("added_over", Plain),
        ],
        holds: Personal {
            export: "participant = :participant",
            // The chain says it all the same, and a moderator has to be able to remove the member from it.
            erase: &[
                "UPDATE group_members SET suspended = 1 WHERE participant = :participant",
                // Whoever they added is no less added by somebody else.
                "UPDATE group_members SET added_by = -1 WHERE added_by = :participant",
            ],
        },
    },
    Table {
        name: "former_group_members",
        columns: &[("group_id", Plain), ("participant", Id), ("until", Plain)],
        holds: Personal {
            export: "participant = :participant",
            erase: &["DELETE FROM former_group_members WHERE participant = :participant"],
        },
    },
    Table {
        name: "group_authors",
        columns: &[("group_id", Plain), ("participant", Id), ("entries", Plain)],
        holds: Personal {
            export: "participant = :participant",
            erase: &["DELETE FROM group_authors WHERE participant = :participant"],
        },
    },
    Table {
        name: "slots",
        columns: &[("id", Plain), ("body", Plain), ("participant", Id), ("slot", File)],
        holds: Personal {
            export: "participant = :participant",
            erase: &["DELETE FROM slots WHERE participant = :participant"],
        },
    },
    Table {
        name: "blobs",
        columns: &[
            ("id", Plain),
            ("owner", Id),
            ("file", Plain),
            ("size", Plain),
            ("durable", Plain),
            ("created_tick", Plain),
            ("touched_tick", Plain),
            ("sent", Plain),
        ],
        holds: Personal {
            export: "owner = :participant",
            // Already gone with their files; see WriteTx::erase.
            erase: &["DELETE FROM blobs WHERE owner = :participant"],
        },
    },
    Table {
        name: "blob_totals",
        columns: &[("owner", Id), ("files", Plain), ("bytes", Plain), ("elsewhere", Plain)],
        holds: Personal {
            export: "owner = :participant",
            // Gone with the last of them.
            erase: &["DELETE FROM blob_totals WHERE owner = :participant"],
        },
    },
    Table {
        name: "blob_sums",
        columns: &[("one", Plain), ("bytes", Plain), ("to_come", Plain), ("elsewhere", Plain)],
        holds: Impersonal("sums over everybody"),
    },
    Table {
        name: "blob_holds",
        columns: &[("blob", Plain), ("device", Id)],
        holds: Personal {
            export: concat!("device IN ", own_devices!()),
            erase: &[concat!("DELETE FROM blob_holds WHERE device IN ", own_devices!())],
        },
    },
];
