//! RFC 6455 on the stream, byte for byte: the groups of cases that the Autobahn suite has (framing, pings, reserved
//! bits, opcodes, fragments, UTF-8, closing, limits), and the handshake.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use crate::door::{Tls, read_to_end, tls};
use crate::harness::{Server, text};

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The end of a message.
const END: u8 = 0x80;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A masked frame; `first` is the end bit, reserved bits and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length @ ..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(END | CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// The handshake, with any key.
fn ask(server: &Server, token: &str, headers: &str) -> (Tls, String) {
    let mut stream = tls(server);
    write!(
        stream,
        "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
    )
    .unwrap();
    stream.flush().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (stream, text(&head))
}

fn headers(key: &str) -> String {
    format!(
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: momedo.v1\r\n"
    )
}

/// A stream, by hand.
struct Line {
    stream: Tls,
}

impl Line {
    fn open(server: &Server, token: &str) -> Self {
        let (stream, head) = ask(server, token, &headers(KEY));
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let lower = head.to_lowercase();
        // The example of RFC 6455, 1.3.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert!(lower.contains("sec-websocket-protocol: momedo.v1\r\n"), "{head}");
        Self { stream }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next frame: its first byte and its payload; `None`: the end of the connection.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        match self.stream.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
            read => read.unwrap(),
        }
        assert_eq!(head[1] & 0x80, 0, "a server masks nothing");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.stream.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.stream.read_exact(&mut length).unwrap();
                usize::try_from(u64::from_be_bytes(length)).unwrap()
            }
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).unwrap();
        Some((head[0], payload))
    }

    /// The next frame that is not about presence.
    fn next(&mut self) -> (u8, Vec<u8>) {
        loop {
            let (first, payload) = self.frame().expect("the connection stays");
            if !(first == END | TEXT && text(&payload).contains("\"presence\"")) {
                return (first, payload);
            }
        }
    }

    /// A message was answered: nobody here knows what it says.
    fn is_answered(&mut self) {
        let (first, payload) = self.next();
        assert_eq!(first, END | TEXT);
        assert!(text(&payload).contains("malformed"), "{}", text(&payload));
    }

    /// The server says goodbye with this code, `None` for none, and ends the connection properly.
    fn is_closed(&mut self, code: Option<u16>, case: &str) -> String {
        let (first, payload) = self.next();
        assert_eq!(first, END | CLOSE, "{case}: {payload:?}");
        let said = payload.get(..2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
        assert_eq!(said, code, "{case}");
        assert_eq!(self.frame(), None, "{case}");
        text(payload.get(2..).unwrap_or_default())
    }
}

async fn with_server(cases: impl FnOnce(&Server, &str) + Send + 'static) {
    let server = Server::start();
    let ada = server.register(0).await;
    let token = ada.session.token().to_owned();
    tokio::task::spawn_blocking(move || cases(&server, &token)).await.unwrap();
}

#[tokio::test]
async fn a_key_has_16_bytes_or_there_is_no_stream() {
    with_server(|server, token| {
        for key in [
            "",
            "A",
            "AAAA",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZWE=",
            "dGhlIHNhbXBsZSBub25jZWFi",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZ!==",
            "dGhlIHNhbXBsZS_ub25jZQ==",
            "this is a text no Base64",
        ] {
            let (_, head) = ask(server, token, &headers(key));
            assert!(head.starts_with("HTTP/1.1 400"), "{key}: {head}");
            assert!(head.contains("application/problem+json"), "{head}");
        }
        let twice = headers(KEY).replacen(
            "Sec-WebSocket-Key",
            &format!("Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Key"),
            1,
        );
        let refused = [
            headers(KEY).replace(&format!("Sec-WebSocket-Key: {KEY}\r\n"), ""),
            twice,
            headers(KEY).replace("Upgrade: websocket\r\n", ""),
            headers(KEY).replace("Upgrade: websocket", "Upgrade: h2c"),
            headers(KEY).replace("keep-alive, Upgrade", "keep-alive"),
            headers(KEY).replace("Version: 13", "Version: 8"),
            String::new(),
        ];
        for headers in refused {
            let (_, head) = ask(server, token, &headers);
            assert!(head.starts_with("HTTP/1.1 4"), "{headers}: {head}");
            assert!(head.contains("application/problem+json"), "{head}");
        }
        // Names without regard to case, and any 16 bytes.
        for headers in [
            headers("AAAAAAAAAAAAAAAAAAAAAA=="),
            headers("/+/+/+/+/+/+/+/+/+/+/w==")
                .replace("websocket\r\n", "WebSocket\r\n")
                .replace("Upgrade:", "UPGRADE:"),
            // The client offers others, too.
            headers(KEY).replace("momedo.v1", "chat, momedo.v1"),
        ] {
            let (_, head) = ask(server, token, &headers);
            assert!(head.starts_with("HTTP/1.1 101"), "{head}");
            assert!(head.to_lowercase().contains("sec-websocket-protocol: momedo.v1\r\n"), "{head}");
        }
    })
    .await;
}

/// 1: framing of any length, in any pieces; 5: fragments; 10: pings between them.
#[tokio::test]
async fn messages_come_whole_however_they_are_framed() {
    with_server(|server, token| {
        let mut line = Line::open(server, token);
        for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
            for opcode in [TEXT, BINARY] {
                line.send(&frame(END | opcode, &vec![b'*'; length]));
                line.is_answered();
            }
        }
        for byte in frame(END | TEXT, "\u{fc}ber allen Gipfeln".as_bytes()) {
            line.send(&[byte]);
        }
        line.is_answered();
        for piece in [1, 3, 64, 1_000] {
            // A letter of two bytes lies across every border of odd pieces.
            let long = "\u{fc}".repeat(1_000);
            let pieces: Vec<&[u8]> = long.as_bytes().chunks(piece).collect();
            for (index, part) in pieces.iter().enumerate() {
                let opcode = if index == 0 { TEXT } else { CONTINUATION };
                let end = if index + 1 == pieces.len() { END } else { 0 };
                line.send(&frame(end | opcode, part));
                if piece == 1_000 && end == 0 {
                    line.send(&frame(END | PING, b"between"));
                    assert_eq!(line.next(), (END | PONG, b"between".to_vec()));
                }
            }
            line.is_answered();
        }
        // Fragments without anything in them.
        line.send(&[frame(TEXT, b""), frame(CONTINUATION, b""), frame(END | CONTINUATION, b"")].concat());
        line.is_answered();
        line.send(&close(1000, ""));
        line.is_closed(Some(1000), "the end");
    })
    .await;
}

/// 2: pings and pongs.
#[tokio::test]
async fn pings_are_answered_in_order() {
    with_server(|server, token| {
        let mut line = Line::open(server, token);
        line.send(&frame(END | PONG, b"unasked"));
        line.send(&frame(END | PONG, b""));
        for payload in [&b""[..], b"hello", &[0, 0xff, 0xfe], &[0xfe; 125]] {
            line.send(&frame(END | PING, payload));
            assert_eq!(line.next(), (END | PONG, payload.to_vec()));
        }
        for number in 0..10u8 {
            for byte in frame(END | PING, &[number]) {
                line.send(&[byte]);
            }
            assert_eq!(line.next(), (END | PONG, vec![number]));
        }
        line.send(&frame(END | PING, &[0xfe; 126]));
        line.is_closed(Some(1002), "a ping with 126 bytes");
    })
    .await;
}

/// 3 to 6: what breaks the protocol is named in a close frame, after what came before was answered.
#[tokio::test]
async fn whatever_breaks_the_protocol_is_told_why() {
    with_server(|server, token| {
        let hello = frame(END | TEXT, b"hello");
        let mut cases: Vec<(String, Vec<u8>, u16)> = Vec::new();
        for reserved in 1..8u8 {
            let frame = frame(END | (reserved << 4) | if reserved % 2 == 0 { TEXT } else { PING }, b"x");
            cases.push((format!("reserved bits {reserved}"), frame, 1002));
        }
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            cases.push((format!("opcode {opcode}"), frame(END | opcode, b""), 1002));
            cases.push((format!("opcode {opcode} with data"), frame(END | opcode, b"data"), 1002));
        }
        let unmasked = [&[END | TEXT, 5][..], b"hello"].concat();
        let all = [
            ("an unmasked frame", unmasked, 1002),
            ("a ping in fragments", [frame(PING, b"a"), frame(END | CONTINUATION, b"b")].concat(), 1002),
            ("a pong in fragments", frame(PONG, b"a"), 1002),
            ("a close in fragments", frame(CLOSE, &[3, 232]), 1002),
            ("a continuation of nothing", frame(END | CONTINUATION, b"a"), 1002),
            ("an open continuation of nothing", frame(CONTINUATION, b"a"), 1002),
            ("a message within another", [frame(TEXT, b"a"), frame(END | TEXT, b"b")].concat(), 1002),
            ("other data within a message", [frame(TEXT, b"a"), frame(END | BINARY, b"b")].concat(), 1002),
            ("text that is no UTF-8", frame(END | TEXT, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"), 1007),
            ("half a letter", frame(END | TEXT, b"\xc3"), 1007),
            ("an overlong letter", frame(END | TEXT, b"\xc0\xaf"), 1007),
            ("beyond all letters", frame(END | TEXT, b"\xf4\x90\x80\x80"), 1007),
            (
                "no UTF-8 in fragments",
                [frame(TEXT, b"a"), frame(CONTINUATION, b"\xff"), frame(END | CONTINUATION, b"b")].concat(),
                1007,
            ),
        ];
        cases.extend(all.map(|(case, frames, code)| (case.to_owned(), frames, code)));
        for (case, frames, code) in cases {
            let mut line = Line::open(server, token);
            line.send(&[&hello[..], &frames].concat());
            line.is_answered();
            line.is_closed(Some(code), &case);
        }
    })
    .await;
}

/// 7: who closes is answered with the same code and nothing more; wrong closes are answered with what is wrong.
#[tokio::test]
async fn a_close_is_answered() {
    with_server(|server, token| {
        let opened = || Line::open(server, token);
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
            let mut line = opened();
            line.send(&close(code, "bis morgen, tsch\u{fc}ss"));
            line.is_closed(Some(code), &format!("{code}"));
        }
        let mut line = opened();
        line.send(&frame(END | CLOSE, b""));
        line.is_closed(None, "without a code");
        let mut line = opened();
        line.send(&close(1000, &"*".repeat(123)));
        line.is_closed(Some(1000), "the longest reason");
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            let mut line = opened();
            line.send(&close(code, ""));
            line.is_closed(Some(1002), &format!("{code}"));
        }
        let mut line = opened();
        line.send(&frame(END | CLOSE, b"\x03"));
        line.is_closed(Some(1002), "half a code");
        let mut line = opened();
        line.send(&frame(END | CLOSE, &[3; 126]));
        line.is_closed(Some(1002), "126 bytes");
        let mut line = opened();
        line.send(&frame(END | CLOSE, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xed\xa0\x80"));
        line.is_closed(Some(1007), "a reason that is no UTF-8");
        // In the middle of a message, and with more behind it: what comes later counts no more.
        let mut line = opened();
        line.send(&[frame(TEXT, b"begun"), close(1000, "")].concat());
        line.is_closed(Some(1000), "within a message");
        for more in [frame(END | TEXT, b"late"), frame(END | PING, b""), close(1001, ""), vec![b'x'; 300_000]]
        {
            let mut line = opened();
            line.send(&frame(END | TEXT, b"hello"));
            line.is_answered();
            line.send(&[close(1000, ""), more].concat());
            line.is_closed(Some(1000), "with more behind it");
        }
    })
    .await;
}

/// 9: a message that is too large is refused for that, and its sender hears it though it still writes.
#[tokio::test]
async fn a_message_beyond_the_limit_is_told_so() {
    with_server(|server, token| {
        let whole = frame(END | TEXT, &vec![b'*'; 64 * 1024 * 1024])[..4 * 1024 * 1024].to_vec();
        let piece = frame(CONTINUATION, &vec![b'*'; 1024 * 1024]);
        let pieces = [frame(TEXT, b"a"), piece.repeat(16)].concat();
        for (case, bytes) in [("at once", whole), ("in pieces", pieces)] {
            let mut line = Line::open(server, token);
            // The server may have closed already while this is being written.
            let _: Result<_, _> = line.stream.write_all(&bytes);
            let _: Result<_, _> = line.stream.flush();
            line.is_closed(Some(1009), case);
        }
    })
    .await;
}

#[tokio::test]
async fn the_server_closes_with_a_code_when_it_stops_or_hears_nothing() {
    let mut server = Server::start_with("[listen]\nkeep_alive_seconds = 1\n");
    let ada = server.register(0).await;
    let token = ada.session.token().to_owned();
    let mut mute = Line::open(&server, &token);
    let closing = tokio::task::spawn_blocking(move || {
        loop {
            match mute.next() {
                (first, _) if first == END | PING => {}
                (first, payload) => return (first, payload, mute.frame()),
            }
        }
    });
    let (first, payload, end) = closing.await.unwrap();
    assert_eq!((first, &payload[..2]), (END | CLOSE, &1008u16.to_be_bytes()[..]), "{}", text(&payload[2..]));
    assert_eq!(end, None);
    let mut line = Line::open(&server, &token);
    assert_eq!(line.frame().unwrap().0, END | TEXT);
    let closing = tokio::task::spawn_blocking(move || line.is_closed(Some(1001), "stopping"));
    let (ended, time) = server.terminate();
    assert_eq!(ended.code(), Some(0));
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert!(closing.await.unwrap().contains("stopping"));
}

/// A revoked device's stream, and one too many.
#[tokio::test]
async fn who_has_too_many_streams_hears_why_the_oldest_ends() {
    with_server(|server, token| {
        let mut oldest = Line::open(server, token);
        assert_eq!(oldest.frame().unwrap().0, END | TEXT);
        let newer: Vec<Line> = (0..64)
            .map_while(|_| {
                let line = Line::open(server, token);
                Some(line)
            })
            .collect();
        oldest.is_closed(Some(1008), "one too many");
        drop(newer);
    })
    .await;
}

/// The connection is not left half open by who never closes its end.
#[tokio::test]
async fn who_answers_no_close_does_not_hold_the_server_up() {
    with_server(|server, token| {
        let mut line = Line::open(server, token);
        line.send(&frame(END | 3, b""));
        // Reads nothing and closes nothing; the server's own end comes all the same.
        assert!(!read_to_end(&mut line.stream).is_empty());
    })
    .await;
}
