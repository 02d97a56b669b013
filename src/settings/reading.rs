//! What stands in a momedo.toml, and on which line.

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Kind, Range, SETTINGS, Setting, Unit};

/// A number that is out of its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Section and key.
    pub setting: String,
    /// What stands there.
    pub number: String,
    /// What may stand there.
    pub range: Range,
    /// What it counts.
    pub unit: Unit,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, number, range, unit, line } = self;
        write!(f, "line {line}: {setting} = {number} is out of its range, {range}")?;
        if *unit == Unit::Number { Ok(()) } else { write!(f, " {}", unit.word()) }
    }
}

/// A momedo.toml as it is written.
pub struct Written<'a> {
    text: &'a str,
    table: Spanned<DeTable<'a>>,
}

impl<'a> Written<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// If it is not TOML.
    pub fn read(text: &'a str) -> Result<Self, toml::de::Error> {
        Ok(Self { text, table: DeTable::parse(text)? })
    }

    fn get(&self, setting: &Setting) -> Option<&Spanned<DeValue<'a>>> {
        self.table.get_ref().get(setting.section)?.get_ref().as_table()?.get(setting.key)
    }

    /// The settings that stand in it.
    pub fn settings(&self) -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(|setting| self.get(setting).is_some())
    }

    /// The line a setting's value begins on, from 1.
    pub fn line(&self, setting: &Setting) -> Option<usize> {
        self.get(setting).map(|value| self.line_of(value))
    }

    fn line_of(&self, value: &Spanned<DeValue<'_>>) -> usize {
        let before = self.text.get(..value.span().start).unwrap_or_default();
        before.matches('\n').count() + 1
    }

    /// The numbers that are out of their ranges. What should be a number and is none is not among them.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for setting in SETTINGS {
            let Some(value) = self.get(setting) else { continue };
            match setting.kind {
                Kind::Number { unit, range } => {
                    faults.extend(self.fault(setting.name.to_owned(), value, unit, range));
                }
                Kind::Rate(range) => {
                    let Some(rate) = value.get_ref().as_table() else { continue };
                    for part in ["per_minute", "burst"] {
                        let Some(value) = rate.get(part) else { continue };
                        let name = format!("{}.{part}", setting.name);
                        faults.extend(self.fault(name, value, Unit::Number, range));
                    }
                }
                _ => {}
            }
        }
        faults.sort_by_key(|fault| fault.line);
        faults
    }

    fn fault(
        &self,
        setting: String,
        value: &Spanned<DeValue<'_>>,
        unit: Unit,
        range: Range,
    ) -> Option<Fault> {
        let written = value.get_ref().as_integer()?;
        // A number that is too large for any type is one of those.
        let number = u64::from_str_radix(written.as_str(), written.radix()).ok();
        if number.is_some_and(|number| range.has(number)) {
            return None;
        }
        let number = self.text.get(value.span()).unwrap_or_default().to_owned();
        Some(Fault { setting, number, range, unit, line: self.line_of(value) })
    }
}
