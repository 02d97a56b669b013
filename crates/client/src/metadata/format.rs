//! What a file is, by its first bytes and by its name: whatever looks like a picture or a film to either is treated as
//! one.

use std::io::{self, Read, Seek, SeekFrom};

use file_format::{FileFormat, Kind};

/// Bytes in which a picture may begin when its name says JPEG.
const MAX_LEAD_BYTES: usize = 8 * 1024;

/// Bytes that may stand before a picture whatever its name: a line feed of a mail program, for example.
const MAX_UNNAMED_LEAD_BYTES: usize = 64;

/// What a file is, as far as its metadata goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
    /// An image or a film whose metadata cannot be removed here.
    Opaque(FileFormat),
    /// Called like an image or a film, and built like none that is known.
    Unknown,
    /// No image.
    Other,
}

/// A format, and where in the file it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The format.
    pub format: Format,
    /// Bytes before the picture that are no part of it.
    pub lead: u64,
}

impl Format {
    /// Looks at a file of this name, and leaves it at its beginning.
    ///
    /// # Errors
    /// What reading says.
    pub fn find(name: &str, file: &mut (impl Read + Seek)) -> io::Result<Found> {
        let mut start = Vec::new();
        file.by_ref().take(MAX_LEAD_BYTES as u64 + 16).read_to_end(&mut start)?;
        file.seek(SeekFrom::Start(0))?;
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
        if let Some(format) = cleaned(&start) {
            return Ok(Found { format, lead: 0 });
        }
        let is_text = is_text(&start);
        // "The free lunch" is no film, though `free` stands where a film's first atom is named.
        if let Some(format) = known_besides(&start).filter(|_| !is_text) {
            return Ok(Found { format, lead: 0 });
        }
        let recognised = FileFormat::from_reader(&mut *file)?;
        file.seek(SeekFrom::Start(0))?;
        let nothing_else =
            matches!(recognised, FileFormat::ArbitraryBinaryData | FileFormat::PlainText | FileFormat::Empty);
        if matches!(recognised.kind(), Kind::Image | Kind::Video) && (!is_text || is_drawing(recognised)) {
            return Ok(Found { format: Format::Opaque(recognised), lead: 0 });
        }
        // Containers of sound and of films: what cannot be told to be sound alone is a film.
        let is_container = [&b"\x1a\x45\xdf\xa3"[..], b"\x30\x26\xb2\x75", b".RMF"]
            .iter()
            .any(|signature| start.starts_with(signature));
        if is_container && !is_text && recognised.kind() != Kind::Audio {
            return Ok(Found { format: Format::Opaque(recognised), lead: 0 });
        }
        if nothing_else {
            let within =
                if JPEG_ENDINGS.contains(&ending.as_str()) { MAX_LEAD_BYTES } else { MAX_UNNAMED_LEAD_BYTES };
            let begins =
                (1..=within.min(start.len())).find_map(|lead| Some((cleaned(&start[lead..])?, lead)));
            if let Some((format, lead)) = begins {
                return Ok(Found { format, lead: lead as u64 });
            }
        }
        // Text that ends like a film is a program or a subtitle; a drawing is text, too.
        let is_called = DRAWING_ENDINGS.contains(&ending.as_str())
            || (!is_text || JPEG_ENDINGS.contains(&ending.as_str())) && ENDINGS.contains(&ending.as_str());
        Ok(Found { format: if is_called { Format::Unknown } else { Format::Other }, lead: 0 })
    }

    /// Its media type, if it says one.
    pub fn media_type(&self) -> Option<&str> {
        match self {
            Self::Jpeg => Some("image/jpeg"),
            Self::Png => Some("image/png"),
            Self::WebP => Some("image/webp"),
            Self::Opaque(opaque) => Some(opaque.media_type()),
            Self::Unknown | Self::Other => None,
        }
    }
}

/// A format whose metadata is taken out here.
fn cleaned(start: &[u8]) -> Option<Format> {
    match start {
        [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Format::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::WebP),
        _ => None,
    }
}

/// What the detector knows not at all, only when more of it is there, or not as a picture: QuickTime films from before
/// there was a type at the beginning, pictures of cameras whose makers changed the signature of TIFF, and DICOM.
fn known_besides(start: &[u8]) -> Option<Format> {
    match start.get(..4) {
        Some(b"IIRO" | b"IIRS" | b"MMOR") => return Some(Format::Opaque(FileFormat::OlympusRawFormat)),
        Some(b"IIU\0") => return Some(Format::Opaque(FileFormat::PanasonicRaw)),
        Some(b"II\xbc\x01") => return Some(Format::Opaque(FileFormat::JpegExtendedRange)),
        Some(b"II\x2a\0" | b"MM\0\x2a" | b"II\x2b\0" | b"MM\0\x2b") => {
            return Some(Format::Opaque(FileFormat::TagImageFileFormat));
        }
        Some(b"8BPS") => return Some(Format::Opaque(FileFormat::AdobePhotoshopDocument)),
        Some(b"\xc5\xd0\xd3\xc6") => return Some(Format::Opaque(FileFormat::EncapsulatedPostscript)),
        _ => {}
    }
    match start.get(4..8) {
        Some(b"ftyp") => match start.get(8..12) {
            Some(b"avif" | b"avis") => Some(Format::Opaque(FileFormat::Av1ImageFileFormat)),
            Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"mif1" | b"msf1") => {
                Some(Format::Opaque(FileFormat::HighEfficiencyImageCoding))
            }
            _ => Some(Format::Opaque(FileFormat::Mpeg4Part14Video)),
        },
        Some(b"moov" | b"mdat" | b"wide" | b"pnot" | b"skip" | b"free") => {
            Some(Format::Opaque(FileFormat::AppleQuicktime))
        }
        _ if start.get(128..132) == Some(b"DICM") => {
            Some(Format::Opaque(FileFormat::DigitalImagingAndCommunicationsInMedicine))
        }
        _ => None,
    }
}

/// Whether this is text, as far as was read; the last character may be cut.
fn is_text(start: &[u8]) -> bool {
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}'))
}

/// Pictures that are text.
fn is_drawing(format: FileFormat) -> bool {
    matches!(
        format,
        FileFormat::ScalableVectorGraphics | FileFormat::EncapsulatedPostscript | FileFormat::XPixmap
    )
}

/// Endings of JPEG files.
const JPEG_ENDINGS: [&str; 6] = ["jpg", "jpeg", "jpe", "jfif", "jif", "mpo"];

/// Endings of pictures that may be text.
const DRAWING_ENDINGS: [&str; 9] = ["svg", "svgz", "eps", "epsf", "ps", "ai", "xpm", "ppm", "pgm"];

/// Endings of pictures and films.
#[rustfmt::skip]
const ENDINGS: [&str; 117] = [
    "jpg", "jpeg", "jpe", "jfif", "jif", "mpo", "png", "apng", "webp", "gif", "bmp", "dib", "ico", "cur", "ani", "icns",
    "tif", "tiff", "heic", "heif", "heics", "heifs", "avif", "avifs", "jxl", "jp2", "j2k", "j2c", "jpc", "jpx", "jpf",
    "jpm", "mj2", "jls", "jxr", "wdp", "hdp", "psd", "psb", "xcf", "kra", "ora", "tga", "pcx", "dds", "exr", "hdr", "qoi",
    "flif", "bpg", "mng", "jng", "wmf", "emf", "pbm", "pam", "pnm", "sgi", "djvu", "djv", "dcm", "dng", "cr2", "cr3",
    "crw", "nef", "nrw", "arw", "srf", "sr2", "orf", "rw2", "raf", "pef", "srw", "x3f", "mrw", "kdc", "dcr", "erf", "3fr",
    "iiq", "rwl", "gpr", "insp", "mp4", "m4v", "mov", "qt", "3gp", "3g2", "avi", "divx", "mkv", "mk3d", "webm", "wmv",
    "asf", "flv", "f4v", "mpg", "mpeg", "mpe", "m2v", "vob", "ts", "mts", "m2ts", "m2t", "ogv", "ogm", "rm", "rmvb",
    "mxf", "dv", "insv", "lrv",
];

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn format(name: &str, bytes: &[u8]) -> Format {
        Format::find(name, &mut Cursor::new(bytes)).unwrap().format
    }

    #[test]
    fn other_images_and_films_are_recognised_whatever_they_are_called() {
        let mp4 = |brand: &[u8; 4]| [b"\0\0\0\x18ftyp", &brand[..], &[0; 12]].concat();
        let avi = [b"RIFF\x7e\x17\0\0AVI LIST", &[0; 64][..]].concat();
        let ico = [b"\0\0\x01\0\x01\0\x30\x20\0\0\x01\0\x20\0\x58\x01\0\0\x16\0\0\0", &[0; 64][..]].concat();
        let mkv = [b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", &[0; 64][..]].concat();
        for start in [
            &b"GIF89a\0\0"[..],
            &mp4(b"heic"),
            &mp4(b"avif"),
            &mp4(b"isom"),
            &mp4(b"qt  "),
            &mp4(b"crx "),
            b"II\x2a\0\x08\0\0\0",
            b"MM\0\x2a\0\0\0\x08",
            b"IIRO\x08\0\0\0",
            b"IIRS\x08\0\0\0",
            b"IIU\0\x08\0\0\0",
            b"II\xbc\x01\x08\0\0\0",
            b"FUJIFILMCCD-RAW 0201FF393101X\0\0\0\x01",
            b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ",
            b"\xff\x4f\xff\x51\0\x29",
            b"8BPS\0\x01\0\0",
            b"<?xml version=\"1.0\"?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"%!PS-Adobe-3.0 EPSF-3.0\n",
            b"\xc5\xd0\xd3\xc6\x20\0\0\0",
            b"\0\0\0\x9amoov\0\0\0\x6cmvhd\0\0",
            b"\0\0\0\x08wide\0\0\0\0mdat",
            &avi,
            &ico,
            &mkv,
        ] {
            for name in ["bericht", "bericht.dat", "bild.jpg"] {
                let found = format(name, start);
                assert!(matches!(found, Format::Opaque(_)), "{name} {:?}: {found:?}", &start[..8]);
            }
        }
    }

    #[test]
    fn what_is_called_a_picture_or_film_is_never_taken_for_something_else() {
        for name in ["a.jpg", "a.JPEG", "a.orf", "a.Mov", "a.heic", "a.dng", "a.mts"] {
            assert_eq!(format(name, b"\x01\x02\x03\0\x05"), Format::Unknown, "{name}");
        }
        for name in ["a.svg", "a.eps", "a.jpg"] {
            assert_eq!(format(name, b"some text"), Format::Unknown, "{name}");
        }
    }

    #[test]
    fn what_is_no_picture_goes_as_it_is() {
        for (name, bytes) in [
            ("a.pdf", &b"%PDF-1.7\n"[..]),
            ("a.txt", b"BMX-Rennen am Samstag"),
            ("a.txt", b"P5 und P6 sind fertig"),
            ("a.txt", b"The free lunch is on Monday"),
            ("a.txt", b"8BPS is how a drawing of Photoshop begins"),
            ("a.txt", b".RMF was the sign of RealMedia"),
            ("a.ts", b"export const a = 1;\n"),
            ("a.csv", "Name;Klasse\nMöller;7b\n".as_bytes()),
            ("a.docx", b"PK\x03\x04\x14\0\0\0\x08\0"),
            ("a.wav", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0"),
            ("leer", b""),
            ("a.bin", &[7; 300]),
        ] {
            assert_eq!(format(name, bytes), Format::Other, "{name}");
        }
    }

    #[test]
    fn what_stands_before_a_picture_does_not_hide_it() {
        let find = |name: &str, lead: usize| {
            let bytes = [&vec![b'\n'; lead][..], &[0xff, 0xd8, 0xff, 0xe1, 0, 4, 1, 1]].concat();
            Format::find(name, &mut Cursor::new(bytes)).unwrap()
        };
        for (name, lead) in [("a", 1), ("a.dat", 64), ("a.jpg", 1), ("a.jpg", 8 * 1024)] {
            assert_eq!(find(name, lead), Found { format: Format::Jpeg, lead: lead as u64 }, "{name} {lead}");
        }
        assert_eq!(find("a.jpg", 8 * 1024 + 1).format, Format::Unknown);
    }
}
