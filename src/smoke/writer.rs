//! Writes what waits for a connection, at the pace and with the signs of life the app needs.
//!
//! The app reads one TLS record about every 100 ms, throws away a frame it could not finish within 15 seconds of
//! the last one, and may miss that bytes came until more do. So a short frame goes out every ten seconds, one
//! before each large frame, and one soon after an answer.

use std::io;
use std::time::Duration;

use momedo_smoke::frame;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::smoke_hub::{Frame, Outgoing};

/// What a TLS record holds, in bytes; a larger frame comes to the app in several readings.
const RECORD_BYTES: usize = 16 * 1024;

/// How often something is written at least.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// How long after an answer the app is nudged.
const NUDGE: Duration = Duration::from_millis(300);

/// How long one write may take, and how much longer a frame of megabytes: what the app reads of one in a second, and
/// half of that.
const PATIENCE: Duration = Duration::from_secs(60);
const BYTES_PER_SECOND: usize = 80 * 1024;

/// How fast the other end reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// As the app: a record at a time.
    App,
    /// As a server: whatever comes.
    Server,
}

/// Pause between two records for the app.
const APP_PAUSE: Duration = Duration::from_millis(100);

/// Writes until the queue is closed and empty, or the stream fails, or takes too long; then closes the stream.
pub(super) async fn write<W>(outgoing: &Outgoing, mut stream: W, name: &str, pace: Pace) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let sign_of_life = frame::capabilities(name);
    let mut next_sign = Instant::now();
    loop {
        let batch = outgoing.take();
        if batch.frames.is_empty() {
            if outgoing.is_closed() {
                return timeout(PATIENCE, stream.shutdown()).await?;
            }
            tokio::select! {
                () = outgoing.changed() => {}
                () = tokio::time::sleep_until(next_sign) => {
                    next_sign = Instant::now() + SIGN_OF_LIFE;
                    // A locked connection gets challenges, which are signs of life enough.
                    if !outgoing.is_locked() {
                        timeout(PATIENCE, put(&mut stream, &sign_of_life)).await??;
                    }
                }
            }
            continue;
        }
        let bytes: usize = batch.frames.iter().map(|frame| frame.len()).sum();
        let patience = PATIENCE + Duration::from_secs((bytes / BYTES_PER_SECOND) as u64);
        let written = timeout(patience, put_frames(&mut stream, &sign_of_life, &batch.frames));
        tokio::select! {
            written = written => written??,
            () = outgoing.is_cut() => return Err(io::ErrorKind::TimedOut.into()),
        }
        next_sign = Instant::now() + if batch.has_answer { NUDGE } else { SIGN_OF_LIFE };
        drop(batch);
        outgoing.written();
        if pace == Pace::App {
            tokio::time::sleep(APP_PAUSE).await;
        }
    }
}

/// Writes frames that share a record, or one larger frame with a sign of life before it.
async fn put_frames<W>(stream: &mut W, sign_of_life: &[u8], frames: &[Frame]) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    match frames {
        [frame] if frame.len() > RECORD_BYTES => {
            // The sign shares a record with the beginning; megabytes are not copied for that.
            let (beginning, rest) = frame.split_at(RECORD_BYTES - sign_of_life.len());
            stream.write_all(&[sign_of_life, beginning].concat()).await?;
            put(stream, rest).await
        }
        [frame] => put(stream, frame).await,
        frames => put(stream, &frames.iter().map(|frame| &**frame).collect::<Vec<&[u8]>>().concat()).await,
    }
}

async fn put<W: AsyncWrite + Unpin>(stream: &mut W, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
