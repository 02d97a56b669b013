//! How a picture is turned, which is all that stays of EXIF.

/// How the picture is turned, 2 to 8, if EXIF says so, with or without its name in front; 1 is not worth a word.
pub(super) fn orientation(exif: &[u8]) -> Option<u16> {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let little = match tiff.get(..4)? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let short = |at: usize| {
        let pair = [*tiff.get(at)?, *tiff.get(at.checked_add(1)?)?];
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let long = |at: usize| {
        let (first, second) = (u32::from(short(at)?), u32::from(short(at.checked_add(2)?)?));
        Some(if little { second << 16 | first } else { first << 16 | second })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let entry = (0..usize::from(short(directory)?))
        .filter_map(|entry| directory.checked_add(2 + entry * 12))
        .find(|entry| short(*entry) == Some(0x0112))?;
    let value = entry.checked_add(8)?;
    // A number of one byte, of two as the standard has it, or of four as some programs write it.
    let turned = match short(entry.checked_add(2)?)? {
        1 => u16::from(*tiff.get(value)?),
        4 | 9 => u16::try_from(long(value)?).ok()?,
        _ => short(value)?,
    };
    (2..=8).contains(&turned).then_some(turned)
}

/// A TIFF structure that says how the picture is turned, and nothing else.
pub(super) fn minimal_tiff(orientation: u16) -> Vec<u8> {
    let mut tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    tiff.extend_from_slice(&orientation.to_be_bytes());
    tiff.extend_from_slice(&[0; 6]);
    tiff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_orientation_is_read_in_either_order_and_every_width() {
        let tiff = |little: bool, kind: u16, value: [u8; 4]| {
            let short = |number: u16| if little { number.to_le_bytes() } else { number.to_be_bytes() };
            let long = |number: u32| if little { number.to_le_bytes() } else { number.to_be_bytes() };
            let start = if little { b"II" } else { b"MM" };
            let parts =
                [&start[..], &short(42), &long(8), &short(1), &short(0x0112), &short(kind), &long(1), &value];
            parts.concat()
        };
        for (little, kind, value) in [
            (true, 3, [6, 0, 0, 0]),
            (true, 4, [6, 0, 0, 0]),
            (true, 1, [6, 0, 0, 0]),
            (false, 3, [0, 6, 0, 0]),
            (false, 4, [0, 0, 0, 6]),
            (false, 1, [6, 0, 0, 0]),
        ] {
            let exif = tiff(little, kind, value);
            assert_eq!(orientation(&exif), Some(6), "{little} {kind}");
            assert_eq!(orientation(&[b"Exif\0\0", &exif[..]].concat()), Some(6));
        }
        assert_eq!(orientation(&tiff(false, 4, [0, 1, 0, 6])), None);
    }
}
