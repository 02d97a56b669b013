//! The WebSocket `momedo.v1`: submissions in, deliveries out, one task per stream.
//!
//! Flow control: at most a window of deliveries is unacknowledged; what comes beyond stays in the ozone
//! and is read from there when there is room again. The task reads no further than
//! [`MAX_PENDING_SUBMISSIONS`] unanswered submissions.

use momedo_texts::Language;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use momedo_protocol::cursor::Cursor;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::limits::{DEFAULT_STREAM_WINDOW, MAX_STREAM_WINDOW};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::problem::Problem;
use momedo_protocol::stream::{
    ClientFrame, Delivering, MAX_PENDING_SUBMISSIONS, SUBPROTOCOL, ServerFrame, deliver_frame,
};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::error::{ApiResult, problem};
use super::extract::{Authenticated, InQuery};
use super::language;
use super::websocket::{self, Socket, Upgrade};
use super::{Connection, HttpState};
use crate::live::hub::Listening;
use crate::live::memory::Line;
use crate::live::sessions::Principal;
use crate::service::{ServiceError, delivery, devices, login, ozone};
use crate::store::StoredEnvelope;

/// How long one frame may take to be sent: a client that takes nothing for so long is gone.
const SEND_TIME: Duration = Duration::from_secs(30);

/// How long a stream that has to wait for memory waits before it asks again.
const PAUSE: Duration = Duration::from_millis(250);

/// How often a stream is told which devices are there.
const PRESENCE_PAUSE: Duration = Duration::from_secs(1);

/// Deliveries read from the store at once, and their bytes.
const READ_AHEAD: usize = 64;
const READ_AHEAD_BYTES: u64 = 128 * 1024;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamQuery {
    /// Deliver what comes after this place; absent: from the oldest.
    after: Option<Cursor>,
    /// Deliveries that may be unacknowledged, 1 to 512; 64 when absent.
    window: Option<usize>,
}

/// Opens the stream (WebSocket subprotocol `momedo.v1`); docs/protocol.md lists its frames.
#[utoipa::path(get, path = "/stream", params(StreamQuery), responses(
    (status = 101, description = "The connection is a WebSocket now."),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn open(
    State(state): State<HttpState>,
    Authenticated(principal): Authenticated,
    axum::Extension(connection): axum::Extension<Connection>,
    InQuery(query): InQuery<StreamQuery>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> ApiResult<Response> {
    let listening = state.app.hub.listen(principal.participant, principal.device);
    // Revoking closes the listeners it finds; one that began meanwhile is found here.
    login::require_not_revoked(&state, principal.device).await?;
    let after = ozone::start(&state, query.after);
    let stream = Stream {
        language: language::asked_for(&headers),
        window: query.window.unwrap_or(DEFAULT_STREAM_WINDOW).clamp(1, MAX_STREAM_WINDOW) as u64,
        sent: after,
        acknowledged: after,
        // What waits already is in no inbox.
        behind: true,
        to_acknowledge: None,
        state: state.clone(),
        principal,
        listening,
    };
    let max_frame = super::max_body_bytes(&state);
    let config = WebSocketConfig::default()
        // Small buffers: thousands of idle streams cost memory by them.
        .read_buffer_size(4096)
        .write_buffer_size(16 * 1024)
        .max_frame_size(Some(max_frame))
        .max_message_size(Some(max_frame));
    Ok(upgrade.accept(SUBPROTOCOL, config, move |socket| async move {
        // The connection counts until the stream ends.
        let connection = connection;
        Box::pin(stream.run(socket, connection.serving.line())).await;
    }))
}

struct Stream {
    state: HttpState,
    principal: Principal,
    listening: Listening,
    language: Language,
    window: u64,
    sent: u64,
    acknowledged: u64,
    behind: bool,
    /// An acknowledgement that was received and is not being written yet.
    to_acknowledge: Option<Cursor>,
}

/// What a submission or an acknowledgement came to.
enum Outcome {
    Submitted { id: MessageId, to: ParticipantId, result: Result<(), ServiceError> },
    Acknowledged(Result<(), ServiceError>),
}

/// Why the server ends a stream.
enum End {
    Stopping,
    /// The device was revoked, or has newer streams than it may have at once.
    Closed,
    /// The client answers no ping.
    Silent,
}

/// The client ended the stream, or its line broke, or it broke the protocol and is told so.
struct Ended(Option<CloseFrame>);

/// It is gone, and so is whoever could be told.
const GONE: Ended = Ended(None);

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self(websocket::complaint(&error))
    }
}

impl Stream {
    async fn run(mut self, mut socket: Socket, line: &Arc<Line>) {
        let ended = tokio::select! {
            ended = self.exchange(&mut socket, line) => Some(ended),
            () = line.cut() => None,
        };
        if let Some(cursor) = self.to_acknowledge.take() {
            // A client may acknowledge and leave at once.
            if let Err(error) = ozone::acknowledge(&self.state, self.principal, cursor).await {
                tracing::debug!(%error, "a last acknowledgement was not written");
            }
        }
        let goodbye = match ended {
            // What it holds is wanted now.
            None => return,
            // What it did not acknowledge waits in the ozone.
            Some(Err(Ended(complaint))) => complaint,
            Some(Ok(End::Stopping)) => Some(websocket::goodbye(CloseCode::Away, "the server is stopping")),
            Some(Ok(End::Closed)) => {
                Some(websocket::goodbye(CloseCode::Policy, "revoked, or connected elsewhere too often"))
            }
            Some(Ok(End::Silent)) => Some(websocket::goodbye(CloseCode::Policy, "no ping was answered")),
        };
        websocket::end(socket, goodbye).await;
    }

    /// Goes on until the client is gone or the server has a reason to end the stream.
    async fn exchange(&mut self, socket: &mut Socket, line: &Arc<Line>) -> Result<End, Ended> {
        self.greet(socket).await?;
        let mut pending = FuturesUnordered::new();
        let mut submissions = 0;
        let mut acknowledging = false;
        let keep_alive = Duration::from_secs(self.state.config().listen.keep_alive_seconds);
        let mut keep_alive = tokio::time::interval(keep_alive);
        keep_alive.reset();
        let mut silent = 0;
        let mut stop = self.state.stop.clone();
        // Told at once, and then of what changed meanwhile.
        let mut told_presence = Instant::now();
        let mut presence_due = None;
        loop {
            let waits = self.deliver(socket, line).await?;
            if let Some(cursor) = self.to_acknowledge.take_if(|_| !acknowledging) {
                acknowledging = true;
                pending.push(self.acknowledge(cursor));
            }
            flush(socket).await?;
            tokio::select! {
                biased;
                () = stop.requested() => return Ok(End::Stopping),
                Some(outcome) = pending.next(), if !pending.is_empty() => {
                    let mut next = Some(outcome);
                    // Whatever is ready goes out in one write.
                    while let Some(outcome) = next {
                        match &outcome {
                            Outcome::Submitted { .. } => submissions -= 1,
                            Outcome::Acknowledged(_) => acknowledging = false,
                        }
                        self.answer(socket, outcome).await?;
                        next = futures_util::FutureExt::now_or_never(pending.next()).flatten();
                    }
                }
                () = self.listening.changed() => {
                    if self.listening.is_closed() {
                        return Ok(End::Closed);
                    }
                    if self.listening.take_presence_change() {
                        presence_due.get_or_insert(told_presence + PRESENCE_PAUSE);
                    }
                }
                received = socket.next(), if submissions < MAX_PENDING_SUBMISSIONS => {
                    silent = 0;
                    let mut next = received;
                    loop {
                        match next.ok_or(GONE)?? {
                            Message::Text(text) => match serde_json::from_str(&text) {
                                Ok(ClientFrame::Send(request)) => {
                                    submissions += 1;
                                    pending.push(self.submit(request));
                                }
                                Ok(ClientFrame::Ack { cursor }) => {
                                    match ozone::check_acknowledgement(&self.state, self.principal, cursor) {
                                        Ok(()) => {
                                            self.acknowledged = self.acknowledged.max(cursor.sequence);
                                            // Of several that wait, the furthest stands for all; never
                                            // further than the client itself said.
                                            let waiting = self.to_acknowledge.map_or(0, |c| c.sequence);
                                            let sequence = cursor.sequence.max(waiting);
                                            self.to_acknowledge = Some(Cursor { sequence, ..cursor });
                                        }
                                        Err(error) => self.refuse(socket, &error.into()).await?,
                                    }
                                }
                                Err(error) => {
                                    self.refuse(socket, &ServiceError::Malformed(error.to_string())).await?;
                                }
                            },
                            // The answer is written with what waits before it.
                            Message::Close(_) => return Err(GONE),
                            Message::Binary(_) => {
                                let error = ServiceError::Malformed("frames are JSON text".into());
                                self.refuse(socket, &error).await?;
                            }
                            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                        }
                        if submissions >= MAX_PENDING_SUBMISSIONS {
                            break;
                        }
                        // Frames that arrived together are submitted together, and share a commit.
                        match futures_util::FutureExt::now_or_never(socket.next()) {
                            Some(more) => next = more,
                            None => break,
                        }
                    }
                }
                () = sleep_until(presence_due.unwrap_or(told_presence)), if presence_due.is_some() => {
                    (told_presence, presence_due) = (Instant::now(), None);
                    self.presence(socket).await?;
                }
                // Meanwhile its acknowledgements are read: they may be what makes room.
                () = tokio::time::sleep(PAUSE), if waits => {}
                _ = keep_alive.tick() => {
                    silent += 1;
                    if silent > 2 {
                        return Ok(End::Silent);
                    }
                    send(socket, Message::Ping(bytes::Bytes::new())).await?;
                }
            }
        }
    }

    async fn greet(&mut self, socket: &mut Socket) -> Result<(), Ended> {
        let state = ozone::queue_state(&self.state, self.principal).await.map_err(|_| GONE)?;
        self.sent = self.sent.max(state.last_removed);
        self.acknowledged = self.sent;
        if state.missed > 0 {
            self.frame(socket, &ServerFrame::Missed { count: state.missed }).await?;
        }
        self.presence(socket).await
    }

    async fn presence(&self, socket: &mut Socket) -> Result<(), Ended> {
        let devices = devices::list(&self.state, self.principal.participant).await.map_err(|_| GONE)?.devices;
        self.frame(socket, &ServerFrame::Presence { devices }).await
    }

    /// Sends what there is room for: from the inbox while that follows on, else from the store. True when it has
    /// to wait for memory to go on.
    async fn deliver(&mut self, socket: &mut Socket, line: &Arc<Line>) -> Result<bool, Ended> {
        loop {
            let room = self.window.saturating_sub(self.sent.saturating_sub(self.acknowledged));
            if room == 0 {
                return Ok(false);
            }
            if !self.behind {
                match self.listening.take() {
                    Some(delivered) if delivered.sequence <= self.sent => continue,
                    Some(delivered) if delivered.sequence == self.sent + 1 => {
                        self.hand_out(
                            socket,
                            delivered.sequence,
                            &delivered.envelope,
                            delivered.slot.as_deref(),
                        )
                        .await?;
                        continue;
                    }
                    // Something did not fit the inbox, or expired: the store knows.
                    Some(_) => self.behind = true,
                    None if self.listening.newest() > self.sent => self.behind = true,
                    None => return Ok(false),
                }
            }
            let newest = self.listening.newest();
            let participant = self.principal.participant;
            // With too much lying at other places already it goes on there first.
            let Ok(_held) = line.hold(Some(participant), READ_AHEAD_BYTES as usize) else {
                return Ok(true);
            };
            let limit = usize::try_from(room).unwrap_or(READ_AHEAD).min(READ_AHEAD);
            let page = ozone::read_on(&self.state, self.principal, self.sent, limit, READ_AHEAD_BYTES)
                .await
                .map_err(|_| GONE)?;
            // A page may be shorter than its limit and yet not the last: its bytes are limited, too.
            if page.is_empty() {
                self.behind = false;
                // What was newer is gone already, acknowledged by another connection or expired, and
                // nobody will acknowledge it here.
                let gone = newest.saturating_sub(self.sent);
                self.sent += gone;
                self.acknowledged += gone;
            }
            for waiting in page {
                self.hand_out(socket, waiting.sequence, &waiting.envelope, waiting.slot.as_deref()).await?;
            }
        }
    }

    async fn hand_out(
        &mut self,
        socket: &mut Socket,
        sequence: u64,
        envelope: &StoredEnvelope,
        slot: Option<&[u8]>,
    ) -> Result<(), Ended> {
        self.sent = sequence;
        self.state.hub.hand_out(self.principal.device, sequence);
        let cursor = Cursor { epoch: self.state.store.epoch(), sequence };
        let delivering = Delivering {
            cursor,
            from: envelope.sender,
            id: envelope.message_id,
            accepted_at: envelope.accepted_at,
            group: envelope.group,
            slot,
            envelope: &envelope.bytes,
        };
        self.text(socket, deliver_frame(&delivering)).await
    }

    fn submit(
        &self,
        request: momedo_protocol::api::SubmitRequest,
    ) -> futures_util::future::BoxFuture<'static, Outcome> {
        let (app, principal) = (self.state.app.clone(), self.principal);
        let (id, to) = (request.id, request.to);
        Box::pin(async move {
            let result = delivery::submit(&app, principal, request).await.map(drop);
            Outcome::Submitted { id, to, result }
        })
    }

    fn acknowledge(&self, cursor: Cursor) -> futures_util::future::BoxFuture<'static, Outcome> {
        let (app, principal) = (self.state.app.clone(), self.principal);
        Box::pin(
            async move { Outcome::Acknowledged(ozone::acknowledge(&app, principal, cursor).await.map(drop)) },
        )
    }

    async fn answer(&self, socket: &mut Socket, outcome: Outcome) -> Result<(), Ended> {
        match outcome {
            Outcome::Submitted { id, to, result: Ok(()) } => {
                self.frame(socket, &ServerFrame::Accepted { id, to }).await
            }
            Outcome::Submitted { id, to, result: Err(error) } => {
                let problem = problem(&error, self.language);
                self.frame(socket, &ServerFrame::Refused { id, to, problem }).await
            }
            Outcome::Acknowledged(Ok(())) => Ok(()),
            Outcome::Acknowledged(Err(error)) => self.refuse(socket, &error).await,
        }
    }

    async fn refuse(&self, socket: &mut Socket, error: &ServiceError) -> Result<(), Ended> {
        self.frame(socket, &ServerFrame::Problem { problem: problem(error, self.language) }).await
    }

    async fn frame(&self, socket: &mut Socket, frame: &ServerFrame) -> Result<(), Ended> {
        self.text(socket, serde_json::to_string(frame).map_err(|_| GONE)?).await
    }

    async fn text(&self, socket: &mut Socket, text: String) -> Result<(), Ended> {
        // Fed, not sent: the loop flushes once for everything that is ready.
        within(socket.feed(Message::Text(text.into()))).await
    }
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), Ended> {
    within(socket.send(message)).await
}

async fn flush(socket: &mut Socket) -> Result<(), Ended> {
    within(socket.flush()).await
}

async fn within(sending: impl Future<Output = Result<(), Error>>) -> Result<(), Ended> {
    tokio::time::timeout(SEND_TIME, sending).await.map_err(|_| GONE)?.map_err(Ended::from)
}
