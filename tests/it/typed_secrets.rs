//! Passphrases and passwords are the same however a machine writes them: composed or not, from Windows' editor or not.

use crate::harness::{Server, text};
use crate::visitor::{PASSWORD, Visitor, set_up};

const COMPOSED: &str = "Gr\u{fc}ne Bl\u{e4}tter im Wald";
const DECOMPOSED: &str = "Gru\u{308}ne Bla\u{308}tter im Wald";

/// One secret, as different machines write it into a file.
fn files(server: &Server) -> Vec<String> {
    let utf16: Vec<u8> =
        format!("\u{feff}{COMPOSED}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let written: [(&str, Vec<u8>); 6] = [
        ("composed", format!("{COMPOSED}\n").into()),
        ("decomposed", format!("{DECOMPOSED}\n").into()),
        ("bare", COMPOSED.into()),
        ("notepad", format!("\u{feff}{COMPOSED}\r\n").into()),
        ("mac-with-mark", format!("\u{feff}{DECOMPOSED}").into()),
        ("powershell", utf16),
    ];
    let write = |(name, bytes): (&str, Vec<u8>)| {
        std::fs::write(server.profile(name), bytes).unwrap();
        name.to_owned()
    };
    written.map(write).to_vec()
}

#[test]
fn a_sealed_backup_opens_however_its_passphrase_was_written() {
    let server = Server::start();
    set_up(&server);
    let files = files(&server);
    let made = server.json(&["admin", "backup", "now", "--data-dir", "data", "--json"]).remove(0);
    let name = made["name"].as_str().unwrap();
    for with in &files {
        let export = ["admin", "backup", "export", name, "--to", "sealed", "--overwrite", "--json"];
        server.json(&[&export[..], &["--passphrase-file", with, "--data-dir", "data"]].concat());
        for to in &files {
            let folder = format!("from-{with}-{to}");
            let restore = ["admin", "restore", "sealed", "--passphrase-file", to, "--data-dir", &folder];
            let output = server.run(&restore);
            assert!(output.status.success(), "{with} by {to}: {}", text(&output.stderr));
        }
    }
    // The page takes what is typed there.
    let sealed = std::fs::read(server.profile("sealed")).unwrap();
    let mut admin = Visitor::admin(&server);
    for typed in [COMPOSED, DECOMPOSED] {
        let taken = admin.upload_backup(typed, &sealed);
        assert_eq!(taken.status, 200, "{typed:?}: {}", taken.body);
    }
    assert_eq!(admin.upload_backup("Gr\u{fc}ne Blatter im Wald", &sealed).status, 422, "another is another");
}

#[test]
fn a_profile_opens_however_its_passphrase_was_written() {
    let server = Server::start();
    let files = files(&server);
    for (with, profile) in [("decomposed", "ada"), ("notepad", "ben")] {
        let link = server.invite().to_string();
        let register =
            ["user", "register", "--profile", profile, "--passphrase-file", with, "--invite", &link];
        assert!(server.run(&register).status.success());
        for file in &files {
            let output = server.run(&["receive", "--profile", profile, "--passphrase-file", file]);
            assert!(output.status.success(), "{with} by {file}: {}", text(&output.stderr));
        }
    }
    std::fs::write(server.profile("latin"), b"Gr\xfcne Bl\xe4tter im Wald\n").unwrap();
    let said = server.failure(&["receive", "--profile", "ada", "--passphrase-file", "latin"]);
    assert!(said.contains("UTF-8"), "{said}");
}

#[test]
fn an_admin_logs_in_however_the_password_and_the_account_are_typed() {
    let server = Server::start();
    let files = files(&server);
    let set = |file: &str| {
        let reset = ["admin", "reset-password", "--password-file", file, "--data-dir", "data", "--json"];
        server.json(&reset);
    };
    for file in &files {
        set(file);
        for typed in [COMPOSED, DECOMPOSED] {
            let answer = Visitor::new(&server).log_in("admin", typed);
            assert_eq!(answer.status, 303, "{file}, typed {typed:?}: {}", answer.body);
        }
        assert_ne!(Visitor::new(&server).log_in("admin", "Grune Blatter im Wald").status, 303);
    }
    // Changed on the page, typed twice in two ways.
    std::fs::write(server.profile("password"), format!("{PASSWORD}\n")).unwrap();
    set("password");
    let mut admin = Visitor::admin(&server);
    let fields = [("old", PASSWORD), ("password", COMPOSED), ("repeated", DECOMPOSED)];
    let fields = [&fields[..], &[("confirm-password", PASSWORD)]].concat();
    let changed = admin.submit("/admin/account", "/admin/account/password", &fields);
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(Visitor::new(&server).log_in("admin", DECOMPOSED).status, 303);
    // An account's name is typed, too.
    let add = ["admin", "account", "add", "K\u{e4}the", "--password-file", "password", "--data-dir", "data"];
    assert!(server.run(&add).status.success());
    assert_eq!(Visitor::new(&server).log_in("Ka\u{308}the", PASSWORD).status, 303);
}
