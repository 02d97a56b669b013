//! HTTP/2 by hand (RFC 9113), for clients that do what no library lets them do.

use std::io::{Read, Write};

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const HEADERS: u8 = 1;
const ACK: u8 = 1;
const END: u8 = 1 | 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A string without Huffman coding (RFC 7541, section 5.2).
fn string(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        length @ 0..=126 => out.push(u8::try_from(length).unwrap()),
        length => {
            out.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            out.push(u8::try_from(rest).unwrap());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// What a client begins with that takes `window` bytes of each answer before it asks for more.
pub(crate) fn preface(window: u32) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut settings = 4u16.to_be_bytes().to_vec();
    settings.extend_from_slice(&window.to_be_bytes());
    bytes.extend(frame(SETTINGS, 0, 0, &settings));
    bytes
}

/// The number of a connection's request, from 0.
pub(crate) fn stream(number: u32) -> u32 {
    number * 2 + 1
}

/// A whole request without a body.
pub(crate) fn get(stream: u32, path: &str, token: Option<&str>) -> Vec<u8> {
    // GET, https, and then by the names of the static table.
    let mut block = vec![0x82, 0x87, 0x04];
    string(&mut block, path);
    block.push(0x01);
    string(&mut block, "localhost");
    if let Some(token) = token {
        block.push(0x00);
        string(&mut block, "authorization");
        string(&mut block, &format!("Bearer {token}"));
    }
    frame(HEADERS, END, stream, &block)
}

/// A frame as it came.
pub(crate) struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

impl Frame {
    /// Whether an answer begins with it.
    pub(crate) fn is_answer(&self) -> bool {
        self.kind == HEADERS
    }

    /// What has to be said to it by whoever wants to seem alive.
    pub(crate) fn acknowledgement(&self) -> Option<Vec<u8>> {
        match (self.kind, self.flags & ACK) {
            (SETTINGS, 0) => Some(frame(SETTINGS, ACK, 0, &[])),
            (PING, 0) => Some(frame(PING, ACK, 0, &self.payload)),
            _ => None,
        }
    }
}

/// Reads one frame; `None` when the server has ended the connection.
pub(crate) fn read(from: &mut impl Read) -> Option<Frame> {
    let mut head = [0; 9];
    match from.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {
            panic!("the server did not end the connection")
        }
        Err(_) => return None,
    }
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    from.read_exact(&mut payload).ok()?;
    Some(Frame { kind: head[3], flags: head[4], payload })
}

/// Answers what a living client answers, until so many answers have begun.
pub(crate) fn await_answers(line: &mut (impl Read + Write), mut count: usize) {
    while count > 0 {
        let frame = read(line).expect("the connection goes on");
        if let Some(bytes) = frame.acknowledgement() {
            line.write_all(&bytes).unwrap();
            line.flush().unwrap();
        }
        count -= usize::from(frame.is_answer());
    }
}
