//! What commands print: results on standard output, progress and notes on standard error.

use std::fmt::Arguments;
use std::io::{IsTerminal, Write};

use momedo_client::clocks::{Clocks, Suspect};
use momedo_client::registration::Step;
use momedo_protocol::time::UnixMillis;
use momedo_texts::Language;
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
        return note(format_args!("{}", words_about(&clocks, super::spoken() == Language::German)));
    }
    if std::io::stderr().is_terminal() {
        let text = match (step, super::spoken() == Language::German) {
            (Step::ClocksDiffer(_), _) => return,
            (Step::MakingKeys, true) => "Schlüssel werden erzeugt, das dauert einige Sekunden …",
            (Step::MakingKeys, false) => "making keys, this takes a few seconds …",
            (Step::SendingKey, true) => "der große Schlüssel (512 KiB) wird gesendet …",
            (Step::SendingKey, false) => "sending the large key (512 KiB) …",
            (Step::FetchingKey, true) => "der große Schlüssel (512 KiB) wird geholt …",
            (Step::FetchingKey, false) => "fetching the large key (512 KiB) …",
            (Step::Uploading { done, total }, true) => return bar("hochgeladen", done, total),
            (Step::Uploading { done, total }, false) => return bar("uploaded", done, total),
            (Step::Downloading { done, total }, true) => return bar("geladen", done, total),
            (Step::Downloading { done, total }, false) => return bar("fetched", done, total),
            (Step::FetchingKeys { done, total }, true) => {
                return note!("Schlüssel der Mitglieder werden geholt: {done} von {total} …");
            }
            (Step::FetchingKeys { done, total }, false) => {
                return note!("fetching the members' keys: {done} of {total} …");
            }
            (Step::HandingOutKeys { done, total }, true) => {
                return note!("der neue Gruppenschlüssel wird verteilt: {done} von {total} …");
            }
            (Step::HandingOutKeys { done, total }, false) => {
                return note!("handing out the new group key: {done} of {total} …");
            }
        };
        note!("{text}");
    }
}

/// Whose clock shows what, and what to do.
fn words_about(clocks: &Clocks, german: bool) -> String {
    let [device, server, from, until] =
        [clocks.device, clocks.server, clocks.valid_from, clocks.valid_until].map(|at| time(Some(at)));
    let (shown, advice) = if german {
        let advice = match clocks.suspect() {
            Suspect::Device => "Die Uhr dieses Geräts geht falsch: bitte stellen.".into(),
            Suspect::Server => "Die Uhr des Servers geht falsch: bitte der Verwaltung sagen.".into(),
            Suspect::Either => {
                "Eine von beiden geht falsch: bitte die dieses Geräts stellen, oder, wenn sie stimmt, \
                                der Verwaltung Bescheid sagen."
                    .into()
            }
            Suspect::Certificate => {
                format!("Das Zertifikat des Servers gilt von {from} bis {until}: bitte der Verwaltung sagen.")
            }
        };
        (format!("Die Uhr dieses Geräts zeigt {device}, die des Servers {server}."), advice)
    } else {
        let advice = match clocks.suspect() {
            Suspect::Device => "This device's clock is wrong: set it.".into(),
            Suspect::Server => "The server's clock is wrong: tell its admin.".into(),
            Suspect::Either => {
                "One of them is wrong: set this device's, or, if it is right, tell the server's admin.".into()
            }
            Suspect::Certificate => {
                format!("The server's certificate holds from {from} until {until}: tell its admin.")
            }
        };
        (format!("This device's clock shows {device}, the server's clock {server}."), advice)
    };
    let server = if german {
        "Der Server hat bewiesen, dass er der richtige ist."
    } else {
        "The server has proved that it is the right one."
    };
    format!("{shown} {advice} {server}")
}

/// Draws a bar over the one before it.
fn bar(word: &str, done: u64, total: u64) {
    const WIDTH: u64 = 30;
    let done = done.min(total);
    let filled = done * WIDTH / total.max(1);
    let marks: String = (0..WIDTH).map(|place| if place < filled { '#' } else { '.' }).collect();
    let tenths = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10);
    let mut out = std::io::stderr().lock();
    // It is only for looking at.
    let _: Result<_, _> = write!(out, "\r[{marks}] {} of {} MB {word} ", tenths(done), tenths(total));
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
