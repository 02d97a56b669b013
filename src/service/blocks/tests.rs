//! Whom somebody may block, and how many; what comes of it, `delivery` and `groups` show.

use axum::http::Method;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::limits::MAX_BLOCKS;
use momedo_protocol::time::UnixMillis;
use serde_json::{Value, json};

use crate::testing::{Answer, Person, Server, word};

async fn blocks(server: &Server, by: &Person) -> Value {
    server.call(by, Method::GET, "/me/blocks", Value::Null).await.1["blocks"].clone()
}

async fn set(server: &Server, by: &Person, method: Method, id: ParticipantId) -> Answer {
    server.call(by, method, &format!("/me/blocks/{id}"), Value::Null).await
}

#[tokio::test]
async fn somebody_is_blocked_once_and_since_the_first_time() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let since = server.app().clock.now();
    assert!(set(&server, &ada, Method::PUT, ben.id).await.0.is_success());
    server.advance(std::time::Duration::from_secs(60));
    assert!(set(&server, &ada, Method::PUT, ben.id).await.0.is_success());
    assert_eq!(blocks(&server, &ada).await, json!([{ "id": ben.id, "since": since }]));
    assert_eq!(blocks(&server, &ben).await, json!([]), "nobody learns here who blocks them");
    for _ in 0..2 {
        assert!(set(&server, &ada, Method::DELETE, ben.id).await.0.is_success());
    }
    assert_eq!(blocks(&server, &ada).await, json!([]));
}

#[tokio::test]
async fn nobody_blocks_themselves_and_an_id_that_nobody_has_may_be_blocked() {
    let server = Server::open("").await;
    let ada = server.register("Ada").await;
    assert_eq!(word(&set(&server, &ada, Method::PUT, ada.id).await), "malformed");
    assert!(set(&server, &ada, Method::PUT, ParticipantId::random()).await.0.is_success());
    assert_eq!(blocks(&server, &ada).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_thousand_are_blocked_and_not_one_more() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let id = ada.id;
    let nobody = |number: usize| ParticipantId::from_number(number as u64).unwrap();
    let fill = move |tx: &mut crate::store::WriteTx<'_>| {
        (1..MAX_BLOCKS).try_for_each(|number| tx.insert_block(id, nobody(number), UnixMillis(1)))
    };
    server.app().store.write(fill).await.unwrap();
    assert!(set(&server, &ada, Method::PUT, ben.id).await.0.is_success());
    let one_more = set(&server, &ada, Method::PUT, nobody(MAX_BLOCKS)).await;
    assert_eq!(word(&one_more), "too-many-blocks");
    assert!(set(&server, &ada, Method::PUT, ben.id).await.0.is_success(), "who is blocked stays so");
    set(&server, &ada, Method::DELETE, nobody(1)).await;
    assert!(set(&server, &ada, Method::PUT, nobody(MAX_BLOCKS)).await.0.is_success());
}
