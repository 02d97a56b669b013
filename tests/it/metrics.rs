//! Figures for whoever watches the server: who gets them, and that any program for OpenMetrics can read them.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{Person, Server, refused, request};
use crate::visitor::{Answer, Visitor};

const ON: &str = "[metrics]\nenabled = true\n";

/// Asks for the figures with this header, or none.
fn ask(server: &Server, method: &str, path: &str, header: Option<&str>) -> Answer {
    let mut visitor = Visitor::new(server);
    visitor.headers.extend(header.map(str::to_owned));
    visitor.request(method, path, "", "")
}

fn token(server: &Server) -> String {
    let line = server.json(&["admin", "metrics", "--new-token", "--json", "--data-dir", "data"]).remove(0);
    line["token"].as_str().unwrap().to_owned()
}

fn figures(server: &Server, token: &str) -> Answer {
    ask(server, "GET", "/metrics", Some(&format!("Authorization: Bearer {token}")))
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Labels and values, as far as the words of this program need them: without escapes.
fn labels(text: &str) -> Vec<(&str, &str)> {
    let mut labels = Vec::new();
    for label in text.split(',').filter(|_| !text.is_empty()) {
        let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("no label: {label}"));
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let value = value.unwrap_or_else(|| panic!("no value: {label}"));
        assert!(is_name(name) && !value.contains(['"', '\\', '\n']), "{label}");
        assert!(labels.iter().all(|(other, _)| *other != name), "{text} names {name} twice");
        labels.push((name, value));
    }
    labels
}

/// A family as it is described before its samples.
struct Family<'a> {
    name: &'a str,
    kind: Option<&'a str>,
    unit: Option<&'a str>,
    has_help: bool,
}

impl<'a> Family<'a> {
    fn of(name: &'a str) -> Self {
        assert!(is_name(name), "{name}");
        Self { name, kind: None, unit: None, has_help: false }
    }

    fn describe(&mut self, what: &str, text: &'a str) {
        let is_new = match what {
            "HELP" => !std::mem::replace(&mut self.has_help, true) && !text.is_empty(),
            "TYPE" => self.kind.replace(text).is_none(),
            "UNIT" => self.unit.replace(text).is_none() && self.name.ends_with(&format!("_{text}")),
            _ => false,
        };
        assert!(is_new, "{what} {} {text}", self.name);
    }

    /// What samples of the family are called.
    fn sample_name(&self) -> String {
        assert!(self.has_help, "{} has no help", self.name);
        match self.kind.unwrap_or_else(|| panic!("{} has no type", self.name)) {
            "counter" => format!("{}_total", self.name),
            "gauge" => self.name.to_owned(),
            "info" => format!("{}_info", self.name),
            other => panic!("{} is {other}", self.name),
        }
    }
}

/// Reads OpenMetrics text as strictly as it is written down, and returns all samples by name and labels.
fn read(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    assert!(!body.contains("# EOF") && (body.is_empty() || body.ends_with('\n')), "{body}");
    let (mut seen, mut samples) = (BTreeSet::new(), BTreeMap::new());
    let mut family: Option<Family<'_>> = None;
    let mut has_samples = false;
    for line in body.lines() {
        if let Some(described) = line.strip_prefix("# ") {
            let mut parts = described.splitn(3, ' ');
            let (what, name, rest) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            if has_samples || family.as_ref().is_none_or(|family| family.name != name) {
                assert!(seen.insert(name), "{name} comes twice");
                family = Some(Family::of(name));
                has_samples = false;
            }
            family.as_mut().unwrap().describe(what, rest);
            continue;
        }
        let (named, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
        let (name, given) = match named.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').expect("labels end")),
            None => (named, ""),
        };
        labels(given);
        let family = family.as_ref().expect("a sample follows its family");
        assert_eq!(name, family.sample_name());
        let number: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(number.is_finite() && number >= 0.0, "{line}");
        assert!(family.kind != Some("info") || number == 1.0, "{line}");
        assert!(samples.insert(named.to_owned(), number).is_none(), "{named} comes twice");
        has_samples = true;
    }
    samples
}

#[test]
fn while_it_is_off_the_path_is_like_any_that_does_not_exist() {
    let server = Server::start();
    let token = token(&server);
    let header = format!("Authorization: Bearer {token}");
    let shown = |answer: Answer| {
        let head = answer.head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
        (head.map(str::to_owned).collect::<Vec<_>>(), answer.body)
    };
    for method in ["GET", "POST", "DELETE"] {
        for header in [None, Some(header.as_str())] {
            let answer = ask(&server, method, "/metrics", header);
            assert_eq!(answer.status, 404);
            assert_eq!(shown(answer), shown(ask(&server, method, "/nothing", header)), "{method}");
        }
    }
    server.json(&["admin", "rules", "--metrics", "true", "--data-dir", "data", "--json"]);
    assert_eq!(figures(&server, &token).status, 200, "a rule holds at once");
    server.json(&["admin", "rules", "--metrics", "false", "--data-dir", "data", "--json"]);
    assert_eq!(figures(&server, &token).status, 404);
}

#[test]
fn nobody_gets_figures_without_the_token() {
    let server = Server::start_with(ON);
    let is_refused = |header: Option<&str>| {
        let answer = ask(&server, "GET", "/metrics", header);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")), "{header:?}");
        assert!(!answer.body.contains("momedo_"), "{}", answer.body);
    };
    is_refused(None);
    is_refused(Some("Authorization: Bearer "));
    let (old, new) = (token(&server), token(&server));
    is_refused(None);
    is_refused(Some(&format!("Authorization: Bearer {old}")));
    is_refused(Some(&format!("Authorization: Basic {new}")));
    is_refused(Some(&format!("Authorization: Bearer {}", &new[1..])));
    is_refused(Some(&format!("X-Forwarded-For: 127.0.0.1\r\nCookie: token={new}")));
    assert_eq!(figures(&server, &new).status, 200);
    let posted = ask(&server, "POST", "/metrics", Some(&format!("Authorization: Bearer {new}")));
    assert_eq!(posted.status, 405);
    assert!(!server.log().contains(&new), "the log names no token");
}

#[test]
fn a_token_outlives_the_server_and_stands_nowhere() {
    let mut server = Server::start_with(ON);
    let token = token(&server);
    assert_eq!(server.terminate().0.code(), Some(0));
    for entry in std::fs::read_dir(server.data()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        let found = bytes.windows(token.len()).any(|part| part == token.as_bytes());
        assert!(!found, "{} holds the token", path.display());
    }
    server.launch();
    assert_eq!(figures(&server, &token).status, 200);
    let log = server.json(&["admin", "log", "--data-dir", "data", "--json"]);
    assert!(log.iter().any(|line| line["action"] == "metrics-token-made"), "{log:?}");
}

#[tokio::test]
async fn figures_are_openmetrics_and_count_what_happens() {
    let server = Server::start_with(&format!("{ON}[server]\nname = 'Schule am Wald'\n"));
    let token = token(&server);
    let get = || {
        let answer = figures(&server, &token);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.body
    };
    let before = read(&get());
    assert_eq!((before["momedo_messages_accepted_total"], before["momedo_storage_full"]), (0.0, 0.0));
    assert_eq!(before["momedo_neighbours{state=\"connected\"}"], 0.0);
    for positive in [
        "process_start_time_seconds",
        "momedo_database_bytes",
        "momedo_disk_free_bytes",
        "momedo_certificate_end_time_seconds",
    ] {
        assert!(before[positive] > 0.0, "{positive}");
    }
    let version = format!("momedo_build_info{{version=\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(before.keys().any(|name| name.starts_with(&version)), "{before:?}");

    let mut ada = server.register(0).await;
    let ben = server.register(1).await;
    ada.submit(&ben.bundle, 1024).await.unwrap();
    let reason = refusal(&mut ada, &ben).await;
    let text = get();
    let after = read(&text);
    assert_eq!(after["momedo_messages_accepted_total"], 1.0);
    assert_eq!(after[&format!("momedo_messages_refused_total{{reason=\"{reason}\"}}")], 1.0);
    // Nobody's name or ID, and not the server's either.
    for secret in ["Schule", "Wald", &ada.id().to_string(), &ben.id().to_string()] {
        assert!(!text.contains(secret), "{secret} stands in the figures");
    }
    for name in after.keys() {
        let given = name.split_once('{').map(|(_, rest)| labels(rest.trim_end_matches('}')));
        for (label, _) in given.into_iter().flatten() {
            assert!(["reason", "state", "version", "schema"].contains(&label), "{name}");
        }
    }
}

/// Has a message refused, and returns by which word.
async fn refusal(ada: &mut Person, ben: &Person) -> String {
    let mut other = request(&ben.bundle, 1024);
    other.id = request(&ben.bundle, 1024).id;
    refused(ada.session.submit(&other).await)
}
