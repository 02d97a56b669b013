//! The overview's chart: messages in each of the last 24 hours, as lines, bars and words of a picture.

use momedo_protocol::time::UnixMillis;

use crate::domain::calendar::{date_time, rfc3339};
use crate::live::activity::HOURS;

/// Milliseconds of an hour.
const HOUR: u64 = 3_600_000;

/// Where the bars begin from the left.
const LEFT: u64 = 44;

/// The width that each takes.
const STEP: u64 = 18;

/// Where the highest line is, from the top.
const TOP: u64 = 10;

/// How high the highest bar may be.
const HEIGHT: u64 = 100;

/// Every so many hours stands which it is.
const LABEL_EVERY: usize = 4;

/// A picture 500 wide and 138 high.
pub(super) struct Chart {
    pub(super) bars: Vec<Bar>,
    pub(super) lines: Vec<Line>,
    pub(super) hours: Vec<Hour>,
}

/// The messages of one hour.
pub(super) struct Bar {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) height: u64,
    pub(super) count: u64,
    /// The hour's beginning.
    pub(super) at: Moment,
}

/// A line across, with what it stands for.
pub(super) struct Line {
    pub(super) y: u64,
    pub(super) count: u64,
}

/// An hour's name below.
pub(super) struct Hour {
    pub(super) x: u64,
    pub(super) at: Moment,
}

/// An hour, in UTC: a browser with a script shows it in its reader's time zone.
pub(super) struct Moment {
    /// As RFC 3339 has it.
    pub(super) exact: String,
    /// Its number.
    pub(super) hour: u8,
}

fn moment(at: UnixMillis) -> Moment {
    let hour = date_time(at).map_or(0, time::OffsetDateTime::hour);
    Moment { exact: rfc3339(at).unwrap_or_default(), hour }
}

/// The least round number that is not below: 1, 2, 5, 10, 20, 50 and so on.
fn round_above(most: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [1, 2, 5] {
            let round = power.saturating_mul(step);
            // What no number is above ends it, too.
            if round >= most || round == u64::MAX {
                return round;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Draws the counts, oldest hour first; the last is the hour that is passing at `now`.
pub(super) fn of(counts: &[u64; HOURS], now: UnixMillis) -> Chart {
    let top = round_above(counts.iter().copied().max().unwrap_or(0).max(2));
    let this_hour = now.0 / HOUR * HOUR;
    let begin = |index: usize| UnixMillis(this_hour.saturating_sub((HOURS - 1 - index) as u64 * HOUR));
    // As a share of the highest line: counts may be large.
    let height = |count: u64| {
        let share = (u128::from(count) * u128::from(HEIGHT)).div_ceil(u128::from(top));
        u64::try_from(share).unwrap_or(HEIGHT).min(HEIGHT)
    };
    let bars = counts.iter().enumerate().map(|(index, count)| Bar {
        x: LEFT + index as u64 * STEP + 2,
        y: TOP + HEIGHT - height(*count),
        height: height(*count),
        count: *count,
        at: moment(begin(index)),
    });
    let lines = [0, top / 2, top].map(|count| Line { y: TOP + HEIGHT - height(count), count });
    let hours = (0..HOURS)
        .filter(|index| (HOURS - 1 - index).is_multiple_of(LABEL_EVERY))
        .map(|index| Hour { x: LEFT + index as u64 * STEP + STEP / 2, at: moment(begin(index)) });
    Chart { bars: bars.collect(), lines: lines.into_iter().collect(), hours: hours.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-09-14 03:15 UTC.
    const NOW: UnixMillis = UnixMillis(1_789_355_700_000);

    #[test]
    fn the_highest_line_is_round_and_no_bar_stands_above_it() {
        for (most, top) in [(0, 2), (1, 2), (2, 2), (3, 5), (7, 10), (11, 20), (101, 200), (4_999, 5_000)] {
            let mut counts = [0; HOURS];
            counts[3] = most;
            let chart = of(&counts, NOW);
            assert_eq!(chart.lines.last().unwrap().count, top, "{most}");
            assert_eq!(chart.lines.last().unwrap().y, TOP);
            assert!(chart.bars.iter().all(|bar| bar.y >= TOP && bar.y + bar.height == TOP + HEIGHT));
        }
        let huge = of(&[u64::MAX; HOURS], NOW);
        assert!(huge.bars.iter().all(|bar| bar.height <= HEIGHT));
    }

    #[test]
    fn one_message_can_be_seen_beside_many_and_none_cannot() {
        let mut counts = [0; HOURS];
        (counts[0], counts[1]) = (1, 100_000);
        let chart = of(&counts, NOW);
        assert_eq!((chart.bars[0].height, chart.bars[2].height), (1, 0));
    }

    #[test]
    fn the_last_hour_is_the_one_that_passes() {
        let chart = of(&[0; HOURS], NOW);
        let last = chart.hours.last().unwrap();
        assert_eq!((last.at.exact.as_str(), last.at.hour), ("2026-09-14T03:00:00Z", 3));
        assert_eq!(chart.bars[0].at.exact, "2026-09-13T04:00:00Z");
        // Before there were clocks.
        assert_eq!(of(&[0; HOURS], UnixMillis(0)).bars.len(), HOURS);
    }
}
