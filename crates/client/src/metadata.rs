//! Takes out of images what their makers did not mean to tell: where and when they were taken, with which device, by
//! whom, and smaller versions of what was cut away.
//!
//! JPEG, PNG and WebP are read piece by piece and written anew from the pieces that make the picture: a piece that is
//! not known to be needed goes. How the picture is turned stays, as the only thing in an otherwise empty EXIF. The
//! picture itself is not decoded, so it loses nothing. A file that is not built as its format says is refused, not
//! passed on half-cleaned. What comes after the picture's end, where some phones put a film, goes too.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// Largest piece that is read into memory, in bytes: EXIF has at most 64 KiB in a JPEG.
const MAX_EXIF_BYTES: u64 = 64 * 1024;

/// What a file is, as far as its metadata goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
    /// An image or a film whose metadata cannot be removed here, with its media type.
    Opaque(&'static str),
    /// No image.
    Other,
}

impl Format {
    /// The format of a file that begins with these bytes, 16 at least where it has so many.
    pub fn of(start: &[u8]) -> Self {
        let brand = start.get(8..12);
        match start {
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Self::Png,
            [b'R', b'I', b'F', b'F', ..] if brand == Some(b"WEBP") => Self::WebP,
            [b'G', b'I', b'F', b'8', ..] => Self::Opaque("image/gif"),
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Self::Opaque("image/tiff"),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Self::Opaque(match brand {
                Some(b"avif" | b"avis") => "image/avif",
                Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"mif1" | b"msf1") => "image/heic",
                _ => "video/mp4",
            }),
            [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', ..] => Self::Opaque("image/jxl"),
            _ => Self::Other,
        }
    }

    /// Its media type, if it says one.
    pub fn media_type(self) -> Option<&'static str> {
        match self {
            Self::Jpeg => Some("image/jpeg"),
            Self::Png => Some("image/png"),
            Self::WebP => Some("image/webp"),
            Self::Opaque(media_type) => Some(media_type),
            Self::Other => None,
        }
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it is not built as its format says: {what}"))
}

/// Copies an image without its metadata. `image` stands at its beginning.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for a file that is not built as its format says, [`io::ErrorKind::Unsupported`]
/// for other formats, or what reading and writing say.
pub fn strip(format: Format, image: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Jpeg => strip_jpeg(image, out),
        Format::Png => strip_png(image, out),
        Format::WebP => strip_webp(image, out),
        Format::Opaque(_) | Format::Other => Err(io::ErrorKind::Unsupported.into()),
    }
    .map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => malformed("it ends too early"),
        _ => error,
    })
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn bytes(from: &mut impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(count).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == count { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn copy(from: &mut impl Read, to: &mut impl Write, count: u64) -> io::Result<()> {
    let copied = io::copy(&mut from.take(count), to)?;
    if copied == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn skip(from: &mut (impl Read + Seek), count: u64) -> io::Result<()> {
    copy(from, &mut io::sink(), count)
}

/// How the picture is turned, 2 to 8, if the TIFF structure in EXIF says so; 1 is not worth a word.
fn orientation(tiff: &[u8]) -> Option<u16> {
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
fn minimal_tiff(orientation: u16) -> Vec<u8> {
    let mut tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    tiff.extend_from_slice(&orientation.to_be_bytes());
    tiff.extend_from_slice(&[0; 6]);
    tiff
}

fn strip_jpeg(image: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<()> {
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

fn write_segment(out: &mut impl Write, marker: u8, segment: &[u8]) -> io::Result<()> {
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

/// Chunks of PNG that make the picture or its colours; all others go.
const PNG_KEPT: [&[u8; 4]; 18] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP",
    b"mDCV", b"cLLI", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT",
];

fn strip_png(image: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<()> {
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
        if PNG_KEPT.contains(&&kind) {
            out.write_all(&u32::try_from(length).map_err(|_| malformed("a chunk too long"))?.to_be_bytes())?;
            out.write_all(&kind)?;
            // With its checksum.
            copy(image, out, length + 4)?;
        } else if &kind == b"eXIf" && length <= MAX_EXIF_BYTES {
            let exif = bytes(image, length)?;
            skip(image, 4)?;
            if let Some(orientation) = orientation(&exif) {
                write_png_chunk(out, b"eXIf", &minimal_tiff(orientation))?;
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

fn write_png_chunk(out: &mut impl Write, kind: &[u8; 4], data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(|_| malformed("a chunk too long"))?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(kind)?;
    out.write_all(data)?;
    out.write_all(&crc32(&[&kind[..], data]).to_be_bytes())
}

/// The checksum of PNG (ISO 3309); a few bytes a file, so a table would not pay.
fn crc32(parts: &[&[u8]]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1)))
    };
    !parts.iter().flat_map(|part| part.iter()).fold(u32::MAX, step)
}

/// Flags of a WebP's `VP8X` chunk that announce EXIF and XMP.
const WEBP_EXIF: u8 = 0x08;
const WEBP_XMP: u8 = 0x04;

fn strip_webp(image: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<()> {
    let (riff, size, webp): ([u8; 4], [u8; 4], [u8; 4]) = (array(image)?, array(image)?, array(image)?);
    let end = u64::from(u32::from_le_bytes(size)) + 8;
    if &riff != b"RIFF" || &webp != b"WEBP" || end % 2 == 1 {
        return Err(malformed("no RIFF header"));
    }
    // The header says how long the rest is, so everything is looked at first.
    let (mut place, mut kept, mut turned) = (12, 4, None);
    while place < end {
        let (kind, length) = webp_chunk(image)?;
        let whole = 8 + length + length % 2;
        if &kind == b"EXIF" && length <= MAX_EXIF_BYTES {
            let exif = bytes(image, length)?;
            skip(image, length % 2)?;
            turned = orientation(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif));
        } else {
            skip(image, length + length % 2)?;
        }
        kept += if webp_keeps(&kind) { whole } else { 0 };
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
        let (kind, length) = webp_chunk(image)?;
        place += 8 + length + length % 2;
        if !webp_keeps(&kind) {
            skip(image, length + length % 2)?;
            continue;
        }
        out.write_all(&kind)?;
        out.write_all(&u32::try_from(length).map_err(|_| malformed("too long"))?.to_le_bytes())?;
        if &kind == b"VP8X" {
            let [flags] = array(image)?;
            let exif = if exif.is_some() { WEBP_EXIF } else { 0 };
            out.write_all(&[flags & !(WEBP_EXIF | WEBP_XMP) | exif])?;
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

fn webp_chunk(image: &mut impl Read) -> io::Result<([u8; 4], u64)> {
    Ok((array(image)?, u64::from(u32::from_le_bytes(array(image)?))))
}

fn webp_keeps(kind: &[u8; 4]) -> bool {
    [b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"].contains(&kind)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const SECRET: &[u8] = b"GPS 48.1 11.5";

    fn run(format: Format, image: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        assert_eq!(Format::of(image), format);
        strip(format, &mut Cursor::new(image), &mut out).map(|()| out)
    }

    fn contains(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    /// EXIF as cameras write it, little-endian, with the orientation among other things.
    fn exif(orientation: u16) -> Vec<u8> {
        let mut tiff = b"II\x2a\0\x08\0\0\0\x02\0".to_vec();
        tiff.extend_from_slice(b"\x0f\x01\x02\0\x0d\0\0\0\x26\0\0\0");
        tiff.extend_from_slice(b"\x12\x01\x03\0\x01\0\0\0");
        tiff.extend_from_slice(&[orientation as u8, 0, 0, 0, 0, 0, 0, 0]);
        tiff.extend_from_slice(SECRET);
        tiff
    }

    fn segment(marker: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_segment(&mut out, marker, bytes).unwrap();
        out
    }

    fn jpeg(orientation: u16, after: &[u8]) -> Vec<u8> {
        [
            &[0xff, 0xd8][..],
            &segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
            &segment(0xe1, &[b"Exif\0\0", &exif(orientation)[..]].concat()),
            &segment(0xe1, &[b"http://ns.adobe.com/xap/1.0/\0", SECRET].concat()),
            &segment(0xed, SECRET),
            &segment(0xe2, b"ICC_PROFILE\0\x01\x01colours"),
            &segment(0xe2, &[b"MPF\0", SECRET].concat()),
            &segment(0xfe, SECRET),
            &segment(0xdb, &[1; 65]),
            &segment(0xda, &[2; 10]),
            b"scan\xff\0more\xff\xd0rest",
            // Some writers put a comment between the scans of a picture that builds up.
            &segment(0xfe, SECRET),
            &segment(0xda, &[3; 10]),
            b"second\xff\xff\xd9",
            after,
        ]
        .concat()
    }

    fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_png_chunk(&mut out, kind, data).unwrap();
        out
    }

    fn png(orientation: u16) -> Vec<u8> {
        [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            png_chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]),
            png_chunk(b"tEXt", SECRET),
            png_chunk(b"eXIf", &exif(orientation)),
            png_chunk(b"tIME", &[7; 7]),
            png_chunk(b"gAMA", &[0, 0, 1, 1]),
            png_chunk(b"IDAT", b"pixels"),
            png_chunk(b"IEND", &[]),
            SECRET.to_vec(),
        ]
        .concat()
    }

    fn webp(orientation: u16) -> Vec<u8> {
        let chunk = |kind: &[u8; 4], data: &[u8]| {
            let length = u32::try_from(data.len()).unwrap().to_le_bytes();
            [&kind[..], &length, data, &vec![0; data.len() % 2]].concat()
        };
        let body = [
            b"WEBP".to_vec(),
            chunk(b"VP8X", &[0x2c, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            chunk(b"ICCP", b"colours"),
            chunk(b"VP8 ", b"picture"),
            chunk(b"EXIF", &exif(orientation)),
            chunk(b"XMP ", SECRET),
            chunk(b"mine", SECRET),
        ]
        .concat();
        [&b"RIFF"[..], &u32::try_from(body.len()).unwrap().to_le_bytes(), &body].concat()
    }

    #[test]
    fn secrets_go_and_the_picture_stays() {
        for (format, image, parts) in [
            (
                Format::Jpeg,
                jpeg(1, SECRET),
                &[&b"JFIF"[..], b"colours", b"scan\xff\0more\xff\xd0rest", b"second"][..],
            ),
            (Format::Png, png(1), &[b"IHDR", b"gAMA", b"pixels", b"IEND"]),
            (Format::WebP, webp(1), &[b"VP8X", b"colours", b"picture"]),
        ] {
            assert!(contains(&image, SECRET));
            let clean = run(format, &image).unwrap();
            assert!(!contains(&clean, SECRET), "{format:?}");
            assert!(parts.iter().all(|part| contains(&clean, part)), "{format:?}");
            // Clean already: nothing more to do.
            assert_eq!(run(format, &clean).unwrap(), clean);
        }
        // An upright picture needs no word about it.
        assert!(!contains(&run(Format::Jpeg, &jpeg(1, b"")).unwrap(), b"Exif"));
        assert_eq!(crc32(&[b"IEND"]), 0xae42_6082);
    }

    #[test]
    fn how_a_picture_is_turned_survives() {
        for (format, image) in [(Format::Jpeg, jpeg(6, b"")), (Format::Png, png(6)), (Format::WebP, webp(6))]
        {
            let clean = run(format, &image).unwrap();
            assert!(contains(&clean, &minimal_tiff(6)) && !contains(&clean, SECRET), "{format:?}");
            assert_eq!(run(format, &clean).unwrap(), clean);
        }
        assert_eq!(orientation(&minimal_tiff(6)), Some(6));
        assert_eq!(
            (orientation(&exif(8)), orientation(&exif(1)), orientation(&exif(9))),
            (Some(8), None, None)
        );
    }

    #[test]
    fn what_is_cut_off_or_broken_is_refused() {
        for (format, image) in [(Format::Jpeg, jpeg(6, b"")), (Format::Png, png(6)), (Format::WebP, webp(6))]
        {
            let end = image.len() - if format == Format::Png { SECRET.len() } else { 0 };
            for length in 16..end {
                let error = run(format, &image[..length]).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{format:?} {length}");
            }
        }
        let unsupported = strip(Format::Other, &mut Cursor::new(b""), &mut Vec::new()).unwrap_err();
        assert_eq!(unsupported.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn other_images_are_recognised() {
        for (start, media_type) in [
            (&b"GIF89a"[..], "image/gif"),
            (b"\0\0\0\x18ftypheic", "image/heic"),
            (b"\0\0\0\x18ftypavif", "image/avif"),
            (b"\0\0\0\x18ftypisom", "video/mp4"),
            (b"II\x2a\0", "image/tiff"),
        ] {
            assert_eq!(Format::of(start), Format::Opaque(media_type));
        }
        assert_eq!((Format::of(b"%PDF-1.7"), Format::of(b"")), (Format::Other, Format::Other));
    }

    proptest! {
        #[test]
        fn nothing_panics_and_no_secret_stays(mut image: Vec<u8>, kind in 0..3usize, at: usize, byte: u8) {
            let format = [Format::Jpeg, Format::Png, Format::WebP][kind];
            drop(strip(format, &mut Cursor::new(&image), &mut Vec::new()));
            let _ = orientation(&image);
            image = [jpeg(6, b""), png(6), webp(6)][kind].clone();
            let at = at % image.len();
            image[at] = byte;
            drop(strip(format, &mut Cursor::new(&image), &mut Vec::new()));
        }

        #[test]
        fn any_entries_around_it_leave_the_orientation(before in 0usize..20, turned in 2u16..=8) {
            let mut tiff = b"MM\0\x2a\0\0\0\x08".to_vec();
            tiff.extend_from_slice(&u16::try_from(before + 1).unwrap().to_be_bytes());
            tiff.extend_from_slice(&[9; 12].repeat(before));
            tiff.extend_from_slice(&minimal_tiff(turned)[10..]);
            prop_assert_eq!(orientation(&tiff), Some(turned));
        }
    }
}
