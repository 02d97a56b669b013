//! `momedo receive`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use momedo_client::commands::receive::{self, Hitch, Receiving};
use momedo_client::contacts::Trust;
use momedo_client::receiving::{Received, ReceivedFile};
use momedo_protocol::kind::{self, Content, ReceiptKind};

use super::naming::{self, printable};
use super::{ProfileArgs, client_runtime, language, output, reader, spoken, words};

/// Receive messages: prints what waits, then tells the server that it may forget it.
#[derive(Debug, Args)]
pub(super) struct Receive {
    #[command(flatten)]
    profile: ProfileArgs,
    /// Go on until interrupted, printing messages as they come
    #[arg(long)]
    follow: bool,
    /// Print events as well, such as changes of keys
    #[arg(long)]
    events: bool,
    /// Save files that come along in this folder, under their own names; nothing is overwritten. Without it they
    /// can be had until they expire: momedo file save ID
    #[arg(long, value_name = "FOLDER")]
    save_files: Option<PathBuf>,
    /// Print JSON, one message per line
    #[arg(long)]
    json: bool,
}

impl Receive {
    pub(super) fn run(self) -> anyhow::Result<()> {
        client_runtime()?.block_on(async {
            tokio::select! {
                result = self.receive() => result,
                // Nothing is lost: what was not acknowledged comes again.
                _ = tokio::signal::ctrl_c() => Ok(()),
            }
        })
    }

    async fn receive(&self) -> anyhow::Result<()> {
        // What is not shown stays unread; why it was not is told in words of its own.
        let mut unshown = None;
        let mut show = |received: &Received| {
            print(received, self.json).map_err(|error| {
                let told = std::io::Error::other(error.to_string());
                unshown = Some(error);
                told
            })
        };
        let result = self.receive_with(&mut show).await;
        // Messages nobody saw are no success, though whoever was to read them asked for no more.
        unshown.map_or(result, |error| {
            bail!(words!("receive.not-shown", reason = super::said(&error, spoken())))
        })
    }

    async fn receive_with(
        &self,
        show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
    ) -> anyhow::Result<()> {
        let profile = self.profile.open()?;
        let language = language();
        let receiving =
            Receiving { events: self.events, save_files: self.save_files.as_deref(), wait: Duration::ZERO };
        if !self.follow {
            // Told last, and by the exit code: whatever could be had was shown.
            return Ok(receive::receive(&profile, &receiving, reader(&language), show).await?);
        }
        let mut told = String::new();
        let mut hitch = |hitch: Hitch<'_>| match hitch {
            Hitch::TriesAgain(error) => tracing::debug!(%error, "trying again"),
            Hitch::GoesOn(error) => {
                // Said once.
                let words = words::told(&error.said(spoken()));
                if words != told {
                    note!("momedo: {words}");
                    told = words;
                }
            }
        };
        let never = receive::follow(&profile, &receiving, reader(&language), show, &mut hitch).await?;
        match never {}
    }
}

fn print(received: &Received, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(received);
    }
    let files: String = received.files.iter().map(file_words).collect();
    let text = format!("{}{files}", words_of(received));
    let doubt = match (received.verified, Trust::of_name(&received.trust)) {
        (false, _) => format!(" ({})", words!("receive.not-verified")),
        (true, Trust::Unvouched) => format!(" ({})", words!("receive.unvouched")),
        (true, _) => String::new(),
    };
    let from = naming::named_person(received.from_name.as_deref(), received.from);
    let line = match (received.to, received.group) {
        (Some(to), _) => {
            let to = naming::named_person(received.to_name.as_deref(), to);
            words!("receive.to", to = to, doubt = doubt, text = text)
        }
        (None, Some(group)) => {
            let group = naming::named_group(received.group_name.as_deref(), group);
            words!("receive.in-group", from = from, group = group, doubt = doubt, text = text)
        }
        (None, None) => format!("{from}{doubt}: {text}"),
    };
    say!("{line}");
    Ok(())
}

/// What people read of a message, whatever its kind.
fn words_of(received: &Received) -> String {
    // What this program itself says is kept in English.
    let told = || printable(&words::told(received.text.as_deref().unwrap_or_default()));
    match received.kind.as_str() {
        "delivered" => return words!("receive.delivered", id = received.id),
        "undeliverable" => {
            let about = received.about.as_deref().map(|about| format!(" \"{}\"", printable(about)));
            let about = about.unwrap_or_default();
            return words!("receive.undeliverable", id = received.id, about = about, why = told());
        }
        "waiting" => return words!("receive.waiting", text = told()),
        "alarm" => return words!("receive.alarm", text = told()),
        "device-added" => return words!("receive.device-added", text = told()),
        "missed" => return words!("receive.missed", text = told()),
        "renamed" => return words!("receive.renamed", text = told()),
        "group-changed" if received.event => return told(),
        _ => {}
    }
    let body = received.body.as_ref().unwrap_or(&serde_json::Value::Null);
    match (Content::read(&received.kind, body), &received.text) {
        (Content::Poll(poll), _) => {
            let options = poll.options.iter().zip(1..).map(|(option, place)| format!("\n{place}. {option}"));
            let text = format!("{}{}", poll.question, options.collect::<String>());
            words!("receive.poll", id = received.id, text = printable(&text))
        }
        (Content::Vote(vote), _) => {
            let places: Vec<_> = vote.choices.iter().map(|choice| (choice + 1).to_string()).collect();
            words!("receive.vote", id = vote.poll.id, choices = places.join(", "))
        }
        (Content::PollEnd(end), _) => words!("receive.poll-end", id = end.poll),
        (Content::TaskState(change), _) => {
            words!("receive.task-state", id = change.task.id, state = task_state(change.state.word()))
        }
        (Content::Withdraw(withdrawal), _) => words!("receive.withdrawn", id = withdrawal.message),
        (Content::Receipt(receipt), _) => match receipt.state {
            ReceiptKind::Delivered => counted!("receive.arrived", receipt.messages.len()),
            ReceiptKind::Read => counted!("receive.read", receipt.messages.len()),
        },
        (Content::Edit(edit), _) => {
            words!("receive.edit", id = edit.message, text = printable(&edit.text))
        }
        (Content::Announcement(_) | Content::Task(_), Some(text)) => {
            format!("[{} {}] {}", kind_word(&received.kind), received.id, printable(text))
        }
        (_, Some(text)) => printable(text),
        (_, None) => format!("[{}]", kind_word(&received.kind)),
    }
}

/// What people read of a file, on a line of its own.
fn file_words(file: &ReceivedFile) -> String {
    let name = printable(&file.name);
    let words = match (&file.saved, &file.problem) {
        (Some(path), _) => words!("receive.file-saved", name = name, path = path.display()),
        (None, Some(problem)) => {
            words!("receive.file-not-saved", name = name, reason = printable(&words::told(problem)))
        }
        (None, None) => words!("receive.file", name = name, bytes = file.size, id = file.id),
    };
    format!("\n    {words}")
}

/// The kind of a message, as people call it.
pub(super) fn kind_word(kind: &str) -> String {
    match kind {
        kind::TEXT => words!("kind.text").to_owned(),
        kind::REPLY => words!("kind.reply").to_owned(),
        kind::IMAGE => words!("kind.image").to_owned(),
        kind::FILE => words!("kind.file").to_owned(),
        kind::ANNOUNCEMENT => words!("kind.announcement").to_owned(),
        kind::TASK => words!("kind.task").to_owned(),
        kind::POLL => words!("kind.poll").to_owned(),
        "unreadable" => words!("kind.unreadable").to_owned(),
        other => printable(other),
    }
}

/// How far a task is, as people say it.
pub(super) fn task_state(state: &str) -> String {
    match state {
        "open" => words!("task-state.open").to_owned(),
        "accepted" => words!("task-state.accepted").to_owned(),
        "done" => words!("task-state.done").to_owned(),
        other => printable(other),
    }
}
