//! The OpenAPI description as it is served: what the handlers say of themselves, completed to a valid document.
//!
//! Handlers name what only they know: parameters, bodies, statuses, and where no session is needed. What follows from
//! that is added here: what a status means, a name for each operation that no other has, the way a session is shown,
//! and that bytes are bytes.

use serde_json::{Map, Value, json};
use utoipa::openapi::{InfoBuilder, License, OpenApi, Server};

/// The scheme's name; handlers that may do without a session say so.
const SESSION: &str = "session";

/// Bodies that are no text and no JSON.
const BINARY: [&str; 2] = ["application/octet-stream", "application/zip"];

/// The document as JSON.
pub(super) fn document(mut description: OpenApi) -> Value {
    description.info = InfoBuilder::new()
        .title("momedo client API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("What docs/protocol.md explains in prose."))
        .license(Some(License::new("BSD-3-Clause")))
        .build();
    description.servers = Some(vec![Server::new("/api/v1")]);
    let mut document = serde_json::to_value(&description).unwrap_or_default();
    document["security"] = json!([{ SESSION: [] }]);
    document["components"]["securitySchemes"] = json!({ SESSION: {
        "type": "http", "scheme": "bearer",
        "description": "The token of `POST /sessions`; while registering, that of `POST /participants`.",
    }});
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_object_mut() {
                complete(method, path, operation);
            }
        }
    }
    document
}

fn complete(method: &str, path: &str, operation: &mut Map<String, Value>) {
    operation.insert("operationId".into(), name(method, path).into());
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for (status, response) in responses.into_iter().flatten() {
        if let Some(response) = response.as_object_mut() {
            let is_said =
                response.get("description").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
            if !is_said {
                response.insert("description".into(), meaning(status).into());
            }
            leave_bytes_alone(response);
        }
    }
    if let Some(body) = operation.get_mut("requestBody").and_then(Value::as_object_mut) {
        leave_bytes_alone(body);
    }
}

/// `get_keys_id_proof`: the method and the path, so no two have the same, and none changes when a function does.
fn name(method: &str, path: &str) -> String {
    let plain = |segment: &str| segment.replace(['{', '}'], "").replace('-', "_");
    std::iter::once(method.to_owned()).chain(path.split('/').skip(1).map(plain)).collect::<Vec<_>>().join("_")
}

fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "The answer.",
        "201" => "It is on disk.",
        "202" => "It is looked at; a question has to be answered first.",
        "204" => "Done, or nothing to tell.",
        "206" => "The part that was asked for.",
        "4XX" => "Refused; the problem says why, and what to do.",
        "507" => "No room; the problem says whose.",
        _ => "The server cannot now; the problem says more.",
    }
}

/// Bytes have no schema (OpenAPI 3.1, 4.8.14.2): an array of numbers is something else.
fn leave_bytes_alone(body: &mut Map<String, Value>) {
    let contents = body.get_mut("content").and_then(Value::as_object_mut);
    for (kind, content) in contents.into_iter().flatten() {
        if BINARY.contains(&kind.as_str()) {
            *content = json!({});
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_called_by_its_method_and_path() {
        for (method, path, expected) in [
            ("get", "/keys/{id}", "get_keys_id"),
            ("post", "/keys/{id}/proof", "post_keys_id_proof"),
            ("put", "/me/key-backup", "put_me_key_backup"),
        ] {
            assert_eq!(name(method, path), expected);
        }
    }
}
