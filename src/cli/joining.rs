//! `momedo user backup-keys|recover|link-device`, and the other side of it: a new device out of a recovery
//! code or a link.

use std::io::{BufRead, IsTerminal};

use anyhow::Context;
use clap::Subcommand;
use momedo_client::commands::joining::{self, CodeShown, Linking, Others};
use momedo_client::watching;
use momedo_protocol::device_link::DeviceLink;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::invite::ServerLink;
use momedo_protocol::key_backup::{RECOVERY_WORDS, RecoveryCode};
use zeroize::Zeroizing;

use super::naming::printable_name;
use super::qr_code::{self, Look};
use super::{ProfileArgs, language, output, reader, spoken, words};

/// New devices of yours.
#[derive(Debug, Subcommand)]
pub(super) enum Joining {
    /// Keep your keys on the server, closed with a recovery code that is shown once
    ///
    /// Write the twelve words down and put them where nobody else looks. With them a lost phone does not mean a
    /// lost identity. The backup renews itself when your keys change. A new one makes the words before invalid.
    BackupKeys {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Only say whether there is a key backup, and from when
        #[arg(long, conflicts_with = "delete")]
        state: bool,
        /// Remove the key backup from the server; its words are of no use any more
        #[arg(long)]
        delete: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Get your identity back with the recovery code, after every device was lost
    ///
    /// Asks for the twelve words on standard input. Mail that waited for a lost device is not fetched back.
    Recover {
        #[command(flatten)]
        profile: ProfileArgs,
        /// The server's link as it was shown with the words, or any invite link of that server
        #[arg(long)]
        server: ServerLink,
        /// Your ID, such as M8N22HT6
        #[arg(long)]
        id: ParticipantId,
        /// What the new device is called
        #[arg(long, default_value = "recovered device")]
        device_name: String,
        /// Revoke every other device of yours, and make all keys anew
        #[arg(long)]
        revoke_others: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a link, and a QR code, with which another device becomes yours
    ///
    /// It holds for two minutes, for one device. The new device then shows six digits: type them here.
    LinkDevice {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Print JSON; the six digits are read from standard input all the same
        #[arg(long)]
        json: bool,
    },
}

impl Joining {
    pub(super) async fn act(self) -> anyhow::Result<()> {
        match self {
            Self::BackupKeys { profile, state: true, json, .. } => show_state(&profile, json).await,
            Self::BackupKeys { profile, delete: true, json, .. } => {
                let deleted = joining::delete_backup(&profile.open()?, reader(&language())).await?;
                output::answer(json, &deleted, words!("key-backup.removed"))
            }
            Self::BackupKeys { profile, json, .. } => {
                let words = joining::back_up(&profile.open()?, reader(&language())).await?;
                // A reader who is gone has not seen enough here: the earlier words open nothing any more.
                show_words(&words, json).map_err(|error| {
                    anyhow::anyhow!(words!("key-backup.not-shown", reason = super::said(&error, spoken())))
                })
            }
            Self::Recover { profile, server, id, device_name, revoke_others, json } => {
                let others = if revoke_others { Others::Revoked } else { Others::Stay };
                // What is wrong with the passphrase is said before anybody types twelve words.
                let place = profile.place()?;
                let recovering =
                    joining::Recovering { server, id, code: read_code()?, device_name: &device_name, others };
                let (_, recovered) = joining::recover(&place, recovering, reader(&language())).await?;
                show_recovered(&recovered, others, &profile, json)
            }
            Self::LinkDevice { profile, json } => show_link(&profile, json).await,
        }
    }
}

fn show_words(made: &joining::Words, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(made);
    }
    say!("{}\n", words!("key-backup.write-down"));
    for (index, word) in made.words.split(' ').enumerate() {
        say!("{:>4}. {word}", index + 1);
    }
    say!("\n{}", words!("key-backup.id", id = made.id));
    say!("{}", words!("key-backup.server", server = made.server));
    Ok(())
}

async fn show_state(profile: &ProfileArgs, json: bool) -> anyhow::Result<()> {
    let opened = profile.open()?;
    let shown = joining::backup_state(&opened, reader(&language())).await?;
    if json {
        return output::json(&shown);
    }
    let Some(slot) = &shown.key_backup else {
        let ended = shown.why_ended(&opened)?.map(|why| words::told(&why));
        match shown.ended {
            None => say!("{}", words!("key-backup.none")),
            Some(_) => say!("{}", ended.unwrap_or_default()),
        }
        return Ok(());
    };
    say!("{}", words!("key-backup.is-there", version = slot.version));
    if let Some(device) = slot.made_by {
        let device = words::told(&watching::named(&opened, device)?);
        say!("{}", words!("key-backup.made-on", device = device));
    }
    if slot.fetched_at.is_some() {
        say!("{}", words!("key-backup.fetched"));
    }
    if !slot.renewable {
        say!("{}", words!("key-backup.not-renewable"));
    }
    Ok(())
}

/// Reads lines until there are as many words as a code has.
fn read_code() -> anyhow::Result<RecoveryCode> {
    if std::io::stdin().is_terminal() {
        note!("{}", words!("key-backup.ask", number = RECOVERY_WORDS));
    }
    let mut text = Zeroizing::new(String::new());
    for line in std::io::stdin().lock().lines() {
        let line = Zeroizing::new(line.context(words!("key-backup.unreadable"))?);
        text.push_str(&line);
        text.push('\n');
        if joining::has_all_words(&text) {
            break;
        }
    }
    Ok(text.parse()?)
}

fn show_recovered(
    recovered: &joining::Recovered,
    others: Others,
    profile: &ProfileArgs,
    json: bool,
) -> anyhow::Result<()> {
    if json {
        return output::json(recovered);
    }
    let (name, id) = (printable_name(&recovered.name), recovered.id);
    say!("{}", words!("recover.done", name = name, id = id, device = recovered.device));
    if recovered.others.is_empty() {
        return Ok(());
    }
    if others == Others::Revoked {
        say!("{}", words!("recover.revoked"));
        say!("{}", words!("recover.words-ended", advice = words::told(watching::NEW_CODE)));
        return Ok(());
    }
    say!("{}", words!("recover.others"));
    for other in &recovered.others {
        say!(
            "    momedo user revoke-device --profile {} {}    # {}",
            profile.profile.display(),
            other.device,
            printable_name(&other.name)
        );
    }
    Ok(())
}

fn print_qr_code(text: &str) -> anyhow::Result<()> {
    say!("{}", qr_code::draw(text, Look::of_standard_output())?);
    Ok(())
}

async fn show_link(profile: &ProfileArgs, json: bool) -> anyhow::Result<()> {
    let opened = profile.open()?;
    let language = language();
    let mut linking = Linking::open(&opened, reader(&language)).await?;
    let shown = linking.shown();
    if json {
        output::json(&shown)?;
    } else {
        print_qr_code(&shown.link)?;
        say!("{}", *shown.link);
        say!("\n{}", words!("linking.how"));
        say!("{}", words!("linking.two-minutes"));
    }
    let candidate = linking.candidate().await?;
    let name = printable_name(&candidate.name);
    if json {
        output::json(&candidate)?;
    } else {
        say!("\n{}", words!("linking.candidate", name = name, code = candidate.code));
        output::bytes(format!("{} ", words!("linking.type-here")).as_bytes())?;
    }
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed).context(words!("linking.unreadable"))?;
    let linked = linking.finish(&candidate, &typed).await?;
    output::answer(json, &linked, &words!("linking.done", name = name, device = linked.device))
}

/// Makes this device one of whoever shows the link.
pub(super) async fn join(
    profile: &ProfileArgs,
    link: &DeviceLink,
    device_name: &str,
    json: bool,
) -> anyhow::Result<()> {
    let place = profile.place()?;
    let show = |shown: CodeShown| {
        let shown = output::answer(json, &shown, &words!("linking.type-there", code = shown.code));
        shown.map_err(std::io::Error::other)
    };
    let (_, added) = joining::join(&place, link, device_name, reader(&language()), &show).await?;
    output::answer(json, &added, &words!("linking.joined", id = added.id, device = added.device))
}
