//! `momedo user`: registering, and managing one's devices.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use momedo_client::profile::Profile;
use momedo_client::receipts::{self, Receipts};
use momedo_client::{ClientError, addresses, devices, homes, key_backup, registration, watching};
use momedo_client_native::profiles::Place;
use momedo_protocol::api::DeviceJoined;
use momedo_protocol::device_link::DeviceLink;
use momedo_protocol::id::DeviceId;
use momedo_protocol::invite::InviteLink;

use crate::domain::host::TypedHost;

use super::naming::printable_name;
use super::{ProfileArgs, client_runtime, joining, language, manners, output, words};

/// The port that servers listen at unless their admins chose another one.
const DEFAULT_PORT: u16 = 4710;

/// Register, and manage your devices.
#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Join a server with an invite link
    Register {
        #[command(flatten)]
        profile: ProfileArgs,
        /// The whole link, with everything after the #
        #[arg(long)]
        invite: InviteLink,
        /// The name others see; the invite's by default
        #[arg(long)]
        name: Option<String>,
        /// What this device is called
        #[arg(long, default_value = "command line")]
        device_name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a device: makes a second profile that gets its own copy of every message
    ///
    /// If the server cannot be reached at the end, the same command again finishes it.
    ///
    /// On this machine, --profile is yours and --new-profile is made. On another one, --profile is made, with the
    /// link that `momedo user link-device` shows on the old device.
    #[command(group = clap::ArgGroup::new("how").required(true).args(["new_profile", "link"]))]
    AddDevice {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Folder for the new device's profile
        #[arg(long, value_name = "FOLDER")]
        new_profile: Option<PathBuf>,
        /// The whole link that the old device shows, with everything after the #
        #[arg(long)]
        link: Option<DeviceLink>,
        /// What the new device is called
        #[arg(long, default_value = "second device")]
        device_name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Choose which senders hear that their messages arrived and were read
    Receipts {
        #[command(flatten)]
        profile: ProfileArgs,
        /// all (of messages to you alone: that they arrived, and were read), announcements (authors of announcements,
        /// tasks and polls hear that you have read them) or off; without it, says how it is
        receipts: Option<Receipts>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show where your mail and keys are kept, and choose whether a second server keeps them, too
    ///
    /// Where your school or town runs two servers for each other, the second one is taken by itself, and used while the
    /// first does not answer.
    Homes {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Whether you want a second home if one is offered
        #[arg(long, value_name = "BOOL")]
        second: Option<bool>,
        /// Where your server is now, such as 192.168.1.9 or chat.school.example:4710; taken if it proves to be yours
        #[arg(long, value_name = "ADDRESS")]
        address: Option<TypedHost>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Joining(joining::Joining),
    #[command(flatten)]
    Manners(manners::Manners),
    /// List your devices
    Devices {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Print JSON, one device per line
        #[arg(long)]
        json: bool,
    },
    /// Revoke a lost device: it can neither read nor send any more, and all keys are made anew
    ///
    /// Your recovery code ends with it, whoever made it; make a new one afterwards. What joined through the revoked device
    /// is revoked as well, or kept: nothing happens before you said which.
    RevokeDevice {
        #[command(flatten)]
        profile: ProfileArgs,
        /// The device's ID, as `momedo user devices` shows it; several are revoked together
        #[arg(required = true, num_args = 1.., value_name = "DEVICE")]
        devices: Vec<DeviceId>,
        /// A device that joined through a revoked one and stays: it is yours
        #[arg(long, value_name = "DEVICE")]
        keep: Vec<DeviceId>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl User {
    pub(super) fn run(self) -> anyhow::Result<()> {
        client_runtime()?.block_on(self.act())
    }

    async fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Register { profile, invite, name, device_name, json } => {
                let place = profile.place()?;
                let joining = registration::Joining {
                    invite,
                    name: name.as_deref(),
                    device_name: &device_name,
                    language: &language(),
                };
                let (_, joined) = registration::register(&place, &joining, &output::progress).await?;
                if json {
                    return output::json(&serde_json::json!({
                        "id": joined.id,
                        "name": joined.name,
                        "fingerprint": joined.fingerprint,
                    }));
                }
                say!("{}", words!("user.registered", name = printable_name(&joined.name), id = joined.id));
                say!("{}", words!("user.fingerprint", fingerprint = joined.fingerprint.grouped()));
                Ok(())
            }
            Self::AddDevice { profile, link: Some(link), device_name, json, .. } => {
                joining::join(&profile, &link, &device_name, json).await
            }
            Self::AddDevice { profile, new_profile, device_name, json, .. } => {
                let new_profile = new_profile.context(words!("user.either"))?;
                let place = Place::new(&new_profile, profile.passphrase()?.as_deref());
                let opened = profile.open()?;
                let (new, device) =
                    devices::add(&opened, &place, &device_name, &language(), &output::progress).await?;
                if json {
                    return output::json(&serde_json::json!({
                        "id": new.id()?, "device": device, "name": device_name,
                    }));
                }
                say!("{}", words!("user.device-added", name = device_name, device = device));
                Ok(())
            }
            Self::Receipts { profile, receipts, json } => {
                let opened = profile.open()?;
                if let Some(receipts) = receipts {
                    receipts::set_receipts(&opened, receipts)?;
                }
                let receipts = receipts::receipts(&opened)?.word();
                if json {
                    return output::json(&serde_json::json!({ "receipts": receipts }));
                }
                say!("{receipts}");
                Ok(())
            }
            Self::Homes { profile, second, address, json } => {
                let opened = profile.open()?;
                if let Some(typed) = address {
                    let typed = TypedHost { port: typed.port.or(Some(DEFAULT_PORT)), ..typed };
                    addresses::take(&opened, &typed.to_string(), &language()).await?;
                }
                let mut session = opened.log_in(&language()).await?;
                match second {
                    Some(wanted) => {
                        homes::choose(&opened, &mut session, wanted, &output::progress).await?;
                    }
                    None => homes::follow(&opened, &mut session, &output::progress).await?,
                }
                show_homes(&opened, json)
            }
            Self::Devices { profile, json } => {
                let opened = profile.open()?;
                let mut session = opened.log_in(&language()).await?;
                devices::adopt_published_keys(&opened, &mut session).await?;
                let (list, states) = devices::list(&opened, &mut session).await?;
                watching::look(&opened, &mut session).await?;
                let backup = key_backup::state(&opened, &mut session).await?.map(|(state, _)| state);
                let words = match &backup {
                    Some(state) if state.slot.is_some() => "valid",
                    Some(_) => "ended",
                    None => "none",
                };
                for entry in &list.devices {
                    let state = states.iter().find(|state| state.id == entry.id());
                    let (waiting, online) = state.map_or((0, false), |state| (state.waiting, state.online));
                    if json {
                        output::json(&serde_json::json!({
                            "device": entry.id(), "name": entry.name, "waiting": waiting, "online": online,
                            "this": entry.id() == session.device,
                            "joined": state.and_then(|state| state.joined), "recovery_code": words,
                            "locked_out": state.is_none(),
                        }))?;
                    } else {
                        let joined = state.and_then(|state| state.joined);
                        let joined = joined.map(|joined| describe(&opened, &joined)).transpose()?;
                        let joined = joined.unwrap_or_default();
                        let locked_out = match state {
                            Some(_) => String::new(),
                            None => format!("  {}", words!("user.locked-out")),
                        };
                        let (name, waiting) =
                            (printable_name(&entry.name), words!("user.waiting", number = waiting));
                        say!("{}  {name}  {waiting}{joined}{locked_out}", entry.id());
                    }
                }
                let made_by = backup.as_ref().and_then(|state| state.slot.as_ref()?.made_by);
                if let Some(device) = made_by
                    && !json
                {
                    say!(
                        "{}",
                        words!("user.code-made-on", device = words::told(&watching::named(&opened, device)?))
                    );
                }
                let ended = backup.map(|state| watching::ended(&opened, &state)).transpose()?.flatten();
                say_ended(ended, json)?;
                Ok(())
            }
            Self::RevokeDevice { profile, devices: revoked, keep, json } => {
                let opened = profile.open()?;
                let ended = devices::revoke(&opened, &revoked, &keep, &language(), &output::progress).await?;
                for device in &revoked {
                    if json {
                        output::json(&serde_json::json!({ "device": device, "status": "revoked" }))?;
                    } else {
                        say!("{}", words!("user.revoked", device = device));
                    }
                }
                say_ended(ended, json)?;
                Ok(())
            }
            Self::Joining(command) => command.act().await,
            Self::Manners(command) => command.act().await,
        }
    }
}

/// Says that a new recovery code is needed; beside JSON it is a note.
fn say_ended(ended: Option<String>, json: bool) -> anyhow::Result<()> {
    match ended {
        Some(words) if json => note!("{}", words::told(&words)),
        Some(words) => say!("{}", words::told(&words)),
        None => {}
    }
    Ok(())
}

/// How a device joined, at the end of its line.
fn describe(profile: &Profile, joined: &DeviceJoined) -> Result<String, ClientError> {
    let how = words::told(&watching::how(profile, joined)?);
    Ok(format!("  {}", words!("user.joined", at = output::time(Some(joined.at)), how = printable_name(&how))))
}

/// Where a participant lives, first the home that is asked first.
fn show_homes(profile: &Profile, json: bool) -> anyhow::Result<()> {
    let first = profile.server()?;
    let second = profile.second_home()?;
    let wanted = profile.wants_second_home()?;
    if json {
        return output::json(&serde_json::json!({
            "first": { "server": first.fingerprint, "addresses": first.addresses },
            "second": second.map(|home| serde_json::json!({
                "server": home.server, "name": home.name, "addresses": home.addresses,
            })),
            "wanted": wanted,
        }));
    }
    say!("{}", words!("homes.first", addresses = first.addresses.join(", ")));
    match second {
        Some(home) => say!("{}", words!("homes.second", addresses = home.addresses.join(", "))),
        None if wanted => say!("{}", words!("homes.none-offered")),
        None => say!("{}", words!("homes.not-wanted")),
    }
    Ok(())
}
