//! What the command line says of itself, and the shape of what it prints for programs: whoever changes it sees so.
//!
//! `MOMEDO_REWRITE=1` writes both anew.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::harness::{Server, program, text};

fn assert_as_kept(name: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/snapshots").join(name);
    if std::env::var_os("MOMEDO_REWRITE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    for (number, (kept, now)) in (1..).zip(kept.lines().zip(now.lines())) {
        assert_eq!(now, kept, "{name}, line {number}; MOMEDO_REWRITE=1 keeps what is now");
    }
    assert_eq!(now.lines().count(), kept.lines().count(), "{name} has become longer or shorter");
}

/// Help of a command and of all commands below it.
fn help(path: &[&str], all: &mut String) {
    let output = program().args(path).arg("--help").env("COLUMNS", "100").output().unwrap();
    assert!(output.status.success(), "{path:?}: {}", text(&output.stderr));
    let page = text(&output.stdout);
    writeln!(all, "=== momedo {}\n{page}", path.join(" ")).unwrap();
    let commands = page.split("Commands:\n").nth(1).unwrap_or_default();
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        let name = line.strip_prefix("  ").and_then(|line| line.split(' ').next()).unwrap();
        if !name.is_empty() && name != "help" {
            help(&[path, &[name]].concat(), all);
        }
    }
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    let mut all = String::new();
    help(&[], &mut all);
    assert!(all.matches("=== momedo").count() > 80, "few commands were found");
    assert_as_kept("help.txt", &all);
}

/// What kind of value stands where.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => json!("nothing"),
        Value::Bool(_) => json!("yes or no"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("text"),
        Value::Array(values) => Value::Array(values.first().map(shape).into_iter().collect()),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect::<Map<_, _>>(),
        ),
    }
}

#[test]
fn what_is_printed_for_programs_has_the_shape_it_had() {
    let server = Server::start();
    std::fs::write(server.folder.path().join("pw"), "Kreide und Schwamm\n").unwrap();
    let commands: &[&[&str]] = &[
        &["setup", "--name", "Schule am Wald", "--password-file", "pw"],
        &["class", "create", "7b"],
        &["participant", "add", "Ada Lovelace", "--class", "7b"],
        &["participant", "invite", "#1"],
        &["participant", "list"],
        &["class", "list"],
        &["account", "add", "weiss", "--password-file", "pw", "--leads", "7b"],
        &["account", "list"],
        &["invite"],
        &["overview"],
        &["listener", "list"],
        &["certificate", "status"],
        &["neighbour", "invite"],
        &["rules"],
        &["log"],
        &["backup", "list"],
        &["group", "list"],
        &["neighbour", "list"],
    ];
    let mut all = String::new();
    for command in commands {
        let line = [&["admin"], *command, &["--data-dir", "data", "--json"]].concat();
        let lines = server.json(&line);
        let shapes: Vec<Value> = lines.iter().take(1).map(shape).collect();
        writeln!(
            all,
            "=== momedo admin {}\n{}",
            command.join(" "),
            serde_json::to_string_pretty(&shapes).unwrap()
        )
        .unwrap();
    }
    assert_as_kept("json.txt", &all);
}
