//! What a stolen session of the admin pages is worth, what names give away, and what the other admins hear.

use std::time::Duration;

use crate::browser::Browser;
use crate::harness::{Inside, Server};
use crate::visitor::{Answer, PASSWORD, Visitor, set_up};

/// Longer than a typed password counts.
const STALE: Duration = Duration::from_secs(301);

/// Everything that can be posted, and whether a recent password is asked for.
///
/// It is: for what lets somebody in or become another, hands data or keys out, opens this server to another one, takes
/// an alarm away, or cannot be undone on these pages. It is not: for what is undone as easily as it was done, and for
/// what has to be quick when something goes wrong, such as locking somebody out.
const POSTS: &[(&str, Asks)] = &[
    ("/admin", Asks::NoSession),
    ("/admin/setup", Asks::NoSession),
    ("/admin/setup/restore/upload", Asks::NoSession),
    ("/admin/setup/restore/cancel", Asks::NoSession),
    ("/admin/setup/restore/confirm", Asks::NoSession),
    ("/admin/log-out", Asks::Nothing),
    ("/admin/confirm", Asks::Nothing),
    ("/admin/notices", Asks::Nothing),
    ("/admin/setup/server", Asks::Password),
    ("/admin/setup/class", Asks::Nothing),
    ("/admin/participants", Asks::Nothing),
    ("/admin/participants/chosen", Asks::Nothing),
    ("/admin/participants/chosen/delete", Asks::Password),
    ("/admin/participants/1/rename", Asks::Nothing),
    ("/admin/participants/1/role", Asks::Nothing),
    ("/admin/participants/1/enabled", Asks::Nothing),
    ("/admin/participants/1/invite", Asks::Nothing),
    ("/admin/participants/1/reset-keys", Asks::Password),
    ("/admin/participants/1/revoke-device", Asks::Nothing),
    ("/admin/participants/1/class", Asks::Nothing),
    ("/admin/participants/1/export", Asks::Password),
    ("/admin/participants/1/delete", Asks::Password),
    ("/admin/import", Asks::Nothing),
    ("/admin/import/confirm", Asks::Nothing),
    ("/admin/import/undo", Asks::Nothing),
    ("/admin/sheets", Asks::Nothing),
    ("/admin/classes", Asks::Nothing),
    ("/admin/classes/1/rename", Asks::Nothing),
    ("/admin/classes/1/add", Asks::Nothing),
    ("/admin/classes/1/remove", Asks::Nothing),
    ("/admin/classes/1/delete", Asks::Nothing),
    ("/admin/groups/1/delete", Asks::Password),
    ("/admin/reports", Asks::Nothing),
    ("/admin/reports/note", Asks::Nothing),
    ("/admin/neighbours", Asks::Nothing),
    ("/admin/neighbours/rules", Asks::Password),
    ("/admin/neighbours/take-over", Asks::Password),
    ("/admin/neighbours/accept-take-over", Asks::Password),
    ("/admin/neighbours/accept-log", Asks::Password),
    ("/admin/listeners", Asks::Nothing),
    ("/admin/certificates", Asks::Password),
    ("/admin/certificates/remove", Asks::Password),
    ("/admin/certificates/acme/on", Asks::Password),
    ("/admin/certificates/acme/off", Asks::Password),
    ("/admin/certificates/acme/renew", Asks::Nothing),
    ("/admin/rules", Asks::Password),
    ("/admin/backup", Asks::Nothing),
    ("/admin/backup/verify", Asks::Nothing),
    ("/admin/backup/download", Asks::Password),
    ("/admin/backup/restore", Asks::Password),
    ("/admin/backup/restore/upload", Asks::Password),
    ("/admin/backup/restore/confirm", Asks::Password),
    ("/admin/backup/restore/cancel", Asks::Nothing),
    ("/admin/autostart", Asks::Nothing),
    ("/admin/account/password", Asks::Password),
    ("/admin/account/one-time-passwords", Asks::Password),
    ("/admin/account/session", Asks::Password),
    ("/admin/accounts", Asks::Password),
    ("/admin/accounts/classes", Asks::Password),
    ("/admin/accounts/password", Asks::Password),
    ("/admin/accounts/delete", Asks::Password),
    ("/admin/smoke/participants", Asks::Nothing),
    ("/admin/smoke/participants/sharing", Asks::Password),
    ("/admin/smoke/participants/1", Asks::Nothing),
    ("/admin/smoke/participants/1/keys", Asks::Password),
    ("/admin/smoke/ozones", Asks::Nothing),
    ("/admin/smoke/listeners", Asks::Nothing),
    ("/admin/smoke/listeners/shared-port", Asks::Password),
    ("/admin/smoke/neighbours", Asks::Nothing),
    ("/admin/smoke/neighbours/forget", Asks::Password),
    // Last: it ends the server.
    ("/admin/stop", Asks::Nothing),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Password,
    Nothing,
    /// Comes before there is anybody; is the password, or the set-up code, itself.
    NoSession,
}

/// Paths with a POST handler, as the router's source has them.
fn posts_of_the_router() -> Vec<String> {
    let source = include_str!("../../src/admin/mod.rs");
    let router = source.split("pub fn router").nth(1).unwrap().split("\n}").next().unwrap();
    let mut found = Vec::new();
    let mut prefix = "";
    for line in router.lines() {
        for (begins, nested) in [
            ("let person ", "/participants/{number}"),
            ("let class ", "/classes/{number}"),
            ("let admin ", ""),
        ] {
            if line.trim_start().starts_with(begins) {
                prefix = nested;
            }
        }
        let Some(rest) = line.split(".route(\"").nth(1).filter(|_| line.contains("post(")) else { continue };
        let path = format!("/admin{prefix}{}", rest.split('"').next().unwrap());
        let path = path.replace("{number}", "1").replace("{id}", "1");
        found.push(path.trim_end_matches('/').to_owned());
    }
    found
}

fn asks(answer: &Answer) -> bool {
    answer.body.contains("name=\"confirm-password\"")
}

async fn inside() -> Inside {
    let inside = Inside::start().await;
    set_up(&inside.server);
    inside
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_says_whether_a_recent_password_is_asked_for() {
    let mut listed: Vec<&str> = POSTS.iter().map(|(path, _)| *path).collect();
    let mut found = posts_of_the_router();
    listed.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, listed, "decide for every form whether it needs a recent password");
    let here = inside().await;
    let mut admin = Visitor::admin(&here.server);
    let csrf = admin.get("/admin/account").field("csrf");
    // Fresh from the log-in nothing is asked again, and what was sent is not even looked at here.
    assert!(!asks(&admin.post("/admin/rules", &[("csrf", &csrf)])));
    here.clock.advance(STALE);
    for (path, wanted) in
        POSTS.iter().filter(|(path, asks)| *asks != Asks::NoSession && *path != "/admin/log-out")
    {
        // A file's form is no such form at all.
        let refused = if *path == "/admin/import" { 400 } else { 403 };
        assert_eq!(admin.post(path, &[("csrf", "wrong")]).status, refused, "{path} takes a foreign form");
        let answer = admin.post(path, &[("csrf", &csrf)]);
        let wants = *wanted == Asks::Password;
        assert_eq!(
            asks(&answer),
            wants || *path == "/admin/confirm",
            "{path}: {} {}",
            answer.status,
            answer.body
        );
        if wants {
            assert_eq!(answer.status, 403, "{path}");
        }
    }
}

fn accounts(server: &Server) -> Vec<String> {
    let list = server.json(&["admin", "account", "list", "--data-dir", "data", "--json"]);
    list.iter().map(|line| line["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_alone_makes_no_admin_takes_no_identity_and_restores_nothing() {
    let here = inside().await;
    let server = &here.server;
    let name = server.json(&["admin", "backup", "now", "--data-dir", "data", "--json"]).remove(0);
    let name = name["name"].as_str().unwrap().to_owned();
    let mut thief = Visitor::admin(server);
    here.clock.advance(STALE);
    let mallory = [("name", "mallory"), ("password", "Rettich und Kohlrabi"), ("role", "admin")];
    let asked = thief.submit("/admin/account", "/admin/accounts", &mallory);
    assert_eq!(accounts(server), ["admin"], "a session alone made an admin");
    assert!(asked.status == 403 && asks(&asked), "{} {}", asked.status, asked.body);
    let download = thief.submit("/admin/backup", "/admin/backup/download", &[("name", &name)]);
    assert!(asks(&download) && !download.body.contains("SQLite"), "a session alone took the identity key");
    for (path, field) in [("/admin/backup/restore", "name"), ("/admin/backup/restore/confirm", "id")] {
        assert!(asks(&thief.submit("/admin/backup", path, &[(field, &name)])), "{path}");
    }
    // A file is not even read.
    assert!(asks(&thief.upload_backup("", b"SQLite format 3")));
    assert!(here.app.staged_restore.lock().unwrap().is_none());
    // Guessing is slowed down as at the log-in, and the right password does not help then.
    let csrf = asked.field("csrf");
    let guess = |thief: &mut Visitor<'_>, password: &str| {
        let typed = [("csrf", csrf.as_str()), ("confirm-password", password)];
        thief.post("/admin/accounts", &[&typed[..], &mallory].concat())
    };
    let statuses: Vec<u16> = (0..7).map(|_| guess(&mut thief, "falsch geraten").status).collect();
    assert_eq!((statuses[0], statuses[6]), (422, 429), "{statuses:?}");
    assert_eq!(accounts(server), ["admin"]);
    let log = server.json(&["admin", "log", "--search", "log-in-failed", "--data-dir", "data", "--json"]);
    assert!(!log.is_empty(), "guesses stand in the log");
    // Its owner types it, and what was typed goes on.
    here.clock.advance(Duration::from_secs(300));
    let refused = guess(&mut thief, "falsch geraten");
    assert!(refused.status == 422 && refused.field("name") == "mallory", "{}", refused.body);
    let before = thief.cookies.clone();
    let done = guess(&mut thief, PASSWORD);
    assert_eq!(done.status, 200, "{}", done.body);
    let after = std::mem::replace(&mut thief.cookies, before);
    assert_eq!(thief.get("/admin/account").status, 303, "the token from before goes on");
    thief.cookies = after;
    assert_eq!(accounts(server), ["admin", "mallory"]);
    // And holds for five minutes, for this session.
    here.clock.advance(Duration::from_secs(299));
    let download = thief.submit("/admin/backup", "/admin/backup/download", &[("name", &name)]);
    assert!(download.status == 200 && download.head.contains("octet-stream"), "{}", download.head);
    here.clock.advance(Duration::from_secs(2));
    assert!(asks(&thief.submit("/admin/backup", "/admin/backup/download", &[("name", &name)])));
}

/// Switches one-time passwords on; the function makes one for a step from now.
fn with_one_time_passwords(here: &Inside, admin: &mut Visitor<'_>) -> impl Fn(u64) -> String + use<> {
    let page = admin.get("/admin/account");
    let secret = page.field("secret");
    let bytes = momedo_protocol::encoding::decode_hex::<20>(&secret).unwrap();
    let clock = here.clock.clone();
    let code = move |ahead: u64| {
        momedo::service::accounts::one_time_password(&bytes, clock.now().0 / 30_000 + ahead)
    };
    let (csrf, now) = (page.field("csrf"), code(0));
    let fields = [("csrf", csrf.as_str()), ("secret", &secret), ("one_time", &now)];
    let on = admin.post("/admin/account/one-time-passwords", &fields);
    assert_eq!(on.status, 200, "{}", on.body);
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_passwords_are_asked_again_too_and_a_password_alone_switches_them_not_off() {
    let here = inside().await;
    let mut admin = Visitor::admin(&here.server);
    let code = with_one_time_passwords(&here, &mut admin);
    here.clock.advance(STALE);
    let off = |admin: &mut Visitor<'_>, password: &str, one_time: &str| {
        let fields = [("confirm-password", password), ("confirm-one-time", one_time)];
        admin.submit("/admin/account", "/admin/account/one-time-passwords", &fields)
    };
    let alone = off(&mut admin, PASSWORD, "");
    assert!(
        alone.status == 422 && alone.body.contains("name=\"confirm-one-time\""),
        "{} {}",
        alone.status,
        alone.body
    );
    let is_on = |admin: &mut Visitor<'_>| !admin.get("/admin/account").body.contains("name=\"secret\"");
    assert!(is_on(&mut admin), "a session and a password switched one-time passwords off");
    assert_eq!(off(&mut admin, PASSWORD, "000000").status, 422);
    assert!(is_on(&mut admin));
    assert_eq!(off(&mut admin, PASSWORD, &code(0)).status, 200);
    assert!(!is_on(&mut admin));
}

/// What somebody sees who tries `name` with a wrong password again and again from one address.
fn seen(server: &Server, name: &str, one_time: &str) -> Vec<(u16, String)> {
    let tries = 0..7;
    tries
        .map(|_| {
            let mut guesser = Visitor::new(server);
            let form = guesser.get("/admin").field("form");
            let fields = [
                ("form", form.as_str()),
                ("user", name),
                ("password", "falsch geraten"),
                ("one_time", one_time),
            ];
            let answer = guesser.post("/admin", &fields);
            // What differs by chance, or is what was typed.
            let body = answer.body.replace(&form, "").replace(&format!("value=\"{name}\""), "");
            let body = body.split("nonce=\"").map(|part| part.split_once('"').map_or(part, |(_, rest)| rest));
            (answer.status, body.collect::<String>() + answer.header("retry-after").unwrap_or_default())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_do_not_exist_answer_as_those_that_do() {
    let here = inside().await;
    let server = &here.server;
    std::fs::write(server.folder.path().join("other"), "Kreide und Schwamm").unwrap();
    let add =
        ["admin", "account", "add", "grete", "--password-file", "other", "--data-dir", "data", "--json"];
    server.json(&add);
    let mut admin = Visitor::admin(server);
    let _code = with_one_time_passwords(&here, &mut admin);
    // One with one-time passwords, one without, and several that nobody has: the second of them, too.
    let expected = seen(server, "grete", "");
    assert_eq!(
        expected.iter().map(|(status, _)| *status).collect::<Vec<_>>(),
        [422, 422, 422, 422, 422, 429, 429]
    );
    for name in ["nobody", "nothing", "admin", "Grete", "set-up"] {
        assert_eq!(seen(server, name, if name == "admin" { "123456" } else { "" }), expected, "{name}");
    }
}

fn notices(admin: &mut Visitor<'_>) -> String {
    let body = admin.get("/admin").body;
    body.split("id=\"notices\"")
        .nth(1)
        .map_or_else(String::new, |rest| rest.split("</section>").next().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_weighs_much_is_shown_to_every_other_admin_until_they_have_read_it() {
    let here = inside().await;
    let server = &here.server;
    std::fs::write(server.folder.path().join("other"), "Kreide und Schwamm").unwrap();
    for name in ["grete", "hanna"] {
        let add =
            ["admin", "account", "add", name, "--password-file", "other", "--data-dir", "data", "--json"];
        server.json(&add);
    }
    let mut admin = Visitor::admin(server);
    let mut grete = Visitor::logged_in(server, "grete", "Kreide und Schwamm");
    let mut hanna = Visitor::logged_in(server, "hanna", "Kreide und Schwamm");
    // At the machine, too: whoever made these accounts.
    let shown = notices(&mut admin);
    assert!(shown.contains("grete") && shown.contains("momedo admin"), "{shown}");
    let newest = admin.get("/admin").field("until");
    assert_eq!(admin.submit("/admin", "/admin/notices", &[("until", &newest)]).status, 303);
    assert_eq!(notices(&mut admin), "");
    // Somebody else's are still there.
    assert!(notices(&mut grete).contains("hanna"));
    here.clock.advance(Duration::from_secs(1));
    let fields = [("name", "eve"), ("password", "Rettich und Kohlrabi"), ("role", "admin")];
    assert_eq!(admin.submit("/admin/account", "/admin/accounts", &fields).status, 200);
    assert_eq!(notices(&mut admin), "", "nobody is told of what they have just done");
    for other in [&mut grete, &mut hanna] {
        let shown = notices(other);
        assert!(shown.contains("eve") && shown.contains(">admin<"), "{shown}");
        // Every page says that there is something.
        assert!(other.get("/admin/log").body.contains("/admin#notices"));
    }
    // What came after the page was shown is not read with it.
    let until = grete.get("/admin").field("until");
    server.json(&["admin", "account", "delete", "eve", "--data-dir", "data", "--json"]);
    assert_eq!(grete.submit("/admin", "/admin/notices", &[("until", &until)]).status, 303);
    let shown = notices(&mut grete);
    assert!(shown.contains("eve") && !shown.contains(">admin<"), "{shown}");
    // Whoever has the password acts in one's own name: the next log-in shows it.
    here.clock.advance(Duration::from_secs(1));
    let mut again = Visitor::admin(server);
    assert!(notices(&mut again).contains(">admin"), "{}", notices(&mut again));
    // A class lead hears nothing of it.
    server.json(&["admin", "class", "create", "7b", "--data-dir", "data", "--json"]);
    let add = ["admin", "account", "add", "mo", "--password-file", "other", "--leads", "7b"];
    server.json(&[&add[..], &["--data-dir", "data", "--json"]].concat());
    let mut lead = Visitor::logged_in(server, "mo", "Kreide und Schwamm");
    assert!(!lead.get("/admin/participants").body.contains("notices"));
    assert_eq!(lead.submit("/admin/participants", "/admin/notices", &[("until", "1")]).status, 403);
    // An export at the machine is told, too.
    let name = server.json(&["admin", "backup", "now", "--data-dir", "data", "--json"]).remove(0);
    let name = name["name"].as_str().unwrap().to_owned();
    let export = ["admin", "backup", "export", &name, "--to", "copy.db", "--data-dir", "data", "--json"];
    server.json(&export);
    let shown = notices(&mut hanna);
    assert!(shown.contains(&name), "{shown}");
}

#[test]
fn no_typed_path_leads_away_and_no_bad_backup_name_breaks_anything() {
    let server = Server::start();
    set_up(&server);
    let mut visitor = Visitor::new(&server);
    for path in [
        "/admin/../d",
        "/admin/%2e%2E/d",
        "/admin/.%2e/i",
        "/admin/./../i",
        "//elsewhere.example",
        "/admin//elsewhere.example",
        "https://elsewhere.example",
        "/admin%0d%0aSet-Cookie:%20a=b",
        "/admin/\r\nSet-Cookie: a=b",
        "/adminx",
        "/admin/ü",
    ] {
        let back: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
        let answer = visitor.get(&format!("/admin/language?to=de&back={back}"));
        assert_eq!(answer.header("location"), Some("/admin"), "{path:?}");
        assert!(!answer.head.to_ascii_lowercase().contains("set-cookie: a=b"), "{}", answer.head);
        let mut admin = Visitor::new(&server);
        let form = admin.get("/admin").field("form");
        let fields = [("form", form.as_str()), ("user", "admin"), ("password", PASSWORD), ("next", path)];
        assert_eq!(admin.post("/admin", &fields).header("location"), Some("/admin"), "{path:?}");
    }
    let mut admin = Visitor::admin(&server);
    let names = [
        "../../etc/passwd",
        "..",
        "",
        "20260101-000000Z",
        "20260101-000000Z.db",
        "a\r\nX: y",
        "-rf",
        "%00",
        "ü\"; x=\"y",
    ];
    for name in names {
        for path in ["/admin/backup/verify", "/admin/backup/download", "/admin/backup/restore"] {
            let answer = admin.submit("/admin/backup", path, &[("name", name)]);
            assert_eq!(answer.status, 422, "{path} {name:?}: {}", answer.body);
            let said = ["There is no backup", "digits, capital letters"];
            assert!(said.iter().any(|said| answer.body.contains(said)), "{path} {name:?}: {}", answer.body);
        }
    }
    let mut with = |passphrase, repeated| {
        let fields = [("name", "20260101-000000Z"), ("passphrase", passphrase), ("repeated", repeated)];
        admin.submit("/admin/backup", "/admin/backup/download", &fields)
    };
    assert_eq!(with("short", "short").status, 422);
    // A slip would be found on the day the file is needed.
    let slip = with("eine lange Passphrase", "eine lange Passphrass");
    assert!(slip.status == 422 && slip.body.contains("passwords differ"), "{}", slip.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_rule_asks_for_one_time_passwords_nobody_gets_further_without() {
    let here = inside().await;
    let server = &here.server;
    let mut admin = Visitor::admin(server);
    server.json(&["admin", "rules", "--one-time-passwords", "true", "--data-dir", "data", "--json"]);
    for page in ["/admin", "/admin/participants", "/admin/log.csv", "/admin/backup"] {
        assert_eq!(admin.get(page).header("location"), Some("/admin/account"), "{page}");
    }
    let add = [("name", "eve"), ("password", "Rettich und Kohlrabi"), ("role", "admin")];
    assert_eq!(admin.submit("/admin/account", "/admin/accounts", &add).status, 403);
    assert_eq!(accounts(server), ["admin"]);
    let _code = with_one_time_passwords(&here, &mut admin);
    assert_eq!(admin.get("/admin/participants").status, 200);
}

#[test]
fn a_fault_can_be_reported_where_the_server_says() {
    let server = Server::start();
    set_up(&server);
    let mut visitor = Visitor::new(&server);
    let text = visitor.get("/.well-known/security.txt");
    assert!(
        text.status == 404 && text.body.contains("No contact") && text.body.contains("keine Stelle"),
        "{}",
        text.body
    );
    assert!(
        visitor.get("/security").body.contains("No contact is given"),
        "{}",
        visitor.get("/security").body
    );
    let mut admin = Visitor::admin(&server);
    for (contact, policy) in [
        ("nobody", ""),
        ("javascript:alert(1)", ""),
        ("it@schule.example\r\nContact: mailto:eve@elsewhere.example", ""),
        ("it@schule.example", "http://schule.example"),
    ] {
        let fields = [("security_contact", contact), ("security_policy", policy)];
        assert_eq!(admin.submit("/admin/rules", "/admin/rules", &fields).status, 422, "{contact} {policy}");
    }
    let fields =
        [("security_contact", " it@schule.example "), ("security_policy", "https://schule.example/melden")];
    assert_eq!(admin.submit("/admin/rules", "/admin/rules", &fields).status, 303);
    let text = visitor.get("/.well-known/security.txt");
    assert_eq!((text.status, text.header("content-type")), (200, Some("text/plain; charset=utf-8")));
    let lines: Vec<&str> = text.body.lines().collect();
    let canonical = format!("Canonical: https://{}/.well-known/security.txt", server.address);
    for line in ["Contact: mailto:it@schule.example", "Policy: https://schule.example/melden", &canonical] {
        assert!(lines.contains(&line), "{line} is not in {}", text.body);
    }
    // Once, as RFC 3339 writes it, and within the year that RFC 9116 wants.
    let expires: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("Expires: ")).collect();
    assert!(expires.len() == 1 && expires[0].len() == 20 && expires[0].ends_with('Z'), "{expires:?}");
    let day = |at: momedo_protocol::time::UnixMillis| at.0 / 86_400_000;
    let year: u64 = expires[0][..4].parse().unwrap();
    assert!(
        (1970 + day(momedo_client::now()) / 366..=1971 + day(momedo_client::now()) / 365).contains(&year)
    );
    let mut german = Visitor::new(&server);
    german.headers = vec!["Accept-Language: de".into()];
    let page = german.get("/security").body;
    assert!(
        page.contains("Einen Fehler melden") && page.contains("href=\"mailto:it@schule.example\""),
        "{page}"
    );
    for page in ["/admin/about", "/admin/help"] {
        assert!(admin.get(page).body.contains("href=\"/security\""), "{page}");
    }
    assert!(visitor.get("/i").body.contains("href=\"/security\""));
    // Given up again.
    assert_eq!(admin.submit("/admin/rules", "/admin/rules", &[("security_contact", "")]).status, 303);
    assert_eq!(visitor.get("/.well-known/security.txt").status, 404);
}

#[test]
fn browsers_are_told_to_stay_on_tls_once_they_trust_the_certificate_by_themselves() {
    let own = Server::start_with_own_certificate();
    let issued = Server::start();
    for (server, wanted) in [(&own, Some("max-age=31536000")), (&issued, None)] {
        let mut visitor = Visitor::new(server);
        for path in ["/admin", "/i", "/api/v1/server", "/nothing", "/admin/static/admin.css"] {
            let answer = visitor.get(path);
            assert_eq!(answer.header("strict-transport-security"), wanted, "{path}");
            let policy = answer.header("content-security-policy").unwrap_or_default();
            assert!(
                policy.contains("default-src 'none'") && policy.contains("base-uri 'none'"),
                "{path}: {policy}"
            );
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        }
        assert_eq!(visitor.request("TRACE", "/admin", "", "").status, 405);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_javascript_a_form_goes_on_after_the_password_as_it_was_typed() {
    let here = inside().await;
    let browser = Browser::start("de-DE,de", false).await;
    let base = format!("https://{}/admin", here.server.address);
    browser.open(&base).await;
    browser.type_into("#password", PASSWORD).await;
    browser.click("#login button").await;
    here.clock.advance(STALE);
    browser.open(&format!("{base}/account")).await;
    browser.find("main > details:last-of-type summary").await.click().await.unwrap();
    browser.type_into("#new-name", "grete").await;
    browser.type_into("#new-password", "Kreide und Schwamm").await;
    browser.click("form[action='/admin/accounts'] button").await;
    let why = browser.text("main").await;
    assert!(
        why.contains("ein Konto für diese Seiten anzulegen") && why.contains("Passwort von admin"),
        "{why}"
    );
    browser.type_into("#confirm-password", "falsch geraten").await;
    browser.click("#confirm-it button").await;
    assert!(browser.text("[role=alert]").await.contains("falsch"));
    browser.type_into("#confirm-password", PASSWORD).await;
    browser.click("#confirm-it button").await;
    assert!(browser.text(".notice").await.contains("hinzugefügt"), "{}", browser.text("main").await);
    assert_eq!(accounts(&here.server), ["admin", "grete"]);
}
