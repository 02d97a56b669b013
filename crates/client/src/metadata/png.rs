//! PNG: chunks with checksums.

use std::io::{self, ErrorKind, Read, Seek, Write};

use flate2::read::ZlibDecoder;

use super::exif::{minimal_tiff, orientation};
use super::{MAX_EXIF_BYTES, array, bytes, copy, malformed, skip};

/// Chunks of PNG that make the picture or its colours; all others go.
const KEPT: [&[u8; 4]; 17] = [
    b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV",
    b"cLLI", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT",
];

/// Largest text chunk that is read for how the picture is turned, in bytes: EXIF as hexadecimal digits.
const MAX_PROFILE_BYTES: u64 = 3 * MAX_EXIF_BYTES;

pub(super) fn strip(image: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<()> {
    let signature: [u8; 8] = array(image)?;
    out.write_all(&signature)?;
    let (mut first, mut has_picture, mut turned) = (true, false, false);
    loop {
        let (length, kind) = match head(image) {
            // Viewers show a picture whose end is missing.
            Err(error) if has_picture && error.kind() == ErrorKind::UnexpectedEof => break,
            head => head?,
        };
        if length >= 1 << 31 || !kind.iter().all(u8::is_ascii_alphabetic) || (first && &kind != b"IHDR") {
            return Err(malformed("a chunk makes no sense"));
        }
        first = false;
        has_picture |= &kind == b"IDAT";
        if &kind == b"IEND" {
            break;
        }
        if KEPT.contains(&&kind) {
            out.write_all(&u32::try_from(length).map_err(|_| malformed("a chunk too long"))?.to_be_bytes())?;
            out.write_all(&kind)?;
            // With its checksum.
            copy(image, out, length + 4)?;
        } else if let Some(exif) = exif(&kind, length, image)? {
            skip(image, 4)?;
            // EXIF and a profile that says the same again may both be there.
            if let Some(orientation) = orientation(&exif).filter(|_| !turned) {
                write_chunk(out, b"eXIf", &minimal_tiff(orientation))?;
                turned = true;
            }
        } else if kind[0].is_ascii_uppercase() {
            return Err(malformed("an unknown chunk that the picture needs"));
        }
    }
    write_chunk(out, b"IEND", &[])
}

fn head(image: &mut impl Read) -> io::Result<(u64, [u8; 4])> {
    Ok((u64::from(u32::from_be_bytes(array(image)?)), array(image)?))
}

/// The EXIF in a chunk whose content comes next, empty where there is none; passes over chunks without any, with their
/// checksums, and says `None`.
fn exif(kind: &[u8; 4], length: u64, image: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    match kind {
        b"eXIf" if length <= MAX_EXIF_BYTES => bytes(image, length).map(Some),
        b"tEXt" | b"zTXt" | b"iTXt" if length <= MAX_PROFILE_BYTES => {
            let text = bytes(image, length)?;
            Ok(Some(profile(kind, &text).unwrap_or_default()))
        }
        // What the picture needs is not passed over; the caller refuses it.
        _ if kind[0].is_ascii_uppercase() => Ok(None),
        _ => skip(image, length + 4).map(|()| None),
    }
}

/// EXIF as ImageMagick and ExifTool write it into text: its name, its length, and hexadecimal digits.
fn profile(kind: &[u8; 4], text: &[u8]) -> Option<Vec<u8>> {
    let (keyword, rest) = split(text)?;
    if !matches!(keyword, b"Raw profile type exif" | b"Raw profile type APP1") {
        return None;
    }
    let text = match (kind, rest) {
        (b"tEXt", text) => text.to_vec(),
        (b"zTXt", [0, packed @ ..]) => unpacked(packed)?,
        (b"iTXt", [packed, 0, rest @ ..]) => {
            // Language and translated keyword.
            let (_, rest) = split(rest)?;
            let (_, rest) = split(rest)?;
            if *packed == 0 { rest.to_vec() } else { unpacked(rest)? }
        }
        _ => return None,
    };
    let text = std::str::from_utf8(&text).ok()?;
    let digits: String = text.split_ascii_whitespace().skip(2).collect();
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    digits.as_bytes().chunks_exact(2).map(|pair| Some(digit(&pair[0])? << 4 | digit(&pair[1])?)).collect()
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == 0)?;
    Some((&text[..end], &text[end + 1..]))
}

fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    ZlibDecoder::new(packed).take(MAX_PROFILE_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
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
