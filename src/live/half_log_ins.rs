//! Passwords that were right where a one-time password is needed as well, for the few minutes until it is typed: so nobody has
//! to type the password twice. In memory alone, wiped when they go, and worth nothing without the one-time password.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use momedo_protocol::encoding::encode_hex;
use momedo_protocol::random;
use zeroize::Zeroizing;

/// Most that are kept at once; the oldest goes first.
const MAX_KEPT: usize = 256;

/// How long one is kept.
const KEPT: Duration = Duration::from_secs(300);

struct Half {
    account: String,
    password: Zeroizing<String>,
    /// The token of the form that the browser was shown.
    form: String,
    made: Duration,
}

/// Every half of a log-in, by a number nobody guesses.
#[derive(Default)]
pub struct HalfLogIns(Mutex<HashMap<String, Half>>);

impl HalfLogIns {
    /// Keeps an account's password that was right, for the browser with this form; what it is asked for by.
    pub fn keep(&self, account: &str, password: Zeroizing<String>, form: &str, now: Duration) -> String {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, half| now.saturating_sub(half.made) <= KEPT);
        if all.len() >= MAX_KEPT
            && let Some(oldest) = all.iter().min_by_key(|(_, half)| half.made).map(|(name, _)| name.clone())
        {
            all.remove(&oldest);
        }
        let name = encode_hex(&random::bytes::<16>());
        all.insert(name.clone(), Half { account: account.into(), password, form: form.into(), made: now });
        name
    }

    /// Account and password, for the same browser.
    pub fn find(&self, name: &str, form: &str, now: Duration) -> Option<(String, Zeroizing<String>)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let half = all.get(name).filter(|half| half.form == form)?;
        (now.saturating_sub(half.made) <= KEPT).then(|| (half.account.clone(), half.password.clone()))
    }

    /// Forgets those that waited too long.
    pub fn sweep(&self, now: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, half| now.saturating_sub(half.made) <= KEPT);
    }

    /// Forgets one that was used.
    pub fn forget(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_for_its_browser_alone_and_for_five_minutes() {
        let halves = HalfLogIns::default();
        let at = Duration::from_secs;
        let password = || Zeroizing::new("Lampe".to_owned());
        let name = halves.keep("ada", password(), "form", at(0));
        assert_eq!(halves.find(&name, "form", at(300)), Some(("ada".into(), password())));
        assert_eq!(halves.find(&name, "other", at(0)), None);
        assert_eq!(halves.find(&name, "form", at(301)), None);
        for second in 1..=MAX_KEPT as u64 {
            halves.keep("ben", password(), "form", at(1 + second / 100));
        }
        assert_eq!(halves.find(&name, "form", at(3)), None, "the oldest goes");
        let name = halves.keep("ada", password(), "form", at(3));
        halves.forget(&name);
        assert_eq!(halves.find(&name, "form", at(3)), None);
    }
}
