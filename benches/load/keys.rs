//! Log-in keys for many devices: made once, kept in the target directory, because making an RSA key takes
//! longer than anything that is measured here.

use std::path::PathBuf;

use momedo_protocol::encoding::{decode_base64, encode_base64};
use momedo_protocol::rsa_private_key::RsaPrivateKey;

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("load-keys")
}

/// At least `count` keys, in the same order every time.
pub(crate) fn keys(count: usize) -> Vec<RsaPrivateKey> {
    let text = std::fs::read_to_string(file()).unwrap_or_default();
    let mut keys: Vec<Vec<u8>> = text.lines().filter_map(decode_base64).collect();
    if keys.len() < count {
        eprintln!("making {} RSA keys, once …", count - keys.len());
        let missing = count - keys.len();
        let halves = std::thread::scope(|scope| {
            let make = |count: usize| {
                move || (0..count).map(|_| RsaPrivateKey::generate().pkcs8().to_vec()).collect()
            };
            let half = scope.spawn(make(missing / 2));
            let mut all: Vec<Vec<u8>> = make(missing - missing / 2)();
            all.extend(half.join().unwrap());
            all
        });
        keys.extend(halves);
        let lines: Vec<String> = keys.iter().map(|key| encode_base64(key)).collect();
        std::fs::write(file(), lines.join("\n")).unwrap();
    }
    keys.iter().take(count).map(|key| RsaPrivateKey::from_pkcs8(key).unwrap()).collect()
}
