//! JPEG: segments.

use std::io::{self, Read, Seek, Write};

use super::exif::{minimal_tiff, orientation};
use super::{array, bytes, malformed};

pub(super) fn strip(image: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<()> {
    if array(image)? != [0xff, 0xd8] {
        return Err(malformed("no start of image"));
    }
    out.write_all(&[0xff, 0xd8])?;
    let mut image = io::BufReader::with_capacity(64 * 1024, image);
    let mut turned = false;
    let mut marker = next_marker(&mut image)?;
    loop {
        match marker {
            0xd9 => return out.write_all(&[0xff, 0xd9]),
            0x01 | 0xd0..=0xd8 => return Err(malformed("a marker stands where none may be")),
            _ => {}
        }
        let length = u64::from(u16::from_be_bytes(array(&mut image)?));
        let segment =
            bytes(&mut image, length.checked_sub(2).ok_or_else(|| malformed("a segment too short"))?)?;
        if marker == 0xe1
            && !turned
            && let Some(tiff) = segment.strip_prefix(b"Exif\0\0")
        {
            if let Some(orientation) = orientation(tiff) {
                write_segment(out, 0xe1, &[b"Exif\0\0", &minimal_tiff(orientation)[..]].concat())?;
            }
            turned = true;
        } else if let Some(kept) = kept_segment(marker, &segment) {
            write_segment(out, marker, kept)?;
        }
        marker = if marker == 0xda { copy_scan(&mut image, out)? } else { next_marker(&mut image)? };
    }
}

pub(super) fn write_segment(out: &mut impl Write, marker: u8, segment: &[u8]) -> io::Result<()> {
    let length = u16::try_from(segment.len() + 2).map_err(|_| malformed("a segment too long"))?;
    out.write_all(&[0xff, marker])?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(segment)
}

/// What stays of a segment.
fn kept_segment(marker: u8, segment: &[u8]) -> Option<&[u8]> {
    match marker {
        // JFIF says the density; one with a thumbnail goes, as the picture does without.
        0xe0 => (segment.len() == 14 && segment.starts_with(b"JFIF\0") && segment[12..] == [0, 0])
            .then_some(segment),
        // Colours.
        0xe2 => segment.starts_with(b"ICC_PROFILE\0").then_some(segment),
        0xee => (segment.len() == 12 && segment.starts_with(b"Adobe")).then_some(segment),
        // Other applications' segments, and comments.
        0xe1..=0xef | 0xfe => None,
        // Tables, frames, scans: the picture.
        0xc0..=0xcf | 0xda..=0xdf => Some(segment),
        _ => None,
    }
}

fn next_marker(image: &mut impl Read) -> io::Result<u8> {
    if array(image)? != [0xff] {
        return Err(malformed("no marker where one must be"));
    }
    loop {
        // Any number of these may fill up.
        match array(image)? {
            [0xff] => {}
            [0] => return Err(malformed("no marker where one must be")),
            [marker] => return Ok(marker),
        }
    }
}

/// Copies the coded picture up to the next marker that ends it.
fn copy_scan(image: &mut impl io::BufRead, out: &mut impl Write) -> io::Result<u8> {
    loop {
        let available = image.fill_buf()?;
        if available.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
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
