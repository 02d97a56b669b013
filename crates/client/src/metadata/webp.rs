//! WebP: chunks in a RIFF file, and in its moving frames again.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::exif::{minimal_tiff, orientation};
use super::{MAX_EXIF_BYTES, array, bytes, copy, malformed, skip};

/// Flags of a WebP's `VP8X` chunk that announce EXIF and XMP.
const EXIF: u8 = 0x08;
const XMP: u8 = 0x04;

/// What a frame begins with before its chunks: place, size, time, flags.
const FRAME_HEADER_BYTES: u64 = 16;

/// Most chunks that are remembered; a film of some minutes has a few thousand frames.
const MAX_CHUNKS: usize = 65_536;

/// Pieces that make the picture, and those that make a frame of it.
const KEPT: [&[u8; 4]; 7] = [b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"];
const KEPT_IN_FRAME: [&[u8; 4]; 3] = [b"VP8 ", b"VP8L", b"ALPH"];

/// A chunk, and where its content is in the file.
struct Chunk {
    kind: [u8; 4],
    at: u64,
    length: u64,
}

impl Chunk {
    /// Bytes of its content, filled up to an even number.
    fn padded(&self) -> u64 {
        self.length + self.length % 2
    }
}

pub(super) fn strip(image: &mut (impl Read + Seek), out: &mut impl Write) -> io::Result<()> {
    let begins = image.stream_position()?;
    let (riff, size, webp): ([u8; 4], [u8; 4], [u8; 4]) = (array(image)?, array(image)?, array(image)?);
    let size = u64::from(u32::from_le_bytes(size));
    if &riff != b"RIFF" || &webp != b"WEBP" || size % 2 == 1 || size < 4 {
        return Err(malformed("no RIFF header"));
    }
    // The header says how long the rest is, so everything is looked at first.
    let chunks = list(image, begins + 12, begins + 8 + size)?;
    let (mut turned, mut kept) = (None, 4);
    for chunk in &chunks {
        if &chunk.kind == b"EXIF" && chunk.length <= MAX_EXIF_BYTES {
            image.seek(SeekFrom::Start(chunk.at))?;
            turned = orientation(&bytes(image, chunk.length)?);
        }
        kept += match &chunk.kind {
            b"ANMF" => 8 + frame_length(&frame(image, chunk)?),
            kind if KEPT.contains(&kind) => 8 + chunk.padded(),
            _ => 0,
        };
    }
    let exif = turned.map(minimal_tiff);
    kept += exif.as_ref().map_or(0, |exif| 8 + exif.len() as u64);
    write_head(out, b"RIFF", kept)?;
    out.write_all(b"WEBP")?;
    for chunk in chunks.iter().filter(|chunk| KEPT.contains(&&chunk.kind)) {
        match &chunk.kind {
            b"VP8X" => {
                write_head(out, &chunk.kind, chunk.length)?;
                image.seek(SeekFrom::Start(chunk.at))?;
                let [flags] = array(image)?;
                let exif = if exif.is_some() { EXIF } else { 0 };
                out.write_all(&[flags & !(EXIF | XMP) | exif])?;
                let rest = chunk.padded().checked_sub(1).ok_or_else(|| malformed("an empty chunk"))?;
                copy(image, out, rest)?;
            }
            b"ANMF" => {
                let pieces = frame(image, chunk)?;
                write_head(out, &chunk.kind, frame_length(&pieces))?;
                image.seek(SeekFrom::Start(chunk.at))?;
                copy(image, out, FRAME_HEADER_BYTES)?;
                for piece in &pieces {
                    write_chunk(image, out, piece)?;
                }
            }
            _ => write_chunk(image, out, chunk)?,
        }
    }
    if let Some(exif) = exif {
        write_head(out, b"EXIF", exif.len() as u64)?;
        out.write_all(&exif)?;
    }
    Ok(())
}

/// The chunks between two places, which must fill what lies between.
fn list(image: &mut (impl Read + Seek), mut place: u64, end: u64) -> io::Result<Vec<Chunk>> {
    let mut chunks = Vec::new();
    image.seek(SeekFrom::Start(place))?;
    while place < end {
        let (kind, length) = (array(image)?, u64::from(u32::from_le_bytes(array(image)?)));
        let chunk = Chunk { kind, at: place + 8, length };
        place = chunk.at + chunk.padded();
        skip(image, chunk.padded())?;
        if chunks.len() == MAX_CHUNKS {
            return Err(malformed("too many chunks"));
        }
        chunks.push(chunk);
    }
    if place == end { Ok(chunks) } else { Err(malformed("its chunks do not fill it")) }
}

/// The pieces of a frame that make its picture.
fn frame(image: &mut (impl Read + Seek), chunk: &Chunk) -> io::Result<Vec<Chunk>> {
    let begins = chunk.at + FRAME_HEADER_BYTES;
    if chunk.length < FRAME_HEADER_BYTES {
        return Err(malformed("a frame too short"));
    }
    let mut pieces = list(image, begins, chunk.at + chunk.padded())?;
    pieces.retain(|piece| KEPT_IN_FRAME.contains(&&piece.kind));
    Ok(pieces)
}

fn frame_length(pieces: &[Chunk]) -> u64 {
    FRAME_HEADER_BYTES + pieces.iter().map(|piece| 8 + piece.padded()).sum::<u64>()
}

fn write_head(out: &mut impl Write, kind: &[u8; 4], length: u64) -> io::Result<()> {
    out.write_all(kind)?;
    out.write_all(&u32::try_from(length).map_err(|_| malformed("too long"))?.to_le_bytes())
}

fn write_chunk(image: &mut (impl Read + Seek), out: &mut impl Write, chunk: &Chunk) -> io::Result<()> {
    write_head(out, &chunk.kind, chunk.length)?;
    image.seek(SeekFrom::Start(chunk.at))?;
    copy(image, out, chunk.padded())
}
