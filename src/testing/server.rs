//! A whole server in the test's own process: the router without a socket, a clock the test moves, stored keys. For rules,
//! which so are tested in milliseconds; what sockets, TLS and processes do only `tests/it` can show.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use momedo_protocol::api;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::random;
use momedo_protocol::time::UnixMillis;
use momedo_testing::{envelopes, stored_keys};
use momedo_texts::Refusal;
use serde_json::Value;
use tempfile::TempDir;
use tower_service::Service;

use crate::http::{self, Connection};
use crate::live::sessions::Principal;
use crate::live::shutdown::{self, Trigger};
use crate::server::running::{self, Opened};
use crate::service::ServiceError;
use crate::settings::config::Config;
use crate::state::AppState;
use crate::store::{BundleRow, Store, StoreOptions};
use crate::surroundings::addresses;
use crate::surroundings::clock::Clock;
use crate::tls::{Identity, Names};

/// A server that nobody reaches but by [`Server::call`].
pub(crate) struct Server {
    _folder: TempDir,
    opened: Opened,
    router: Router,
    _stop: Trigger,
}

/// Status and JSON of an answer.
pub(crate) type Answer = (StatusCode, Value);

/// Somebody registered, with one device that is logged in.
pub(crate) struct Person {
    pub(crate) id: ParticipantId,
    pub(crate) device: DeviceId,
    pub(crate) bundle: KeyBundle,
    pub(crate) token: String,
}

/// What a refused request is told in one word; empty if it was not refused.
pub(crate) fn word(answer: &Answer) -> &str {
    answer.1["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default()
}

/// The same of a use case that the pages or the machine itself ask for.
pub(crate) fn refused<T>(result: Result<T, ServiceError>) -> &'static str {
    result.err().map_or("", |error| error.word())
}

impl Server {
    /// A server with these settings beside the defaults, as `momedo.toml` has them.
    pub(crate) async fn open(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual();
        std::fs::write(folder.path().join("momedo.toml"), settings).unwrap();
        let config = Config::load(&folder.path().join("momedo.toml")).unwrap();
        let names = Names { dns: addresses::names(&config), ip: addresses::ip_addresses(&config) };
        let keys = std::array::from_fn(|index| stored_keys::pkcs8()[index].clone());
        let identity = serde_json::to_vec(&Identity::issue(&names, clock.now(), keys).unwrap()).unwrap();
        let store =
            Store::open(folder.path(), clock.clone(), &StoreOptions::default(), Box::new(|_| {})).unwrap();
        store.write(move |tx| tx.set_setting(Identity::SETTING, &identity)).await.unwrap();
        store.close().await;
        let opened = running::open(folder.path(), config, clock).await.unwrap();
        let (stop, stopped) = shutdown::channel();
        let router = http::router(opened.app.clone(), stopped);
        Self { _folder: folder, opened, router, _stop: stop }
    }

    /// What use cases take that no call of the API leads to.
    pub(crate) fn app(&self) -> &AppState {
        &self.opened.app
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, by: Duration) {
        self.opened.app.clock.advance(by);
    }

    /// Looks after what has expired, as the server does now and then.
    pub(crate) async fn upkeep(&self) {
        crate::service::upkeep::expire(&self.opened.app).await.unwrap();
    }

    /// Registers somebody.
    pub(crate) async fn register(&self, name: &str) -> Person {
        let app = &self.opened.app;
        let (id, device) = (
            ParticipantId::random(),
            DeviceId::from_number(u64::from_be_bytes(random::bytes()) >> 24).unwrap(),
        );
        let [signature, login, ..] = super::keys();
        let (bundle, jws) = super::bundle(id, vec![app.fingerprint], 1, (&signature, None));
        let row = BundleRow {
            version: 1,
            digest: bundle.digest,
            mceliece: None,
            changes_signature_key: false,
            countersignature: String::new(),
            bundle: serde_json::to_string(&jws).unwrap(),
        };
        let (name, digest, login) = (name.to_owned(), bundle.digest, login.public().spki().to_vec());
        app.store
            .write(move |tx| {
                tx.insert_participant(id, &name, UnixMillis(0))?;
                tx.insert_bundle(id, &row)?;
                tx.upsert_device(device, id, &digest, &login)
            })
            .await
            .unwrap();
        let token = app.sessions.begin(Principal { participant: id, device }, app.clock.elapsed());
        Person { id, device, bundle, token }
    }

    /// The same person with a session that began now.
    pub(crate) fn log_in_again(&self, person: &Person) -> Person {
        let app = &self.opened.app;
        let principal = Principal { participant: person.id, device: person.device };
        Person {
            token: app.sessions.begin(principal, app.clock.elapsed()),
            bundle: person.bundle.clone(),
            ..*person
        }
    }

    /// One request of the API, and its answer.
    pub(crate) async fn call(&self, by: &Person, method: Method, path: &str, body: Value) -> Answer {
        self.call_with(Some(&by.token), method, path, body).await
    }

    /// The same with any token, or without one.
    pub(crate) async fn call_with(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
        body: Value,
    ) -> Answer {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (status, bytes) = self.bytes(token, method, path, body).await;
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// The same, whatever the bytes are that come and go.
    pub(crate) async fn bytes(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> (StatusCode, Bytes) {
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let serving = self.opened.app.memory.line(address).serve();
        let connection = Connection { address, exporter: None, occupied: Arc::new(()), serving };
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(connection);
        let answer = self.router.clone().call(request).await.unwrap();
        let status = answer.status();
        (status, axum::body::to_bytes(answer.into_body(), 16 * 1024 * 1024).await.unwrap())
    }

    /// Sends an envelope that nobody could open; the server cannot tell.
    pub(crate) async fn send(&self, by: &Person, to: &Person) -> Answer {
        let request = self.envelope(to);
        self.call(by, Method::POST, "/messages", serde_json::to_value(request).unwrap()).await
    }

    /// An envelope sealed to this person's keys, as far as the server can see.
    pub(crate) fn envelope(&self, to: &Person) -> api::SubmitRequest {
        envelopes::request(&to.bundle, 512, self.opened.app.clock.now())
    }

    /// What waits for somebody.
    pub(crate) async fn waiting(&self, by: &Person) -> api::OzonePage {
        let (status, page) = self.call(by, Method::GET, "/ozone", Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        serde_json::from_value(page).unwrap()
    }
}
