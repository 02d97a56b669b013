//! Takes out of images what their makers did not mean to tell: where and when they were taken, with which device, by
//! whom, and smaller versions of what was cut away.
//!
//! JPEG, PNG and WebP are read piece by piece and written anew from the pieces that make the picture: a piece that is
//! not known to be needed goes. How the picture is turned stays, as the only thing in an otherwise empty EXIF. The
//! picture itself is not decoded, so it loses nothing. A file that is not built as its format says is refused, not
//! passed on half-cleaned; what every viewer puts up with, such as spare bytes between pieces or a missing end, is put
//! right. What comes before the picture and after its end, where some phones put a film, goes too.

mod exif;
mod format;
mod jpeg;
mod png;
mod webp;

use std::io::{self, Read, Seek, Write};

pub use format::{Format, Found};

/// Largest piece that is read into memory, in bytes: EXIF has at most 64 KiB in a JPEG.
const MAX_EXIF_BYTES: u64 = 64 * 1024;

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it is not built as its format says: {what}"))
}

/// Copies an image without its metadata. `image` stands where the picture begins.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for a file that is not built as its format says, [`io::ErrorKind::Unsupported`]
/// for other formats, or what reading and writing say.
pub fn strip(format: Format, image: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Jpeg => jpeg::strip(image, out),
        Format::Png => png::strip(image, out),
        Format::WebP => webp::strip(image, out),
        Format::Opaque(_) | Format::Unknown | Format::Other => Err(io::ErrorKind::Unsupported.into()),
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::exif::{minimal_tiff, orientation};
    use super::jpeg::write_segment;
    use super::png::{crc32, write_chunk};
    use super::*;

    const SECRET: &[u8] = b"GPS 48.1 11.5";

    fn run(format: Format, image: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let found = Format::find("a", &mut Cursor::new(image)).unwrap();
        assert_eq!(found.format, format);
        let mut image = Cursor::new(image);
        image.set_position(found.lead);
        strip(format, &mut image, &mut out).map(|()| out)
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
        write_chunk(&mut out, kind, data).unwrap();
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
        // A picture of which something was scanned is shown by every viewer, so it is no error that its end is missing.
        let scan =
            |image: &[u8], marker: &[u8]| image.windows(marker.len()).position(|w| w == marker).unwrap();
        let (jpeg, png, webp) = (jpeg(6, b""), png(6), webp(6));
        let (scanned, drawn) = (scan(&jpeg, &[0xff, 0xda]) + 14, scan(&png, b"IEND") - 4);
        for (format, image, end) in
            [(Format::Jpeg, &jpeg, scanned), (Format::Png, &png, drawn), (Format::WebP, &webp, webp.len())]
        {
            for length in 16..end {
                let error = run(format, &image[..length]).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{format:?} {length}");
            }
        }
        for (format, image, begins) in [(Format::Jpeg, &jpeg, scanned), (Format::Png, &png, drawn)] {
            for length in begins..image.len() {
                let clean = run(format, &image[..length]).unwrap();
                assert!(!contains(&clean, SECRET), "{format:?} {length}");
                assert_eq!(run(format, &clean).unwrap(), clean);
                let end = if format == Format::Jpeg { &[0xff, 0xd9][..] } else { b"IEND\xae\x42\x60\x82" };
                assert!(clean.ends_with(end), "{format:?} {length}");
            }
        }
        for format in [
            Format::Other,
            Format::Unknown,
            Format::Opaque(file_format::FileFormat::GraphicsInterchangeFormat),
        ] {
            let unsupported = strip(format, &mut Cursor::new(b""), &mut Vec::new()).unwrap_err();
            assert_eq!(unsupported.kind(), io::ErrorKind::Unsupported);
        }
    }

    #[test]
    fn spare_bytes_before_and_inside_a_jpeg_go_and_the_picture_stays() {
        let image = jpeg(6, b"");
        let clean = run(Format::Jpeg, &image).unwrap();
        for spare in [&b"\n"[..], b"\0\0", SECRET, b"\xff\0 \xff\x01 \xff\xd3"] {
            assert_eq!(run(Format::Jpeg, &[b"\n", &image[..]].concat()).unwrap(), clean);
            // After the quantisation table.
            let at = image.windows(4).position(|window| window == [0xff, 0xdb, 0, 67]).unwrap() + 69;
            let image = [&image[..at], spare, &image[at..]].concat();
            assert_eq!(run(Format::Jpeg, &image).unwrap(), clean);
        }
    }

    #[test]
    fn how_colours_are_coded_stays_without_what_stands_behind_it() {
        let adobe = b"Adobe\0\x64\0\0\0\0\0";
        let jfif = b"JFIF\0\x01\x01\0\0\x01\0\x01";
        for (marker, kept, spare) in [
            (0xee, &adobe[..], SECRET),
            (0xe0, &[&jfif[..], &[0, 0]].concat()[..], b""),
            (0xe0, &[&jfif[..], &[0, 0]].concat(), SECRET),
        ] {
            let rest = [segment(0xdb, &[1; 65]), segment(0xda, &[2; 10]), b"scan\xff\xd9".to_vec()].concat();
            let image = [&[0xff, 0xd8][..], &segment(marker, &[kept, spare].concat()), &rest].concat();
            let clean = run(Format::Jpeg, &image).unwrap();
            assert_eq!(clean, [&[0xff, 0xd8][..], &segment(marker, kept), &rest].concat());
        }
        // A thumbnail goes, what JFIF says of the picture stays.
        let with_thumbnail = [&jfif[..], &[1, 1, 9, 9, 9]].concat();
        let image =
            [&[0xff, 0xd8][..], &segment(0xe0, &with_thumbnail), &segment(0xda, &[2; 10]), b"x\xff\xd9"]
                .concat();
        assert!(contains(
            &run(Format::Jpeg, &image).unwrap(),
            &segment(0xe0, &[&jfif[..], &[0, 0]].concat())
        ));
    }

    #[test]
    fn a_png_turned_by_a_text_profile_stays_turned() {
        let digits: String =
            [b"Exif\0\0", &exif(6)[..]].concat().iter().map(|byte| format!("{byte:02x}")).collect();
        let lines: Vec<&str> =
            digits.as_bytes().chunks(72).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let text = format!("\nexif\n      {}\n{}\n", digits.len() / 2, lines.join("\n"));
        let mut packed = Vec::new();
        flate2::read::ZlibEncoder::new(text.as_bytes(), flate2::Compression::fast())
            .read_to_end(&mut packed)
            .unwrap();
        for (kind, value) in [
            (b"tEXt", [b"Raw profile type exif\0", text.as_bytes()].concat()),
            (b"zTXt", [&b"Raw profile type APP1\0\0"[..], &packed].concat()),
            (b"iTXt", [&b"Raw profile type exif\0\0\0\0\0"[..], text.as_bytes()].concat()),
            (b"iTXt", [&b"Raw profile type exif\0\x01\0\0\0"[..], &packed].concat()),
        ] {
            let image = [
                b"\x89PNG\r\n\x1a\n".to_vec(),
                png_chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]),
                png_chunk(kind, &value),
                png_chunk(b"IDAT", b"pixels"),
                png_chunk(b"IEND", &[]),
            ]
            .concat();
            let clean = run(Format::Png, &image).unwrap();
            assert!(contains(&clean, &minimal_tiff(6)), "{kind:?}");
            assert!(!contains(&clean, SECRET) && !contains(&clean, b"Raw profile"));
        }
    }

    #[test]
    fn unknown_pieces_inside_a_moving_webp_go() {
        let chunk = |kind: &[u8; 4], data: &[u8]| {
            let length = u32::try_from(data.len()).unwrap().to_le_bytes();
            [&kind[..], &length, data, &vec![0; data.len() % 2]].concat()
        };
        let frame = |pieces: &[Vec<u8>]| chunk(b"ANMF", &[&[7; 16][..], &pieces.concat()].concat());
        let image = |frames: &[Vec<u8>]| {
            let body = [b"WEBP".to_vec(), chunk(b"VP8X", &[2; 10]), chunk(b"ANIM", &[0; 6]), frames.concat()]
                .concat();
            [&b"RIFF"[..], &u32::try_from(body.len()).unwrap().to_le_bytes(), &body].concat()
        };
        let (alpha, picture) = (chunk(b"ALPH", b"abc"), chunk(b"VP8 ", b"picture"));
        let told = image(&[
            frame(&[chunk(b"mine", SECRET), alpha.clone(), picture.clone(), chunk(b"EXIF", SECRET)]),
            frame(&[picture.clone(), chunk(b"XMP ", SECRET)]),
        ]);
        let clean = image(&[frame(&[alpha, picture.clone()]), frame(&[picture])]);
        assert_eq!(run(Format::WebP, &told).unwrap(), clean);
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
