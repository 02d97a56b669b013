//! `momedo message`: what became of a message, and saying something about it.

use std::time::Duration;

use clap::Subcommand;
use momedo_client::living::{self, About, LivingMessage};
use momedo_client::{reporting, sending};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::TaskState;
use momedo_protocol::message_id::MessageId;

use super::file::FileArgs;
use super::receive::printable;
use super::{ProfileArgs, client_runtime, language, output};

/// How long a command tries to reach the server.
const WAIT: Duration = Duration::from_secs(10);

/// See what became of a message, answer it, change it, do it, vote.
#[derive(Debug, Subcommand)]
pub(super) enum Message {
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
            Self::Show { which } => show(&which),
            Self::Reply { which, files, text } => {
                let files = files.attach(&which.profile.open()?, WAIT)?;
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
    let mut session = opened.log_in(&language()).await?;
    let reported = reporting::report(&opened, &mut session, id, from, reason).await?;
    if json {
        return output::json(&reported);
    }
    say!("the staff have it as report {}", reported.report);
    Ok(())
}

fn say(which: &Which, about: About) -> anyhow::Result<()> {
    let profile = which.profile.open()?;
    let (to, draft) = living::about(&profile, &which.id, about)?;
    let language = language();
    let sending = sending::send(&profile, to, &draft, WAIT, &language, &output::progress);
    let sent = client_runtime()?.block_on(sending)?;
    if which.json {
        return output::json(&serde_json::json!({ "id": sent.id, "status": "accepted" }));
    }
    say!("accepted");
    Ok(())
}

fn show(which: &Which) -> anyhow::Result<()> {
    let message = living::find(&which.profile.open()?, &which.id)?;
    if which.json {
        return output::json(&message);
    }
    print(&message)
}

fn print(message: &LivingMessage) -> anyhow::Result<()> {
    let text = message.text.as_deref().map(printable).unwrap_or_default();
    say!("{} from {} in {}: {text}", printable(&message.kind), message.from, message.conversation);
    if message.withdrawn {
        say!("taken back");
    }
    if let Some(state) = &message.state {
        match message.by {
            Some(by) => say!("{state}, says {by}"),
            None => say!("{state}"),
        }
    }
    if message.ended {
        say!("ended");
    }
    for (place, option) in message.options.iter().enumerate() {
        say!("{}. {} ({})", place + 1, printable(&option.text), option.chosen_by.len());
    }
    if let (Some(seen), Some(not_seen)) = (&message.seen, &message.not_seen) {
        let all = seen.len() + not_seen.len();
        if let Some(arrived) = message.arrived.as_ref().filter(|arrived| arrived.len() > seen.len()) {
            say!("arrived at {} of {all}", arrived.len());
        }
        say!("seen by {} of {all}", seen.len());
        if !not_seen.is_empty() && message.kind == momedo_protocol::kind::ANNOUNCEMENT {
            let ids: Vec<String> = not_seen.iter().map(ToString::to_string).collect();
            say!("not by {}", ids.join(", "));
        }
    }
    Ok(())
}
