//! The `classes` and `class_members` tables: classes, teams, offices.

use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;

use super::{PersonId, ReadTx, StoreError, WriteTx};

/// A class as listed.
#[derive(Debug, Clone)]
pub struct ClassRow {
    /// Names it.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// People in it.
    pub members: u64,
    /// People in it who have registered.
    pub registered: u64,
}

const CLASS: &str = "SELECT c.id, c.name,
    (SELECT count(*) FROM class_members WHERE class = c.id),
    (SELECT count(*) FROM class_members m JOIN people p ON p.id = m.person
     WHERE m.class = c.id AND p.participant IS NOT NULL) FROM classes c";

/// Of names that are one to a reader, the one that is written so goes before.
const NUMBER: &str =
    "SELECT id FROM classes WHERE folded_name = class_key(?1) ORDER BY name = ?1 DESC, id LIMIT 1";

fn class(row: &rusqlite::Row<'_>) -> rusqlite::Result<ClassRow> {
    Ok(ClassRow { id: row.get(0)?, name: row.get(1)?, members: row.get(2)?, registered: row.get(3)? })
}

impl ReadTx<'_> {
    /// Classes whose name contains `search`, by name, and how many there are in all.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_classes(
        &self,
        search: &str,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<ClassRow>, u64), StoreError> {
        let condition = "WHERE finds(c.name, ?1) OR c.folded_name = class_key(?1)";
        let count = format!("SELECT count(*) FROM classes c {condition}");
        let total = self.connection.prepare_cached(&count)?.query_row([search.trim()], |row| row.get(0))?;
        let sql = format!("{CLASS} {condition} ORDER BY c.sort_key, c.id LIMIT ?2 OFFSET ?3");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map((search.trim(), limit, offset), class)?;
        Ok((rows.collect::<Result<_, _>>()?, total))
    }

    /// The class with this number.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_class(&self, id: i64) -> Result<Option<ClassRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{CLASS} WHERE c.id = ?1"))?;
        Ok(statement.query_row([id], class).optional()?)
    }

    /// The number of the class of this name: without counting who is in it, for whoever asks for everybody of a list.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn class_number(&self, name: &str) -> Result<Option<i64>, StoreError> {
        let mut statement = self.connection.prepare_cached(NUMBER)?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    /// The class of this name.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_class_by_name(&self, name: &str) -> Result<Option<ClassRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "{CLASS} WHERE c.folded_name = class_key(?1) ORDER BY c.name = ?1 DESC, c.id LIMIT 1"
        ))?;
        Ok(statement.query_row([name], class).optional()?)
    }

    /// The numbers of a person's classes.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn classes_of(&self, person: PersonId) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT class FROM class_members WHERE person = ?1 ORDER BY class";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([person.0], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Classes that a class list put a person into.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn classes_by_list(&self, person: PersonId) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT class FROM class_members WHERE person = ?1 AND by_list = 1 ORDER BY class";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([person.0], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl WriteTx<'_> {
    /// Adds a class; its number.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_class(&self, name: &str, created_at: UnixMillis) -> Result<i64, StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO classes (name, folded_name, sort_key, created_at)
                 VALUES (?1, class_key(?1), sort_key(?1), ?2)",
            )?
            .execute((name, created_at.0))?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Renames a class.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn rename_class(&self, id: i64, name: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE classes SET name = ?2, folded_name = class_key(?2), sort_key = sort_key(?2) WHERE id = ?1",
            )?
            .execute((id, name))?;
        Ok(())
    }

    /// Deletes a class; its people stay.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_class(&self, id: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM classes WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// Puts a person into a class; false when they were in it already.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn add_to_class(&self, class: i64, person: PersonId) -> Result<bool, StoreError> {
        let added = self
            .connection
            .prepare_cached(
                "INSERT INTO class_members (class, person) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute((class, person.0))?;
        Ok(added == 1)
    }

    /// Puts a person into a class because a list says so; false when they were in it already, and then why
    /// stays as it was.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn add_to_class_by_list(&self, class: i64, person: PersonId) -> Result<bool, StoreError> {
        let added = self
            .connection
            .prepare_cached(
                "INSERT INTO class_members (class, person, by_list) VALUES (?1, ?2, 1) ON CONFLICT DO NOTHING",
            )?
            .execute((class, person.0))?;
        Ok(added == 1)
    }

    /// Takes a person out of a class; false when they were not in it.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn remove_from_class(&self, class: i64, person: PersonId) -> Result<bool, StoreError> {
        let removed = self
            .connection
            .prepare_cached("DELETE FROM class_members WHERE class = ?1 AND person = ?2")?
            .execute((class, person.0))?;
        Ok(removed == 1)
    }

    /// Deletes a class that nobody is in and nobody looks after; for undoing an import.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_class_if_empty(&self, id: i64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "DELETE FROM classes WHERE id = ?1
                 AND NOT EXISTS (SELECT 1 FROM class_members WHERE class = classes.id)
                 AND NOT EXISTS (SELECT 1 FROM account_classes WHERE class = classes.id)",
            )?
            .execute([id])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use crate::domain::role::Role;
    use crate::store::{NewPerson, Store, StoreError, StoreOptions, WriteTx};
    use crate::surroundings::clock::Clock;
    use momedo_protocol::time::UnixMillis;

    fn add(tx: &WriteTx<'_>, class: i64, name: &str) -> Result<(), StoreError> {
        let (role, created_at) = (Role::Member, UnixMillis(0));
        let person = NewPerson {
            name,
            family_name: "",
            role,
            external_key: None,
            created_at,
            participant: None,
            import: None,
        };
        let id = tx.insert_person(&person)?;
        tx.add_to_class_by_list(class, id).map(drop)
    }

    /// Steps of SQLite's machine for what an import asks of each row.
    fn steps(tx: &WriteTx<'_>) -> Result<i32, StoreError> {
        let class = tx.class_number("Stufe")?.unwrap();
        assert!(tx.people_by_name("Kind 3", Some(class), false)?.len() == 1);
        assert!(tx.people_by_name("Niemand", Some(class), true)?.is_empty());
        let [number, person] = [super::NUMBER.to_owned(), crate::store::people::by_name()];
        let mut steps = 0;
        for sql in [number, person] {
            let statement = tx.connection.prepare_cached(&sql)?;
            steps += statement.reset_status(StatementStatus::VmStep);
        }
        assert!(steps > 10, "other statements were asked");
        Ok(steps)
    }

    #[tokio::test]
    async fn a_row_of_a_list_costs_the_same_however_many_are_in_the_class() {
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(folder.path(), Clock::manual(), &StoreOptions::default(), Box::new(|_| {})).unwrap();
        let (few, many) = store
            .write(|tx| {
                let class = tx.insert_class("Stufe", UnixMillis(0))?;
                (0..10).try_for_each(|number| add(tx, class, &format!("Kind {number}")))?;
                let few = steps(tx)?;
                (10..2_000).try_for_each(|number| add(tx, class, &format!("Kind {number}")))?;
                Ok::<_, StoreError>((few, steps(tx)?))
            })
            .await
            .unwrap();
        assert_eq!(few, many);
        store.close().await;
    }
}
