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
    let port = port_of(&url);
    let name = format!("momedo-admin-local-{port}-");
    assert!(
        cookies.iter().any(|cookie| cookie.name().starts_with(&name) && cookie.secure() != Some(true)),
        "{cookies:?}"
    );
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

fn port_of(url: &str) -> u16 {
    url.split(':').nth(2).unwrap().split('/').next().unwrap().parse().unwrap()
}

/// A request over loopback, as a browser makes it that has `cookies`.
fn request(port: u16, method: &str, path: &str, cookies: &str, body: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nCookie: {cookies}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Cookies that an answer sets, by name.
fn set_cookies(answer: &str) -> Vec<(String, String)> {
    let lines = answer.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    let pair = |line: &str| {
        assert!(line.contains("; Path=/admin"), "{line}");
        let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    lines.map(pair).collect()
}

#[test]
fn two_servers_on_one_machine_neither_take_nor_replace_each_others_cookies() {
    let servers = [Opened::start(), Opened::start()];
    let mut sessions = Vec::new();
    for server in &servers {
        let url = server.url();
        let (port, code) = (port_of(&url), url.split("code=").nth(1).unwrap().to_owned());
        let (name, form) = set_cookies(&request(port, "GET", "/admin", "", "")).remove(0);
        let password = crate::visitor::encode(&[("password", PASSWORD), ("repeated", PASSWORD)]);
        let body = format!("form={form}&code={code}&{password}");
        let answer = request(port, "POST", "/admin/setup", &format!("{name}={form}"), &body);
        let session = set_cookies(&answer).into_iter().find(|(name, _)| name.contains("admin-local"));
        sessions.push((port, session.unwrap_or_else(|| panic!("no session: {answer}"))));
    }
    // A browser sends both to both, since cookies know no ports.
    let jar: Vec<String> = sessions.iter().map(|(_, (name, value))| format!("{name}={value}")).collect();
    let jar = jar.join("; ");
    for (port, _) in &sessions {
        assert!(request(*port, "GET", "/admin/log", &jar, "").starts_with("HTTP/1.1 200"), "{jar}");
    }
    let [(port, (name, value)), (other_port, (other_name, other_value))] = &sessions[..] else { panic!() };
    assert_ne!(name, other_name);
    for stolen in [format!("{name}={other_value}"), format!("{other_name}={other_value}")] {
        assert!(request(*port, "GET", "/admin/log", &stolen, "").starts_with("HTTP/1.1 303"), "{stolen}");
    }
    // The same process at another port is another door, too; the unit tests of the sessions have that.
    assert!(
        request(*other_port, "GET", "/admin/log", &format!("{name}={value}"), "").starts_with("HTTP/1.1 303")
    );
}

fn status(port: u16, host: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET /admin HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}
