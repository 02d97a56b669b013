//! Reads on what is left of a refused request's body, so that its sender hears the answer instead of a
//! broken line: closing a socket with unread bytes resets it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;

/// How much is read and thrown away at most; a McEliece key fits.
const MAX_DRAINED_BYTES: usize = 1024 * 1024;

/// How long that may take.
const MAX_DRAIN_TIME: Duration = Duration::from_secs(5);

/// A body that can be read on by whoever holds the other half.
struct Shared(Arc<Mutex<Body>>);

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

/// Middleware: drains what a refusal left unread.
pub(crate) async fn refused(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let rest = Shared(body.clone());
    let response = next.run(Request::from_parts(parts, Body::new(Shared(body)))).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        // A sender that is slower or sends more hears nothing, as it would without this.
        let _: Result<_, _> = tokio::time::timeout(MAX_DRAIN_TIME, drain(rest)).await;
    }
    response
}

async fn drain(mut rest: Shared) {
    let mut drained = 0;
    while let Some(Ok(frame)) = rest.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > MAX_DRAINED_BYTES {
            return;
        }
    }
}
