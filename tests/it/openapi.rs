//! The OpenAPI description, compared with what the running server really does.

use momedo_client::connection::Payload;
use momedo_protocol::id::ParticipantId;
use serde_json::Value;

use crate::harness::{Server, request};
use crate::raw::Raw;

/// Checks `value` against a schema of the description: types, required and unknown members, items.
fn check(description: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        let target = &description["components"]["schemas"][name];
        assert!(!target.is_null(), "{place}: {reference} is not described");
        return check(description, target, value, place);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        // Optional members: `null` or the schema.
        if value.is_null() {
            return;
        }
        let choice = choices.iter().find(|choice| choice["type"] != "null").unwrap();
        return check(description, choice, value, place);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        other => panic!("{place}: no type in {other}"),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{place}: {kind}, described as {kinds:?}");
    if let Value::Array(items) = value {
        items.iter().for_each(|item| check(description, &schema["items"], item, place));
    }
    if let Value::Object(members) = value {
        let properties = schema["properties"].as_object().unwrap();
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(name.as_str().unwrap()), "{place}: {name} is missing");
        }
        for (name, member) in members {
            let property = properties.get(name).unwrap_or_else(|| panic!("{place}.{name} is not described"));
            check(description, property, member, &format!("{place}.{name}"));
        }
    }
}

fn response<'a>(description: &'a Value, path: &str, method: &str, status: &str) -> &'a Value {
    &description["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
}

#[tokio::test]
async fn every_described_call_exists_and_every_problem_looks_as_described() {
    let server = Server::start();
    let mut raw = Raw::new(&server);
    let description = raw.call("GET", "/openapi.json", None, Payload::None).await.unwrap();
    assert_eq!(description["info"]["title"], "momedo client API");
    let mut calls = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            assert!(
                operation["summary"].is_string() || operation["description"].is_string(),
                "{method} {path}"
            );
            let concrete = path
                .replace("/groups/{id}", "/groups/7QK0M3ZD9XN4")
                .replace("/blobs/{id}", "/blobs/8a4c3e5d6f7081929aa6d1c2f87b1f01")
                .replace("{id}", &ParticipantId::random().to_string())
                .replace("{link}", &momedo_protocol::device_link::LinkId::random().to_string())
                .replace("{step}", "offer")
                .replace("{digest}", &momedo_protocol::digest::Sha512Digest([1; 64]).to_string());
            let answer =
                raw.call(&method.to_uppercase(), &concrete, None, Payload::Json(b"{}".to_vec())).await;
            if let Err(error) = answer {
                let momedo_client::ClientError::Refused(problem) = error else { panic!("{error}") };
                assert!(!matches!(problem.name(), "no-such-path" | "wrong-method"), "{method} {path}");
                let schema = &description["components"]["schemas"]["Problem"];
                check(&description, schema, &serde_json::to_value(&problem).unwrap(), "problem");
            }
            calls += 1;
        }
    }
    // As many as docs/protocol.md lists.
    assert_eq!(calls, 45);
}

#[tokio::test]
async fn answers_look_as_described() {
    let server = Server::start();
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    ada.session.submit(&request(&ben.bundle, 512)).await.unwrap();
    let mut raw = Raw::new(&server);
    let description = raw.call("GET", "/openapi.json", None, Payload::None).await.unwrap();
    let token = ben.session.token().to_owned();
    let keys = format!("/keys/{}", ada.id());
    for (path, described) in [
        ("/server", "/server"),
        ("/identity", "/identity"),
        ("/devices", "/devices"),
        ("/ozone", "/ozone"),
        (keys.as_str(), "/keys/{id}"),
        ("/keys/log", "/keys/log"),
    ] {
        let answer = raw.call("GET", path, Some(&token), Payload::None).await.unwrap();
        check(&description, response(&description, described, "get", "200"), &answer, path);
    }
    let cursor = ben.waiting().await.cursor;
    let body = serde_json::to_vec(&momedo_protocol::api::AcknowledgeRequest { cursor }).unwrap();
    let answer = raw.call("POST", "/ozone/ack", Some(&token), Payload::Json(body)).await.unwrap();
    check(&description, response(&description, "/ozone/ack", "post", "200"), &answer, "ack");
    let body = serde_json::to_vec(&request(&ada.bundle, 512)).unwrap();
    let answer = raw.call("POST", "/messages", Some(&token), Payload::Json(body)).await.unwrap();
    check(&description, response(&description, "/messages", "post", "201"), &answer, "receipt");
}
