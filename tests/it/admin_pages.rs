//! The admin pages in a real browser, from set-up to log, with and without JavaScript.

use std::path::{Path, PathBuf};

use crate::browser::Browser;
use crate::harness::Server;
use crate::visitor::{PASSWORD, Visitor, set_up};

fn code(server: &Server) -> String {
    server.log().split("enter the code ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
}

/// Thirty people, two of them faulty.
fn class_list() -> String {
    let mut list = String::from("Name;Klasse;Kennung\r\n");
    for number in 1..=30 {
        match number {
            7 => list += ";9c;107\r\n",
            19 => list += "Zuviele;9c;119;Felder\r\n",
            _ => list += &format!("Schülerin {number} Müßig;9c;1{number:02}\r\n"),
        }
    }
    list
}

async fn set_up_in(browser: &Browser, server: &Server) {
    browser.open(&format!("https://{}/admin", server.address)).await;
    browser.type_into("#code", &code(server)).await;
    browser.type_into("#password", PASSWORD).await;
    browser.type_into("#repeated", PASSWORD).await;
    browser.click("#setup button").await;
    browser.type_into("#name", "Schule am Wald").await;
    browser.click("main form button").await;
    browser.type_into("#class", "7b").await;
    browser.type_into("#person", "Ada Lovelace").await;
    browser.click("main form button").await;
    assert_eq!(browser.count("section.invite .qr svg").await, 1);
    assert_eq!(browser.text("section.invite h2").await, "Ada Lovelace");
    let link = browser.text("section.invite .link").await;
    assert!(link.starts_with(&format!("https://{}/i#", server.address)), "{link}");
}

async fn story(with_javascript: bool) {
    let server = Server::start();
    let browser = Browser::start("de-DE,de", with_javascript).await;
    let at = |path: &str| format!("https://{}/admin{path}", server.address);
    set_up_in(&browser, &server).await;

    browser.open(&at("/participants")).await;
    browser.find("details.adding summary").await.click().await.unwrap();
    browser.type_into("#add #name", "Ben Turing").await;
    browser.click("#add button").await;
    assert_eq!(browser.text("section.invite h2").await, "Ben Turing");

    let list = server.folder.path().join("9c.csv");
    std::fs::write(&list, class_list()).unwrap();
    browser.open(&at("/import")).await;
    browser.find("#file").await.send_keys(list.to_str().unwrap()).await.unwrap();
    browser.click("#import button").await;
    assert_eq!(browser.count("tr.faulty").await, 2);
    assert_eq!(browser.count(".scroll tbody tr").await, 30);
    browser.click("#confirm button").await;
    let done = browser.text(".notice").await;
    assert!(done.contains("Neu: 28.") && done.contains("ausgelassen: 2."), "{done}");

    browser.open(&at("/classes/2")).await;
    browser.click("main form button").await;
    assert_eq!(browser.count("section.invite .qr svg").await, 28);

    browser.open(&at("/import")).await;
    browser.click("button.undo").await;
    browser.click("#asking button").await;
    let undone = browser.text(".notice").await;
    assert!(undone.contains("Wieder gelöscht: 28."), "{undone}");

    // A real participant, whose only device is revoked.
    let person = server.register(0).await;
    browser.open(&at(&format!("/participants?search={}", person.id()))).await;
    browser.click("tbody th a").await;
    assert_eq!(browser.count("tbody tr").await, 1);
    browser.click("button.danger.small").await;
    assert!(browser.text("h1").await.contains("sperren?"));
    browser.click("#asking button").await;
    assert!(browser.text(".notice").await.contains("gesperrt"));
    assert_eq!(browser.count("tbody tr").await, 0);
    let refused = person_is_locked_out(&server, person).await;
    assert_eq!(refused, "device-revoked");

    browser.open(&at("/backup")).await;
    browser.click("#make button").await;
    assert!(browser.count("tbody tr").await >= 1);

    browser.open(&at("/log")).await;
    let log = browser.text("tbody").await;
    for action in [
        "Server eingerichtet",
        "Person hinzugefügt",
        "Klassenliste eingelesen",
        "Einlesen rückgängig gemacht",
        "Gerät gesperrt",
        "Einladungen ausgegeben",
        "Sicherung erstellt",
    ] {
        assert!(log.contains(action), "{action} is not in the log:\n{log}");
    }
    if with_javascript {
        browser.open(&at("")).await;
        let shown = browser.text("[data-figure=participants]").await;
        assert_eq!(shown, "1");
        server.register(1).await;
        // The figure comes by server-sent events.
        let changed = browser
            .client
            .wait()
            .at_most(crate::harness::PATIENCE)
            .for_element(fantoccini::Locator::XPath("//dd[@data-figure='participants'][text()='2']"));
        changed.await.unwrap();
    }
}

async fn person_is_locked_out(server: &Server, person: crate::harness::Person) -> String {
    let device = person.session.device;
    let again = momedo_testing::people::log_in(server.connect(), device, &person.keys.device.login);
    crate::harness::refused(again.await.map(drop))
}

#[tokio::test]
async fn from_set_up_to_log_in_a_browser() {
    story(true).await;
}

#[tokio::test]
async fn from_set_up_to_log_without_javascript() {
    story(false).await;
}

#[tokio::test]
async fn the_keyboard_alone_sets_a_server_up() {
    use fantoccini::key::Key;
    let server = Server::start();
    let browser = Browser::start("en", true).await;
    browser.open(&format!("https://{}/admin", server.address)).await;
    let press = async |keys: &str| {
        let focused = browser.client.active_element().await.unwrap();
        focused.send_keys(keys).await.unwrap();
    };
    let tab = Key::Tab.to_string();
    let enter = Key::Enter.to_string();
    let to = async |id: &str| {
        for _ in 0..40 {
            let focused = browser.client.active_element().await.unwrap();
            if focused.attr("id").await.unwrap().as_deref() == Some(id) {
                return;
            }
            press(&tab).await;
        }
        panic!("the Tab key never reaches {id}");
    };
    for (id, text) in [("code", code(&server)), ("password", PASSWORD.into()), ("repeated", PASSWORD.into())]
    {
        to(id).await;
        press(&text).await;
    }
    press(&enter).await;
    browser.find("#port").await;
    to("name").await;
    press("Town Hall").await;
    press(&enter).await;
    browser.find("#person").await;
    to("class").await;
    press("Office").await;
    to("person").await;
    press("Carl").await;
    press(&enter).await;
    browser.find("section.invite").await;
}

const PAGES: &[&str] = &[
    "",
    "/participants",
    "/participants/1",
    "/participants/2",
    "/participants/2/delete",
    "/classes",
    "/classes/1",
    "/groups",
    "/reports",
    "/ozones",
    "/keys",
    "/listeners",
    "/certificates",
    "/neighbours",
    "/rules",
    "/backup",
    "/log",
    "/account",
    "/about",
    "/help",
    "/import",
    "/smoke/participants",
    "/smoke/participants/2151-A14F-7894-DBBF-41C3-FE81-84CC-AEF7",
    "/nothing",
];

/// Where screenshots go: `MOMEDO_SCREENSHOTS=folder` asks for them.
pub(crate) fn screenshots() -> Option<PathBuf> {
    std::env::var_os("MOMEDO_SCREENSHOTS").map(PathBuf::from)
}

#[tokio::test]
async fn no_page_violates_wcag_in_light_or_dark_on_a_phone_or_a_desk() {
    let server = Server::start();
    let browser = Browser::start("de-DE,de", true).await;
    let folder = screenshots();
    let base = format!("https://{}/admin", server.address);
    let mut found = Vec::new();
    browser.open(&base).await;
    look(&browser, "set-up", folder.as_deref(), &mut found).await;
    set_up(&server);
    browser.open(&base).await;
    look(&browser, "log-in", folder.as_deref(), &mut found).await;
    for arguments in
        [&["class", "create", "7b"][..], &["participant", "add", "Ada Lovelace", "--class", "7b"]]
    {
        server.json(&[&["admin"], arguments, &["--data-dir", "data", "--json"]].concat());
    }
    crate::smoke_pages::furnish(&server);
    // Something that weighs much, done at the machine.
    let account = [
        "admin",
        "account",
        "add",
        "grete",
        "--leads",
        "7b",
        "--password-file",
        "password",
        "--data-dir",
        "data",
        "--json",
    ];
    server.json(&account);
    browser.open(&format!("https://{}/security", server.address)).await;
    look(&browser, "security-nobody", folder.as_deref(), &mut found).await;
    let rules = ["admin", "rules", "--security-contact", "it@schule.example", "--data-dir", "data", "--json"];
    server.json(&rules);
    browser.open(&format!("https://{}/security", server.address)).await;
    look(&browser, "security", folder.as_deref(), &mut found).await;
    browser.open(&base).await;
    let (reporter, writer) = (server.register(0).await, server.register(1).await);
    crate::personal::report(&server, &writer, &reporter).await;
    crate::personal::report(&server, &writer, &reporter).await;
    browser.type_into("#password", PASSWORD).await;
    browser.click("#login button").await;
    for page in PAGES {
        browser.open(&format!("{base}{page}")).await;
        let name = page.trim_start_matches('/').replace('/', "-");
        let name = if name.is_empty() { "overview" } else { &name };
        look(&browser, name, folder.as_deref(), &mut found).await;
    }
    browser.open(&format!("{base}/reports")).await;
    browser.click("section.report button").await;
    look(&browser, "reports-closed", folder.as_deref(), &mut found).await;
    browser.open(&format!("{base}/confirm?next=/admin/backup%23restore-file")).await;
    look(&browser, "confirm", folder.as_deref(), &mut found).await;
    for (path, name) in [("d", "device"), ("vertrauen", "trust"), ("nothing", "refused")] {
        browser.open(&format!("https://{}/{path}", server.address)).await;
        look(&browser, name, folder.as_deref(), &mut found).await;
    }
    browser.open(&format!("{base}/participants")).await;
    browser.find("input[name=person]").await.click().await.unwrap();
    browser.click("button[value=delete]").await;
    look(&browser, "chosen-delete", folder.as_deref(), &mut found).await;
    browser.open(&format!("{base}/import")).await;
    let list = server.folder.path().join("liste.csv");
    std::fs::write(&list, "Wald-Schule\nNachname;Vorname;Klasse;Klasse;Religion\nKaya;Cem;8a;7a;x\nKaya;Cem;8a;7a\n\"Çelik;Deniz;8a;7a\n")
        .unwrap();
    browser.find("#file").await.send_keys(list.to_str().unwrap()).await.unwrap();
    browser.click("#import button").await;
    look(&browser, "import-preview", folder.as_deref(), &mut found).await;
    browser.click("#confirm button").await;
    browser.click("button.undo").await;
    look(&browser, "asking", folder.as_deref(), &mut found).await;
    browser.open(&format!("{base}/participants/1")).await;
    browser.forget_cookies().await;
    browser.click("form[action$=rename] button").await;
    look(&browser, "log-in-kept", folder.as_deref(), &mut found).await;
    browser.type_into("#user", "admin").await;
    browser.type_into("#password", PASSWORD).await;
    browser.click("#login button").await;
    look(&browser, "resume", folder.as_deref(), &mut found).await;
    for (page, button, name) in [
        ("/setup/server", None, "set-up-server"),
        ("/setup/class", None, "set-up-class"),
        ("/accounts/change?name=grete", None, "account-of-lead"),
        ("/participants", Some("#chosen button"), "cards-again"),
        ("/participants/x", None, "unreadable-address"),
        ("/backup", Some("#restore button"), "restore"),
    ] {
        browser.open(&format!("{base}{page}")).await;
        if let Some(button) = button {
            browser.click(button).await;
        }
        look(&browser, name, folder.as_deref(), &mut found).await;
        if name == "cards-again" {
            browser.click("#again button").await;
            look(&browser, "cards", folder.as_deref(), &mut found).await;
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Checks, and if asked for takes pictures, in every width and colour scheme.
pub(crate) async fn look(browser: &Browser, name: &str, folder: Option<&Path>, found: &mut Vec<String>) {
    for (width, height) in [(390, 844), (1280, 800)] {
        for scheme in ["light", "dark"] {
            browser.emulate(width, height, scheme).await;
            // What is folded up is looked at, too.
            let unfold = "for (const part of document.querySelectorAll('details')) part.open = true";
            browser.client.execute(unfold, Vec::new()).await.unwrap();
            for violation in browser.violations().await {
                found.push(format!("{name} at {width} {scheme}: {violation}"));
            }
            let wide = browser.client.execute(
                "return document.documentElement.scrollWidth > document.documentElement.clientWidth",
                Vec::new(),
            );
            if wide.await.unwrap() == serde_json::Value::Bool(true) {
                found.push(format!("{name} at {width}: the page is wider than the screen"));
            }
            if let Some(folder) = folder {
                let whole = "return document.documentElement.scrollHeight";
                let whole = browser.client.execute(whole, Vec::new()).await.unwrap().as_u64().unwrap();
                browser.emulate(width, u32::try_from(whole).unwrap(), scheme).await;
                browser.screenshot(&folder.join(format!("{name}-{width}-{scheme}.png"))).await;
            }
        }
    }
}

#[test]
fn a_class_list_changes_nothing_the_second_time_and_undoing_keeps_who_registered() {
    let server = Server::start();
    set_up(&server);
    let mut admin = Visitor::admin(&server);
    let import = |admin: &mut Visitor<'_>, list: &str| {
        let preview = admin.upload("/admin/import", "/admin/import", "9c.csv", list);
        assert_eq!(preview.status, 200, "{}", preview.body);
        let form = preview.form("confirm");
        let done = admin.post_form("/admin/import/confirm", &form);
        let location = done.header("location").unwrap().to_owned();
        // A preview is confirmed once.
        assert_eq!(admin.post_form("/admin/import/confirm", &form).status, 422);
        location
    };
    assert_eq!(import(&mut admin, &class_list()), "/admin/import?done=i.1-28-0-0-2");
    assert_eq!(import(&mut admin, &class_list()), "/admin/import?done=i.2-0-0-28-2");
    let renamed = "\u{feff}Kennung;Name\n101;Schülerin Eins\n";
    assert_eq!(import(&mut admin, renamed), "/admin/import?done=i.3-0-1-0-0");
    // Somebody entered by hand is recognised by name and class, and takes the key of the list.
    server.json(&[
        "admin",
        "participant",
        "add",
        "Von Hand",
        "--class",
        "9c",
        "--data-dir",
        "data",
        "--json",
    ]);
    assert_eq!(
        import(&mut admin, "Name;Klasse;Kennung\nVon Hand;9c;200\n"),
        "/admin/import?done=i.4-0-1-0-0"
    );
    assert_eq!(
        import(&mut admin, "Name;Klasse;Kennung\nVon Hand;9c;200\n"),
        "/admin/import?done=i.5-0-0-1-0"
    );
    let list = |search: &str| {
        let arguments = ["admin", "participant", "list", "--search", search, "--data-dir", "data", "--json"];
        server.json(&arguments)
    };
    assert_eq!(list("schülerin eins").len(), 1);
    let undone = admin.submit("/admin/import", "/admin/import/undo", &[("id", "3")]);
    assert_eq!(undone.header("location"), Some("/admin/import?done=u.0-1-0"));
    assert_eq!(admin.submit("/admin/import", "/admin/import/undo", &[("id", "3")]).status, 422);
    assert_eq!(list("schülerin eins").len(), 0);
    assert!(list("SCHÜLERIN 1 MÜßIG").iter().any(|row| row["name"] == "Schülerin 1 Müßig"));
    for (list, sentence) in
        [("PK\u{3}\u{4}", "cannot be read"), ("Name\n", "list is empty"), ("", "list is empty")]
    {
        let refused = admin.upload("/admin/import", "/admin/import", "x.csv", list);
        assert!(refused.status == 422 && refused.body.contains(sentence), "{list:?}: {}", refused.body);
    }
    let large = format!("Name\n{}", "Ada Lovelace\n".repeat(200_000));
    assert_eq!(admin.upload("/admin/import", "/admin/import", "x.csv", &large).status, 422);
    server.json(&["admin", "participant", "delete", "#29", "--data-dir", "data", "--json"]);
    let undone = admin.submit("/admin/import", "/admin/import/undo", &[("id", "1")]);
    assert_eq!(undone.header("location"), Some("/admin/import?done=u.28-0-0"));
    assert!(server.json(&["admin", "class", "list", "--data-dir", "data", "--json"]).is_empty());
}

#[test]
fn somebody_who_lost_every_device_begins_anew_under_the_same_id() {
    let server = Server::start();
    let first = server.invite().to_string();
    let joined =
        server.json(&["user", "register", "--invite", &first, "--profile", "old", "--json"]).remove(0);
    let second = server.invite().to_string();
    server.json(&["user", "register", "--invite", &second, "--profile", "ben", "--json"]);
    let id = joined["id"].as_str().unwrap();
    server.json(&["send", "--profile", "ben", "--to", id, "vorher", "--json"]);
    let line = ["admin", "participant", "reset-keys", id, "--data-dir", "data", "--json"];
    let link = server.json(&line).remove(0)["link"].as_str().unwrap().to_owned();
    let locked_out = server.failure(&["receive", "--profile", "old", "--json"]);
    assert!(locked_out.contains("revoked") || locked_out.contains("removed"), "{locked_out}");
    let said = server.failure(&["send", "--profile", "ben", "--to", id, "dazwischen", "--json"]);
    assert!(said.contains("no device"), "{said}");
    let again = server.json(&["user", "register", "--invite", &link, "--profile", "new", "--json"]).remove(0);
    assert_eq!(again["id"], joined["id"]);
    assert_ne!(again["fingerprint"], joined["fingerprint"]);
    // Ben is warned and nothing goes out until he confirms.
    let warned = server.failure(&["send", "--profile", "ben", "--to", id, "nachher", "--json"]);
    assert!(warned.contains("verify") || warned.contains("reset"), "{warned}");
    let spent = server.failure(&["user", "register", "--invite", &link, "--profile", "third", "--json"]);
    assert!(spent.contains("already"), "{spent}");
}
