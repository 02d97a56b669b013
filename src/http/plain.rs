//! The answer to plain HTTP on the TLS port: a page that leads to the right address.

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
    fn the_host_that_was_asked_for_is_kept_and_a_strange_one_is_not() {
        let local = SocketAddr::from(([127, 0, 0, 1], 4710));
        let answer = redirect(b"GET /x HTTP/1.1\r\nhost: schule.local:4710\r\n\r\n", local);
        assert!(answer.contains("Location: https://schule.local:4710/\r\n"), "{answer}");
        for head in [&b"GET / HTTP/1.1\r\nHost: a\"><script>\r\n\r\n"[..], b"\xff\xfe", b"HOST:"] {
            assert!(redirect(head, local).contains("Location: https://127.0.0.1:4710/\r\n"));
        }
    }
}
