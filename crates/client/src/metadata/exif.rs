//! How a picture is turned, which is all that stays of EXIF.

/// How the picture is turned, 2 to 8, if the TIFF structure in EXIF says so; 1 is not worth a word.
pub(super) fn orientation(tiff: &[u8]) -> Option<u16> {
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
        usize::try_from(if little { second << 16 | first } else { first << 16 | second }).ok()
    };
    let directory = long(4)?;
    (0..usize::from(short(directory)?))
        .filter_map(|entry| directory.checked_add(2 + entry * 12))
        .find(|entry| short(*entry) == Some(0x0112))
        .and_then(|entry| short(entry.checked_add(8)?))
        .filter(|turned| (2..=8).contains(turned))
}

/// A TIFF structure that says how the picture is turned, and nothing else.
pub(super) fn minimal_tiff(orientation: u16) -> Vec<u8> {
    let mut tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    tiff.extend_from_slice(&orientation.to_be_bytes());
    tiff.extend_from_slice(&[0; 6]);
    tiff
}
