//! Requests with the browser's own `fetch`. It checks the certificate and nothing more: that the server is the pinned one
//! is seen from what it answers, and the threat model says what that is worth.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::{FutureExt, StreamExt};
use http::{Method, StatusCode};
use js_sys::{Reflect, Uint8Array};
use momedo_client::ClientError;
use momedo_client::clocks::Clocks;
use momedo_client::platform::line::{
    ANSWER_TIME, Answer, Asked, Download, Line, Lines, MAX_ANSWER_BYTES, Pieces, ServerAddress, Upload,
    Wanted,
};
use momedo_client::platform::work::Work;
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, Request, RequestCache, RequestCredentials,
    RequestInit, RequestRedirect, Response,
};

use crate::scope::{scope, settled, words};
use crate::work::OneThread;

/// Bytes of an upload in one request: browsers do not stream bodies over HTTP/1.1, so they stay in memory.
const PIECE: u64 = 1024 * 1024;

/// Makes lines of `fetch`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchLines;

impl Lines for FetchLines {
    fn line(&self, server: &ServerAddress, language: &str) -> Box<dyn Line> {
        let (server, language) = (server.clone(), language.to_owned());
        Box::new(FetchLine { server, language, address: None })
    }
}

/// A line to one server; the browser keeps what connections there are.
struct FetchLine {
    server: ServerAddress,
    language: String,
    /// The address that answered last.
    address: Option<String>,
}

/// A request as it is sent.
struct Sending<'a> {
    method: &'a Method,
    path: &'a str,
    token: Option<&'a str>,
    media_type: Option<&'a str>,
    body: &'a [u8],
    headers: Vec<(&'a str, String)>,
    time: Duration,
}

/// Ends a request that nobody waits for any more.
struct Aborting(SendWrapper<AbortController>);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer whose body has not been read.
struct Begun {
    response: SendWrapper<Response>,
    aborting: Aborting,
}

fn unreachable(address: &str, reason: impl ToString) -> ClientError {
    ClientError::Unreachable { addresses: address.to_owned(), reason: reason.to_string() }
}

fn late(address: &str) -> ClientError {
    unreachable(address, "no answer in time")
}

impl FetchLine {
    async fn begin(&self, address: &str, sending: &Sending<'_>) -> Result<Begun, ClientError> {
        let protocol = |error: JsValue| ClientError::Protocol(words(&error));
        let headers = Headers::new().map_err(protocol)?;
        headers.set("accept-language", &self.language).map_err(protocol)?;
        if let Some(token) = sending.token {
            headers.set("authorization", &format!("Bearer {token}")).map_err(protocol)?;
        }
        if let Some(kind) = sending.media_type {
            headers.set("content-type", kind).map_err(protocol)?;
        }
        for (name, value) in &sending.headers {
            headers.set(name, value).map_err(protocol)?;
        }
        let aborting = Aborting(SendWrapper::new(AbortController::new().map_err(protocol)?));
        let init = RequestInit::new();
        init.set_method(sending.method.as_str());
        init.set_headers(&headers);
        init.set_credentials(RequestCredentials::Omit);
        init.set_redirect(RequestRedirect::Error);
        init.set_cache(RequestCache::NoStore);
        init.set_signal(Some(&aborting.0.signal()));
        if sending.media_type.is_some() {
            init.set_body(&Uint8Array::from(sending.body));
        }
        let url = format!("https://{address}/api/v1{}", sending.path);
        let request = Request::new_with_str_and_init(&url, &init).map_err(protocol)?;
        let fetched = settled(scope()?.fetch_with_request(&request));
        let fetched = match select(fetched, OneThread.wait(sending.time)).await {
            Either::Left((fetched, _)) => fetched.map_err(|error| unreachable(address, words(&error)))?,
            Either::Right(_) => return Err(late(address)),
        };
        Ok(Begun { response: SendWrapper::new(fetched.unchecked_into()), aborting })
    }

    /// Sends to the address that answered last, or to each in turn until one does.
    async fn send(&mut self, sending: &Sending<'_>) -> Result<Begun, ClientError> {
        if let Some(address) = self.address.take() {
            match self.begin(&address, sending).await {
                Ok(begun) => {
                    self.address = Some(address);
                    return Ok(begun);
                }
                // Every call but a proof may be made twice.
                Err(ClientError::Unreachable { .. }) if !sending.path.ends_with("/proof") => {}
                Err(error) => return Err(error),
            }
        }
        let mut failed = unreachable("", "no address is known");
        for address in self.server.addresses.clone() {
            match self.begin(&address, sending).await {
                Ok(begun) => {
                    self.address = Some(address);
                    return Ok(begun);
                }
                Err(error @ ClientError::Unreachable { .. }) => failed = error,
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    fn place(&self) -> String {
        self.address.clone().unwrap_or_else(|| self.server.addresses.join(", "))
    }
}

impl Begun {
    fn status(&self) -> Result<StatusCode, ClientError> {
        StatusCode::from_u16(self.response.status()).map_err(|error| ClientError::Protocol(error.to_string()))
    }

    fn pieces(self) -> Result<Body, ClientError> {
        let reader = self.response.body().map(|body| SendWrapper::new(body.get_reader().unchecked_into()));
        Ok(Body { reader, _aborting: self.aborting })
    }
}

/// The body of an answer.
struct Body {
    reader: Option<SendWrapper<ReadableStreamDefaultReader>>,
    _aborting: Aborting,
}

impl Body {
    async fn piece(&mut self, stall: Duration) -> Result<Option<Bytes>, ClientError> {
        let Some(reader) = &self.reader else { return Ok(None) };
        let reading = settled(reader.read());
        let read = match select(reading, OneThread.wait(stall)).await {
            Either::Left((read, _)) => read.map_err(|_| ClientError::cut())?,
            Either::Right(_) => return Err(ClientError::cut()),
        };
        let property = |name: &str| Reflect::get(&read, &name.into()).unwrap_or(JsValue::UNDEFINED);
        if property("done").is_truthy() {
            self.reader = None;
            return Ok(None);
        }
        let bytes: Uint8Array = property("value").dyn_into().map_err(|_| ClientError::cut())?;
        Ok(Some(bytes.to_vec().into()))
    }

    /// All of it.
    async fn whole(mut self, time: Duration) -> Result<Bytes, ClientError> {
        let mut all = Vec::new();
        while let Some(piece) = self.piece(time).await? {
            if all.len() + piece.len() > MAX_ANSWER_BYTES {
                return Err(ClientError::Protocol("the answer is too long".into()));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }
}

impl Pieces for Body {
    fn next(&mut self, stall: Duration) -> BoxFuture<'_, Result<Option<Bytes>, ClientError>> {
        SendWrapper::new(self.piece(stall)).boxed()
    }
}

impl Line for FetchLine {
    fn ask<'a>(&'a mut self, asked: Asked<'a>) -> BoxFuture<'a, Result<Answer, ClientError>> {
        let asking = async move {
            let time = ANSWER_TIME + asked.wait;
            let sending = Sending {
                method: &asked.method,
                path: asked.path,
                token: asked.token,
                media_type: asked.payload.media_type(),
                body: asked.payload.bytes(),
                headers: Vec::new(),
                time,
            };
            let begun = self.send(&sending).await?;
            let status = begun.status()?;
            let body = begun.pieces()?.whole(time).await.map_err(|error| match error {
                ClientError::Unreachable { reason, .. } => unreachable(&self.place(), reason),
                error => error,
            })?;
            Ok(Answer { status, body })
        };
        SendWrapper::new(asking).boxed()
    }

    fn upload<'a>(&'a mut self, upload: Upload<'a>) -> BoxFuture<'a, Result<Answer, ClientError>> {
        let uploading = async move {
            let Upload { path, token, mut bytes, length, stall, moved, tell } = upload;
            let mut body = Vec::with_capacity(usize::try_from(length.min(PIECE)).unwrap_or_default());
            while let Some(piece) = bytes.next().await {
                let piece = piece
                    .map_err(|error| ClientError::Protocol(format!("the file cannot be read: {error}")))?;
                body.extend_from_slice(&piece);
            }
            let sending = Sending {
                method: &Method::PATCH,
                path,
                token: Some(token),
                media_type: Some("application/octet-stream"),
                body: &body,
                headers: Vec::new(),
                time: stall,
            };
            let begun = self.send(&sending).await?;
            let status = begun.status()?;
            let body = begun.pieces()?.whole(stall).await?;
            tell(moved.load(Ordering::Relaxed));
            Ok(Answer { status, body })
        };
        SendWrapper::new(uploading).boxed()
    }

    fn most_uploaded_at_once(&self) -> u64 {
        PIECE
    }

    fn download<'a>(&'a mut self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Download, ClientError>> {
        let downloading = async move {
            let Wanted { path, token, from, tag, stall } = wanted;
            let mut headers = Vec::new();
            if from > 0 {
                headers.push(("range", format!("bytes={from}-")));
                headers.extend(tag.map(|tag| ("if-range", tag.to_owned())));
            }
            let sending = Sending {
                method: &Method::GET,
                path,
                token: Some(token),
                media_type: None,
                body: &[],
                headers,
                time: stall,
            };
            let begun = self.send(&sending).await?;
            let status = begun.status()?;
            let tag = begun.response.headers().get("etag").ok().flatten();
            Ok(Download { status, tag, pieces: Box::new(begun.pieces()?) })
        };
        SendWrapper::new(downloading).boxed()
    }

    fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    fn clocks(&self) -> Option<Clocks> {
        // A browser takes no certificate of another time.
        None
    }
}
