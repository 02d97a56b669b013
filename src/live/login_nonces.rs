//! Log-in nonces that need no memory until they are used.
//!
//! A nonce says when it was drawn and carries a MAC over that and the device it is for, so anybody may draw as many as
//! they like and nobody waits for anybody. Remembered is only what was *used*, after the signature over it was found
//! right, and each device has a share of its own of that.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use momedo_protocol::id::DeviceId;
use momedo_protocol::random;
use sha2::Sha256;

use crate::domain::limits::{MAX_USED_NONCES_PER_DEVICE, NONCE};

/// What a nonce's MAC is for.
const LABEL: &[u8] = b"momedo log-in nonce v1";

/// Bytes of the time, and of randomness, and of the MAC.
const PARTS: (usize, usize, usize) = (8, 8, 16);

/// A nonce.
pub type Nonce = [u8; PARTS.0 + PARTS.1 + PARTS.2];

/// Draws nonces and knows which were used.
pub struct LoginNonces {
    /// Drawn anew at each start, which ends every nonce.
    key: [u8; 32],
    /// By device: which nonces were used, and when they were drawn, in the order of their use.
    used: Mutex<HashMap<u64, VecDeque<(Nonce, Duration)>>>,
}

impl Default for LoginNonces {
    fn default() -> Self {
        Self { key: random::bytes(), used: Mutex::default() }
    }
}

impl LoginNonces {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, VecDeque<(Nonce, Duration)>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mac(&self, drawn: &[u8], device: DeviceId) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(LABEL);
        mac.update(drawn);
        mac.update(&device.number().to_be_bytes());
        Some(mac)
    }

    /// Draws a nonce for a device.
    pub fn draw(&self, device: DeviceId, now: Duration) -> Nonce {
        let mut nonce = [0; size_of::<Nonce>()];
        let drawn = PARTS.0 + PARTS.1;
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        nonce[..PARTS.0].copy_from_slice(&millis.to_be_bytes());
        nonce[PARTS.0..drawn].copy_from_slice(&random::bytes::<{ PARTS.1 }>());
        if let Some(mac) = self.mac(&nonce[..drawn], device) {
            nonce[drawn..].copy_from_slice(&mac.finalize().into_bytes()[..PARTS.2]);
        }
        nonce
    }

    /// When a nonce was drawn, if it was drawn here, for this device, and a short while ago.
    fn drawn(&self, nonce: &Nonce, device: DeviceId, now: Duration) -> Option<Duration> {
        let (drawn, mac) = nonce.split_at(PARTS.0 + PARTS.1);
        self.mac(drawn, device)?.verify_truncated_left(mac).ok()?;
        let millis = u64::from_be_bytes(drawn[..PARTS.0].try_into().ok()?);
        let drawn = Duration::from_millis(millis);
        (now.saturating_sub(drawn) <= NONCE).then_some(drawn)
    }

    /// Whether a nonce may be used, without using it.
    pub fn is_usable(&self, nonce: &[u8], device: DeviceId, now: Duration) -> bool {
        let Ok(nonce) = Nonce::try_from(nonce) else { return false };
        self.drawn(&nonce, device, now).is_some()
            && !self
                .lock()
                .get(&device.number())
                .is_some_and(|used| used.iter().any(|(one, _)| *one == nonce))
    }

    /// Uses a nonce up; true when it was drawn for this device a short while ago and not used before. To be called when
    /// the signature over it is known to be right, so that only the device itself uses its share.
    pub fn use_up(&self, nonce: &[u8], device: DeviceId, now: Duration) -> bool {
        let Ok(nonce) = Nonce::try_from(nonce) else { return false };
        let Some(drawn) = self.drawn(&nonce, device, now) else { return false };
        let mut all = self.lock();
        let used = all.entry(device.number()).or_default();
        used.retain(|(_, drawn)| now.saturating_sub(*drawn) <= NONCE);
        if used.len() >= MAX_USED_NONCES_PER_DEVICE || used.iter().any(|(one, _)| *one == nonce) {
            return false;
        }
        used.push_back((nonce, drawn));
        true
    }

    /// Forgets what nobody can use again.
    pub fn sweep(&self, now: Duration) {
        self.lock().retain(|_, used| {
            used.retain(|(_, drawn)| now.saturating_sub(*drawn) <= NONCE);
            !used.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u64) -> DeviceId {
        DeviceId::from_number(number).unwrap()
    }

    #[test]
    fn a_nonce_is_for_one_device_one_minute_and_one_log_in() {
        let (nonces, begun) = (LoginNonces::default(), Duration::from_secs(7));
        let nonce = nonces.draw(device(1), begun);
        assert!(!nonces.use_up(&nonce, device(2), begun), "another device's");
        assert!(nonces.is_usable(&nonce, device(1), begun) && nonces.use_up(&nonce, device(1), begun));
        assert!(!nonces.is_usable(&nonce, device(1), begun) && !nonces.use_up(&nonce, device(1), begun));
        let nonce = nonces.draw(device(1), begun);
        assert!(!nonces.use_up(&nonce, device(1), begun + NONCE + Duration::from_millis(1)), "too late");
        assert!(nonces.use_up(&nonce, device(1), begun + NONCE), "a refusal uses nothing up");
        for position in 0..nonce.len() {
            let mut forged = nonces.draw(device(1), begun);
            forged[position] ^= 1;
            assert!(!nonces.is_usable(&forged, device(1), begun), "byte {position}");
        }
        assert!(!LoginNonces::default().is_usable(&nonces.draw(device(1), begun), device(1), begun));
    }

    #[test]
    fn drawing_takes_no_memory_and_using_only_of_the_devices_own_share() {
        let (nonces, now) = (LoginNonces::default(), Duration::from_secs(7));
        for number in 0..200_000 {
            nonces.draw(device(number % 1000), now);
        }
        assert!(nonces.lock().is_empty());
        let mut used = 0;
        while nonces.use_up(&nonces.draw(device(1), now), device(1), now) {
            used += 1;
        }
        assert_eq!(used, MAX_USED_NONCES_PER_DEVICE);
        assert!(nonces.use_up(&nonces.draw(device(2), now), device(2), now));
        let later = now + NONCE + Duration::from_millis(1);
        assert!(nonces.use_up(&nonces.draw(device(1), later), device(1), later));
        nonces.sweep(later + NONCE + Duration::from_millis(1));
        assert!(nonces.lock().is_empty());
    }
}
