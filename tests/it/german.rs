//! Who speaks German reads German on the command line; whoever speaks anything else reads what was always said.

use std::process::Output;

use momedo_testing::serving;

use crate::harness::{Server, program, text};

/// What clap says by itself.
const ENGLISH: [&str; 9] = [
    "Usage:",
    "Options:",
    "Commands:",
    "Arguments:",
    "Print ",
    "[default:",
    "[env:",
    "[possible values:",
    "Possible values:",
];

fn german(server: &Server, arguments: &[&str]) -> Output {
    let mut command = program();
    command.env_remove("LC_ALL").env_remove("LC_MESSAGES").env("LANG", "de_DE.UTF-8");
    serving::run(command, server.folder.path(), arguments)
}

/// Help of a command and of all commands below it.
fn pages(server: &Server, path: &[&str], flag: &str, seen: &mut usize) {
    let output = german(server, &[path, &[flag]].concat());
    assert!(output.status.success(), "{path:?}: {}", text(&output.stderr));
    let page = text(&output.stdout);
    assert!(page.contains("\nAufruf: momedo") && page.contains("Optionen:"), "{path:?}: {page}");
    for english in ENGLISH {
        assert!(!page.contains(english), "{path:?} has {english}: {page}");
    }
    *seen += 1;
    let commands = page.split("Befehle:\n").nth(1).unwrap_or_default();
    for line in commands.lines().take_while(|line| !line.is_empty()) {
        let name = line.strip_prefix("  ").and_then(|line| line.split(' ').next()).unwrap();
        if !name.is_empty() && name != "help" {
            pages(server, &[path, &[name]].concat(), flag, seen);
        }
    }
}

#[test]
fn the_help_of_every_command_is_german() {
    let server = Server::unstarted();
    let mut seen = 0;
    pages(&server, &[], "--help", &mut seen);
    assert!(seen > 80, "few commands were found: {seen}");
    let short = text(&german(&server, &["send", "-h"]).stdout);
    assert!(short.contains("Aufruf: momedo send [OPTIONEN] --profile <ORDNER> --to <ZIEL>"), "{short}");
    assert!(short.contains("[Vorgabe: 10]") && short.contains("[Umgebung: MOMEDO_PROFILE]"), "{short}");
    assert!(!short.contains("false"), "{short}");
    let rules = text(&german(&server, &["admin", "rules", "--help"]).stdout);
    assert!(rules.contains("Wie die Leute den Server sehen."), "{rules}");
    let below = text(&german(&server, &["help", "admin", "neighbour"]).stdout);
    assert!(below.contains("Andere Server, mit denen dieser Nachrichten austauscht"), "{below}");
    let page = text(&german(&server, &["man"]).stdout);
    assert!(page.contains("Den Server verwalten, ob er läuft oder nicht"), "{page}");
    assert!(text(&german(&server, &["completions", "zsh"]).stdout).contains("Eine Nachricht senden"));
}

#[test]
fn a_line_that_makes_no_sense_is_explained_in_german_with_the_same_code() {
    let server = Server::unstarted();
    for (line, said) in [
        ("receive --folow", "Fehler: Die Angabe '--folow' gibt es hier nicht"),
        ("receive --follow", "Fehler: Es fehlt:\n  --profile <ORDNER>"),
        (
            "send --profile ada --to X Hallo",
            "'X' geht nicht für '--to <ZIEL>': die ID einer Person hat 8 Buchstaben",
        ),
        ("frobnicate", "Fehler: Den Befehl 'frobnicate' gibt es nicht"),
        ("completions fisch", "[mögliche Werte: bash, elvish, fish"),
        ("admin rules --retention-days viele", "das ist keine ganze Zahl"),
        ("group join --profile ada --group 7QK0M3ZD9XN4 --link x", "geht nicht"),
        ("message list --profile ada --limit", "Für '--limit <ZAHL>' fehlt ein Wert"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let output = german(&server, &words);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {told}");
        assert!(told.contains(said), "{line}: {told}");
        for english in ENGLISH.iter().chain(&["error:", "For more information"]) {
            assert!(!told.contains(english), "{line} has {english}: {told}");
        }
        // Others read what clap says.
        let output = server.run(&words);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(text(&output.stderr).starts_with("error: "), "{line}: {}", text(&output.stderr));
    }
    let similar = text(&german(&server, &["receive", "--folow"]).stderr);
    assert!(
        similar.contains("Ähnlich: '--follow'") && similar.contains("Aufruf: momedo receive"),
        "{similar}"
    );
    // A command that needs another shows its help.
    let output = german(&server, &["admin"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("Befehle:"), "{}", text(&output.stderr));
}

#[test]
fn the_doctor_speaks_german_and_its_json_has_the_names_it_had() {
    let server = Server::unstarted();
    let doctor = ["doctor", "--data-dir", "data", "--listen", "127.0.0.1:0"];
    let said = text(&german(&server, &doctor).stdout);
    for line in [
        "ok  Einstellungen in Ordnung",
        "ok  Server        läuft nicht",
        "ok  Speicher      data lässt sich beschreiben",
        "ok  Datenbank     noch keine; der erste Start legt sie an",
        "ok  Port          127.0.0.1:0 ist frei",
        "ok  Zertifikat    keine Dateien genannt; siehe momedo admin certificate status",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    let json = serving::json(&german(&server, &[&doctor[..], &["--json"]].concat()));
    let checks: Vec<_> = json.iter().map(|line| line["check"].as_str().unwrap()).collect();
    assert_eq!(
        checks,
        ["settings", "clock", "server", "disk", "database", "port", "permissions", "certificate"]
    );
    assert_eq!(json[0]["text"], "in Ordnung");
    // A fault is explained in German as well, down to what the system says.
    std::fs::write(server.data().join("momedo.toml"), "[mail]\nretention_days = 0\n").unwrap();
    let output = german(&server, &doctor);
    let said = text(&output.stdout);
    assert!(
        said.contains("Zeile 2: mail.retention_days = 0 geht nicht, möglich ist 1 bis 3650 Tage"),
        "{said}"
    );
    assert_eq!(text(&output.stderr), "momedo: 1 von 8 Prüfungen fand etwas\n");
    let english = text(&server.run(&doctor).stdout);
    assert!(
        english.contains("ok  clock        shows 20") && english.contains("ok  server       does not run")
    );
}

#[tokio::test]
async fn what_is_done_is_told_in_german() {
    let server = Server::start();
    let invite = server.invite().to_string();
    let register = ["user", "register", "--profile", "ada", "--invite", &invite, "--name", "Ada Lovelace"];
    let said = text(&german(&server, &register).stdout);
    assert!(said.starts_with("Angemeldet als Ada Lovelace mit der ID "), "{said}");
    assert!(said.contains("\nFingerabdruck "), "{said}");
    let ben = server.register_profile(1, "ben").await;
    let id = ben.id().unwrap().to_string();
    let sent = german(&server, &["send", "--profile", "ada", "--to", &id, "--task", "Tafel wischen"]);
    assert_eq!(text(&sent.stdout), "angenommen\n");
    let got = text(&german(&server, &["receive", "--profile", "ben"]).stdout);
    assert!(
        got.starts_with("Ada Lovelace (") && got.contains("[Aufgabe ") && got.ends_with("] Tafel wischen\n"),
        "{got}"
    );
    let task = got.split("[Aufgabe ").nth(1).unwrap().split(']').next().unwrap().to_owned();
    german(&server, &["message", "done", "--profile", "ben", &task]);
    let got = text(&german(&server, &["receive", "--profile", "ada"]).stdout);
    assert_eq!(got, format!("ben ({id}): [Aufgabe {task} ist erledigt]\n"));
    let shown = text(&german(&server, &["message", "show", "--profile", "ada", &task]).stdout);
    assert!(
        shown.starts_with("Aufgabe von Ada Lovelace (")
            && shown.contains(&format!("erledigt, sagt ben ({id})")),
        "{shown}"
    );
    let made = text(&german(&server, &["group", "create", "--profile", "ben", "--name", "Chor"]).stdout);
    assert!(made.starts_with("gegründet: Chor (") && made.ends_with(", 1 Mitglied\n"), "{made}");
    let wrong = german(&server, &["message", "vote", "--profile", "ben", &task, "1"]);
    assert_eq!(text(&wrong.stderr), "momedo: Das geht nicht: diese Nachricht ist keine Umfrage\n");
    let nowhere = german(&server, &["receive", "--profile", "nirgends"]);
    assert_eq!(
        text(&nowhere.stderr),
        "momedo: Das Profil nirgends lässt sich nicht verwenden: es gibt kein Profil; mit `momedo user register` eines \
         anlegen\n"
    );
}

fn admin<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["admin"], arguments, &["--data-dir", "data"]].concat()
}

#[test]
fn admins_read_the_overview_and_the_log_in_their_language() {
    let server = Server::start();
    let overview = text(&german(&server, &admin(&["overview"])).stdout);
    assert_eq!(overview, "Noch ist niemand eingeladen.\n");
    assert_eq!(text(&server.run(&admin(&["overview"])).stdout), "Nobody has been invited yet.\n");
    server.json(&admin(&["rules", "--retention-days", "30", "--name", "Schule am Wald", "--json"]));
    let log = text(&german(&server, &admin(&["log"])).stdout);
    assert!(
        log.contains("\tRegeln geändert\tName des Servers: Schule am Wald; Nachrichten aufheben, Tage: 30\n"),
        "{log}"
    );
    let log = text(&server.run(&admin(&["log"])).stdout);
    assert!(
        log.contains("\trules-changed\tThe server's name: Schule am Wald; Keep messages, days: 30\n"),
        "{log}"
    );
    // Programs read what they read before.
    let log = server.json(&admin(&["log", "--json"]));
    let changed = log.iter().find(|line| line["action"] == "rules-changed").unwrap();
    assert_eq!(changed["subject"], r#"name="Schule am Wald" retention_days=30"#);
    let status = text(&german(&server, &admin(&["status"])).stdout);
    assert!(status.starts_with("Teilnehmende    0 (0 verbunden)\n"), "{status}");
    let refused = german(&server, &admin(&["backup", "verify", "19700101-000000Z"]));
    assert!(text(&refused.stderr).starts_with("momedo: Eine Sicherung namens"), "{}", text(&refused.stderr));
}
