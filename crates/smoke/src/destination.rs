//! The destination of a frame: its last 64 bytes are a tag under a routing identity over everything before.

use crate::lenient_base64;
use crate::mac::{MacKey, TAG_BYTES};

/// Bytes of a routing identity.
pub const IDENTITY_BYTES: usize = 64;

/// A routing identity: SHA-512 of a Smoke ID, of a Fire channel's key, or random for a retrieval.
pub type Identity = [u8; IDENTITY_BYTES];

/// Smallest payload that can be anything but noise.
pub const MIN_PAYLOAD_BYTES: usize = 128;

/// Which part of a body its tag is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One piece of Base64, perhaps broken into lines: the tag is its end.
    Whole,
    /// Lines that are Base64 each by itself, as in Fire, in Spot-On and in Spot-On-Lite: the third is a tag over
    /// the first two.
    Lines,
}

/// What two frames have in common when one is the other come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content<'a> {
    /// The same payload; its Base64 may be written otherwise.
    Payload(&'a [u8]),
    /// The same text, of several lines or of what nobody can decode.
    Text(&'a [u8]),
}

/// What a frame's body says about where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    whole: Option<Vec<u8>>,
    /// The first three lines, decoded and joined, where the third is as long as a tag.
    lines: Option<Vec<u8>>,
    is_one_line: bool,
}

impl Addressed {
    /// Reads the body of a frame. What is no Base64 goes to nobody in particular; `None` where nothing is said.
    pub fn read(body: &[u8]) -> Option<Self> {
        if body.is_empty() {
            return None;
        }
        let breaks = body.iter().filter(|byte| **byte == b'\n').count();
        let lines = (breaks >= 2).then(|| lines(body)).flatten();
        // Of exactly three lines the whole is the same, tag included.
        let is_only_lines = breaks == 2 && lines.is_some();
        let whole = if is_only_lines { None } else { lenient_base64::decode(body) };
        Some(Self { whole: whole.filter(|bytes| !bytes.is_empty()), lines, is_one_line: breaks == 0 })
    }

    /// Everything that could be decoded, the tag included.
    pub fn bytes(&self) -> &[u8] {
        self.whole.as_ref().or(self.lines.as_ref()).map_or(&[], Vec::as_slice)
    }

    /// The forms it may have, the likelier first; none for what goes to nobody in particular.
    pub fn forms(&self) -> impl Iterator<Item = Form> + use<> {
        [Form::Whole, Form::Lines].map(|form| self.parts_as(form).map(|_| form)).into_iter().flatten()
    }

    /// Everything before the tag, and the tag.
    pub fn parts_as(&self, form: Form) -> Option<(&[u8], &[u8])> {
        let (bytes, least) = match form {
            Form::Whole => (self.whole.as_ref()?, MIN_PAYLOAD_BYTES),
            Form::Lines => (self.lines.as_ref()?, TAG_BYTES + 1),
        };
        if bytes.len() < least {
            return None;
        }
        Some(bytes.split_at(bytes.len() - TAG_BYTES))
    }

    /// The same in the likelier form.
    pub fn parts(&self) -> Option<(&[u8], &[u8])> {
        self.forms().next().and_then(|form| self.parts_as(form))
    }

    /// Whether it can be nothing but lines, which servers only pass on.
    pub fn is_fire(&self) -> bool {
        self.forms().next() == Some(Form::Lines)
    }

    /// What another frame with the same has; `body` is what this was read from. Lines are told from one line with the
    /// same bytes: who reads lines does not read that.
    pub fn content<'a>(&'a self, body: &'a [u8]) -> Content<'a> {
        match &self.whole {
            Some(bytes) if self.is_one_line => Content::Payload(bytes),
            _ => Content::Text(body),
        }
    }

    /// Everything decoded, however it was written.
    pub fn payload(&self) -> Option<Content<'_>> {
        self.whole.as_deref().map(Content::Payload)
    }
}

/// The first three lines decoded, the third of them a tag.
fn lines(body: &[u8]) -> Option<Vec<u8>> {
    let mut lines = body.split(|byte| *byte == b'\n').map(lenient_base64::decode);
    let mut data = lines.next()??;
    data.extend(lines.next()??);
    let tag = lines.next()??;
    if tag.len() != TAG_BYTES || data.is_empty() {
        return None;
    }
    data.extend(tag);
    Some(data)
}

/// The tag that addresses `data` to `identity`.
pub fn tag(identity: &Identity, data: &[u8]) -> [u8; TAG_BYTES] {
    MacKey::new(identity).tag(data)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(sizes: &[usize]) -> Vec<u8> {
        let line = |size: &usize| lenient_base64::encode(&vec![*size as u8; *size]);
        sizes.iter().map(line).collect::<Vec<_>>().join("\n").into_bytes()
    }

    #[test]
    fn lines_are_read_as_a_whole_where_that_can_be_and_line_by_line() {
        for (sizes, whole, lines) in [
            (&[200][..], Some(136), None),
            // Spot-On's: a padding ends each line.
            (&[512, 333, 64, 100], None, Some(845)),
            (&[512, 332, 64, 64, 100], None, Some(844)),
            (&[336, 64, 100], None, None),
            (&[336, 100], Some(372), None),
            (&[512, 48, 64], None, Some(560)),
            (&[510, 48, 64], None, Some(558)),
            (&[510, 48, 63, 63], Some(620), None),
            (&[510, 48, 66, 64], Some(624), None),
            (&[1, 1, 64], None, Some(2)),
            // Too little for anybody.
            (&[127], None, None),
            (&[0, 0, 64, 1], None, None),
        ] {
            let body = body(sizes);
            let read = Addressed::read(&body).unwrap();
            let data = |form| read.parts_as(form).map(|(data, _)| data.len());
            assert_eq!((data(Form::Whole), data(Form::Lines)), (whole, lines), "{sizes:?}");
            assert_eq!(read.is_fire(), whole.is_none() && lines.is_some());
        }
        assert_eq!(Addressed::read(b""), None);
        assert_eq!(Addressed::read(b"=").unwrap().forms().count(), 0);
    }

    #[test]
    fn a_frame_is_known_again_by_its_payload_or_by_its_text() {
        let (one, again, in_lines) = (body(&[200]), [&body(&[200])[..], b" %"].concat(), body(&[150, 50]));
        let read = |body: &[u8]| Addressed::read(body).unwrap();
        assert_eq!(read(&one).content(&one), read(&again).content(&again));
        assert_eq!(read(&in_lines).content(&in_lines), Content::Text(&in_lines));
        // What a frame of lines asks for is the same as in one line, all the same.
        let (joined, all) =
            (in_lines.split(|byte| *byte == b'\n').collect::<Vec<_>>().concat(), read(&in_lines));
        assert_eq!(read(&joined).content(&joined), all.payload().unwrap());
        assert_eq!(read(b"A").content(b"A"), Content::Text(b"A"));
        assert_eq!(read(b"A").payload(), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_takes_whatever_says_something(body: Vec<u8>) {
            prop_assert_eq!(Addressed::read(&body).is_some(), !body.is_empty());
        }
    }
}
