//! Fetching and acknowledging, page by page: over the API, without a socket.

use axum::http::Method;
use momedo_protocol::api::OzonePage;
use momedo_protocol::cursor::{Cursor, StoreEpoch};
use momedo_protocol::message_id::MessageId;
use serde_json::{Value, json};

use crate::testing::{Answer, Person, Server, word};

async fn page(server: &Server, by: &Person, query: &str) -> OzonePage {
    let answer = server.call(by, Method::GET, &format!("/ozone?{query}"), Value::Null).await;
    serde_json::from_value(answer.1).unwrap()
}

async fn acknowledge(server: &Server, by: &Person, cursor: Cursor) -> Answer {
    server.call(by, Method::POST, "/ozone/ack", json!({ "cursor": cursor })).await
}

fn ids(page: &OzonePage) -> Vec<MessageId> {
    page.messages.iter().map(|message| message.id).collect()
}

/// Somebody for whom so many messages wait.
async fn with_mail(server: &Server, count: usize) -> (Person, Vec<MessageId>) {
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let mut sent = Vec::new();
    for _ in 0..count {
        sent.push(serde_json::from_value(server.send(&ada, &ben).await.1["id"].clone()).unwrap());
    }
    (ben, sent)
}

#[tokio::test]
async fn pages_follow_each_other_in_the_order_of_arrival() {
    let server = Server::open("").await;
    let (ben, sent) = with_mail(&server, 5).await;
    let mut got = Vec::new();
    let mut after = String::new();
    for expected in [2, 2, 1, 0] {
        let page = page(&server, &ben, &format!("limit=2{after}")).await;
        assert_eq!(page.messages.len(), expected);
        after = format!("&after={}", page.cursor);
        got.extend(ids(&page));
    }
    assert_eq!(got, sent);
    assert_eq!(page(&server, &ben, "limit=0").await.messages.len(), 1, "a page has at least one");
}

#[tokio::test]
async fn an_acknowledgement_takes_what_is_before_it_and_leaves_what_is_after() {
    let server = Server::open("").await;
    let (ben, sent) = with_mail(&server, 4).await;
    let first = page(&server, &ben, "limit=3").await;
    let second = first.messages[1].cursor;
    for _ in 0..2 {
        assert!(acknowledge(&server, &ben, second).await.0.is_success());
    }
    assert_eq!(ids(&page(&server, &ben, "").await), &sent[2..]);
    assert!(acknowledge(&server, &ben, first.messages[0].cursor).await.0.is_success());
    assert_eq!(ids(&page(&server, &ben, "").await), &sent[2..], "an older one changes nothing");
}

#[tokio::test]
async fn nothing_is_acknowledged_that_was_not_handed_out() {
    let server = Server::open("").await;
    let (ben, sent) = with_mail(&server, 3).await;
    let handed_out = page(&server, &ben, "limit=2").await;
    let next = Cursor { sequence: handed_out.cursor.sequence + 1, ..handed_out.cursor };
    assert_eq!(word(&acknowledge(&server, &ben, next).await), "not-handed-out");
    let other = Cursor { epoch: StoreEpoch::random(), ..handed_out.cursor };
    assert_eq!(word(&acknowledge(&server, &ben, other).await), "other-epoch");
    assert_eq!(ids(&page(&server, &ben, "").await), sent);
    assert!(acknowledge(&server, &ben, next).await.0.is_success(), "by now it was");
}

#[tokio::test]
async fn whoever_asks_from_a_place_that_is_not_reached_yet_empties_nothing_by_it() {
    let server = Server::open("").await;
    let (ben, sent) = with_mail(&server, 2).await;
    let epoch = server.app().store.epoch();
    let ahead = page(&server, &ben, &format!("after={}", Cursor { epoch, sequence: 99 })).await;
    assert!(ahead.messages.is_empty() && ahead.cursor.sequence == 0, "{:?}", ahead.cursor);
    let one = Cursor { epoch, sequence: 1 };
    assert_eq!(word(&acknowledge(&server, &ben, one).await), "not-handed-out");
    assert_eq!(ids(&page(&server, &ben, "").await), sent);
}

#[tokio::test]
async fn a_place_of_another_life_of_the_store_is_the_beginning() {
    let server = Server::open("").await;
    let (ben, sent) = with_mail(&server, 2).await;
    let elsewhere = Cursor { epoch: StoreEpoch::random(), sequence: 2 };
    assert_eq!(ids(&page(&server, &ben, &format!("after={elsewhere}")).await), sent);
}

#[tokio::test]
async fn nobody_acknowledges_for_somebody_else() {
    let server = Server::open("").await;
    let (ben, sent) = with_mail(&server, 2).await;
    let carl = server.register("Carl").await;
    let cursor = page(&server, &ben, "").await.cursor;
    assert_eq!(word(&acknowledge(&server, &carl, cursor).await), "not-handed-out");
    assert_eq!(ids(&page(&server, &ben, "").await), sent);
}
