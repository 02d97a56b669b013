//! Work that takes a while, and waiting.

use std::time::Duration;

use futures_util::future::BoxFuture;

/// Does work beside whatever else goes on, and waits.
pub trait Work: Send + Sync {
    /// Runs jobs to their end, at once as far as there are processors; a job may compute for seconds. Classic McEliece
    /// wants a stack of 16 MiB to make a key.
    fn side_by_side(&self, jobs: Vec<BoxFuture<'static, ()>>) -> BoxFuture<'static, ()>;

    /// Ends after `time`, or a little later.
    fn wait(&self, time: Duration) -> BoxFuture<'static, ()>;
}
