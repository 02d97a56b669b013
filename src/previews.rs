//! Class lists that were looked at and wait for a yes, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use momedo_protocol::encoding::encode_hex;
use momedo_protocol::random;

/// Lists that may wait at once; the oldest goes first.
const MAX_PREVIEWS: usize = 8;

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
        if all.len() >= MAX_PREVIEWS
            && let Some(oldest) =
                all.iter().min_by_key(|(_, preview)| preview.made).map(|(name, _)| name.clone())
        {
            all.remove(&oldest);
        }
        let name = encode_hex(&random::bytes::<16>());
        all.insert(name.clone(), Arc::new(Preview { account: account.into(), file_name, file, made: now }));
        name
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
