//! The rooms of the program: who may name what, and that nobody changes anything without a proof of who asks.
//!
//! Reads the sources, so that what is said in `docs/architecture.md` stays true without anybody having to remember it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The program's files by their path in `src`, without their unit tests.
pub(super) fn files() -> BTreeMap<String, String> {
    files_of("src")
}

/// The same of another folder of the repository.
pub(super) fn files_of(folder: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    sources(&root, &mut found);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let is_for_tests = name.ends_with("tests.rs") || name.starts_with("testing");
        (!is_for_tests).then(|| (name, lines.collect::<Vec<_>>().join("\n")))
    };
    found.into_iter().filter_map(read).collect()
}

/// The room a file is in: its folder, or the file itself.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// What may be named, and in which rooms alone.
const ARROWS: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    ("axum::", &["admin", "http", "server"]),
    ("askama", &["admin", "http"]),
    ("prometheus_client", &["http"]),
    // An enum that the command line takes says so where it stands.
    ("clap::", &["cli", "main", "service", "surroundings"]),
    (".store.read(", &["service"]),
    (".store.write(", &["service"]),
    (".store.write_decided(", &["service"]),
    (".store.write_freeing(", &["service"]),
    ("crate::admin", &["admin", "server"]),
    ("crate::cli", &["cli", "main"]),
    // Whoever serves knows the doors; no door knows who serves.
    ("crate::server", &["cli", "server"]),
    // What somebody's data mean in words, the command line writes as the API does.
    ("crate::http", &["admin", "cli", "http", "server"]),
];

/// Rooms and the only rooms of this program that they may name.
const ALONE: &[(&str, &[&str])] = &[
    // The rules know nothing but each other.
    ("domain", &["domain"]),
    // The store knows the rules, what the machine has (a clock, and what may be on a disk), and words for what fails.
    ("store", &["domain", "store", "surroundings", "texts"]),
    // What is in memory knows no store but the rows it hands on, and no door.
    ("live", LIVE),
];

const LIVE: &[&str] = &["domain", "live", "settings", "store"];

#[test]
fn what_a_room_is_for_is_named_in_no_other() {
    let mut wrong = Vec::new();
    for (file, text) in files() {
        for (what, rooms) in ARROWS {
            if text.contains(what) && !rooms.contains(&room(&file)) {
                wrong.push(format!("{file} names {what}"));
            }
        }
        for (_, allowed) in ALONE.iter().filter(|(alone, _)| *alone == room(&file)) {
            let named = text.split("crate::").skip(1);
            let named =
                named.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap());
            wrong.extend(
                named
                    .filter(|named| !named.is_empty() && !allowed.contains(named))
                    .map(|named| format!("{file} names {named}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A function as it stands in a file.
struct Function {
    is_public: bool,
    head: String,
    body: String,
}

/// The functions of a file, by name; those inside of others belong to them.
fn functions(text: &str) -> BTreeMap<String, Function> {
    let lines: Vec<_> = text.lines().collect();
    let (mut found, mut at) = (BTreeMap::new(), 0);
    while let Some(line) = lines.get(at) {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let is_public = code.starts_with("pub");
        let rest = code.split_once("fn ").filter(|(before, _)| {
            let words = before.split_whitespace();
            words.into_iter().all(|word| word.starts_with("pub") || word == "async" || word.ends_with(')'))
        });
        if let Some((_, rest)) = rest {
            let end = format!("{indent}}}");
            let length = lines[at..].iter().position(|line| *line == end).unwrap_or(0);
            let whole = lines[at..=at + length].join("\n");
            let (head, body) = whole.split_once("{\n").unwrap_or((&whole, ""));
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            let function = Function { is_public, head: head.into(), body: body.into() };
            found.insert(name.to_owned(), function);
            at += length;
        }
        at += 1;
    }
    found
}

/// Whether `body` calls the function `name` of its own file.
fn calls(body: &str, name: &str) -> bool {
    body.match_indices(&format!("{name}(")).any(|(at, _)| {
        let before = &body[..at];
        let is_own = before.ends_with("self.") || before.ends_with("Self::");
        is_own || !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':'))
    })
}

/// Use cases of a file that change something in the store, themselves or through another function of the file.
fn writers(text: &str) -> Vec<(String, Function)> {
    let mut functions = functions(text);
    let is_writing = |function: &Function| {
        ["write(", "write_decided(", "write_freeing("].iter().any(|write| {
            let at = function.body.match_indices(write);
            at.into_iter().any(|(at, _)| function.body[..at].ends_with('.'))
        })
    };
    let mut writing: BTreeSet<String> =
        functions.iter().filter(|(_, one)| is_writing(one)).map(|(name, _)| name.clone()).collect();
    loop {
        let through: BTreeSet<String> = functions
            .iter()
            .filter(|(_, one)| writing.iter().any(|name| calls(&one.body, name)))
            .map(|(name, _)| name.clone())
            .collect();
        let before = writing.len();
        writing.extend(through);
        if writing.len() == before {
            break;
        }
    }
    functions.retain(|name, one| one.is_public && writing.contains(name) && one.head.contains("app:"));
    functions.into_iter().collect()
}

/// What proves who asks.
const PROOFS: [&str; 5] = ["Admin", "Staff", "RecentlyConfirmed", "Principal", "Actor"];

/// Use cases that change something and take no proof, by the room in `service` they are in; with who asks instead.
const WITHOUT: &[(&str, &[&str])] = &[
    // The server itself, by the clock or its settings.
    ("acme", &["keep_up", "obtain"]),
    ("backup", &["keep_up"]),
    ("blobs", &["expire"]),
    ("certificates", &["renew"]),
    ("key_log", &["begin"]),
    ("link_address", &["remember"]),
    ("neighbours::nearby", &["expire"]),
    ("neighbours::receipts", &["expire"]),
    ("smoke::mail", &["expire"]),
    ("upkeep", &["expire"]),
    ("second_home::failing_over", &["fail_over"]),
    ("second_home::placing", &["tell_all", "tell_of"]),
    ("neighbours::forgetting", &["tell_all"]),
    // Whoever holds the control socket: makes the proof.
    ("administration", &["execute"]),
    // Whoever proves it by what the request carries: a password, a code, an invite, a signature.
    ("accounts", &["log_in"]),
    ("login", &["log_in"]),
    ("devices", &["add"]),
    ("key_backup", &["fetch"]),
    ("registration", &["reserve"]),
    ("set_up", &["with_code"]),
    ("key_server", &["prove", "store_mceliece_key"]),
    ("restored::keys", &["come_back"]),
    ("restored::log", &["take"]),
    // A neighbour, whose link proves its key, or another home that signed.
    ("neighbours::attachments", &["fetch_from", "taken_by"]),
    ("neighbours::finding", &["answer"]),
    ("neighbours::finding_groups", &["answer_group", "learn_from"]),
    ("neighbours::greeting", &["greeted", "note_standing", "pair"]),
    ("neighbours::key_logs", &["follow", "take_head", "vouch"]),
    ("neighbours::receipts", &["no_way", "take"]),
    ("neighbours::receiving", &["take"]),
    ("neighbours::relaying", &["relay"]),
    ("neighbours::sending", &["answer_taken"]),
    ("neighbours::forgetting", &["forget"]),
    ("reports", &["report_from"]),
    ("restored::keys", &["come_back_from"]),
    ("restored::neighbours", &["hear"]),
    ("second_home::standing_in", &["end", "place"]),
    // Another use case that has the proof; what is noted is nobody's but the server's.
    ("activity", &["end"]),
    ("audit", &["note", "note_later"]),
    ("key_server", &["own_keys"]),
    ("neighbours::finding", &["find", "find_again", "keys_of"]),
    ("neighbours::finding_groups", &["group_home"]),
    ("neighbours::finding_mceliece", &["key"]),
    ("neighbours::forgetting", &["note_told"]),
    ("neighbours::receipts", &["return_queued"]),
    // Smoke clients and neighbours, as the original protocol lets them.
    ("smoke::keys", &["publish"]),
    ("smoke::mail", &["keep", "note_read", "release"]),
    ("smoke::neighbours", &["pin"]),
    ("smoke::participants", &["share"]),
];

#[test]
fn nobody_changes_anything_without_a_proof_of_who_asks() {
    let known: BTreeSet<String> = WITHOUT
        .iter()
        .flat_map(|(room, names)| names.iter().map(move |name| format!("{room}::{name}")))
        .collect();
    let mut found = BTreeSet::new();
    for (file, text) in files() {
        let Some(room) = file.strip_prefix("service/") else { continue };
        let room = room.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
        for (name, function) in writers(&text) {
            let words = || function.head.split(|c: char| !c.is_alphanumeric());
            if !words().any(|word| PROOFS.contains(&word)) {
                found.insert(format!("{room}::{name}"));
            }
        }
    }
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "these change something and take no proof of who asks: {new:#?}");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "these take a proof, change nothing or are gone: {gone:#?}");
}

#[test]
fn a_use_case_that_takes_no_proof_is_found() {
    let text = "pub async fn end(app: &App, id: u8) -> Result<(), ServiceError> {\n    keep(app, id).await\n}\n\n\
                async fn keep(app: &App, id: u8) -> Result<(), ServiceError> {\n    app.store.write(move |tx| tx.put(id)).await\n}\n\n\
                pub async fn look(app: &App) -> u8 {\n    app.store.read(|tx| tx.one()).await\n}";
    let names: Vec<_> = writers(text).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["end"]);
}
