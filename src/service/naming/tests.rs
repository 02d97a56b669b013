//! Names that admins may give.

use super::check_name;
use crate::testing::refused;

#[test]
fn a_name_shows_what_it_is_and_nothing_besides() {
    for name in ["Ada", "Ada Lovelace", "Müller-Lüdenscheidt", "7b", "O’Neill", &"ä".repeat(80)] {
        assert!(check_name(name).is_ok(), "{name}");
    }
    for name in [
        "",
        " ",
        " Ada",
        "Ada ",
        "Ada  Lovelace",
        "Ada\nLovelace",
        "Ada\u{200b}",
        "\u{202e}adA",
        "A\u{30a}da",
        &"ä".repeat(81),
    ] {
        assert_eq!(refused(check_name(name)), "unacceptable-name", "{name:?}");
    }
}
