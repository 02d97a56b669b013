//! A browser that logged in before is known again, by a cookie that no guesser has (OWASP "device cookies"): its
//! tries are counted apart, so pupils guessing behind the same address do not make their teacher wait.
//!
//! The cookie opens nothing. It is bound to the account and to its password, so a new password ends it.

use hmac::{Hmac, KeyInit, Mac};
use momedo_protocol::encoding::encode_hex;
use momedo_protocol::random;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::ServiceError;
use crate::live::staff_sessions::Stamp;
use crate::store::{ReadTx, WriteTx};

/// The setting that holds the key.
const KEY: &str = "device-cookie-key";

/// Characters of a cookie's own part, hexadecimal.
const NONCE: usize = 32;

/// The key cookies are made with, once there is one.
pub(super) fn key(tx: &ReadTx<'_>) -> Result<Option<Vec<u8>>, ServiceError> {
    Ok(tx.setting(KEY)?.map(|key| key.to_vec()))
}

/// The key, made if there is none.
pub(super) fn key_or_new(tx: &WriteTx<'_>) -> Result<Vec<u8>, ServiceError> {
    if let Some(key) = key(tx)? {
        return Ok(key);
    }
    let key = random::bytes::<32>();
    tx.set_setting(KEY, &key)?;
    Ok(key.to_vec())
}

fn mac(key: &[u8], nonce: &str, account: &str, stamp: &Stamp) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(nonce.as_bytes());
    mac.update(stamp);
    mac.update(account.as_bytes());
    encode_hex(&mac.finalize().into_bytes())
}

/// A cookie for a browser that has just logged in.
pub(super) fn make(key: &[u8], account: &str, stamp: &Stamp) -> String {
    let nonce = encode_hex(&random::bytes::<16>());
    let mac = mac(key, &nonce, account, stamp);
    nonce + &mac
}

/// What the tries of a known browser are counted under; none for every other one.
pub(super) fn known<'a>(key: &[u8], cookie: &'a str, account: &str, stamp: &Stamp) -> Option<&'a str> {
    let (nonce, found) = cookie.split_at_checked(NONCE)?;
    let expected = mac(key, nonce, account, stamp);
    bool::from(expected.as_bytes().ct_eq(found.as_bytes())).then_some(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_known_for_its_account_and_password_alone() {
        let (key, stamp) = ([1; 32], [2; 32]);
        let cookie = make(&key, "admin", &stamp);
        assert_eq!(known(&key, &cookie, "admin", &stamp), cookie.get(..NONCE));
        assert_eq!(known(&key, &cookie, "grete", &stamp), None);
        assert_eq!(known(&key, &cookie, "admin", &[3; 32]), None);
        assert_eq!(known(&[4; 32], &cookie, "admin", &stamp), None);
        for odd in ["", "ü", &cookie[1..], &format!("{cookie}0"), &"0".repeat(96)] {
            assert_eq!(known(&key, odd, "admin", &stamp), None, "{odd}");
        }
    }
}
