//! Reads class lists: CSV as Excel and school software write it.
//!
//! Semicolons, commas or tabs; UTF-8 with or without BOM, UTF-16 with BOM, else Windows-1252. The first line
//! names the columns, in German or English.

use super::folding::folded;
use super::role::Role;
use momedo_protocol::name::tidied;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The person's name.
    pub name: String,
    /// Their class; may be empty.
    pub class: String,
    /// What other software knows them by; may be empty.
    pub key: String,
    /// Their role as written; may be empty.
    pub role: String,
}

/// Why a file is no class list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClassListError {
    /// No column of the first line is called Name, or Vorname and Nachname.
    #[error("the first line must name the columns, for example: Name;Klasse;Kennung")]
    NoNames,
    /// Nothing after the first line.
    #[error("the list is empty")]
    Empty,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    FirstName,
    LastName,
    Class,
    Key,
    Role,
    Other,
}

impl Column {
    fn of(title: &str) -> Self {
        match folded(title.trim()).as_str() {
            "name" | "person" | "anzeigename" | "display name" => Self::Name,
            "vorname" | "rufname" | "first name" | "firstname" | "given name" => Self::FirstName,
            "nachname" | "familienname" | "last name" | "lastname" | "surname" => Self::LastName,
            "klasse" | "class" | "gruppe" | "group" | "team" | "abteilung" | "department" => Self::Class,
            "kennung" | "schlüssel" | "schluessel" | "key" | "id" | "nummer" | "number" | "schülernummer"
            | "personalnummer" => Self::Key,
            "rolle" | "role" => Self::Role,
            _ => Self::Other,
        }
    }
}

impl Entry {
    /// The role, `member` when none is written; `None` for a word that is no role.
    pub fn role(&self) -> Option<Role> {
        match folded(&self.role).as_str() {
            "" | "mitglied" | "schüler" | "schülerin" | "pupil" => Some(Role::Member),
            "lehrer" | "lehrerin" | "lehrkraft" | "kollegium" | "beschäftigte" | "mitarbeiter"
            | "mitarbeiterin" | "teacher" | "staff" => Some(Role::Employee),
            "verwaltung" => Some(Role::Admin),
            other => other.parse().ok(),
        }
    }
}

/// Reads a list: each row with its line number, `None` where a row has not the fields of the first line.
///
/// # Errors
/// As [`ClassListError`] says.
pub fn parse(file: &[u8]) -> Result<Vec<(u64, Option<Entry>)>, ClassListError> {
    let (encoding, bom) = match encoding_rs::Encoding::for_bom(file) {
        Some((encoding, length)) => (encoding, length),
        None if std::str::from_utf8(file).is_ok() => (encoding_rs::UTF_8, 0),
        None => (encoding_rs::WINDOWS_1252, 0),
    };
    let (text, _) = encoding.decode_without_bom_handling(&file[bom..]);
    let (mut lines, mut skipped) = (text.as_ref(), 0);
    // Excel's own first line, "sep=;", says the separator and nothing else.
    if let Some(rest) = lines.strip_prefix("sep=") {
        lines = rest.split_once('\n').map_or("", |(_, rest)| rest);
        skipped = 1;
    }
    let first = lines.lines().next().unwrap_or("");
    let count = |separator: char| first.chars().filter(|c| *c == separator).count();
    let separator = [';', '\t', ','].into_iter().max_by_key(|c| (count(*c), *c == ';')).unwrap_or(';');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator as u8)
        .flexible(true)
        .has_headers(false)
        .from_reader(lines.as_bytes());
    let mut records = reader.records().filter_map(Result::ok);
    let header = records.next().ok_or(ClassListError::Empty)?;
    let columns: Vec<Column> = header.iter().map(Column::of).collect();
    let has = |column| columns.contains(&column);
    if !(has(Column::Name) || has(Column::FirstName) && has(Column::LastName)) {
        return Err(ClassListError::NoNames);
    }
    let rows: Vec<_> = records
        .filter(|record| record.iter().any(|field| !field.trim().is_empty()))
        .map(|record| {
            let start = record.position().map_or(0, csv::Position::byte);
            (
                skipped + line_of(lines, start),
                (record.len() == columns.len()).then(|| entry(&columns, &record)),
            )
        })
        .collect();
    if rows.is_empty() { Err(ClassListError::Empty) } else { Ok(rows) }
}

/// The line a record that begins at byte `start` stands in; the reader counts line ends before it as its own.
fn line_of(text: &str, start: u64) -> u64 {
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(text.len());
    let ends = text.as_bytes()[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + text.as_bytes()[..start + ends].iter().filter(|byte| **byte == b'\n').count() as u64
}

fn entry(columns: &[Column], record: &csv::StringRecord) -> Entry {
    let mut entry = Entry::default();
    let (mut first, mut last) = (String::new(), String::new());
    for (column, field) in columns.iter().zip(record) {
        let field = unquoted_formula(field.trim()).to_owned();
        match column {
            Column::Name => entry.name = field,
            Column::FirstName => first = field,
            Column::LastName => last = field,
            Column::Class => entry.class = field,
            Column::Key => entry.key = field,
            Column::Role => entry.role = field,
            Column::Other => {}
        }
    }
    if entry.name.is_empty() {
        entry.name = format!("{first} {last}");
    }
    entry.name = tidied(&entry.name);
    entry.class = tidied(&entry.class);
    entry
}

/// Spreadsheets keep leading zeros as `="007"`.
fn unquoted_formula(field: &str) -> &str {
    field.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')).unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(file: &[u8]) -> Vec<String> {
        parse(file).unwrap().into_iter().filter_map(|(_, entry)| entry).map(|entry| entry.name).collect()
    }

    #[test]
    fn what_excel_writes_is_read_whatever_its_encoding() {
        let utf8 = "\u{feff}Name;Klasse;Kennung\r\nÄnne Müßig;7b;=\"007\"\r\n";
        let row =
            Entry {
                name: "Änne Müßig".into(), class: "7b".into(), key: "007".into(), role: String::new()
            };
        assert_eq!(parse(utf8.as_bytes()).unwrap(), [(2, Some(row.clone()))]);
        let (windows, _, _) = encoding_rs::WINDOWS_1252.encode(&utf8[3..]);
        assert_eq!(parse(&windows).unwrap(), [(2, Some(row.clone()))]);
        let utf16: Vec<u8> = utf8.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&utf16).unwrap(), [(2, Some(row))]);
    }

    #[test]
    fn columns_are_found_by_name_in_any_order_and_with_any_separator() {
        assert_eq!(names(b"sep=,\nKlasse,Nachname,Vorname\n7b,Lovelace,Ada\n"), ["Ada Lovelace"]);
        assert_eq!(names(b"id\tname\n1\t\"Ben; der Zweite\"\n"), ["Ben; der Zweite"]);
        assert_eq!(parse(b"a;b\n1;2\n"), Err(ClassListError::NoNames));
        assert_eq!(parse(b"Name\n\n ; \n"), Err(ClassListError::Empty));
        assert_eq!(parse(b""), Err(ClassListError::Empty));
    }

    #[test]
    fn a_row_with_other_fields_than_the_first_line_is_told_with_its_line() {
        let rows = parse(b"Name;Klasse\nAda;7b\nBen\n\nCarl;7b;x\n").unwrap();
        let lines: Vec<_> = rows.iter().map(|(line, entry)| (*line, entry.is_some())).collect();
        assert_eq!(lines, [(2, true), (3, false), (5, false)]);
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(file: Vec<u8>) {
            let _: Result<_, _> = parse(&file);
        }
    }
}
