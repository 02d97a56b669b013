//! The admin pages on loopback without TLS, for the browser that a double-click opens: no certificate warning.
//!
//! Loopback alone proves nothing, since other users of the machine are there too: the set-up asks for its code
//! all the same, the Host and Origin must be exactly ours, and the cookie has a name that TLS refuses.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::Request;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower_service::Service;

use crate::admin::{self, Loopback};
use crate::live::shutdown::Shutdown;
use crate::state::AppState;
use crate::tls::patient::Patient;

/// The port asked for first.
const PORT: u16 = 4711;

/// Connections at once: one browser needs a few.
const MAX_CONNECTIONS: usize = 64;

/// A request's header, in bytes and seconds.
const MAX_HEADER: (usize, Duration) = (16 * 1024, Duration::from_secs(30));

/// How long a browser may take nothing of what is written to it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Begins to serve, on `port` if it is free; the port, unless loopback cannot be had, which fails nothing.
pub async fn start(app: &AppState, port: Option<u16>, stop: &Shutdown) -> Option<u16> {
    let at = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listener = match at(port.unwrap_or(PORT)).await {
        Ok(listener) => Ok(listener),
        Err(_) => at(0).await,
    };
    let bound = listener.and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
    let (port, listener) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            tracing::warn!(%error, "no pages on loopback");
            return None;
        }
    };
    let base = format!("http://127.0.0.1:{port}/admin");
    tracing::info!("admin pages on {base}");
    let router = admin::router(app.clone(), stop.clone());
    tokio::spawn(serve(listener, router.layer(axum::Extension(Loopback(port))), stop.clone()));
    *app.local_pages.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(base);
    Some(port)
}

async fn serve(listener: TcpListener, router: axum::Router, mut stop: Shutdown) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.requested() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(permit) = free.clone().try_acquire_owned() else { continue };
        let (router, mut stop) = (router.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let (max_bytes, time) = MAX_HEADER;
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                router.clone().call(request.map(Body::new))
            });
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(time).max_buf_size(max_bytes);
            let mut stream = Patient::new(stream, PATIENCE, 0);
            stream.let_in();
            let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
            let result = tokio::select! {
                result = served.as_mut() => result,
                () = stop.requested() => {
                    served.as_mut().graceful_shutdown();
                    served.await
                }
            };
            if let Err(error) = result {
                tracing::debug!(%error, "a connection on loopback ended early");
            }
        });
    }
}

/// Opens a browser: the one `BROWSER` names, else the system's. A machine without one is told what to open.
///
/// The browser is given a private file that leads to `url`: the set-up code in it must not stand on a command
/// line, which every user of the machine can read.
pub fn open_browser(directory: &Path, url: &str) {
    let file = directory.join("open.html");
    if let Err(error) = write_private(&file, url) {
        tracing::warn!(%error, "cannot write {}", file.display());
        return;
    }
    let path = file.canonicalize().unwrap_or(file);
    let opened = match std::env::var_os("BROWSER").filter(|browser| !browser.is_empty()) {
        Some(browser) => std::process::Command::new(browser).arg(&path).spawn().map(drop),
        None => open::that_detached(&path),
    };
    if let Err(error) = opened {
        tracing::info!(%error, "no browser could be opened; open {} by hand", path.display());
    }
}

fn write_private(file: &Path, url: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::File::options();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let page = format!(
        "<!doctype html>\n<meta charset=\"utf-8\"><title>momedo</title>\
         <meta http-equiv=\"refresh\" content=\"0; url={url}\"><p><a href=\"{url}\">momedo</a></p>\n"
    );
    options.open(file)?.write_all(page.as_bytes())
}
