//! Frames: a request head nobody reads, a body, and three line ends that close it.
//!
//! A frame is everything up to the first `CR LF CR LF CR LF`. Its body follows the text `content=`; the kind
//! stands directly before that, as `type=0095a&`, at the start of a line. The original looks for the kind
//! anywhere in the frame, so that Base64 could imitate it; here it counts only in its place.

use crate::lenient_base64;

/// What ends a frame.
pub const END: &[u8] = b"\r\n\r\n\r\n";

/// What begins a body.
const CONTENT: &[u8] = b"content=";

/// The header that says how long the body is, and where in a frame it stands at the latest.
const LENGTH: &[u8] = b"Content-Length: ";
const MAX_HEAD_BYTES: usize = 1024;

/// Largest frame either side takes, in bytes, as the original.
pub const MAX_FRAME_BYTES: usize = 8 * 1024 * 1024;

/// What a typed frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `0014`: the other end's name and limits; keeps the line alive.
    Capabilities,
    /// `0095a`: one routing identity of the sender's.
    Identity,
    /// `0095b`: all its routing identities.
    Identities,
    /// `0096`: the sender wants everything; Spot-On-Lite says so by `0111`.
    Unsolicited,
    /// `0097a`: prove who you are.
    Challenge,
    /// `0097b`: the proof.
    Response,
    /// A kind nobody here knows.
    Other,
}

impl Kind {
    fn of(number: &[u8]) -> Self {
        match number {
            b"0014" => Self::Capabilities,
            b"0095a" => Self::Identity,
            b"0095b" => Self::Identities,
            b"0096" | b"0111" => Self::Unsolicited,
            b"0097a" => Self::Challenge,
            b"0097b" => Self::Response,
            _ => Self::Other,
        }
    }
}

/// A frame, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// `None`: a payload.
    pub kind: Option<Kind>,
    /// What stands after `content=`, without white space at its ends.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes a frame apart; any bytes are a frame.
    pub fn read(bytes: &'a [u8]) -> Self {
        let Some(at) = bytes.windows(CONTENT.len()).position(|window| window == CONTENT) else {
            return Self { kind: None, body: trimmed(bytes) };
        };
        let line = bytes[..at].rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let number = line.strip_prefix(b"type=").and_then(|rest| rest.strip_suffix(b"&"));
        Self { kind: number.map(Kind::of), body: trimmed(&bytes[at + CONTENT.len()..]) }
    }
}

/// Without bytes up to U+0020 at either end.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| *byte > b' ';
    let Some(first) = bytes.iter().position(is_text) else { return &[] };
    let last = bytes.iter().rposition(is_text).unwrap_or(first);
    &bytes[first..=last]
}

/// Cuts what arrives into frames, holding no more than its limit.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    /// How far the end was looked for.
    searched: usize,
    limit: usize,
    /// The rest of an oversized frame is being thrown away.
    skips: bool,
}

impl FrameReader {
    /// A reader of frames of up to `limit` bytes; a larger one is thrown away, and nobody is disconnected for it.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), searched: 0, limit, skips: false }
    }

    /// Allows larger frames, or smaller ones, from now on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The largest frame that is taken, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// How large the frame that has begun says it is, in bytes, its head included; it may be wrong, and nobody goes by
    /// it but to be prepared.
    pub fn announced(&self) -> Option<usize> {
        let head = &self.buffer[..self.buffer.len().min(MAX_HEAD_BYTES)];
        let position = |what: &[u8]| head.windows(what.len()).position(|window| window == what);
        let number = &head[position(LENGTH)? + LENGTH.len()..];
        let number = number.split(|byte| !byte.is_ascii_digit()).next()?;
        let length: usize = std::str::from_utf8(number).ok()?.parse().ok()?;
        Some((position(b"\r\n\r\n")? + 4).saturating_add(length))
    }

    /// Whether part of a frame is there.
    pub fn is_within_a_frame(&self) -> bool {
        self.skips || !self.buffer.is_empty()
    }

    /// Forgets what is held.
    pub fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Takes in what arrived. The caller reads all frames before it calls again, so that no more than the limit
    /// and one reading are held.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete frame, its end included.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        loop {
            let from = self.searched.saturating_sub(END.len() - 1);
            let found = self.buffer[from..].windows(END.len()).position(|window| window == END);
            let Some(at) = found else {
                self.searched = self.buffer.len();
                if self.skips || self.buffer.len() > self.limit {
                    // Only what may be the beginning of the end is worth keeping.
                    let kept = self.buffer.len().min(END.len() - 1);
                    self.buffer = self.buffer.split_off(self.buffer.len() - kept);
                    self.searched = 0;
                    self.skips = true;
                } else if self.buffer.is_empty() {
                    // What a large frame needed is given back.
                    self.buffer = Vec::new();
                }
                return None;
            };
            let end = from + at + END.len();
            let rest = self.buffer.split_off(end);
            let frame = std::mem::replace(&mut self.buffer, rest);
            self.searched = 0;
            if !std::mem::take(&mut self.skips) && frame.len() <= self.limit {
                return Some(frame);
            }
        }
    }
}

/// A frame of some kind around a body that is text already.
pub fn typed(kind: &str, body: &str) -> Vec<u8> {
    let section = format!("type={kind}&content={body}\r\n\r\n\r\n");
    format!(
        "POST HTTP/1.1\r\nContent-Length: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n{section}",
        section.len()
    )
    .into_bytes()
}

/// A frame around a payload, in the form the app sends. `tag` fills the ETag, so that two frames around one
/// payload differ.
pub fn untyped(payload: &[u8], tag: [u8; 16]) -> Vec<u8> {
    let etag: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    let section = format!("content={}\r\n\r\n\r\n", lenient_base64::encode(payload));
    format!(
        "POST HTTP/1.1\r\nContent-Length: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         ETag: {etag}\r\n\r\n{section}",
        section.len()
    )
    .into_bytes()
}

/// The `0014` of somebody called `name`, in the form both original programs send.
pub fn capabilities(name: &str) -> Vec<u8> {
    let body = lenient_base64::encode(format!("{name}\n{MAX_FRAME_BYTES}\nfull").as_bytes());
    let lines: Vec<&str> =
        body.as_bytes().chunks(76).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let section = format!("type=0014&content={}\n\r\n\r\n\r\n", lines.join("\n"));
    format!(
        "POST HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{section}",
        section.len()
    )
    .into_bytes()
}

/// The routing identity in the body of a `0095a`; what stands after its semicolon does not matter.
pub fn identity(body: &[u8]) -> Option<[u8; 64]> {
    let text = body.split(|byte| *byte == b';').next()?;
    lenient_base64::decode(text)?.try_into().ok()
}

/// The routing identities in the body of a `0095b`.
pub fn identities(body: &[u8]) -> Option<Vec<[u8; 64]>> {
    let bytes = lenient_base64::decode(body)?;
    let (identities, rest) = bytes.as_chunks::<64>();
    rest.is_empty().then(|| identities.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(stream: &[u8], pieces: &[usize], limit: usize) -> Vec<Vec<u8>> {
        let (mut reader, mut frames, mut rest) = (FrameReader::new(limit), Vec::new(), stream);
        for piece in pieces.iter().copied().chain([usize::MAX]) {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            reader.push(now);
            while let Some(frame) = reader.next_frame() {
                frames.push(frame);
            }
            assert!(reader.held() <= limit);
            rest = later;
        }
        frames
    }

    #[test]
    fn the_kind_counts_only_in_its_place() {
        let frame = Frame::read(b"x\r\n\r\ntype=0095a&content=AA;sha-512\r\n\r\n\r\n");
        assert_eq!(frame, Frame { kind: Some(Kind::Identity), body: b"AA;sha-512" });
        for text in ["content=type=0095a&content=AA", "xtype=0095a&content=AA", "type=0095a& content=AA"] {
            assert_eq!(Frame::read(text.as_bytes()).kind, None, "{text}");
        }
        assert_eq!(Frame::read(b"type=0111&content=Spot-On-Lite").kind, Some(Kind::Unsolicited));
        assert_eq!(Frame::read(b"type=0112&content=").kind, Some(Kind::Other));
        assert_eq!(Frame::read(b" AA\r\n\r\n\r\n"), Frame { kind: None, body: b"AA" });
    }

    #[test]
    fn a_frame_that_begins_says_how_large_it_will_be() {
        let announced = |bytes: &[u8]| {
            let mut reader = FrameReader::new(MAX_FRAME_BYTES);
            reader.push(bytes);
            reader.announced()
        };
        let frame = untyped(&[7; 4096], [0; 16]);
        assert_eq!(announced(&frame[..300]), Some(frame.len()));
        assert_eq!(announced(&capabilities("a")), Some(capabilities("a").len()));
        for nothing in ["", "POST HTTP/1.1\r\n\r\n", "Content-Length: \r\n\r\n", "Content-Length: 7\r\n"] {
            assert_eq!(announced(nothing.as_bytes()), None, "{nothing}");
        }
        assert_eq!(announced(b"Content-Length: 99999999999999999999\r\n\r\n"), None);
        let most = format!("Content-Length: {}\r\n\r\n", usize::MAX);
        assert_eq!(announced(most.as_bytes()), Some(usize::MAX));
    }

    #[test]
    fn an_oversized_frame_is_skipped_and_the_next_one_read() {
        let small = typed("0096", "dHJ1ZQ==");
        let large = untyped(&[7; 4096], [0; 16]);
        let stream = [&large[..], &small, &large, &small].concat();
        for pieces in [vec![], vec![1; 2000], vec![large.len() - 2, 4], vec![300; 30]] {
            assert_eq!(cut(&stream, &pieces, 200), [small.clone(), small.clone()], "{}", pieces.len());
        }
    }

    proptest! {
        #[test]
        fn frames_are_the_same_however_they_arrive(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5),
            pieces in prop::collection::vec(1usize..300, 0..30),
        ) {
            let frames: Vec<Vec<u8>> = payloads.iter().map(|payload| untyped(payload, [1; 16])).collect();
            let stream = [frames.concat(), b"POST HTTP".to_vec()].concat();
            prop_assert_eq!(cut(&stream, &pieces, 10_000), frames.clone());
            for (frame, payload) in frames.iter().zip(&payloads) {
                let read = Frame::read(frame);
                prop_assert_eq!(read.kind, None);
                let decoded = lenient_base64::decode(read.body);
                prop_assert_eq!(decoded.as_ref(), Some(payload));
            }
        }

        #[test]
        fn reading_never_panics_and_holds_little(stream: Vec<u8>, pieces in prop::collection::vec(1usize..20, 0..30)) {
            for frame in cut(&stream, &pieces, 64) {
                let read = Frame::read(&frame);
                identity(read.body);
                identities(read.body);
            }
        }
    }
}
