//! Accept, limit, recognise the protocol, serve, drain.
//!
//! `run` receives its listeners and its stop signal, so the program and a test start the same code.

pub mod local_pages;
pub mod running;
pub mod tasks;

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tower_service::Service;

use crate::http::language;
use crate::http::{self, Connection, plain, unread};
use crate::live::listening::{Purpose, Started};
use crate::live::memory::Line;
use crate::live::rates::network;
use crate::live::shutdown::Shutdown;
use crate::smoke;
use crate::state::AppState;
use crate::tls::door::{self, Exporter, FirstByte, Recognised};

/// How long connections may go on after the stop signal; the rest of the five seconds is the store's.
const DRAIN: Duration = Duration::from_secs(3);

/// Pause after an accept failed, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often it is said that accepting fails, while it does.
const ACCEPT_FAILURE_LINES: Duration = Duration::from_secs(60);

/// Largest header of a request, in bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// What a client may send over HTTP/2 before it is read, in bytes: of one request, and of all of a connection.
const RECEIVE_WINDOWS: (u32, u32) = (128 * 1024, 256 * 1024);

/// What of one answer waits inside HTTP/2 for the connection, in bytes.
const SEND_BUFFER_BYTES: usize = 32 * 1024;

/// What a handshake counts as in the budget of memory, in bytes; few are as large as they may be.
const HANDSHAKE_COST_BYTES: usize = 16 * 1024;

/// How long a connection without a request may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

struct Door {
    app: AppState,
    router: Router,
    free: Arc<Semaphore>,
    per_address: Mutex<HashMap<IpAddr, usize>>,
    stop: Shutdown,
}

/// What a connection occupies until its last part, a WebSocket perhaps, has ended.
struct Occupied {
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
    _alive: mpsc::Sender<std::convert::Infallible>,
}

/// Tells browsers to come over TLS alone from now on (RFC 6797), once they have a certificate they trust by themselves.
/// Under the server's own authority a browser ignores it, or, once somebody trusts that authority, could no more be
/// led past a warning after a new one. The names below are somebody else's: the server speaks for its own alone.
async fn strict_transport(State(app): State<AppState>, mut response: Response) -> Response {
    if app.certificates.is_from_elsewhere() {
        let value = HeaderValue::from_static("max-age=31536000");
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    response
}

/// Serves the listeners that are started until `stop` turns true, then drains.
pub async fn run(app: AppState, mut started: mpsc::UnboundedReceiver<Started>, stop: Shutdown) {
    let door = Arc::new(Door {
        router: http::router(app.clone(), stop.clone())
            .merge(crate::admin::router(app.clone(), stop.clone()))
            .layer(axum::middleware::map_response_with_state(app.clone(), strict_transport)),
        free: Arc::new(Semaphore::new(app.config().listen.max_connections)),
        per_address: Mutex::default(),
        app,
        stop,
    });
    // Closed when the last connection is gone.
    let (alive, mut all_gone) = mpsc::channel(1);
    let mut accepting = JoinSet::new();
    let mut stopping = door.stop.clone();
    loop {
        tokio::select! {
            next = started.recv() => match next {
                Some(started) => {
                    accepting.spawn(accept(door.clone(), started, alive.clone()));
                }
                None => break,
            },
            Some(_) = accepting.join_next(), if !accepting.is_empty() => {}
            () = stopping.requested() => break,
        }
    }
    drop(alive);
    // No listener may outlive the server.
    drop(started);
    while accepting.join_next().await.is_some() {}
    if tokio::time::timeout(DRAIN, all_gone.recv()).await.is_err() {
        tracing::info!("some connections did not end in time and were cut");
    }
}

async fn accept(door: Arc<Door>, started: Started, alive: mpsc::Sender<std::convert::Infallible>) {
    let Started { purpose, listener, stop: mut stopped, closed } = started;
    let mut stop = door.stop.clone();
    let (mut failed, mut said_at) = (0_u64, None);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.requested() => break,
            () = stopped.requested() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // It comes back ten times a second for as long as it lasts, a line of it once a minute.
                failed += 1;
                if said_at.is_none_or(|at: Instant| at.elapsed() >= ACCEPT_FAILURE_LINES) {
                    tracing::warn!(%error, times = failed, "cannot accept connections");
                    (said_at, failed) = (Some(Instant::now()), 0);
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let address = peer.ip().to_canonical();
        // Beyond the limits the connection is closed at once; queueing it would only hide the trouble.
        let Ok(permit) = door.free.clone().try_acquire_owned() else {
            tracing::warn!("all connections are in use: one was refused");
            continue;
        };
        let Some(counted) = Counted::new(&door, address) else {
            tracing::warn!("one address has too many connections: one was refused");
            continue;
        };
        let occupied = Arc::new(Occupied { _permit: permit, _counted: counted, _alive: alive.clone() });
        let (door, purpose) = (door.clone(), purpose.clone());
        tokio::spawn(async move {
            let served = match purpose {
                Purpose::Everything => serve(&door, stream, address, occupied).await,
                Purpose::Smoke { is_private, free } => match free.try_acquire_owned() {
                    Ok(place) => serve_smoke(&door, stream, address, is_private, (occupied, place)).await,
                    Err(_) => {
                        tracing::warn!("a Smoke listener has all its clients: one was refused");
                        Ok(())
                    }
                },
            };
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    // In this order: whoever waits for the second finds the address free.
    drop(listener);
    drop(closed);
}

/// One connection in the count of its address.
struct Counted {
    door: Arc<Door>,
    address: IpAddr,
}

impl Counted {
    fn new(door: &Arc<Door>, address: IpAddr) -> Option<Self> {
        let address = network(address);
        let mut counts = door.per_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= door.app.config().listen.max_connections_per_address {
            return None;
        }
        *count += 1;
        Some(Self { door: door.clone(), address })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.door.per_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

async fn serve(
    door: &Door,
    stream: TcpStream,
    address: IpAddr,
    occupied: Arc<Occupied>,
) -> std::io::Result<()> {
    // Small frames must not wait for each other.
    stream.set_nodelay(true)?;
    let listen = door.app.config().listen.clone();
    let handshake = Duration::from_secs(listen.handshake_seconds);
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    match tokio::time::timeout(handshake, door::first_byte(&stream)).await.map_err(late)?? {
        FirstByte::Garbage => return Ok(()),
        FirstByte::PlainHttp => {
            return tokio::time::timeout(handshake, answer_plain(door, stream)).await.map_err(late)?;
        }
        FirstByte::Tls => {}
    }
    // Whoever was refused here has cost nothing yet.
    if door.app.rates.handshake(address, door.app.clock.elapsed()).is_err() {
        return Ok(());
    }
    let line = door.app.memory.line(address);
    let Ok(unfinished) = line.hold_handshake(HANDSHAKE_COST_BYTES) else { return Ok(()) };
    let patience = Duration::from_secs(listen.write_seconds);
    let stream = door::Socket::new(stream, patience, door::MAX_HANDSHAKE_BYTES);
    let recognised = tokio::select! {
        recognised = door::recognise(stream, &door.app.certificates, &door.app.handshake_turns, handshake) => recognised?,
        () = line.cut() => return Ok(()),
    };
    drop(unfinished);
    match recognised {
        Recognised::Http2(stream, exporter) => {
            let client = Client { address, exporter, occupied, line: line.clone() };
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(64)
                .max_header_list_size(MAX_HEADER_BYTES as u32)
                .initial_stream_window_size(RECEIVE_WINDOWS.0)
                .initial_connection_window_size(RECEIVE_WINDOWS.1)
                .max_send_buf_size(SEND_BUFFER_BYTES)
                .keep_alive_interval(Duration::from_secs(60))
                .keep_alive_timeout(Duration::from_secs(20));
            let served = builder.serve_connection(TokioIo::new(stream), service(door.router.clone(), client));
            attend(door, &line, std::pin::pin!(served), |served| served.graceful_shutdown()).await
        }
        Recognised::Http1(stream, exporter) => {
            let client = Client { address, exporter, occupied, line: line.clone() };
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(listen.header_seconds))
                .max_buf_size(MAX_HEADER_BYTES);
            let served = builder
                .serve_connection(TokioIo::new(stream), service(door.router.clone(), client))
                .with_upgrades();
            attend(door, &line, std::pin::pin!(served), |served| served.graceful_shutdown()).await
        }
        Recognised::Checked => Ok(()),
        Recognised::Smoke(stream) => {
            if !door.app.config().smoke.shared_port {
                return Ok(());
            }
            let _occupied = occupied;
            line.counts_elsewhere();
            smoke::serve_client(&door.app, stream, smoke::Access::Public, door.stop.clone()).await
        }
        Recognised::Neighbour(stream) => {
            line.counts_elsewhere();
            crate::neighbours::accept(&door.app, *stream, address, door.stop.clone()).await;
            drop(occupied);
            Ok(())
        }
    }
}

/// Lets a connection go on until it ends by itself, has had no request for a while, holds what nobody takes, or holds
/// most while all together hold too much.
async fn attend<C>(
    door: &Door,
    line: &Line,
    mut served: Pin<&mut C>,
    say_goodbye: impl Fn(Pin<&mut C>),
) -> std::io::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let listen = door.app.config().listen.clone();
    let (idle, unread) =
        (Duration::from_secs(listen.header_seconds), Duration::from_secs(listen.write_seconds));
    let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    // Often enough for short times in tests, seldom enough for thousands of connections.
    let mut looks = tokio::time::interval((idle.min(unread) / 6).clamp(Duration::from_millis(100), GOODBYE));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cut = std::pin::pin!(line.cut());
    let mut stop = door.stop.clone();
    let mut leaving: Option<Instant> = None;
    let mut stopping = false;
    loop {
        tokio::select! {
            result = served.as_mut() => return result.map_err(std::io::Error::other),
            () = stop.requested(), if !stopping => {
                stopping = true;
                say_goodbye(served.as_mut());
            }
            () = cut.as_mut() => return Err(late()),
            _ = looks.tick() => {
                if line.stalled() > unread {
                    return Err(late());
                }
                match leaving {
                    _ if line.idle() <= idle => leaving = None,
                    Some(since) if since.elapsed() > GOODBYE => return Err(late()),
                    Some(_) => {}
                    None => {
                        leaving = Some(Instant::now());
                        say_goodbye(served.as_mut());
                    }
                }
            }
        }
    }
}

/// Serves a client of a listener for Smoke alone, which occupies its places until it ends.
async fn serve_smoke(
    door: &Door,
    stream: TcpStream,
    address: IpAddr,
    is_private: bool,
    _places: (Arc<Occupied>, OwnedSemaphorePermit),
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let handshake = Duration::from_secs(door.app.config().listen.handshake_seconds);
    if door.app.rates.handshake(address, door.app.clock.elapsed()).is_err() {
        return Ok(());
    }
    let patience = Duration::from_secs(door.app.config().listen.write_seconds);
    let stream = door::Socket::new(stream, patience, door::MAX_HANDSHAKE_BYTES);
    let stream =
        door::accept_smoke(stream, &door.app.certificates, &door.app.handshake_turns, handshake).await?;
    let access = if is_private { smoke::Access::Private } else { smoke::Access::Public };
    smoke::serve_client(&door.app, stream, access, door.stop.clone()).await
}

/// What every request of a connection has in common.
#[derive(Clone)]
struct Client {
    address: IpAddr,
    exporter: Exporter,
    occupied: Arc<Occupied>,
    line: Arc<Line>,
}

/// Answers every request of one connection through the router, and counts what lies unread meanwhile.
fn service(
    router: Router,
    client: Client,
) -> impl hyper::service::Service<
    Request<hyper::body::Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future = impl Future<Output = Result<axum::response::Response, std::convert::Infallible>> + Send,
> + use<> {
    hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let Client { address, exporter, occupied, line } = client.clone();
        let serving = line.serve();
        let language = language::asked_for(request.headers());
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Connection { address, exporter, occupied, serving: serving.clone() });
        let answering = router.clone().call(request);
        async move {
            let response = answering.await?;
            serving.release_body();
            Ok(unread::hold(response, serving, language))
        }
    })
}

/// Answers plain HTTP: an authority's check while there is one, and else where the server really is.
async fn answer_plain(door: &Door, mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = vec![0; 4096];
    let mut read = 0;
    while read < head.len() && !head[..read].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut head[read..]).await? {
            0 => break,
            count => read += count,
        }
    }
    let head = &head[..read];
    let checked = plain::path(head).and_then(|path| door.app.certificates.challenges.authorization(path));
    let answer = match checked {
        Some(authorization) => plain::text(&authorization),
        None => plain::redirect(head, stream.local_addr()?),
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
