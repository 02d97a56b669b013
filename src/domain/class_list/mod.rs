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
    #[error("the workbook is too large")]
    TooLarge,
}

/// What somebody says of a list instead of what is guessed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Choices {
    /// What the text is written in.
    #[serde(default)]
    pub encoding: Option<Encoding>,
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
            let (rows, separator) = table::rows(&text);
            (rows, Form::Text { encoding, separator })
        }
    };
    if rows.is_empty() {
        return Err(ClassListError::Empty);
    }
    let (titles, guess) = understand(&rows, choices.titles);
    let people = &rows[titles.map_or(0, |index| index + 1)..];
    if people.is_empty() {
        return Err(ClassListError::Empty);
    }
    let title_cells = titles.map_or(&[][..], |index| cells(&rows[index]));
    let is_chosen = choices.columns.is_some();
    let is_certain = is_chosen || titles.is_some() && guess.doubts.is_empty();
    let meanings = choices.columns.clone().unwrap_or(guess.columns);
    let columns = found_columns(title_cells, &meanings, people);
    let meanings: Vec<Option<Column>> = columns.iter().map(|column| column.meaning).collect();
    let order = name_order(&columns, people);
    let width = if titles.is_some() { columns_with_titles(title_cells, &meanings) } else { usize::MAX };
    let above = rows.iter().take(titles.unwrap_or(0)).map(|row| row.line).collect();
    let read = |row: &Row| (row.line, person(row, &meanings, order, width));
    Ok(ClassList {
        form,
        titles: titles.map(|index| rows[index].line),
        columns,
        doubts: if is_chosen { Vec::new() } else { guess.doubts },
        is_certain,
        above,
        rows: people.iter().map(read).collect(),
    })
}

/// The beginning of a text that came from outside, in a way that it cannot hide or turn what stands around it.
pub fn shown(text: &str, most_characters: usize) -> String {
    text.chars().take(most_characters).map(|c| if is_visible(c) { c } else { encoding::UNREADABLE }).collect()
}

fn cells(row: &Row) -> &[String] {
    row.cells.as_deref().unwrap_or_default()
}

/// The row of the titles, if there is one, and what the columns mean.
fn understand(rows: &[Row], chosen: Option<u64>) -> (Option<usize>, Guess) {
    let below = |index: usize| rows[index + 1..].iter().map(cells).collect::<Vec<_>>();
    let by_titles = |index: usize| columns::by_titles(cells(&rows[index]), &below(index));
    match chosen {
        Some(0) => return (None, columns::by_content(&rows.iter().map(cells).collect::<Vec<_>>())),
        Some(line) => {
            if let Some(index) = rows.iter().position(|row| row.line == line) {
                let mut guess = by_titles(index);
                if !guess.has_names() {
                    guess = columns::by_content(&below(index));
                }
                return (Some(index), guess);
            }
        }
        None => {}
    }
    let candidates = 0..rows.len().min(MAX_ROWS_ABOVE);
    // A line above a table may hold one of the words, too: the titles are the line that says most.
    let known = |guess: &Guess| guess.columns.iter().flatten().count();
    let best = candidates
        .map(|index| (index, by_titles(index)))
        .filter(|(_, guess)| guess.has_names())
        .max_by_key(|(index, guess)| (known(guess), std::cmp::Reverse(*index)));
    if let Some((index, guess)) = best {
        return (Some(index), guess);
    }
    let guess = columns::by_content(&below(0));
    // Titles nobody knows are told from a person by the class that they do not have.
    let class = guess.columns.iter().position(|column| *column == Some(Column::Class));
    match class {
        Some(class) if rows.len() > 2 && !columns::is_class(cell(cells(&rows[0]), class)) => (Some(0), guess),
        _ => (None, columns::by_content(&rows.iter().map(cells).collect::<Vec<_>>())),
    }
}

fn found_columns(titles: &[String], meanings: &[Option<Column>], people: &[Row]) -> Vec<FoundColumn> {
    let width = people.iter().map(|row| cells(row).len()).max().unwrap_or(0).max(titles.len());
    let mut used = HashSet::new();
    let column = |index: usize| {
        let mut samples: Vec<String> = Vec::new();
        for row in people {
            let value = cell(cells(row), index);
            if samples.len() < SAMPLES && !value.is_empty() && !samples.iter().any(|sample| sample == value) {
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
