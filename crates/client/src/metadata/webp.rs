//! WebP: chunks in a RIFF file.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::exif::{minimal_tiff, orientation};
use super::{MAX_EXIF_BYTES, array, bytes, copy, malformed, skip};

/// Flags of a WebP's `VP8X` chunk that announce EXIF and XMP.
const EXIF: u8 = 0x08;
const XMP: u8 = 0x04;

pub(super) fn strip(image: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<()> {
    let (riff, size, webp): ([u8; 4], [u8; 4], [u8; 4]) = (array(image)?, array(image)?, array(image)?);
    let end = u64::from(u32::from_le_bytes(size)) + 8;
    if &riff != b"RIFF" || &webp != b"WEBP" || end % 2 == 1 {
        return Err(malformed("no RIFF header"));
    }
    // The header says how long the rest is, so everything is looked at first.
    let (mut place, mut kept, mut turned) = (12, 4, None);
    while place < end {
        let (kind, length) = chunk(image)?;
        let whole = 8 + length + length % 2;
        if &kind == b"EXIF" && length <= MAX_EXIF_BYTES {
            let exif = bytes(image, length)?;
            skip(image, length % 2)?;
            turned = orientation(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif));
        } else {
            skip(image, length + length % 2)?;
        }
        kept += if keeps(&kind) { whole } else { 0 };
        place += whole;
    }
    if place != end {
        return Err(malformed("its chunks do not fill it"));
    }
    let exif = turned.map(minimal_tiff);
    kept += exif.as_ref().map_or(0, |exif| 8 + exif.len() as u64);
    out.write_all(b"RIFF")?;
    out.write_all(&u32::try_from(kept).map_err(|_| malformed("too long"))?.to_le_bytes())?;
    out.write_all(b"WEBP")?;
    image.seek(SeekFrom::Start(12))?;
    place = 12;
    while place < end {
        let (kind, length) = chunk(image)?;
        place += 8 + length + length % 2;
        if !keeps(&kind) {
            skip(image, length + length % 2)?;
            continue;
        }
        out.write_all(&kind)?;
        out.write_all(&u32::try_from(length).map_err(|_| malformed("too long"))?.to_le_bytes())?;
        if &kind == b"VP8X" {
            let [flags] = array(image)?;
            let exif = if exif.is_some() { EXIF } else { 0 };
            out.write_all(&[flags & !(EXIF | XMP) | exif])?;
            copy(
                image,
                out,
                (length + length % 2).checked_sub(1).ok_or_else(|| malformed("an empty chunk"))?,
            )?;
        } else {
            copy(image, out, length + length % 2)?;
        }
    }
    if let Some(exif) = exif {
        out.write_all(b"EXIF")?;
        out.write_all(&u32::try_from(exif.len()).map_err(|_| malformed("too long"))?.to_le_bytes())?;
        out.write_all(&exif)?;
    }
    Ok(())
}

fn chunk(image: &mut impl Read) -> io::Result<([u8; 4], u64)> {
    Ok((array(image)?, u64::from(u32::from_le_bytes(array(image)?))))
}

fn keeps(kind: &[u8; 4]) -> bool {
    [b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"].contains(&kind)
}
