//! `momedo admin participant import`: a list on the command line, with what was understood of it on standard error.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use momedo_protocol::encoding::Base64Bytes;
use momedo_texts::fill;

use super::Common;
use crate::cli::spoken;
use crate::domain::class_list::{Choices, Column, Encoding};
use crate::service::administration::{AdminRequest, ParticipantRequest};
use crate::service::import::MAX_FILE_BYTES;
use crate::texts;

#[derive(Debug, Args)]
pub(in crate::cli) struct ClassListArgs {
    /// The list: CSV or .xlsx, with the columns of WebUntis, SchILD, ASV, LUSD, IServ or such as Name;Klasse;Kennung;Rolle
    file: PathBuf,
    /// Only say what each row would do
    #[arg(long)]
    dry_run: bool,
    /// What a column means, by its number from 1: name, family-name, given-name, class, key or role; 0 for none
    #[arg(long = "column", value_name = "MEANING=NUMBER", value_parser = column)]
    columns: Vec<(Column, usize)>,
    /// The line in which the titles stand; 0 when the list has none
    #[arg(long, value_name = "LINE")]
    titles: Option<u64>,
    /// How the file writes its characters: utf-8, windows-1252, windows-1250, windows-1254, cp850, mac-roman, utf-16le, utf-16be
    #[arg(long, value_parser = |text: &str| text.parse::<Encoding>().map_err(|_| words!("class-list.none-of-these", text = format!("{text:?}"))))]
    encoding: Option<Encoding>,
    /// What parts the cells of a text; without it, it is guessed
    #[arg(long)]
    separator: Option<char>,
    /// The sheet of a workbook; without it the first that holds something
    #[arg(long)]
    sheet: Option<String>,
    /// Rows of one name in one class are different people; without it they are left out
    #[arg(long)]
    namesakes: bool,
    /// Take the columns as they are guessed
    #[arg(long)]
    as_guessed: bool,
}

fn column(text: &str) -> Result<(Column, usize), String> {
    let wrong = || words!("class-list.not-a-column", text = format!("{text:?}"));
    let (meaning, number) = text.split_once('=').ok_or_else(wrong)?;
    Ok((meaning.parse().map_err(|_| wrong())?, number.parse().map_err(|_| wrong())?))
}

/// What the server understood of a list, as far as it is shown.
#[derive(serde::Deserialize)]
struct Understood {
    titles: Option<u64>,
    columns: Vec<UnderstoodColumn>,
    is_certain: bool,
    above: Vec<u64>,
    form: serde_json::Value,
}

#[derive(serde::Deserialize)]
struct UnderstoodColumn {
    title: String,
    meaning: Option<Column>,
    samples: Vec<String>,
}

impl ClassListArgs {
    /// Reads the file and asks for what is wanted.
    pub(super) fn run(self, common: &Common) -> anyhow::Result<()> {
        let cannot_read = || words!("file.unreadable", path = self.file.display());
        let size = std::fs::metadata(&self.file).with_context(cannot_read)?.len();
        anyhow::ensure!(size <= MAX_FILE_BYTES as u64, words!("class-list.too-large", most = MAX_FILE_BYTES));
        let file = Base64Bytes(std::fs::read(&self.file).with_context(cannot_read)?);
        let mut choices = Choices {
            encoding: self.encoding,
            separator: self.separator,
            sheet: self.sheet,
            titles: self.titles,
            columns: None,
            namesakes: self.namesakes,
        };
        let request = ParticipantRequest::ImportColumns { file: file.clone(), choices: choices.clone() };
        let answer = common.ask(AdminRequest::Participant(request))?.lines()?;
        let mut understood: Understood =
            serde_json::from_value(answer.into_iter().next().unwrap_or_default())?;
        for (meaning, number) in &self.columns {
            anyhow::ensure!(
                *number <= understood.columns.len(),
                words!("class-list.no-column", number = number)
            );
            let changed = understood.columns.iter_mut();
            changed
                .filter(|column| column.meaning == Some(*meaning))
                .for_each(|column| column.meaning = None);
            if let Some(column) = number.checked_sub(1).and_then(|index| understood.columns.get_mut(index)) {
                column.meaning = Some(*meaning);
            }
        }
        if self.as_guessed || !self.columns.is_empty() {
            choices.columns = Some(understood.columns.iter().map(|column| column.meaning).collect());
            understood.is_certain = true;
        }
        understood.show();
        let file_name = self.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let fields: &[&str] = match self.dry_run {
            true => &["line", "name", "class", "result"],
            false => &["id", "added", "changed", "unchanged", "faulty"],
        };
        let dry_run = self.dry_run;
        let request = ParticipantRequest::Import { file_name, file, dry_run, choices };
        common.print(AdminRequest::Participant(request), fields)
    }
}

impl Understood {
    /// Says on standard error what was understood: what is read from where, and what is not read.
    fn show(&self) {
        let texts = texts::of(spoken());
        let text = |field: &str| self.form[field].as_str().unwrap_or_default().to_owned();
        match self.form["kind"].as_str() {
            Some("workbook") => {
                note!("{}", fill(texts.get("import.form-workbook"), &[("0", text("sheet"))]));
                let others =
                    self.form["sheets"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
                let others: Vec<&str> = others.filter(|name| *name != text("sheet")).collect();
                if !others.is_empty() {
                    note!("{}", fill(texts.get("import.other-sheets"), &[("0", others.join(", "))]));
                }
            }
            _ => {
                let separator = text("separator").replace('\t', "Tab");
                let values = [("0", text("encoding")), ("1", separator)];
                note!("{}", fill(texts.get("import.form-text"), &values));
            }
        }
        match self.titles {
            Some(line) => note!("{}", fill(texts.get("import.titles-in"), &[("0", line.to_string())])),
            None => note!("{}", texts.get("import.no-titles")),
        }
        if !self.above.is_empty() {
            let lines: Vec<String> = self.above.iter().map(u64::to_string).collect();
            note!("{}", fill(texts.get("import.above"), &[("0", lines.join(", "))]));
        }
        for (index, column) in self.columns.iter().enumerate() {
            let meaning = match column.meaning {
                Some(meaning) => texts.get(&format!("column.{meaning}")).to_owned(),
                None => texts.get("column.none").to_owned(),
            };
            note!("{:>3}  {meaning:<18} {}: {}", index + 1, column.title, column.samples.join(", "));
        }
        if !self.is_certain {
            note!("{}", texts.get("import.uncertain"));
        }
    }
}
