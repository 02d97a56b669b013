//! What the client asks of whatever it runs on: a small trait for each thing an operating system and a browser do
//! differently. Shells implement them (`client-native`, `client-browser`); nothing else of the client names a socket, a
//! file, a thread or a library of one of them. Nothing that decides anything may enter.

pub mod finding;
pub mod folder;
pub mod keys;
pub mod line;
pub mod work;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use folder::Files;
use keys::RsaKeys;
use line::{Line, Lines};
use work::Work;

use crate::ClientError;
use crate::platform::line::ServerAddress;

/// Everything the client runs on; cheap to clone.
#[derive(Clone)]
pub struct Platform {
    /// Makes lines to servers.
    pub lines: Arc<dyn Lines>,
    /// Makes and reads private RSA keys.
    pub rsa: Arc<dyn RsaKeys>,
    /// Does what takes a while, and waits.
    pub work: Arc<dyn Work>,
    /// Reads and writes the person's own files.
    pub files: Arc<dyn Files>,
}

impl Platform {
    /// A line to a server; nothing is connected yet.
    pub(crate) fn line(&self, server: &ServerAddress, language: &str) -> Box<dyn Line> {
        self.lines.line(server, language)
    }

    /// Waits.
    pub(crate) async fn wait(&self, time: Duration) {
        self.work.wait(time).await;
    }

    /// What `work` comes to, or `None` if that takes longer than `time`.
    pub(crate) async fn within<T>(&self, time: Duration, work: impl Future<Output = T>) -> Option<T> {
        let (work, waiting) = (std::pin::pin!(work), self.work.wait(time));
        match select(work, waiting).await {
            Either::Left((value, _)) => Some(value),
            Either::Right(_) => None,
        }
    }

    /// Has something computed that takes a while, where it keeps nobody waiting.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when it ended early.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ClientError> {
        let (sender, receiver) = futures_channel::oneshot::channel();
        let job = Box::pin(async move {
            // Whoever gave up waiting needs no answer.
            let _: Result<(), T> = sender.send(work());
        });
        self.work.side_by_side(vec![job]).await;
        receiver.await.map_err(|_| ClientError::Protocol("a computation ended early".into()))
    }
}
