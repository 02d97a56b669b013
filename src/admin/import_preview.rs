//! The dry run of a class list: what was understood of it, what can be said otherwise, and what each row would do.

use askama::Template;
use serde::Deserialize;
use strum::IntoEnumIterator;

use super::page::Page;
use crate::domain::class_list::{Choices, Column, Doubt, Encoding, Form, FoundColumn};
use crate::service::import::{Effect, Plan, RowError};

/// Rows shown of a dry run; the faulty ones always.
const SHOWN_ROWS: usize = 200;

#[derive(Template)]
#[template(path = "admin/import_preview.html")]
pub(super) struct PreviewPage {
    page: Page,
    preview: String,
    file_name: String,
    /// What the page shows was understood by; something else has to be looked at first.
    shown_form: String,
    shown_columns: String,
    columns: Vec<ShownColumn>,
    doubts: Vec<String>,
    is_certain: bool,
    has_names: bool,
    titles: u64,
    above: String,
    encodings: Vec<Choice>,
    separators: Vec<Choice>,
    sheets: Vec<Choice>,
    has_namesakes: bool,
    namesakes: bool,
    rows: Vec<ShownRow>,
    hidden: u64,
    adds: u64,
    changes: u64,
    unchanged: u64,
    faulty: u64,
}

struct ShownColumn {
    number: usize,
    title: String,
    samples: String,
    is_used: bool,
    meanings: Vec<Choice>,
}

/// One of several, as a list to choose from shows it.
struct Choice {
    value: String,
    text: String,
    is_chosen: bool,
}

struct ShownRow {
    line: u64,
    name: String,
    class: String,
    text: String,
    is_faulty: bool,
}

impl PreviewPage {
    pub(super) fn new(page: Page, preview: String, file_name: String, plan: Plan, choices: &Choices) -> Self {
        let Plan { list, rows } = plan;
        let has_names = list.has_names();
        let count =
            |wanted: Option<Effect>| rows.iter().filter(|row| row.result.ok() == wanted).count() as u64;
        let (adds, changes) = (count(Some(Effect::Adds)), count(Some(Effect::Changes)));
        let (unchanged, faulty) = (count(Some(Effect::Unchanged)), count(None));
        let has_namesakes = choices.namesakes || rows.iter().any(|row| row.result == Err(RowError::Namesake));
        let total = rows.len();
        let shown =
            rows.into_iter().enumerate().filter(|(index, row)| *index < SHOWN_ROWS || row.result.is_err());
        let shown: Vec<ShownRow> = shown
            .map(|(_, row)| ShownRow {
                line: row.line,
                text: match row.result {
                    Ok(effect) => page.word("effect", &word(&effect)),
                    Err(error) => page.word("row", &word(&error)),
                },
                is_faulty: row.result.is_err(),
                name: row.name,
                class: row.class,
            })
            .collect();
        let doubt = |doubt: &Doubt| {
            let name = |index: usize| {
                let number = page.with("import.column-number", index + 1);
                match list.columns.get(index) {
                    Some(column) if !column.title.is_empty() => format!("{number}: {}", column.title),
                    _ => number,
                }
            };
            let meaning = page.word("column", &word(&doubt.meaning));
            page.filled("import.doubt", &[meaning, name(doubt.taken), name(doubt.other)])
        };
        let (encodings, separators, sheets) = forms(&page, &list.form);
        let understood = ConfirmForm {
            preview: preview.clone(),
            shown_form: String::new(),
            shown_columns: String::new(),
            encoding: chosen(&encodings),
            separator: chosen(&separators),
            sheet: chosen(&sheets),
            titles: list.titles.unwrap_or(0),
            column: list
                .columns
                .iter()
                .map(|column| column.meaning.map_or(String::new(), |meaning| word(&meaning)))
                .collect(),
            namesakes: if choices.namesakes { "on".into() } else { String::new() },
            look: String::new(),
        };
        let above: Vec<String> = list.above.iter().map(u64::to_string).collect();
        Self {
            shown_form: understood.form(),
            shown_columns: understood.columns(),
            columns: list
                .columns
                .iter()
                .enumerate()
                .map(|(index, column)| shown_column(&page, index, column))
                .collect(),
            doubts: list.doubts.iter().map(doubt).collect(),
            is_certain: list.is_certain,
            has_names,
            titles: understood.titles,
            above: above.join(", "),
            encodings,
            separators,
            sheets,
            has_namesakes,
            namesakes: choices.namesakes,
            hidden: (total - shown.len()) as u64,
            rows: shown,
            adds,
            changes,
            unchanged,
            faulty,
            page,
            preview,
            file_name,
        }
    }
}

fn chosen(choices: &[Choice]) -> String {
    choices.iter().find(|choice| choice.is_chosen).map(|choice| choice.value.clone()).unwrap_or_default()
}

fn shown_column(page: &Page, index: usize, column: &FoundColumn) -> ShownColumn {
    let nothing = Choice {
        value: String::new(),
        text: page.word("column", "none"),
        is_chosen: column.meaning.is_none(),
    };
    let meanings = Column::iter().map(|meaning| Choice {
        value: word(&meaning),
        text: page.word("column", &word(&meaning)),
        is_chosen: column.meaning == Some(meaning),
    });
    ShownColumn {
        number: index + 1,
        title: column.title.clone(),
        samples: column.samples.join(" · "),
        is_used: column.meaning.is_some(),
        meanings: std::iter::once(nothing).chain(meanings).collect(),
    }
}

/// Separators by the words that forms send: a tab in a field is lost on the way.
const SEPARATORS: [(&str, char); 4] = [("semicolon", ';'), ("comma", ','), ("tab", '\t'), ("bar", '|')];

fn separator_of(word: &str) -> Option<char> {
    SEPARATORS.iter().find(|(known, _)| *known == word).map(|(_, separator)| *separator)
}

/// The encodings and separators of a text, the sheets of a workbook.
fn forms(page: &Page, form: &Form) -> (Vec<Choice>, Vec<Choice>, Vec<Choice>) {
    match form {
        Form::Text { encoding, separator } => {
            let choice = |other: Encoding| Choice {
                value: other.to_string(),
                text: page.word("encoding", &other.to_string()),
                is_chosen: other == *encoding,
            };
            let part = |(word, other): &(&str, char)| Choice {
                value: (*word).to_owned(),
                text: page.word("separator", word),
                is_chosen: other == separator,
            };
            let mut separators: Vec<Choice> = SEPARATORS.iter().map(part).collect();
            if !separators.iter().any(|choice| choice.is_chosen) {
                // The file itself says another one.
                let own = Choice { value: String::new(), text: separator.to_string(), is_chosen: true };
                separators.insert(0, own);
            }
            (Encoding::iter().map(choice).collect(), separators, Vec::new())
        }
        Form::Workbook { sheet, sheets } => {
            let choice =
                |name: &String| Choice { value: name.clone(), text: name.clone(), is_chosen: name == sheet };
            (Vec::new(), Vec::new(), sheets.iter().map(choice).collect())
        }
    }
}

/// The word a kind of result has in JSON and in the messages.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What the page of a dry run sends.
#[derive(Deserialize)]
pub(super) struct ConfirmForm {
    pub(super) preview: String,
    /// The file and the columns as the page showed them.
    #[serde(default)]
    shown_form: String,
    #[serde(default)]
    shown_columns: String,
    #[serde(default)]
    encoding: String,
    #[serde(default)]
    separator: String,
    #[serde(default)]
    sheet: String,
    #[serde(default)]
    titles: u64,
    #[serde(default)]
    column: Vec<String>,
    #[serde(default)]
    namesakes: String,
    /// Something when the button for looking again was used.
    #[serde(default)]
    look: String,
}

impl ConfirmForm {
    /// How the file is read, to be compared.
    fn form(&self) -> String {
        format!("{} {} {:?} {}", self.titles, self.encoding, self.separator, self.sheet)
    }

    /// Who is read from it, to be compared.
    fn columns(&self) -> String {
        format!("{} {}", self.column.join(","), self.namesakes)
    }

    /// Whether the dry run has to be shown before anything is done.
    pub(super) fn wants_to_look(&self) -> bool {
        !self.look.is_empty() || self.shown_form != self.form() || self.shown_columns != self.columns()
    }

    /// What was chosen on the page.
    pub(super) fn choices(&self) -> Choices {
        // Under other titles the columns are guessed anew, unless they were chosen together with them.
        let is_new = self.shown_form != self.form() && self.shown_columns == self.columns();
        let columns = self.column.iter().map(|meaning| meaning.parse().ok()).collect();
        Choices {
            encoding: self.encoding.parse().ok(),
            separator: separator_of(&self.separator),
            sheet: Some(self.sheet.clone()).filter(|sheet| !sheet.is_empty()),
            titles: Some(self.titles),
            columns: Some(columns).filter(|_| !is_new),
            namesakes: !self.namesakes.is_empty(),
        }
    }
}
