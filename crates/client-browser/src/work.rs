//! Work and waiting on the one thread that a worker has: RSA is done by the browser beside it.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use momedo_client::platform::work::Work;

use crate::scope::{after, settled};

/// Longest wait that JavaScript knows at once: some 24 days.
const LONGEST: u128 = 0x7fff_ffff;

/// The worker's own thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OneThread;

impl Work for OneThread {
    fn side_by_side(&self, jobs: Vec<BoxFuture<'static, ()>>) -> BoxFuture<'static, ()> {
        join_all(jobs).map(drop).boxed()
    }

    fn wait(&self, time: Duration) -> BoxFuture<'static, ()> {
        let milliseconds = i32::try_from(time.as_millis().min(LONGEST)).unwrap_or(i32::MAX);
        let waiting = after(milliseconds).map(settled);
        async move {
            if let Ok(waiting) = waiting {
                drop(waiting.await);
            }
        }
        .boxed()
    }
}
