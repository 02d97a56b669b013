//! What a password of the admin pages must not be: short, or one of those that are tried first.

/// Fewest characters (BSI: at least 8; this one opens a whole school).
pub const MIN_PASSWORD_CHARACTERS: usize = 10;

/// Most characters: hashing must stay cheap to refuse.
pub const MAX_PASSWORD_CHARACTERS: usize = 200;

/// Fewest different characters.
const MIN_DISTINCT: usize = 5;

/// Fewest letters that count as a word: shorter ones occur in everything.
const MIN_WORD: usize = 4;

/// Passwords from breaches, most of them as their letters alone; lines with `#` say whose work the list is.
const COMMON: &str = include_str!("common_passwords.txt");

/// What people of a German school add to those, and this program's own names.
const WORDS: &[&str] = &[
    "momedo",
    "passwort",
    "kennwort",
    "administrator",
    "willkommen",
    "geheim",
    "hallo",
    "sommer",
    "winter",
    "schule",
    "lehrer",
    "lehrerzimmer",
    "sekretariat",
    "schalke",
];

/// Whether it may be a password. Characters, capitals and digits are counted for nothing: only what guesses it soon is
/// refused, which is a common password or a word of its surroundings (`context`: the server's name, the account), also
/// with digits and signs around it, or twice.
pub fn is_acceptable(password: &str, context: &[&str]) -> bool {
    let length = password.chars().count();
    let lower = password.to_lowercase();
    let distinct = lower.chars().collect::<std::collections::HashSet<_>>().len();
    let fits = (MIN_PASSWORD_CHARACTERS..=MAX_PASSWORD_CHARACTERS).contains(&length);
    let letters = letters(&lower);
    let half = letters.get(..letters.len() / 2).filter(|half| letters == half.repeat(2)).unwrap_or("");
    let is_word = |word: &str| {
        word == lower || word.len() >= MIN_WORD && (word == letters || !half.is_empty() && word == half)
    };
    let common = COMMON.lines().filter(|line| !line.starts_with('#'));
    let own: Vec<String> = context.iter().map(|word| self::letters(&word.to_lowercase())).collect();
    fits && distinct >= MIN_DISTINCT
        && !common.chain(WORDS.iter().copied()).chain(own.iter().map(String::as_str)).any(is_word)
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_everybody_tries_are_refused() {
        let context = ["Schule am Wald", "grete"];
        for weak in [
            "",
            "kurz",
            "aaaaaaaaaaaaaaa",
            "Passwort12",
            "1234567890",
            "q1w2e3r4t5",
            "Administrator1!",
            "qwertyuiop",
            "Manchester2024",
            "sunshine!!2026",
            "iloveyouiloveyou",
            "Momedo-2026!",
            "SchuleAmWald1",
            "grete.12345",
        ] {
            assert!(!is_acceptable(weak, &context), "{weak}");
        }
        assert!(!is_acceptable(&"xyzab".repeat(41), &context));
        for good in
            ["Lampe im dritten Stock", "Kreide und Schwamm", "z1JT7HiLWWys2Cc25xsW", "käse-brot-uhu-9"]
        {
            assert!(is_acceptable(good, &context), "{good}");
        }
        assert!(is_acceptable(&"Lampe im dritten Stock ".repeat(8), &context), "long ones are welcome");
    }

    #[test]
    fn more_than_three_thousand_common_ones_are_known() {
        let known = COMMON.lines().filter(|line| !line.starts_with('#'));
        assert!(known.clone().count() > 20_000);
        let refused = known.map(|word| format!("{word}123456")).filter(|long| long.chars().count() >= 10);
        let refused = refused.filter(|long| !is_acceptable(long, &[])).take(3_000);
        assert_eq!(refused.count(), 3_000);
    }
}
