//! The first account: what makes it, and that it is made once.

use std::net::Ipv4Addr;

use super::*;
use crate::testing::{Server, refused};

const PASSWORD: &str = "Lampe im dritten Stock";

async fn try_with(server: &Server, code: &str, password: &str) -> Result<LoggedIn, ServiceError> {
    with_code(server.app(), code, Zeroizing::new(password.into()), Ipv4Addr::LOCALHOST.into()).await
}

#[tokio::test]
async fn the_code_of_the_machine_makes_one_account() {
    let server = Server::open("").await;
    let code = code(server.app());
    assert_eq!(refused(try_with(&server, "0000-0000-0000", PASSWORD).await), "wrong-set-up-code");
    assert_eq!(refused(try_with(&server, "", PASSWORD).await), "wrong-set-up-code");
    assert_eq!(refused(try_with(&server, &code, "kurz").await), "weak-password");
    assert!(is_needed(server.app()).await.unwrap());
    let typed = code.to_lowercase().replace('-', " ");
    assert_eq!(try_with(&server, &typed, PASSWORD).await.unwrap().account, ACCOUNT);
    assert!(!is_needed(server.app()).await.unwrap());
    assert_eq!(refused(try_with(&server, &code, PASSWORD).await), "already-set-up");
}

#[tokio::test]
async fn guessed_codes_wait_and_whoever_reads_the_code_does_not() {
    let server = Server::open("").await;
    let mut words = Vec::new();
    for _ in 0..100 {
        words.push(refused(try_with(&server, "0000-0000-0000", PASSWORD).await));
    }
    assert_eq!((words[0], *words.last().unwrap()), ("wrong-set-up-code", "too-often"));
    assert!(try_with(&server, &code(server.app()), PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_set_up_at_the_machine_names_the_server_or_does_nothing() {
    let server = Server::open("").await;
    let (app, machine) = (server.app(), RecentlyConfirmed::at_the_machine());
    let set_up = async |name: &str| {
        at_the_machine(app, &machine, Some(name.into()), Zeroizing::new(PASSWORD.into())).await
    };
    assert_eq!(refused(set_up("\u{7}").await), "unacceptable-name");
    assert!(is_needed(app).await.unwrap());
    set_up("Schule am Wald").await.unwrap();
    assert_eq!(app.config().server.name, "Schule am Wald");
    assert_eq!(refused(set_up("Rathaus").await), "already-set-up");
    assert_eq!(app.config().server.name, "Schule am Wald");
}
