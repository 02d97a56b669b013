//! Other servers, and their participants.

use super::Holds::{Impersonal, Personal};
use super::Shown::{Expression, File, Id, Plain, Time};
use super::Table;

pub(super) const TABLES: &[Table] = &[
    Table {
        name: "neighbours",
        columns: &[
            ("id", Plain),
            ("name", Plain),
            ("addresses", Plain),
            ("ours", Plain),
            ("theirs", Plain),
            ("decision", Plain),
            ("code", Plain),
            ("contract", Plain),
            ("added_at", Plain),
            ("nearby", Plain),
            ("asked_tick", Plain),
            ("epoch", Plain),
        ],
        holds: Impersonal("other servers"),
    },
    Table {
        name: "neighbour_logs",
        columns: &[
            ("server", Plain),
            ("number", Plain),
            ("hash", Plain),
            ("head", Plain),
            ("broken", Plain),
            ("broken_at", Plain),
        ],
        holds: Impersonal("how far other servers' logs were followed"),
    },
    Table {
        name: "neighbour_log_entries",
        columns: &[
            ("server", Plain),
            ("number", Plain),
            ("subject", Plain),
            ("version", Plain),
            ("digest", Plain),
            ("made_at", Plain),
            ("hash", Plain),
        ],
        holds: Impersonal("key changes of participants of other servers, without IDs or names"),
    },
    Table {
        name: "pairing_codes",
        columns: &[("code_hash", Plain), ("expires_tick", Plain), ("used_by", Plain)],
        holds: Impersonal("codes for other servers"),
    },
    Table {
        name: "remote_participants",
        columns: &[
            ("id", Plain),
            ("home", Plain),
            ("via", Plain),
            ("version", Plain),
            ("digest", Plain),
            ("mceliece", Plain),
            ("keys", Plain),
            ("learned_tick", Plain),
            ("disputed_by", Plain),
            ("settled", Plain),
            ("other_home", Plain),
        ],
        holds: Impersonal("public keys of participants of other servers, and where they live"),
    },
    Table {
        name: "outbox",
        columns: &[
            ("id", Plain),
            ("message_id", Plain),
            ("sender", Id),
            ("recipient", Id),
            ("home", Plain),
            ("via", Plain),
            ("accepted_tick", Plain),
            ("size", Plain),
            ("group_id", Plain),
            ("envelope", File),
            ("body", Plain),
            ("slot", Plain),
            ("blobs", Plain),
            ("copy", Plain),
            ("device", Id),
            ("sender_device", Id),
        ],
        holds: Personal {
            export: "sender = :participant OR (recipient = :participant AND copy = 1)",
            erase: &[
                "DELETE FROM outbox WHERE sender = :participant OR (recipient = :participant AND copy = 1)",
            ],
        },
    },
    Table {
        name: "second_homes",
        columns: &[
            ("participant", Id),
            ("other", Plain),
            ("is_first", Plain),
            ("ends", Plain),
            ("changed", Plain),
            ("told", Plain),
        ],
        holds: Personal {
            export: "participant = :participant",
            // The other server has to hear of it, too; then the row goes.
            erase: &[
                "UPDATE second_homes SET ends = 1, changed = changed + 1 WHERE participant = :participant",
            ],
        },
    },
    Table {
        name: "servers_told",
        columns: &[
            ("participant", Id),
            // With the name by which the admins know it.
            (
                "server",
                Expression(
                    "coalesce((SELECT name || ' ' FROM neighbours WHERE id = server), '') || lower(hex(server))",
                ),
            ),
            ("told_at", Time),
            // Of other servers' people alone.
            ("home", Plain),
            ("other_home", Plain),
        ],
        holds: Personal {
            export: "participant = :participant",
            erase: &["DELETE FROM servers_told WHERE participant = :participant"],
        },
    },
    Table {
        name: "erasures",
        columns: &[("participant", Id), ("servers", Plain), ("identity_key", Plain), ("departure", Plain)],
        holds: Impersonal("IDs of people who are erased, until other servers have forgotten them, too"),
    },
    Table {
        name: "outbox_bodies",
        columns: &[("id", Plain), ("envelope", File)],
        holds: Personal {
            export: "id IN (SELECT body FROM outbox
                     WHERE sender = :participant OR (recipient = :participant AND copy = 1))",
            // They go with the rows of the outbox.
            erase: &[],
        },
    },
    Table {
        name: "remote_groups",
        columns: &[("id", Plain), ("home", Plain), ("via", Plain), ("learned_tick", Plain)],
        holds: Impersonal("groups of other servers, and who keeps them"),
    },
    Table {
        name: "posted_elsewhere",
        columns: &[("message_id", Plain), ("sender", Id), ("group_id", Plain), ("posted_tick", Plain)],
        holds: Personal {
            export: "sender = :participant",
            erase: &["DELETE FROM posted_elsewhere WHERE sender = :participant"],
        },
    },
    Table {
        name: "blobs_brought",
        columns: &[("blob", Plain), ("via", Plain), ("owner", Plain), ("size", Plain)],
        holds: Impersonal("over which server attachments came that people of other servers sent"),
    },
    Table {
        name: "mceliece_brought",
        columns: &[("digest", Plain), ("via", Plain), ("stored_tick", Plain)],
        holds: Impersonal("over which server large public keys of people of other servers came"),
    },
    Table {
        name: "remote_shares",
        columns: &[("via", Plain), ("bytes", Plain)],
        holds: Impersonal("how much is kept of what leads to other servers"),
    },
    Table {
        name: "blocked_remote",
        columns: &[("participant", Plain), ("blocked_at", Time)],
        holds: Impersonal("participants of other servers from whom nothing is taken"),
    },
    Table {
        name: "blob_homes",
        columns: &[("blob", Plain), ("home", Plain)],
        holds: Impersonal("attachments that other servers still have to fetch"),
    },
    Table {
        name: "blob_sources",
        columns: &[("blob", Plain), ("home", Plain)],
        holds: Impersonal("attachments that are being fetched from other servers"),
    },
    Table {
        name: "relayed",
        columns: &[
            ("id", Plain),
            ("batch", Plain),
            ("source", Plain),
            ("home", Plain),
            ("via", Plain),
            ("stored_tick", Plain),
            ("size", Plain),
            ("frame", Plain),
            ("answered", Plain),
        ],
        holds: Impersonal("mail between participants of other servers, on its way"),
    },
];
