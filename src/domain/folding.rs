//! How names are compared: what counts as the same name, what a search finds, and in which order lists stand.
//!
//! Two names are the same if they differ by case or by how Unicode writes them. Lists go by the German dictionary order
//! (DIN 5007-1), which is the root of the Unicode Collation Algorithm: Ä beside A, ß as ss, other scripts after; numbers
//! by their value, so that class 5a stands before 10a.

use icu_casemap::CaseMapperBorrowed;
use icu_collator::options::CollatorOptions;
use icu_collator::preferences::CollationNumericOrdering;
use icu_collator::{CollatorBorrowed, CollatorPreferences};
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

/// Which [`folded`] and [`sort_key`] these are: raised whenever either gives something else for any name, also through
/// newer Unicode tables. Whoever stores their results makes them anew when it has risen.
pub const VERSION: u64 = 1;

/// What `text` is searched and compared by: a compatibility caseless match (The Unicode Standard, definition D146).
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let case = CaseMapperBorrowed::new();
    // Folding can uncover what decomposes further, and the other way round.
    let canonical = DecomposingNormalizerBorrowed::new_nfd().normalize(text);
    let once = case.fold_string(&canonical);
    let compatible = DecomposingNormalizerBorrowed::new_nfkd().normalize(&once);
    let twice = case.fold_string(&compatible);
    ComposingNormalizerBorrowed::new_nfkc().normalize(&twice).into_owned()
}

/// What `name` is sorted by: bytes that compare as the names do.
pub fn sort_key(name: &str) -> Vec<u8> {
    // The root, which German adds nothing to.
    let mut preferences = CollatorPreferences::default();
    preferences.numeric_ordering = Some(CollationNumericOrdering::True);
    let collator = CollatorBorrowed::try_new(preferences, CollatorOptions::default())
        .expect("the tables of the collation are part of the program");
    let mut key = Vec::new();
    let Ok(()) = collator.write_sort_key_to(name, &mut key);
    key
}

#[cfg(test)]
mod tests {
    use icu_normalizer::DecomposingNormalizerBorrowed;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn case_and_normal_form_make_no_other_name() {
        for (one, other) in [
            ("Müller", "MÜLLER"),
            ("Mu\u{308}ller", "müller"),
            ("Weiß", "WEISS"),
            ("Straße", "STRAẞE"),
            ("Ñuñez", "n\u{303}un\u{303}ez"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Ｋｌａｓｓｅ ７", "klasse 7"),
            ("ﬁnn", "Finn"),
            ("Łukasz", "łukasz"),
            ("ЖЕНЯ", "женя"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        for (one, other) in [("Müller", "Muller"), ("Anna", "Anne"), ("7a", "7 a"), ("Celik", "Çelik")] {
            assert_ne!(folded(one), folded(other), "{one} {other}");
        }
    }

    /// The names in order.
    const SORTED: &[&str] = &[
        "5a",
        "7a",
        "7b",
        "10a",
        "10b",
        "Adler",
        "Ärger",
        "Bauer",
        "Goebel",
        "Gött",
        "Götze",
        "Groß",
        "Grosse",
        "Kurs 9",
        "Kurs 10",
        "müller",
        "Müller",
        "Müllner",
        "Öztürk",
        "Şahin",
        "Zander",
        "Γιάννης",
        "Женя",
    ];

    #[test]
    fn lists_stand_in_the_german_order() {
        let mut names: Vec<&str> = SORTED.iter().rev().copied().collect();
        names.sort_by_key(|name| sort_key(name));
        assert_eq!(names, SORTED);
        assert_eq!(sort_key("Mu\u{308}ller"), sort_key("Müller"));
    }

    #[test]
    fn what_is_stored_of_names_has_the_version_it_says() {
        let mut digest = Sha256::new();
        for name in SORTED {
            digest.update(folded(name));
            digest.update(sort_key(name));
        }
        let digest: String = digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (VERSION, digest.as_str()),
            (1, "f2f83379286769f2"),
            "raise VERSION: databases are mended by it"
        );
    }

    proptest! {
        #[test]
        fn a_folded_name_is_folded(text: String) {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }

        #[test]
        fn normal_forms_are_one(text: String) {
            let other = DecomposingNormalizerBorrowed::new_nfd().normalize(&text).into_owned();
            prop_assert_eq!(folded(&other), folded(&text));
            prop_assert_eq!(sort_key(&other), sort_key(&text));
        }

        #[test]
        fn ascii_is_folded_as_the_rest(text in "[ -~]{0,20}") {
            prop_assert_eq!(folded(&format!("{text}ß")), folded(&text) + "ss");
        }
    }
}
