//! Byte ranges of HTTP (RFC 9110, section 14), as far as a server has to honour them: one range.

/// What a `Range` header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Everything: no range, several, or one that cannot be read, which a server may ignore.
    Whole,
    /// These bytes: the first, and the one after the last; never empty.
    Part {
        /// The first byte.
        from: u64,
        /// The byte after the last.
        until: u64,
    },
    /// Bytes that are not there.
    Nothing,
}

/// Reads a `Range` header for something of `size` bytes.
pub fn asked(header: Option<&str>, size: u64) -> Asked {
    let Some((unit, range)) = header.and_then(|header| header.split_once('=')) else { return Asked::Whole };
    let range = range.trim();
    let Some((first, last)) = range.split_once('-').filter(|_| unit.eq_ignore_ascii_case("bytes")) else {
        return Asked::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More digits than a number has are more than there is.
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (from, until) = match (first, number(first), last, number(last)) {
        ("", _, _, Some(count)) => (size.saturating_sub(count), if count == 0 { 0 } else { size }),
        (_, Some(from), "", _) => (from, size),
        (_, Some(from), _, Some(last)) if from <= last => (from, last.saturating_add(1).min(size)),
        _ => return Asked::Whole,
    };
    if from < until { Asked::Part { from, until } } else { Asked::Nothing }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let part = |from, until| Asked::Part { from, until };
        for (header, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-99", part(0, 100)),
            ("bytes=0-100", part(0, 100)),
            ("bytes=99-", part(99, 100)),
            ("BYTES= 5-9 ", part(5, 10)),
            ("bytes=-1", part(99, 100)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=5-99999999999999999999999", part(5, 100)),
            ("bytes=100-", Asked::Nothing),
            ("bytes=100-200", Asked::Nothing),
            ("bytes=99999999999999999999999-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=9-5", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("items=0-5", Asked::Whole),
            ("bytes", Asked::Whole),
        ] {
            assert_eq!(asked(Some(header), 100), expected, "{header}");
        }
        assert_eq!(asked(None, 100), Asked::Whole);
    }

    proptest! {
        #[test]
        fn a_part_lies_within(header in ".{0,40}", size in 0u64..1000) {
            if let Asked::Part { from, until } = asked(Some(&header), size) {
                prop_assert!(from < until && until <= size);
            }
        }

        #[test]
        fn numbers_are_taken_as_they_are(from: u64, last: u64, size in 1u64..) {
            match asked(Some(&format!("bytes={from}-{last}")), size) {
                Asked::Part { from: first, until } => {
                    prop_assert!(first == from && until == last.saturating_add(1).min(size));
                }
                Asked::Nothing => prop_assert!(from >= size),
                Asked::Whole => prop_assert!(from > last),
            }
        }
    }
}
