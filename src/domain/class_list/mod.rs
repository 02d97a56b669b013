//! Reads class lists as schools have them: text with separators in any usual encoding, or a workbook.
//!
//! No two school programs write the same columns, so what each means is guessed, shown with samples, and can be said
//! otherwise ([`Choices`]). What a row says is never dropped without a word: each comes out as a person or as a fault.

mod columns;
mod encoding;
mod entry;
mod table;
mod workbook;

use std::collections::HashSet;

use momedo_protocol::name::is_visible;
use serde::{Deserialize, Serialize};

pub use columns::{Column, Doubt};
pub use encoding::Encoding;
pub use entry::Entry;

use columns::{Guess, cell};
use entry::NameOrder;
use table::Row;

/// Largest file, in bytes: some ten thousand people.
pub const MAX_FILE_BYTES: usize = 2 * 1024 * 1024;

/// How many rows may stand above the titles: the school's name, the date, the class.
const MAX_ROWS_ABOVE: usize = 10;

/// Values of a column that are shown.
const SAMPLES: usize = 3;

/// Why a file is no class list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClassListError {
    /// Nothing in it, or nothing below the titles.
    #[error("the list is empty")]
    Empty,
    /// A ZIP file that is no whole workbook.
    #[error("the file is a workbook that cannot be read; open it and save it anew as .xlsx or CSV")]
    DamagedWorkbook,
    /// A workbook of Excel from before 2007, or in its binary form.
    #[error("the file is a workbook of an old kind; open it and save it as .xlsx or CSV")]
    OldWorkbook,
    /// A workbook of LibreOffice.
    #[error("the file is an OpenDocument workbook; open it and save it as .xlsx or CSV")]
    OpenDocument,
    /// PDF, Word or the like.
    #[error("the file is a document, not a table; export the list as CSV or .xlsx")]
    Document,
    /// HTML or XML, as some programs write under the name of a workbook.
    #[error("the file is a web page or XML; open it in a spreadsheet and save it as .xlsx or CSV")]
    Markup,
    /// A picture, a program and so on.
    #[error("the file is neither text nor a workbook")]
    NoText,
    /// More rows, columns or bytes than a list of a school has.
    #[error("the list is too large: at most 50,000 rows and 256 columns")]
    TooLarge,
}

/// What somebody says of a list instead of what is guessed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Choices {
    /// What the text is written in.
    #[serde(default)]
    pub encoding: Option<Encoding>,
    /// What parts the cells of a text.
    #[serde(default)]
    pub separator: Option<char>,
    /// The sheet of a workbook.
    #[serde(default)]
    pub sheet: Option<String>,
    /// The line of the titles, from 1; 0 for a list without.
    #[serde(default)]
    pub titles: Option<u64>,
    /// What each column means, from the first; those that are not named mean nothing.
    #[serde(default)]
    pub columns: Option<Vec<Option<Column>>>,
    /// Whether rows of the same name in the same class are different people. Otherwise they are asked about.
    #[serde(default)]
    pub namesakes: bool,
}

/// A column of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundColumn {
    /// Its title; empty in lists without.
    pub title: String,
    /// What it means; without, it is not used.
    pub meaning: Option<Column>,
    /// The first values that differ.
    pub samples: Vec<String>,
}

/// How the file is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Form {
    /// Text.
    Text {
        /// Its characters.
        encoding: Encoding,
        /// What parts its cells.
        separator: char,
    },
    /// A workbook.
    Workbook {
        /// The sheet that was read.
        sheet: String,
        /// All that hold something.
        sheets: Vec<String>,
    },
}

/// Why a row is no person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum RowFault {
    /// A quote that is opened and never closed.
    #[error("a quotation mark is opened and not closed")]
    OpenQuote,
    /// Bytes that make no characters.
    #[error("it holds characters that cannot be read")]
    Unreadable,
    /// More cells than titles.
    #[error("the row has more cells than there are columns")]
    ExtraCells,
    /// The titles once more, or a note below the list.
    #[error("the row is no person: it repeats the titles, or is a note")]
    NoPerson,
    /// A value that a spreadsheet has made a date of, or could not compute.
    #[error(
        "a spreadsheet has made a date or an error of a value; format its column as text and export again"
    )]
    SpoiltValue,
    /// A long number that a spreadsheet shortened to `1,23457E+11`.
    #[error("a spreadsheet has shortened the key; format its column as text and export again")]
    ShortenedKey,
}

/// A list as it is understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassList {
    /// How the file is written.
    pub form: Form,
    /// The line of the titles, from 1; `None` for a list without.
    pub titles: Option<u64>,
    /// Its columns, the first first.
    pub columns: Vec<FoundColumn>,
    /// Columns that could mean the same as another one.
    pub doubts: Vec<Doubt>,
    /// Whether titles or somebody say what the columns mean, and nothing is in doubt. Otherwise a person has to look.
    pub is_certain: bool,
    /// Lines above the titles, which are not read.
    pub above: Vec<u64>,
    /// Each row with its line: a person, or why it is none.
    #[serde(skip)]
    pub rows: Vec<(u64, Result<Entry, RowFault>)>,
}

impl ClassList {
    /// Whether a column holds names; without one there are no people.
    pub fn has_names(&self) -> bool {
        self.columns.iter().any(|column| columns::names(&[column.meaning]))
    }
}

/// Reads a list.
///
/// # Errors
/// As [`ClassListError`] says.
pub fn read(file: &[u8], choices: &Choices) -> Result<ClassList, ClassListError> {
    let (rows, form) = match workbook::read(file, choices.sheet.as_deref())? {
        Some(sheet) => (sheet.rows, Form::Workbook { sheet: sheet.name, sheets: sheet.all }),
        None => {
            let (text, encoding) = encoding::decode(file, choices.encoding);
            if text.contains('\0') {
                return Err(ClassListError::NoText);
            }
            let (rows, separator) = table::rows(&text, choices.separator).ok_or(ClassListError::TooLarge)?;
            (rows, Form::Text { encoding, separator })
        }
    };
    if rows.is_empty() {
        return Err(ClassListError::Empty);
    }
    let Understood { titles, guess, is_titled } = understand(&rows, choices.titles);
    let people = &rows[titles.map_or(0, |index| index + 1)..];
    if people.is_empty() {
        return Err(ClassListError::Empty);
    }
    let title_cells = titles.map_or(&[][..], |index| cells(&rows[index]));
    let is_chosen = choices.columns.is_some();
    let is_certain = is_chosen || is_titled && guess.doubts.is_empty();
    let meanings = choices.columns.clone().unwrap_or(guess.columns);
    let columns = found_columns(title_cells, &meanings, people);
    let meanings: Vec<Option<Column>> = columns.iter().map(|column| column.meaning).collect();
    let order = name_order(&columns, people);
    let width = if titles.is_some() { columns_with_titles(title_cells, &meanings) } else { usize::MAX };
    let above = rows.iter().take(titles.unwrap_or(0)).map(|row| row.line).collect();
    let class = default_class(&form, &rows[..titles.unwrap_or(0)], &meanings);
    let read = |row: &Row| {
        if !title_cells.is_empty() && cells(row) == title_cells {
            return (row.line, Err(RowFault::NoPerson));
        }
        let mut read = person(row, &meanings, order, width);
        if let (Ok(entry), Some(class)) = (&mut read, &class) {
            entry.class.clone_from(class);
        }
        (row.line, read)
    };
    let read: Vec<_> = people.iter().map(read).collect();
    let is_certain = is_certain && (is_chosen || !lacks_classes(&form, &meanings, &read));
    Ok(ClassList {
        form,
        titles: titles.map(|index| rows[index].line),
        columns,
        doubts: if is_chosen { Vec::new() } else { guess.doubts },
        is_certain,
        above,
        rows: read,
    })
}

/// The beginning of a text that came from outside, in a way that it cannot hide or turn what stands around it.
pub fn shown(text: &str, most_characters: usize) -> String {
    text.chars().take(most_characters).map(|c| if is_visible(c) { c } else { encoding::UNREADABLE }).collect()
}

fn cells(row: &Row) -> &[String] {
    row.cells.as_deref().unwrap_or_default()
}

/// The class of everybody in a list without a column for it: what its sheet is called, or what stands above.
fn default_class(form: &Form, above: &[Row], meanings: &[Option<Column>]) -> Option<String> {
    if meanings.contains(&Some(Column::Class)) {
        return None;
    }
    if let Form::Workbook { sheet, .. } = form
        && columns::is_class(sheet)
    {
        return Some(sheet.trim().to_owned());
    }
    let mut named = above.iter().flat_map(cells).filter_map(|cell| {
        let (word, class) = cell.split_once([' ', ':'])?;
        let class = class.trim_start_matches([' ', ':']).split([',', ';']).next()?.trim();
        (word.to_lowercase().starts_with("klasse") && columns::is_class(class)).then(|| class.to_owned())
    });
    // Two of them are a list of several classes.
    named.next().filter(|_| named.next().is_none())
}

/// Whether many rows of a workbook have no class, as where one cell stands for a whole class.
fn lacks_classes(form: &Form, meanings: &[Option<Column>], rows: &[(u64, Result<Entry, RowFault>)]) -> bool {
    let without =
        rows.iter().filter(|(_, row)| row.as_ref().is_ok_and(|entry| entry.class.is_empty())).count();
    matches!(form, Form::Workbook { .. })
        && meanings.contains(&Some(Column::Class))
        && without > 1
        && without * 10 > rows.len()
}

/// What is understood of a list.
struct Understood {
    /// The row of the titles, if there is one.
    titles: Option<usize>,
    /// What the columns mean.
    guess: Guess,
    /// Whether titles say it.
    is_titled: bool,
}

fn understand(rows: &[Row], chosen: Option<u64>) -> Understood {
    let by_content = |titles: Option<usize>| {
        let people = &rows[titles.map_or(0, |index| index + 1)..];
        let guess = columns::by_content(&people.iter().map(cells).collect::<Vec<_>>());
        Understood { titles, guess, is_titled: false }
    };
    let below = |index: usize| rows[index + 1..].iter().map(cells).collect::<Vec<_>>();
    let by_titles = |index: usize| columns::by_titles(cells(&rows[index]), &below(index));
    match chosen {
        Some(0) => return by_content(None),
        Some(line) => {
            if let Some(index) = rows.iter().position(|row| row.line == line) {
                let guess = by_titles(index);
                if !guess.has_names() {
                    return by_content(Some(index));
                }
                return Understood { titles: Some(index), guess, is_titled: true };
            }
        }
        None => {}
    }
    let candidates = 0..rows.len().min(MAX_ROWS_ABOVE);
    // A line above a table may hold one of the words, too: the titles are the line that says most.
    let known = |guess: &Guess| guess.columns.iter().flatten().count();
    // One word alone may be somebody's name: Schüler, Person, Gruppe.
    let is_enough = |index: usize, guess: &Guess| {
        let filled = cells(&rows[index]).iter().filter(|cell| !cell.is_empty()).count();
        known(guess) > 1 || filled == 1 || index == 0
    };
    let best = candidates
        .map(|index| (index, by_titles(index)))
        .filter(|(index, guess)| guess.has_names() && is_enough(*index, guess))
        .max_by_key(|(index, guess)| (known(guess), guess.has_both_names(), std::cmp::Reverse(*index)));
    if let Some((index, mut guess)) = best {
        let is_titled = !cells(&rows[index]).iter().any(|cell| columns::is_class(cell))
            && !guess.find_class(&below(index));
        return Understood { titles: Some(index), guess, is_titled };
    }
    let guess = columns::by_content(&below(0));
    // Titles nobody knows are told from a person by the class that they do not have.
    let class = guess.columns.iter().position(|column| *column == Some(Column::Class));
    match class {
        Some(class) if rows.len() > 2 && !columns::is_class(cell(cells(&rows[0]), class)) => {
            Understood { titles: Some(0), guess, is_titled: false }
        }
        _ => by_content(None),
    }
}

fn found_columns(titles: &[String], meanings: &[Option<Column>], people: &[Row]) -> Vec<FoundColumn> {
    let width = people.iter().map(|row| cells(row).len()).max().unwrap_or(0).max(titles.len());
    let mut used = HashSet::new();
    let column = |index: usize| {
        let mut samples: Vec<String> = Vec::new();
        for row in people {
            let value = cell(cells(row), index);
            let is_shown = !value.is_empty() && value != workbook::SPOILT;
            if samples.len() < SAMPLES && is_shown && !samples.iter().any(|sample| sample == value) {
                samples.push(shown(value, 40));
            }
        }
        // A meaning that is chosen twice is the first one's.
        let meaning = meanings.get(index).copied().flatten().filter(|meaning| used.insert(*meaning));
        FoundColumn { title: shown(cell(titles, index), 80), meaning, samples }
    };
    let columns: Vec<FoundColumn> = (0..width).map(column).collect();
    // Separators at the ends of all lines make columns of nothing.
    let last = columns.iter().rposition(|column| !column.title.is_empty() || !column.samples.is_empty());
    columns.into_iter().take(last.map_or(0, |last| last + 1)).collect()
}

fn name_order(columns: &[FoundColumn], people: &[Row]) -> NameOrder {
    let Some(index) = columns.iter().position(|column| column.meaning == Some(Column::Name)) else {
        return NameOrder::default();
    };
    let names = people.iter().map(|row| cell(cells(row), index)).filter(|name| !name.is_empty());
    NameOrder::of(&columns[index].title, names)
}

/// How many cells of a row belong to a title.
fn columns_with_titles(titles: &[String], meanings: &[Option<Column>]) -> usize {
    let used = meanings.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    titles.len().max(used)
}

fn person(row: &Row, meanings: &[Option<Column>], order: NameOrder, width: usize) -> Result<Entry, RowFault> {
    let cells = row.cells.as_deref().map_err(|_| RowFault::OpenQuote)?;
    if cells.iter().skip(width).any(|cell| !cell.is_empty()) {
        return Err(RowFault::ExtraCells);
    }
    let entry = entry::entry(meanings, cells, order);
    let texts = [&entry.name, &entry.class, &entry.key, &entry.role];
    if texts.iter().any(|text| text.contains(workbook::SPOILT)) {
        return Err(RowFault::SpoiltValue);
    }
    // "Anzahl: 25" or "Stand: 1.9." in the first cell of a table, and nothing beside it.
    let filled = cells.iter().filter(|cell| !cell.is_empty()).count();
    let used = meanings.iter().flatten().count();
    if filled == 1 && used > 1 && entry.name.contains(':') {
        return Err(RowFault::NoPerson);
    }
    if texts.iter().any(|text| text.contains(encoding::UNREADABLE)) {
        return Err(RowFault::Unreadable);
    }
    if is_shortened(&entry.key) {
        return Err(RowFault::ShortenedKey);
    }
    Ok(entry)
}

/// Whether a spreadsheet wrote a long number as `1,23457E+11`.
fn is_shortened(key: &str) -> bool {
    let Some((digits, power)) =
        key.to_ascii_uppercase().split_once('E').map(|(a, b)| (a.to_owned(), b.to_owned()))
    else {
        return false;
    };
    let mantissa = digits.strip_prefix('-').unwrap_or(&digits);
    let fraction = mantissa.split_once([',', '.']).map_or(mantissa, |(_, fraction)| fraction);
    let power = power.strip_prefix('+').unwrap_or("");
    let all_digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    mantissa.starts_with(|c: char| c.is_ascii_digit()) && all_digits(fraction) && all_digits(power)
}

#[cfg(test)]
mod tests;
