//! Who is logged in on the admin pages, in memory: a restart ends every session, and nothing secret is on
//! disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use momedo_protocol::digest::sha256;
use momedo_protocol::encoding::{encode_base64, encode_hex};
use momedo_protocol::random;
use momedo_protocol::secret_text::SecretText;
use momedo_protocol::time::UnixMillis;
use subtle::ConstantTimeEq;

use crate::domain::limits::{
    MAX_SESSIONS_PER_ACCOUNT, RECENT_CONFIRMATION, STAFF_SESSION, STAFF_SESSION_IDLE,
};

/// Sessions of the admin pages.
pub struct StaffSessions {
    /// By the token's SHA-256: what is looked up is no secret, so the look-up may take any time.
    sessions: Mutex<HashMap<[u8; 32], Session>>,
    /// Names this process in its cookies on loopback, where nothing else tells servers apart: 16 hexadecimal digits.
    process: String,
}

impl Default for StaffSessions {
    fn default() -> Self {
        Self { sessions: Mutex::default(), process: encode_hex(&random::bytes::<8>()) }
    }
}

/// How a request came in. A session holds only at the door it began at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Over TLS.
    Tls,
    /// Over the plain listener on loopback at this port.
    Loopback(u16),
}

struct Session {
    /// Names it without giving its token away, and stays when that is changed.
    handle: String,
    account: String,
    stamp: Stamp,
    door: Door,
    csrf: String,
    begun: Duration,
    used: Duration,
    /// When the password was typed last.
    confirmed: Duration,
    begun_at: UnixMillis,
    address: IpAddr,
    browser: String,
}

/// Stands for an account's password: a session made before it changed is worth nothing.
pub type Stamp = [u8; 32];

/// Who begins a session, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The address.
    pub address: IpAddr,
    /// How it came in.
    pub door: Door,
    /// What the browser calls itself.
    pub browser: &'a str,
}

/// A session as its request sees it.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// Whose it is.
    pub account: String,
    /// What stood for the account's password when it began.
    pub stamp: Stamp,
    /// What every form of this session carries.
    pub csrf: String,
    /// Names the session without giving its token away.
    pub handle: String,
    /// When it began.
    pub begun_at: UnixMillis,
}

/// A session as listed.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Names the session without giving its token away.
    pub handle: String,
    /// Whose it is.
    pub account: String,
    /// When it began.
    pub begun_at: UnixMillis,
    /// How long ago it was last used.
    pub idle: Duration,
    /// From where it began.
    pub address: IpAddr,
    /// What the browser called itself.
    pub browser: String,
}

impl Session {
    fn has_ended(&self, now: Duration) -> bool {
        now.saturating_sub(self.begun) > STAFF_SESSION || now.saturating_sub(self.used) > STAFF_SESSION_IDLE
    }
}

impl StaffSessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session with a new token, which only its cookie knows.
    pub fn begin(
        &self,
        account: String,
        stamp: Stamp,
        now: Duration,
        begun_at: UnixMillis,
        client: &Client<'_>,
    ) -> String {
        let token = encode_base64(&random::bytes::<32>());
        let mut sessions = self.lock();
        sessions.retain(|_, session| !session.has_ended(now));
        // One account cannot push out the others.
        let own = || sessions.iter().filter(|(_, session)| session.account == account);
        if own().count() >= MAX_SESSIONS_PER_ACCOUNT
            && let Some(oldest) = own().min_by_key(|(_, session)| session.used).map(|(hash, _)| *hash)
        {
            sessions.remove(&oldest);
        }
        let session = Session {
            handle: encode_hex(&random::bytes::<8>()),
            account,
            stamp,
            door: client.door,
            csrf: encode_base64(&random::bytes::<32>()),
            begun: now,
            used: now,
            // Whoever begins one has just typed it.
            confirmed: now,
            begun_at,
            address: client.address,
            browser: client.browser.chars().filter(|c| !c.is_control()).take(120).collect(),
        };
        sessions.insert(sha256(token.as_bytes()), session);
        token
    }

    /// The session of a token.
    pub fn find(&self, token: &str, door: Door, counts_as_use: bool, now: Duration) -> Option<Authenticated> {
        let hash = sha256(token.as_bytes());
        let mut sessions = self.lock();
        let session = sessions.get_mut(&hash)?;
        if session.has_ended(now) {
            sessions.remove(&hash);
            return None;
        }
        if session.door != door {
            return None;
        }
        if counts_as_use {
            session.used = now;
        }
        Some(Authenticated {
            account: session.account.clone(),
            stamp: session.stamp,
            csrf: session.csrf.clone(),
            handle: session.handle.clone(),
            begun_at: session.begun_at,
        })
    }

    /// What this process is called in its cookies on loopback; another one is not.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Notes that whoever uses a session has just typed the password, and gives it another token: whoever has the old
    /// one has nothing. `None` when there is no such session any more.
    pub fn confirm(&self, wanted: &str, now: Duration) -> Option<String> {
        let mut sessions = self.lock();
        let old = *sessions.iter().find(|(_, session)| session.handle == wanted)?.0;
        let session = sessions.remove(&old)?;
        let token = encode_base64(&random::bytes::<32>());
        sessions.insert(sha256(token.as_bytes()), Session { confirmed: now, ..session });
        Some(token)
    }

    /// Whether the password was typed in this session of `account` at most five minutes ago.
    pub fn is_recently_confirmed(&self, wanted: &str, account: &str, now: Duration) -> bool {
        self.lock().values().any(|session| {
            session.handle == wanted
                && session.account == account
                && now.saturating_sub(session.confirmed) <= RECENT_CONFIRMATION
        })
    }

    /// Every session, newest first.
    pub fn list(&self, now: Duration) -> Vec<Listed> {
        let sessions = self.lock();
        let mut all: Vec<Listed> = sessions
            .values()
            .filter(|session| !session.has_ended(now))
            .map(|session| Listed {
                handle: session.handle.clone(),
                account: session.account.clone(),
                begun_at: session.begun_at,
                idle: now.saturating_sub(session.used),
                address: session.address,
                browser: session.browser.clone(),
            })
            .collect();
        all.sort_by_key(|session| std::cmp::Reverse(session.begun_at));
        all
    }

    /// Whether a session still holds, without counting as its use.
    pub fn holds(&self, wanted: &str, now: Duration) -> bool {
        self.lock().values().any(|session| session.handle == wanted && !session.has_ended(now))
    }

    /// Lets a session go on after its account's password was changed in it.
    pub fn renew(&self, wanted: &str, stamp: Stamp) {
        for session in self.lock().values_mut().filter(|session| session.handle == wanted) {
            session.stamp = stamp;
        }
    }

    /// Ends the session with this handle; false when there is none.
    pub fn end(&self, wanted: &str) -> bool {
        let mut sessions = self.lock();
        let before = sessions.len();
        sessions.retain(|_, session| session.handle != wanted);
        sessions.len() < before
    }

    /// Ends the sessions of an account, but for the one with the handle `except`.
    pub fn end_account(&self, account: &str, except: Option<&str>) {
        self.lock().retain(|_, session| {
            session.account != account || except.is_some_and(|except| session.handle == except)
        });
    }
}

/// Whether two secrets that were typed are the same, however the machine wrote them.
pub fn equally_typed(a: &str, b: &str) -> bool {
    equal(&SecretText::typed(a).composed(), &SecretText::typed(b).composed())
}

/// Compares secrets without telling by the time where they differ.
pub fn equal(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_holds_at_its_door_and_its_password_for_five_minutes() {
        let sessions = StaffSessions::default();
        assert_ne!(sessions.process(), StaffSessions::default().process());
        let door = Door::Loopback(4711);
        let client = Client { address: [127, 0, 0, 1].into(), door, browser: "" };
        let token = sessions.begin("admin".into(), [1; 32], Duration::ZERO, UnixMillis(1), &client);
        for elsewhere in [Door::Tls, Door::Loopback(4712)] {
            assert!(sessions.find(&token, elsewhere, true, Duration::ZERO).is_none());
        }
        let session = sessions.find(&token, door, true, Duration::ZERO).unwrap().handle;
        let is_recent = |account, seconds| {
            sessions.is_recently_confirmed(&session, account, Duration::from_secs(seconds))
        };
        assert!(is_recent("admin", 0) && is_recent("admin", 300));
        assert!(!is_recent("admin", 301) && !is_recent("grete", 0));
        let new = sessions.confirm(&session, Duration::from_secs(1000)).unwrap();
        let found = |token| sessions.find(token, door, true, Duration::from_secs(1000)).map(|one| one.handle);
        assert_eq!(
            (found(&new), found(&token)),
            (Some(session.clone()), None),
            "the old token is worth nothing"
        );
        assert!(is_recent("admin", 1300) && !is_recent("admin", 1301));
        assert!(sessions.end(&session) && sessions.confirm(&session, Duration::ZERO).is_none());
        assert!(!is_recent("admin", 1000));
    }
}
