//! Whole lists as people have them.

use proptest::prelude::*;

use super::*;

fn list(file: impl AsRef<[u8]>) -> ClassList {
    read(file.as_ref(), &Choices::default()).unwrap()
}

/// Each row: `line name/class/key`, or its fault.
fn people(list: &ClassList) -> Vec<String> {
    let row = |(line, row): &(u64, Result<Entry, RowFault>)| match row {
        Ok(entry) => format!("{line} {}/{}/{}", entry.name, entry.class, entry.key),
        Err(fault) => format!("{line} {fault:?}"),
    };
    list.rows.iter().map(row).collect()
}

fn meanings(list: &ClassList) -> Vec<Option<Column>> {
    list.columns.iter().map(|column| column.meaning).collect()
}

#[test]
fn name_beside_vorname_is_the_family_name() {
    let list = list("Name;Vorname;Klasse\r\nWaldmann;Tilda;7b\r\nWaldmann;Jonte;7b\r\nÖzer;Suna;7b\r\n");
    assert_eq!(people(&list), ["2 Tilda Waldmann/7b/", "3 Jonte Waldmann/7b/", "4 Suna Özer/7b/"]);
    assert!(list.is_certain);
    let Ok(first) = &list.rows[0].1 else { panic!() };
    assert_eq!(first.family_name, "Waldmann");
}

#[test]
fn rows_without_their_empty_last_cells_are_people() {
    let list = list("Name;Klasse;\r\nAa Bb;7b;\r\nCc Dd;7b\r\nEe Ff\r\n;;\r\n");
    assert_eq!(people(&list), ["2 Aa Bb/7b/", "3 Cc Dd/7b/", "4 Ee Ff//"]);
    assert_eq!(list.columns.len(), 2);
}

#[test]
fn a_row_with_more_cells_than_titles_is_told() {
    let list = list("Name;Klasse\nAda;7b;x\nBen;7b;;\n");
    assert_eq!(people(&list), ["2 ExtraCells", "3 Ben/7b/"]);
}

#[test]
fn an_open_quote_costs_one_row() {
    let list = list("Name;Klasse\r\nEins;1a\r\n\"Zwei;1a\r\nDrei;1a\r\nVier;1a\r\nFünf;1a\r\n");
    assert_eq!(people(&list), ["2 Eins/1a/", "3 OpenQuote", "4 Drei/1a/", "5 Vier/1a/", "6 Fünf/1a/"]);
}

#[test]
fn lines_above_the_titles_are_no_people() {
    let list =
        list("Wald-Schule;;\nKlassenliste, Stand: 1.9.2026\n\nNachname;Vorname;Klasse\nLovelace;Ada;7b\n");
    assert_eq!((list.titles, &list.above[..]), (Some(4), &[1, 2][..]));
    assert_eq!(people(&list), ["5 Ada Lovelace/7b/"]);
}

#[test]
fn a_list_without_titles_is_guessed_and_has_to_be_looked_at() {
    let file = "Lovelace;Ada;7b\nWaldmann;Ben;7b\nÖzer;Can;7c\n";
    let guessed = list(file);
    assert_eq!((guessed.titles, guessed.is_certain), (None, false));
    assert_eq!(people(&guessed), ["1 Ada Lovelace/7b/", "2 Ben Waldmann/7b/", "3 Can Özer/7c/"]);
    let columns = vec![Some(Column::GivenName), Some(Column::FamilyName)];
    let chosen = read(file.as_ref(), &Choices { columns: Some(columns), ..Choices::default() }).unwrap();
    assert!(chosen.is_certain);
    assert_eq!(people(&chosen)[0], "1 Lovelace Ada//");
    // Titles that nobody knows are not a person.
    let list = list("Bezeichner;Rufzeichen;Zug\nLovelace;Ada;7b\nWaldmann;Ben;7b\n");
    assert_eq!((list.titles, list.is_certain, list.rows.len()), (Some(1), false, 2));
}

#[test]
fn what_was_guessed_can_be_said_otherwise() {
    let file = b"Name;Klasse;Klasse neu\nAda Lovelace;6b;7b\n";
    let guessed = list(file);
    assert_eq!(meanings(&guessed), [Some(Column::Name), Some(Column::Class), None]);
    let columns = vec![Some(Column::Name), None, Some(Column::Class)];
    let choices = Choices { columns: Some(columns), ..Choices::default() };
    let chosen = read(file, &choices).unwrap();
    assert_eq!((people(&chosen), chosen.is_certain), (vec!["2 Ada Lovelace/7b/".to_owned()], true));
    // Line 1 as a person, and the characters of another table.
    let choices = Choices { titles: Some(0), encoding: Some(Encoding::Cp850), ..Choices::default() };
    assert_eq!(read(b"J\x84ger;7b\nB\x94rn;7b\n", &choices).unwrap().rows.len(), 2);
}

#[test]
fn two_classes_that_differ_are_a_doubt() {
    let list = list("Name;Klasse;Klasse\nAda;7a;6a\n");
    assert!(!list.is_certain);
    assert_eq!(list.doubts, [Doubt { meaning: Column::Class, taken: 1, other: 2 }]);
}

#[test]
fn a_key_that_a_spreadsheet_shortened_is_told() {
    for key in ["1,23457E+11", "1.23457E+11", "1E+11", "1,2e+05"] {
        let list = list(format!("Name;Kennung\nAda;{key}\nBen;E12\n"));
        assert_eq!(people(&list), ["2 ShortenedKey", "3 Ben//E12"], "{key}");
    }
}

#[test]
fn whole_names_with_a_comma_are_turned() {
    let list = list("Name;Klasse\n\"Lovelace, Ada\";7b\nvon der Heide, Max;7b\n");
    assert_eq!(people(&list), ["2 Ada Lovelace/7b/", "3 Max von der Heide/7b/"]);
}

#[test]
fn a_byte_that_makes_no_character_costs_one_row() {
    let list = list(b"Name;Klasse\nJ\xc3ger Bj\xc3\xb6rn;7b\nL\xc3\xb6w \xc3\x84nne;7b\n");
    assert_eq!(people(&list), ["2 Unreadable", "3 Löw Änne/7b/"]);
}

#[test]
fn a_workbook_is_a_list() {
    let cell = |cell: &str, text: &str| format!("<c r=\"{cell}\" t=\"str\"><v>{text}</v></c>");
    let rows = format!(
        "<row r=\"1\">{}</row><row r=\"2\">{}{}</row><row r=\"3\">{}{}</row>",
        cell("A1", "Klassenliste"),
        cell("A2", "Name, Vorname"),
        cell("B2", "Klasse"),
        cell("A3", "Lovelace, Ada"),
        cell("B3", "7b")
    );
    let list = list(workbook::write(&[("7b", &rows)]));
    assert_eq!(people(&list), ["3 Ada Lovelace/7b/"]);
    assert_eq!(list.form, Form::Workbook { sheet: "7b".into(), sheets: vec!["7b".into()] });
}

#[test]
fn a_name_that_is_also_a_title_is_a_person() {
    let list = list("Lovelace;Ada;7b\nSchüler;Anna;7b\nWaldmann;Ben;7c\n");
    assert_eq!(people(&list), ["1 Ada Lovelace/7b/", "2 Anna Schüler/7b/", "3 Ben Waldmann/7c/"]);
    assert!(!list.is_certain);
}

#[test]
fn of_two_lines_of_titles_the_one_with_names_counts() {
    let list =
        list("Schüler;;;Klasse\nNachname;Vorname;Geb.;\nLovelace;Ada;1.1.14;7b\nTuring;Ben;2.1.14;7b\n");
    assert_eq!(people(&list), ["3 Ada Lovelace/7b/", "4 Ben Turing/7b/"]);
    assert!(!list.is_certain);
}

#[test]
fn a_class_that_no_title_names_is_found_and_has_to_be_looked_at() {
    let found = list("Name;Vorname;Klasse 2025/26\nLovelace;Ada;7b\nTuring;Ben;7c\n");
    assert_eq!(people(&found), ["2 Ada Lovelace/7b/", "3 Ben Turing/7c/"]);
    assert!(!found.is_certain);
    let above = list("Klasse: 7a, Schuljahr 2026/27\nName;Vorname\nLovelace;Ada\n");
    assert_eq!(people(&above), ["3 Ada Lovelace/7a/"]);
    assert!(!list("Lovelace;Ada;Willkommensklasse\nWaldmann;Ben;7b\nÖz;Can;7c\n").is_certain);
}

#[test]
fn titles_in_between_and_notes_below_are_no_people() {
    let list =
        list("Name;Vorname;Klasse\nLovelace;Ada;7b\nName;Vorname;Klasse\nTuring;Ben;7c\nAnzahl: 25;;\n");
    assert_eq!(people(&list), ["2 Ada Lovelace/7b/", "3 NoPerson", "4 Ben Turing/7c/", "5 NoPerson"]);
}

#[test]
fn numbers_of_rows_are_no_keys() {
    let keys = |title: &str| people(&list(format!("{title};Name;Klasse\n1;Ada;7a\n2;Ben;7a\n")));
    assert_eq!(keys("Nummer"), ["2 Ada/7a/", "3 Ben/7a/"]);
    assert_eq!(keys("Kennung"), ["2 Ada/7a/1", "3 Ben/7a/2"]);
}

#[test]
fn what_a_spreadsheet_spoilt_and_what_it_left_out_are_seen() {
    let cell = |cell: &str, text: &str| format!("<c r=\"{cell}\" t=\"str\"><v>{text}</v></c>");
    let file = |class: &str, sheet: &str| {
        let row = |number: usize, name: &str, class: &str| {
            format!("<row r=\"{number}\">{}{class}</row>", cell(&format!("A{number}"), name))
        };
        let rows = [
            row(1, "Name", &cell("B1", class)),
            row(2, "Ada", &cell("B2", "7b")),
            row(3, "Ben", ""),
            row(4, "Can", ""),
        ];
        let spoilt = row(5, "Dora", "<c r=\"B5\" t=\"e\"><v>#REF!</v></c>");
        workbook::write(&[(sheet, &(rows.concat() + &spoilt))])
    };
    let merged = list(file("Klasse", "Liste"));
    assert_eq!(people(&merged), ["2 Ada/7b/", "3 Ben//", "4 Can//", "5 SpoiltValue"]);
    assert!(!merged.is_certain, "one cell may stand for a whole class");
    let named = list(file("Ort", "9c"));
    assert_eq!(people(&named)[..3], ["2 Ada/9c/", "3 Ben/9c/", "4 Can/9c/"]);
}

#[test]
fn what_holds_nobody_is_empty() {
    for file in ["", "\n;;\n", "Name;Klasse\n", "sep=;\n"] {
        assert_eq!(read(file.as_bytes(), &Choices::default()), Err(ClassListError::Empty), "{file:?}");
    }
    let list = list("1;2\n3;4\n");
    assert!(!list.has_names() && !list.is_certain);
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(file: Vec<u8>, titles in prop::option::of(0_u64..4)) {
        let _: Result<_, _> = read(&file, &Choices { titles, ..Choices::default() });
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a7;,|\t\"= \nNameKls]{0,80}") {
        let _: Result<_, _> = read(text.as_bytes(), &Choices::default());
    }

    /// Whoever is in a list comes out of it, whatever their family is called and however it is written.
    #[test]
    fn everybody_comes_out_of_a_list(
        people in prop::collection::vec(("[A-ZÄÖÜ][a-zäöüß]{1,8}", "[A-ZÄÖÜ][a-zäöüß]{1,8}"), 1..20),
        separator in prop::sample::select(vec![";", ",", "\t", "|"]),
        end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
    ) {
        let mut text = ["Nachname", "Vorname", "Klasse"].join(separator) + end;
        for (family, given) in &people {
            text += &([family.as_str(), given, "7b"].join(separator) + end);
        }
        let list = list(&text);
        let names: Vec<String> = list.rows.iter().map(|(_, row)| row.as_ref().unwrap().name.clone()).collect();
        let expected: Vec<String> = people.iter().map(|(family, given)| format!("{given} {family}")).collect();
        prop_assert_eq!(names, expected);
    }
}
