//! Randomness from the operating system, for every scheme in this crate.

/// Returns `N` random bytes.
///
/// # Panics
/// When the operating system has no randomness to give; nothing safe can be done then.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    fill(&mut out);
    out
}

/// Fills `out` with random bytes.
///
/// # Panics
/// As [`bytes`].
pub fn fill(out: &mut [u8]) {
    getrandom::fill(out).expect("the operating system provides randomness");
}

/// The operating system's randomness behind the trait generation that `rsa` 0.9 asks for.
pub(crate) struct SystemRandom;

impl rand_core::RngCore for SystemRandom {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(bytes())
    }
    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(bytes())
    }
    fn fill_bytes(&mut self, out: &mut [u8]) {
        fill(out);
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rand_core::Error> {
        fill(out);
        Ok(())
    }
}

impl rand_core::CryptoRng for SystemRandom {}
