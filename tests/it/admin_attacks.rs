//! What an attacker tries on the admin pages, and what the pages promise without a browser.

use crate::harness::{Server, text};
use crate::visitor::{PASSWORD, Visitor, set_up};

const PAGES: &[&str] = &[
    "/admin",
    "/admin/participants",
    "/admin/classes",
    "/admin/reports",
    "/admin/ozones",
    "/admin/keys",
    "/admin/listeners",
    "/admin/certificates",
    "/admin/neighbours",
    "/admin/rules",
    "/admin/backup",
    "/admin/log",
    "/admin/about",
    "/admin/help",
    "/admin/import",
    "/admin/account",
    "/admin/smoke/participants",
];

#[test]
fn every_page_speaks_the_askers_language_and_nobody_sees_one_without_log_in() {
    let server = Server::start();
    set_up(&server);
    let mut stranger = Visitor::new(&server);
    assert_eq!(stranger.get("/admin/").header("location"), Some("/admin"));
    for page in &PAGES[1..] {
        let answer = stranger.get(page);
        let next = answer.header("location").unwrap_or_else(|| panic!("{page}: {}", answer.status));
        assert_eq!(next, format!("/admin?next={}", page.replace('/', "%2F")), "{page}");
    }
    let form = stranger.get("/admin").body;
    for part in ["<form id=\"login\" method=\"post\"", "name=\"user\" value=\"admin\"", "type=\"password\""] {
        assert!(form.contains(part), "{part} is not in {form}");
    }
    let mut admin = Visitor::admin(&server);
    for (language, tag) in [("de-DE,de;q=0.9", "de"), ("en-GB", "en")] {
        admin.headers = vec![format!("Accept-Language: {language}")];
        for page in PAGES {
            let answer = admin.get(page);
            assert_eq!(answer.status, 200, "{page}: {}", answer.body);
            assert!(answer.body.contains(&format!("<html lang=\"{tag}\">")), "{page} in {tag}");
            let policy = answer.header("content-security-policy").unwrap();
            assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{page}");
            assert!(!answer.body.contains(" style=") && !answer.body.contains(" onclick="), "{page}");
        }
    }
    admin.headers.clear();
    admin.get("/admin/language?to=de&back=/admin/help");
    assert!(admin.get("/admin/help").body.contains("<html lang=\"de\">"));
}

#[test]
fn the_set_up_happens_once_and_only_with_the_code_the_machine_shows() {
    let server = Server::start();
    let log = server.log();
    let code = log.split("enter the code ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let mut stranger = Visitor::new(&server);
    let form = stranger.get("/admin").field("form");
    let fields = |code| {
        [
            ("form", form.clone()),
            ("code", code),
            ("password", PASSWORD.to_owned()),
            ("repeated", PASSWORD.into()),
        ]
    };
    let try_with = |visitor: &mut Visitor<'_>, code: &str| {
        let fields = fields(code.to_owned());
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        visitor.post("/admin/setup", &fields)
    };
    let refused = try_with(&mut stranger, "0000-0000-0000");
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("set-up code is wrong"), "{}", refused.body);
    // Other doors to the pages stay shut meanwhile.
    assert_eq!(stranger.get("/admin/participants").status, 303);
    let made = try_with(&mut stranger, &code);
    assert_eq!(made.header("location"), Some("/admin/setup/server"), "{}", made.body);
    // Whoever comes second, with the right code too, is late.
    let mut second = Visitor::new(&server);
    second.cookies.insert("__Host-momedo-form".into(), form.clone());
    assert_eq!(try_with(&mut second, &code).status, 409);
    assert_eq!(second.get("/admin/setup").header("location"), Some("/admin"));
    let said = server.failure(&["admin", "setup", "--data-dir", "data", "--name", "X"]);
    assert!(said.contains("set up already"), "{said}");
}

#[test]
fn guessing_the_code_or_a_password_is_throttled_and_every_wrong_account_looks_alike() {
    let mut server = Server::start();
    {
        let mut guesser = Visitor::new(&server);
        let form = guesser.get("/admin").field("form");
        let fields = [
            ("form", form.as_str()),
            ("code", "0000-0000-0000"),
            ("password", PASSWORD),
            ("repeated", PASSWORD),
        ];
        let last = (0..7).map(|_| guesser.post("/admin/setup", &fields).status).last();
        assert_eq!(last, Some(429));
    }
    set_up(&server);
    let mut guesser = Visitor::new(&server);
    let unknown = guesser.log_in("nobody", "wrong password");
    let known = guesser.log_in("admin", "wrong password");
    assert_eq!((unknown.status, known.status), (422, 422));
    let said =
        |body: &str| body.split("role=\"alert\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert_eq!(said(&unknown.body), said(&known.body));
    let statuses: Vec<u16> = (0..6).map(|_| guesser.log_in("admin", "wrong password").status).collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    // The right password does not help either until a while has passed, or the machine says so.
    assert_eq!(guesser.log_in("admin", PASSWORD).status, 429);
    server.json(&["admin", "reset-password", "--data-dir", "data", "--password-file", "password", "--json"]);
    assert_eq!(guesser.log_in("admin", PASSWORD).status, 303);
    let log = server.json(&["admin", "log", "--data-dir", "data", "--search", "log-in-failed", "--json"]);
    assert!(log.len() >= 5, "{log:?}");
    assert!(log.iter().all(|line| line["account"] == "admin"), "a typed name may be a password: {log:?}");
    server.expects_errors = false;
}

#[test]
fn a_form_from_elsewhere_does_nothing() {
    let server = Server::start();
    set_up(&server);
    let mut admin = Visitor::admin(&server);
    let token = admin.get("/admin/classes").field("csrf");
    assert_eq!(admin.post("/admin/classes", &[("name", "a")]).status, 403);
    assert_eq!(admin.post("/admin/classes", &[("csrf", "x"), ("name", "a")]).status, 403);
    for header in ["Origin: https://elsewhere.example", "Sec-Fetch-Site: cross-site", "Origin: null"] {
        admin.headers = vec![header.into()];
        let answer = admin.post("/admin/classes", &[("csrf", &token), ("name", "a")]);
        assert_eq!(answer.status, 403, "{header}");
    }
    admin.headers.clear();
    // Another session's token is as good as none.
    let mut other = Visitor::admin(&server);
    assert_eq!(other.post("/admin/classes", &[("csrf", &token), ("name", "a")]).status, 403);
    // A log-in form needs the cookie of the browser it was shown in.
    let mut victim = Visitor::new(&server);
    let form = Visitor::new(&server).get("/admin").field("form");
    let forged = victim.post("/admin", &[("form", &form), ("user", "admin"), ("password", PASSWORD)]);
    assert_eq!(forged.status, 422);
    assert!(server.json(&["admin", "class", "list", "--data-dir", "data", "--json"]).is_empty());
    assert_eq!(admin.post("/admin/classes", &[("csrf", &token), ("name", "a")]).status, 303);
}

#[test]
fn sessions_are_new_at_every_log_in_and_their_cookies_go_nowhere_else() {
    let server = Server::start();
    set_up(&server);
    let mut admin = Visitor::new(&server);
    admin.cookies.insert("__Host-momedo-admin".into(), "chosen-by-somebody-else".into());
    let answer = admin.log_in("admin", PASSWORD);
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    assert!(!cookie.contains("chosen-by-somebody-else"), "{cookie}");
    for part in ["__Host-", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{part} is not in {cookie}");
    }
    let first = admin.cookies.clone();
    assert_eq!(admin.get("/admin/log").status, 200);
    // The loopback listener's cookie is worth nothing here.
    let mut local = Visitor::new(&server);
    local.cookies.insert("momedo-admin-local".into(), first["__Host-momedo-admin"].clone());
    assert_eq!(local.get("/admin/log").status, 303);
    let out = admin.submit("/admin", "/admin/log-out", &[]);
    assert_eq!(out.status, 303);
    admin.cookies = first;
    assert_eq!(admin.get("/admin/log").status, 303, "a session that was ended still works");
}

#[test]
fn no_name_becomes_markup_and_no_export_a_formula() {
    let server = Server::start();
    set_up(&server);
    let mut admin = Visitor::admin(&server);
    let names = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "=HYPERLINK(\"http://elsewhere\")",
    ];
    for name in names {
        let answer =
            admin.submit("/admin/participants", "/admin/participants", &[("name", name), ("class", "0")]);
        let answer = admin.follow(&answer);
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        assert!(!answer.body.contains("<script>alert") && !answer.body.contains("<img src=x"), "{name}");
        let class = admin.submit("/admin/classes", "/admin/classes", &[("name", name)]);
        assert_eq!(class.status, 303, "{name}: {}", class.body);
    }
    for (field, page) in [("name", "/admin/participants"), ("name", "/admin/classes")] {
        let long = "x".repeat(10_000);
        for refused in [&*long, "\u{202e}gnirts desrever"] {
            let answer = admin.submit(page, page, &[(field, refused), ("class", "0")]);
            assert_eq!(answer.status, 422, "{page}: {refused}");
        }
    }
    admin.submit("/admin/rules", "/admin/rules", &[("name", "<script>alert(2)</script>")]);
    for page in [
        "/admin",
        "/admin/participants",
        "/admin/participants?search=%3Cscript%3Ealert",
        "/admin/classes",
        "/admin/classes/1",
        "/admin/participants/1",
        "/admin/participants/1/delete",
        "/admin/log",
        "/admin/rules",
        "/admin/log?search=%22%3E%3Cscript%3Ealert",
        "/admin/nothing%3Cscript%3Ealert",
        "/i",
    ] {
        let body = admin.get(page).body;
        assert!(!body.contains("<script>alert") && !body.contains("<img src=x"), "{page}: {body}");
        assert!(!body.contains(" onmouseover='alert"), "{page}");
    }
    let csv = admin.get("/admin/log.csv").body;
    assert!(csv.contains("'=HYPERLINK") && !csv.contains(";=HYPERLINK"), "{csv}");
}

#[test]
fn only_this_servers_own_names_and_addresses_are_answered() {
    let server = Server::start_with("[server]\naddresses = [\"chat.example.org\"]\n");
    set_up(&server);
    let mut visitor = Visitor::new(&server);
    for host in ["chat.example.org", "CHAT.example.org:4710", "localhost:1", "[::1]:4710", "192.0.2.7"] {
        visitor.host = Some(host.into());
        assert_eq!(visitor.get("/admin").status, 200, "{host}");
    }
    for host in ["elsewhere.example", "chat.example.org.elsewhere.example", "", "chat.example.org@x"] {
        visitor.host = Some(host.into());
        assert!(matches!(visitor.get("/admin").status, 421 | 400), "{host}");
    }
}

#[test]
fn files_are_named_ones_only() {
    let server = Server::start();
    set_up(&server);
    let mut admin = Visitor::admin(&server);
    for path in [
        "/admin/static/..%2f..%2fCargo.toml",
        "/admin/static/../momedo.db",
        "/admin/static/momedo.db",
        "/admin/certificates/authority.key",
        "/admin/static/%2e%2e/%2e%2e/etc/passwd",
    ] {
        assert_eq!(admin.get(path).status, 404, "{path}");
    }
    assert_eq!(admin.get("/admin/static/admin.css").status, 200);
    let pem = admin.get("/trust/momedo.pem").body;
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----") && !pem.contains("PRIVATE"), "{pem}");
    assert!(admin.get("/trust/momedo.mobileconfig").body.contains("com.apple.security.root"));
}

#[test]
fn a_class_lead_sees_their_own_classes_and_prints_there_alone() {
    let server = Server::start();
    set_up(&server);
    let run = |arguments: &[&str]| {
        let all = [&["admin"], arguments, &["--data-dir", "data", "--json"]].concat();
        server.json(&all)
    };
    run(&["class", "create", "7b"]);
    run(&["class", "create", "8a"]);
    run(&["participant", "add", "Ada", "--class", "7b"]);
    run(&["participant", "add", "Ben", "--class", "8a"]);
    std::fs::write(server.folder.path().join("leads"), "Kreide und Schwamm\n").unwrap();
    run(&["account", "add", "grete", "--password-file", "leads", "--leads", "7b"]);
    let accounts = server.json(&["admin", "account", "list", "--data-dir", "data", "--json"]);
    assert!(
        accounts.iter().any(|account| account["name"] == "grete" && account["role"] == "class-lead"),
        "{accounts:?}"
    );
    let mut grete = Visitor::logged_in(&server, "grete", "Kreide und Schwamm");
    let people = grete.get("/admin/participants").body;
    assert!(people.contains("Ada") && !people.contains("Ben"), "{people}");
    for page in
        ["/admin/log", "/admin/rules", "/admin/listeners", "/admin/keys", "/admin/import", "/admin/backup"]
    {
        assert_eq!(grete.get(page).status, 403, "{page}");
    }
    let cards = grete.submit("/admin/participants", "/admin/sheets", &[("person", "1"), ("again", "1")]);
    let cards = grete.follow(&cards);
    assert!(cards.status == 200 && cards.body.contains("<svg"), "{}", cards.body);
    for (path, fields) in [
        ("/admin/sheets", [("person", "2"), ("class", "0")]),
        ("/admin/participants/2/invite", [("a", ""), ("b", "")]),
        ("/admin/participants/1/delete", [("a", ""), ("b", "")]),
        ("/admin/participants", [("name", "Eve"), ("class", "0")]),
        ("/admin/accounts/delete", [("name", "admin"), ("class", "")]),
        ("/admin/stop", [("a", ""), ("b", "")]),
    ] {
        let status = grete.submit("/admin/participants", path, &fields).status;
        assert!(matches!(status, 403 | 404 | 422), "{path}: {status}");
    }
    assert_eq!(grete.get("/admin/participants/2").status, 404);
    assert_eq!(grete.get("/admin/classes/2").status, 404);
    // Without an account there is no session either.
    run(&["account", "delete", "grete"]);
    assert_eq!(grete.get("/admin/participants").status, 303);
    let last = server.failure(&["admin", "account", "delete", "admin", "--data-dir", "data"]);
    assert!(last.contains("last admin"), "{last}");
}

#[test]
fn one_time_passwords_are_asked_for_and_each_works_once() {
    let server = Server::start();
    set_up(&server);
    let mut admin = Visitor::admin(&server);
    let page = admin.get("/admin/account");
    let secret = page.field("secret");
    let bytes = momedo_protocol::encoding::decode_hex::<20>(&secret).unwrap();
    let step = || momedo_client::now().0 / 30_000;
    let code = momedo::service::accounts::one_time_password(&bytes, step());
    let token = page.field("csrf");
    let try_with = |admin: &mut Visitor<'_>, one_time: &str| {
        let (csrf, secret) = (token.as_str(), secret.as_str());
        let fields = [("csrf", csrf), ("secret", secret), ("one_time", one_time)];
        admin.post("/admin/account/one-time-passwords", &fields)
    };
    assert_eq!(try_with(&mut admin, "000").status, 422);
    let mut elsewhere = Visitor::admin(&server);
    let on = try_with(&mut admin, &code);
    assert_eq!(on.status, 200, "{}", on.body);
    assert_eq!(
        elsewhere.get("/admin/account").status,
        303,
        "a session that had no one-time password goes on"
    );
    // Nobody replaces them without switching them off first.
    assert_eq!(try_with(&mut admin, &code).status, 422);
    let recovery = on.body.split("class=\"codes\">").nth(1).unwrap();
    let recovery = recovery.split("<code>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let log_in = |one_time: &str| {
        let mut visitor = Visitor::new(&server);
        let form = visitor.get("/admin").field("form");
        let fields =
            [("form", form.as_str()), ("user", "admin"), ("password", PASSWORD), ("one_time", one_time)];
        visitor.post("/admin", &fields)
    };
    let asked = log_in("");
    assert!(asked.status == 422 && asked.body.contains("name=\"one_time\""), "{}", asked.body);
    assert_eq!(log_in("000000").status, 422);
    assert_eq!(log_in(&code).status, 422, "the one-time password typed to switch them on worked again");
    // The next step's password is taken too: clocks differ.
    let code = momedo::service::accounts::one_time_password(&bytes, step() + 1);
    assert_eq!(log_in(&code).status, 303);
    assert_eq!(log_in(&code).status, 422, "a one-time password worked twice");
    assert_eq!(log_in(&recovery.to_lowercase()).status, 303);
    assert_eq!(log_in(&recovery).status, 422, "a recovery code worked twice");
    assert_eq!(recovery.len(), 24, "120 bits in base 32, so that a digest is enough to keep them");
    // Whoever lost the password alone goes on with the other half; whoever lost both says so at the machine.
    let reset = ["admin", "reset-password", "--password-file", "password", "--data-dir", "data", "--json"];
    server.json(&reset);
    let asked = log_in("");
    assert!(asked.status == 422 && asked.body.contains("name=\"one_time\""), "{}", asked.body);
    server.json(&[&reset[..], &["--lost-one-time-passwords"]].concat());
    assert_eq!(log_in("").status, 303);
}

#[test]
fn listeners_come_and_go_while_the_server_runs_and_stay_after_a_restart() {
    let mut server = Server::start();
    let added = server.json(&["admin", "listener", "add", "127.0.0.1:0", "--data-dir", "data", "--json"]);
    let address =
        added.iter().find(|row| row["fixed"] == false).unwrap()["address"].as_str().unwrap().to_owned();
    let connects = || std::net::TcpStream::connect(&address).is_ok();
    assert!(connects());
    let act = |server: &Server, act: &str, address: &str| {
        text(&server.run(&["admin", "listener", act, address, "--data-dir", "data", "--json"]).stderr)
    };
    assert_eq!(act(&server, "stop", &address), "");
    assert!(!connects(), "a stopped listener still listens");
    assert_eq!(act(&server, "start", &address), "");
    assert!(connects());
    assert!(act(&server, "remove", &server.address).contains("momedo.toml"));
    assert!(act(&server, "add", &address).contains("already"));
    assert!(act(&server, "add", "nowhere").contains("port"));
    server.kill();
    server.launch();
    assert!(connects(), "a kept listener is gone after a restart");
    assert_eq!(act(&server, "remove", &address), "");
    assert!(!connects());
}

#[test]
fn rules_hold_at_once_survive_a_restart_and_leave_momedo_toml_its_say() {
    let mut server = Server::start_with("[mail]\nretention_days = 10\n");
    let rules = |server: &Server, more: &[&str]| {
        server.json(&[&["admin", "rules", "--data-dir", "data", "--json"], more].concat()).remove(0)
    };
    assert_eq!(rules(&server, &["--invite-days", "7", "--name", "Rathaus"])["invite_days"], 7);
    let refused =
        server.failure(&["admin", "rules", "--retention-days", "20", "--data-dir", "data", "--json"]);
    assert!(refused.contains("momedo.toml"), "{refused}");
    for (name, value) in [
        ("--invite-days", "0"),
        ("--sender-share-percent", "101"),
        ("--file-days", "0"),
        ("--address", "a b"),
        ("--address", "192.168.1.999"),
    ] {
        let said = server.failure(&["admin", "rules", name, value, "--data-dir", "data"]);
        let why = if name == "--address" { "neither a host name nor an IP address" } else { "range" };
        assert!(said.contains(why), "{name} {value}: {said}");
    }
    server.kill();
    server.launch();
    let kept = rules(&server, &[]);
    assert_eq!((kept["retention_days"].as_u64(), kept["invite_days"].as_u64()), (Some(10), Some(7)));
    assert_eq!(kept["name"], "Rathaus");
}

#[test]
fn many_guesses_at_once_are_no_more_than_one_by_one() {
    let server = Server::start();
    set_up(&server);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let guess = || Visitor::new(&server).log_in("admin", "wrong password").status;
        let guesses: Vec<_> = (0..12).map(|_| scope.spawn(guess)).collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    let tried = statuses.iter().filter(|status| **status == 422).count();
    assert!(tried <= 5 && statuses.contains(&429), "{statuses:?}");
}

#[test]
fn a_session_ends_with_its_account_its_password_or_its_class() {
    let server = Server::start();
    set_up(&server);
    let run = |arguments: &[&str]| {
        server.json(&[&["admin"], arguments, &["--data-dir", "data", "--json"]].concat())
    };
    run(&["class", "create", "7b"]);
    run(&["participant", "add", "Ada", "--class", "7b"]);
    run(&["account", "add", "grete", "--password-file", "password", "--leads", "7b"]);
    let mut grete = Visitor::logged_in(&server, "grete", PASSWORD);
    assert!(grete.get("/admin/participants").body.contains("Ada"));
    // Another class never takes over the number of a deleted one.
    run(&["class", "delete", "7b"]);
    run(&["class", "create", "8a"]);
    run(&["participant", "add", "Ben", "--class", "8a"]);
    let people = grete.get("/admin/participants").body;
    assert!(!people.contains("Ben") && !people.contains("Ada"), "{people}");
    std::fs::write(server.folder.path().join("other"), "Kreide und Schwamm").unwrap();
    run(&["reset-password", "--account", "grete", "--password-file", "other"]);
    assert_eq!(grete.get("/admin/participants").status, 303);
}

#[test]
fn slow_and_large_bodies_are_refused_before_anybody_is_known() {
    use std::io::Write;
    let server = Server::start_with("[listen]\nbody_seconds = 1\n");
    set_up(&server);
    let mut visitor = Visitor::new(&server);
    let large = "x".repeat(20_000);
    assert_eq!(visitor.post("/admin", &[("user", &large), ("password", "y")]).status, 413);
    let mut stream = crate::door::tls(&server);
    let host = &server.address;
    write!(stream, "POST /admin HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\nuser=").unwrap();
    let answer = crate::door::read_to_end(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[test]
fn a_kept_listener_that_momedo_toml_names_too_stops_nobody() {
    let mut server = Server::start();
    let added = server.json(&["admin", "listener", "add", "127.0.0.1:0", "--data-dir", "data", "--json"]);
    let address =
        added.iter().find(|row| row["fixed"] == false).unwrap()["address"].as_str().unwrap().to_owned();
    server.kill();
    // The same address from now on by the command line.
    server.address.clone_from(&address);
    server.launch();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    let rows = server.json(&["admin", "listener", "list", "--data-dir", "data", "--json"]);
    assert!(rows.iter().all(|row| row["state"] == "running"), "{rows:?}");
}

#[test]
fn on_a_full_disk_admins_still_log_in_and_lock_somebody_out() {
    let mut server = Server::start();
    set_up(&server);
    let person =
        server.json(&["admin", "participant", "add", "Ada", "--data-dir", "data", "--json"]).remove(0);
    server.kill();
    // As full as the database is now.
    let pages = std::fs::metadata(server.data().join("momedo.db")).unwrap().len();
    let settings = format!("[storage]\nmax_database_bytes = {pages}\n[backup]\nevery_hours = 0\n");
    std::fs::write(server.data().join("momedo.toml"), settings).unwrap();
    server.expects_errors = true;
    server.launch();
    let mut admin = Visitor::admin(&server);
    let number = person["person"].to_string();
    let answer = admin.submit("/admin/participants", &format!("/admin/participants/{number}/delete"), &[]);
    assert_eq!(answer.status, 303, "{}", answer.body);
}

#[tokio::test]
async fn whoever_guesses_admin_passwords_keeps_no_pupil_behind_the_same_address_from_logging_in() {
    let server = Server::start_with("[rates]\nfailures = { per_minute = 1, burst = 3 }\n");
    set_up(&server);
    let mut person = server.register(0).await;
    let statuses: Vec<u16> =
        (0..6).map(|_| Visitor::new(&server).log_in("admin", "wrong password").status).collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    person.log_in(&server).await;
}

#[test]
fn pupils_guessing_behind_the_same_address_do_not_make_their_teacher_wait() {
    let server = Server::start();
    set_up(&server);
    let mut teacher = Visitor::admin(&server);
    let cookie = teacher.cookies["__Host-momedo-device"].clone();
    let guess = || Visitor::new(&server).log_in("admin", "wrong password").status;
    while guess() != 429 {}
    // Somebody new waits, even with the right password; the browser that was here before does not.
    assert_eq!(Visitor::new(&server).log_in("admin", PASSWORD).status, 429);
    teacher.cookies.retain(|name, _| name == "__Host-momedo-device");
    assert!(teacher.get("/admin").body.contains("id=\"login\""), "the cookie alone opens nothing");
    assert_eq!(teacher.log_in("admin", PASSWORD).status, 303);
    // Whoever has the cookie gets no more tries than anybody, and a made-up one is worth nothing.
    let mut thief = Visitor::new(&server);
    thief.cookies.insert("__Host-momedo-device".into(), cookie.clone());
    let statuses: Vec<u16> = (0..8).map(|_| thief.log_in("admin", "wrong password").status).collect();
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    let mut forger = Visitor::new(&server);
    forger.cookies.insert("__Host-momedo-device".into(), cookie.replace(['0', '1'], "2"));
    assert_eq!(forger.log_in("admin", PASSWORD).status, 429);
}
