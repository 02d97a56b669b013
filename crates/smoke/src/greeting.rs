//! What a connection begins with: a frame, or HTTP on the same port.
//!
//! Frames imitate HTTP without being it. Most begin with a request line that has no path (`POST HTTP/1.1`), and what
//! Spot-On calls an artificial GET with a status line (`HTTP/1.1 200 OK`). No client of HTTP begins with either.

/// What a path never begins with, after a method or at once.
const VERSION: &[u8] = b"HTTP/";

/// Longest method that is waited for, in bytes.
pub const MAX_METHOD_BYTES: usize = 16;

/// Most bytes after which it is known what a connection is.
pub const MAX_BYTES: usize = MAX_METHOD_BYTES + 1 + VERSION.len();

/// What the first bytes of a connection say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    /// A frame of Smoke's or of Spot-On's.
    Frame,
    /// A request of HTTP, or nonsense.
    Other,
    /// Either, until more comes.
    Undecided,
}

impl Greeting {
    /// Looks at what came so far.
    pub fn of(beginning: &[u8]) -> Self {
        let method = beginning.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        let after_method = match beginning.get(method) {
            Some(b' ') if (1..=MAX_METHOD_BYTES).contains(&method) => Self::version(&beginning[method + 1..]),
            None if method <= MAX_METHOD_BYTES => Self::Undecided,
            _ => Self::Other,
        };
        match (after_method, Self::version(beginning)) {
            (Self::Frame, _) | (_, Self::Frame) => Self::Frame,
            (Self::Undecided, _) | (_, Self::Undecided) => Self::Undecided,
            _ => Self::Other,
        }
    }

    fn version(text: &[u8]) -> Self {
        if text.starts_with(VERSION) {
            Self::Frame
        } else if VERSION.starts_with(text) {
            Self::Undecided
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_path_and_a_status_line_are_frames() {
        for frame in
            ["POST HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n", "GET HTTP/1.1", "HTTP/1.0 204", "HTTP HTTP/1.1"]
        {
            let known =
                (0..=frame.len()).find(|end| Greeting::of(&frame.as_bytes()[..*end]) != Greeting::Undecided);
            let known = known.unwrap();
            assert!(known <= MAX_BYTES);
            for end in known..=frame.len() {
                assert_eq!(Greeting::of(&frame.as_bytes()[..end]), Greeting::Frame, "{frame} {end}");
            }
        }
    }

    #[test]
    fn a_request_of_http_is_none() {
        let requests = [
            "GET / HTTP/1.1\r\n",
            "POST /HTTP/1.1",
            "POST HTTP://chat.schule.de/ HTTP/1.1",
            "HTTP / HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "PRI * HTTP/2.0",
            "CONNECT HTTP:443 HTTP/1.1",
            "get HTTP/1.1",
            " HTTP/1.1",
            "\u{16}\u{3}",
            "GET  HTTP/1.1",
            "ABCDEFGHIJKLMNOPQ HTTP/1.1",
            "HTTPS/1.1",
        ];
        for request in requests {
            assert_eq!(Greeting::of(request.as_bytes()), Greeting::Other, "{request}");
        }
        assert_eq!(Greeting::of(b""), Greeting::Undecided);
        let endless = [b'A'; MAX_BYTES];
        assert_eq!(Greeting::of(&endless), Greeting::Other);
    }
}
