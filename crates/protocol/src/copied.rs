//! Links as they arrive: mail programs wrap them and put signs around them, messengers write `#` as `%23`, and whoever copies
//! by hand takes a full stop along. None of that is part of a link, and none of it can be.

use crate::name::is_visible;

/// A link without what was put around, between and into it. What is no link stays none.
pub(crate) fn mended(text: &str) -> String {
    // Where a line was wrapped it goes on; a blank within a line parts two words, and stays.
    let lines: String = text.lines().map(str::trim).collect();
    let text: String = lines.chars().filter(|c| is_visible(*c)).collect();
    let text = text.trim();
    let text = text.trim_start_matches(|c: char| "<[({\"'„“”‚‘’«»`".contains(c));
    let text = text.trim_end_matches(|c: char| ">])}\"'„“”‚‘’«»`.,;:!?".contains(c));
    let text = text.replace("%23", "#").replace("%2E", ".").replace("%2e", ".");
    // Telephones begin a sentence with a capital.
    match text.get(..8) {
        Some(start) if start.eq_ignore_ascii_case("https://") => format!("https://{}", &text[8..]),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::invite::{InviteLink, ServerLink};

    const LINK: &str = "https://[fd00::1]:4710/i#7VJH1S42NNTK.";

    fn link() -> String {
        format!("{LINK}{}", "ab".repeat(32))
    }

    #[test]
    fn what_is_around_a_link_is_no_part_of_it() {
        let link = link();
        let wrapped = format!("{}\r\n{}\n {}", &link[..30], &link[30..60], &link[60..]);
        let written = [
            format!("<{link}>"),
            format!("({link})."),
            format!("„{link}“"),
            format!("[{link}]"),
            format!(" {link}, "),
            link.replace('#', "%23"),
            link.replacen("https", "Https", 1),
            wrapped,
            format!("{}\u{200b}{}", &link[..40], &link[40..]),
        ];
        for text in &written {
            assert_eq!(mended(text), link, "{text}");
            assert_eq!(text.parse::<InviteLink>().unwrap().to_string(), link, "{text}");
            assert!(text.parse::<ServerLink>().is_ok(), "{text}");
        }
        assert_eq!(mended(" Ada Lovelace"), "Ada Lovelace");
        for no_link in ["", "https://", "<>", "[http", "http://a/i#b"] {
            assert!(no_link.parse::<InviteLink>().is_err(), "{no_link}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text: String) {
            mended(&text);
        }
    }
}
