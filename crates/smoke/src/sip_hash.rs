//! SipHash as Smoke computes it: 4 compression and 8 finalisation rounds, 128 bits, written big-endian.
//!
//! It deviates from SipHash in one place: the last, partial block is put together from *signed* bytes, so a byte
//! of 0x80 or more sets every bit above its own. Libraries give other hashes for such inputs.

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

fn rounds(v: &mut [u64; 4], count: usize) {
    for _ in 0..count {
        round(v);
    }
}

fn compress(v: &mut [u64; 4], block: u64) {
    v[3] ^= block;
    rounds(v, 4);
    v[0] ^= block;
}

fn folded(v: &[u64; 4]) -> u64 {
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

/// The 16 bytes of the hash of `data` under `key`.
pub fn sip_hash_128(key: &[u8; 16], data: &[u8]) -> [u8; 16] {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte));
    let (k0, k1) = (word(&key[..8]), word(&key[8..]));
    let mut v = [
        0x736f_6d65_7073_6575 ^ k0,
        0x646f_7261_6e64_6f6d ^ k1 ^ 0xee,
        0x6c79_6765_6e65_7261 ^ k0,
        0x7465_6462_7974_6573 ^ k1,
    ];
    let blocks = data.chunks_exact(8);
    let tail = blocks.remainder();
    for block in blocks {
        compress(&mut v, word(block));
    }
    let mut last = (data.len() as u64) << 56;
    for (index, byte) in tail.iter().enumerate() {
        // The deviation: sign-extended before it is shifted.
        last |= (i64::from(*byte as i8) as u64) << (8 * index);
    }
    compress(&mut v, last);
    v[2] ^= 0xee;
    rounds(&mut v, 8);
    let first = folded(&v);
    v[1] ^= 0xdd;
    rounds(&mut v, 8);
    let mut hash = [0; 16];
    hash[..8].copy_from_slice(&first.to_be_bytes());
    hash[8..].copy_from_slice(&folded(&v).to_be_bytes());
    hash
}
