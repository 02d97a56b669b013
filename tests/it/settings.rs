//! Settings: what is refused, where each value comes from, and that every door knows the same ones.

use std::collections::BTreeSet;

use momedo::settings::{self, Page, SETTINGS};
use serde_json::json;

use crate::harness::{Server, program, text};
use crate::visitor::{Visitor, set_up};

/// What made a server say "ready" and refuse everybody.
const SENSELESS: [(&str, &str); 4] = [
    (
        "[listen]\nmax_connections = 0\n",
        "line 2: listen.max_connections = 0 is out of its range, 1 to 1000000",
    ),
    (
        "[mail]\nmax_queue_bytes = 0\n",
        "line 2: mail.max_queue_bytes = 0 is out of its range, 4096 to 10737418240 bytes",
    ),
    (
        "[blobs]\nmax_participant_bytes = 0\n",
        "line 2: blobs.max_participant_bytes = 0 is out of its range, 4096 to 1099511627776 bytes",
    ),
    (
        "[rates]\nmessages = { per_minute = 0, burst = 0 }\n",
        "line 2: rates.messages.per_minute = 0 is out of its range, 1 to 100000000; line 2: rates.messages.burst = 0",
    ),
];

#[test]
fn settings_that_would_refuse_everybody_are_refused_by_the_doctor_and_by_the_server() {
    let folder = tempfile::tempdir().unwrap();
    for (lines, expected) in SENSELESS {
        std::fs::write(folder.path().join("momedo.toml"), lines).unwrap();
        let run = |arguments: &[&str]| {
            program().args(arguments).arg("--data-dir").arg(folder.path()).output().unwrap()
        };
        let doctor = run(&["doctor", "--listen", "127.0.0.1:0"]);
        let said = text(&doctor.stdout);
        assert_eq!(doctor.status.code(), Some(1), "{said}");
        assert!(said.contains("!!  settings") && said.contains(expected), "{said}");
        let server = run(&["serve", "--listen", "127.0.0.1:0"]);
        let said = text(&server.stderr);
        assert!(server.status.code() == Some(1) && server.stdout.is_empty(), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn the_doctor_reads_the_file_and_the_addresses_that_the_server_would() {
    let server = Server::unstarted();
    std::fs::write(server.folder.path().join("other.toml"), "[backup]\nkeep = 0\n").unwrap();
    let said = text(&server.run(&["doctor", "--data-dir", "data", "--config", "other.toml"]).stdout);
    assert!(said.contains("other.toml: line 2: backup.keep = 0"), "{said}");
    let said = text(&server.run(&["doctor", "--data-dir", "data", "--listen", "127.0.0.1:0"]).stdout);
    assert!(said.contains("ok  port         127.0.0.1:0"), "{said}");
}

/// A setting of `momedo config show --origin --json`.
fn shown(server: &Server, setting: &str) -> serde_json::Value {
    let lines = server.json(&["config", "show", "--origin", "--json", "--data-dir", "data"]);
    let names: Vec<_> = lines.iter().map(|line| line["setting"].as_str().unwrap().to_owned()).collect();
    assert!(names.iter().eq(SETTINGS.iter().map(|setting| setting.name)), "{names:?}");
    let at = names.iter().position(|name| name == setting).unwrap();
    json!([lines[at]["value"], lines[at]["origin"]])
}

#[test]
fn the_origin_of_every_value_is_told_beside_a_server_and_without_one() {
    let mut server = Server::unstarted();
    let file = server.data().join("momedo.toml");
    std::fs::write(&file, "[mail]\nretention_days = 10\n[neighbours]\nproxy = 'http://ada:geheim@proxy:1'\n")
        .unwrap();
    assert_eq!(shown(&server, "mail.retention_days"), json!([10, "momedo.toml"]));
    assert_eq!(shown(&server, "rules.invite_days"), json!([30, "default"]));
    assert_eq!(shown(&server, "neighbours.proxy"), json!(["http://proxy:1", "momedo.toml"]));
    let left: Vec<_> = std::fs::read_dir(server.data()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [file], "looking leaves nothing behind");
    server.launch();
    server.json(&[
        "admin",
        "rules",
        "--invite-days",
        "7",
        "--queue-mib",
        "3",
        "--data-dir",
        "data",
        "--json",
    ]);
    for runs in [true, false] {
        if !runs {
            server.kill();
        }
        assert_eq!(shown(&server, "mail.retention_days"), json!([10, "momedo.toml"]), "{runs}");
        assert_eq!(shown(&server, "rules.invite_days"), json!([7, "page"]), "{runs}");
        assert_eq!(shown(&server, "mail.max_queue_bytes"), json!([3 << 20, "page"]), "{runs}");
        assert_eq!(shown(&server, "backup.keep"), json!([7, "default"]), "{runs}");
        let origin = &shown(&server, "listen.addresses")[1];
        assert_eq!(origin, if runs { "command line" } else { "default" });
    }
    let lines = text(&server.run(&["config", "show", "--origin", "--explain", "--data-dir", "data"]).stdout);
    let line = lines.lines().find(|line| line.starts_with("mail.retention_days")).unwrap();
    assert!(line.split_whitespace().eq(["mail.retention_days", "10", "days", "momedo.toml"]), "{line}");
    assert!(lines.contains("outlast the summer holidays. (1 to 3650 days)"), "{lines}");
    let plain = server.json(&["config", "show", "--json", "--data-dir", "data"]);
    assert!(plain.iter().all(|line| line.get("origin").is_none()));
}

#[test]
fn the_sample_is_a_file_that_the_server_takes() {
    let server = Server::unstarted();
    let sample = server.run(&["config", "sample"]).stdout;
    assert!(text(&sample).contains("retention_days = 90"));
    std::fs::write(server.data().join("momedo.toml"), &sample).unwrap();
    assert_eq!(shown(&server, "backup.every_hours"), json!([24, "momedo.toml"]));
    assert_eq!(shown(&server, "acme.directory")[1], "default");
}

/// What stands between `before` and `after`, each time.
fn between(text: &str, before: &str, after: char) -> BTreeSet<String> {
    let rests = text.split(before).skip(1);
    rests.filter_map(|rest| rest.split(after).next()).map(str::to_owned).collect()
}

#[test]
fn form_flags_and_json_name_the_same_settings() {
    let server = Server::start();
    set_up(&server);
    let all: BTreeSet<_> = settings::changeable().map(|(_, rule)| rule.name.to_owned()).collect();
    let lines = server.json(&["admin", "rules", "--json", "--data-dir", "data"]);
    let names: BTreeSet<_> = lines[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, all);
    let help = text(&server.run(&["admin", "rules", "--help"]).stdout);
    // As wide as the terminal.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let flags: BTreeSet<_> = between(&help, "--", ' ');
    for (setting, rule) in settings::changeable() {
        assert!(flags.contains(rule.flag), "{} is no flag of {help}", rule.flag);
        if let Some(range) = setting.kind.rule_range() {
            assert!(help.contains(&range.to_string()), "{range} does not stand in {help}");
        }
    }
    let page = Visitor::admin(&server).get("/admin/rules").body;
    // Beside the menu.
    let page = page.split_once("<main").unwrap().1;
    let fields = between(page, "<label for=\"", '"');
    let on_page = settings::changeable().filter(|(setting, _)| setting.page == Some(Page::Rules));
    assert_eq!(fields, on_page.map(|(_, rule)| rule.name.to_owned()).collect());
    assert!(page.contains(r#"value="0" type="number" min="0" max="104857600""#), "{page}");
}
