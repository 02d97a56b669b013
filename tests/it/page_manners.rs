//! What pages owe to whoever clicks and types: they ask before they act, can be loaded again, keep what was typed, and never
//! answer in the words of a library.

use crate::harness::Server;
use crate::visitor::{PASSWORD, Visitor, set_up};

fn admin(server: &Server, words: &[&str]) -> Vec<serde_json::Value> {
    server.json(&[&["admin"], words, &["--data-dir", "data", "--json"]].concat())
}

#[test]
fn cards_are_the_same_however_often_their_page_is_loaded() {
    let server = Server::start();
    set_up(&server);
    let mut visitor = Visitor::admin(&server);
    let made = visitor.submit("/admin/participants", "/admin/participants", &[("name", "Ada Lovelace")]);
    let link =
        |body: &str| body.split("class=\"link\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let first = visitor.follow(&made);
    assert!(first.body.contains("Schule am Wald") && first.body.contains("Ada Lovelace"), "{}", first.body);
    assert_eq!(link(&visitor.follow(&made).body), link(&first.body));
    let invites = || admin(&server, &["participant", "list"])[0]["state"].clone();
    assert_eq!(invites(), "invited");
    // Other accounts do not see them, and a made-up set is a page, too.
    std::fs::write(server.profile("second"), "Tafel neben der Heizung\n").unwrap();
    admin(&server, &["account", "add", "second", "--password-file", "second"]);
    let mut other = Visitor::logged_in(&server, "second", "Tafel neben der Heizung");
    let refused = other.get(made.header("location").unwrap());
    assert!(refused.status == 404 && refused.body.contains("no longer shown"), "{}", refused.body);
}

#[test]
fn what_cannot_be_taken_back_is_asked_about_first() {
    let server = Server::start();
    set_up(&server);
    std::fs::write(server.profile("second"), "Tafel neben der Heizung\n").unwrap();
    admin(&server, &["account", "add", "second", "--password-file", "second"]);
    let mut visitor = Visitor::admin(&server);
    let csrf = visitor.get("/admin/account").field("csrf");
    let accounts = || admin(&server, &["account", "list"]).len();
    let asked = visitor.post_unsure("/admin/accounts/delete", &[("csrf", &csrf), ("name", "second")]);
    assert!(asked.status == 200 && asked.body.contains("Delete the account “second”?"), "{}", asked.body);
    assert_eq!(accounts(), 2);
    visitor.post_form("/admin/accounts/delete", &asked.form("asking"));
    assert_eq!(accounts(), 1);
    // A form of somebody else's is not asked about, it is refused.
    let foreign = visitor.post_unsure("/admin/accounts/delete", &[("csrf", "x"), ("name", "admin")]);
    assert_eq!(foreign.status, 403);
    for (path, fields) in [
        ("/admin/participants/1/revoke-device", vec![("device", "X")]),
        ("/admin/account/session", vec![("session", "x")]),
        ("/admin/account/one-time-passwords", vec![]),
        ("/admin/import/undo", vec![("id", "1")]),
        ("/admin/listeners", vec![("act", "remove"), ("address", "127.0.0.1:1")]),
        ("/admin/neighbours", vec![("act", "remove"), ("server", "x")]),
        ("/admin/certificates/remove", vec![]),
        ("/admin/smoke/ozones", vec![("act", "remove"), ("ozone", "#1")]),
    ] {
        let asked = visitor.post_unsure(path, &[&[("csrf", csrf.as_str())], &fields[..]].concat());
        assert!(asked.status == 200 && asked.body.contains("id=\"asking\""), "{path}: {}", asked.body);
        let form = asked.form("asking");
        for (name, value) in fields {
            assert!(form.contains(&(name.to_owned(), value.to_owned())), "{path} keeps {name}");
        }
    }
}

#[test]
fn what_was_typed_survives_a_session_that_ended() {
    let server = Server::start();
    set_up(&server);
    let mut visitor = Visitor::new(&server);
    let typed = [("csrf", "old"), ("name", "Ada & Söhne"), ("class", "0"), ("password", "geheim")];
    let form = visitor.post_unsure("/admin/participants", &typed);
    assert!(form.status == 422 && form.body.contains("session has ended"), "{}", form.body);
    assert!(!form.body.contains("geheim"));
    let mut fields = form.form("login");
    for (name, value) in &mut fields {
        match name.as_str() {
            "user" => *value = "admin".into(),
            "password" => *value = "falsch und lang".into(),
            _ => {}
        }
    }
    // A wrong password loses nothing either.
    let again = visitor.post_form("/admin", &fields);
    assert_eq!(again.status, 422);
    let mut fields = again.form("login");
    let password = fields.iter_mut().find(|(name, _)| name == "password").unwrap();
    password.1 = PASSWORD.into();
    let kept = visitor.post_form("/admin", &fields);
    assert!(kept.status == 200 && kept.body.contains("Ada &#38; Söhne"), "{}", kept.body);
    let made = visitor.post_form("/admin/participants", &kept.form("resume"));
    assert!(visitor.follow(&made).body.contains("Ada &#38; Söhne"));
    // Nobody else's page puts words into this one's mouth, and not into an address elsewhere.
    let mut stranger = Visitor::new(&server);
    stranger.headers.push("Origin: https://elsewhere.example".into());
    let refused = stranger.post_unsure("/admin/participants", &typed);
    assert!(refused.status == 403 && !refused.body.contains("Söhne"), "{}", refused.body);
    let mut visitor = Visitor::new(&server);
    let large = "x".repeat(20_000);
    let without = visitor.post_unsure("/admin/participants", &[("name", &large)]);
    assert!(without.status == 401 && without.body.contains("id=\"login\""), "{}", without.body);
    assert!(!without.body.contains("xxxx"));
    // Forms with secrets are not kept, whatever their fields are called.
    let secret =
        visitor.post_unsure("/admin/account/password", &[("old", "geheim1"), ("repeated", "geheim2")]);
    assert!(secret.status == 401 && !secret.body.contains("geheim"), "{}", secret.body);
}

#[test]
fn whoever_follows_a_link_reads_a_page_and_a_program_reads_json() {
    let server = Server::start();
    set_up(&server);
    let mut visitor = Visitor::admin(&server);
    for (path, status) in [
        ("/admin/participants/abc", 400),
        ("/admin/classes/x", 400),
        ("/admin/sheets", 405),
        ("/admin/import/undo", 405),
        ("/admin/nothing", 404),
        ("/admin/participants?page=x&class=y", 200),
    ] {
        let answer = visitor.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.starts_with("<!doctype html>"), "{path}: {}", answer.body);
        assert!(!answer.body.contains("Cannot parse") && !answer.body.contains("i64"), "{path}");
    }
    let csrf = visitor.get("/admin/account").field("csrf");
    let wrong = visitor.post("/admin/import/undo", &[("csrf", &csrf), ("id", "many")]);
    assert!(wrong.status == 400 && wrong.body.starts_with("<!doctype html>"), "{}", wrong.body);
    for (path, status) in [("/nothing", 404), ("/api/v1/ozone", 401), ("/api/v1/messages", 405)] {
        let mut reader = Visitor::new(&server);
        let program = reader.get(path);
        assert!(program.status == status && program.body.starts_with('{'), "{path}: {}", program.body);
        reader.headers.push("Accept: text/html,application/xhtml+xml,*/*;q=0.8".into());
        reader.headers.push("Accept-Language: de".into());
        let page = reader.get(path);
        assert_eq!(page.status, status, "{path}");
        assert!(page.body.starts_with("<!doctype html>") && page.body.contains("Das ging nicht"), "{path}");
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    }
}

#[test]
fn everybody_learns_how_to_trust_the_server_without_an_account() {
    let server = Server::start();
    set_up(&server);
    let mut reader = Visitor::new(&server);
    let german = reader.get("/vertrauen");
    assert!(german.status == 200 && german.body.contains("Zertifikatsvertrauenseinstellungen"));
    let english = reader.get("/trust");
    assert!(english.body.contains("Certificate Trust Settings"));
    let fingerprint =
        english.body.split("<pre class=\"fingerprint\">").nth(1).unwrap().split('<').next().unwrap();
    // The admins can say what it has to be.
    let mut visitor = Visitor::admin(&server);
    assert!(visitor.get("/admin/certificates").body.contains(fingerprint));
    let pem = reader.get("/trust/momedo.pem").body;
    let der = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents;
    let digest = momedo_protocol::digest::sha256(&der);
    let shown: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(fingerprint, shown.join(":"));
    let profile = reader.get("/trust/momedo.mobileconfig");
    assert!(profile.body.contains("com.apple.security.root") && profile.body.contains("Schule am Wald"));
    assert_eq!(reader.get("/trust/momedo.crt").header("content-type"), Some("application/x-x509-ca-cert"));
    assert_eq!(reader.get("/trust/other.crt").status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_people_are_moved_locked_out_and_deleted_at_once() {
    let server = Server::start();
    set_up(&server);
    server.register(0).await;
    let test = admin(&server, &["participant", "list"])[0]["number"].to_string();
    for name in ["Ada", "Ben", "Cem"] {
        admin(&server, &["participant", "add", name]);
    }
    for class in ["7a", "8a", "Chor"] {
        admin(&server, &["class", "create", class]);
    }
    let state = |name: &str| {
        let rows = admin(&server, &["participant", "list", "--search", name]);
        rows.first()
            .map(|row| format!("{} {}", row["state"].as_str().unwrap(), row["classes"].as_str().unwrap()))
    };
    let number =
        |name: &str| admin(&server, &["participant", "list", "--search", name])[0]["number"].to_string();
    let [ada, ben, cem] = ["Ada", "Ben", "Cem"].map(number);
    let mut visitor = Visitor::admin(&server);
    let page = "/admin/participants";
    let act = |visitor: &mut Visitor<'_>, act: &str, people: &[&str], to: &str| {
        let people = people.iter().map(|person| ("person", *person));
        let fields: Vec<(&str, &str)> = [("act", act), ("to", to)].into_iter().chain(people).collect();
        visitor.submit(page, "/admin/participants/chosen", &fields)
    };
    let none = act(&mut visitor, "move", &[], "1");
    assert!(none.status == 422 && none.body.contains("Nobody is chosen"), "{}", none.body);
    let moved = act(&mut visitor, "move", &[&ada, &ben], "1");
    assert!(visitor.follow(&moved).body.contains("Moved: 2."));
    admin(&server, &["class", "add", "Chor", &format!("#{ada}")]);
    // Whoever is in one class leaves it; a choir beside it stays.
    act(&mut visitor, "move", &[&ben], "2");
    assert_eq!(state("Ben").unwrap(), "invited 8a");
    assert_eq!(state("Ada").unwrap(), "invited 7a, Chor");
    let disabled = act(&mut visitor, "disable", &[&test, &ben], "");
    let body = visitor.follow(&disabled).body;
    assert!(body.contains("Disabled: 1.") && body.contains("passed over: 1."), "{body}");
    assert_eq!(state("Test").unwrap(), "disabled ");
    // Deleting names everybody first.
    let asked = act(&mut visitor, "delete", &[&ada, &ben], "");
    assert!(asked.body.contains("<li>Ada</li><li>Ben</li>") && state("Ada").is_some(), "{}", asked.body);
    let deleted = visitor.post_form("/admin/participants/chosen/delete", &asked.form("delete"));
    assert!(visitor.follow(&deleted).body.contains("Deleted: 2."));
    assert!(state("Ada").is_none() && state("Ben").is_none());
    // On the command line; one that is not there stops everything before it begins.
    let (one, other) = (format!("#{cem}"), format!("#{test}"));
    let failed = ["admin", "participant", "delete", &one, "#999", "--data-dir", "data"];
    server.failure(&failed);
    assert!(state("Cem").is_some());
    admin(&server, &["participant", "enable", &other]);
    admin(&server, &["participant", "move", &one, &other, "--to", "7a"]);
    assert_eq!((state("Cem").unwrap(), state("Test").unwrap()), ("invited 7a".into(), "active 7a".into()));
    admin(&server, &["participant", "delete", &one, &other]);
    assert!(state("Cem").is_none() && state("Test").is_none());
    // On one person's own page.
    admin(&server, &["participant", "add", "Dora"]);
    let dora = format!("/admin/participants/{}", number("Dora"));
    let moved = visitor.submit(&dora, &format!("{dora}/class"), &[("class", "2"), ("act", "move")]);
    assert!(moved.body.contains("Now in: 8a."), "{}", moved.body);
    let joined = visitor.submit(&dora, &format!("{dora}/class"), &[("class", "3"), ("act", "join")]);
    assert!(joined.body.contains("Now in: 8a, Chor."), "{}", joined.body);
    let left = visitor.submit(&dora, &format!("{dora}/class"), &[("class", "2"), ("act", "leave")]);
    assert!(left.body.contains("Now in: Chor."), "{}", left.body);
}

#[test]
fn a_wrong_one_time_password_costs_neither_the_secret_nor_the_password() {
    let server = Server::start();
    set_up(&server);
    let mut admin = Visitor::admin(&server);
    let page = admin.get("/admin/account");
    let (csrf, secret) = (page.field("csrf"), page.field("secret"));
    let fields = |one_time: &str| {
        let fields = [("csrf", csrf.as_str()), ("secret", secret.as_str()), ("one_time", one_time)];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let wrong = admin.post_form("/admin/account/one-time-passwords", &fields("000"));
    assert!(wrong.status == 422 && wrong.body.contains("does not fit"), "{}", wrong.body);
    assert_eq!(wrong.field("secret"), secret, "the app on the phone has this one by now");
    let bytes = momedo_protocol::encoding::decode_hex::<20>(&secret).unwrap();
    let code =
        |ahead| momedo::service::accounts::one_time_password(&bytes, momedo_client::now().0 / 30_000 + ahead);
    assert_eq!(admin.post_form("/admin/account/one-time-passwords", &fields(&code(0))).status, 200);
    // Logging in: the password once, then the one-time password alone.
    let mut visitor = Visitor::new(&server);
    let form = visitor.get("/admin").field("form");
    let log_in = [("form", form.as_str()), ("user", "admin"), ("password", PASSWORD)];
    let asked = visitor.post("/admin", &log_in);
    assert!(asked.status == 422 && !asked.body.contains("name=\"password\""), "{}", asked.body);
    assert!(!asked.body.contains(PASSWORD));
    let half = asked.field("half");
    let second = |visitor: &mut Visitor<'_>, one_time: &str| {
        visitor.post("/admin", &[("form", &form), ("half", &half), ("one_time", one_time)])
    };
    let wrong = second(&mut visitor, "000000");
    assert!(wrong.status == 422 && wrong.body.contains("does not fit"), "{}", wrong.body);
    assert_eq!(wrong.field("half"), half);
    // It is worth nothing in another browser.
    let mut other = Visitor::new(&server);
    let others = other.get("/admin").field("form");
    let stolen = other.post("/admin", &[("form", &others), ("half", &half), ("one_time", &code(1))]);
    assert_eq!(stolen.status, 422);
    assert_eq!(second(&mut visitor, &code(1)).status, 303);
    assert_eq!(second(&mut Visitor::new(&server), &code(1)).status, 422, "it is gone once it was used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_leads_to_both_people_as_far_as_one_may_see_them() {
    let server = Server::start();
    set_up(&server);
    let (reporter, writer) = (server.register(0).await, server.register(1).await);
    crate::personal::report(&server, &writer, &reporter).await;
    for class in ["7a", "8a"] {
        admin(&server, &["class", "create", class]);
    }
    let [reporter, writer] = [reporter.id(), writer.id()].map(|id| id.to_string());
    admin(&server, &["participant", "move", &reporter, "--to", "7a"]);
    admin(&server, &["participant", "move", &writer, "--to", "8a"]);
    let number = |id: &str| admin(&server, &["participant", "list", "--search", id])[0]["number"].to_string();
    let link = |id: &str| format!("href=\"/admin/participants/{}\"", number(id));
    let mut visitor = Visitor::admin(&server);
    let page = visitor.get("/admin/reports").body;
    assert!(
        page.contains(&link(&reporter)) && page.contains(&link(&writer)) && page.contains("(8a)"),
        "{page}"
    );
    let disabled = visitor.submit(
        "/admin/reports",
        "/admin/participants/chosen",
        &[("act", "disable"), ("person", &number(&writer))],
    );
    assert_eq!(disabled.status, 303);
    assert_eq!(admin(&server, &["participant", "list", "--search", &writer])[0]["state"], "disabled");
    assert!(!visitor.get("/admin/reports").body.contains("value=\"disable\""), "it is done");
    // The lead of the reporter's class sees that one alone, and hears what a lead may do.
    std::fs::write(server.profile("lead"), "Tafel neben der Heizung\n").unwrap();
    admin(&server, &["account", "add", "grete", "--leads", "7a", "--password-file", "lead"]);
    let mut lead = Visitor::logged_in(&server, "grete", "Tafel neben der Heizung");
    let page = lead.get("/admin/reports").body;
    assert!(page.contains(&link(&reporter)) && !page.contains(&link(&writer)), "{page}");
    assert!(page.contains("ask the admins") && !page.contains("value=\"disable\""), "{page}");
}

#[test]
fn a_lead_who_changes_classes_and_forgets_the_password_is_helped_on_the_page() {
    let server = Server::start();
    set_up(&server);
    for class in ["7a", "7b"] {
        admin(&server, &["class", "create", class]);
    }
    std::fs::write(server.profile("lead"), "Tafel neben der Heizung\n").unwrap();
    let add = ["account", "add", "Grete Süß & Co", "--leads", "7a"];
    admin(&server, &[&add[..], &["--password-file", "lead"]].concat());
    let mut visitor = Visitor::admin(&server);
    let accounts = visitor.get("/admin/account").body;
    let link = accounts.split("/admin/accounts/change?name=").nth(1).unwrap().split('"').next().unwrap();
    let path = format!("/admin/accounts/change?name={link}");
    let page = visitor.get(&path).body;
    assert!(page.contains("Account Grete Süß &#38; Co"), "{page}");
    let checked = |page: &str| {
        let boxes = page.split("name=\"class\"").skip(1).map(|one| one.split("</label>").next().unwrap());
        let on = boxes.filter(|one| one.contains(" checked"));
        on.map(|one| one.rsplit('>').next().unwrap().trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(checked(&page), ["7a"]);
    let second = page.split("name=\"class\" value=\"").nth(2).unwrap().split('"').next().unwrap().to_owned();
    let name = ("name", "Grete Süß & Co");
    let saved = visitor.submit(&path, "/admin/accounts/classes", &[name, ("class", &second)]);
    assert_eq!(saved.status, 200, "{}", saved.body);
    assert_eq!(checked(&saved.body), ["7b"]);
    let new = "Kreide und ein Schwamm";
    let slip = [name, ("password", new), ("repeated", "Kreide und ein Schwamn")];
    assert_eq!(visitor.submit(&path, "/admin/accounts/password", &slip).status, 422);
    let own = [("name", "admin"), ("password", new), ("repeated", new)];
    assert_eq!(visitor.submit(&path, "/admin/accounts/password", &own).status, 422);
    let set =
        visitor.submit(&path, "/admin/accounts/password", &[name, ("password", new), ("repeated", new)]);
    assert_eq!(set.status, 200, "{}", set.body);
    let mut lead = Visitor::logged_in(&server, "Grete Süß & Co", new);
    assert_eq!(lead.get("/admin/participants").status, 200);
    // Who looks after one class changes nobody's account.
    assert_eq!(lead.get(&path).status, 403);
}
