//! JPEG: segments. Read as libjpeg reads them, on which what viewers show is built: bytes between segments are passed
//! over, and a picture whose end is missing ends where the file does.

use std::io::{self, BufRead, ErrorKind, Read, Seek, Write};

use super::exif::{minimal_tiff, orientation};
use super::{array, bytes, malformed};

/// Start and end of an image.
const START: [u8; 2] = [0xff, 0xd8];
const END: u8 = 0xd9;

pub(super) fn strip(image: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<()> {
    if array(image)? != START {
        return Err(malformed("no start of image"));
    }
    out.write_all(&START)?;
    let mut image = io::BufReader::with_capacity(64 * 1024, image);
    let (mut turned, mut has_scan) = (false, false);
    let mut next = next_marker(&mut image);
    loop {
        let marker = match next {
            Ok(END) => break,
            Ok(marker) => marker,
            // Every viewer shows what was scanned by then.
            Err(error) if has_scan && error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        };
        if START[1] == marker {
            return Err(malformed("a marker stands where none may be"));
        }
        let segment = match segment(&mut image) {
            Err(error) if has_scan && error.kind() == ErrorKind::UnexpectedEof => break,
            segment => segment?,
        };
        let exif = segment.strip_prefix(b"Exif\0\0").filter(|_| marker == 0xe1 && !turned);
        if let Some(tiff) = exif {
            if let Some(orientation) = orientation(tiff) {
                write_segment(out, 0xe1, &[b"Exif\0\0", &minimal_tiff(orientation)[..]].concat())?;
            }
            turned = true;
        } else if let Some(kept) = kept_segment(marker, segment) {
            write_segment(out, marker, &kept)?;
        }
        next = if marker == 0xda {
            has_scan = true;
            copy_scan(&mut image, out)
        } else {
            next_marker(&mut image)
        };
    }
    out.write_all(&[0xff, END])
}

fn segment(image: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = u64::from(u16::from_be_bytes(array(image)?));
    bytes(image, length.checked_sub(2).ok_or_else(|| malformed("a segment too short"))?)
}

pub(super) fn write_segment(out: &mut impl Write, marker: u8, segment: &[u8]) -> io::Result<()> {
    let length = u16::try_from(segment.len() + 2).map_err(|_| malformed("a segment too long"))?;
    out.write_all(&[0xff, marker])?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(segment)
}

/// What stays of a segment.
fn kept_segment(marker: u8, mut segment: Vec<u8>) -> Option<Vec<u8>> {
    let keeps = match marker {
        // The density, and that colours are as JFIF has them; a thumbnail goes.
        0xe0 if segment.len() >= 14 && segment.starts_with(b"JFIF\0") => {
            segment.truncate(14);
            segment[12..].fill(0);
            true
        }
        // Colours.
        0xe2 => segment.starts_with(b"ICC_PROFILE\0"),
        // How colours are coded; decoders read twelve bytes of it, however many there are.
        0xee if segment.len() >= 12 && segment.starts_with(b"Adobe") => {
            segment.truncate(12);
            true
        }
        // Other applications' segments, and comments.
        0xe0..=0xef | 0xfe => false,
        // Tables, frames, scans: the picture.
        0xc0..=0xcf | 0xda..=0xdf => true,
        _ => false,
    };
    keeps.then_some(segment)
}

/// The next marker with a segment, or that of the end.
fn next_marker(image: &mut impl BufRead) -> io::Result<u8> {
    loop {
        image.skip_until(0xff)?;
        let mut marker = [0xff];
        // Any number of these may fill up.
        while marker == [0xff] {
            marker = array(image)?;
        }
        match marker {
            // No marker, or one that stands alone and says nothing here.
            [0 | 0x01 | 0xd0..=0xd7] => {}
            [marker] => return Ok(marker),
        }
    }
}

/// Copies the coded picture up to the next marker that ends it.
fn copy_scan(image: &mut impl BufRead, out: &mut impl Write) -> io::Result<u8> {
    loop {
        let available = image.fill_buf()?;
        if available.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let count = available.iter().position(|byte| *byte == 0xff).unwrap_or(available.len());
        out.write_all(&available[..count])?;
        let found = count < available.len();
        image.consume(count);
        if !found {
            continue;
        }
        let mut marker = [0xff];
        while marker == [0xff] {
            marker = array(image)?;
        }
        match marker[0] {
            0 | 0xd0..=0xd7 => out.write_all(&[0xff, marker[0]])?,
            marker => return Ok(marker),
        }
    }
}
