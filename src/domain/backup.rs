//! Backups: what they are called, when the next is due, and how many are kept.

use std::fmt;
use std::str::FromStr;

use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::calendar::rfc3339;

/// Longest name, in characters; those made here have 16 or a few more.
const MAX_NAME: usize = 40;

/// Room that stays free beside a new backup, in bytes: what the log of the database may take meanwhile.
pub const MARGIN_BYTES: u64 = 32 * 1024 * 1024;

/// What a backup is called: digits, capital letters and hyphens, so that it can never be a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupName(String);

/// The text is not the name of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a backup's name has digits, capital letters and hyphens alone, such as 20260914-031500Z")]
pub struct BackupNameError;

impl BackupName {
    /// The name of a backup made at `at`, such as `20260914-031500Z`; the second one in the same second is
    /// told apart by its `number`.
    pub fn made_at(at: UnixMillis, number: u32) -> Self {
        // A clock beyond the year 9999 shows nonsense anyway.
        let written = rfc3339(at).unwrap_or_else(|| "1970-01-01T00:00:00Z".into());
        let mut name = written.replace(['-', ':'], "").replace('T', "-");
        if number > 1 {
            name.push_str(&format!("-{number}"));
        }
        Self(name)
    }

    /// Which one of its second it is, from 1.
    pub fn number(&self) -> u32 {
        self.0.rsplit_once("Z-").and_then(|(_, number)| number.parse().ok()).unwrap_or(1)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BackupName {
    type Err = BackupNameError;
    fn from_str(text: &str) -> Result<Self, BackupNameError> {
        let allowed = |b: u8| b.is_ascii_digit() || b.is_ascii_uppercase() || b == b'-';
        let begins_well = text.as_bytes().first().is_some_and(|b| *b != b'-');
        if begins_well && text.len() <= MAX_NAME && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BackupNameError)
        }
    }
}

impl TryFrom<String> for BackupName {
    type Error = BackupNameError;
    fn try_from(text: String) -> Result<Self, BackupNameError> {
        text.parse()
    }
}

impl From<BackupName> for String {
    fn from(name: BackupName) -> Self {
        name.0
    }
}

/// When a backup was made, by both kinds of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// What the clock on the wall showed.
    pub at: UnixMillis,
    /// Served time, in milliseconds.
    pub served: u64,
}

/// Whether another backup is due. A clock that jumps must not stop backups: one from the future counts for
/// nothing, and served time decides for a machine whose clock starts anew with every boot.
pub fn is_due(made: &[Made], now: Made, every_hours: u64) -> bool {
    let period = every_hours.saturating_mul(3_600_000);
    if period == 0 {
        return false;
    }
    let recent = made.iter().any(|made| made.at <= now.at && now.at.0 - made.at.0 < period);
    let served = made.iter().map(|made| now.served.saturating_sub(made.served)).min();
    !recent || served.is_none_or(|served| served >= period)
}

/// Whether the oldest of `count` backups goes: there are more than `keep`, or less than `wanted` bytes are
/// free. The last one always stays.
pub fn is_surplus(count: usize, keep: usize, available: u64, wanted: u64) -> bool {
    count > 1 && (count > keep || available < wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn made(at_hours: u64, served_hours: u64) -> Made {
        Made { at: UnixMillis(at_hours * HOUR), served: served_hours * HOUR }
    }

    #[test]
    fn names_say_when_and_are_never_paths() {
        let name = BackupName::made_at(UnixMillis(1_790_000_000_000), 1);
        assert_eq!(name.as_str(), "20260921-141320Z");
        assert_eq!(BackupName::made_at(UnixMillis(1_790_000_000_999), 2).as_str(), "20260921-141320Z-2");
        assert_eq!((name.number(), BackupName::made_at(UnixMillis(0), 12).number()), (1, 12));
        assert_eq!(name.as_str().parse(), Ok(name));
        for text in
            ["", ".", "..", "../A", "A/B", "A\\B", "a", "A.DB", "C:", "-A", "A\0", "Ä", &"A".repeat(41)]
        {
            assert_eq!(text.parse::<BackupName>(), Err(BackupNameError), "{text}");
            assert!(serde_json::from_value::<BackupName>(serde_json::json!(text)).is_err());
        }
    }

    #[test]
    fn a_backup_is_due_after_a_day_whatever_the_clock_does() {
        let now = made(1000, 500);
        let due = |list: &[Made]| is_due(list, now, 24);
        assert!(due(&[]));
        assert!(!due(&[made(999, 499)]));
        assert!(!due(&[made(900, 400), made(977, 477)]));
        assert!(due(&[made(976, 476)]));
        // The server was off for a weekend: little was served, but the wall says it is old.
        assert!(due(&[made(900, 499)]));
        // Every boot begins in 1970, so that the wall never gets a day older.
        assert!(due(&[made(999, 400)]));
        // Made while the clock stood years ahead.
        assert!(due(&[made(90_000, 499)]));
        assert!(!due(&[made(90_000, 450), made(990, 490)]));
        assert!(!is_due(&[], now, 0));
    }

    #[test]
    fn the_last_backup_always_stays() {
        for (count, available, goes) in
            [(8, 100, true), (7, 100, false), (7, 9, true), (2, 0, true), (1, 0, false), (0, 0, false)]
        {
            assert_eq!(is_surplus(count, 7, available, 10), goes, "{count} with {available}");
        }
        assert!(is_surplus(2, 0, 100, 10) && !is_surplus(1, 0, 100, 10));
    }
}
