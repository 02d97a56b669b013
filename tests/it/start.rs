//! Starting: what a server says when it cannot, and that nothing is lost by it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use momedo::store::{Store, StoreOptions};
use momedo::surroundings::clock::Clock;

use crate::harness::{PATIENCE, Server, program, request, text};

/// Starts a server that must not start, and returns what it says.
fn fails_to_start(data: &std::path::Path, more: &[&str]) -> String {
    let output = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .args(more)
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(output.stdout.is_empty());
    let said = text(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_locked_data_directory_is_left_to_the_server_that_has_it() {
    let server = Server::start();
    let said = fails_to_start(&server.data(), &[]);
    assert!(said.contains("another momedo is using") && said.contains("stop it first"), "{said}");
    assert_eq!(server.status()["participants"], 0);
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let said = fails_to_start(&file.join("data"), &[]);
    assert!(said.contains("cannot use the data directory") && said.contains("--data-dir"), "{said}");
}

#[test]
fn a_database_from_a_newer_version_is_refused_untouched() {
    let mut server = Server::start();
    assert_eq!(server.terminate().0.code(), Some(0));
    let path = server.data().join("momedo.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    database.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
    drop(database);
    let before = std::fs::read(&path).unwrap();
    let said = fails_to_start(&server.data(), &[]);
    assert!(said.contains("newer momedo") && said.contains("nothing was changed"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("momedo.db");
    std::fs::write(&path, "dear diary ".repeat(1000)).unwrap();
    let said = fails_to_start(folder.path(), &[]);
    assert!(said.contains("damaged") || said.contains("not a momedo database"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary ".repeat(1000));
}

#[test]
fn settings_that_make_no_sense_stop_the_start_with_their_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("momedo.toml"), "[mail]\nretention_dais = 3\n").unwrap();
    assert!(fails_to_start(folder.path(), &[]).contains("retention_dais"));
    std::fs::write(folder.path().join("momedo.toml"), "[tls]\ncertificate = 'x.pem'\n").unwrap();
    assert!(fails_to_start(folder.path(), &[]).contains("come together"));
    std::fs::write(folder.path().join("momedo.toml"), "[tls]\ncertificate = 'x.pem'\nkey = 'y.pem'\n")
        .unwrap();
    assert!(fails_to_start(folder.path(), &[]).contains("x.pem"));
    assert!(fails_to_start(folder.path(), &["--config", "/nowhere.toml"]).contains("/nowhere.toml"));
}

#[test]
fn a_port_in_use_is_named() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let output = program()
        .args(["serve", "--listen", &server.address, "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&server.address), "{}", text(&output.stderr));
}

#[test]
fn a_server_whose_log_nobody_reads_any_more_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("momedo ready"), "{line:?}");
    drop(process.stderr.take());
    // Stopping is worth a line in the log, too.
    let sent = Command::new("kill").arg(process.id().to_string()).status().unwrap();
    assert!(sent.success());
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[test]
fn the_doctor_finds_data_that_others_can_read_and_a_start_mends_it() {
    use std::os::unix::fs::PermissionsExt;
    let mut server = Server::start();
    let doctor = |server: &Server| text(&server.run(&["doctor", "--data-dir", "data"]).stdout);
    assert!(doctor(&server).contains("ok  permissions"), "{}", doctor(&server));
    std::fs::set_permissions(server.data(), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(doctor(&server).contains("!!  permissions  whoever uses this machine"), "{}", doctor(&server));
    assert_eq!(server.terminate().0.code(), Some(0));
    server.launch();
    assert!(doctor(&server).contains("ok  permissions"), "{}", doctor(&server));
}

#[test]
fn the_data_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start();
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(server.data()), 0o700);
    for file in ["momedo.db", "momedo.db-wal", "control.sock"] {
        assert_eq!(mode(server.data().join(file)), 0o600, "{file}");
    }
}

#[test]
fn the_doctor_finds_what_is_wrong_and_what_is_well() {
    let mut server = Server::start();
    assert!(server.run(&["doctor", "--data-dir", "data"]).status.success());
    let lines = server.json(&["doctor", "--data-dir", "data", "--json"]);
    assert!(lines.iter().all(|line| line["ok"] == true), "{lines:?}");
    server.kill();
    let settings = |line: &str| std::fs::write(server.data().join("momedo.toml"), line).unwrap();
    let said = || text(&server.run(&["doctor", "--data-dir", "data"]).stdout);
    assert!(said().contains("ok  database"), "{}", said());
    for line in ["[mail]\nx = 1\n", "[server]\naddresses = ['192.168.1.999']\n"] {
        settings(line);
        assert!(said().contains("!!  settings"), "{}", said());
    }
    settings("[tls]\ncertificate = 'momedo.db'\nkey = 'momedo.db'\n");
    assert!(said().contains("!!  certificate"), "{}", said());
    settings("");
    let path = server.data().join("momedo.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(said().contains("!!  database") && said().contains("newer momedo"), "{}", said());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 1).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let after_the_header = 4096 * 2;
    bytes[after_the_header..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    assert!(said().contains("!!  database") && said().contains("restore a backup"), "{}", said());
}

#[test]
fn a_name_with_umlauts_is_served_under_its_ascii_form() {
    let server = Server::start_with("[server]\naddresses = ['https://chat.schule-möhnesee.de/']\n");
    let link = server.json(&["admin", "invite", "--name", "Ada", "--data-dir", "data", "--json"]).remove(0);
    assert!(link["link"].as_str().unwrap().starts_with("https://127.0.0.1:"), "{link}");
    let status = server.json(&["admin", "certificate", "status", "--data-dir", "data", "--json"]).remove(0);
    let names = status["names"].as_array().unwrap();
    assert!(names.contains(&"chat.xn--schule-mhnesee-2pb.de".into()), "{status}");
}

/// Runs a command whose standard output, and standard error if so said, take nothing.
#[cfg(target_os = "linux")]
fn with_output_gone(server: &Server, line: &[&str], full: bool) -> (Option<i32>, String) {
    let stdout = if full {
        Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap())
    } else {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let folder = server.data().parent().unwrap().to_owned();
    let output = program().args(line).current_dir(folder).stdout(stdout).output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
#[cfg(target_os = "linux")]
fn commands_end_quietly_when_their_reader_is_gone_and_say_why_when_the_disk_is_full() {
    let server = Server::start();
    let register = |name: &str| {
        let invite =
            server.json(&["admin", "invite", "--name", name, "--data-dir", "data", "--json"]).remove(0);
        let link = invite["link"].as_str().unwrap();
        let joined =
            server.json(&["user", "register", "--invite", link, "--profile", name, "--json"]).remove(0);
        joined["id"].as_str().unwrap().to_owned()
    };
    let (id, _) = (register("ada"), register("ben"));
    for line in [
        "admin status --data-dir data",
        "admin log --data-dir data",
        "admin log --data-dir data --json",
        "admin participant list --data-dir data",
        "admin certificate status --data-dir data",
        "admin backup list --data-dir data",
        "doctor --data-dir data",
        "completions bash",
        "man",
        "--help",
        "user devices --profile ada",
        "keys show --profile ada",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let (code, said) = with_output_gone(&server, &words, false);
        // A list without rows has nothing to write.
        assert_eq!((code, said.as_str()), (Some(0), ""), "{line}");
        let (code, said) = with_output_gone(&server, &words, true);
        assert!(!said.contains("panicked") && code.is_some_and(|code| code < 2), "{line}: {code:?} {said}");
        let has_output = !server.run(&words).stdout.is_empty();
        if has_output && line != "--help" {
            assert!(said.contains("cannot write to standard output"), "{line}: {said}");
        }
    }
    // What nobody saw is shown again, and words that are shown once were not shown.
    server.json(&["send", "--profile", "ben", "--to", &id, "nur einmal", "--json"]);
    for full in [false, true] {
        let (_, said) = with_output_gone(&server, &["receive", "--profile", "ada"], full);
        assert!(!said.contains("panicked"), "{said}");
    }
    assert_eq!(server.json(&["receive", "--profile", "ada", "--json"])[0]["text"], "nur einmal");
    let (code, said) = with_output_gone(&server, &["user", "backup-keys", "--profile", "ada"], false);
    assert!(code == Some(1) && said.contains("were not shown"), "{said}");
}

#[test]
fn an_admin_password_is_set_with_and_without_a_running_server() {
    let mut server = Server::start();
    let reset = ["admin", "reset-password", "--data-dir", "data", "--json"];
    let made = server.json(&reset).remove(0);
    assert!(made["password"].as_str().unwrap().len() >= 20, "{made}");
    std::fs::write(server.profile("short"), "kurz\n").unwrap();
    let short = server.failure(&[&reset[..], &["--password-file", "short"]].concat());
    assert!(short.contains("10 characters"), "{short}");
    server.kill();
    std::fs::write(server.profile("long"), "lang genug fuer alle\n").unwrap();
    let set = server.json(&[&reset[..], &["--password-file", "long"]].concat()).remove(0);
    assert!(set["password"].is_null());
}

#[tokio::test]
async fn a_database_at_its_limit_stays_full_until_there_is_room_to_speak_of() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { max_database_bytes: Some(2_000_000), ..StoreOptions::default() };
    let store = Store::open(folder.path(), Clock::manual(), &options, Box::new(|_| {})).unwrap();
    let put = |number: u32, bytes: usize| {
        let name = format!("filler-{number}");
        store.write_freeing(move |tx| tx.set_setting(&name, &vec![7; bytes]))
    };
    let mut filled = 0;
    while put(filled, 50_000).await.is_ok() {
        filled += 1;
        assert!(filled < 100, "it never filled up");
    }
    assert!(store.is_full());
    // Less than an eighth is free: the next message would fill it again.
    put(0, 0).await.unwrap();
    store.regain_reserve();
    assert!(store.is_full());
    for number in 1..7 {
        put(number, 0).await.unwrap();
    }
    store.regain_reserve();
    assert!(!store.is_full());
    store.close().await;
}

#[tokio::test]
async fn on_a_full_disk_new_mail_is_refused_and_acknowledging_makes_room() {
    // The first start needs about 150 KiB, each participant 520 KiB for the McEliece key they share.
    let mut server = Server::start_with("[storage]\nmax_database_bytes = 1300000\n");
    server.expects_errors = true;
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    let mut accepted = Vec::new();
    let refusal = loop {
        let request = request(&ben.bundle, 4096);
        match ada.session.submit(&request).await {
            Ok(receipt) => accepted.push(receipt.id),
            Err(error) => break error,
        }
        assert!(accepted.len() < 1000, "the disk never filled up");
    };
    let momedo_client::ClientError::Refused(problem) = refusal else { panic!("{refusal}") };
    assert_eq!((problem.name(), problem.status), ("storage-full", 507));
    assert!(accepted.len() > 5, "{}", accepted.len());
    // Nothing of what was accepted is lost, and it can be fetched and acknowledged.
    let page = ben.waiting().await;
    let got: Vec<_> = page.messages.iter().map(|delivery| delivery.id).collect();
    assert_eq!(got, accepted);
    ben.session.acknowledge(page.cursor).await.unwrap();
    // The server notices by itself that there is room again.
    let deadline = std::time::Instant::now() + PATIENCE;
    while let Err(error) = ada.submit(&ben.bundle, 4096).await {
        assert_eq!(error.problem(), Some("storage-full"), "{error}");
        assert!(std::time::Instant::now() < deadline, "there is room, but nothing is taken");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_chart_of_messages_goes_on_after_a_restart() {
    let mut server = Server::start();
    server.register_profile(1, "ada").await;
    let ben = server.register_profile(2, "ben").await.id().unwrap().to_string();
    server.json(&["send", "--profile", "ada", "--to", &ben, "Hallo", "--json"]);
    let counted = |server: &Server| {
        let overview = server.json(&["admin", "overview", "--data-dir", "data", "--json"]).remove(0);
        let hours = overview["messages_per_hour"].as_array().unwrap().clone();
        hours.iter().map(|hour| hour.as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(counted(&server), 1);
    assert_eq!(server.terminate().0.code(), Some(0));
    server.launch();
    assert_eq!(counted(&server), 1);
}
