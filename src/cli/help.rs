//! The help in German. The English one is what clap makes of the doc comments; `words/help.de.toml` says the same in German.

use std::collections::HashMap;
use std::sync::LazyLock;

use clap::builder::Str;
use clap::{Arg, Command};
use momedo_texts::Language;

use super::admin;

/// German help, by the English one.
static GERMAN: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    toml::from_str(include_str!("words/help.de.toml")).expect("a test reads the table that is built in")
});

/// The German of a sentence of help; a test finds one that is missing.
fn german(english: &str) -> String {
    GERMAN.get(english).cloned().unwrap_or_else(|| english.to_owned())
}

/// A command with everything below it, whose help is German.
pub(super) fn in_german(mut command: Command) -> Command {
    // What clap adds by itself is there from here on.
    command.build();
    translated(command)
}

fn translated(mut command: Command) -> Command {
    let [about, long] = [command.get_about(), command.get_long_about()]
        .map(|text| text.map(|text| german(&text.to_string())));
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(long) = long {
        command = command.long_about(long);
    }
    let template = template(&command);
    let is_rules = command.get_name() == "rules";
    command = command
        .help_template(template)
        .subcommand_value_name("BEFEHL")
        .mut_args(|arg| translated_arg(arg, is_rules))
        .mut_subcommands(translated);
    let usage = command.render_usage().to_string().replace("[OPTIONS]", "[OPTIONEN]");
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    command.override_usage(usage)
}

/// What a page of help consists of.
fn template(command: &Command) -> String {
    let usage = command.get_styles().get_usage();
    let header = command.get_styles().get_header();
    let mut template = format!("{{before-help}}{{about-with-newline}}\n{usage}Aufruf:{usage:#} {{usage}}");
    let options = command.get_arguments().any(|arg| !arg.is_positional() && !arg.is_hide_set());
    for (title, part, is_there) in [
        ("Befehle", "subcommands", command.has_subcommands()),
        ("Argumente", "positionals", command.get_positionals().next().is_some()),
        ("Optionen", "options", options),
    ] {
        if is_there {
            template.push_str(&format!("\n\n{header}{title}:{header:#}\n{{{part}}}"));
        }
    }
    template.push_str("{after-help}");
    template
}

fn translated_arg(arg: Arg, is_rule: bool) -> Arg {
    let of_rule = is_rule.then(|| admin::flag_help(arg.get_id().as_str(), Language::German)).flatten();
    let help = of_rule.or_else(|| arg.get_help().map(|help| german(&help.to_string())));
    let long_help = arg.get_long_help().map(|help| german(&help.to_string()));
    let (notes, values, explained) = (notes(&arg), possible_values(&arg), explained_values(&arg));
    let with = |text: String, before: &str, notes: &[String]| match notes.is_empty() {
        true => text,
        false => format!("{text}{before}{}", notes.join(" ")),
    };
    let mut translated = arg.clone();
    let all: Vec<String> = notes.iter().cloned().chain(values).collect();
    if let Some(explained) = explained {
        let text = long_help.or_else(|| help.clone()).unwrap_or_default();
        translated = translated.long_help(with(format!("{text}{explained}"), "\n\n", &notes));
    } else if let Some(text) = long_help {
        translated = translated.long_help(with(text, "\n\n", &all));
    }
    if let Some(help) = help {
        translated = translated.help(with(help, " ", &all));
    }
    if arg.get_action().takes_values() {
        if let Some(names) = arg.get_value_names() {
            translated = translated.value_names(names.iter().map(value_name).collect::<Vec<_>>());
        }
        translated = translated.hide_default_value(true).hide_possible_values(true).hide_env(true);
    }
    translated
}

/// What stands for a value, such as `FOLDER`.
fn value_name(name: &Str) -> Str {
    let german = GERMAN.get(&format!("<{name}>")).map(String::as_str);
    let german = german.and_then(|german| german.strip_prefix('<')?.strip_suffix('>'));
    german.map_or_else(|| name.clone(), Str::from)
}

/// What clap says in brackets, but for the values that are possible.
fn notes(arg: &Arg) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(name) = arg.get_env() {
        notes.push(format!("[Umgebung: {}]", name.to_string_lossy()));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if arg.get_action().takes_values() && !arg.is_hide_default_value_set() && !defaults.is_empty() {
        let quoted = |value: &std::borrow::Cow<'_, str>| match value.contains(' ') || value.is_empty() {
            true => format!("\"{value}\""),
            false => value.to_string(),
        };
        notes.push(format!("[Vorgabe: {}]", defaults.iter().map(quoted).collect::<Vec<_>>().join(" ")));
    }
    notes
}

fn possible_values(arg: &Arg) -> Option<String> {
    if !arg.get_action().takes_values() || arg.is_hide_possible_values_set() {
        return None;
    }
    let values = arg.get_possible_values();
    let names: Vec<_> =
        values.iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name()).collect();
    (!names.is_empty()).then(|| format!("[mögliche Werte: {}]", names.join(", ")))
}

/// Values that say what they are, a line each.
fn explained_values(arg: &Arg) -> Option<String> {
    if !arg.get_action().takes_values() {
        return None;
    }
    let values = arg.get_possible_values();
    let explained = values.iter().filter_map(|value| Some((value.get_name(), value.get_help()?.to_string())));
    let lines: String = explained.map(|(name, help)| format!("\n- {name}: {}", german(&help))).collect();
    (!lines.is_empty()).then(|| format!("\n\nMögliche Werte:{lines}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    /// Every English text of a command and those below it.
    fn texts(command: &Command, found: &mut BTreeSet<String>) {
        let is_rules = command.get_name() == "rules";
        found.extend(
            [command.get_about(), command.get_long_about()].into_iter().flatten().map(ToString::to_string),
        );
        for arg in command.get_arguments() {
            if !is_rules || admin::flag_help(arg.get_id().as_str(), Language::German).is_none() {
                found.extend(
                    [arg.get_help(), arg.get_long_help()].into_iter().flatten().map(ToString::to_string),
                );
            }
            if arg.get_action().takes_values() {
                let names = arg.get_value_names().unwrap_or_default().iter();
                found.extend(names.map(|name| format!("<{name}>")).filter(|name| GERMAN.contains_key(name)));
                found.extend(
                    arg.get_possible_values().iter().filter_map(|value| Some(value.get_help()?.to_string())),
                );
            }
        }
        command.get_subcommands().for_each(|command| texts(command, found));
    }

    #[test]
    fn every_help_text_has_a_german_one_and_no_german_one_is_left_over() {
        let mut command = Cli::command();
        command.build();
        let mut found = BTreeSet::new();
        texts(&command, &mut found);
        let kept: BTreeSet<String> = GERMAN.keys().cloned().collect();
        let missing: Vec<_> = found.difference(&kept).collect();
        let unused: Vec<_> = kept.difference(&found).collect();
        assert!(missing.is_empty() && unused.is_empty(), "missing: {missing:#?}\nunused: {unused:#?}");
    }

    #[test]
    fn no_page_of_the_german_help_has_english_in_it() {
        fn pages(command: &mut Command, seen: &mut usize) {
            for page in [command.render_help(), command.render_long_help()] {
                let page = page.to_string();
                for english in
                    ["Usage", "Options:", "Commands:", "Arguments:", "Print ", "default:", "values:", "env:"]
                {
                    assert!(!page.contains(english), "{english}: {page}");
                }
                *seen += 1;
            }
            for command in command.get_subcommands_mut() {
                pages(command, seen);
            }
        }
        let (mut command, mut seen) = (in_german(Cli::command()), 0);
        pages(&mut command, &mut seen);
        assert!(seen > 200, "few pages: {seen}");
    }
}
