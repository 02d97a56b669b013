//! Accounts of the pages: who may have one, what lets them in, and what ends their sessions.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::live::staff_sessions::{Client, Door};
use crate::service::rules::{self, Rules};
use crate::testing::{Server, refused};

const PASSWORD: &str = "Lampe im dritten Stock";
const OTHER: &str = "Kreide und Schwamm";

const CALLER: Caller<'static> = Caller { address: IpAddr::V4(Ipv4Addr::LOCALHOST), device_cookie: None };

fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn machine() -> RecentlyConfirmed {
    RecentlyConfirmed::at_the_machine()
}

async fn add_with(
    server: &Server,
    name: &str,
    role: AccountRole,
    password: &str,
) -> Result<(), ServiceError> {
    add(server.app(), &machine(), name.into(), secret(password), role, Vec::new()).await
}

async fn add_admin(server: &Server, name: &str) {
    add_with(server, name, AccountRole::Admin, PASSWORD).await.unwrap();
}

async fn enter(
    server: &Server,
    name: &str,
    password: &str,
    one_time: &str,
) -> Result<LoggedIn, ServiceError> {
    enter_from(server, name, password, one_time, CALLER).await
}

async fn enter_from(
    server: &Server,
    name: &str,
    password: &str,
    one_time: &str,
    caller: Caller<'_>,
) -> Result<LoggedIn, ServiceError> {
    let one_time = one_time.to_owned();
    let credentials = Credentials { account: name.into(), password: secret(password), one_time };
    log_in(server.app(), credentials, caller).await
}

/// Begins a session of somebody who has just logged in; its handle.
fn begin(server: &Server, who: &LoggedIn) -> (String, String) {
    let (app, client) = (server.app(), Client { address: CALLER.address, door: Door::Tls, browser: "" });
    let (now, at) = (app.clock.elapsed(), app.clock.now());
    let token = app.staff_sessions.begin(who.account.clone(), who.stamp, now, at, &client);
    let handle = app.staff_sessions.find(&token, Door::Tls, false, now).unwrap().handle;
    (token, handle)
}

fn holds(server: &Server, handle: &str) -> bool {
    server.app().staff_sessions.holds(handle, server.app().clock.elapsed())
}

fn confirmed(name: &str) -> RecentlyConfirmed<Staff> {
    RecentlyConfirmed::proved(Staff::authenticated(name.into(), AccountRole::Admin, Vec::new()))
}

async fn names(server: &Server) -> Vec<String> {
    let all = list(server.app(), &machine()).await.unwrap();
    all.into_iter().map(|(row, _)| row.name).collect()
}

/// What an authenticator shows now.
fn shown(server: &Server, key: &[u8]) -> String {
    one_time_password(key, server.app().clock.now().0 / 1000 / TOTP_PERIOD)
}

#[tokio::test]
async fn a_password_that_is_guessed_soon_makes_no_account() {
    let server = Server::open("[server]\nname = \"Schule am Wald\"\n").await;
    for weak in ["zu kurz", "Schule-am-Wald-1", "grete.12345", "Passwort2026"] {
        let made = add_with(&server, "grete", AccountRole::Admin, weak).await;
        assert_eq!(refused(made), "weak-password", "{weak}");
    }
    assert!(names(&server).await.is_empty());
}

#[tokio::test]
async fn an_account_has_a_name_that_nobody_else_has_and_that_can_be_seen() {
    let server = Server::open("").await;
    add_admin(&server, "Grete").await;
    for (name, expected) in [
        ("Grete", "account-exists"),
        ("  Grete ", "account-exists"),
        ("momedo admin", "account-exists"),
        ("", "unacceptable-name"),
        ("Gre\u{202e}te", "unacceptable-name"),
    ] {
        assert_eq!(refused(add_with(&server, name, AccountRole::Admin, OTHER).await), expected, "{name:?}");
    }
    assert_eq!(names(&server).await, ["Grete"]);
    assert!(enter(&server, "Grete", PASSWORD, "").await.is_ok(), "the first password stays");
}

#[tokio::test]
async fn nobody_leads_a_class_that_is_not_there() {
    let server = Server::open("").await;
    let lead = AccountRole::ClassLead;
    let made = add(server.app(), &machine(), "Paul".into(), secret(PASSWORD), lead, vec![7]).await;
    assert_eq!(refused(made), "unknown-class");
    assert!(names(&server).await.is_empty(), "nothing of it is left");
}

#[tokio::test]
async fn the_last_admin_stays_and_a_class_lead_counts_for_none() {
    let server = Server::open("").await;
    add_admin(&server, "Grete").await;
    add_with(&server, "Paul", AccountRole::ClassLead, PASSWORD).await.unwrap();
    let go = async |name: &str| delete(server.app(), &machine(), name.into()).await;
    assert_eq!(refused(go("Grete").await), "last-admin");
    assert_eq!(refused(go("Nobody").await), "unknown-account");
    go("Paul").await.unwrap();
    add_admin(&server, "Olga").await;
    go("Grete").await.unwrap();
    assert_eq!(refused(go("Olga").await), "last-admin");
}

#[tokio::test]
async fn a_wrong_password_and_an_account_that_is_not_there_sound_the_same_and_wait_the_same() {
    let server = Server::open("").await;
    add_admin(&server, "Grete").await;
    for name in ["Grete", "Nobody"] {
        for _ in 0..5 {
            assert_eq!(refused(enter(&server, name, OTHER, "").await), "wrong-password", "{name}");
        }
        assert_eq!(refused(enter(&server, name, OTHER, "").await), "too-often", "{name}");
    }
    assert_eq!(refused(enter(&server, "Grete", PASSWORD, "").await), "too-often", "who is right waits, too");
    let elsewhere = Caller { address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), ..CALLER };
    assert!(enter_from(&server, "Grete", PASSWORD, "", elsewhere).await.is_ok());
    server.advance(Duration::from_secs(30));
    assert!(enter(&server, "Grete", PASSWORD, "").await.is_ok());
}

#[tokio::test]
async fn right_passwords_are_not_counted() {
    let server = Server::open("").await;
    add_admin(&server, "Grete").await;
    for _ in 0..8 {
        assert!(enter(&server, "Grete", PASSWORD, "").await.is_ok());
    }
}

#[tokio::test]
async fn a_browser_that_was_here_before_is_not_kept_out_by_others_guesses() {
    let server = Server::open("").await;
    add_admin(&server, "Grete").await;
    let cookie = enter(&server, "Grete", PASSWORD, "").await.unwrap().device_cookie.unwrap();
    for _ in 0..6 {
        assert!(enter(&server, "Grete", OTHER, "").await.is_err());
    }
    assert_eq!(refused(enter(&server, "Grete", PASSWORD, "").await), "too-often");
    let known = Caller { device_cookie: Some(&cookie), ..CALLER };
    let entered = enter_from(&server, "Grete", PASSWORD, "", known).await.unwrap();
    assert_eq!(entered.device_cookie, None, "it is known already");
}

#[tokio::test]
async fn a_new_password_ends_every_session_but_the_one_it_was_changed_in() {
    let server = Server::open("").await;
    add_admin(&server, "Grete").await;
    let who = enter(&server, "Grete", PASSWORD, "").await.unwrap();
    let ((token, here), (_, other)) = (begin(&server, &who), begin(&server, &who));
    let app = server.app();
    let change = async |old: &str, new: &str| {
        change_password(app, &confirmed("Grete"), secret(old), secret(new), CALLER, &here).await
    };
    assert_eq!(refused(change(OTHER, "neue Kreide, alter Schwamm").await), "wrong-password");
    assert_eq!(refused(change(PASSWORD, "kurz").await), "weak-password");
    assert!(holds(&server, &other));
    change(PASSWORD, OTHER).await.unwrap();
    assert!(holds(&server, &here) && !holds(&server, &other));
    let stamp = app.staff_sessions.find(&token, Door::Tls, false, app.clock.elapsed()).unwrap().stamp;
    assert!(rights(app, "Grete", &stamp, app.clock.now()).await.unwrap().is_some());
    assert!(rights(app, "Grete", &who.stamp, app.clock.now()).await.unwrap().is_none());
    assert_eq!(refused(enter(&server, "Grete", PASSWORD, "").await), "wrong-password");
    assert!(enter(&server, "Grete", OTHER, "").await.is_ok());
}

#[tokio::test]
async fn an_account_that_is_deleted_is_out_at_once() {
    let server = Server::open("").await;
    add_admin(&server, "Grete").await;
    add_admin(&server, "Olga").await;
    let who = enter(&server, "Olga", PASSWORD, "").await.unwrap();
    let (_, handle) = begin(&server, &who);
    delete(server.app(), &machine(), "Olga".into()).await.unwrap();
    assert!(!holds(&server, &handle));
    let now = server.app().clock.now();
    assert!(rights(server.app(), "Olga", &who.stamp, now).await.unwrap().is_none());
    assert_eq!(refused(enter(&server, "Olga", PASSWORD, "").await), "wrong-password");
}

#[tokio::test]
async fn a_one_time_password_and_a_recovery_code_let_in_once() {
    let server = Server::open("").await;
    add_admin(&server, "Grete").await;
    let (app, staff, key) = (server.app(), confirmed("Grete"), [7; TOTP_SECRET_BYTES]);
    let enable = async |typed: &str| enable_one_time_passwords(app, &staff, key, typed, "").await;
    assert_eq!(refused(enable("000000").await), "wrong-one-time-password");
    let codes = enable(&shown(&server, &key)).await.unwrap();
    assert_eq!(codes.len(), RECOVERY_CODES);
    assert_eq!(refused(enter(&server, "Grete", PASSWORD, "").await), "needs-one-time-password");
    let first = shown(&server, &key);
    assert_eq!(
        refused(enter(&server, "Grete", PASSWORD, &first).await),
        "wrong-password",
        "it was typed before"
    );
    server.advance(Duration::from_secs(TOTP_PERIOD));
    let second = shown(&server, &key);
    assert!(enter(&server, "Grete", PASSWORD, &second).await.is_ok());
    assert_eq!(refused(enter(&server, "Grete", PASSWORD, &second).await), "wrong-password");
    assert!(enter(&server, "Grete", PASSWORD, &codes[0].to_lowercase()).await.is_ok());
    assert_eq!(refused(enter(&server, "Grete", PASSWORD, &codes[0]).await), "wrong-password");
    assert_eq!(refused(enter(&server, "Grete", OTHER, &codes[1]).await), "wrong-password");
    assert!(enter(&server, "Grete", PASSWORD, &codes[1]).await.is_ok(), "a wrong password uses no code up");
    assert_eq!(refused(enable(&shown(&server, &key)).await), "foreign-form", "they are on already");
}

#[tokio::test]
async fn a_rule_asks_everybody_for_one_time_passwords_before_anything_else() {
    let server = Server::open("").await;
    add_admin(&server, "Grete").await;
    let app = server.app();
    let who = enter(&server, "Grete", PASSWORD, "").await.unwrap();
    let must_enrol =
        async || rights(app, "Grete", &who.stamp, app.clock.now()).await.unwrap().unwrap().must_enrol;
    assert!(!must_enrol().await);
    let rule = Rules { one_time_passwords: Some(true), ..Rules::default() };
    rules::change(app, &machine(), rule).await.unwrap();
    assert!(must_enrol().await);
    let key = [7; TOTP_SECRET_BYTES];
    enable_one_time_passwords(app, &confirmed("Grete"), key, &shown(&server, &key), "").await.unwrap();
    assert!(!must_enrol().await);
}

#[tokio::test]
async fn a_reset_at_the_machine_keeps_one_time_passwords_unless_it_is_said() {
    let server = Server::open("").await;
    add_admin(&server, "Grete").await;
    let (app, key) = (server.app(), [7; TOTP_SECRET_BYTES]);
    let (_, handle) = begin(&server, &enter(&server, "Grete", PASSWORD, "").await.unwrap());
    let typed = shown(&server, &key);
    enable_one_time_passwords(app, &confirmed("Grete"), key, &typed, &handle).await.unwrap();
    let reset = async |second| reset_password(app, &machine(), "Grete", secret(OTHER), second).await.unwrap();
    reset(Second::Keep).await;
    assert!(!holds(&server, &handle));
    assert_eq!(refused(enter(&server, "Grete", OTHER, "").await), "needs-one-time-password");
    reset(Second::SwitchOff).await;
    assert!(enter(&server, "Grete", OTHER, "").await.is_ok());
}

#[tokio::test]
async fn a_reset_at_the_machine_makes_nobody_an_admin_who_is_none_and_ends_the_wait() {
    let server = Server::open("").await;
    add_with(&server, "Paul", AccountRole::ClassLead, PASSWORD).await.unwrap();
    for _ in 0..6 {
        assert!(enter(&server, "Paul", OTHER, "").await.is_err());
    }
    reset_password(server.app(), &machine(), "Paul", secret(OTHER), Second::Keep).await.unwrap();
    let who = enter(&server, "Paul", OTHER, "").await.unwrap();
    let now = server.app().clock.now();
    let staff = rights(server.app(), "Paul", &who.stamp, now).await.unwrap().unwrap().staff;
    assert!(staff.admin().is_none() && staff.classes() == Some(&[]));
}

#[tokio::test]
async fn a_typed_password_counts_for_five_minutes_in_the_session_it_was_typed_in() {
    let server = Server::open("").await;
    add_admin(&server, "Grete").await;
    let app = server.app();
    let who = enter(&server, "Grete", PASSWORD, "").await.unwrap();
    let ((_, here), (_, other)) = (begin(&server, &who), begin(&server, &who));
    let staff = Staff::authenticated("Grete".into(), AccountRole::Admin, Vec::new());
    let is_recent = |handle: &str| recently_confirmed(app, &staff, handle).is_some();
    assert!(is_recent(&here), "whoever logs in has just typed it");
    server.advance(Duration::from_secs(301));
    assert!(!is_recent(&here));
    let typed =
        async |password: &str| confirm(app, &staff, &here, secret(password), String::new(), CALLER).await;
    assert_eq!(refused(typed(OTHER).await), "wrong-password");
    assert!(!is_recent(&here));
    typed(PASSWORD).await.unwrap();
    assert!(is_recent(&here) && !is_recent(&other));
}

#[test]
fn one_time_passwords_are_those_of_the_standard() {
    // RFC 6238, appendix B, SHA-1, last six of eight digits.
    let secret = b"12345678901234567890";
    for (seconds, digits) in
        [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
    {
        assert_eq!(one_time_password(secret, seconds / TOTP_PERIOD), digits);
        assert_eq!(matching_step(secret, digits, seconds + 29), matching_step(secret, digits, seconds));
        assert_eq!(matching_step(secret, digits, seconds + 120), None);
    }
}

#[tokio::test]
async fn nobody_takes_the_name_that_the_log_has_for_whoever_is_at_the_machine() {
    let server = Server::open("").await;
    for name in [machine().account(), "set-up"] {
        let made = reset_password(server.app(), &machine(), name, secret(PASSWORD), Second::Keep).await;
        assert_eq!(refused(made), "account-exists");
    }
    assert!(names(&server).await.is_empty());
}

#[tokio::test]
async fn an_admin_gives_a_lead_other_classes_and_somebody_else_a_new_password() {
    let server = Server::open("").await;
    let app = server.app();
    let class = crate::service::classes::add(app, &machine(), "7a".into()).await.unwrap();
    add_with(&server, "Paul", AccountRole::ClassLead, PASSWORD).await.unwrap();
    add_admin(&server, "Grete").await;
    let who = enter(&server, "Paul", PASSWORD, "").await.unwrap();
    let led = async || {
        let rights = rights(app, "Paul", &who.stamp, app.clock.now()).await.unwrap();
        rights.map(|rights| rights.staff.classes().unwrap().to_vec())
    };
    change_classes(app, &machine(), "Paul", vec![class]).await.unwrap();
    assert_eq!(led().await, Some(vec![class]), "at once, in the session that goes on");
    // All or nothing.
    assert_eq!(refused(change_classes(app, &machine(), "Paul", vec![99]).await), "unknown-class");
    assert_eq!(led().await, Some(vec![class]));
    assert_eq!(refused(change_classes(app, &machine(), "Grete", vec![class]).await), "looks-after-all");
    assert_eq!(refused(change_classes(app, &machine(), "Nobody", Vec::new()).await), "unknown-account");
    let set =
        async |name, password| set_password(app, &machine(), name, secret(password), Second::Keep).await;
    assert_eq!(refused(set("Nobody", OTHER).await), "unknown-account");
    // One's own asks for the old one, however the name is typed.
    for name in ["momedo admin", "momedo admin "] {
        assert_eq!(refused(set(name, OTHER).await), "own-account");
    }
    assert_eq!(names(&server).await.len(), 2, "nobody is added by it");
    assert_eq!(refused(set("Paul", "short").await), "weak-password");
    set("Paul", OTHER).await.unwrap();
    assert_eq!(led().await, None, "what the old password let in is let in no more");
    assert_eq!(refused(enter(&server, "Paul", PASSWORD, "").await), "wrong-password");
    assert!(enter(&server, "Paul", OTHER, "").await.is_ok());
}
