//! The `people` and `imports` tables: whom the admins know, before and after they register.

use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::UnixMillis;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params_from_iter};

use super::{ParticipantState, ReadTx, StoreError, WriteTx, column};
use crate::domain::role::Role;

/// Names a person; never given twice as long as the person is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PersonId(pub i64);

/// Names a class list that was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ImportId(pub i64);

/// A person as listed.
#[derive(Debug, Clone)]
pub struct PersonRow {
    /// Names the person.
    pub id: PersonId,
    /// The name the admins know.
    pub name: String,
    /// The part of it that a list called the family name; empty where none did.
    pub family_name: String,
    /// What they may do.
    pub role: Role,
    /// The number other software knows them by.
    pub external_key: Option<String>,
    /// Their ID, once registered.
    pub participant: Option<ParticipantId>,
    /// Whether they may act, once registered.
    pub state: Option<ParticipantState>,
    /// Names of their classes, with commas between.
    pub classes: String,
    /// Until when their newest unused invite holds.
    pub invited_until: Option<UnixMillis>,
    /// Devices that are not revoked.
    pub devices: u64,
}

/// Which people are wanted.
#[derive(Debug, Clone, Default)]
pub struct PeopleFilter {
    /// Part of a name, key or class, or an ID; empty: everybody.
    pub search: String,
    /// Only members of this class.
    pub class: Option<i64>,
    /// Only members of one of these classes; `None`: no such limit.
    pub within: Option<Vec<i64>>,
    /// Only who has not registered.
    pub unregistered: bool,
}

/// A class list that was imported.
#[derive(Debug, Clone)]
pub struct ImportRow {
    /// Names it.
    pub id: ImportId,
    /// When.
    pub created_at: UnixMillis,
    /// Who did it.
    pub account: String,
    /// The file's name.
    pub file_name: String,
    /// People added.
    pub added: u64,
    /// People changed.
    pub changed: u64,
    /// What the changed were before, as JSON.
    pub before: String,
    /// Whether it was undone.
    pub undone: bool,
}

/// A person to be added.
#[derive(Debug, Clone)]
pub struct NewPerson<'a> {
    /// The name.
    pub name: &'a str,
    /// The part of it that a list called the family name, or nothing.
    pub family_name: &'a str,
    /// The role.
    pub role: Role,
    /// The number other software knows them by.
    pub external_key: Option<&'a str>,
    /// When they are added.
    pub created_at: UnixMillis,
    /// Once registered.
    pub participant: Option<ParticipantId>,
    /// The list they came with.
    pub import: Option<ImportId>,
}

const PERSON: &str = "p.id, p.name, p.role, p.external_key, p.participant, a.state,
    coalesce((SELECT group_concat(name, ', ') FROM (SELECT c.name FROM class_members m JOIN classes c
        ON c.id = m.class WHERE m.person = p.id ORDER BY c.sort_key, c.id)), ''),
    (SELECT max(expires_at) FROM invites WHERE person = p.id AND spent_by IS NULL AND expires_tick > ?1),
    (SELECT count(*) FROM devices WHERE participant = p.participant AND NOT revoked), p.family_name
    FROM people p LEFT JOIN participants a ON a.id = p.participant";

fn person(row: &rusqlite::Row<'_>) -> rusqlite::Result<PersonRow> {
    let role: String = row.get(2)?;
    let has_registered = row.get_ref(4)? != rusqlite::types::ValueRef::Null;
    let state: Option<String> = row.get(5)?;
    Ok(PersonRow {
        id: PersonId(row.get(0)?),
        name: row.get(1)?,
        role: role.parse().unwrap_or_default(),
        external_key: row.get(3)?,
        participant: if has_registered { Some(column::participant(row, 4)?) } else { None },
        state: state.map(|state| ParticipantState::of(&state)),
        classes: row.get(6)?,
        invited_until: row.get::<_, Option<u64>>(7)?.map(UnixMillis),
        devices: row.get(8)?,
        family_name: row.get(9)?,
    })
}

fn import(row: &rusqlite::Row<'_>) -> rusqlite::Result<ImportRow> {
    Ok(ImportRow {
        id: ImportId(row.get(0)?),
        created_at: UnixMillis(row.get(1)?),
        account: row.get(2)?,
        file_name: row.get(3)?,
        added: row.get(4)?,
        changed: row.get(5)?,
        before: row.get(6)?,
        undone: row.get(7)?,
    })
}

/// People of a name, without a key unless `?4`, in a class or in none, the oldest first. The plus keeps SQLite from the index of keys, in which all
/// without one stand together.
pub(super) fn by_name() -> String {
    format!(
        "SELECT {PERSON} WHERE p.folded_name = folded(?2) AND (?4 OR +p.external_key IS NULL) AND
         CASE WHEN ?3 IS NULL THEN NOT EXISTS (SELECT 1 FROM class_members WHERE person = p.id)
         ELSE EXISTS (SELECT 1 FROM class_members WHERE person = p.id AND class = ?3) END ORDER BY p.id"
    )
}

const IMPORT: &str =
    "SELECT id, created_at, account, file_name, added, changed, before, undone_at IS NOT NULL
    FROM imports";

impl PeopleFilter {
    /// The conditions, and their parameters from `?2` on.
    fn conditions(&self) -> (String, Vec<Value>) {
        let (mut sql, mut values) = (String::from(" WHERE 1"), Vec::new());
        let mut next = |value: Value| {
            values.push(value);
            values.len() + 1
        };
        let search = self.search.trim();
        if !search.is_empty() {
            let part = next(Value::Text(search.to_owned()));
            let id = search.parse::<ParticipantId>().map_or(-1, |id| id.number() as i64);
            let id = next(Value::Integer(id));
            sql += &format!(
                " AND (finds(p.name, ?{part}) OR finds(p.external_key, ?{part}) OR p.participant = ?{id}
                 OR p.id IN (SELECT person FROM class_members WHERE class IN (SELECT id FROM classes
                     WHERE folded_name = class_key(?{part}) OR length(?{part}) > 2 AND finds(name, ?{part}))))"
            );
        }
        if let Some(class) = self.class {
            let class = next(Value::Integer(class));
            sql += &format!(" AND p.id IN (SELECT person FROM class_members WHERE class = ?{class})");
        }
        if let Some(classes) = &self.within {
            let places: Vec<String> =
                classes.iter().map(|class| format!("?{}", next(Value::Integer(*class)))).collect();
            sql += &format!(
                " AND p.id IN (SELECT person FROM class_members WHERE class IN ({}))",
                places.join(", ")
            );
        }
        if self.unregistered {
            sql += " AND p.participant IS NULL";
        }
        (sql, values)
    }
}

impl ReadTx<'_> {
    /// One page of the people a filter lets through, by name, and how many there are in all.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_people(
        &self,
        filter: &PeopleFilter,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<PersonRow>, u64), StoreError> {
        let (conditions, values) = filter.conditions();
        let count = format!("SELECT count(*) FROM people p{conditions} AND ?1 >= 0");
        let tick = std::iter::once(Value::Integer(self.tick().0 as i64));
        let parameters: Vec<Value> = tick.chain(values).collect();
        let total = self
            .connection
            .prepare_cached(&count)?
            .query_row(params_from_iter(&parameters), |row| row.get(0))?;
        let sql =
            format!("SELECT {PERSON}{conditions} ORDER BY p.sort_key, p.id LIMIT {limit} OFFSET {offset}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(&parameters), person)?;
        Ok((rows.collect::<Result<_, _>>()?, total))
    }

    /// The person with this number.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_person(&self, id: PersonId) -> Result<Option<PersonRow>, StoreError> {
        let sql = format!("SELECT {PERSON} WHERE p.id = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row((self.tick().0, id.0), person).optional()?)
    }

    /// The person who registered as `participant`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_person_of(&self, participant: ParticipantId) -> Result<Option<PersonRow>, StoreError> {
        let sql = format!("SELECT {PERSON} WHERE p.participant = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row((self.tick().0, participant.number()), person).optional()?)
    }

    /// What admins call the person who registered as `participant`, or whom this invite is for.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn name_given_to(
        &self,
        participant: ParticipantId,
        invite: Option<&[u8; 32]>,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT name FROM people WHERE participant = ?1 UNION ALL
                   SELECT p.name FROM invites i JOIN people p ON p.id = i.person
                   WHERE i.code_hash = ?2 AND p.participant IS NULL LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row((participant.number(), invite), |row| row.get(0)).optional()?)
    }

    /// The person other software knows by `key`.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_person_by_key(&self, key: &str) -> Result<Option<PersonRow>, StoreError> {
        let sql = format!("SELECT {PERSON} WHERE p.external_key = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        Ok(statement.query_row((self.tick().0, key), person).optional()?)
    }

    /// Everybody of this name, in this class or in none, the oldest first; also who has a key, or not.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn people_by_name(
        &self,
        name: &str,
        class: Option<i64>,
        with_keys: bool,
    ) -> Result<Vec<PersonRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(&by_name())?;
        let rows = statement.query_map((self.tick().0, name, class, with_keys), person)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Imported lists, newest first.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_imports(&self, limit: u64) -> Result<Vec<ImportRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{IMPORT} ORDER BY id DESC LIMIT ?1"))?;
        let rows = statement.query_map([limit], import)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An imported list.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_import(&self, id: ImportId) -> Result<Option<ImportRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{IMPORT} WHERE id = ?1"))?;
        Ok(statement.query_row([id.0], import).optional()?)
    }

    /// The people an import added: who they are, and whether they registered.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn people_of_import(&self, id: ImportId) -> Result<Vec<(PersonId, bool)>, StoreError> {
        let sql = "SELECT id, participant IS NOT NULL FROM people WHERE import = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([id.0], |row| Ok((PersonId(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many people there are, and how many of them have not registered.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn count_people(&self) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT count(*), coalesce(sum(participant IS NULL), 0) FROM people";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }
}

impl WriteTx<'_> {
    /// Adds a person.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_person(&self, person: &NewPerson<'_>) -> Result<PersonId, StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO people
                     (name, family_name, folded_name, sort_key, role, external_key, created_at, participant, import)
                 VALUES (?1, ?7, folded(?1), person_sort_key(?1, ?7), ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                person.name,
                person.role.word(),
                person.external_key,
                person.created_at.0,
                person.participant.map(ParticipantId::number),
                person.import.map(|import| import.0),
                person.family_name,
            ))?;
        Ok(PersonId(self.connection.last_insert_rowid()))
    }

    /// Renames a person; `family_name` is the part of it that a list called so, or nothing.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn rename_person(&self, id: PersonId, name: &str, family_name: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE people SET name = ?2, family_name = ?3, folded_name = folded(?2),
                 sort_key = person_sort_key(?2, ?3) WHERE id = ?1",
            )?
            .execute((id.0, name, family_name))?;
        Ok(())
    }

    /// Sets what other software knows a person by.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_external_key(&self, id: PersonId, key: Option<&str>) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE people SET external_key = ?2 WHERE id = ?1")?
            .execute((id.0, key))?;
        Ok(())
    }

    /// Sets a person's role, and the participant's with it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_role(&mut self, id: PersonId, role: Role) -> Result<(), StoreError> {
        self.directory.forget();
        self.connection
            .prepare_cached("UPDATE people SET role = ?2 WHERE id = ?1")?
            .execute((id.0, role.word()))?;
        self.connection
            .prepare_cached(
                "UPDATE participants SET role = ?2 WHERE id = (SELECT participant FROM people WHERE id = ?1)",
            )?
            .execute((id.0, role.word()))?;
        match self.find_person(id)?.and_then(|person| person.participant) {
            Some(participant) => self.note_change_for_other_home(participant),
            None => Ok(()),
        }
    }

    /// Notes who registered with an invite: the person it was for, or a new one.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn attach_participant(
        &mut self,
        invite: &[u8; 32],
        participant: ParticipantId,
        name: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let person: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT p.id FROM invites i JOIN people p ON p.id = i.person
                 WHERE i.code_hash = ?1 AND (p.participant IS NULL OR p.participant = ?2)",
            )?
            .query_row((invite, participant.number()), |row| row.get(0))
            .optional()?;
        match person {
            None => {
                let participant = Some(participant);
                let role = Role::Member;
                self.insert_person(&NewPerson {
                    name,
                    family_name: "",
                    role,
                    external_key: None,
                    created_at: now,
                    participant,
                    import: None,
                })?;
            }
            Some(id) => {
                self.connection
                    .prepare_cached("UPDATE people SET participant = ?2 WHERE id = ?1")?
                    .execute((id, participant.number()))?;
                self.connection
                    .prepare_cached(
                        "UPDATE participants SET role = (SELECT role FROM people WHERE id = ?1) WHERE id = ?2",
                    )?
                    .execute((id, participant.number()))?;
            }
        }
        Ok(())
    }

    /// Deletes a person with their invites and memberships; what the participant has is another matter.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_person(&self, id: PersonId) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM people WHERE id = ?1")?.execute([id.0])?;
        Ok(())
    }

    /// Notes an import.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_import(
        &self,
        created_at: UnixMillis,
        account: &str,
        file_name: &str,
    ) -> Result<ImportId, StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO imports (created_at, account, file_name, added, changed, before)
                 VALUES (?1, ?2, ?3, 0, 0, '[]')",
            )?
            .execute((created_at.0, account, file_name))?;
        Ok(ImportId(self.connection.last_insert_rowid()))
    }

    /// Notes what an import did.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn complete_import(
        &self,
        id: ImportId,
        added: u64,
        changed: u64,
        before: &str,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE imports SET added = ?2, changed = ?3, before = ?4 WHERE id = ?1")?
            .execute((id.0, added, changed, before))?;
        Ok(())
    }

    /// Notes that an import was undone.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn mark_import_undone(&self, id: ImportId, at: UnixMillis) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE imports SET undone_at = ?2 WHERE id = ?1")?
            .execute((id.0, at.0))?;
        Ok(())
    }
}
