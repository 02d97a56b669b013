//! Invite cards that were just made, in memory: their links are known only then, so reloading the page of cards shows these
//! and makes no others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use momedo_protocol::encoding::encode_hex;
use momedo_protocol::random;
use momedo_protocol::time::UnixMillis;
use serde::Serialize;

use crate::store::PersonId;

/// Sets of cards that are kept for an account; the oldest goes first.
const MAX_SETS_PER_ACCOUNT: usize = 4;

/// How long a set is kept.
const KEPT: Duration = Duration::from_secs(3600);

/// An invite, ready to be shown or printed.
#[derive(Debug, Clone, Serialize)]
pub struct Card {
    /// Whom it is for.
    pub person: PersonId,
    /// Their name.
    pub name: String,
    /// Their classes.
    pub classes: String,
    /// The link in the QR code.
    pub link: String,
    /// Until when it can be used.
    pub expires_at: UnixMillis,
}

struct Set {
    account: String,
    made: Duration,
    cards: Arc<Vec<Card>>,
}

/// Every set of cards that is kept, by a number nobody guesses.
#[derive(Default)]
pub struct Printed(Mutex<HashMap<String, Set>>);

impl Printed {
    /// Keeps a set of an account; what it is asked for by.
    pub fn keep(&self, account: &str, cards: Vec<Card>, now: Duration) -> String {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, set| now.saturating_sub(set.made) <= KEPT);
        let own = || all.iter().filter(|(_, set)| set.account == account);
        if own().count() >= MAX_SETS_PER_ACCOUNT
            && let Some(oldest) = own().min_by_key(|(_, set)| set.made).map(|(name, _)| name.clone())
        {
            all.remove(&oldest);
        }
        let name = encode_hex(&random::bytes::<16>());
        all.insert(name.clone(), Set { account: account.into(), made: now, cards: Arc::new(cards) });
        name
    }

    /// Forgets those that were kept long enough.
    pub fn sweep(&self, now: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, set| now.saturating_sub(set.made) <= KEPT);
    }

    /// A set of an account, if it is still kept.
    pub fn find(&self, name: &str, account: &str, now: Duration) -> Option<Arc<Vec<Card>>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let set = all.get(name)?;
        (set.account == account && now.saturating_sub(set.made) <= KEPT).then(|| Arc::clone(&set.cards))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_shown_again_to_whoever_made_it_for_an_hour() {
        let printed = Printed::default();
        let at = Duration::from_secs;
        let name = printed.keep("ada", Vec::new(), at(0));
        let finds = |account: &str, now| printed.find(&name, account, now).is_some();
        assert!(finds("ada", at(3600)) && !finds("ben", at(0)) && !finds("ada", at(3601)));
        for set in 0..MAX_SETS_PER_ACCOUNT {
            printed.keep("ben", Vec::new(), at(1));
            printed.keep("ada", Vec::new(), at(1 + set as u64));
        }
        assert!(printed.find(&name, "ada", at(4)).is_none(), "the oldest goes");
    }
}
