//! The double-click: a browser opens, the set-up needs no typed code, a second double-click finds the first.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::browser::Browser;
use crate::harness::{PATIENCE, program};
use crate::visitor::PASSWORD;

/// A server started with `--open`, and a "browser" that writes down what it is to open.
struct Opened {
    process: Child,
    folder: tempfile::TempDir,
    address: String,
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _: Result<_, _> = self.process.kill();
        let _: Result<_, _> = self.process.wait();
    }
}

fn command(folder: &std::path::Path) -> std::process::Command {
    let mut command = program();
    command.args(["serve", "--open", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.join("data"));
    command.env("BROWSER", folder.join("browser"));
    command
}

impl Opened {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let browser = folder.path().join("browser");
        let opened = folder.path().join("opened");
        let script = format!("#!/bin/sh\necho \"$1\" > '{0}.new' && mv '{0}.new' '{0}'\n", opened.display());
        std::fs::write(&browser, script).unwrap();
        std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut process =
            command(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("momedo ready https://").unwrap().to_owned();
        Self { process, folder, address }
    }

    fn opened(&self) -> PathBuf {
        self.folder.path().join("opened")
    }

    /// What the browser was told to open, since the last time.
    fn url(&self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(url) = std::fs::read_to_string(self.opened()) {
                std::fs::remove_file(self.opened()).unwrap();
                let file = url.trim();
                // Only its owner may read the file, and the command line holds no code.
                let mode = std::fs::metadata(file).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{file}");
                let page = std::fs::read_to_string(file).unwrap();
                return page.split("href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
            }
            assert!(Instant::now() < deadline, "no browser was opened");
            std::thread::yield_now();
        }
    }
}

#[tokio::test]
async fn a_double_click_leads_to_the_first_invite_without_a_typed_code() {
    let mut server = Opened::start();
    let url = server.url();
    assert!(url.starts_with("http://127.0.0.1:") && url.contains("/admin/setup?code="), "{url}");
    let browser = Browser::start("de-DE,de", true).await;
    // Without the code in the address it is asked for, on loopback too.
    browser.open(url.split('?').next().unwrap()).await;
    assert_eq!(browser.count("input#code").await, 1);
    browser.open(&url).await;
    assert_eq!(browser.count("input#code").await, 0);
    browser.type_into("#password", PASSWORD).await;
    browser.type_into("#repeated", PASSWORD).await;
    browser.click("#setup button").await;
    browser.type_into("#name", "Schule am Wald").await;
    browser.click("main form button").await;
    browser.type_into("#class", "7b").await;
    browser.type_into("#person", "Ada").await;
    browser.click("main form button").await;
    let link = browser.text("section.invite .link").await;
    assert!(link.starts_with(&format!("https://{}/i#", server.address)), "{link}");

    // The second double-click only opens the page, without any code by now.
    let second = command(server.folder.path()).output().unwrap();
    assert!(second.status.success());
    let again = server.url();
    assert!(again.ends_with("/admin") && url.starts_with(&again), "{again}");
    // The session of loopback is not one on TLS, and no other name leads to loopback.
    let cookies = browser.client.get_all_cookies().await.unwrap();
    assert!(
        cookies.iter().any(|cookie| cookie.name() == "momedo-admin-local" && cookie.secure() != Some(true))
    );
    let port: u16 = url.split(':').nth(2).unwrap().split('/').next().unwrap().parse().unwrap();
    assert_eq!(status(port, "elsewhere.example"), "421");
    assert_eq!(status(port, &format!("127.0.0.1:{}", port.wrapping_add(1))), "421");
    assert_eq!(status(port, &format!("127.0.0.1:{port}")), "200");

    // That page can end what the double-click began.
    browser.open(&again).await;
    browser.find("summary").await.click().await.unwrap();
    browser.find("button.danger").await.click().await.unwrap();
    let ended = server.process.wait().unwrap();
    assert!(ended.success(), "{ended}");
}

fn status(port: u16, host: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET /admin HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}
