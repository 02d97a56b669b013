//! Which part of a person's name is the family name, and what lists of people are sorted by.

/// Small words that belong to the family name behind them, and by which nobody looks it up (DIN 5007).
const PARTICLES: [&str; 24] = [
    "von", "van", "vom", "zu", "zum", "zur", "der", "den", "dem", "de", "del", "della", "di", "da", "dal",
    "dos", "du", "la", "le", "el", "al", "ten", "ter", "bin",
];

/// A name in two parts: what stands before the family name, and that name. `known` is the family name as a list said it;
/// where the name does not end with it, or nothing is known, it is the last word with the small words before it.
pub fn parts<'a>(name: &'a str, known: &str) -> (&'a str, &'a str) {
    let known = known.trim();
    let start = match name.strip_suffix(known) {
        Some(before) if !known.is_empty() && (before.is_empty() || before.ends_with(' ')) => before.len(),
        _ => guessed_start(name),
    };
    (name[..start].trim_end(), &name[start..])
}

fn guessed_start(name: &str) -> usize {
    let words: Vec<&str> = name.split(' ').collect();
    let mut first = words.len().saturating_sub(1);
    // The first word is given, whatever it looks like.
    while first > 1 && PARTICLES.contains(&words[first - 1]) {
        first -= 1;
    }
    words[..first].iter().map(|word| word.len() + 1).sum()
}

/// What a person stands under in a list: `Heide, Max von der`.
pub fn listed(name: &str, known: &str) -> String {
    let (given, family) = parts(name, known);
    let mut main = family;
    while let Some((_, rest)) = main.split_once(' ').filter(|(word, _)| PARTICLES.contains(word)) {
        main = rest;
    }
    let particles = family[..family.len() - main.len()].trim_end();
    let behind = [given, particles].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    if behind.is_empty() { main.to_owned() } else { format!("{main}, {behind}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_stand_under_their_family_name() {
        for (name, known, under) in [
            ("Ada Lovelace", "", "Lovelace, Ada"),
            ("Max Emil von der Heide", "", "Heide, Max Emil von der"),
            ("Ana García Márquez", "García Márquez", "García Márquez, Ana"),
            ("Ana García Márquez", "Lopez", "Márquez, Ana García"),
            ("Ana García Márquez", "", "Márquez, Ana García"),
            ("Cher", "", "Cher"),
            ("Von Da", "", "Da, Von"),
            ("Lê Van", "Lê Van", "Lê Van"),
            ("Tim van Dyk", "van Dyk", "Dyk, Tim van"),
            ("Anna Dyk", "yk", "Dyk, Anna"),
        ] {
            assert_eq!(listed(name, known), under, "{name} ({known})");
        }
    }

    proptest! {
        #[test]
        fn nothing_of_a_name_is_lost(name in "[A-ZÄ][a-zä]{0,4}( [A-Za-zä]{1,4}){0,4}", known in "[A-Za-zä ]{0,6}") {
            let (given, family) = parts(&name, &known);
            let whole = [given, family].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(whole, name.clone());
            prop_assert!(!family.is_empty());
            prop_assert_eq!(listed(&name, &known).split([' ', ',']).filter(|word| !word.is_empty()).count(), name.split(' ').count());
        }
    }
}
