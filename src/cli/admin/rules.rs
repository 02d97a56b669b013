//! `momedo admin rules`: a flag for each setting that admins change while the server runs.

use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use momedo_texts::Language;

use super::Common;
use crate::cli::spoken;
use crate::service::administration::AdminRequest;
use crate::service::rules::Rules;
use crate::settings::{self, Kind, Rule, Setting, Value};

/// Show the rules, or change some. What stands in momedo.toml is changed there.
#[derive(Debug, Args)]
pub(in crate::cli) struct ChangeRules {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    change: Change,
    /// The port invite links name, if a listener has it
    #[arg(long)]
    link_port: Option<u16>,
}

/// What the flags say; they follow from the table of settings.
#[derive(Debug)]
struct Change(Rules);

/// What a flag does, by the name of its rule.
pub(in crate::cli) fn flag_help(name: &str, language: Language) -> Option<String> {
    let (setting, _) = settings::changeable().find(|(_, rule)| rule.name == name)?;
    Some(help(setting, language))
}

fn help(setting: &Setting, language: Language) -> String {
    let text = match language {
        Language::German => setting.help.german,
        Language::English => setting.help.english,
    };
    let allowed = setting.kind.allowed_as_rule_in(language);
    match (setting.kind, allowed.as_str(), language) {
        (Kind::Hosts { .. }, _, Language::German) => format!("{text} Mehrmals möglich"),
        (Kind::Hosts { .. }, _, Language::English) => format!("{text} May be given more than once"),
        (_, "", _) => text.to_owned(),
        (_, allowed, _) => format!("{text} [{allowed}]"),
    }
}

fn flag(setting: &'static Setting, rule: &'static Rule) -> Arg {
    let flag = Arg::new(rule.name).long(rule.flag).help(help(setting, Language::English));
    match setting.kind {
        Kind::Number { .. } | Kind::Rate(_) => flag.value_name("NUMBER").value_parser(value_parser!(u64)),
        Kind::YesOrNo => flag.value_name("true|false").value_parser(value_parser!(bool)),
        Kind::Hosts { .. } => flag.value_name("HOST").action(ArgAction::Append),
        Kind::Text { .. } | Kind::Other => flag.value_name("TEXT"),
    }
}

fn given(setting: &Setting, rule: &Rule, matches: &ArgMatches) -> Option<Value> {
    match setting.kind {
        Kind::Number { .. } | Kind::Rate(_) => matches.get_one(rule.name).copied().map(Value::Number),
        Kind::YesOrNo => matches.get_one(rule.name).copied().map(Value::YesOrNo),
        Kind::Hosts { .. } => {
            let hosts = matches.get_many::<String>(rule.name)?;
            Some(Value::List(hosts.cloned().collect()))
        }
        Kind::Text { .. } | Kind::Other => matches.get_one::<String>(rule.name).cloned().map(Value::Text),
    }
}

impl Args for Change {
    fn augment_args(command: Command) -> Command {
        command.args(settings::changeable().map(|(setting, rule)| flag(setting, rule)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Change {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut change = Self(Rules::default());
        change.update_from_arg_matches(matches)?;
        Ok(change)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (setting, rule) in settings::changeable() {
            let Some(value) = given(setting, rule, matches) else { continue };
            if !rule.set(&mut self.0, &value) {
                let allowed = setting.kind.allowed_as_rule_in(spoken());
                let message = format!("{}\n", words!("admin.takes", flag = rule.flag, allowed = allowed));
                return Err(clap::Error::raw(clap::error::ErrorKind::ValueValidation, message));
            }
        }
        Ok(())
    }
}

impl ChangeRules {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let change = Rules { link_port: self.link_port, ..self.change.0 };
        let request = AdminRequest::Rules { change: Box::new(change) };
        if self.common.json {
            return self.common.print(request, &[]);
        }
        let lines = self.common.ask(request)?.lines()?;
        for (line, name) in lines.iter().flat_map(|line| {
            line.as_object().into_iter().flat_map(|fields| fields.keys()).map(move |name| (line, name))
        }) {
            say!("{name:<22}{}", super::shown::field(line, name));
        }
        Ok(())
    }
}
