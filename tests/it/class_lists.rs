//! Class lists as schools have them: what is understood, what is asked, what can be corrected, from page and command line.

use serde_json::Value;

use crate::harness::{Server, text};
use crate::visitor::{Visitor, set_up};

/// Runs an import of these bytes with further arguments; what it printed, and what it noted.
fn run(server: &Server, file: &[u8], arguments: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    std::fs::write(server.profile("list"), file).unwrap();
    let fixed = ["admin", "participant", "import", "--data-dir", "data", "--json", "list"];
    let output = server.run(&[&fixed, arguments].concat());
    let lines = text(&output.stdout);
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code(), lines, text(&output.stderr))
}

/// Each row of a dry run in short.
fn plan(server: &Server, file: &[u8]) -> Vec<String> {
    let (code, rows, notes) = run(server, file, &["--dry-run"]);
    assert_eq!(code, Some(0), "{notes}");
    let word = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| {
            let result = word(row, "result");
            let result = if result.starts_with("error") { "error" } else { &result };
            format!("{} {}/{} {result}", row["line"], word(row, "name"), word(row, "class"))
        })
        .collect()
}

fn people(server: &Server) -> Vec<String> {
    let rows = server.json(&["admin", "participant", "list", "--data-dir", "data", "--json"]);
    rows.iter()
        .map(|row| format!("{} {}", row["name"].as_str().unwrap(), row["classes"].as_str().unwrap()))
        .collect()
}

#[test]
fn lists_of_all_kinds_are_understood() {
    let server = Server::start();
    for (file, expected) in [
        (b"Name;Vorname;Klasse\r\nWaldmann;Tilda;7b\r\n".as_slice(), "2 Tilda Waldmann/7b adds"),
        (b"Nachname|Vorname|Klasse|Geschlecht\r\nSandkorn|Mika|5d|x\r\n", "2 Mika Sandkorn/5d adds"),
        (b"\"SEP=,\"\r\nName,Klasse\r\nAa Bb,7b\r\n", "3 Aa Bb/7b adds"),
        (b"\xef\xbb\xbf\xef\xbb\xbf\"NAME\" ; \"KLASSE\"\r\n\"Aa Bb\" ; \"7b\"\r\n", "2 Aa Bb/7b adds"),
        (b"Name;Klasse\r\nJ\x84ger Bj\x94rn;8c\r\n", "2 J\u{e4}ger Bj\u{f6}rn/8c adds"),
        (b"Name;Klasse\rJ\x8ager Bj\x9arn;8c\r", "2 J\u{e4}ger Bj\u{f6}rn/8c adds"),
        (b"name;longName;foreName;klasse.name\nLovAda;Lovelace;Ada;7b\n", "2 Ada Lovelace/7b adds"),
        (
            b"Schueler_Nachname;Schueler_Vorname;Klassen_Klassenbezeichnung\nLovelace;Ada;07b\n",
            "2 Ada Lovelace/07b adds",
        ),
        (b"Name;Kennung\nAda;1,23457E+11\n", "2 / error"),
    ] {
        assert_eq!(plan(&server, file), [expected]);
    }
}

#[test]
fn what_is_no_list_is_told_by_what_it_is() {
    let server = Server::start();
    for (file, sentence) in [
        (b"PK\x03\x04 and what is no workbook".as_slice(), "workbook that cannot be read"),
        (b"%PDF-1.7\n", "document"),
        (b"<html><body><table>", "web page"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old kind"),
        (b"\x89PNG\r\n\x1a\n", "neither text"),
        (b"", "empty"),
        (b"Name;Klasse\n", "empty"),
    ] {
        let (code, _, notes) = run(&server, file, &["--dry-run"]);
        assert!(code == Some(1) && notes.contains(sentence), "{notes}");
    }
}

#[test]
fn what_is_not_certain_is_asked_and_can_be_said() {
    let server = Server::start();
    let file = b"Lovelace;Ada;7b\nWaldmann;Ben;7b\n";
    let (code, _, notes) = run(&server, file, &[]);
    assert!(
        code == Some(1) && notes.contains("--as-guessed") && notes.contains("Lovelace, Waldmann"),
        "{notes}"
    );
    assert_eq!(run(&server, file, &["--column", "given-name=9"]).0, Some(1));
    assert_eq!(people(&server), [""; 0]);
    let (code, done, notes) =
        run(&server, file, &["--column", "family-name=2", "--column", "given-name=1", "--column", "class=0"]);
    assert_eq!((code, &done[0]["added"]), (Some(0), &2.into()), "{notes}");
    assert_eq!(people(&server), ["Lovelace Ada ", "Waldmann Ben "]);
    // Two columns that could be the class.
    let two = b"Name;Klasse;Klasse\nZora;6b;7b\n";
    let (code, _, notes) = run(&server, two, &[]);
    assert!(code == Some(1) && notes.contains("not read"), "{notes}");
    assert_eq!(run(&server, two, &["--column", "class=3"]).0, Some(0));
    assert_eq!(people(&server)[2], "Zora 7b");
}

#[test]
fn two_people_of_one_name_in_one_class_are_asked_about() {
    let server = Server::start();
    let file = b"Name;Klasse\nAda Lovelace;7b\nADA LOVELACE;07 B\nAda Lovelace;7c\n";
    assert_eq!(
        plan(&server, file),
        ["2 Ada Lovelace/7b adds", "3 ADA LOVELACE/07 B error", "4 Ada Lovelace/7c adds"]
    );
    let add = |arguments: &[&str]| run(&server, file, arguments).1[0].clone();
    let first = add(&["--namesakes"]);
    assert_eq!((&first["added"], &first["faulty"]), (&3.into(), &0.into()));
    let again = add(&["--namesakes"]);
    assert_eq!((&again["added"], &again["unchanged"]), (&0.into(), &3.into()), "{again}");
    let classes = server.json(&["admin", "class", "list", "--data-dir", "data", "--json"]);
    let members: Vec<_> =
        classes.iter().map(|class| (class["name"].as_str().unwrap(), &class["members"])).collect();
    assert_eq!(members, [("7b", &2.into()), ("7c", &1.into())]);
    // Keys tell people apart without asking.
    let keyed = b"Name;Klasse;Kennung\nBen Turing;8a;1\nBen Turing;8a;2\n";
    assert_eq!(run(&server, keyed, &[]).1[0]["added"], 2);
    assert_eq!(run(&server, keyed, &[]).1[0]["unchanged"], 2);
}

#[test]
fn an_undone_list_gives_back_the_family_name_that_was_known() {
    let server = Server::start();
    let import = |file: &str| run(&server, file.as_bytes(), &[]).1.remove(0);
    import("Nachname;Vorname;Kennung\nGarc\u{ed}a M\u{e1}rquez;Ana;1\nGoethe;Jo;2\n");
    let changed = import("Nachname;Vorname;Kennung\nM\u{e1}rquez;Ana Garc\u{ed}a;1\n");
    assert_eq!(changed["changed"], 1);
    assert_eq!(people(&server), ["Jo Goethe ", "Ana Garc\u{ed}a M\u{e1}rquez "]);
    let id = changed["id"].to_string();
    server.json(&["admin", "participant", "undo-import", &id, "--data-dir", "data", "--json"]);
    assert_eq!(people(&server), ["Ana Garc\u{ed}a M\u{e1}rquez ", "Jo Goethe "]);
}

#[test]
fn the_page_shows_what_it_understood_and_lets_it_be_corrected() {
    let server = Server::start();
    set_up(&server);
    let mut admin = Visitor::admin(&server);
    let file = "Wald-Schule\nName;Klasse;Klasse neu\nAda Lovelace;6b;7b\nBen Turing;6b;7b\n";
    let preview = admin.upload("/admin/import", "/admin/import", "list.csv", file);
    assert!(preview.body.contains("not read: 1."), "{}", preview.body);
    let mut form = preview.form("confirm");
    let columns = |form: &[(String, String)]| -> Vec<String> {
        form.iter().filter(|(name, _)| name == "column").map(|(_, value)| value.clone()).collect()
    };
    assert_eq!(columns(&form), ["name", "class", ""]);
    // Changed and confirmed in one go, it is shown once more.
    let mut selects = form.iter_mut().filter(|(name, _)| name == "column").map(|(_, value)| value).skip(1);
    *selects.next().unwrap() = String::new();
    *selects.next().unwrap() = "class".into();
    let again = admin.post_form("/admin/import/confirm", &form);
    assert!(again.status == 200 && again.body.contains(">7b</td>") && !again.body.contains(">6b</td>"));
    assert_eq!(people(&server), [""; 0]);
    let form = again.form("confirm");
    assert_eq!(columns(&form), ["name", "", "class"]);
    let done = admin.post_form("/admin/import/confirm", &form);
    assert_eq!(done.header("location"), Some("/admin/import?done=i.1-2-0-0-0"));
    assert_eq!(people(&server), ["Ada Lovelace 7b", "Ben Turing 7b"]);
    // Under other titles the columns are guessed anew.
    let preview = admin.upload(
        "/admin/import",
        "/admin/import",
        "list.csv",
        "Vorname;Nachname\nName;Klasse\nAda;Lovelace\n",
    );
    let mut form = preview.form("confirm");
    form.iter_mut().find(|(name, _)| name == "titles").unwrap().1 = "2".into();
    let again = admin.post_form("/admin/import/confirm", &form);
    assert_eq!(columns(&again.form("confirm")), ["name", "class"]);
    // A list in which nobody has a name cannot be imported.
    let nameless = admin.upload("/admin/import", "/admin/import", "list.csv", "1;2\n3;4\n");
    assert!(
        nameless.status == 200 && nameless.body.contains("No column was recognised"),
        "{}",
        nameless.body
    );
    let refused = admin.post_form("/admin/import/confirm", &nameless.form("confirm"));
    assert!(refused.status == 422 && refused.body.contains("No column holds names"), "{}", refused.body);
}
