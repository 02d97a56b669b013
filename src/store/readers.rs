//! The reader threads: a few read-only connections sharing one queue.

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

use momedo_protocol::cursor::StoreEpoch;
use tokio::sync::oneshot;

use super::{ReadTx, StoreError, Ticks, open};

type Work = Box<dyn FnOnce(&ReadTx<'_>) + Send>;

pub(super) struct Readers {
    jobs: mpsc::Sender<Work>,
}

impl Readers {
    /// Starts `count` readers; the writer must have migrated the database already.
    pub(super) fn spawn(
        path: &Path,
        count: usize,
        ticks: &Ticks,
        epoch: StoreEpoch,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel::<Work>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..count.max(1) {
            let connection = open::reader(path)?;
            let (queue, ticks) = (queue.clone(), ticks.clone());
            std::thread::Builder::new()
                .name("store-reader".into())
                .spawn(move || {
                    loop {
                        let next = queue.lock().map(|queue| queue.recv());
                        let Ok(Ok(work)) = next else { break };
                        // One snapshot per job; keep jobs short, an old snapshot stops the log from shrinking.
                        let begun = connection.execute_batch("BEGIN").is_ok();
                        work(&ReadTx { connection: &connection, ticks: &ticks, epoch });
                        if begun {
                            let _: Result<_, _> = connection.execute_batch("COMMIT");
                        }
                    }
                })
                .map_err(|error| StoreError::Sqlite(format!("cannot start a reader thread: {error}")))?;
        }
        Ok(Self { jobs })
    }

    pub(super) async fn run<T, E>(
        &self,
        work: impl FnOnce(&ReadTx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let job: Work = Box::new(move |tx| {
            // A caller that went away does not want its answer.
            let _: Result<_, _> = sender.send(work(tx));
        });
        self.jobs.send(job).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}
