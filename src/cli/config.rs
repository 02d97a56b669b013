//! `momedo config`: the settings in force, and a momedo.toml to begin with.

use clap::{Args, Subcommand};
use momedo_texts::Language;
use serde_json::Value;

use super::admin::Common;
use super::{SettingsArgs, output, spoken};
use crate::service::administration::{AdminRequest, AdminResponse};
use crate::settings;
use crate::surroundings::data_directory;

/// Settings.
#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Show every setting in force, of the running server or of a start
    Show(Show),
    /// Print a momedo.toml with every setting, what it does and its default
    Sample,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Say where each value came from: the command line, momedo.toml, a page, or the default
    #[arg(long)]
    origin: bool,
    /// Say what each does, and what it may be
    #[arg(long)]
    explain: bool,
}

impl Config {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Show(show) => show.run(),
            Self::Sample => Ok(output::bytes(settings::sample().as_bytes())?),
        }
    }
}

impl Show {
    fn run(self) -> anyhow::Result<()> {
        for mut line in self.lines()? {
            if self.common.json {
                if !self.origin
                    && let Some(fields) = line.as_object_mut()
                {
                    fields.remove("origin");
                }
                output::json(&line)?;
            } else {
                self.print(&line)?;
            }
        }
        Ok(())
    }

    fn lines(&self) -> anyhow::Result<Vec<Value>> {
        let path = self.common.data.path()?;
        // Looking must leave nothing behind, and without a database no page has changed anything.
        if !data_directory::database(&path).exists() {
            return Ok(settings::lines(&self.settings.load(&path)?));
        }
        match self.common.ask_with(AdminRequest::Settings, &self.settings)? {
            AdminResponse::Lines(lines) => Ok(lines),
            _ => anyhow::bail!(words!("answer.unexpected")),
        }
    }

    fn print(&self, line: &Value) -> anyhow::Result<()> {
        let word = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let name = word("setting");
        let setting = settings::find(&name);
        let unit =
            setting.map_or_else(|| word("unit"), |setting| setting.kind.unit().word_in(spoken()).into());
        let mut text = format!("{name:<38}{} {unit}", line["value"]).trim_end().to_owned();
        if self.origin {
            let origin = match word("origin").as_str() {
                "default" => words!("origin.default").to_owned(),
                "page" => words!("origin.page").to_owned(),
                "command line" => words!("origin.command-line").to_owned(),
                _ => word("origin"),
            };
            text = format!("{text:<64}  {origin}");
        }
        say!("{text}");
        if self.explain
            && let Some(setting) = setting
        {
            let help = match spoken() {
                Language::German => setting.help.german,
                Language::English => setting.help.english,
            };
            let allowed = setting.kind.allowed_in(spoken());
            say!("    {help}{}", if allowed.is_empty() { allowed } else { format!(" ({allowed})") });
        }
        Ok(())
    }
}
