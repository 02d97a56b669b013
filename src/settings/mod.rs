//! Every setting, declared once: section and key, type, default, unit, range, help in both languages, and who may change
//! it while the server runs.
//!
//! `table.rs` is the one place that says so. What reads `momedo.toml` and what it refuses, what lies over what, the
//! page Rules, the flags of `momedo admin rules`, the JSON of both, `momedo config`, the file we ship and the table in
//! `docs/operations.md` follow from it.

pub mod config;
#[macro_use]
mod declare;
mod kind;
mod origin;
mod proxy;
mod reading;
mod rules;
mod shown;
mod table;
mod told;
mod value;
mod written;

pub use kind::{Kind, Range, Unit};
pub use origin::{Origin, Origins};
pub use proxy::ProxySetting;
pub use reading::{Fault, Written};
pub use shown::lines;
pub use table::*;
pub use told::changes;
pub use value::{Changeable, Plain, Stored, Value};
pub use written::sample;

/// The same in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// In English.
    pub english: &'static str,
    /// In German.
    pub german: &'static str,
}

/// Where an admin changes a setting while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The page Rules.
    Rules,
    /// The pages with the gateway for the Smoke app.
    Smoke,
    /// The page Certificates, which keeps what is chosen there by itself.
    Certificates,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// `section.key`.
    pub name: &'static str,
    /// The section of momedo.toml it stands in.
    pub section: &'static str,
    /// Its key there.
    pub key: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it does.
    pub help: Words,
    /// Where it is changed while the server runs; `None`: in momedo.toml alone.
    pub page: Option<Page>,
    /// How it is changed there.
    pub rule: Option<Rule>,
    read: fn(&Config) -> Value,
}

/// How admins change a setting while the server runs.
#[derive(Debug)]
pub struct Rule {
    /// Its name in JSON and in forms.
    pub name: &'static str,
    /// Its flag of `momedo admin rules`, without the dashes.
    pub flag: &'static str,
    /// What stands before it on the page Rules.
    pub label: Option<Words>,
    get: fn(&Rules) -> Option<Value>,
    set: fn(&mut Rules, &Value) -> bool,
    lay: fn(&Rules, &mut Config, u64),
}

impl Setting {
    /// Its value.
    pub fn value(&self, config: &Config) -> Value {
        (self.read)(config)
    }

    /// Its value in the units of pages and command line.
    pub fn rule_value(&self, config: &Config) -> Value {
        match self.value(config) {
            Value::Number(number) => Value::Number(number / self.kind.unit().of_rule()),
            Value::Rate(rate) => Value::Number(rate.per_minute.into()),
            value => value,
        }
    }
}

/// The setting of that name.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// What admins may change while the server runs.
pub fn changeable() -> impl Iterator<Item = (&'static Setting, &'static Rule)> {
    SETTINGS.iter().filter_map(|setting| Some((setting, setting.rule.as_ref()?)))
}
