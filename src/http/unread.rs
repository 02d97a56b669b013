//! Answers on their way out: counted until their readers have them, and handed on in small pieces, so that it shows
//! when a reader comes no more.

use momedo_texts::Language;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::error::refusal;
use crate::live::memory::{Outgoing, Serving};
use crate::service::ServiceError;

/// What is handed on at once, in bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// What a part of a streamed answer counts as before it is read; none is larger.
pub(crate) const PART_BYTES: usize = 64 * 1024;

/// How long a streamed answer waits before it asks for memory again.
const PAUSE: Duration = Duration::from_millis(50);

/// An answer whose bytes every reader shares, so that they cost nothing.
pub(crate) struct Shared<R>(pub(crate) R);

#[derive(Clone, Copy)]
struct IsShared;

impl<R: IntoResponse> IntoResponse for Shared<R> {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response.extensions_mut().insert(IsShared);
        response
    }
}

/// Counts an answer until its reader has it; a refusal stands in its place when its reader has too much lying here.
pub(crate) fn hold(response: Response, serving: Arc<Serving>, language: Language) -> Response {
    let bytes = match response.body().size_hint().exact() {
        Some(0) => return response,
        Some(_) if response.extensions().get::<IsShared>().is_some() => 0,
        Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX / 2),
        // It is made while it is taken.
        None => return response.map(|body| Body::new(Unread::new(body, serving, None))),
    };
    match serving.hold_answer(bytes) {
        Ok(outgoing) => response.map(|body| Body::new(Unread::new(body, serving, Some(outgoing)))),
        Err(_) => refusal(&ServiceError::Busy, language),
    }
}

/// A body that is counted.
struct Unread {
    body: Body,
    serving: Arc<Serving>,
    is_streamed: bool,
    /// Of a streamed body: of the part that is asked for.
    reserved: Option<Outgoing>,
    /// Of what was given last; of a whole body, of all of it.
    outgoing: Option<Arc<Outgoing>>,
    /// What of the last part was not handed on yet.
    rest: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
}

/// Bytes that count until the last piece of them was written.
struct Piece {
    bytes: Bytes,
    _outgoing: Arc<Outgoing>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Unread {
    fn new(body: Body, serving: Arc<Serving>, whole: Option<Outgoing>) -> Self {
        let is_streamed = whole.is_none();
        let outgoing = whole.map(Arc::new);
        Self { body, serving, is_streamed, reserved: None, outgoing, rest: Bytes::new(), pause: None }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            return None;
        }
        let bytes = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        let outgoing = self.outgoing.clone()?;
        outgoing.given();
        Some(Bytes::from_owner(Piece { bytes, _outgoing: outgoing }))
    }

    /// Waits for memory for the next part of a streamed body.
    fn reserve(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.is_streamed && self.reserved.is_none() {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match self.serving.hold_answer(PART_BYTES) {
                Ok(reserved) => self.reserved = Some(reserved),
                Err(_) => self.pause = Some(Box::pin(tokio::time::sleep(PAUSE))),
            }
        }
        Poll::Ready(())
    }
}

impl HttpBody for Unread {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(outgoing) = &self.outgoing {
            outgoing.taken();
        }
        loop {
            if let Some(piece) = self.next_piece() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if self.is_streamed {
                self.outgoing = None;
            }
            ready!(self.reserve(context));
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => {
                        if let Some(mut reserved) = self.reserved.take() {
                            reserved.shrink(bytes.len());
                            self.outgoing = Some(Arc::new(reserved));
                        }
                        self.rest = bytes;
                        if self.rest.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(Bytes::new()))));
                        }
                    }
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => {
                    self.reserved = None;
                    return Poll::Ready(ended);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let of_body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
