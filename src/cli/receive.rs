//! `momedo receive`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use momedo_client::contacts::Trust;
use momedo_client::receiving::{self, Received, ReceivedFile, Saving};
use momedo_protocol::kind::Content;
use momedo_protocol::limits::MAX_WAIT_SECONDS;
use momedo_protocol::name::is_visible;

use super::{ProfileArgs, client_runtime, language, output, spoken};

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

/// How long a file may stand still before it is given up for now.
const SAVING: Duration = Duration::from_secs(30);

/// Pause before the next try while following a server that cannot be reached.
const PAUSE: Duration = Duration::from_secs(2);

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
            // That somebody else may read along is said unasked.
            if received.event && !self.events && received.kind != "device-added" {
                return Ok(());
            }
            print(received, self.json).map_err(|error| {
                let told = std::io::Error::other(error.to_string());
                unshown = Some(error);
                told
            })
        };
        let result = self.receive_with(&mut show).await;
        // Messages nobody saw are no success, though whoever was to read them asked for no more.
        unshown.map_or(result, |error| bail!("{error:#}: what was not shown is shown next time"))
    }

    async fn receive_with(
        &self,
        show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
    ) -> anyhow::Result<()> {
        let profile = self.profile.open()?;
        let language = language();
        let saving = self.save_files.as_deref().map(|folder| Saving {
            folder,
            wait: SAVING,
            progress: &output::progress,
        });
        if !self.follow {
            let mut session = profile.log_in(&language).await?;
            let outcome =
                receiving::receive_files(&profile, &mut session, Duration::ZERO, saving.as_ref(), show)
                    .await?;
            // Told last, and by the exit code: whatever could be had was shown.
            return outcome.failed.map_or(Ok(()), |error| Err(error.into()));
        }
        let wait = Duration::from_secs(MAX_WAIT_SECONDS);
        let mut told = String::new();
        loop {
            let following = async {
                let mut session = profile.log_in(&language).await?;
                loop {
                    let outcome =
                        receiving::receive_files(&profile, &mut session, wait, saving.as_ref(), show).await?;
                    if let Some(error) = outcome.failed {
                        if error.is_temporary() || error.problem() == Some("not-logged-in") {
                            return Err(error);
                        }
                        // Said once, and gone on: other mail comes all the same.
                        let words = error.said(spoken());
                        if words != told {
                            note!("momedo: {words}");
                            told = words;
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                    if session.is_second() {
                        // The first home may be back.
                        session = profile.log_in(&language).await?;
                    }
                }
            };
            let result: Result<std::convert::Infallible, momedo_client::ClientError> = following.await;
            match result {
                Err(error) if error.is_temporary() || error.problem() == Some("not-logged-in") => {
                    tracing::debug!(%error, "trying again");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn print(received: &Received, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(received);
    }
    let files: String = received.files.iter().map(file_words).collect();
    let text = format!("{}{files}", words(received));
    let doubt = match (received.verified, Trust::of_name(&received.trust)) {
        (false, _) => " (NOT VERIFIED)",
        (true, Trust::Unvouched) => " (NO LOG VOUCHES FOR THEIR KEYS)",
        (true, _) => "",
    };
    match (received.to, received.group) {
        (Some(to), _) => say!("to {to}{doubt}: {text}"),
        (None, Some(group)) => say!("{} in {group}{doubt}: {text}", received.from),
        (None, None) => say!("{}{doubt}: {text}", received.from),
    }
    Ok(())
}

/// What people read of a message, whatever its kind.
fn words(received: &Received) -> String {
    if received.kind == "delivered" {
        return format!("[delivered {}]", received.id);
    }
    if received.kind == "undeliverable" {
        let about = received.about.as_deref().map(|about| format!(" \"{}\"", printable(about)));
        let why = printable(received.text.as_deref().unwrap_or_default());
        return format!("[undeliverable {}{}: {why}]", received.id, about.unwrap_or_default());
    }
    if received.kind == "waiting" {
        return format!("[waiting] {}", printable(received.text.as_deref().unwrap_or_default()));
    }
    if received.kind == "alarm" {
        return format!("[ALARM] {}", printable(received.text.as_deref().unwrap_or_default()));
    }
    if received.kind == "device-added" {
        return format!("[DEVICE ADDED] {}", printable(received.text.as_deref().unwrap_or_default()));
    }
    if received.kind == "missed" {
        return format!("[MISSED] {}", printable(received.text.as_deref().unwrap_or_default()));
    }
    if received.kind == "renamed" {
        return format!("[NAME] {}", printable(received.text.as_deref().unwrap_or_default()));
    }
    let body = received.body.as_ref().unwrap_or(&serde_json::Value::Null);
    match (Content::read(&received.kind, body), &received.text) {
        (Content::Poll(poll), _) => {
            let options = poll.options.iter().zip(1..).map(|(option, place)| format!("\n{place}. {option}"));
            printable(&format!("[poll {}] {}{}", received.id, poll.question, options.collect::<String>()))
        }
        (Content::Vote(vote), _) => {
            let places: Vec<_> = vote.choices.iter().map(|choice| (choice + 1).to_string()).collect();
            format!("[vote on {}] {}", vote.poll.id, places.join(", "))
        }
        (Content::PollEnd(end), _) => format!("[poll {} has ended]", end.poll),
        (Content::TaskState(change), _) => format!("[task {} is {}]", change.task.id, change.state.word()),
        (Content::Withdraw(withdrawal), _) => format!("[took {} back]", withdrawal.message),
        (Content::Receipt(receipt), _) => {
            format!("[{} {} of your messages]", receipt.state.word(), receipt.messages.len())
        }
        (Content::Edit(edit), _) => format!("[changed {}] {}", edit.message, printable(&edit.text)),
        (Content::Announcement(_) | Content::Task(_), Some(text)) => {
            format!("[{} {}] {}", received.kind, received.id, printable(text))
        }
        (_, Some(text)) => printable(text),
        (_, None) => format!("[{}]", printable(&received.kind)),
    }
}

/// What people read of a file, on a line of its own.
fn file_words(file: &ReceivedFile) -> String {
    let name = printable(&file.name);
    match (&file.saved, &file.problem) {
        (Some(path), _) => format!("\n    [file {name}, saved as {}]", path.display()),
        (None, Some(problem)) => format!("\n    [file {name}, not saved: {}]", printable(problem)),
        (None, None) => format!("\n    [file {name}, {} bytes: momedo file save {}]", file.size, file.id),
    }
}

/// A message must not steer the terminal it is shown on, nor look like a message of somebody else: lines
/// after the first are indented.
pub(super) fn printable(text: &str) -> String {
    let safe = |c: char| {
        // Emoji are put together with joiners and selectors, and in some scripts a joiner makes another word.
        let joins = matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}');
        if is_visible(c) || joins || matches!(c, '\n' | '\t') { c } else { '\u{fffd}' }
    };
    text.chars().map(safe).collect::<String>().replace('\n', "\n    ")
}
