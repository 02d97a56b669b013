//! Databases of every earlier schema, with rows in every table, brought up to date.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;

use super::MIGRATIONS;

/// What a step changes on purpose: in this table and column, this word to that one.
const CHANGED: &[(&str, &str, &str, &str)] = &[
    ("participants", "role", "moderator", "employee"),
    ("people", "role", "moderator", "employee"),
    ("admin_accounts", "role", "moderator", "class-lead"),
];

/// Columns left empty here, since something else of the row excludes them.
const EMPTY: &[(&str, &str)] =
    &[("smoke_messages", "read_tick"), ("outbox", "body"), ("key_backups", "ended_at")];

/// Every table's columns with their values.
type Content = BTreeMap<String, BTreeMap<String, Vec<Value>>>;

fn at(version: usize) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    MIGRATIONS[..version].iter().for_each(|step| connection.execute_batch(step).unwrap());
    connection
}

/// Each table with the words that made it.
fn tables(connection: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = connection.prepare(sql).unwrap();
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    found.map(Result::unwrap).collect()
}

/// Each column with its type.
fn columns(connection: &Connection, table: &str) -> Vec<(String, String)> {
    let mut statement = connection.prepare("SELECT name, type FROM pragma_table_info(?1)").unwrap();
    let found = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    found.map(Result::unwrap).collect()
}

/// A value that the column takes; another one in each row, where there is more than one.
fn value(made_by: &str, column: &str, kind: &str, row: u8) -> Value {
    let after = |words: String| made_by.split_once(words.as_str()).map(|(_, rest)| rest);
    if let Some(rest) = after(format!("({column} IN (")) {
        let choices: Vec<&str> = rest[..rest.find(')').unwrap()].split(", ").collect();
        let chosen = choices[usize::from(row) % choices.len()];
        return match chosen.parse() {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Text(chosen.trim_matches('\'').to_owned()),
        };
    }
    // The only row of its table.
    if let Some(rest) = after(format!("({column} = ")) {
        return Value::Integer(rest[..rest.find(')').unwrap()].parse().unwrap());
    }
    let length = after(format!("length({column}) = "))
        .map(|rest| rest[..rest.find([')', ' ']).unwrap()].parse::<usize>().unwrap());
    match (kind, length) {
        ("INTEGER", _) => Value::Integer(row.into()),
        // Both are JSON, too.
        ("TEXT", Some(length)) => Value::Text(row.to_string().repeat(length)),
        ("TEXT", None) => Value::Text(format!("{{\"row\":{row}}}")),
        (_, length) => Value::Blob(vec![row; length.unwrap_or(32)]),
    }
}

/// Two rows in every table.
fn fill(connection: &Connection) {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    for (table, made_by) in tables(connection) {
        for row in 1..=2 {
            let columns = columns(connection, &table);
            let values = columns.iter().map(|(column, kind)| match EMPTY.contains(&(&table, column)) {
                true => Value::Null,
                false => value(&made_by, column, kind, row),
            });
            let places = vec!["?"; columns.len()].join(", ");
            connection
                .execute(
                    &format!("INSERT OR REPLACE INTO {table} VALUES ({places})"),
                    rusqlite::params_from_iter(values),
                )
                .unwrap_or_else(|error| panic!("{table}: {error}"));
        }
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true).unwrap();
}

fn content(connection: &Connection) -> Content {
    let of_column = |table: &str, column: &str| {
        let mut statement = connection.prepare(&format!("SELECT {column} FROM {table} ORDER BY 1")).unwrap();
        let found = statement.query_map([], |row| row.get(0)).unwrap();
        found.map(Result::unwrap).collect::<Vec<Value>>()
    };
    let of_table = |(table, _): (String, String)| {
        let columns = columns(connection, &table).into_iter();
        let content = columns.map(|(column, _)| (column.clone(), of_column(&table, &column))).collect();
        (table, content)
    };
    tables(connection).into_iter().map(of_table).collect()
}

fn became(table: &str, column: &str, value: &Value) -> Value {
    let word = CHANGED.iter().find(|(of, named, earlier, _)| {
        *of == table && *named == column && *value == Value::Text((*earlier).into())
    });
    word.map_or_else(|| value.clone(), |(.., now)| Value::Text((*now).into()))
}

#[test]
fn every_earlier_database_keeps_what_it_holds() {
    let mut lost = BTreeSet::new();
    for version in 1..MIGRATIONS.len() {
        let connection = at(version);
        fill(&connection);
        let before = content(&connection);
        let is_filled =
            |columns: &BTreeMap<String, Vec<Value>>| columns.values().all(|values| !values.is_empty());
        assert!(before.values().all(is_filled), "schema {version} has an empty table");
        for (number, step) in MIGRATIONS.iter().enumerate().skip(version) {
            connection
                .execute_batch(step)
                .unwrap_or_else(|error| panic!("from {version}, step {}: {error}", number + 1));
        }
        let after = content(&connection);
        for (table, columns) in &before {
            for (column, values) in columns {
                let values: Vec<Value> = values.iter().map(|value| became(table, column, value)).collect();
                let now = after.get(table).and_then(|columns| columns.get(column));
                if now != Some(&values) {
                    lost.insert(format!("{table}.{column} of schema {version}: {values:?}, now {now:?}"));
                }
            }
        }
        let fine: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(fine, "ok", "from {version}");
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn roles_have_their_new_names_wherever_they_are_written() {
    let connection = at(21);
    let before =
        r#"{"people":[{"person":1,"name":["moderator","Ada"],"role":["member","moderator"]}],"classes":[7]}"#;
    let contract = r#"{"everybody":false,"roles":["moderator","bot"],"classes":[3]}"#;
    connection
        .execute(
            "INSERT INTO imports (created_at, account, file_name, added, changed, before)
             VALUES (1, 'admin', 'moderator', 0, 1, ?1), (2, 'admin', '7b.csv', 0, 0, '{}')",
            [before],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO neighbours (id, name, addresses, ours, theirs, decision, contract, added_at)
             VALUES (zeroblob(32), 'moderator', '[]', 1, 1, 'active', ?1, 1)",
            [contract],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO audit_log (at, account, action, subject) VALUES (1, 'a', 'chat-deleted', 'b')",
            [],
        )
        .unwrap();
    MIGRATIONS[21..].iter().for_each(|step| connection.execute_batch(step).unwrap());
    let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(
        text("SELECT before FROM imports WHERE id = 1"),
        before.replace(r#","moderator"]"#, r#","employee"]"#)
    );
    assert_eq!(text("SELECT before FROM imports WHERE id = 2"), "{}");
    assert_eq!(text("SELECT contract FROM neighbours"), contract.replace("moderator", "employee"));
    assert_eq!(text("SELECT name FROM neighbours"), "moderator");
    assert_eq!(text("SELECT action FROM audit_log"), "group-deleted");
}
