//! The stop signal: raised once, heard by everything that runs.

use tokio::sync::watch;

/// Raises the signal; dropping it raises it too.
pub struct Trigger(watch::Sender<bool>);

/// Hears the signal; cheap to clone.
#[derive(Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// A signal and the hand that raises it.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

/// A signal that is raised as soon as one of two is.
pub fn either(mut first: Shutdown, mut second: Shutdown) -> Shutdown {
    let (trigger, both) = channel();
    tokio::spawn(async move {
        tokio::select! {
            () = first.requested() => {}
            () = second.requested() => {}
        }
        trigger.raise();
    });
    both
}

impl Trigger {
    /// Raises the signal.
    pub fn raise(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Waits for the signal; returns at once when it was raised before.
    pub async fn requested(&mut self) {
        // An error means that the trigger is gone, which is a signal too.
        drop(self.0.wait_for(|raised| *raised).await);
    }
}
