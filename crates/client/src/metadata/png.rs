//! PNG: chunks with checksums.

use std::io::{self, Read, Seek, Write};

use super::exif::{minimal_tiff, orientation};
use super::{MAX_EXIF_BYTES, array, bytes, copy, malformed, skip};

/// Chunks of PNG that make the picture or its colours; all others go.
const KEPT: [&[u8; 4]; 18] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP",
    b"mDCV", b"cLLI", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT",
];

pub(super) fn strip(image: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<()> {
    let signature: [u8; 8] = array(image)?;
    out.write_all(&signature)?;
    let mut first = true;
    loop {
        let length = u64::from(u32::from_be_bytes(array(image)?));
        let kind: [u8; 4] = array(image)?;
        if length >= 1 << 31 || !kind.iter().all(u8::is_ascii_alphabetic) || (first && &kind != b"IHDR") {
            return Err(malformed("a chunk makes no sense"));
        }
        first = false;
        if KEPT.contains(&&kind) {
            out.write_all(&u32::try_from(length).map_err(|_| malformed("a chunk too long"))?.to_be_bytes())?;
            out.write_all(&kind)?;
            // With its checksum.
            copy(image, out, length + 4)?;
        } else if &kind == b"eXIf" && length <= MAX_EXIF_BYTES {
            let exif = bytes(image, length)?;
            skip(image, 4)?;
            if let Some(orientation) = orientation(&exif) {
                write_chunk(out, b"eXIf", &minimal_tiff(orientation))?;
            }
        } else if kind[0].is_ascii_uppercase() {
            return Err(malformed("an unknown chunk that the picture needs"));
        } else {
            skip(image, length + 4)?;
        }
        if &kind == b"IEND" {
            return Ok(());
        }
    }
}

pub(super) fn write_chunk(out: &mut impl Write, kind: &[u8; 4], data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(|_| malformed("a chunk too long"))?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(kind)?;
    out.write_all(data)?;
    out.write_all(&crc32(&[&kind[..], data]).to_be_bytes())
}

/// The checksum of PNG (ISO 3309); a few bytes a file, so a table would not pay.
pub(super) fn crc32(parts: &[&[u8]]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1)))
    };
    !parts.iter().flat_map(|part| part.iter()).fold(u32::MAX, step)
}
