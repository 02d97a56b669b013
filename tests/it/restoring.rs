//! Restoring from the page: verified, confirmed, and taken by the next start, whatever is killed in between.

use std::path::Path;
use std::time::Instant;

use momedo::server::running;
use momedo::service::accounts::{self, Caller, Credentials};
use momedo::service::backup;
use momedo::settings::config::Config;
use momedo::surroundings::clock::Clock;
use zeroize::Zeroizing;

use crate::harness::{PATIENCE, Server, recently_confirmed};
use crate::visitor::{PASSWORD, Visitor, set_up};

const NAME: &str = "Schule am Wald";

/// A server that knows Ada, a backup of it, and Ben who came later.
fn prepared() -> (Server, String) {
    let server = Server::start();
    set_up(&server);
    add(&server, "Ada");
    let made = server.json(&["admin", "backup", "now", "--data-dir", "data", "--json"]).remove(0);
    add(&server, "Ben");
    (server, made["name"].as_str().unwrap().to_owned())
}

fn add(server: &Server, name: &str) {
    server.json(&["admin", "participant", "add", name, "--data-dir", "data", "--json"]);
}

fn people(server: &Server) -> Vec<String> {
    let list = server.json(&["admin", "participant", "list", "--data-dir", "data", "--json"]);
    list.iter().map(|line| line["name"].as_str().unwrap().to_owned()).collect()
}

/// How often the log tells of each action.
fn told(server: &Server, action: &str) -> usize {
    let log = server.json(&["admin", "log", "--data-dir", "data", "--json"]);
    log.iter().filter(|line| line["action"] == action && line["account"] == "admin").count()
}

/// Files of a restore that is prepared or wanted.
fn waiting(data: &Path) -> Vec<String> {
    let names = std::fs::read_dir(data).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("restore") || name.starts_with("unfinished")).collect()
}

/// Whether the server is there, by a connection alone: a command would take its data in between.
fn wait_until_back(server: &Server, log_lines: usize) {
    let deadline = Instant::now() + PATIENCE;
    while server.log().matches("serving").count() < log_lines {
        assert!(Instant::now() < deadline, "the server did not come back");
    }
}

fn confirm(admin: &mut Visitor<'_>, id: &str, server: &str) -> crate::visitor::Answer {
    admin.submit("/admin/backup", "/admin/backup/restore/confirm", &[("id", id), ("server", server)])
}

#[test]
fn a_backup_is_restored_from_the_page_and_the_log_says_by_whom() {
    let (mut server, name) = prepared();
    let address = server.address.clone();
    let mut admin = Visitor::admin(&server);
    let shown = admin.submit("/admin/backup", "/admin/backup/restore", &[("name", &name)]);
    assert_eq!(shown.status, 200, "{}", shown.body);
    let id = shown.field("id");
    // A slip is not enough; tests/it/confirming.rs has the thief at an unlocked screen.
    for (id, typed) in [(&*id, "momedo"), ("00", NAME)] {
        let refused = confirm(&mut admin, id, typed);
        assert_eq!(refused.status, 422, "{typed}: {}", refused.body);
    }
    let fields = [("id", id.as_str()), ("server", NAME)];
    assert_eq!(admin.post("/admin/backup/restore/confirm", &fields).status, 403);
    assert_eq!(people(&server), ["Ada", "Ben"]);
    let done = confirm(&mut admin, &id, NAME);
    assert_eq!(done.status, 200, "{}", done.body);
    assert!(done.header("refresh").is_some_and(|to| to.ends_with("url=/admin")));
    wait_until_back(&server, 2);
    assert_eq!((server.address.as_str(), people(&server)), (address.as_str(), vec!["Ada".to_owned()]));
    assert_eq!((told(&server, "backup-restored"), told(&server, "restore-confirmed")), (1, 0));
    assert_eq!(waiting(&server.data()), Vec::<String>::new());
    // Every session ended; the password is the one of the backup.
    assert!(admin.get("/admin").body.contains("id=\"login\""));
    let mut admin = Visitor::admin(&server);
    assert!(admin.get("/admin/log").body.contains("backup restored"));
    // What was there is kept.
    let kept = std::fs::read_dir(server.data())
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_str().is_some_and(|name| name.starts_with("replaced-")));
    assert!(kept);
    // It is the same process, and stops when it is told to.
    assert_eq!(server.terminate().0.code(), Some(0));
}

#[test]
fn a_downloaded_file_is_checked_before_anything_else() {
    let (server, name) = prepared();
    std::fs::write(server.profile("passphrase"), "eine lange Passphrase\n").unwrap();
    let export = ["admin", "backup", "export", &name, "--to", "sealed", "--passphrase-file", "passphrase"];
    server.json(&[&export[..], &["--data-dir", "data", "--json"]].concat());
    let sealed = std::fs::read(server.profile("sealed")).unwrap();
    let mut admin = Visitor::admin(&server);
    for (passphrase, file, words) in [
        ("", &sealed[..], "its passphrase is needed"),
        ("eine andere Passphrase", &sealed, "cannot be opened"),
        ("", b"no backup", "cannot be used"),
        ("eine lange Passphrase", &sealed[..sealed.len() / 2], "cannot be opened"),
    ] {
        let refused = admin.upload_backup(passphrase, file);
        assert_eq!(refused.status, 422, "{words}: {}", refused.body);
        assert!(refused.body.contains(words), "{words}: {}", refused.body);
    }
    assert_eq!(waiting(&server.data()), Vec::<String>::new());
    // Given up, nothing stays behind; a second one takes the place of the first.
    let first = admin.upload_backup("eine lange Passphrase", &sealed);
    let second = admin.upload_backup("eine lange Passphrase", &sealed);
    assert_eq!((first.status, second.status), (200, 200), "{}", second.body);
    assert_eq!(waiting(&server.data()).len(), 1);
    assert_eq!(confirm(&mut admin, &first.field("id"), NAME).status, 422);
    assert_eq!(admin.submit("/admin/backup", "/admin/backup/restore/cancel", &[]).status, 303);
    assert_eq!(waiting(&server.data()), Vec::<String>::new());
    let third = admin.upload_backup("eine lange Passphrase", &sealed);
    assert_eq!(confirm(&mut admin, &third.field("id"), NAME).status, 200);
    wait_until_back(&server, 2);
    assert_eq!(people(&server), ["Ada"]);
}

#[test]
fn a_server_that_moves_is_restored_where_a_new_one_would_be_set_up() {
    let (old, name) = prepared();
    std::fs::write(old.profile("passphrase"), "eine lange Passphrase\n").unwrap();
    let export = ["admin", "backup", "export", &name, "--to", "sealed", "--passphrase-file", "passphrase"];
    old.json(&[&export[..], &["--data-dir", "data", "--json"]].concat());
    let sealed = std::fs::read(old.profile("sealed")).unwrap();
    drop(old);
    let server = Server::start();
    let log = server.log();
    let code = log.split("enter the code ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let mut person = Visitor::new(&server);
    let first = person.get(&format!("/admin/setup?code={code}"));
    assert!(first.body.contains(&format!("href=\"/admin/setup/restore?code={code}\"")), "{}", first.body);
    // Without the code, or with a wrong one, it is asked for.
    assert!(person.get("/admin/setup/restore").body.contains("id=\"code-form\""));
    let wrong = person.get("/admin/setup/restore?code=0000-0000-0000");
    assert!(wrong.status == 422 && wrong.body.contains("id=\"code-form\""), "{}", wrong.body);
    let chosen = person.get(&format!("/admin/setup/restore?code={code}"));
    assert!(chosen.body.contains("id=\"restore\""), "{}", chosen.body);
    let form = person.cookies["__Host-momedo-form"].clone();
    let passphrase = ("passphrase", "eine lange Passphrase");
    let at = |form: &str, code: &str| format!("/admin/setup/restore/upload?form={form}&code={code}");
    // Neither another page nor somebody without the code, and of their files nothing is read: this one never ends.
    let endless = vec![b'x'; 64 * 1024];
    for (path, status) in [
        (at("another", &code), 403),
        ("/admin/setup/restore/upload".to_owned(), 403),
        (at(&form, "0000-0000-0000"), 422),
    ] {
        let refused = person.request("POST", &path, "multipart/form-data; boundary=never", &endless);
        assert_eq!(refused.status, status, "{path}: {}", refused.body);
    }
    let upload = at(&form, &code);
    for fields in [vec![("passphrase", "eine andere Passphrase")], Vec::new()] {
        let refused = person.upload_after(&fields, &upload, &sealed);
        assert_eq!(refused.status, 422, "{fields:?}: {}", refused.body);
    }
    let many = vec![("x", "1"); 9];
    assert_eq!(person.upload_after(&many, &upload, &sealed).status, 422);
    assert_eq!(waiting(&server.data()), Vec::<String>::new());
    let given_up = person.upload_after(&[passphrase], &upload, &sealed);
    assert_eq!(waiting(&server.data()).len(), 1);
    let fields = [("form", &*form), ("code", &*code), ("id", &*given_up.field("id"))];
    assert_eq!(person.post("/admin/setup/restore/cancel", &fields).status, 200);
    assert_eq!(waiting(&server.data()), Vec::<String>::new());
    let shown = person.upload_after(&[passphrase], &upload, &sealed);
    assert_eq!(shown.status, 200, "{}", shown.body);
    let (form, id) = (shown.field("form"), shown.field("id"));
    let confirm = |person: &mut Visitor<'_>, code: &str, id: &str| {
        person.post("/admin/setup/restore/confirm", &[("form", &*form), ("code", code), ("id", id)])
    };
    assert_eq!(confirm(&mut person, "0000-0000-0000", &id).status, 422);
    assert_eq!(confirm(&mut person, &code, "00").status, 422);
    let done = confirm(&mut person, &code, &id);
    assert_eq!(done.status, 200, "{}", done.body);
    wait_until_back(&server, 2);
    assert_eq!(people(&server), ["Ada"]);
    let mut admin = Visitor::admin(&server);
    assert!(admin.get("/admin/log").body.contains("backup restored"));
    // From then on the code opens nothing.
    assert_eq!(person.get("/admin/setup/restore").header("location"), Some("/admin/backup"));
    let late = person.upload_after(&[passphrase], &upload, &sealed);
    assert!(matches!(late.status, 403 | 409), "{}: {}", late.status, late.body);
}

#[test]
fn killed_before_the_confirmation_it_stays_and_after_it_the_backup_comes() {
    let (mut server, name) = prepared();
    let mut admin = Visitor::admin(&server);
    admin.submit("/admin/backup", "/admin/backup/restore", &[("name", &name)]);
    assert_eq!(waiting(&server.data()).len(), 1);
    server.kill();
    server.launch();
    assert_eq!((people(&server).len(), waiting(&server.data()).len()), (2, 0));
    let mut admin = Visitor::admin(&server);
    let id = admin.submit("/admin/backup", "/admin/backup/restore", &[("name", &name)]).field("id");
    assert_eq!(confirm(&mut admin, &id, NAME).status, 200);
    // Wherever that hits: stopping, taking it, starting.
    server.kill();
    server.launch();
    assert_eq!((people(&server), told(&server, "backup-restored")), (vec!["Ada".to_owned()], 1));
    assert_eq!(waiting(&server.data()), Vec::<String>::new());
}

/// Copies a folder as it is at this moment, which is what a power cut leaves.
fn freeze(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => freeze(&entry.path(), &target),
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), target).unwrap()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn cut_off_between_any_two_steps_the_next_start_finishes_and_tells_it_once() {
    let (mut server, name) = prepared();
    server.terminate();
    let opened = running::open(&server.data(), Config::default(), Clock::system()).await.unwrap();
    let app = &opened.app;
    let caller = Caller { address: [127, 0, 0, 1].into(), device_cookie: None };
    let password = Zeroizing::new(PASSWORD.to_owned());
    let credentials = Credentials { account: "admin".into(), password, one_time: String::new() };
    let who = accounts::log_in(app, credentials, caller).await.unwrap();
    let admin = recently_confirmed(app, who).await;
    let staged = backup::stage_kept(app, &admin, &name).await.unwrap();
    assert!(staged.is_own);
    backup::confirm(app, &admin, &staged.id, NAME).await.unwrap();

    let (wanted, taken, beside) = (Server::unstarted(), Server::unstarted(), Server::unstarted());
    for frozen in [&wanted, &taken, &beside] {
        freeze(&server.data(), &frozen.data());
    }
    // The database has its place already, and the log does not tell it.
    let data = taken.data();
    std::fs::rename(data.join(format!("restore-{}.db", staged.id)), data.join("momedo.db")).unwrap();
    for rest in ["momedo.db-wal", "momedo.db-shm"] {
        std::fs::remove_file(data.join(rest)).unwrap();
    }
    // The old one was kept, its log is gone, and the new one has not its name yet.
    std::fs::create_dir(beside.data().join("replaced-x")).unwrap();
    for mut frozen in [wanted, taken, beside] {
        frozen.launch();
        for _ in 0..2 {
            assert_eq!((people(&frozen), told(&frozen, "backup-restored")), (vec!["Ada".to_owned()], 1));
            assert_eq!(waiting(&frozen.data()), Vec::<String>::new());
            frozen.kill();
            frozen.launch();
        }
    }
    app.store.close().await;
}
