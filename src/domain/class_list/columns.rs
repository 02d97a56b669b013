//! What the columns of a list mean: by their titles, in the words of school software, else by what stands in them.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoEnumIterator, IntoStaticStr};

use super::entry::role_in;
use crate::domain::folding::folded;

/// What a column means.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Column {
    /// The whole name.
    Name,
    /// The family name.
    FamilyName,
    /// The given names, or the one that is used.
    GivenName,
    /// The class or team.
    Class,
    /// What other software knows the person by.
    Key,
    /// The role.
    Role,
}

/// Titles with what they mean, the surest first: WebUntis (`longName`, `klasse.name`), SchILD-NRW, ASV, LUSD
/// (`Schueler_Nachname`), IServ (`Klasse/Information`), and what people write themselves. Compared without case, blanks
/// and signs, and without a word for pupils before them.
const TITLES: [(Column, &[&str]); 6] = [
    (
        Column::FamilyName,
        &["nachname", "familienname", "zuname", "longname", "langname", "lastname", "surname", "familyname"],
    ),
    (
        Column::GivenName,
        &[
            "rufname",
            "vorname",
            "vornamen",
            "forename",
            "firstname",
            "givenname",
            "allevornamen",
            "givennames",
        ],
    ),
    (
        Column::Name,
        &[
            "namevorname",
            "nachnamevorname",
            "familiennamevorname",
            "namerufname",
            "nachnamerufname",
            "vornamenachname",
            "vornamename",
            "vorundnachname",
            "nachundvorname",
            "vorundzuname",
            "namen",
            "anzeigename",
            "displayname",
            "fullname",
            "vollständigername",
            "person",
            "name",
            "schüler",
            "schülerin",
        ],
    ),
    (
        Column::Class,
        &[
            "klasse",
            "class",
            "klassenbezeichnung",
            "klassebezeichnung",
            "klassenname",
            "klassename",
            "klassenkürzel",
            "classname",
            "klasseinformation",
            "klasseinfo",
            "stammklasse",
            "kl",
            "klassen",
            "klassegruppe",
            "lerngruppe",
            "gruppe",
            "group",
            "team",
            "abteilung",
            "department",
        ],
    ),
    (
        Column::Key,
        &[
            "kennung",
            "externkey",
            "externalkey",
            "externeid",
            "externalid",
            "fremdschlüssel",
            "schlüssel",
            "key",
            "importid",
            "schildid",
            "lusdid",
            "asvid",
            "guid",
            "eindeutigenummer",
            "eindeutigenummerguid",
            "interneid",
            "interneidnummer",
            "schülerid",
            "studentid",
            "lokalesdifferenzierungsmerkmal",
            "schülernummer",
            "personalnummer",
            "matrikelnummer",
            "id",
            "nummer",
            "number",
        ],
    ),
    (Column::Role, &["rolle", "role", "personengruppe", "funktion"]),
];

/// Words before or behind a title that say whose it is.
const OWNERS: [&str; 12] = [
    "schülerinnen",
    "schülerin",
    "schüler",
    "schueler",
    "student",
    "pupil",
    "des",
    "der",
    "klassen",
    "person",
    "user",
    "benutzer",
];

/// A title that is one of the known ones: what it means, and how sure that is, from 0 for surest.
fn titled(title: &str) -> Option<(Column, usize)> {
    let words = words(title);
    let known = |words: &[String]| {
        let joined = words.concat();
        TITLES
            .iter()
            .find_map(|(column, titles)| Some((*column, titles.iter().position(|title| *title == joined)?)))
    };
    if let Some(found) = known(&words) {
        return Some(found);
    }
    let own: Vec<String> = words.iter().filter(|word| !OWNERS.contains(&word.as_str())).cloned().collect();
    (own.len() < words.len()).then(|| known(&own)).flatten()
}

/// `Schueler_Nachname`, `klasse.name` and `longName` in small words; umlauts as such.
fn words(title: &str) -> Vec<String> {
    let folded = folded(title)
        .replace("schluessel", "schlüssel")
        .replace("schueler", "schüler")
        .replace("kuerzel", "kürzel");
    let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// What two columns claim, of which one is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doubt {
    /// What both could be.
    pub meaning: Column,
    /// The column that is taken, from 0.
    pub taken: usize,
    /// The one that is not, from 0.
    pub other: usize,
}

/// What each column means, with what is not certain of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Guess {
    /// For each column.
    pub(super) columns: Vec<Option<Column>>,
    /// Columns with other values that could mean the same.
    pub(super) doubts: Vec<Doubt>,
}

impl Guess {
    /// Whether both parts of names have columns.
    pub(super) fn has_both_names(&self) -> bool {
        let has = |wanted| self.columns.contains(&Some(wanted));
        has(Column::FamilyName) && has(Column::GivenName)
    }

    /// Takes a column that no title calls a class for one, where its values look so; whether it did.
    pub(super) fn find_class(&mut self, rows: &[&[String]]) -> bool {
        if self.columns.contains(&Some(Column::Class)) {
            return false;
        }
        let content = by_content(rows);
        let found = content.columns.iter().position(|column| *column == Some(Column::Class));
        match found.filter(|index| self.columns.get(*index) == Some(&None)) {
            Some(index) => {
                self.columns[index] = Some(Column::Class);
                true
            }
            None => false,
        }
    }

    /// Whether people have names.
    pub(super) fn has_names(&self) -> bool {
        names(&self.columns)
    }
}

/// Whether one of the columns holds names.
pub(super) fn names(columns: &[Option<Column>]) -> bool {
    let is_name = |column: &Option<Column>| {
        matches!(column, Some(Column::Name | Column::FamilyName | Column::GivenName))
    };
    columns.iter().any(is_name)
}

/// The cell of this column; rows are as long as they were written.
pub(super) fn cell(row: &[String], column: usize) -> &str {
    row.get(column).map_or("", String::as_str)
}

/// What the columns mean by these titles; `rows` are the people below.
pub(super) fn by_titles(titles: &[String], rows: &[&[String]]) -> Guess {
    let mut claims: Vec<Option<(Column, usize)>> = titles.iter().map(|title| titled(title)).collect();
    let has =
        |claims: &[_], wanted| claims.iter().flatten().any(|(column, _): &(Column, usize)| *column == wanted);
    let (family, given) = (has(&claims, Column::FamilyName), has(&claims, Column::GivenName));
    for claim in &mut claims {
        let Some((column @ Column::Name, _)) = claim else { continue };
        match (family, given) {
            // "Name" beside "Vorname" is the family name, as most lists in Germany have it.
            (false, true) => *column = Column::FamilyName,
            // Beside both it is a short name of the software's own (WebUntis), or the two together.
            (true, true) => *claim = None,
            _ => {}
        }
    }
    for (index, claim) in claims.iter_mut().enumerate() {
        let values = || rows.iter().map(|row| cell(row, index)).filter(|value| !value.is_empty());
        match claim {
            // A number in the class's list begins anew in each class: it tells nobody apart.
            Some((Column::Key, sureness))
                if is_numbering(rows, index) || is_weak_key(*sureness) && counts_up(values()) =>
            {
                *claim = None;
            }
            Some((Column::Role, sureness))
                if *sureness > 1 && values().any(|value| role_in(value).is_none()) =>
            {
                *claim = None;
            }
            _ => {}
        }
    }
    choose(&claims, rows)
}

/// Whether the title of a key says no more than that it is a number.
fn is_weak_key(sureness: usize) -> bool {
    let titles = TITLES.iter().find(|(column, _)| *column == Column::Key).map(|(_, titles)| *titles);
    titles
        .and_then(|titles| titles.get(sureness))
        .is_some_and(|title| ["id", "nummer", "number"].contains(title))
}

/// Whether values are the numbers of their rows, which another list begins anew.
fn counts_up<'a>(values: impl Iterator<Item = &'a str>) -> bool {
    let mut numbers: Vec<Option<usize>> = values.map(|value| value.parse().ok()).collect();
    numbers.sort_unstable();
    !numbers.is_empty() && numbers.iter().enumerate().all(|(index, number)| *number == Some(index + 1))
}

/// Whether many rows share their value with a row of somebody else. The same row twice is the same person twice.
fn is_numbering(rows: &[&[String]], index: usize) -> bool {
    let mut seen = HashMap::new();
    let filled = rows.iter().filter(|row| !cell(row, index).is_empty());
    let (mut all, mut shared) = (0_usize, 0_usize);
    for row in filled {
        all += 1;
        shared += usize::from(seen.insert(cell(row, index), row).is_some_and(|other| other != row));
    }
    shared * 10 > all
}

/// For each meaning the surest column.
fn choose(claims: &[Option<(Column, usize)>], rows: &[&[String]]) -> Guess {
    let mut guess = Guess { columns: vec![None; claims.len()], doubts: Vec::new() };
    for meaning in Column::iter() {
        let claimants = || {
            claims.iter().enumerate().filter_map(|(index, claim)| {
                claim.filter(|(column, _)| *column == meaning).map(|(_, sureness)| (sureness, index))
            })
        };
        let Some((_, taken)) = claimants().min() else { continue };
        guess.columns[taken] = Some(meaning);
        // Of given names the one that is used is what counts; keys are many in school software.
        if matches!(meaning, Column::GivenName | Column::Key) {
            continue;
        }
        let differs = |other: usize| rows.iter().any(|row| cell(row, taken) != cell(row, other));
        let others = claimants().map(|(_, other)| other).filter(|other| *other != taken && differs(*other));
        guess.doubts.extend(others.map(|other| Doubt { meaning, taken, other }));
    }
    guess
}

/// What the columns mean by what stands in them, where no titles say it.
pub(super) fn by_content(rows: &[&[String]]) -> Guess {
    let width = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let mut columns = vec![None; width];
    let share = |index: usize, is: &dyn Fn(&str) -> bool| {
        let values: Vec<&str> =
            rows.iter().map(|row| cell(row, index)).filter(|value| !value.is_empty()).collect();
        let fits = values.iter().filter(|value| is(value)).count();
        // In percent; an empty column is nothing.
        if values.is_empty() { 0 } else { fits * 100 / values.len() }
    };
    // Numbers alone, each once, are those of rows and not of classes.
    let is_class_column = |index: &usize| {
        let values: Vec<&str> =
            rows.iter().map(|row| cell(row, *index)).filter(|value| !value.is_empty()).collect();
        let distinct: HashSet<&&str> = values.iter().collect();
        values.iter().any(|value| value.contains(char::is_alphabetic)) || distinct.len() < values.len()
    };
    let candidates = (0..width).filter(is_class_column);
    let class = candidates.map(|index| (share(index, &is_class), std::cmp::Reverse(index))).max();
    if let Some((60.., std::cmp::Reverse(index))) = class {
        columns[index] = Some(Column::Class);
    }
    let named: Vec<usize> = (0..width)
        .filter(|index| columns[*index].is_none() && share(*index, &is_name) >= 80 && varies(rows, *index))
        .take(2)
        .collect();
    match named[..] {
        [one] => columns[one] = Some(Column::Name),
        [one, other] if share(one, &|value| value.contains([' ', ','])) < 80 => {
            columns[one] = Some(Column::FamilyName);
            columns[other] = Some(Column::GivenName);
        }
        [one, _] => columns[one] = Some(Column::Name),
        _ => {}
    }
    Guess { columns, doubts: Vec::new() }
}

/// Whether a column holds more than a few words for everybody, as `m` and `w` are.
fn varies(rows: &[&[String]], index: usize) -> bool {
    let values: HashSet<&str> = rows.iter().map(|row| cell(row, index)).collect();
    values.len() * 3 > rows.len()
}

/// `7b`, `10 A`, `05c`, `Q1`, `EF`, `J12`.
pub(super) fn is_class(value: &str) -> bool {
    let value = folded(value).replace([' ', '.', '/', '-'], "");
    let digits = value.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = value[..value.len() - digits.len()].parse::<u8>().ok();
    match number {
        Some(1..=13) => digits.chars().count() <= 2 && digits.chars().all(char::is_alphabetic),
        Some(_) => false,
        None => {
            let number = digits.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            let letters = &digits[..digits.len() - number.len()];
            matches!(letters, "q" | "e" | "ef" | "k" | "j" | "ks" | "s")
                && number.len() <= 2
                && number.chars().all(|c| c.is_ascii_digit())
                && (!number.is_empty() || letters == "ef")
        }
    }
}

fn is_name(value: &str) -> bool {
    value.chars().count() > 1
        && value.chars().any(char::is_alphabetic)
        && value.chars().all(|c| c.is_alphabetic() || " -.,'’`()".contains(c))
        && value.chars().next().is_some_and(|c| !c.is_lowercase() || value.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(titles: &str) -> String {
        let titles: Vec<String> = titles.split(';').map(str::to_owned).collect();
        let guess = by_titles(&titles, &[]);
        let words =
            guess.columns.iter().map(|column| column.map_or("-".to_owned(), |column| column.to_string()));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_titles_of_school_software_are_known() {
        for (titles, expected) in [
            ("Name;Klasse;Kennung;Rolle", "name class key role"),
            ("Name;Vorname;Klasse", "family-name given-name class"),
            ("Vorname;Name;Kl.", "given-name family-name class"),
            // WebUntis
            (
                "name;longName;foreName;gender;birthDate;klasse.name;entryDate;exitDate;text;id;externKey",
                "- family-name given-name - - class - - - - key",
            ),
            // SchILD-NRW
            (
                "Interne ID-Nummer;Nachname;Vorname;Geburtsdatum;Klasse;Jahrgang",
                "key family-name given-name - class -",
            ),
            // ASV
            (
                "Familienname;Rufname;Vornamen;Klasse;Geschlecht;Lokales Differenzierungsmerkmal",
                "family-name given-name - class - key",
            ),
            // LUSD
            (
                "Schueler_Nachname;Schueler_Vorname;Schueler_Geburtsdatum;Klassen_Klassenbezeichnung",
                "family-name given-name - class",
            ),
            // IServ
            ("Import-ID;Vorname;Nachname;Klasse/Information;E-Mail", "key given-name family-name class -"),
            ("Name, Vorname;Klasse", "name class"),
            ("Vor- und Nachname;Stammklasse", "name class"),
            ("Schüler;Anzeigename;Personalnummer", "- name key"),
            ("Schüler/in;Klasse", "name class"),
            ("FIRST NAME;Last_Name;CLASS", "given-name family-name class"),
        ] {
            assert_eq!(meaning(titles), expected, "{titles}");
        }
    }

    fn table(text: &str) -> Vec<Vec<String>> {
        text.lines().map(|line| line.split(';').map(str::to_owned).collect()).collect()
    }

    fn content(text: &str) -> String {
        let rows = table(text);
        let rows: Vec<&[String]> = rows.iter().map(Vec::as_slice).collect();
        let columns = by_content(&rows).columns;
        let words = columns.iter().map(|column| column.map_or("-".to_owned(), |column| column.to_string()));
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn without_titles_it_is_judged_by_what_stands_there() {
        assert_eq!(
            content("Lovelace;Ada;w;7b;1\nWaldmann;Ben;m;10a;2\nÖz;Can;m;EF;3"),
            "family-name given-name - class -"
        );
        assert_eq!(content("7b;Ada Lovelace\n7b;Ben Waldmann\n7c;Can Öz"), "class name");
        assert_eq!(content("1;Lovelace, Ada\n2;Waldmann, Ben"), "- name");
        assert_eq!(content("1;2\n3;4"), "- -");
        assert_eq!(content(""), "");
    }

    #[test]
    fn two_columns_that_say_different_things_are_a_doubt() {
        let rows = table("Ada;7a;6a\nBen;7a;6b");
        let rows: Vec<&[String]> = rows.iter().map(Vec::as_slice).collect();
        let titles = ["Name", "Klasse", "Klasse"].map(str::to_owned);
        let guess = by_titles(&titles, &rows);
        assert_eq!(guess.columns, [Some(Column::Name), Some(Column::Class), None]);
        assert_eq!(guess.doubts, [Doubt { meaning: Column::Class, taken: 1, other: 2 }]);
        let same = table("Ada;7a;7a\nBen;7a;7a");
        let same: Vec<&[String]> = same.iter().map(Vec::as_slice).collect();
        assert_eq!(by_titles(&titles, &same).doubts, []);
    }

    #[test]
    fn a_number_that_begins_anew_in_each_class_is_no_key() {
        let rows = table("1;Ada\n2;Ben\n1;Can\n2;Dora");
        let rows: Vec<&[String]> = rows.iter().map(Vec::as_slice).collect();
        let titles = ["Nummer", "Name"].map(str::to_owned);
        assert_eq!(by_titles(&titles, &rows).columns, [None, Some(Column::Name)]);
    }

    #[test]
    fn classes_are_known_by_how_they_are_called() {
        for class in ["7b", "07a", "10 A", "5 c", "Q1", "EF", "E2", "13", "K1", "10 c/d"] {
            assert!(is_class(class), "{class}");
        }
        for other in ["Ada", "1001", "m", "w", "2014-05-01", "14a", "Eva", "", "Ulm"] {
            assert!(!is_class(other), "{other}");
        }
    }
}
