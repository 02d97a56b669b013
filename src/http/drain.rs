//! Reads on what nobody wants of a request's body. It would lie in memory while its request waits for something; and
//! when a refusal leaves it unread, closing the socket resets the line, and its sender hears no answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use tokio::sync::oneshot;

/// How much is read and thrown away at most; a McEliece key fits.
const MAX_DRAINED_BYTES: usize = 1024 * 1024;

/// How long that may take.
const MAX_DRAIN_TIME: Duration = Duration::from_secs(5);

/// How long nothing may come meanwhile: whoever has stopped sending is answered.
const MAX_DRAIN_PAUSE: Duration = Duration::from_secs(2);

/// A body that can be read on by whoever holds the other half.
struct Shared {
    body: Arc<Mutex<Body>>,
    /// Dropped with the half that a handler has.
    _wanted: Option<oneshot::Sender<()>>,
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

/// Middleware: drains what a handler does not want, and what a refusal left unread.
pub(crate) async fn refused(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let (wanted, unwanted) = oneshot::channel();
    let rest = Shared { body: body.clone(), _wanted: None };
    let body = Body::new(Shared { body, _wanted: Some(wanted) });
    let mut answering = std::pin::pin!(next.run(Request::from_parts(parts, body)));
    let mut draining = std::pin::pin!(async move {
        let _: Result<(), _> = unwanted.await;
        drain(rest).await;
    });
    let response = tokio::select! {
        response = answering.as_mut() => response,
        () = draining.as_mut() => return answering.await,
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        // A sender that is slower or sends more hears nothing, as it would without this.
        let _: Result<_, _> = tokio::time::timeout(MAX_DRAIN_TIME, draining).await;
    }
    response
}

async fn drain(mut rest: Shared) {
    let mut drained = 0;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(MAX_DRAIN_PAUSE, rest.frame()).await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > MAX_DRAINED_BYTES {
            return;
        }
    }
}
