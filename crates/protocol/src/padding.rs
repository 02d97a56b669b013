//! How lengths are rounded up before sealing, so that they tell little of what is inside.
//!
//! Messages are padded to powers of two ([`crate::seal`]), which hides most and costs little for what is short. For files
//! that would cost up to their own size again; they are padded as the PURBs paper says (Padmé: Nikitin, Barman, Lueks,
//! Underwood, Hubaux, Ford 2019): of a length that needs `E` bits only the first `log2 E` after the highest may be set.
//! A length up to L tells at most `O(log log L)` bits then, and never costs more than 12 per cent.

/// Smallest padded length, in bytes; what a file takes on a disk anyway.
pub const MIN_ROUNDED_BYTES: u64 = 4096;

/// `length` rounded up by Padmé, at least [`MIN_ROUNDED_BYTES`].
pub fn rounded_length(length: u64) -> u64 {
    let length = length.max(MIN_ROUNDED_BYTES);
    let exponent = length.ilog2();
    let kept_bits = exponent.ilog2() + 1;
    let low = (1u64 << (exponent - kept_bits)) - 1;
    length.saturating_add(low) & !low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_rounded_as_the_paper_says() {
        for (length, rounded) in [
            (0, 4096),
            (4096, 4096),
            (4097, 4352),
            (65_536, 65_536),
            (65_537, 67_584),
            (1_000_000, 1_015_808),
            (104_857_600, 104_857_600),
        ] {
            assert_eq!(rounded_length(length), rounded, "{length}");
        }
    }

    proptest! {
        #[test]
        fn rounding_costs_at_most_an_eighth_and_is_final(length in MIN_ROUNDED_BYTES..1 << 53) {
            let rounded = rounded_length(length);
            prop_assert!(rounded >= length && (rounded - length) as f64 <= length as f64 * 0.12);
            prop_assert_eq!(rounded_length(rounded), rounded);
        }

        #[test]
        fn longer_is_never_shorter(one in 0..1u64 << 53, other in 0..1u64 << 53) {
            let (shorter, longer) = (one.min(other), one.max(other));
            prop_assert!(rounded_length(shorter) <= rounded_length(longer));
        }
    }
}
