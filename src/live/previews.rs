//! Class lists that were looked at and wait for a yes, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use momedo_protocol::encoding::encode_hex;
use momedo_protocol::random;

/// Lists that may wait at once; the oldest goes first.
const MAX_PREVIEWS: usize = 8;

/// Lists of one account that may wait at once, so that it does not push out those of others.
const MAX_PREVIEWS_PER_ACCOUNT: usize = 2;

/// How long one waits.
const PREVIEW: Duration = Duration::from_secs(1800);

/// A list that waits.
pub struct Preview {
    /// Whose it is.
    pub account: String,
    /// The file's name.
    pub file_name: String,
    /// What is in it.
    pub file: Vec<u8>,
    made: Duration,
}

/// Every list that waits, by a number nobody guesses.
#[derive(Default)]
pub struct Previews(Mutex<HashMap<String, Arc<Preview>>>);

impl Previews {
    /// Keeps a list; what it is asked for by.
    pub fn keep(&self, account: &str, file_name: String, file: Vec<u8>, now: Duration) -> String {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, preview| now.saturating_sub(preview.made) <= PREVIEW);
        let own = all.values().filter(|preview| preview.account == account).count();
        let crowded = |preview: &Preview| {
            if own >= MAX_PREVIEWS_PER_ACCOUNT {
                preview.account == account
            } else {
                all.len() >= MAX_PREVIEWS
            }
        };
        let oldest =
            all.iter().filter(|(_, preview)| crowded(preview)).min_by_key(|(_, preview)| preview.made);
        if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
            all.remove(&oldest);
        }
        let name = encode_hex(&random::bytes::<16>());
        all.insert(name.clone(), Arc::new(Preview { account: account.into(), file_name, file, made: now }));
        name
    }

    /// An account's list, which goes on waiting.
    pub fn find(&self, name: &str, account: &str, now: Duration) -> Option<Arc<Preview>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let preview = all.get(name)?;
        (preview.account == account && now.saturating_sub(preview.made) <= PREVIEW)
            .then(|| Arc::clone(preview))
    }

    /// Takes an account's list out.
    pub fn take(&self, name: &str, account: &str, now: Duration) -> Option<Arc<Preview>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let preview = all.get(name)?;
        if preview.account != account || now.saturating_sub(preview.made) > PREVIEW {
            return None;
        }
        all.remove(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_pushes_out_its_own_lists_and_not_those_of_others() {
        let previews = Previews::default();
        let keep = |account: &str, second| {
            previews.keep(account, String::new(), vec![], Duration::from_secs(second))
        };
        let kept = keep("ada", 0);
        let own: Vec<String> = (1..=10).map(|second| keep("ben", second)).collect();
        let now = Duration::from_secs(11);
        assert!(previews.take(&kept, "ada", now).is_some());
        let there: Vec<bool> = own.iter().map(|name| previews.take(name, "ben", now).is_some()).collect();
        assert_eq!(there, [false, false, false, false, false, false, false, false, true, true]);
    }
}
