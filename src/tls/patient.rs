//! A socket that is given up when the other end takes nothing for some time, or brings too much for a handshake.
//!
//! It stands below TLS and every protocol, so whatever is written to anybody has this limit.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream whose writes end with [`io::ErrorKind::TimedOut`] when nothing was taken for a while.
pub struct Patient<S> {
    stream: S,
    patience: Duration,
    /// What may still be read, in bytes; `None`: any number.
    readable: Option<usize>,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// Gives the other end so much time to take something, and lets it bring `readable` bytes at first.
    pub fn new(stream: S, patience: Duration, readable: usize) -> Self {
        Self { stream, patience, readable: Some(readable), waiting: None }
    }

    /// Lets the other end bring any number of bytes.
    pub fn let_in(&mut self) {
        self.readable = None;
    }

    fn wait<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.waiting = None;
            return result;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.readable == Some(0) {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        self.readable = self.readable.map(|left| left.saturating_sub(count));
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wait(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wait(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.wait(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.wait(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn writing_goes_on_while_something_is_taken_and_ends_when_nothing_is() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = Patient::new(near, Duration::from_millis(20), 0);
        let reading = async {
            let mut all = [0; 64];
            far.read_exact(&mut all).await.unwrap();
        };
        let (written, ()) = tokio::join!(near.write_all(&[7; 64]), reading);
        written.unwrap();
        assert!(near.waiting.is_none(), "the clock stands still while nothing waits");
        let error = near.write_all(&[7; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn no_more_is_read_than_a_handshake_may_take_until_somebody_is_let_in() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Patient::new(near, Duration::from_secs(60), 16);
        far.write_all(&[7; 32]).await.unwrap();
        let mut some = [0; 8];
        for _ in 0..2 {
            near.read_exact(&mut some).await.unwrap();
        }
        assert_eq!(near.read_exact(&mut some).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        near.let_in();
        near.read_exact(&mut some).await.unwrap();
    }
}
