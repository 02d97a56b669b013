//! Work on threads, and waiting, with tokio.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::BoxFuture;
use momedo_client::platform::work::Work;

/// Most threads that work at once for one call; a school's computer has work of its own.
const MAX_THREADS: usize = 8;

/// Threads of tokio's for work that blocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Threads;

impl Work for Threads {
    fn side_by_side(&self, jobs: Vec<BoxFuture<'static, ()>>) -> BoxFuture<'static, ()> {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = processors.min(MAX_THREADS).min(jobs.len());
        let jobs = std::sync::Arc::new(Mutex::new(jobs.into_iter()));
        Box::pin(async move {
            let next = |jobs: &Mutex<std::vec::IntoIter<_>>| -> Option<BoxFuture<'static, ()>> {
                jobs.lock().unwrap_or_else(PoisonError::into_inner).next()
            };
            let runtime = tokio::runtime::Handle::current();
            let working = (0..threads).map(|_| {
                let (jobs, runtime) = (jobs.clone(), runtime.clone());
                tokio::task::spawn_blocking(move || {
                    while let Some(job) = next(&jobs) {
                        runtime.block_on(job);
                    }
                })
            });
            // A thread that ended early has done nothing of what is missing: whoever asked finds out.
            drop(futures_util::future::join_all(working).await);
        })
    }

    fn wait(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}
