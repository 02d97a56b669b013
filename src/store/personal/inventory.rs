//! Every table and column of the schema, and what it has to do with a participant: how their rows are found,
//! what an export shows of them, how they are erased. A test fails when the schema has a column that is not
//! here.
//!
//! SQL may use `:participant` and `:person` (numbers, NULL where there is none), `:id` (the participant's ID
//! as text) and `:name` (the person's name).

/// What an export shows of a column.
#[derive(Debug, Clone, Copy)]
pub enum Shown {
    /// The value as it is; bytes as base64url.
    Plain,
    /// A participant's or device's ID.
    Id,
    /// A time.
    Time,
    /// Bytes in a file of their own.
    File,
    /// What this expression gives, where the value itself would tell of others, or of nothing.
    Expression(&'static str),
}

/// What a table has to do with participants.
#[derive(Debug, Clone, Copy)]
pub enum Holds {
    /// Rows about a participant.
    Personal {
        /// The condition that finds those an export shows.
        export: &'static str,
        /// What erases them, and also what an export does not show.
        erase: &'static [&'static str],
    },
    /// Nothing about participants, and why.
    Impersonal(&'static str),
}

/// A table of the schema.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Every column.
    pub columns: &'static [(&'static str, Shown)],
    /// What it has to do with participants.
    pub holds: Holds,
}

use Holds::{Impersonal, Personal};
use Shown::{Expression, File, Id, Plain, Time};

/// Devices of the participant.
macro_rules! own_devices {
    () => {
        "(SELECT id FROM devices WHERE participant = :participant)"
    };
}

/// Groups the participant belongs to.
macro_rules! own_groups {
    () => {
        "(SELECT group_id FROM group_members WHERE participant = :participant)"
    };
}

/// Log lines that name the person: by number, or, from before lines had one, by ID or name.
macro_rules! log_lines {
    () => {
        "person = :person OR (person IS NULL AND action IN ('person-added', 'person-renamed', 'role-changed',
            'participant-disabled', 'participant-enabled', 'keys-reset', 'device-revoked', 'invites-made',
            'class-joined', 'class-left', 'person-deleted')
         AND (instr(subject, '(' || :id || ')') > 0 OR (:name <> '' AND (subject = :name
            OR instr(subject, :name || ' (') = 1 OR instr(subject, :name || ': ') = 1
            OR instr(subject, :name || ' → ') = 1
            OR substr(subject, -length(:name) - 2) = ': ' || :name
            OR substr(subject, -length(:name) - 3) = ' → ' || :name))))"
    };
}

/// What an import remembers of the person.
macro_rules! remembered {
    ($operator:literal) => {
        concat!(
            "(SELECT json_group_array(json(value)) FROM json_each(before, '$.people')
              WHERE json_extract(value, '$.person') ",
            $operator,
            " :person)"
        )
    };
}

/// Every table; what others refer to before those that do. Erasing goes from the end.
pub const TABLES: &[Table] = &[
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
            ("folded_name", Plain),
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
        name: "devices",
        columns: &[
            ("id", Id),
            ("participant", Id),
            ("key_digest", Plain),
            ("login_key", Plain),
            ("revoked", Plain),
            ("parked", Plain),
            ("seen_tick", Plain),
        ],
        holds: Personal {
            export: "participant = :participant",
            erase: &["DELETE FROM devices WHERE participant = :participant"],
        },
    },
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
        name: "receipts",
        columns: &[
            ("message_id", Plain),
            ("sender", Id),
            ("recipient", Id),
            ("digest", Plain),
            ("accepted_tick", Plain),
        ],
        holds: Personal {
            export: "sender = :participant OR recipient = :participant",
            erase: &["DELETE FROM receipts WHERE sender = :participant OR recipient = :participant"],
        },
    },
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
    Table {
        name: "groups",
        columns: &[
            ("id", Plain),
            ("name", Plain),
            ("number", Plain),
            ("state", Plain),
            ("open", Plain),
            ("created_at", Time),
        ],
        holds: Personal {
            export: concat!("id IN ", own_groups!()),
            // A group nobody else is in goes; what others are in is theirs.
            erase: &["DELETE FROM groups WHERE id IN
                          (SELECT group_id FROM group_members WHERE participant = :participant)
                      AND NOT EXISTS (SELECT 1 FROM group_members m
                          JOIN participants p ON p.id = m.participant AND p.state <> 'erased'
                          WHERE m.group_id = groups.id AND m.participant <> :participant)"],
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
        ],
        holds: Personal {
            export: "participant = :participant",
            // The chain says it all the same, and a moderator has to be able to remove the member from it.
            erase: &["UPDATE group_members SET suspended = 1 WHERE participant = :participant"],
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
        name: "blob_holds",
        columns: &[("blob", Plain), ("device", Id)],
        holds: Personal {
            export: concat!("device IN ", own_devices!()),
            erase: &[concat!("DELETE FROM blob_holds WHERE device IN ", own_devices!())],
        },
    },
    Table {
        name: "classes",
        columns: &[("id", Plain), ("name", Plain), ("created_at", Time)],
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
            ("term", Plain),
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
