//! `momedo message`: what became of a message, and saying something about it.

use clap::Subcommand;
use momedo_client::commands::messages;
use momedo_client::living::{About, LivingMessage};
use momedo_client::profile::Profile;
use momedo_client::sending::Destination;
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::TaskState;
use momedo_protocol::message_id::MessageId;

use super::file::FileArgs;
use super::naming::{self, printable};
use super::receive::{kind_word, task_state};
use super::{ProfileArgs, client_runtime, language, output, reader};

/// See what became of a message, answer it, change it, do it, vote.
#[derive(Debug, Subcommand)]
pub(super) enum Message {
    /// List the messages this device keeps, the newest last; of most it keeps that they are there, not what they say
    List {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Only those exchanged with this person or group, by ID
        #[arg(long, value_name = "ID|GROUP")]
        with: Option<Destination>,
        /// Most messages
        #[arg(long, default_value_t = messages::LISTED, value_name = "NUMBER")]
        limit: usize,
        /// Print JSON, one message per line
        #[arg(long)]
        json: bool,
    },
    /// Show a message: who has seen it, how far a task is, how people voted
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// Answer a message
    Reply {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        files: FileArgs,
        /// The answer
        text: String,
    },
    /// Give one of your messages another text
    Edit {
        #[command(flatten)]
        which: Which,
        /// The new text
        text: String,
    },
    /// Take one of your messages back
    Withdraw {
        #[command(flatten)]
        which: Which,
    },
    /// Take on a task
    Accept {
        #[command(flatten)]
        which: Which,
    },
    /// Say that a task is done
    Done {
        #[command(flatten)]
        which: Which,
    },
    /// Say that a task has to be done again
    Reopen {
        #[command(flatten)]
        which: Which,
    },
    /// Vote in a poll; without a choice, the vote is taken back
    Vote {
        #[command(flatten)]
        which: Which,
        /// Numbers of the answers, from 1
        choices: Vec<usize>,
    },
    /// End one of your polls: votes that come later do not count
    EndPoll {
        #[command(flatten)]
        which: Which,
    },
    /// Show one message you received to the staff of your server
    ///
    /// They get what it says, who wrote it, your ID and your reason. Nothing else of the conversation is
    /// disclosed, and nobody can disclose it but you. The server erases reports after 90 days.
    Report {
        #[command(flatten)]
        profile: ProfileArgs,
        /// The message's ID, as `momedo receive --json` shows it
        id: MessageId,
        /// What is wrong with it
        #[arg(long)]
        reason: String,
        /// Who wrote it, should several messages have this ID
        #[arg(long, value_name = "ID")]
        from: Option<ParticipantId>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which message a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    #[command(flatten)]
    profile: ProfileArgs,
    /// The message's ID, as `send` and `receive` show it; SENDER/ID where several have the same
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Message {
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List { profile, with, limit, json } => list(&profile.open()?, with, limit, json),
            Self::Show { which } => show(&which),
            Self::Reply { which, files, text } => {
                let files = files.attach(&which.profile.open()?, messages::WAIT)?;
                say(&which, About::Reply(text, files))
            }
            Self::Edit { which, text } => say(&which, About::Edit(text)),
            Self::Withdraw { which } => say(&which, About::Withdraw),
            Self::Accept { which } => say(&which, About::Task(TaskState::Accepted)),
            Self::Done { which } => say(&which, About::Task(TaskState::Done)),
            Self::Reopen { which } => say(&which, About::Task(TaskState::Open)),
            Self::Vote { which, choices } => say(&which, About::Vote(choices)),
            Self::EndPoll { which } => say(&which, About::EndPoll),
            Self::Report { profile, id, reason, from, json } => {
                client_runtime()?.block_on(report(&profile, id, from, &reason, json))
            }
        }
    }
}

async fn report(
    profile: &ProfileArgs,
    id: MessageId,
    from: Option<ParticipantId>,
    reason: &str,
    json: bool,
) -> anyhow::Result<()> {
    let opened = profile.open()?;
    let reported = messages::report(&opened, id, from, reason, reader(&language())).await?;
    output::answer(json, &reported, &words!("message.reported", number = reported.report))
}

fn say(which: &Which, about: About) -> anyhow::Result<()> {
    let (profile, language) = (which.profile.open()?, language());
    let saying = messages::say(&profile, &which.id, about, reader(&language));
    let said = client_runtime()?.block_on(saying)?;
    output::answer(which.json, &said, words!("send.accepted"))
}

fn show(which: &Which) -> anyhow::Result<()> {
    let profile = which.profile.open()?;
    let message = messages::show(&profile, &which.id)?;
    if which.json {
        return output::json(&message);
    }
    print(&profile, &message)
}

fn list(profile: &Profile, with: Option<Destination>, limit: usize, json: bool) -> anyhow::Result<()> {
    for message in messages::list(profile, with, limit)? {
        if json {
            output::json(&message)?;
            continue;
        }
        let from = naming::person(profile, message.from)?;
        let (id, kind) = (message.id, kind_word(&message.kind));
        let with = || naming::conversation(profile, &message.conversation);
        let line = if message.conversation.parse::<GroupId>().is_ok() {
            words!("message.listed-in", id = id, kind = kind, from = from, with = with()?)
        } else if message.from == profile.id()? {
            words!("message.listed-to", id = id, kind = kind, from = from, with = with()?)
        } else {
            words!("message.listed", id = id, kind = kind, from = from)
        };
        let text = message.text.as_deref().map(|text| format!(": {}", printable(text))).unwrap_or_default();
        let withdrawn =
            if message.withdrawn { format!("  {}", words!("message.withdrawn")) } else { String::new() };
        say!("{line}{text}{withdrawn}");
    }
    Ok(())
}

fn print(profile: &Profile, message: &LivingMessage) -> anyhow::Result<()> {
    let text = message.text.as_deref().map(printable).unwrap_or_default();
    let from = naming::person(profile, message.from)?;
    let with = naming::conversation(profile, &message.conversation)?;
    let kind = kind_word(&message.kind);
    say!("{}", words!("message.shown", kind = kind, from = from, with = with, text = text));
    if message.withdrawn {
        say!("{}", words!("message.withdrawn"));
    }
    if let Some(state) = &message.state {
        let state = task_state(state);
        match message.by {
            Some(by) => {
                say!("{}", words!("message.state-by", state = state, by = naming::person(profile, by)?))
            }
            None => say!("{state}"),
        }
    }
    if message.ended {
        say!("{}", words!("message.ended"));
    }
    for (place, option) in message.options.iter().enumerate() {
        say!("{}. {} ({})", place + 1, printable(&option.text), option.chosen_by.len());
    }
    if let (Some(seen), Some(not_seen)) = (&message.seen, &message.not_seen) {
        let all = seen.len() + not_seen.len();
        if let Some(arrived) = message.arrived.as_ref().filter(|arrived| arrived.len() > seen.len()) {
            say!("{}", words!("message.arrived", number = arrived.len(), all = all));
        }
        say!("{}", words!("message.seen", number = seen.len(), all = all));
        if !not_seen.is_empty() && message.kind == momedo_protocol::kind::ANNOUNCEMENT {
            say!("{}", words!("message.not-seen", whom = naming::people(profile, not_seen)?));
        }
    }
    Ok(())
}
