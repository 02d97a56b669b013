//! `momedo user backup-keys|recover|link-device`, and the other side of it: a new device out of a recovery
//! code or a link.

use std::io::{BufRead, IsTerminal};

use anyhow::{Context, bail};
use clap::Subcommand;
use momedo_client::connection::ServerAddress;
use momedo_client::{devices, key_backup, linking, recovering, watching};
use momedo_protocol::api;
use momedo_protocol::device_link::{DeviceLink, LinkCode};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::invite::ServerLink;
use momedo_protocol::key_backup::{RECOVERY_WORDS, RecoveryCode};
use zeroize::Zeroizing;

use super::naming::printable_name;
use super::qr_code::{self, Look};
use super::{ProfileArgs, language, output, spoken, words};

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
                let opened = profile.open()?;
                let mut session = opened.log_in(&language()).await?;
                key_backup::delete(&opened, &mut session).await?;
                if json {
                    return output::json(&serde_json::json!({ "key_backup": "deleted" }));
                }
                say!("{}", words!("key-backup.removed"));
                Ok(())
            }
            Self::BackupKeys { profile, json, .. } => back_up(&profile, json).await,
            Self::Recover { profile, server, id, device_name, revoke_others, json } => {
                recover(&profile, server, id, &device_name, revoke_others, json).await
            }
            Self::LinkDevice { profile, json } => show_link(&profile, json).await,
        }
    }
}

async fn back_up(profile: &ProfileArgs, json: bool) -> anyhow::Result<()> {
    let opened = profile.open()?;
    let mut session = opened.log_in(&language()).await?;
    let code = key_backup::make(&opened, &mut session).await?;
    let address = opened.server()?;
    let server = ServerLink {
        address: address.addresses.first().cloned().unwrap_or_default(),
        server: address.fingerprint,
    };
    // A reader who is gone has not seen enough here: the earlier words open nothing any more.
    show_words(session.id, &code, &server, json).map_err(|error| {
        anyhow::anyhow!(words!("key-backup.not-shown", reason = super::said(&error, spoken())))
    })
}

fn show_words(id: ParticipantId, code: &RecoveryCode, server: &ServerLink, json: bool) -> anyhow::Result<()> {
    let words = code.words();
    if json {
        return output::json(&serde_json::json!({ "id": id, "words": *words, "server": server.to_string() }));
    }
    say!("{}\n", words!("key-backup.write-down"));
    for (index, word) in words.split(' ').enumerate() {
        say!("{:>4}. {word}", index + 1);
    }
    say!("\n{}", words!("key-backup.id", id = id));
    say!("{}", words!("key-backup.server", server = server));
    Ok(())
}

async fn show_state(profile: &ProfileArgs, json: bool) -> anyhow::Result<()> {
    let opened = profile.open()?;
    let mut session = opened.log_in(&language()).await?;
    let state = key_backup::state(&opened, &mut session).await?;
    if json {
        return output::json(&match &state {
            None => serde_json::json!({ "key_backup": null }),
            Some((state, renewable)) => {
                let slot = state.slot.as_ref().map(|slot| {
                    serde_json::json!({
                        "version": state.version, "bytes": slot.bytes, "stored_at": slot.stored_at,
                        "fetched_at": slot.fetched_at, "renewable": renewable,
                        "made_at": slot.made_at, "made_by": slot.made_by,
                    })
                });
                serde_json::json!({ "key_backup": slot, "ended": state.ended })
            }
        });
    }
    match state {
        None => say!("{}", words!("key-backup.none")),
        Some((api::KeyBackupState { version, slot: Some(slot), .. }, renewable)) => {
            say!("{}", words!("key-backup.is-there", version = version));
            if let Some(device) = slot.made_by {
                say!(
                    "{}",
                    words!("key-backup.made-on", device = words::told(&watching::named(&opened, device)?))
                );
            }
            if slot.fetched_at.is_some() {
                say!("{}", words!("key-backup.fetched"));
            }
            if !renewable {
                say!("{}", words!("key-backup.not-renewable"));
            }
        }
        Some((state, _)) => say!("{}", words::told(&watching::ended(&opened, &state)?.unwrap_or_default())),
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
        let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).count();
        if words >= RECOVERY_WORDS || text.len() > 4096 {
            break;
        }
    }
    Ok(text.parse()?)
}

async fn recover(
    profile: &ProfileArgs,
    server: ServerLink,
    id: ParticipantId,
    device_name: &str,
    revoke_others: bool,
    json: bool,
) -> anyhow::Result<()> {
    let place = profile.place()?;
    let language = language();
    let recovering = recovering::Recovering {
        server: ServerAddress { addresses: vec![server.address], fingerprint: server.server },
        id,
        code: read_code()?,
        device_name,
        language: &language,
    };
    let (opened, mut session, recovered) = recovering::recover(&place, recovering, &output::progress).await?;
    let revokes = revoke_others && !recovered.others.is_empty();
    if revokes {
        devices::revoke_others(&opened, &mut session, &output::progress)
            .await
            .with_context(|| words!("recover.not-revoked", id = id))?;
    }
    let name = &recovered.name;
    if json {
        let listed = recovered
            .others
            .iter()
            .map(|(device, name)| serde_json::json!({ "device": device, "name": name, "revoked": revokes }));
        return output::json(&serde_json::json!({
            "id": id, "name": name, "device": recovered.device, "others": listed.collect::<Vec<_>>(),
        }));
    }
    say!("{}", words!("recover.done", name = printable_name(name), id = id, device = recovered.device));
    if revokes {
        say!("{}", words!("recover.revoked"));
        say!("{}", words!("recover.words-ended", advice = words::told(watching::NEW_CODE)));
    } else if !recovered.others.is_empty() {
        say!("{}", words!("recover.others"));
        for (device, name) in &recovered.others {
            say!(
                "    momedo user revoke-device --profile {} {device}    # {}",
                profile.profile.display(),
                printable_name(name)
            );
        }
    }
    Ok(())
}

fn print_qr_code(text: &str) -> anyhow::Result<()> {
    say!("{}", qr_code::draw(text, Look::of_standard_output())?);
    Ok(())
}

async fn show_link(profile: &ProfileArgs, json: bool) -> anyhow::Result<()> {
    let opened = profile.open()?;
    let mut session = opened.log_in(&language()).await?;
    let (link, time) = linking::open(&opened, &mut session).await?;
    let text = Zeroizing::new(link.to_string());
    if json {
        output::json(&serde_json::json!({ "link": *text, "expires_in": time.as_secs() }))?;
    } else {
        print_qr_code(&text)?;
        say!("{}", *text);
        say!("\n{}", words!("linking.how"));
        say!("{}", words!("linking.two-minutes"));
    }
    let candidate = linking::await_candidate(&mut session, &link).await?;
    if json {
        output::json(&serde_json::json!({
            "code": candidate.code.to_string(), "device": candidate.device(), "name": candidate.name,
        }))?;
    } else {
        let name = printable_name(&candidate.name);
        say!("\n{}", words!("linking.candidate", name = name, code = candidate.code));
        output::bytes(format!("{} ", words!("linking.type-here")).as_bytes())?;
    }
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed).context(words!("linking.unreadable"))?;
    if typed.trim().parse::<LinkCode>().ok() != Some(candidate.code) {
        linking::refuse(&mut session, &link).await?;
        bail!(words!("linking.codes-differ"));
    }
    let device = linking::accept(&opened, &mut session, &link, &candidate).await?;
    if json {
        return output::json(&serde_json::json!({ "device": device, "status": "linked" }));
    }
    say!("{}", words!("linking.done", name = printable_name(&candidate.name), device = device));
    Ok(())
}

/// Makes this device one of whoever shows the link.
pub(super) async fn join(
    profile: &ProfileArgs,
    link: &DeviceLink,
    device_name: &str,
    json: bool,
) -> anyhow::Result<()> {
    let place = profile.place()?;
    let show = |code: LinkCode| {
        let shown = if json {
            output::line(format_args!("{}", serde_json::json!({ "code": code.to_string() })))
        } else {
            output::line(format_args!("{}", words!("linking.type-there", code = code)))
        };
        shown.map_err(std::io::Error::other)
    };
    let (new, device) =
        linking::join(&place, link, device_name, &language(), &output::progress, &show).await?;
    if json {
        return output::json(&serde_json::json!({ "id": new.id()?, "device": device, "name": device_name }));
    }
    say!("{}", words!("linking.joined", id = new.id()?, device = device));
    Ok(())
}
