//! What may stand as a name, and what only looks like one.
#![allow(clippy::unwrap_used, reason = "tests")]

use momedo_protocol::name::is_acceptable_name;

#[test]
fn names_of_people_and_places_are_taken() {
    for name in [
        "Anna Müller",
        "Łukasz",
        "Nguyễn Văn An",
        "Åsa",
        "李雷",
        "محمد",
        "Ольга",
        "O’Brien-Smith, 9c",
        "Q",
        "Team 💡",
    ] {
        assert!(is_acceptable_name(name), "{name}");
    }
    assert!(is_acceptable_name(&"ä".repeat(80)) && !is_acceptable_name(&"ä".repeat(81)));
}

#[test]
fn a_name_shows_what_it_is_and_nothing_else() {
    for (name, why) in [
        ("Anna\u{202e}relluM", "turns what follows around"),
        ("\u{2067}Anna", "an isolate"),
        ("Anna\u{200f}", "a direction mark"),
        ("An\u{200b}na", "a space without width"),
        ("An\u{200d}na", "a joiner"),
        ("Anna\u{feff}", "a byte order mark"),
        ("Anna\u{ad}", "a soft hyphen"),
        ("An\u{34f}na", "a grapheme joiner"),
        ("An\u{fe0f}na", "a variation selector"),
        ("An\u{e0041}na", "a tag"),
        ("An\u{3164}na", "a filler"),
        ("An\u{115f}na", "a filler of Hangul"),
        ("An\u{2800}na", "an empty Braille pattern"),
        ("Anna\u{e000}", "for private use"),
        ("Anna\u{378}", "not assigned"),
        ("Anna\u{fdd0}", "no character"),
        ("Anna\u{2028}", "another line"),
        ("Anna\u{2029}", "another paragraph"),
        ("Anna\tMüller", "a tabulator"),
        ("Anna\u{7f}", "a control character"),
        ("Anna\u{a0}Müller", "another space"),
        ("Anna\u{3000}Müller", "a wide space"),
        (" Anna", "a space in front"),
        ("Anna ", "a space behind"),
        ("Anna  Müller", "two spaces"),
        ("Anna Mu\u{308}ller", "not composed"),
        ("\u{301}Anna", "a mark on nothing"),
        ("Anna\u{334}\u{335}\u{336}\u{337}\u{338}", "a stack of marks"),
        ("", "nothing"),
        (" ", "a space"),
    ] {
        assert!(!is_acceptable_name(name), "{why}: {}", name.escape_unicode());
    }
}

#[test]
fn a_name_has_a_length_in_bytes_too() {
    assert!(!is_acceptable_name(&"𐍈".repeat(80)));
}
