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

// After the macros, which they use.
mod groups;
mod mail;
mod neighbours;
mod participants;
mod records;
mod smoke;
mod staff;

/// Every table; what others refer to before those that do. Erasing goes from the end.
pub fn tables() -> impl DoubleEndedIterator<Item = &'static Table> {
    [
        participants::TABLES,
        mail::TABLES,
        records::TABLES,
        groups::TABLES,
        staff::TABLES,
        smoke::TABLES,
        neighbours::TABLES,
    ]
    .into_iter()
    .flatten()
}
