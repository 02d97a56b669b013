//! Whoever answers in a server's place, with the server's own identity: passes on what a client asks, or says what a test
//! wants instead. So may a server that is overloaded, restored, half broken or hostile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use momedo::service::ServiceError;
use momedo_client::ClientError;
use momedo_client::connection::{Connection, Payload, ServerAddress};
use momedo_protocol::problem::{PROBLEM_PREFIX, Problem};
use momedo_texts::Refusal;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use strum::IntoEnumIterator;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::Server;
use crate::two_faced::Editor;

/// What is said instead of the server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Instead {
    /// A refusal.
    Refusal(u16, String),
    /// Success, and a body that is none.
    Nonsense,
    /// Nothing; the connection ends.
    Nothing,
}

/// Every refusal that stands in the server's own list, some that no server of today knows, and what is no refusal at all.
pub(crate) fn everything_a_server_may_say() -> Vec<Instead> {
    let mut all = vec![Instead::Nonsense, Instead::Nothing];
    all.extend(ServiceError::iter().map(|error| Instead::Refusal(error.status(), error.word().to_owned())));
    all.extend([418, 451, 599].map(|status| Instead::Refusal(status, "of-a-newer-server".into())));
    all
}

/// What to say instead of an answer to a step, if anything.
type Plan = Box<dyn Fn(&str) -> Option<Instead> + Send>;

struct State {
    plan: Plan,
    asked: Vec<String>,
    obstructed: BTreeSet<String>,
}

/// A stand-in on a port of its own; it lives as long as the test program.
#[derive(Clone)]
pub(crate) struct Obstructing {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

/// A request as a step: its method and path, with `*` for whatever names somebody or something.
fn step(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default().trim_start_matches("/api/v1");
    let is_word = |part: &&str| part.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let parts: Vec<&str> = path.split('/').map(|part| if is_word(&part) { part } else { "*" }).collect();
    format!("{method} {}", parts.join("/"))
}

impl Obstructing {
    /// Stands in for a running server, and passes everything on at first.
    pub(crate) fn before(server: &Server) -> Self {
        let (chain, key) = Editor::open(server).stored.leaf();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivatePkcs8KeyDer::from(key).into())
            .unwrap();
        let state = State { plan: Box::new(|_| None), asked: Vec::new(), obstructed: BTreeSet::new() };
        let state = Arc::new(Mutex::new(state));
        let (shared, real) = (state.clone(), server.server_address());
        let (ready, bound) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap().to_string()).unwrap();
                let acceptor = TlsAcceptor::from(Arc::new(config));
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    tokio::task::spawn_local(serve(client, acceptor.clone(), real.clone(), shared.clone()));
                }
            });
        });
        Self { address: bound.recv().unwrap(), state }
    }

    /// Says something else from now on wherever `plan` says so.
    pub(crate) fn say(&self, plan: impl Fn(&str) -> Option<Instead> + Send + 'static) {
        self.state.lock().unwrap().plan = Box::new(plan);
    }

    /// Passes everything on again.
    pub(crate) fn let_pass(&self) {
        self.say(|_| None);
    }

    /// The steps that were asked since this was last called.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// The steps that were answered with something else since this was last called.
    pub(crate) fn obstructed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.state.lock().unwrap().obstructed)
    }
}

async fn serve(
    client: tokio::net::TcpStream,
    acceptor: TlsAcceptor,
    real: ServerAddress,
    state: Arc<Mutex<State>>,
) {
    let Ok(stream) = acceptor.accept(client).await else { return };
    let passing = Arc::new(tokio::sync::Mutex::new(momedo_client_native::connection(real, "en")));
    let answer = service_fn(move |request: Request<Incoming>| {
        let (state, passing) = (state.clone(), passing.clone());
        async move {
            let path = request.uri().path_and_query().unwrap().as_str().to_owned();
            let step = step(request.method().as_str(), &path);
            let instead = {
                let mut state = state.lock().unwrap();
                state.asked.push(step.clone());
                let instead = (state.plan)(&step);
                if instead.is_some() {
                    state.obstructed.insert(step);
                }
                instead
            };
            match instead {
                None => Ok(pass(&mut *passing.lock().await, request, &path).await),
                Some(Instead::Refusal(status, name)) => {
                    let kind = format!("{PROBLEM_PREFIX}{name}");
                    let title = format!("made up: {name}");
                    Ok(refusal(&Problem { kind, title, status, detail: None, retry_after: None }))
                }
                Some(Instead::Nonsense) => Ok(Response::new(Full::new(Bytes::from_static(b"[{}")))),
                Some(Instead::Nothing) => Err(std::io::Error::other("nothing is said")),
            }
        }
    });
    // How it ends is the client's business.
    let _: Result<_, _> =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

fn refusal(problem: &Problem) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(problem).unwrap();
    let status = StatusCode::from_u16(problem.status).unwrap();
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

async fn pass(connection: &mut Connection, request: Request<Incoming>, path: &str) -> Response<Full<Bytes>> {
    let path = path.trim_start_matches("/api/v1");
    let method = request.method().clone();
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let token = header("authorization").map(|value| value.trim_start_matches("Bearer ").to_owned());
    let is_json = header("content-type").is_some_and(|kind| kind.contains("json"));
    let wait = path.split("wait=").nth(1).and_then(|rest| rest.split('&').next()?.parse().ok()).unwrap_or(0);
    let body = request.into_body().collect().await.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
    let payload = match (body.is_empty(), is_json) {
        (true, _) => Payload::None,
        (false, true) => Payload::Json(body.to_vec()),
        (false, false) => Payload::Binary(body.to_vec()),
    };
    let answer = connection.request(method, path, token.as_deref(), payload, Duration::from_secs(wait)).await;
    match answer {
        Ok(answer) => Response::builder().status(answer.status).body(Full::new(answer.body)).unwrap(),
        Err(ClientError::Refused(problem)) => refusal(&problem),
        Err(error) => panic!("the server behind: {error}"),
    }
}
