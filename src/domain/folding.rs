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

use super::person_name;

/// Which [`folded`], [`class_key`], [`sort_key`] and [`person_sort_key`] these are: raised whenever one of them gives
/// something else for any name, also through newer Unicode tables. Whoever stores their results makes them anew when it
/// has risen.
pub const VERSION: u64 = 2;

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

/// What a person is sorted by: the family name, which a list may have said, then the rest.
pub fn person_sort_key(name: &str, family_name: &str) -> Vec<u8> {
    sort_key(&person_name::listed(name, family_name))
}

/// What classes are told apart by: `07a`, `7 A` and `7a` are one. Names that do not begin with a number differ by their
/// words alone.
pub fn class_key(name: &str) -> String {
    let folded = folded(name);
    let words: Vec<&str> = folded.split_whitespace().collect();
    if !folded.trim_start().starts_with(|c: char| c.is_ascii_digit()) {
        return words.join(" ");
    }
    // Only a number and its letters belong together: "1 1a" is not "11a".
    let meets = |pair: &[&str]| {
        let ends = |word: &str| word.chars().next_back().is_some_and(|c| c.is_ascii_digit());
        ends(pair[0]) && pair[1].starts_with(|c: char| c.is_ascii_digit())
    };
    if words.windows(2).any(meets) {
        return words.join(" ");
    }
    let joined = words.concat();
    let digits = joined.trim_start_matches(|c: char| c.is_ascii_digit());
    // More behind the number than a class has is a course: "7 Englisch" and "7englisch" may well be two.
    if digits.chars().count() > MAX_CLASS_LETTERS {
        return words.join(" ");
    }
    let number = joined[..joined.len() - digits.len()].trim_start_matches('0');
    format!("{}{digits}", if number.is_empty() { "0" } else { number })
}

/// Longest part of a class behind its number, in characters: `10 c/d`.
const MAX_CLASS_LETTERS: usize = 4;

/// Whether a search for `query` finds `text`: every word of it is somewhere in the text, with umlauts as such, as two
/// letters or without their dots, and without the marks of other languages. Who searches `celik` or `Mueller` finds
/// `Çelik` and `Müller`.
pub fn finds(text: &str, query: &Query) -> bool {
    if query.0.is_empty() {
        return true;
    }
    let forms = search_forms(text);
    query.0.iter().all(|word| forms.iter().zip(word).any(|(text, word)| text.contains(word.as_str())))
}

/// The words of a search, prepared for [`finds`].
#[derive(Debug, Clone)]
pub struct Query(Vec<[String; 2]>);

impl Query {
    /// Prepares what somebody typed.
    pub fn new(typed: &str) -> Self {
        let words = typed.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        Self(words.map(search_forms).collect())
    }
}

/// A text folded, without marks: once with umlauts as two letters, once without their dots.
fn search_forms(text: &str) -> [String; 2] {
    let folded = folded(text);
    if folded.is_ascii() && !folded.contains('`') {
        return [folded.clone(), folded];
    }
    let spelt = folded.replace('ä', "ae").replace('ö', "oe").replace('ü', "ue");
    [plain(&spelt), plain(&folded)]
}

/// Letters without their marks, also such as Unicode does not take apart.
fn plain(folded: &str) -> String {
    let letters = DecomposingNormalizerBorrowed::new_nfd().normalize(folded);
    let letters = letters.chars().filter(|c| !('\u{300}'..='\u{36f}').contains(c));
    letters
        .map(|c| match c {
            'ı' => 'i',
            'ł' => 'l',
            'ø' => 'o',
            'đ' | 'ð' => 'd',
            'ħ' => 'h',
            'ŧ' => 't',
            '’' | '`' | '´' => '\'',
            other => other,
        })
        .collect()
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
            digest.update(person_sort_key(name, ""));
            digest.update(class_key(name));
        }
        let digest: String = digest.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            (VERSION, digest.as_str()),
            (2, "5ff4d836085cf4d4"),
            "raise VERSION: databases are mended by it"
        );
    }

    #[test]
    fn a_class_is_the_same_however_it_is_written() {
        for (one, other) in [
            ("7a", "07a"),
            ("7a", "7A"),
            ("7a", "7 a"),
            ("7a", " 07  A"),
            ("10", "010"),
            ("Chor  Mitte", "chor mitte"),
            ("7 Englisch", "7  englisch"),
            ("00", "0"),
        ] {
            assert_eq!(class_key(one), class_key(other), "{one} {other}");
        }
        for (one, other) in [
            ("7a", "7b"),
            ("7a", "70a"),
            ("7 Englisch", "7Englisch"),
            ("Q1", "Q 1"),
            ("1a", "11a"),
            ("1 1a", "11a"),
            ("10 1", "101"),
        ] {
            assert_ne!(class_key(one), class_key(other), "{one} {other}");
        }
    }

    #[test]
    fn a_search_forgives_how_names_are_written() {
        for (text, query) in [
            ("Leyla Çelik", "celik"),
            ("Anna Müller", "Mueller"),
            ("Anna Müller", "muller"),
            ("Anna Müller", "MÜLLER"),
            ("Anna Mueller", "müller"),
            ("Anna Mu\u{308}ller", "mül"),
            ("Anna Müller", "müller anna"),
            ("Anna Müller", "Müller, Anna"),
            ("Jörg Groß", "joerg gross"),
            ("Işıl Yıldız", "isil yildiz"),
            ("Łukasz Żak", "lukasz zak"),
            ("Søren Đurić", "soren duric"),
            ("Zoë O’Neil", "zoe o'neil"),
            ("Ada", ""),
            ("Ada", " , "),
        ] {
            assert!(finds(text, &Query::new(query)), "{text} {query}");
        }
        for (text, query) in [("Anna Müller", "moeller"), ("Anna Müller", "anna maier"), ("Ada", "adam")] {
            assert!(!finds(text, &Query::new(query)), "{text} {query}");
        }
    }

    proptest! {
        #[test]
        fn whoever_is_typed_as_listed_is_found(text: String) {
            prop_assert!(finds(&text, &Query::new(&text)));
        }

        #[test]
        fn a_class_key_is_one(text: String) {
            let once = class_key(&text);
            prop_assert_eq!(class_key(&once), once);
        }

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
