//! The OpenAPI description, compared with what the running server really does.

use momedo_client::connection::Payload;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::login::Login;
use serde_json::Value;

use crate::harness::{Server, request, text};
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

/// A path with something in it that looks as it should and names nothing.
fn concrete(path: &str) -> String {
    path.replace("/groups/{id}", "/groups/7QK0M3ZD9XN4")
        .replace("/blobs/{id}", "/blobs/8a4c3e5d6f7081929aa6d1c2f87b1f01")
        .replace("{id}", &ParticipantId::random().to_string())
        .replace("{link}", &momedo_protocol::device_link::LinkId::random().to_string())
        .replace("{step}", "offer")
        .replace("{digest}", &momedo_protocol::digest::Sha512Digest([1; 64]).to_string())
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
            let concrete = concrete(path);
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
    assert_eq!(calls, 46);
}

/// Runs the validator that browser tests bring along over a document.
fn validate(document: &Value) -> Value {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let program = folder.join("node_modules/@seriousme/openapi-schema-validator/bin/validate-api-cli.js");
    assert!(program.exists(), "the validator is missing: npm ci in {}", folder.display());
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), document.to_string()).unwrap();
    let output = std::process::Command::new("node").arg(program).arg(file.path()).output();
    let output = output.unwrap_or_else(|error| panic!("the validator needs node (Debian: nodejs): {error}"));
    let said = text(&output.stdout);
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", text(&output.stderr)))
}

fn operations(description: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    description["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().unwrap().iter();
        operations.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

#[tokio::test]
async fn the_description_is_a_valid_document() {
    let server = Server::start();
    let description = Raw::new(&server).call("GET", "/openapi.json", None, Payload::None).await.unwrap();
    let found = validate(&description);
    assert_eq!(found["valid"], true, "{found:#}");
    // The validator does find what is wrong.
    let mut broken = description.clone();
    broken["paths"]["/server"]["get"]["responses"]["200"].as_object_mut().unwrap().remove("description");
    assert_eq!(validate(&broken)["valid"], false);
    // What no schema of documents says.
    let mut names = std::collections::BTreeSet::new();
    for (path, method, operation) in operations(&description) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name), "{name} is there twice");
        let in_path = |parameter: &&Value| parameter["in"] == "path";
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let described: Vec<_> = parameters.clone().filter(in_path).map(|found| &found["name"]).collect();
        let templates: Vec<_> = path.split('/').filter(|part| part.starts_with('{')).collect();
        assert_eq!(described.len(), templates.len(), "{method} {path}");
        for name in described {
            assert!(
                templates.contains(&format!("{{{}}}", name.as_str().unwrap()).as_str()),
                "{method} {path}"
            );
        }
        for parameter in parameters.filter(|parameter| !in_path(parameter)) {
            assert_eq!(parameter["in"], "query", "{method} {path}");
        }
        for response in operation["responses"].as_object().unwrap().values() {
            assert!(!response["description"].as_str().unwrap().is_empty(), "{method} {path}");
        }
    }
    assert_eq!(names.len(), 46);
}

/// A client that knows nothing of this server but its description.
struct Described {
    raw: Raw,
    description: Value,
    token: Option<String>,
}

impl Described {
    async fn of(server: &Server) -> Self {
        let mut raw = Raw::new(server);
        let description = raw.call("GET", "/openapi.json", None, Payload::None).await.unwrap();
        Self { raw, description, token: None }
    }

    /// The token, if the operation asks for one in the way the description says.
    fn token_for(&self, operation: &Value) -> Option<&str> {
        let asked = operation.get("security").unwrap_or(&self.description["security"]).as_array().unwrap();
        if asked.iter().any(|way| way.as_object().unwrap().is_empty()) {
            return None;
        }
        let scheme = asked[0].as_object().unwrap().keys().next().unwrap();
        let scheme = &self.description["components"]["securitySchemes"][scheme];
        assert_eq!((&scheme["type"], &scheme["scheme"]), (&"http".into(), &"bearer".into()));
        Some(self.token.as_deref().expect("logged in"))
    }

    /// Calls an operation by its name; arguments go where the description says, and the answer must look as it says.
    async fn call(&mut self, name: &str, arguments: &[(&str, &str)], body: Value) -> Value {
        let description = self.description.clone();
        let (path, method, operation) =
            operations(&description).find(|(_, _, operation)| operation["operationId"] == name).unwrap();
        let (mut filled, mut query) = (path.to_owned(), form_urlencoded::Serializer::new(String::new()));
        let mut given: std::collections::BTreeMap<_, _> = arguments.iter().copied().collect();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            match (given.remove(name), parameter["in"].as_str().unwrap()) {
                (Some(value), "path") => filled = filled.replace(&format!("{{{name}}}"), value),
                (Some(value), "query") => drop(query.append_pair(name, value)),
                (None, _) => assert_ne!(parameter["required"], true, "{name} is required"),
                (_, place) => panic!("{name} is in {place}"),
            }
        }
        assert!(given.is_empty(), "not described: {given:?}");
        let query = query.finish();
        if !query.is_empty() {
            filled = format!("{filled}?{query}");
        }
        let payload = match &operation["requestBody"]["content"]["application/json"]["schema"] {
            Value::Null => Payload::None,
            schema => {
                check(&description, schema, &body, name);
                Payload::Json(serde_json::to_vec(&body).unwrap())
            }
        };
        let token = self.token_for(operation).map(str::to_owned);
        let answer = self.raw.call(&method.to_uppercase(), &filled, token.as_deref(), payload).await.unwrap();
        let right =
            operation["responses"].as_object().unwrap().iter().find(|(status, _)| status.starts_with('2'));
        check(&description, &right.unwrap().1["content"]["application/json"]["schema"], &answer, name);
        answer
    }
}

#[tokio::test]
async fn a_client_made_of_the_description_logs_in_and_reads_its_ozone() {
    let server = Server::start();
    let (mut ada, ben) = (server.register(0).await, server.register(1).await);
    let sent = ada.submit(&ben.bundle, 512).await.unwrap();
    let mut client = Described::of(&server).await;
    let device = ben.session.device;
    let nonce = client.call("post_sessions_challenge", &[], serde_json::json!({ "device": device })).await;
    // What is signed is not the API's, but the protocol's.
    let nonce = serde_json::from_value(nonce["nonce"].clone()).unwrap();
    let fingerprint = client.call("get_server", &[], Value::Null).await["fingerprint"].clone();
    let login = Login { device, nonce, server: serde_json::from_value(fingerprint).unwrap() };
    let login = serde_json::to_value(login.sign(&ben.keys.device.login)).unwrap();
    let session = client.call("post_sessions", &[], serde_json::json!({ "login": login })).await;
    client.token = Some(session["token"].as_str().unwrap().to_owned());
    let page = client.call("get_ozone", &[("limit", "10"), ("wait", "0")], Value::Null).await;
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
    assert_eq!(page["messages"][0]["id"], sent.id.to_string());
    let cursor = page["cursor"].clone();
    client.call("post_ozone_ack", &[], serde_json::json!({ "cursor": cursor })).await;
    let keys = client.call("get_keys_id", &[("id", &ada.id().to_string())], Value::Null).await;
    assert_eq!(
        keys["bundle"],
        serde_json::to_value(ada.session.keys(ada.id(), 0).await.unwrap().bundle).unwrap()
    );
    let page = client.call("get_ozone", &[("after", cursor.as_str().unwrap())], Value::Null).await;
    assert!(page["messages"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_session_is_asked_for_where_the_description_says_so() {
    let server = Server::start();
    let mut client = Described::of(&server).await;
    client.token = Some("x".into());
    let description = client.description.clone();
    for (path, method, operation) in operations(&description) {
        let concrete = concrete(path);
        let answer =
            client.raw.call(&method.to_uppercase(), &concrete, None, Payload::Json(b"{}".to_vec())).await;
        let is_refused = answer.is_err_and(|error| error.problem() == Some("not-logged-in"));
        assert_eq!(is_refused, client.token_for(operation).is_some(), "{method} {path}");
    }
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
