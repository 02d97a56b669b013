//! `momedo admin autostart`: for whoever runs the command, so it asks no server.

use clap::Subcommand;

use super::{Common, output};
use crate::surroundings::autostart::{self, Autostart as State};

/// Start the server when you log in to this computer.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Autostart {
    /// Switch it on, for this program and this data folder
    On {
        #[command(flatten)]
        common: Common,
    },
    /// Switch it off
    Off {
        #[command(flatten)]
        common: Common,
    },
    /// Say whether it is on
    Status {
        #[command(flatten)]
        common: Common,
    },
}

impl Autostart {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (common, on) = match self {
            Self::On { common } => (common, Some(true)),
            Self::Off { common } => (common, Some(false)),
            Self::Status { common } => (common, None),
        };
        let data = common.data.path()?;
        let state = match on {
            Some(on) => autostart::switch(&data, on)?,
            None => autostart::status(&data)?,
        };
        if common.json {
            return output::json(&state);
        }
        match state {
            State::On { file } => say!("{}", words!("start.on", file = file)),
            State::Other { file } => say!("{}", words!("start.other", file = file)),
            State::Off => say!("{}", words!("start.off")),
            State::Service => say!("{}", words!("start.service")),
            State::Unavailable => say!("{}", words!("start.unavailable")),
        }
        Ok(())
    }
}
