//! Whom to tell of a fault of this server: what may stand in `security.txt` (RFC 9116).

/// Longest contact or address, in bytes.
pub const MAX_CONTACT_BYTES: usize = 400;

/// How long a `security.txt` holds from the moment it is fetched, in days: RFC 9116 wants less than a year, and a
/// server that is not there any more should not be believed for long.
pub const VALID_DAYS: u64 = 90;

/// What stands in the line `Contact`: an e-mail address, or an `https:`, `mailto:` or `tel:` address. Empty: nobody.
pub fn is_contact(text: &str) -> bool {
    text.is_empty() || is_line(text) && (is_https(text) || has_rest(text, "tel:") || mailbox(text).is_some())
}

/// What stands in the lines `Policy` and `Encryption`: an `https:` address. Empty: nothing.
pub fn is_address(text: &str) -> bool {
    text.is_empty() || is_line(text) && is_https(text)
}

/// A contact as an address that a program or a page can lead to.
pub fn uri(contact: &str) -> String {
    if contact.contains(':') { contact.to_owned() } else { format!("mailto:{contact}") }
}

/// The mailbox of an e-mail address, with `mailto:` before it or not.
fn mailbox(text: &str) -> Option<&str> {
    let mailbox = text.strip_prefix("mailto:").unwrap_or(text);
    let (name, host) = mailbox.split_once('@')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    let fits = !name.is_empty() && host.contains('.') && name.chars().all(plain) && host.chars().all(plain);
    fits.then_some(mailbox)
}

fn is_https(text: &str) -> bool {
    has_rest(text, "https://")
}

fn has_rest(text: &str, start: &str) -> bool {
    text.strip_prefix(start).is_some_and(|rest| !rest.is_empty())
}

/// Nothing that would begin another line, or end an attribute.
fn is_line(text: &str) -> bool {
    text.len() <= MAX_CONTACT_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_are_mailboxes_pages_and_telephones_and_never_more_than_a_line() {
        for (text, to) in [
            ("it@schule.example", "mailto:it@schule.example"),
            ("mailto:it@schule.example", "mailto:it@schule.example"),
            ("https://schule.example/melden", "https://schule.example/melden"),
            ("tel:+49-30-1234567", "tel:+49-30-1234567"),
        ] {
            assert!(is_contact(text), "{text}");
            assert_eq!(uri(text), to);
        }
        assert!(is_contact("") && is_address(""));
        for text in [
            "it",
            "it@schule",
            "@schule.example",
            "javascript:alert(1)",
            "http://schule.example",
            "https://",
            "it@schule.example\nContact: mailto:eve@elsewhere.example",
            "https://schule.example/\"><script>",
            "it@schule.example?subject=x",
        ] {
            assert!(!is_contact(text), "{text}");
        }
        assert!(!is_contact(&format!("https://{}", "a".repeat(MAX_CONTACT_BYTES))));
        assert!(is_address("https://schule.example/regeln") && !is_address("it@schule.example"));
    }
}
