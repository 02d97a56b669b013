//! Which characters the bytes of a list stand for: no file says it, so it is judged by what makes names.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

/// How a file writes its characters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, EnumIter, EnumString, IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8.
    #[strum(serialize = "utf-8")]
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-8 that a program took for Windows-1252 and wrote as UTF-8 once more: `MÃ¼ller`.
    #[strum(serialize = "utf-8-twice")]
    #[serde(rename = "utf-8-twice")]
    Utf8Twice,
    /// UTF-16, low byte first.
    #[strum(serialize = "utf-16le")]
    #[serde(rename = "utf-16le")]
    Utf16Le,
    /// UTF-16, high byte first.
    #[strum(serialize = "utf-16be")]
    #[serde(rename = "utf-16be")]
    Utf16Be,
    /// Windows, western Europe.
    #[strum(serialize = "windows-1252")]
    #[serde(rename = "windows-1252")]
    Windows1252,
    /// Windows, central Europe.
    #[strum(serialize = "windows-1250")]
    #[serde(rename = "windows-1250")]
    Windows1250,
    /// Windows, Turkish.
    #[strum(serialize = "windows-1254")]
    #[serde(rename = "windows-1254")]
    Windows1254,
    /// DOS, western Europe.
    Cp850,
    /// Old Macs.
    MacRoman,
}

/// Code page 850 from 0x80 on; no library at hand has it.
const CP850: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";

/// What stands where bytes make no character.
pub(super) const UNREADABLE: char = '\u{fffd}';

impl Encoding {
    /// The characters of these bytes; what makes none becomes U+FFFD.
    fn decode(self, bytes: &[u8]) -> String {
        let by = |encoding: &'static encoding_rs::Encoding| {
            encoding.decode_without_bom_handling(bytes).0.into_owned()
        };
        match self {
            Self::Utf8 => by(encoding_rs::UTF_8),
            Self::Utf8Twice => {
                let once = by(encoding_rs::UTF_8);
                undone(&once).unwrap_or(once)
            }
            Self::Utf16Le => by(encoding_rs::UTF_16LE),
            Self::Utf16Be => by(encoding_rs::UTF_16BE),
            Self::Windows1252 => by(encoding_rs::WINDOWS_1252),
            Self::Windows1250 => by(encoding_rs::WINDOWS_1250),
            Self::Windows1254 => by(encoding_rs::WINDOWS_1254),
            Self::MacRoman => by(encoding_rs::MACINTOSH),
            Self::Cp850 => {
                let high: Vec<char> = CP850.chars().collect();
                let character = |byte: &u8| match byte.checked_sub(0x80) {
                    None => char::from(*byte),
                    Some(index) => high.get(usize::from(index)).copied().unwrap_or(UNREADABLE),
                };
                bytes.iter().map(character).collect()
            }
        }
    }

    /// What these bytes are most probably written in.
    fn guess(bytes: &[u8]) -> Self {
        if let Some(wide) = wide(bytes) {
            return wide;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if undone(text).is_some() => return Self::Utf8Twice,
            Ok(_) => return Self::Utf8,
            // A byte that got lost makes no other encoding of all the rest.
            Err(_) if is_damaged_utf8(bytes) => return Self::Utf8,
            Err(_) => {}
        }
        // The first of the best: what is most usual stands first.
        let candidates = [Self::Windows1252, Self::Cp850, Self::MacRoman];
        let scores = candidates.map(|candidate| (plausibility(&candidate.decode(bytes)), candidate));
        let [first, rest @ ..] = scores;
        rest.into_iter().fold(first, |best, next| if next.0 > best.0 { next } else { best }).1
    }
}

/// The text of a file, with line ends as `\n`, and what it is written in: as chosen, else as guessed.
pub(super) fn decode(file: &[u8], chosen: Option<Encoding>) -> (String, Encoding) {
    let marked = encoding_rs::Encoding::for_bom(file);
    let bytes = &file[marked.map_or(0, |(_, length)| length)..];
    let encoding = match (chosen, marked) {
        (Some(encoding), _) => encoding,
        (None, Some((encoding, _))) if encoding == encoding_rs::UTF_16LE => Encoding::Utf16Le,
        (None, Some((encoding, _))) if encoding == encoding_rs::UTF_16BE => Encoding::Utf16Be,
        (None, _) => Encoding::guess(bytes),
    };
    let text = encoding.decode(bytes);
    // Programs that add a mark to a file that has one leave it before the first title.
    let text = text.trim_start_matches('\u{feff}');
    (text.replace("\r\n", "\n").replace('\r', "\n"), encoding)
}

/// UTF-16 without its mark: every other byte of Latin text is zero.
fn wide(bytes: &[u8]) -> Option<Encoding> {
    let pairs = bytes.len() / 2;
    let zeros = |odd: usize| bytes.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (high, low) = (zeros(0), zeros(1));
    match () {
        () if pairs == 0 => None,
        () if low * 2 > pairs && high * 10 < pairs => Some(Encoding::Utf16Le),
        () if high * 2 > pairs && low * 10 < pairs => Some(Encoding::Utf16Be),
        () => None,
    }
}

fn is_damaged_utf8(bytes: &[u8]) -> bool {
    let (mut right, mut wrong) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        right += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        wrong += usize::from(!chunk.invalid().is_empty());
    }
    right > wrong
}

/// The text before it was written as UTF-8 for the second time, if it was.
fn undone(text: &str) -> Option<String> {
    if !text.contains(['Ã', 'Ä', 'Å']) {
        return None;
    }
    let (bytes, _, unmappable) = encoding_rs::WINDOWS_1252.encode(text);
    if unmappable {
        return None;
    }
    String::from_utf8(bytes.into_owned()).ok().filter(|before| before.chars().count() < text.chars().count())
}

/// How much a text looks like a list of names of people in Germany.
fn plausibility(text: &str) -> i64 {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: Option<usize>| index.and_then(|index| characters.get(index)).copied().unwrap_or(' ');
    let score = |(index, c): (usize, &char)| {
        let (before, after) = (at(index.checked_sub(1)), at(Some(index + 1)));
        match *c {
            c if c.is_ascii() => 0,
            // A capital within a word is a sign of the wrong table.
            c if c.is_uppercase()
                && before.is_alphabetic()
                && (after.is_lowercase() || before.is_lowercase()) =>
            {
                -2
            }
            'ä' | 'ö' | 'ü' | 'ß' | 'Ä' | 'Ö' | 'Ü' => 3,
            c if c.is_alphabetic() => 1,
            '–' | '’' | '\u{a0}' => 0,
            _ => -3,
        }
    };
    characters.iter().enumerate().map(score).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "Name;Klasse\nJäger Björn;8c\nLöw Ännchen;8c\nGroß, René;7ü\n";

    fn written(encoding: Encoding) -> Vec<u8> {
        let by = |encoding: &'static encoding_rs::Encoding| encoding.encode(NAMES).0.into_owned();
        match encoding {
            Encoding::Utf8 => NAMES.into(),
            Encoding::Utf8Twice => encoding_rs::WINDOWS_1252.decode(NAMES.as_bytes()).0.into_owned().into(),
            Encoding::Utf16Le => NAMES.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16Be => NAMES.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Encoding::Windows1252 => by(encoding_rs::WINDOWS_1252),
            Encoding::Windows1250 => by(encoding_rs::WINDOWS_1250),
            Encoding::Windows1254 => by(encoding_rs::WINDOWS_1254),
            Encoding::MacRoman => by(encoding_rs::MACINTOSH),
            Encoding::Cp850 => NAMES
                .chars()
                .map(|c| match CP850.chars().position(|high| high == c) {
                    Some(index) => 0x80 + u8::try_from(index).unwrap(),
                    None => u8::try_from(c).unwrap(),
                })
                .collect(),
        }
    }

    #[test]
    fn every_encoding_of_a_list_is_recognised() {
        use strum::IntoEnumIterator;
        for encoding in Encoding::iter() {
            let (text, guessed) = decode(&written(encoding), None);
            // German letters stand at the same places in all tables of Windows.
            let usual = [Encoding::Windows1250, Encoding::Windows1254].contains(&encoding);
            let expected = if usual { Encoding::Windows1252 } else { encoding };
            assert_eq!((text.as_str(), guessed), (NAMES, expected));
            assert_eq!(decode(&written(encoding), Some(encoding)), (NAMES.to_owned(), encoding));
        }
        assert_eq!(CP850.chars().count(), 128);
    }

    #[test]
    fn line_ends_and_marks_are_no_part_of_the_text() {
        let marked = "\u{feff}\u{feff}Name\r\nAda\rBen\n";
        assert_eq!(decode(marked.as_bytes(), None).0, "Name\nAda\nBen\n");
        let wide: Vec<u8> = "\u{feff}Ä\r\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(&wide, None), ("Ä\n".to_owned(), Encoding::Utf16Be));
    }

    #[test]
    fn a_lost_byte_makes_no_other_encoding_of_all_the_rest() {
        let mut bytes = NAMES.as_bytes().to_vec();
        let lost = bytes.iter().position(|byte| !byte.is_ascii()).unwrap();
        bytes.remove(lost);
        let (text, encoding) = decode(&bytes, None);
        assert_eq!(encoding, Encoding::Utf8);
        assert!(text.contains("J\u{fffd}ger Björn") && text.contains("Löw Ännchen"), "{text}");
    }

    #[test]
    fn one_umlaut_alone_is_enough() {
        for (bytes, name) in [
            (b"M\xfcller".as_slice(), "Müller"),
            (b"M\x81ller", "Müller"),
            (b"M\x9fller", "Müller"),
            (b"Ma\xdf", "Maß"),
            (b"Ma\xe1", "Maß"),
            (b"Ma\xa7", "Maß"),
            (b"\xc4rger", "Ärger"),
            (b"\x8erger", "Ärger"),
            (b"\x80rger", "Ärger"),
        ] {
            assert_eq!(decode(bytes, None).0, name);
        }
    }
}
