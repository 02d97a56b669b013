//! What commands print: results on standard output, progress and notes on standard error.

use std::fmt::Arguments;
use std::io::{IsTerminal, Write};

use momedo_client::clocks::{Clocks, Suspect};
use momedo_client::progress::Step;
use momedo_protocol::time::UnixMillis;
use serde::Serialize;

use crate::domain::calendar::rfc3339;

/// Standard output takes nothing more: whoever read it is gone, or the disk under it is full.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub(super) struct OutputError(#[from] std::io::Error);

impl OutputError {
    /// Whether the reader has seen enough, as `head` has: that is no failure.
    pub(super) fn is_reader_gone(&self) -> bool {
        self.0.kind() == std::io::ErrorKind::BrokenPipe
    }
}

/// Prints one compact JSON object on a line of its own.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(bytes(&line)?)
}

/// Prints an answer: as JSON, or in these words.
pub(super) fn answer(json: bool, answer: &impl Serialize, words: &str) -> anyhow::Result<()> {
    if json {
        return self::json(answer);
    }
    say!("{words}");
    Ok(())
}

/// Prints a line; what [`say!`] does.
pub(super) fn line(text: Arguments<'_>) -> Result<(), OutputError> {
    bytes(format!("{text}\n").as_bytes())
}

/// Prints bytes as they are.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), OutputError> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Writes a note to standard error; what [`note!`] does. Where nobody can read it, it is not worth failing for.
pub(super) fn note(text: Arguments<'_>) {
    let _: Result<_, _> = writeln!(std::io::stderr().lock(), "{text}");
}

/// An instant for people: RFC 3339 in UTC, to the second.
pub(super) fn time(at: Option<UnixMillis>) -> String {
    at.and_then(rfc3339).unwrap_or_else(|| "–".into())
}

/// Says what takes a while, when somebody is watching; what is wrong, always.
pub(super) fn progress(step: Step) {
    if let Step::ClocksDiffer(clocks) = step {
        return note!("{}", words_about(&clocks));
    }
    if !std::io::stderr().is_terminal() {
        return;
    }
    let text = match step {
        Step::ClocksDiffer(_) => return,
        Step::MakingKeys => words!("progress.making-keys").to_owned(),
        Step::SendingKey => words!("progress.sending-key").to_owned(),
        Step::FetchingKey => words!("progress.fetching-key").to_owned(),
        Step::Uploading { done, total } => return bar(words!("progress.uploaded"), done, total),
        Step::Downloading { done, total } => return bar(words!("progress.fetched"), done, total),
        Step::FetchingKeys { done, total } => words!("progress.fetching-keys", done = done, total = total),
        Step::HandingOutKeys { done, total } => {
            words!("progress.handing-out-keys", done = done, total = total)
        }
    };
    note!("{text}");
}

/// Whose clock shows what, and what to do.
fn words_about(clocks: &Clocks) -> String {
    let [device, server, from, until] =
        [clocks.device, clocks.server, clocks.valid_from, clocks.valid_until].map(|at| time(Some(at)));
    let advice = match clocks.suspect() {
        Suspect::Device => words!("clocks.device").to_owned(),
        Suspect::Server => words!("clocks.server").to_owned(),
        Suspect::Either => words!("clocks.either").to_owned(),
        Suspect::Certificate => words!("clocks.certificate", from = from, until = until),
    };
    words!("clocks.differ", device = device, server = server, advice = advice)
}

/// Draws a bar over the one before it.
fn bar(word: &str, done: u64, total: u64) {
    const WIDTH: u64 = 30;
    let done = done.min(total);
    let filled = done * WIDTH / total.max(1);
    let marks: String = (0..WIDTH).map(|place| if place < filled { '#' } else { '.' }).collect();
    let tenths = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10);
    let amount = words!("progress.bar", done = tenths(done), total = tenths(total), word = word);
    let mut out = std::io::stderr().lock();
    // It is only for looking at.
    let _: Result<_, _> = write!(out, "\r[{marks}] {amount} ");
    let _: Result<_, _> = out.flush();
}

/// Leaves the line of a bar.
pub(super) fn end_progress() {
    if std::io::stderr().is_terminal() {
        note!("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_rfc_3339_has_it() {
        assert_eq!(time(Some(UnixMillis(1_795_305_601_999))), "2026-11-22T00:00:01Z");
        assert_eq!((time(None), time(Some(UnixMillis(u64::MAX)))), ("–".into(), "–".into()));
    }
}
