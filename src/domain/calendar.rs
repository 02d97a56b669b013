//! Instants as calendars show them, in UTC: a server has no time zone of its reader's.

use momedo_protocol::time::UnixMillis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Day and time, to the second; `None` beyond the year 9999.
pub fn date_time(at: UnixMillis) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(at.0 / 1000).ok()?).ok()
}

/// Day and time as RFC 3339 writes them, to the second: `2026-09-14T03:15:00Z`; `None` beyond the year 9999.
pub fn rfc3339(at: UnixMillis) -> Option<String> {
    date_time(at)?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_to_the_second() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_789_355_700_999, "2026-09-14T03:15:00Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(UnixMillis(at)).unwrap(), text);
        }
        for beyond in [253_402_300_800_000, u64::MAX] {
            assert_eq!(rfc3339(UnixMillis(beyond)), None);
        }
    }
}
