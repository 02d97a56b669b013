//! What failed since the start of the server, for whoever watches it: by the word of a refusal, and by nobody's name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts that only rise.
#[derive(Default)]
pub struct Counts {
    /// Words are those of the program, so there are as many as it has kinds of refusals, whatever anybody sends.
    refused: Mutex<BTreeMap<&'static str, u64>>,
    failed_backups: AtomicU64,
}

impl Counts {
    /// Counts a message that was refused, by the refusal's word.
    pub fn refuse(&self, word: &'static str) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(word).or_default() += 1;
    }

    /// Messages that were refused, by word.
    pub fn refused(&self) -> Vec<(&'static str, u64)> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().map(|(word, count)| (*word, *count)).collect()
    }

    /// Counts a backup that failed.
    pub fn fail_backup(&self) {
        self.failed_backups.fetch_add(1, Ordering::Relaxed);
    }

    /// Backups that failed.
    pub fn failed_backups(&self) -> u64 {
        self.failed_backups.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_their_word() {
        let counts = Counts::default();
        for word in ["stale-bundle", "blocked", "stale-bundle"] {
            counts.refuse(word);
        }
        assert_eq!(counts.refused(), [("blocked", 1), ("stale-bundle", 2)]);
    }
}
