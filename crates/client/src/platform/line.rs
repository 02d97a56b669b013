//! The line to a server: requests and answers, bytes that stream up or down. Who is at the other end is the shell's to
//! prove before it sends anything secret; a browser has its certificate check alone, and the threat model says so.

use std::io;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::{Method, StatusCode};
use momedo_protocol::digest::Fingerprint;

use crate::ClientError;
use crate::clocks::Clocks;

/// How long an answer may take beyond what the server was asked to wait for.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Largest answer taken: an ozone page is limited to 4 MiB of envelopes.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Where a server is and who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// `host:port` of each known address, the best first.
    pub addresses: Vec<String>,
    /// Fingerprint of the identity key.
    pub fingerprint: Fingerprint,
}

/// What is sent along with a request.
#[derive(Debug, Clone)]
pub enum Payload {
    /// Nothing.
    None,
    /// JSON.
    Json(Vec<u8>),
    /// Bytes.
    Binary(Vec<u8>),
}

impl Payload {
    /// Its media type, if there is anything.
    pub fn media_type(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Json(_) => Some("application/json"),
            Self::Binary(_) => Some("application/octet-stream"),
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Json(bytes) | Self::Binary(bytes) => bytes,
        }
    }
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body, at most [`MAX_ANSWER_BYTES`].
    pub body: Bytes,
}

/// One request.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: Method,
    /// The path below `/api/v1`, with its query.
    pub path: &'a str,
    /// The bearer token, if there is one.
    pub token: Option<&'a str>,
    /// What goes along.
    pub payload: &'a Payload,
    /// How long the server was asked to hold the answer back.
    pub wait: Duration,
}

/// An upload that is read as it is sent.
pub struct Upload<'a> {
    /// The path below `/api/v1`; it is a `PATCH`.
    pub path: &'a str,
    /// The bearer token.
    pub token: &'a str,
    /// The bytes.
    pub bytes: BoxStream<'static, io::Result<Bytes>>,
    /// How many they are.
    pub length: u64,
    /// How long nothing may move before it is given up.
    pub stall: Duration,
    /// Up to where the bytes were read: what moves.
    pub moved: &'a AtomicU64,
    /// Hears how far it is.
    pub tell: &'a (dyn Fn(u64) + Send + Sync),
}

/// What is asked for that comes piece by piece.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The path below `/api/v1`.
    pub path: &'a str,
    /// The bearer token.
    pub token: &'a str,
    /// From which byte on.
    pub from: u64,
    /// What the server called these bytes when it sent the first of them.
    pub tag: Option<&'a str>,
    /// How long nothing may come before it is given up.
    pub stall: Duration,
}

/// Something that comes piece by piece.
pub struct Download {
    /// The status.
    pub status: StatusCode,
    /// What the server calls these bytes.
    pub tag: Option<String>,
    /// The pieces.
    pub pieces: Box<dyn Pieces>,
}

/// Pieces of an answer, in their order.
pub trait Pieces: Send + Sync {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when the line broke or nothing came for `stall`.
    fn next(&mut self, stall: Duration) -> BoxFuture<'_, Result<Option<Bytes>, ClientError>>;
}

/// A line to one server; connects when first used, and again when the line broke.
pub trait Line: Send + Sync {
    /// Sends a request and takes its answer, whatever its status. A line that broke while it was idle is made anew, and the
    /// request repeated unless it ends in `/proof`: every other call may be made twice.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] or [`ClientError::WrongServer`].
    fn ask<'a>(&'a mut self, asked: Asked<'a>) -> BoxFuture<'a, Result<Answer, ClientError>>;

    /// Sends an upload; it is not repeated.
    ///
    /// # Errors
    /// As [`Line::ask`].
    fn upload<'a>(&'a mut self, upload: Upload<'a>) -> BoxFuture<'a, Result<Answer, ClientError>>;

    /// Most bytes that go up in one request; what is more is sent in several.
    fn most_uploaded_at_once(&self) -> u64 {
        u64::MAX
    }

    /// Begins to fetch something; it is not repeated.
    ///
    /// # Errors
    /// As [`Line::ask`].
    fn download<'a>(&'a mut self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Download, ClientError>>;

    /// The address that answered, while it is known.
    fn address(&self) -> Option<&str>;

    /// What the clocks showed when the line was made, if the dates of the server's certificate did not fit.
    fn clocks(&self) -> Option<Clocks>;
}

/// Makes lines.
pub trait Lines: Send + Sync {
    /// A line to `server`; nothing is connected yet. `language` is a tag such as `de`, for error texts.
    fn line(&self, server: &ServerAddress, language: &str) -> Box<dyn Line>;
}
