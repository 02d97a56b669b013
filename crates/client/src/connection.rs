//! A client of one server's API: requests over whatever line there is, and refusals read as the server words them.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{Method, StatusCode};
use momedo_protocol::problem::Problem;

use crate::ClientError;
use crate::clocks::Clocks;
use crate::platform::Platform;
use crate::platform::line::{ANSWER_TIME, Asked, Line, MAX_ANSWER_BYTES, Pieces, Upload, Wanted};
use crate::progress::{Progress, Step};

pub use crate::platform::line::{Answer, Payload, ServerAddress};

/// A client of one server's API; connects when first used, and again when the line broke.
pub struct Connection {
    server: ServerAddress,
    language: String,
    platform: Platform,
    line: Box<dyn Line>,
}

/// The answer, unless it is a refusal.
fn accepted(answer: Answer) -> Result<Answer, ClientError> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    Err(refusal(answer.status, &answer.body))
}

fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ClientError::Refused(Box::new(problem)),
        Err(_) => ClientError::Protocol(format!("status {status}")),
    }
}

/// Something that comes piece by piece, and was not refused.
pub(crate) struct Downloading {
    pieces: Box<dyn Pieces>,
    /// Whether it begins where it was asked to, and not at the beginning.
    pub(crate) is_partial: bool,
    /// What the server calls these bytes.
    pub(crate) tag: Option<String>,
}

impl Downloading {
    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self, stall: Duration) -> Result<Option<Bytes>, ClientError> {
        self.pieces.next(stall).await
    }
}

/// What is left of a refusal, as far as it counts.
async fn rest(mut pieces: Box<dyn Pieces>, stall: Duration) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(piece) = pieces.next(stall).await? {
        if body.len() + piece.len() > MAX_ANSWER_BYTES {
            return Err(ClientError::cut());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

impl Connection {
    /// A client of `server`; nothing is connected yet. `language` is a tag such as `de`, for error texts.
    pub fn new(platform: &Platform, server: ServerAddress, language: &str) -> Self {
        let line = platform.line(&server, language);
        Self { server, language: language.to_owned(), platform: platform.clone(), line }
    }

    /// What it runs on.
    pub(crate) fn platform(&self) -> &Platform {
        &self.platform
    }

    /// What the clocks showed when a connection was made, if the dates of the server's certificate did not fit.
    pub fn clocks(&self) -> Option<Clocks> {
        self.line.clocks()
    }

    /// The address that answered, while a connection to it is open.
    pub fn address(&self) -> Option<&str> {
        self.line.address()
    }

    /// The server.
    pub fn server(&self) -> &ServerAddress {
        &self.server
    }

    /// The language of error texts.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Sends one request; `wait` is how long the server was asked to hold the answer back.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], [`ClientError::WrongServer`], or [`ClientError::Refused`] with the
    /// server's words for every status from 400 on.
    pub async fn request(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&str>,
        payload: Payload,
        wait: Duration,
    ) -> Result<Answer, ClientError> {
        accepted(self.line.ask(Asked { method, path, token, payload: &payload, wait }).await?)
    }

    /// Most bytes that go up in one request.
    pub(crate) fn most_uploaded_at_once(&self) -> u64 {
        self.line.most_uploaded_at_once()
    }

    /// Sends a body as it is read; gives up when `moved` stands still for `stall`. `tell` hears how far it is.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub(crate) async fn send_streaming(
        &mut self,
        path: &str,
        token: &str,
        (bytes, length): (impl Stream<Item = std::io::Result<Bytes>> + Send + 'static, u64),
        stall: Duration,
        moved: &AtomicU64,
        tell: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Answer, ClientError> {
        let upload = Upload { path, token, bytes: Box::pin(bytes), length, stall, moved, tell };
        accepted(self.line.upload(upload).await?)
    }

    /// Begins to fetch something from `from` on; `tag` is what its first part was called.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub(crate) async fn fetch_streaming(
        &mut self,
        path: &str,
        token: &str,
        from: u64,
        tag: Option<&str>,
        stall: Duration,
    ) -> Result<Downloading, ClientError> {
        let download = self.line.download(Wanted { path, token, from, tag, stall }).await?;
        let (status, pieces) = (download.status, download.pieces);
        if !status.is_success() {
            return Err(refusal(status, &rest(pieces, stall).await?));
        }
        Ok(Downloading { pieces, is_partial: status == StatusCode::PARTIAL_CONTENT, tag: download.tag })
    }

    /// Writes a large answer to `out` as it comes, and says how many bytes that were. Not repeated when the line
    /// breaks.
    ///
    /// # Errors
    /// As [`Connection::request`].
    pub(crate) async fn download(
        &mut self,
        path: &str,
        token: &str,
        out: &mut (dyn std::io::Write + Send),
    ) -> Result<u64, ClientError> {
        // A line of its own, which was not idle.
        let mut fresh = Self::new(&self.platform, self.server.clone(), &self.language);
        let mut coming = fresh.fetch_streaming(path, token, 0, None, ANSWER_TIME).await?;
        let mut written = 0;
        while let Some(data) = coming.next(ANSWER_TIME).await? {
            out.write_all(&data)
                .map_err(|error| ClientError::Protocol(format!("cannot write the file: {error}")))?;
            written += data.len() as u64;
        }
        Ok(written)
    }
}

/// Says once it is known when some clock is wrong.
pub(crate) fn tell_of_clocks(connection: &Connection, progress: Progress<'_>) {
    if let Some(clocks) = connection.clocks() {
        progress(Step::ClocksDiffer(clocks));
    }
}
