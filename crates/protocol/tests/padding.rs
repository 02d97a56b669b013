//! What the length of something sealed tells, and what it does not.
#![allow(clippy::unwrap_used, reason = "tests")]

use momedo_protocol::blob::sealed_length;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::key_backup::{RecoveryCode, RecoveryKeys};

#[test]
fn the_length_of_a_blob_tells_little_about_its_file() {
    // Padmé: as many lengths as powers of two have ends in some five bits.
    let lengths: std::collections::BTreeSet<u64> = (1..=20_000_000).step_by(997).map(sealed_length).collect();
    assert!(lengths.len() < 330, "{} different lengths", lengths.len());
    for (one, other) in [(0, 4096), (1, 100), (1_000_001, 1_000_500), (104_000_000, 104_100_000)] {
        assert_eq!(sealed_length(one), sealed_length(other), "{one} and {other}");
    }
}

#[test]
fn padding_a_file_costs_little() {
    for size in (4_096..104_857_600u64).step_by(9_973) {
        assert!(sealed_length(size) <= size + size * 12 / 100 + 64, "{size}");
    }
}

#[test]
fn the_length_of_a_key_backup_tells_little_about_what_is_in_it() {
    let id = "M8N22HT6".parse().unwrap();
    let keys = RecoveryKeys::derive(&RecoveryCode::random(), Fingerprint([7; 32]), id);
    let length = |content: usize| keys.sealing_keys().seal(&vec![b'a'; content], id, 1).unwrap().len();
    assert_eq!(length(30_000), length(30_200));
    let slot = keys.sealing_keys().seal(b"content", id, 1).unwrap();
    assert_eq!(keys.open(&slot, id, 1).unwrap().as_slice(), b"content");
}
