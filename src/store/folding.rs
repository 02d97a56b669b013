//! How SQLite comes to names as [`folding`] folds, finds and sorts them: functions of its own, called as those there.
//!
//! Statements call them; the schema does not, so that every other program can still read and check the file. What is
//! stored of them is made anew when they give something else than they did: after an older momedo, and after newer
//! Unicode tables.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};

use super::{StoreError, settings};
use crate::domain::folding::{self, Query};

/// Every column filled by them.
const STORED: &str = "
    UPDATE people SET folded_name = folded(name), sort_key = person_sort_key(name, family_name);
    UPDATE classes SET folded_name = class_key(name), sort_key = sort_key(name);
    UPDATE groups SET sort_key = sort_key(name);
    UPDATE smoke_participants SET sort_key = sort_key(name);";

/// Gives a connection the functions.
pub(super) fn register(connection: &Connection) -> Result<(), StoreError> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    let one = |name: &str, function: fn(&str) -> String| {
        connection.create_scalar_function(name, 1, flags, move |context| Ok(text(context, 0)?.map(function)))
    };
    one("folded", folding::folded)?;
    one("class_key", folding::class_key)?;
    connection.create_scalar_function("sort_key", 1, flags, |context| {
        Ok(text(context, 0)?.map(folding::sort_key))
    })?;
    connection.create_scalar_function("person_sort_key", 2, flags, |context| {
        let family_name = text(context, 1)?.unwrap_or_default();
        Ok(text(context, 0)?.map(|name| folding::person_sort_key(name, family_name)))
    })?;
    connection.create_scalar_function("finds", 2, flags, |context| {
        // What is searched for is the same in every row.
        let query = context.get_or_create_aux(1, |typed| {
            Ok::<_, rusqlite::Error>(Query::new(typed.as_str_or_null()?.unwrap_or_default()))
        })?;
        Ok(text(context, 0)?.is_some_and(|text| folding::finds(text, &query)))
    })?;
    Ok(())
}

fn text<'a>(context: &'a Context<'_>, argument: usize) -> rusqlite::Result<Option<&'a str>> {
    Ok(context.get_raw(argument).as_str_or_null()?)
}

/// Makes anew what was stored by other functions than these.
pub(super) fn refresh(connection: &mut Connection) -> Result<(), StoreError> {
    if settings::folding_version(connection)? == Some(folding::VERSION) {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    transaction.execute_batch(STORED)?;
    settings::set_folding_version(&transaction, folding::VERSION)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrations::MIGRATIONS;
    use crate::store::open::{self, APPLICATION_ID};
    use crate::store::{PeopleFilter, Store, StoreOptions};
    use crate::surroundings::clock::Clock;

    fn names(connection: &Connection, table: &str) -> Vec<String> {
        let sql = format!("SELECT name FROM {table} ORDER BY sort_key, id");
        let mut statement = connection.prepare(&sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[tokio::test]
    async fn an_older_database_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("momedo.db");
        let old = Connection::open(&path).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", 19).unwrap();
        MIGRATIONS[..19].iter().for_each(|step| old.execute_batch(step).unwrap());
        old.execute_batch(
            "INSERT INTO people (name, folded_name, role, created_at)
                 SELECT value, lower(value), 'member', 0 FROM json_each('[\"Zander\", \"ÄRGER\", \"Bauer\", \"Öztürk\"]');
             INSERT INTO classes (name, created_at) VALUES ('10a', 0), ('5a', 0), ('Ältere', 0), ('Mädchen', 0);
             INSERT INTO groups (id, name, number, state, open, created_at)
                 VALUES (1, 'Zirkus', 0, '', 0, 0), (2, 'Übersetzer', 0, '', 0, 0), (3, 'chor', 0, '', 1, 0);
             INSERT INTO smoke_participants (smoke_id, name, stream, origin, created_at)
                 SELECT hex(randomblob(19)) || key, value, zeroblob(96), 'added', 0
                 FROM json_each('[\"Zoë\", \"Émile\", \"frida\"]');",
        )
        .unwrap();
        drop(old);
        let open = || Store::open(folder.path(), Clock::manual(), &StoreOptions::default(), Box::new(|_| {}));
        let store = open().unwrap();
        let listed = |search: &str| PeopleFilter { search: search.into(), ..PeopleFilter::default() };
        for search in ["ärger", "A\u{308}rger", "ÄRG"] {
            let filter = listed(search);
            let found = store.read(move |tx| tx.list_people(&filter, 0, 9)).await.unwrap();
            assert_eq!(found.1, 1, "{search}");
            assert_eq!(found.0[0].name, "ÄRGER");
        }
        store.close().await;
        let file = Connection::open(&path).unwrap();
        assert_eq!(names(&file, "people"), ["ÄRGER", "Bauer", "Öztürk", "Zander"]);
        assert_eq!(names(&file, "classes"), ["5a", "10a", "Ältere", "Mädchen"]);
        assert_eq!(names(&file, "groups"), ["chor", "Übersetzer", "Zirkus"]);
        assert_eq!(names(&file, "smoke_participants"), ["Émile", "frida", "Zoë"]);
        // As after an update whose functions give something else.
        settings::set_folding_version(&file, folding::VERSION - 1).unwrap();
        file.execute_batch("UPDATE people SET sort_key = x'', folded_name = name").unwrap();
        drop(file);
        open().unwrap().close().await;
        let file = Connection::open(&path).unwrap();
        assert_eq!(names(&file, "people"), ["ÄRGER", "Bauer", "Öztürk", "Zander"]);
        let folded: String = file
            .query_row("SELECT folded_name FROM people WHERE name = 'Öztürk'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(folded, "öztürk");
    }

    #[test]
    fn pages_of_lists_are_read_in_order_of_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open::writer(&folder.path().join("momedo.db"), &StoreOptions::default()).unwrap();
        for (table, of) in [("people", ""), ("classes", ""), ("groups", ""), ("groups", "WHERE open = 1")] {
            let sql = format!(
                "EXPLAIN QUERY PLAN SELECT * FROM {table} {of} ORDER BY sort_key, id LIMIT 50 OFFSET 2000"
            );
            let plan: String = connection.query_row(&sql, [], |row| row.get("detail")).unwrap();
            assert!(plan.starts_with(&format!("SCAN {table} USING INDEX")), "{plan}");
        }
    }
}
