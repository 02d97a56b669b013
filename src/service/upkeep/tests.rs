//! What the clock takes away and what it leaves; for files, cards, reports and devices beside their use cases.

use std::time::Duration;

use axum::http::Method;
use momedo_protocol::time::UnixMillis;
use serde_json::json;

use crate::service::permission::RecentlyConfirmed;
use crate::service::rules::{self, Rules};
use crate::testing::{Answer, Person, Server, word};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn pass(server: &Server, days: u32) {
    server.advance(days * DAY);
    server.upkeep().await;
}

async fn count(server: &Server, who: &Person) -> (usize, u64) {
    let page = server.waiting(&server.log_in_again(who)).await;
    (page.messages.len(), page.missed)
}

#[tokio::test]
async fn each_message_expires_by_its_own_age() {
    let server = Server::open("[mail]\nretention_days = 10\n").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    server.send(&ada, &ben).await;
    pass(&server, 6).await;
    server.send(&server.log_in_again(&ada), &ben).await;
    pass(&server, 5).await;
    assert_eq!(count(&server, &ben).await, (1, 1));
    pass(&server, 6).await;
    assert_eq!(count(&server, &ben).await, (0, 2));
}

#[tokio::test]
async fn what_was_accepted_is_known_for_thirty_days_longer_than_it_is_kept() {
    let server = Server::open("[mail]\nretention_days = 10\n").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let message = serde_json::to_value(server.envelope(&ben)).unwrap();
    let send = async || -> Answer {
        server.call(&server.log_in_again(&ada), Method::POST, "/messages", message.clone()).await
    };
    assert!(send().await.0.is_success());
    pass(&server, 39).await;
    assert!(send().await.0.is_success());
    assert_eq!(count(&server, &ben).await, (0, 1), "it was delivered, or expired, once");
    pass(&server, 2).await;
    assert!(send().await.0.is_success());
    assert_eq!(count(&server, &ben).await.0, 1, "by now nobody remembers it");
}

#[tokio::test]
async fn a_shorter_retention_counts_for_what_waits_already() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    server.send(&ada, &ben).await;
    pass(&server, 8).await;
    assert_eq!(count(&server, &ben).await.0, 1);
    let shorter = Rules { retention_days: Some(7), ..Rules::default() };
    rules::change(server.app(), &RecentlyConfirmed::at_the_machine(), shorter).await.unwrap();
    server.upkeep().await;
    assert_eq!(count(&server, &ben).await, (0, 1));
}

#[tokio::test]
async fn nobodys_only_device_is_parked_however_long_the_holidays_are() {
    let server = Server::open("[mail]\nretention_days = 100\n").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    server.send(&ada, &ben).await;
    pass(&server, 60).await;
    assert!(server.send(&server.log_in_again(&ada), &ben).await.0.is_success());
    assert_eq!(count(&server, &ben).await, (2, 0));
}

#[tokio::test]
async fn a_clock_on_the_wall_that_jumps_takes_nothing_away() {
    let server = Server::open("[mail]\nretention_days = 10\n").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let code = server.invite(server.add_person("Carl").await).await;
    server.send(&ada, &ben).await;
    let app = server.app();
    for days in [4000, 0] {
        app.clock.set_wall(UnixMillis(days * 86_400_000));
        server.upkeep().await;
        assert_eq!(server.waiting(&ben).await.messages.len(), 1);
        assert!(server.reserve(code).await.0.is_success());
    }
}

#[tokio::test]
async fn upkeep_ends_no_session_that_is_used_and_forgets_the_others() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    for _ in 0..2 {
        server.advance(DAY / 2);
        assert!(server.send(&ada, &ada).await.0.is_success());
    }
    server.advance(Duration::from_secs(1));
    server.upkeep().await;
    assert!(server.send(&ada, &ada).await.0.is_success());
    let ended = server.call(&ben, Method::POST, "/messages", json!({})).await;
    assert_eq!(word(&ended), "not-logged-in");
}
