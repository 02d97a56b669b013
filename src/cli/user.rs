//! `momedo user`: registering, and managing one's devices.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use momedo_client::commands::user::HomesShown;
use momedo_client::commands::{devices, user};
use momedo_client::profile::Profile;
use momedo_client::receipts::Receipts;
use momedo_client::{ClientError, watching};
use momedo_client_native::profiles::Place;
use momedo_protocol::api::DeviceJoined;
use momedo_protocol::device_link::DeviceLink;
use momedo_protocol::id::DeviceId;
use momedo_protocol::invite::InviteLink;

use crate::domain::host::TypedHost;

use super::naming::printable_name;
use super::{ProfileArgs, client_runtime, joining, language, manners, output, reader, words};

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
        let language = language();
        let reader = reader(&language);
        match self {
            Self::Register { profile, invite, name, device_name, json } => {
                let place = profile.place()?;
                let (_, joined) =
                    user::register(&place, invite, name.as_deref(), &device_name, reader).await?;
                if json {
                    return output::json(&joined);
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
                let (_, added) = devices::add(&profile.open()?, &place, &device_name, reader).await?;
                let text = words!("user.device-added", name = device_name, device = added.device);
                output::answer(json, &added, &text)
            }
            Self::Receipts { profile, receipts, json } => {
                let chosen = user::receipts(&profile.open()?, receipts)?;
                output::answer(json, &chosen, chosen.receipts)
            }
            Self::Homes { profile, second, address, json } => {
                let typed =
                    address.map(|typed| TypedHost { port: typed.port.or(Some(DEFAULT_PORT)), ..typed });
                let address = typed.map(|typed| typed.to_string());
                let homes = user::homes(&profile.open()?, second, address.as_deref(), reader).await?;
                show_homes(&homes, json)
            }
            Self::Devices { profile, json } => {
                let opened = profile.open()?;
                show_devices(&opened, devices::list(&opened, reader).await?, json)
            }
            Self::RevokeDevice { profile, devices, keep, json } => {
                let revoked = devices::revoke(&profile.open()?, &devices, &keep, reader).await?;
                for device in &revoked.devices {
                    output::answer(json, device, &words!("user.revoked", device = device.device))?;
                }
                say_ended(revoked.code_ended, json)
            }
            Self::Joining(command) => command.act().await,
            Self::Manners(command) => command.act().await,
        }
    }
}

fn show_devices(profile: &Profile, list: devices::Devices, json: bool) -> anyhow::Result<()> {
    for device in &list.devices {
        if json {
            output::json(device)?;
            continue;
        }
        let joined = device.joined.map(|joined| describe(profile, &joined)).transpose()?.unwrap_or_default();
        let locked_out = match device.locked_out {
            true => format!("  {}", words!("user.locked-out")),
            false => String::new(),
        };
        let (name, waiting) = (printable_name(&device.name), words!("user.waiting", number = device.waiting));
        say!("{}  {name}  {waiting}{joined}{locked_out}", device.device);
    }
    if let Some(device) = list.code_made_by
        && !json
    {
        let device = words::told(&watching::named(profile, device)?);
        say!("{}", words!("user.code-made-on", device = device));
    }
    say_ended(list.code_ended, json)
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
fn show_homes(homes: &HomesShown, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(homes);
    }
    say!("{}", words!("homes.first", addresses = homes.first.addresses.join(", ")));
    match &homes.second {
        Some(home) => say!("{}", words!("homes.second", addresses = home.addresses.join(", "))),
        None if homes.wanted => say!("{}", words!("homes.none-offered")),
        None => say!("{}", words!("homes.not-wanted")),
    }
    Ok(())
}
