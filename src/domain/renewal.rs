//! When a certificate from a public authority is renewed, and how long to wait after it failed.

use std::time::Duration;

use momedo_protocol::time::UnixMillis;

/// Pause after the first failure. Let's Encrypt forgives five failed validations an hour.
const FIRST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Longest pause, unless the authority itself asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// Longest pause the authority may ask for; its own limits are weekly at most.
const LONGEST_ASKED: Duration = Duration::from_secs(7 * 24 * 3600);

/// When to renew: with a third of the lifetime left, and up to a tenth of that third earlier by `jitter`, so
/// that servers set up on the same day do not come on the same day.
pub fn due_at(begins: UnixMillis, ends: UnixMillis, jitter: u8) -> UnixMillis {
    let third = ends.0.saturating_sub(begins.0) / 3;
    let earlier = u64::try_from(u128::from(third) * u128::from(jitter) / 2550).unwrap_or(u64::MAX);
    UnixMillis(ends.0.saturating_sub(third).saturating_sub(earlier))
}

/// How long to wait after the `tries`th failure in a row: doubling, up to a fifth longer by `jitter`, and at
/// least as long as the authority asks.
pub fn pause(tries: u32, jitter: u8, asked: Option<Duration>) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    let pause = doubled + doubled / 5 * u32::from(jitter) / 255;
    pause.max(asked.unwrap_or_default().min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[test]
    fn a_certificate_is_renewed_with_a_third_of_its_life_left_or_a_little_earlier() {
        let due = |jitter| due_at(UnixMillis(0), UnixMillis(90 * DAY), jitter).0;
        assert_eq!((due(0), due(255)), (60 * DAY, 57 * DAY));
        // Six days, as short-lived profiles have.
        assert_eq!(due_at(UnixMillis(0), UnixMillis(6 * DAY), 0).0, 4 * DAY);
        // Dates that make no sense are due at once, and nothing overflows.
        assert_eq!(due_at(UnixMillis(5), UnixMillis(0), 255).0, 0);
        assert!(due_at(UnixMillis(0), UnixMillis(u64::MAX), 255).0 > u64::MAX / 2);
    }

    #[test]
    fn pauses_grow_to_a_day_and_heed_the_authority() {
        let minutes = |tries| pause(tries, 0, None).as_secs() / 60;
        assert_eq!([1, 2, 3, 4].map(minutes), [15, 30, 60, 120]);
        assert_eq!((minutes(8), minutes(u32::MAX)), (1440, 1440));
        assert_eq!(pause(1, 255, None), Duration::from_secs(18 * 60));
        assert_eq!(pause(1, 0, Some(Duration::from_secs(7200))), Duration::from_secs(7200));
        assert_eq!(pause(1, 0, Some(Duration::MAX)), LONGEST_ASKED);
    }
}
