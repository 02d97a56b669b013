//! The log of a server that nobody watches: a file instead of standard error, and only then.

use std::path::Path;
use std::process::{Command, Stdio};

use momedo_testing::serving::Serving;

use crate::harness::{program, text};

fn serve(data: &Path) -> Command {
    let mut command = program();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    command
}

fn log(data: &Path) -> String {
    std::fs::read_to_string(data.join("momedo.log")).unwrap_or_default()
}

/// Starts a server and stops it.
fn lived(command: &mut Command) {
    let serving = Serving::start(command).unwrap_or_else(|line| panic!("the server did not start: {line:?}"));
    assert_eq!(serving.terminate().code(), Some(0));
}

#[test]
fn a_server_that_nobody_watches_writes_its_log_into_a_private_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // What a desktop hands on to all that it starts does not make a reader of the null device.
    lived(serve(&data).stderr(Stdio::null()).env("JOURNAL_STREAM", "8:12345"));
    let first = log(&data);
    assert!(first.contains("serving listeners=1") && first.contains("stopped"), "{first}");
    let mode = std::fs::metadata(data.join("momedo.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    lived(serve(&data).stderr(Stdio::null()));
    assert!(log(&data).strip_prefix(&first).is_some_and(|second| second.contains("serving")));
}

#[test]
fn a_closed_standard_error_is_one_that_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" serve --listen 127.0.0.1:0 --data-dir \"$1\" 2>&-"]);
    command.arg(program().get_program()).arg(&data);
    lived(&mut command);
    assert!(log(&data).contains("serving"), "{}", log(&data));
}

#[test]
fn whoever_reads_standard_error_gets_the_log_there() {
    let folder = tempfile::tempdir().unwrap();
    let (piped, written) = (folder.path().join("piped"), folder.path().join("written"));
    // The journal is a socket, which a pipe stands for here.
    lived(serve(&piped).stderr(Stdio::piped()));
    let file = std::fs::File::create(folder.path().join("stderr")).unwrap();
    lived(serve(&written).stderr(file));
    assert!(text(&std::fs::read(folder.path().join("stderr")).unwrap()).contains("serving"));
    for data in [piped, written] {
        assert!(!data.join("momedo.log").exists(), "{}", data.display());
    }
}

#[test]
fn the_settings_send_the_log_into_the_file_in_any_case() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("momedo.toml"), "[log]\nfile = true\n").unwrap();
    let file = std::fs::File::create(folder.path().join("stderr")).unwrap();
    lived(serve(&data).stderr(file));
    assert!(log(&data).contains("serving"));
    assert_eq!(std::fs::read(folder.path().join("stderr")).unwrap(), b"");
}

#[test]
fn why_a_server_did_not_start_stands_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = program()
        .args(["serve", "--listen", &address, "--data-dir"])
        .arg(&data)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(ended.code(), Some(1));
    assert!(log(&data).contains(&format!("cannot listen on {address}")), "{}", log(&data));
}
