//! What a received file is called on this device: its sender's name for it, where that does no harm.

use momedo_protocol::name::is_visible;

/// Longest name, in bytes; file systems take 255, and a number may be added.
const MAX_BYTES: usize = 200;

/// What a file is called when nothing is left of its name.
const NAMELESS: &str = "file";

/// Names that Windows takes for devices, whatever follows the first dot.
const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];

/// A name for one file in one folder on every system: no path, nothing hidden, no device, and nothing that shows the
/// ending in another place than it is.
pub fn safe_name(name: &str) -> String {
    let replaced = |c: char| match c {
        '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
        c => c,
    };
    let cleaned: String = name.chars().filter(|c| is_visible(*c)).map(replaced).collect();
    // Windows drops dots and spaces at the end; dots at the beginning hide.
    let cleaned = cleaned.trim_start_matches(['.', ' ']).trim_end_matches(['.', ' ']);
    let mut safe = shortened(cleaned);
    if is_device(&safe) {
        safe.insert(0, '_');
    }
    if safe.is_empty() { NAMELESS.into() } else { safe }
}

/// The name for the `number`th file of this name, from 1: the number goes before the ending.
pub fn numbered(name: &str, number: u32) -> String {
    match (number, name.rsplit_once('.')) {
        (1, _) => name.to_owned(),
        (_, Some((stem, ending))) if !stem.is_empty() => format!("{stem} ({number}).{ending}"),
        _ => format!("{name} ({number})"),
    }
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        let rest = stem.strip_prefix(prefix);
        rest.is_some_and(|rest| {
            rest.chars().count() == 1 && rest.chars().all(|c| "0123456789¹²³".contains(c))
        })
    };
    DEVICES.contains(&stem.as_str()) || numbered("COM") || numbered("LPT")
}

/// At most so many bytes, with the ending kept where it is short.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_BYTES {
        return name.to_owned();
    }
    let ending =
        name.rfind('.').map(|dot| &name[dot..]).filter(|ending| ending.len() <= 16).unwrap_or_default();
    let mut end = MAX_BYTES - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_and_show_what_they_are() {
        for (name, safe) in [
            ("Lampe kaputt.jpg", "Lampe kaputt.jpg"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("C:\\autoexec.bat", "C__autoexec.bat"),
            (".bashrc", "bashrc"),
            ("...", "file"),
            ("", "file"),
            ("a\u{202e}gpj.exe", "agpj.exe"),
            ("a\u{200b}\u{feff}.txt\0\n", "a.txt"),
            ("nul", "_nul"),
            ("Com1.txt", "_Com1.txt"),
            ("LPT².x", "_LPT².x"),
            ("COM10", "COM10"),
            ("console.txt", "console.txt"),
            ("bild.jpg. . ", "bild.jpg"),
        ] {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
        let long = format!("{}.jpeg", "ä".repeat(300));
        let safe = safe_name(&long);
        assert!(safe.len() <= MAX_BYTES && safe.ends_with("ä.jpeg"));
    }

    #[test]
    fn a_number_goes_before_the_ending() {
        assert_eq!(numbered("a.b.jpg", 1), "a.b.jpg");
        assert_eq!(numbered("a.b.jpg", 2), "a.b (2).jpg");
        assert_eq!(numbered("ohne", 3), "ohne (3)");
    }
}
