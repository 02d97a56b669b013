//! Who is connected, and handing them what arrived; holds no mail.
//!
//! A listener's inbox is bounded: what does not fit stays in the ozone, and the listener, seeing that the
//! newest delivery is beyond the last one it sent, reads on from there.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use momedo_protocol::id::{DeviceId, ParticipantId};
use tokio::sync::Notify;

use crate::store::Delivered;

/// Deliveries one listener may have in memory.
const INBOX: usize = 64;

/// Everybody who is connected.
pub struct Hub {
    max_listeners: usize,
    listeners: Mutex<HashMap<u64, Vec<Arc<Inbox>>>>,
    /// Highest sequence number handed out per device, in this run.
    handed_out: Mutex<HashMap<u64, u64>>,
}

/// What one stream or long poll waits on.
pub struct Inbox {
    device: u64,
    queue: Mutex<VecDeque<Delivered>>,
    newest: AtomicU64,
    presence_changed: AtomicBool,
    closed: AtomicBool,
    wake: Notify,
}

/// An inbox that leaves the hub when dropped.
pub struct Listening {
    hub: Arc<Hub>,
    participant: u64,
    inbox: Arc<Inbox>,
}

/// A poisoned lock only means that some other thread panicked; the data is a plain map.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// A hub where each device may listen `max_listeners` times at once.
    pub fn new(max_listeners: usize) -> Self {
        Self { max_listeners, listeners: Mutex::default(), handed_out: Mutex::default() }
    }

    /// Hands committed deliveries to whoever listens; called by the store's writer.
    pub fn delivered(&self, batch: Vec<Delivered>) {
        let listeners = lock(&self.listeners);
        for delivered in batch {
            let Some(inboxes) = listeners.get(&delivered.participant) else { continue };
            for inbox in inboxes.iter().filter(|inbox| inbox.device == delivered.device) {
                inbox.put(delivered.clone());
            }
        }
    }

    /// Listens for a device; the oldest of too many listeners of one device is closed.
    pub fn listen(self: &Arc<Self>, participant: ParticipantId, device: DeviceId) -> Listening {
        let inbox = Arc::new(Inbox {
            device: device.number(),
            queue: Mutex::default(),
            newest: AtomicU64::new(0),
            presence_changed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            wake: Notify::new(),
        });
        let participant = participant.number();
        let mut listeners = lock(&self.listeners);
        let inboxes = listeners.entry(participant).or_default();
        let own = || inboxes.iter().filter(|other| other.device == inbox.device && !other.is_closed());
        if own().count() >= self.max_listeners
            && let Some(oldest) = own().next()
        {
            // Most likely a line that broke without a word, on a phone that changed networks.
            oldest.close();
        }
        inboxes.iter().for_each(|other| other.presence());
        inboxes.push(inbox.clone());
        Listening { hub: self.clone(), participant, inbox }
    }

    /// Whether a stream or long poll of the device is open.
    pub fn is_online(&self, participant: ParticipantId, device: DeviceId) -> bool {
        lock(&self.listeners)
            .get(&participant.number())
            .is_some_and(|inboxes| inboxes.iter().any(|inbox| inbox.device == device.number()))
    }

    /// How many participants are connected.
    pub fn online(&self) -> u64 {
        lock(&self.listeners).len() as u64
    }

    /// How many streams and long polls are open.
    pub fn streams(&self) -> u64 {
        lock(&self.listeners).values().map(|inboxes| inboxes.len() as u64).sum()
    }

    /// Ends every stream and long poll of a device.
    pub fn disconnect(&self, participant: ParticipantId, device: DeviceId) {
        if let Some(inboxes) = lock(&self.listeners).get(&participant.number()) {
            for inbox in inboxes.iter().filter(|inbox| inbox.device == device.number()) {
                inbox.close();
            }
        }
    }

    /// Ends every stream and long poll of a participant.
    pub fn disconnect_participant(&self, participant: ParticipantId) {
        if let Some(inboxes) = lock(&self.listeners).get(&participant.number()) {
            inboxes.iter().for_each(|inbox| inbox.close());
        }
    }

    /// Notes that everything up to `sequence` was handed out to a device.
    pub fn hand_out(&self, device: DeviceId, sequence: u64) {
        let mut handed_out = lock(&self.handed_out);
        let highest = handed_out.entry(device.number()).or_default();
        *highest = sequence.max(*highest);
    }

    /// The highest sequence number handed out to a device in this run.
    pub fn handed_out(&self, device: DeviceId) -> u64 {
        lock(&self.handed_out).get(&device.number()).copied().unwrap_or(0)
    }
}

impl Inbox {
    fn put(&self, delivered: Delivered) {
        // Before the queue, so that a listener that finds the queue empty sees that there is more.
        self.newest.fetch_max(delivered.sequence, Ordering::AcqRel);
        let mut queue = lock(&self.queue);
        if queue.len() < INBOX {
            queue.push_back(delivered);
        }
        drop(queue);
        self.wake.notify_one();
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn presence(&self) {
        self.presence_changed.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

impl Listening {
    /// Takes the next delivery out of the inbox, if one is there.
    pub fn take(&self) -> Option<Delivered> {
        lock(&self.inbox.queue).pop_front()
    }

    /// The highest sequence number delivered since listening began; 0 for none.
    pub fn newest(&self) -> u64 {
        self.inbox.newest.load(Ordering::Acquire)
    }

    /// Whether another device of the participant came or went since the last call.
    pub fn take_presence_change(&self) -> bool {
        self.inbox.presence_changed.swap(false, Ordering::AcqRel)
    }

    /// Whether the device was revoked.
    pub fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }

    /// Waits until something happens.
    pub async fn changed(&self) {
        self.inbox.wake.notified().await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listeners = lock(&self.hub.listeners);
        if let Some(inboxes) = listeners.get_mut(&self.participant) {
            inboxes.retain(|inbox| !Arc::ptr_eq(inbox, &self.inbox));
            inboxes.iter().for_each(|other| other.presence());
            if inboxes.is_empty() {
                listeners.remove(&self.participant);
            }
        }
    }
}
