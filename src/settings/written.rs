//! The table as people read it: the momedo.toml we ship, and the one in `docs/operations.md`.

use super::{Config, Page, SECTIONS, SETTINGS, Setting, Value};

/// Longest line of momedo.toml.
const WIDTH: usize = 118;

const HEAD: &str = "\
# Settings of momedo. Every value here is the default: nothing has to be set.
# Place it as momedo.toml in the data directory. A misspelt key, or a number out of its range, stops the start with an error.
# What stands here cannot be changed on the admin pages: leave out what is to be decided there.
";

/// A momedo.toml with every setting, its help, its range and its default.
pub fn sample() -> String {
    let defaults = Config::default();
    let mut text = HEAD.to_owned();
    for (section, help) in SECTIONS {
        text.push('\n');
        comment(&mut text, help);
        text.push_str(&format!("[{section}]\n"));
        for setting in SETTINGS.iter().filter(|setting| setting.section == *section) {
            comment(&mut text, setting.help.english);
            text.push_str(&assignment(setting, &defaults));
            text.push('\n');
        }
    }
    text
}

fn assignment(setting: &Setting, defaults: &Config) -> String {
    let assigned = match (setting.value(defaults), setting.page) {
        // What has no default, and what a page would not change any more because of it.
        (Value::Nothing, _) => format!("# {} = \"…\"", setting.key),
        (value, Some(Page::Certificates)) => format!("# {} = {}", setting.key, value.to_toml()),
        (value, _) => format!("{} = {}", setting.key, value.to_toml()),
    };
    let allowed = setting.kind.allowed();
    if allowed.is_empty() { assigned } else { format!("{assigned} # {allowed}") }
}

fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::{Kind, find};

    /// A number as the documents write it.
    fn grouped(number: u64) -> String {
        let digits = number.to_string();
        let mut text = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }

    /// The table in `docs/operations.md`.
    fn table() -> String {
        let defaults = Config::default();
        let mut text = String::from(
            "| setting | what it is | unit | from | to | default | changed while the server runs |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for setting in SETTINGS {
            let range = setting.kind.range();
            let from = range.map_or_else(String::new, |range| match range.or_zero {
                true => format!("0, or {}", grouped(range.least)),
                false => grouped(range.least),
            });
            let to = match (setting.kind, range) {
                (_, Some(range)) => grouped(range.most),
                (Kind::Hosts { most }, _) => format!("{most} of them"),
                _ => String::new(),
            };
            let default = match setting.value(&defaults) {
                Value::Number(number) => grouped(number),
                Value::Text(text) if text.is_empty() => String::new(),
                Value::List(texts) if texts.is_empty() => String::new(),
                value => match value.to_toml() {
                    text if text.is_empty() => text,
                    text => format!("`{text}`"),
                },
            };
            let changed = match (setting.page, &setting.rule) {
                (_, Some(rule)) => match setting.kind.unit().rule_word() {
                    "MiB" => format!("`--{}`, in MiB", rule.flag),
                    _ => format!("`--{}`", rule.flag),
                },
                (Some(Page::Certificates), _) => "page Certificates".into(),
                _ => String::new(),
            };
            let (name, help, unit) = (setting.name, setting.help.english, setting.kind.unit().word());
            text.push_str(&format!(
                "| `{name}` | {help} | {unit} | {from} | {to} | {default} | {changed} |\n"
            ));
        }
        text.replace("|  |", "| |").replace("|  |", "| |")
    }

    /// Compares a file with what it must be, or writes that with `MOMEDO_REWRITE`.
    fn agree(path: &str, wanted: impl Fn(&str) -> String) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let text = std::fs::read_to_string(&path).unwrap();
        let wanted = wanted(&text);
        if std::env::var_os("MOMEDO_REWRITE").is_some() {
            std::fs::write(&path, wanted).unwrap();
        } else {
            assert!(text == wanted, "{} says something else: run with MOMEDO_REWRITE=1", path.display());
        }
    }

    #[test]
    fn the_file_we_ship_is_the_table() {
        agree("packaging/momedo.toml", |_| sample());
    }

    #[test]
    fn the_document_shows_the_table() {
        const BEGIN: &str = "<!-- settings: written by `settings::written`, see docs/architecture.md -->\n";
        const END: &str = "<!-- end of settings -->\n";
        agree("docs/operations.md", |text| {
            let (before, rest) = text.split_once(BEGIN).unwrap();
            let (_, after) = rest.split_once(END).unwrap();
            format!("{before}{BEGIN}\n{}\n{END}{after}", table())
        });
    }

    #[test]
    fn every_setting_is_named_once_and_says_what_zero_means() {
        for setting in SETTINGS {
            assert!(std::ptr::eq(find(setting.name).unwrap(), setting), "{} twice", setting.name);
            assert_eq!(setting.name, format!("{}.{}", setting.section, setting.key));
            for help in [setting.help.english, setting.help.german] {
                assert!(!help.is_empty() && !help.contains("  ") && !help.contains('|'), "{help:?}");
                let takes_zero = setting.kind.range().is_some_and(|range| range.has(0));
                assert_eq!(takes_zero, help.contains("0:"), "{}: {help}", setting.name);
            }
            if let (Some(Page::Rules), Some(rule)) = (setting.page, &setting.rule) {
                assert!(rule.label.is_some(), "{} has nothing before it", rule.name);
            }
        }
    }
}
