//! `momedo user backup-keys|recover|link-device`, and the other side of it: a new device out of a recovery
//! code or a link.

use std::io::{BufRead, IsTerminal};

use anyhow::{Context, bail};
use clap::Subcommand;
use momedo_client::connection::ServerAddress;
use momedo_client::{devices, key_backup, linking, watching};
use momedo_protocol::api;
use momedo_protocol::device_link::{DeviceLink, LinkCode};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::invite::ServerLink;
use momedo_protocol::key_backup::{RECOVERY_WORDS, RecoveryCode};
use zeroize::Zeroizing;

use super::qr_code::{self, Look};
use super::{ProfileArgs, language, output};

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
                say!("the key backup is removed");
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
    show_words(session.id, &code, &server, json)
        .map_err(|error| anyhow::anyhow!("the new words were not shown ({error:#}): make others once more"))
}

fn show_words(id: ParticipantId, code: &RecoveryCode, server: &ServerLink, json: bool) -> anyhow::Result<()> {
    let words = code.words();
    if json {
        return output::json(&serde_json::json!({ "id": id, "words": *words, "server": server.to_string() }));
    }
    say!("Write this down. It is shown only now.\n");
    for (index, word) in words.split(' ').enumerate() {
        say!("{:>4}. {word}", index + 1);
    }
    say!("\nID      {id}");
    say!("Server  {server}");
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
        None => say!("there is no key backup: make one with momedo user backup-keys"),
        Some((api::KeyBackupState { version, slot: Some(slot), .. }, renewable)) => {
            say!("there is a key backup, version {version}");
            if let Some(device) = slot.made_by {
                say!("its recovery code was made on {}", watching::named(&opened, device)?);
            }
            if slot.fetched_at.is_some() {
                say!("somebody has fetched it with the recovery code");
            }
            if !renewable {
                say!("this device cannot renew it: receive messages first, or make a new one");
            }
        }
        Some((state, _)) => say!("{}", watching::ended(&opened, &state)?.unwrap_or_default()),
    }
    Ok(())
}

/// Reads lines until there are as many words as a code has.
fn read_code() -> anyhow::Result<RecoveryCode> {
    if std::io::stdin().is_terminal() {
        note!("The {RECOVERY_WORDS} words of the recovery code, in one line or several:");
    }
    let mut text = Zeroizing::new(String::new());
    for line in std::io::stdin().lock().lines() {
        let line = Zeroizing::new(line.context("cannot read the words from standard input")?);
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
    let passphrase = profile.passphrase()?;
    let language = language();
    let recovering = key_backup::Recovering {
        server: ServerAddress { addresses: vec![server.address], fingerprint: server.server },
        id,
        code: read_code()?,
        device_name,
        passphrase: passphrase.as_deref(),
        language: &language,
    };
    let (opened, mut session, recovered) =
        key_backup::recover(&profile.profile, recovering, &output::progress).await?;
    let revokes = revoke_others && !recovered.others.is_empty();
    if revokes {
        devices::revoke_others(&opened, &mut session, &output::progress).await.with_context(|| {
            format!(
                "you are back as {id}, but the other devices were not revoked; try momedo user revoke-device"
            )
        })?;
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
    say!("You are {name} with the ID {id} again, on the device {}", recovered.device);
    if revokes {
        say!("your other devices are revoked; your keys are new");
        say!("The words you typed open nothing any more. {}", watching::NEW_CODE);
    } else if !recovered.others.is_empty() {
        say!("If one of these is lost, revoke it:");
        for (device, name) in &recovered.others {
            say!(
                "    momedo user revoke-device --profile {} {device}    # {name}",
                profile.profile.display()
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
        say!("\nOn the new device: momedo user add-device --profile NEW --link LINK");
        say!("The link holds for two minutes. Show it to nobody else.");
    }
    let candidate = linking::await_candidate(&mut session, &link).await?;
    if json {
        output::json(&serde_json::json!({
            "code": candidate.code.to_string(), "device": candidate.device(), "name": candidate.name,
        }))?;
    } else {
        let name = candidate.name.as_str();
        say!("\n{name} wants to become a device of yours. Code: {}", candidate.code);
        output::bytes(b"Type the code that the new device shows, or nothing if it shows another one: ")?;
    }
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed).context("cannot read the code from standard input")?;
    if typed.trim().parse::<LinkCode>().ok() != Some(candidate.code) {
        linking::refuse(&mut session, &link).await?;
        bail!(
            "the codes differ: nothing was handed over; if you typed it right, somebody else used the link"
        );
    }
    let device = linking::accept(&opened, &mut session, &link, &candidate).await?;
    if json {
        return output::json(&serde_json::json!({ "device": device, "status": "linked" }));
    }
    say!("linked {} ({device})", candidate.name);
    Ok(())
}

/// Makes this device one of whoever shows the link.
pub(super) async fn join(
    profile: &ProfileArgs,
    link: &DeviceLink,
    device_name: &str,
    json: bool,
) -> anyhow::Result<()> {
    let passphrase = profile.passphrase()?;
    let show = |code: LinkCode| {
        let shown = if json {
            output::line(format_args!("{}", serde_json::json!({ "code": code.to_string() })))
        } else {
            output::line(format_args!("Type this code on the other device: {code}"))
        };
        shown.map_err(std::io::Error::other)
    };
    let (new, device) = linking::join(
        &profile.profile,
        link,
        device_name,
        passphrase.as_deref(),
        &language(),
        &output::progress,
        &show,
    )
    .await?;
    if json {
        return output::json(&serde_json::json!({ "id": new.id()?, "device": device, "name": device_name }));
    }
    say!("this is now a device of {} ({device})", new.id()?);
    Ok(())
}
