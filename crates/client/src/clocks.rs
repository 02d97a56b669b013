//! Clocks that do not fit each other: what a client can say of them once it knows that nobody else is behind it.

use std::fmt;

use momedo_protocol::time::{MADE_AFTER, UnixMillis};

use crate::ClientError;

/// How far two clocks may be apart and still count as right, in milliseconds: a day.
const APART: u64 = 86_400_000;

/// What the clocks showed when the dates of the server's certificate did not fit this device's. The server had proved
/// otherwise, by its identity key, that it is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// This device's.
    pub device: UnixMillis,
    /// The server's.
    pub server: UnixMillis,
    /// From when the certificate holds.
    pub valid_from: UnixMillis,
    /// Until when.
    pub valid_until: UnixMillis,
}

/// Whose clock is to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspect {
    /// This device's: it shows what no clock that is right shows.
    Device,
    /// The server's, for the same reason.
    Server,
    /// One of both: they differ, and each might be right.
    Either,
    /// None: they agree, and the certificate is too old or too new.
    Certificate,
}

impl Clocks {
    /// Whose clock is to be set, as far as can be said.
    pub fn suspect(&self) -> Suspect {
        match (self.device.is_plausible(), self.server.is_plausible()) {
            _ if self.device.0.abs_diff(self.server.0) < APART => Suspect::Certificate,
            (false, true) => Suspect::Device,
            (true, false) => Suspect::Server,
            _ => Suspect::Either,
        }
    }
}

/// Refuses to make keys while this device's clock was never set: everybody would take them for expired.
pub(crate) fn require_set() -> Result<(), ClientError> {
    require_set_at(crate::now())
}

fn require_set_at(now: UnixMillis) -> Result<(), ClientError> {
    if now < MADE_AFTER { Err(ClientError::ClockNotSet { shows: Minute(now).to_string() }) } else { Ok(()) }
}

/// An instant for people: RFC 3339 in UTC, to the minute.
pub(crate) struct Minute(pub(crate) UnixMillis);

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.0 / 1000).ok();
        match seconds.and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok()) {
            Some(at) => write!(f, "{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute()),
            None => f.write_str("a time beyond all times"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_keys_are_made_while_the_clock_was_never_set() {
        let refused = require_set_at(UnixMillis(5_000)).unwrap_err().to_string();
        assert!(refused.contains("1970-01-01 00:00 UTC") && refused.contains("set it"), "{refused}");
        assert!(require_set_at(MADE_AFTER).is_ok());
    }

    #[test]
    fn a_clock_that_shows_what_none_can_is_the_wrong_one() {
        let now = MADE_AFTER.plus_days(30);
        let clocks = |device, server| Clocks { device, server, valid_from: now, valid_until: now };
        let (unset, far) = (UnixMillis(0), now.plus_days(26_000));
        for (device, server, suspect) in [
            (now, now, Suspect::Certificate),
            (unset, now, Suspect::Device),
            (far, now, Suspect::Device),
            (now, unset, Suspect::Server),
            (now, far, Suspect::Server),
            (now, now.plus_days(420), Suspect::Either),
            (now.plus_days(420), now, Suspect::Either),
            (unset, far, Suspect::Either),
        ] {
            assert_eq!(clocks(device, server).suspect(), suspect, "{device:?} {server:?}");
        }
        assert_eq!(Minute(MADE_AFTER).to_string(), "2026-11-01 00:00 UTC");
        assert_eq!(Minute(UnixMillis(u64::MAX)).to_string(), "a time beyond all times");
    }
}
