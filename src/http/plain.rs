//! The answers to plain HTTP on the TLS port: a page that leads to the right address, or what an authority's
//! check asks for.

use std::net::SocketAddr;

/// The whole HTTP/1.1 answer to a plain request whose first bytes are `head`, on the listener `local`.
pub fn redirect(head: &[u8], local: SocketAddr) -> String {
    let head = String::from_utf8_lossy(head);
    let host = host(&head).unwrap_or_else(|| local.to_string());
    let target = format!("https://{host}/");
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>https</title></head><body>\
         <p lang=\"de\">Dieser Server antwortet nur verschlüsselt: <a href=\"{target}\">{target}</a></p>\
         <p>This server only speaks encrypted: <a href=\"{target}\">{target}</a></p></body></html>\n"
    );
    format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {target}\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Security-Policy: default-src 'none'\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The path of a `GET` request whose first bytes are `head`.
pub fn path(head: &[u8]) -> Option<&str> {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    std::str::from_utf8(line).ok()?.strip_prefix("GET ")?.split(' ').next()
}

/// The whole HTTP/1.1 answer that says `text`.
pub fn text(text: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}

/// The request's Host, if it is one that can stand in a page and a header.
fn host(head: &str) -> Option<String> {
    let line =
        head.lines().find(|line| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("host:")))?;
    let host = line[5..].trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    (!host.is_empty() && host.len() <= 255 && host.chars().all(is_plain)).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_from_the_request_line_alone() {
        assert_eq!(path(b"GET /a/b HTTP/1.1\r\nHost: x\r\n"), Some("/a/b"));
        for head in [&b"POST /a HTTP/1.1\r\n"[..], b"\xff\xfe", b"", b"\r\nGET /a HTTP/1.1"] {
            assert_eq!(path(head), None);
        }
    }

    #[test]
    fn the_host_that_was_asked_for_is_kept_and_a_strange_one_is_not() {
        let local = SocketAddr::from(([127, 0, 0, 1], 4710));
        let answer = redirect(b"GET /x HTTP/1.1\r\nhost: schule.local:4710\r\n\r\n", local);
        assert!(answer.contains("Location: https://schule.local:4710/\r\n"), "{answer}");
        for head in [&b"GET / HTTP/1.1\r\nHost: a\"><script>\r\n\r\n"[..], b"\xff\xfe", b"HOST:"] {
            assert!(redirect(head, local).contains("Location: https://127.0.0.1:4710/\r\n"));
        }
    }
}
