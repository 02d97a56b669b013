//! One connection to a neighbour, from its greeting to its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link::{
    self, Frame, HEADER_BYTES, Hello, KEY_PART_BYTES, KeyPart, Reply, Standing, read_header,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::key_log;
use super::pump::{self, InFlight};
use crate::domain::neighbour::Decision;
use crate::links::{Answer, DialledBy, Link};
use crate::live::shutdown::Shutdown;
use crate::service::neighbours::{
    self, answers, finding, finding_groups, finding_mceliece, greeting, key_logs, receipts, receiving,
    sending,
};
use crate::state::AppState;
use crate::store::NeighbourRow;

/// How long the greeting may take.
const GREETING: Duration = Duration::from_secs(10);

/// How long a frame may take to arrive once it has begun, or to be sent.
const FRAME_TIME: Duration = Duration::from_secs(60);

/// Batches and receipts of one neighbour worked on at once; while there are so many, nothing more is read.
const WORK: usize = 8;

/// Questions of one neighbour worked on at once.
const QUESTIONS: usize = 32;

/// McEliece keys sent to one neighbour at once.
const KEYS: usize = 2;

/// Calls of one neighbour worked on at once; each may have some megabytes.
const CALLS: usize = 4;

/// Bytes written at once, if so many wait.
const WRITTEN_AT_ONCE: usize = 64 * 1024;

/// Why a link ended.
pub(super) enum End {
    /// In good order.
    Closed,
    /// The other side does not want it.
    Refused(Standing),
    /// This side does not want it.
    RefusedByUs,
    /// The line broke, or the other side does not keep to the protocol.
    Broken(String),
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// Whose frames are read: strangers get no room for large ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    Stranger,
    Neighbour,
}

async fn read_frame<R: AsyncRead + Unpin>(
    stream: &mut R,
    silence: Duration,
    writer: Writer,
) -> Result<Frame, End> {
    let late = |_| End::Broken("no sign of life".into());
    let mut header = [0; HEADER_BYTES];
    tokio::time::timeout(silence, stream.read_exact(&mut header)).await.map_err(late)??;
    let (kind, length) = read_header(header).map_err(|error| End::Broken(error.to_string()))?;
    if writer == Writer::Stranger && length > link::CONTROL_BYTES {
        return Err(End::Broken("a large frame before both sides have confirmed".into()));
    }
    let mut body = vec![0; length];
    tokio::time::timeout(FRAME_TIME, stream.read_exact(&mut body)).await.map_err(late)??;
    Frame::decode(kind, &body).map_err(|error| End::Broken(error.to_string()))
}

async fn write_frame<W: AsyncWrite + Unpin>(stream: &mut W, frame: &Frame) -> Result<(), End> {
    let late = |_| End::Broken("the line takes nothing".into());
    let sending = async {
        stream.write_all(&frame.encode()).await?;
        stream.flush().await
    };
    Ok(tokio::time::timeout(FRAME_TIME, sending).await.map_err(late)??)
}

/// Greets, and then exchanges frames until one side has enough; `from` is where the other side dialled from, if it did.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    app: &AppState,
    stream: S,
    peer: Fingerprint,
    dialled_by: DialledBy,
    from: Option<IpAddr>,
    mut stop: Shutdown,
) -> End {
    let (mut read, mut write) = tokio::io::split(stream);
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(GREETING, greet(app, &mut read, &mut write, peer, dialled_by, from)) => greeted,
        () = stop.requested() => return End::Closed,
    };
    let (hello, row) = match greeted {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(end)) => return end,
        Err(_) => return End::Broken("no greeting in time".into()),
    };
    let Some(mut begun) = app.links.begin(peer, dialled_by) else {
        // The other of two links at once is the one to keep.
        return End::Closed;
    };
    let heartbeat = Duration::from_secs(u64::from(app.config().neighbours.heartbeat_seconds));
    let (_, nothing) = mpsc::channel(1);
    let frames = std::mem::replace(&mut begun.frames, nothing);
    let mut tasks = JoinSet::new();
    let flying = Arc::new(InFlight::new());
    tasks.spawn(pump::run(app.clone(), peer, begun.link.clone(), flying.clone()));
    tasks.spawn(key_log::run(app.clone(), begun.link.clone()));
    let writing = tokio::spawn(write_frames(write, frames, heartbeat));
    begun.link.try_send(&Frame::Standing(greeting::standing(&row)));
    let session = Session {
        app: app.clone(),
        peer,
        link: begun.link.clone(),
        flying: flying.clone(),
        work: Arc::new(Semaphore::new(WORK)),
        questions: Arc::new(Semaphore::new(QUESTIONS)),
        keys: Arc::new(Semaphore::new(KEYS)),
        calls: Arc::new(Semaphore::new(CALLS)),
        silence: Duration::from_secs(u64::from(hello.heartbeat_seconds.clamp(1, 600)) * 3),
        hello,
        from,
    };
    let mut closed = begun.close.clone();
    let end = tokio::select! {
        end = session.exchange(&mut read, &mut tasks) => end,
        () = closed.requested() => End::Closed,
        () = stop.requested() => End::Closed,
    };
    tasks.shutdown().await;
    drop(session);
    for batch in flying.drain() {
        // Not answered: sent again as soon as there is a link.
        app.links.postpone(&batch, Duration::ZERO);
    }
    // A newer link may be there already, and have passed over all that.
    app.links.wake_anew(peer);
    drop(begun);
    // The writer ends by itself once nobody can send; a last word, such as a refusal, still goes out.
    let abort = writing.abort_handle();
    if tokio::time::timeout(Duration::from_secs(1), writing).await.is_err() {
        abort.abort();
    }
    end
}

/// Exchanges greetings; a stranger has to show the code of a pairing link, or to be nearby.
async fn greet<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    app: &AppState,
    read: &mut R,
    write: &mut W,
    peer: Fingerprint,
    dialled_by: DialledBy,
    from: Option<IpAddr>,
) -> Result<(Hello, NeighbourRow), End> {
    let internal = |error: crate::service::ServiceError| End::Broken(error.to_string());
    let hello = greeting::hello(app).await.map_err(internal)?;
    write_frame(write, &Frame::Hello(hello)).await?;
    let Frame::Hello(theirs) = read_frame(read, GREETING, Writer::Stranger).await? else {
        return Err(End::Broken("no greeting".into()));
    };
    if !theirs.versions.contains(&link::VERSION) {
        return Err(End::Broken("the other server speaks no version of the link that this one knows".into()));
    }
    let known = greeting::greeted(app, peer, theirs.clone()).await.map_err(internal)?;
    let row = match known {
        Some(row) => row,
        None => {
            let standing = match (dialled_by, read_frame(read, GREETING, Writer::Stranger).await?) {
                (DialledBy::Them, Frame::Pair { code }) => {
                    greeting::pair(app, peer, theirs.clone(), code, from).await.map_err(internal)?
                }
                _ => Standing::Unknown,
            };
            let row = neighbours::row(app, peer).await;
            let row = row.map_err(|error| End::Broken(error.to_string()))?;
            match row {
                Some(row) if !is_refusal(standing) => row,
                _ => {
                    write_frame(write, &Frame::Standing(standing)).await?;
                    return Err(End::RefusedByUs);
                }
            }
        }
    };
    if row.decision == Decision::Blocked {
        write_frame(write, &Frame::Standing(Standing::Blocked)).await?;
        return Err(End::RefusedByUs);
    }
    if dialled_by == DialledBy::Us
        && let Some(request) = greeting::request_frame(&row)
    {
        write_frame(write, &request).await?;
    }
    Ok((theirs, row))
}

/// Whether a server with this standing is no neighbour and has no request on disk.
fn is_refusal(standing: Standing) -> bool {
    matches!(standing, Standing::Unknown | Standing::WrongCode | Standing::NotTaken)
}

/// Writes what is sent, and a heart-beat when nothing is.
async fn write_frames<S: AsyncWrite>(
    mut stream: WriteHalf<S>,
    mut frames: mpsc::Receiver<Vec<u8>>,
    heartbeat: Duration,
) {
    loop {
        let mut bytes = match tokio::time::timeout(heartbeat, frames.recv()).await {
            Err(_) => Frame::Heartbeat.encode(),
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
        };
        while bytes.len() < WRITTEN_AT_ONCE
            && let Ok(more) = frames.try_recv()
        {
            bytes.extend_from_slice(&more);
        }
        let sending = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        if !matches!(tokio::time::timeout(FRAME_TIME, sending).await, Ok(Ok(()))) {
            // The reader finds out, too; whoever sends meanwhile sees the channel closed.
            return;
        }
    }
    let _: Result<_, _> = stream.shutdown().await;
}

/// What the reading side of a link works with.
struct Session {
    app: AppState,
    peer: Fingerprint,
    link: Arc<Link>,
    flying: Arc<InFlight>,
    work: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    keys: Arc<Semaphore>,
    calls: Arc<Semaphore>,
    silence: Duration,
    hello: Hello,
    from: Option<IpAddr>,
}

impl Session {
    async fn exchange<S: AsyncRead>(&self, read: &mut ReadHalf<S>, tasks: &mut JoinSet<()>) -> End {
        let mut writer = Writer::Stranger;
        loop {
            // A pause does not make a stranger: what is on its way then is still read.
            if self.link.is_paired() {
                writer = Writer::Neighbour;
            }
            let frame = match read_frame(read, self.silence, writer).await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            if self.flying.is_stuck() {
                return End::Broken("no answers".into());
            }
            // What has ended by itself is not kept.
            while tasks.try_join_next().is_some() {}
            if let Err(end) = self.take(frame, tasks).await {
                return end;
            }
        }
    }

    async fn take(&self, frame: Frame, tasks: &mut JoinSet<()>) -> Result<(), End> {
        let (app, peer, link) = (self.app.clone(), self.peer, self.link.clone());
        match frame {
            Frame::Heartbeat => {}
            Frame::Hello(_) => return Err(End::Broken("a second greeting".into())),
            Frame::Pair { code } => {
                let paired = greeting::pair(&app, peer, self.hello.clone(), code, self.from).await;
                let standing = paired.map_err(|error| End::Broken(error.to_string()))?;
                link.send(&Frame::Standing(standing)).await;
            }
            Frame::Standing(standing) => {
                let noted = greeting::note_standing(&app, peer, standing).await;
                noted.map_err(|error| End::Broken(error.to_string()))?;
                if is_refusal(standing) || standing == Standing::Blocked {
                    return Err(End::Refused(standing));
                }
            }
            Frame::Batch(batch) => {
                let Ok(permit) = self.work.clone().acquire_owned().await else { return Ok(()) };
                tasks.spawn(async move {
                    let answer = receiving::take(&app, peer, *batch).await;
                    link.send(&answer).await;
                    drop(permit);
                });
            }
            Frame::Receipt(receipt) => {
                self.flying.end(&receipt.batch);
                let Ok(permit) = self.work.clone().acquire_owned().await else { return Ok(()) };
                tasks.spawn(async move {
                    let batch = receipt.batch;
                    match receipts::take(&app, peer, *receipt).await {
                        Ok(()) => {
                            link.send(&Frame::Taken { batch }).await;
                        }
                        Err(error) => tracing::warn!(%error, "a receipt is not stored; it will come again"),
                    }
                    drop(permit);
                });
            }
            Frame::Taken { batch } => {
                if self.flying.end(&batch) {
                    let Ok(permit) = self.work.clone().acquire_owned().await else { return Ok(()) };
                    tasks.spawn(async move {
                        if let Err(error) = sending::answer_taken(&app, peer, batch).await {
                            tracing::warn!(%error, "an answer that arrived is not forgotten yet");
                        }
                        link.wake.notify_one();
                        drop(permit);
                    });
                }
            }
            Frame::Busy { batch, retry_after } => {
                self.flying.end(&batch);
                receipts::busy(&app, peer, batch, Duration::from_secs(u64::from(retry_after)));
            }
            Frame::Undeliverable { batch, reason } => {
                self.flying.end(&batch);
                let Ok(permit) = self.work.clone().acquire_owned().await else { return Ok(()) };
                tasks.spawn(async move {
                    match receipts::no_way(&app, peer, batch, reason).await {
                        Ok(()) => {
                            link.send(&Frame::Taken { batch }).await;
                        }
                        Err(error) => tracing::warn!(%error, "an answer is not stored; it will come again"),
                    }
                    drop(permit);
                });
            }
            Frame::Find(find) => {
                let Ok(permit) = self.questions.clone().acquire_owned().await else { return Ok(()) };
                tasks.spawn(async move {
                    let answer = finding::answer(&app, peer, find).await.unwrap_or_else(|error| {
                        tracing::warn!(%error, "a neighbour's question is not answered");
                        link::Found { query: find.query, keys: None, distance: 0 }
                    });
                    link.send(&Frame::Found(Box::new(answer))).await;
                    drop(permit);
                });
            }
            Frame::Found(found) => {
                let query = found.query;
                app.links.answer(peer, query, Answer::Found(found));
            }
            Frame::FetchKey(question) => {
                let Ok(permit) = self.keys.clone().acquire_owned().await else { return Ok(()) };
                tasks.spawn(async move {
                    let key =
                        finding_mceliece::answer_key(&app, peer, question).await.unwrap_or_else(|error| {
                            tracing::warn!(%error, "a neighbour gets no McEliece key");
                            None
                        });
                    send_key(&link, question.query, key).await;
                    drop(permit);
                });
            }
            Frame::KeyPart(part) => {
                let query = part.query;
                app.links.answer(peer, query, Answer::KeyPart(part));
            }
            Frame::Call(call) => {
                let Ok(permit) = self.calls.clone().acquire_owned().await else { return Ok(()) };
                tasks.spawn(async move {
                    let query = call.query;
                    let signed = answers::answer(&app, peer, *call).await;
                    link.send(&Frame::Reply(Box::new(Reply { query, signed }))).await;
                    drop(permit);
                });
            }
            Frame::Reply(reply) => app.links.answer(peer, reply.query, Answer::Reply(reply.signed)),
            Frame::FindGroup(find) => {
                let Ok(permit) = self.questions.clone().acquire_owned().await else { return Ok(()) };
                tasks.spawn(async move {
                    let answer =
                        finding_groups::answer_group(&app, peer, find).await.unwrap_or_else(|error| {
                            tracing::warn!(%error, "a neighbour's question is not answered");
                            link::FoundGroup { query: find.query, entry: None, distance: 0 }
                        });
                    link.send(&Frame::FoundGroup(Box::new(answer))).await;
                    drop(permit);
                });
            }
            Frame::FoundGroup(found) => {
                let query = found.query;
                app.links.answer(peer, query, Answer::FoundGroup(found));
            }
            Frame::KeyLogHead(head) => {
                let Ok(permit) = self.questions.clone().acquire_owned().await else { return Ok(()) };
                tasks.spawn(async move {
                    if let Err(error) = key_logs::take_head(&app, peer, *head).await {
                        tracing::warn!(%error, "a neighbour's key log is not followed now; it comes again");
                    }
                    drop(permit);
                });
            }
            Frame::FetchKeyLog(question) => {
                let Ok(permit) = self.questions.clone().acquire_owned().await else { return Ok(()) };
                tasks.spawn(async move {
                    let answer = key_logs::answer(&app, peer, question).await.unwrap_or_else(|error| {
                        tracing::warn!(%error, "a neighbour gets no part of the key log");
                        link::KeyLogPart { query: question.query, page: None }
                    });
                    link.send(&Frame::KeyLogPart(Box::new(answer))).await;
                    drop(permit);
                });
            }
            Frame::KeyLogPart(part) => {
                let query = part.query;
                app.links.answer(peer, query, Answer::KeyLogPart(part));
            }
        }
        Ok(())
    }
}

/// Sends a key in parts, so that mail passes in between.
async fn send_key(link: &Link, query: u64, key: Option<Vec<u8>>) {
    let key = key.unwrap_or_default();
    if key.is_empty() {
        link.send(&Frame::KeyPart(KeyPart { query, offset: 0, bytes: Vec::new() })).await;
        return;
    }
    for (index, part) in key.chunks(KEY_PART_BYTES).enumerate() {
        let offset = u32::try_from(index * KEY_PART_BYTES).unwrap_or(u32::MAX);
        if !link.send(&Frame::KeyPart(KeyPart { query, offset, bytes: part.to_vec() })).await {
            return;
        }
    }
}
