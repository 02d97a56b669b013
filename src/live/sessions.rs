//! Sessions and log-in nonces, in memory.
//!
//! A restart or a restore ends them all, and clients log in again by themselves: nothing secret is on
//! disk, and nothing is written to an SD card for a log-in.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use momedo_protocol::digest::sha256;
use momedo_protocol::encoding::encode_base64;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::random;

use crate::domain::limits::{MAX_SESSIONS_PER_DEVICE, SESSION};
use crate::live::login_nonces::LoginNonces;

/// Who a request is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The participant.
    pub participant: ParticipantId,
    /// The participant's device.
    pub device: DeviceId,
}

/// Every session, and the nonces they begin with.
#[derive(Default)]
pub struct Sessions {
    /// What devices sign to begin one.
    pub nonces: LoginNonces,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the token's SHA-256: what is looked up is no secret, so the look-up may take any time.
    sessions: HashMap<[u8; 32], Session>,
    by_device: HashMap<u64, VecDeque<[u8; 32]>>,
}

struct Session {
    principal: Principal,
    used: Duration,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session and returns its bearer token.
    pub fn begin(&self, principal: Principal, now: Duration) -> String {
        let token = encode_base64(&random::bytes::<32>());
        let hash = sha256(token.as_bytes());
        let mut state = self.lock();
        let state = &mut *state;
        let own = state.by_device.entry(principal.device.number()).or_default();
        if own.len() >= MAX_SESSIONS_PER_DEVICE
            && let Some(oldest) = own.pop_front()
        {
            state.sessions.remove(&oldest);
        }
        own.push_back(hash);
        state.sessions.insert(hash, Session { principal, used: now });
        token
    }

    /// Whose token this is.
    pub fn authenticate(&self, token: &str, now: Duration) -> Option<Principal> {
        let hash = sha256(token.as_bytes());
        let mut state = self.lock();
        let session = state.sessions.get_mut(&hash)?;
        if now.saturating_sub(session.used) > SESSION {
            return None;
        }
        session.used = now;
        Some(session.principal)
    }

    /// Ends every session of a device.
    pub fn end_device(&self, device: DeviceId) {
        let mut state = self.lock();
        for hash in state.by_device.remove(&device.number()).unwrap_or_default() {
            state.sessions.remove(&hash);
        }
    }

    /// Ends every session of a participant.
    pub fn end_participant(&self, participant: ParticipantId) {
        self.lock().sessions.retain(|_, session| session.principal.participant != participant);
    }

    /// Forgets what ended.
    pub fn sweep(&self, now: Duration) {
        let mut state = self.lock();
        let state = &mut *state;
        self.nonces.sweep(now);
        state.sessions.retain(|_, session| now.saturating_sub(session.used) <= SESSION);
        for own in state.by_device.values_mut() {
            own.retain(|hash| state.sessions.contains_key(hash));
        }
        state.by_device.retain(|_, own| !own.is_empty());
    }
}
