//! `momedo admin rules`: a flag for each setting that admins change while the server runs.

use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};

use super::Common;
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

fn flag(setting: &'static Setting, rule: &'static Rule) -> Arg {
    let allowed = setting.kind.allowed_as_rule();
    let help = match (setting.kind, allowed.as_str()) {
        (Kind::Hosts { .. }, _) => format!("{} May be given more than once", setting.help.english),
        (_, "") => setting.help.english.to_owned(),
        (_, allowed) => format!("{} [{allowed}]", setting.help.english),
    };
    let flag = Arg::new(rule.name).long(rule.flag).help(help);
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
                let message = format!("--{} takes {}\n", rule.flag, setting.kind.allowed_as_rule());
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
        for (name, value) in lines.iter().filter_map(serde_json::Value::as_object).flatten() {
            say!("{name:<22}{}", super::text(value));
        }
        Ok(())
    }
}
