//! Recognises who knocks: the TLS client hello chooses the certificate, and without ALPN the first bytes
//! tell HTTP from Smoke.

use std::io;
use std::num::NonZero;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use momedo_protocol::link;
use momedo_smoke::greeting::Greeting;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::patient::Patient;
use super::{ACME_ALPN, Certificates};

/// Ciphertext that waits for the socket, in bytes: two records. What does not fit waits as plain text, where it is counted.
const UNWRITTEN_BYTES: usize = 32 * 1024;

/// What a client may bring before its handshake is done, in bytes: several times what one with a certificate takes.
pub const MAX_HANDSHAKE_BYTES: usize = 32 * 1024;

/// A socket that is given up when nothing is taken from it, or when its handshake is too large.
pub type Socket = Patient<TcpStream>;

/// Smoke clients may wait for the server to speak; browsers and scripts never do.
const SILENCE_MEANS_SMOKE: Duration = Duration::from_secs(5);

/// The label of the TLS exporter that identity proofs sign.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-momedo-identity";

/// What the first byte of a connection says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstByte {
    /// A TLS handshake record.
    Tls,
    /// A letter: plain HTTP on the TLS port.
    PlainHttp,
    /// Anything else, or nothing.
    Garbage,
}

/// Looks at the first byte without taking it.
///
/// # Errors
/// What the socket says.
pub async fn first_byte(stream: &TcpStream) -> io::Result<FirstByte> {
    let mut byte = [0];
    Ok(match stream.peek(&mut byte).await? {
        1 if byte[0] == 0x16 => FirstByte::Tls,
        1 if byte[0].is_ascii_uppercase() => FirstByte::PlainHttp,
        _ => FirstByte::Garbage,
    })
}

/// A connection whose protocol is known.
pub enum Recognised {
    /// HTTP/2.
    Http2(TlsStream<Socket>, Exporter),
    /// HTTP/1.1, from a browser, a native client or a script.
    Http1(Prefixed<TlsStream<Socket>>, Exporter),
    /// A Smoke or Spot-On client.
    Smoke(Prefixed<TlsStream<Socket>>),
    /// A neighbour server.
    Neighbour(Box<TlsStream<Socket>>),
    /// A public authority that checks a name; it has its answer.
    Checked,
}

/// 32 bytes of keying material that only the two ends of this connection know.
pub type Exporter = Option<[u8; 32]>;

/// Shakes hands, one of `turns` at a time, and recognises the protocol. The caller bounds the time of the handshake; reading the first
/// bytes after it is bounded here.
///
/// # Errors
/// What TLS or the socket says.
pub async fn recognise(
    stream: Socket,
    certificates: &Certificates,
    turns: &Semaphore,
    handshake: Duration,
) -> io::Result<Recognised> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
    let start = tokio::time::timeout(handshake, acceptor).await.map_err(late)??;
    let protocols: Option<Vec<Vec<u8>>> =
        start.client_hello().alpn().map(|protocols| protocols.map(<[u8]>::to_vec).collect());
    let config = match &protocols {
        Some(protocols) if protocols.iter().any(|protocol| protocol == link::ALPN) => {
            let config = certificates.link.accepting();
            let mut tls =
                tokio::time::timeout(handshake, shake(turns, start, config)).await.map_err(late)??;
            let_in(&mut tls);
            return Ok(Recognised::Neighbour(Box::new(tls)));
        }
        // Whoever checks a name offers this alone.
        Some(protocols) if protocols.iter().any(|protocol| protocol == ACME_ALPN) => {
            let config = certificates.challenge.clone();
            let mut tls =
                tokio::time::timeout(handshake, shake(turns, start, config)).await.map_err(late)??;
            // The certificate was the answer; nothing is said on this connection.
            tls.shutdown().await?;
            return Ok(Recognised::Checked);
        }
        Some(_) => certificates.web.clone(),
        None => certificates.fixed.clone(),
    };
    let mut tls = tokio::time::timeout(handshake, shake(turns, start, config)).await.map_err(late)??;
    let_in(&mut tls);
    let exporter = exporter(&tls);
    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
        return Ok(Recognised::Http2(tls, exporter));
    }
    if protocols.is_some() {
        return Ok(Recognised::Http1(Prefixed::new(Vec::new(), tls), exporter));
    }
    let mut read = Vec::new();
    let greeted = tokio::time::timeout(SILENCE_MEANS_SMOKE, greeting(&mut tls, &mut read)).await;
    let is_silent = greeted.is_err();
    greeted.unwrap_or(Ok(()))?;
    let is_smoke = match Greeting::of(&read) {
        Greeting::Frame => true,
        Greeting::Other => false,
        Greeting::Undecided => is_silent,
    };
    let stream = Prefixed::new(read, tls);
    Ok(if is_smoke { Recognised::Smoke(stream) } else { Recognised::Http1(stream, exporter) })
}

/// Shakes hands with a client of a listener for Smoke alone, whatever protocols it names.
///
/// # Errors
/// What TLS or the socket says.
pub async fn accept_smoke(
    stream: Socket,
    certificates: &Certificates,
    turns: &Semaphore,
    handshake: Duration,
) -> io::Result<TlsStream<Socket>> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let shaken = async {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        shake(turns, start, certificates.fixed.clone()).await
    };
    let mut tls = tokio::time::timeout(handshake, shaken).await.map_err(late)??;
    let_in(&mut tls);
    Ok(tls)
}

/// Answers a client's hello when its turn comes, and shakes hands.
async fn shake(
    turns: &Semaphore,
    start: StartHandshake<Socket>,
    config: Arc<ServerConfig>,
) -> io::Result<TlsStream<Socket>> {
    // The work is in answers to what the client sends, and one without the right key share sends a second hello; waiting
    // for it takes no turn.
    let mut shaking = std::pin::pin!(start.into_stream(config));
    loop {
        let turn = turns.acquire().await;
        let answered = std::future::poll_fn(|context| Poll::Ready(shaking.as_mut().poll(context))).await;
        drop(turn);
        if let Poll::Ready(shaken) = answered {
            return shaken;
        }
        woken().await;
    }
}

/// Waits until what was polled before has something to go on with: it has kept this task's waker.
async fn woken() {
    let mut has_waited = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// How many hellos are answered at once: with half of the processors, so that the others are left for messages, however
/// many knock.
pub fn turns() -> Semaphore {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    Semaphore::new((processors / 2).max(1))
}

/// The handshake is done.
fn let_in(tls: &mut TlsStream<Socket>) {
    let (socket, session) = tls.get_mut();
    socket.let_in();
    session.set_buffer_limit(Some(UNWRITTEN_BYTES));
}

/// Reads until it is clear whether the greeting is a frame's.
async fn greeting(tls: &mut TlsStream<Socket>, read: &mut Vec<u8>) -> io::Result<()> {
    while Greeting::of(read) == Greeting::Undecided {
        let mut buffer = [0; 64];
        let count = tls.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        read.extend_from_slice(&buffer[..count]);
    }
    Ok(())
}

fn exporter(tls: &TlsStream<Socket>) -> Exporter {
    tls.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, Some(&[])).ok()
}

/// A stream some of whose bytes were read already.
pub struct Prefixed<S> {
    prefix: Vec<u8>,
    taken: usize,
    stream: S,
}

impl<S> Prefixed<S> {
    fn new(prefix: Vec<u8>, stream: S) -> Self {
        Self { prefix, taken: 0, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken < self.prefix.len() {
            let count = buffer.remaining().min(self.prefix.len() - self.taken);
            buffer.put_slice(&self.prefix[self.taken..self.taken + count]);
            self.taken += count;
            if self.taken == self.prefix.len() {
                self.prefix = Vec::new();
                self.taken = 0;
            }
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
