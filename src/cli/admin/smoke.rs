//! `momedo admin smoke`: the gateway for the Smoke app.

use clap::Subcommand;

use super::Common;
use crate::service::administration::{AdminRequest, SmokeRequest};
use crate::service::smoke::neighbours::NeighbourKind;

/// The gateway for the Smoke app: participants, ozones, listeners and neighbours.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Smoke {
    /// Show how many clients are connected, and what the rules allow
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Participants, by Smoke ID
    #[command(subcommand)]
    Participant(Participant),
    /// Ozones: words that clients type so that their mail is kept here
    #[command(subcommand)]
    Ozone(Ozone),
    /// Listeners for Smoke clients alone
    #[command(subcommand)]
    Listener(Listener),
    /// SmokeStack and Spot-On-Lite servers this one connects to
    #[command(subcommand)]
    Neighbour(Neighbour),
}

/// Participants, by Smoke ID.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Participant {
    /// List them
    List {
        #[command(flatten)]
        common: Common,
        /// Part of a name or ID
        #[arg(long, default_value = "")]
        search: String,
    },
    /// Add one
    Add {
        #[command(flatten)]
        common: Common,
        /// The Smoke ID, as the app shows it
        smoke_id: String,
        /// The person's name; without it the ID
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Rename one, or say whether keys that others pass on are taken for it
    Change {
        #[command(flatten)]
        common: Common,
        /// The Smoke ID
        smoke_id: String,
        /// The new name
        #[arg(long)]
        name: Option<String>,
        /// Take keys without their owner's signature
        #[arg(long, value_name = "true|false")]
        accept_unsigned: Option<bool>,
    },
    /// Bind the keys that wait under an alias; compare them with their owner first
    Approve {
        #[command(flatten)]
        common: Common,
        /// The Smoke ID
        smoke_id: String,
    },
    /// Forget the keys under an ID, so that its owner can publish others
    ForgetKeys {
        #[command(flatten)]
        common: Common,
        /// The Smoke ID
        smoke_id: String,
    },
    /// Remove one, with keys and waiting messages
    Remove {
        #[command(flatten)]
        common: Common,
        /// The Smoke ID
        smoke_id: String,
    },
}

/// Ozones: words that clients type so that their mail is kept here.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Ozone {
    /// List them
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Add one
    Add {
        #[command(flatten)]
        common: Common,
        /// The words, upper and lower case as clients are to type them
        text: String,
    },
    /// Remove one; messages that wait stay
    Remove {
        #[command(flatten)]
        common: Common,
        /// The words, or # and the number in the list
        ozone: String,
    },
}

/// Listeners for Smoke clients alone.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Listener {
    /// List them
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Add one; port 0 takes a free one
    Add {
        #[command(flatten)]
        common: Common,
        /// Address and port, such as 0.0.0.0:4711
        address: String,
        /// Let in only clients that prove to hold keys that are registered here
        #[arg(long)]
        private: bool,
        /// Most clients at once
        #[arg(long, default_value_t = crate::service::smoke::listeners::DEFAULT_MAX_CLIENTS, value_name = "N")]
        max_clients: u64,
    },
    /// Start one that was stopped
    Start {
        #[command(flatten)]
        common: Common,
        /// Address and port
        address: String,
    },
    /// Stop one; connections it took go on
    Stop {
        #[command(flatten)]
        common: Common,
        /// Address and port
        address: String,
    },
    /// Remove one
    Remove {
        #[command(flatten)]
        common: Common,
        /// Address and port
        address: String,
    },
}

/// SmokeStack and Spot-On-Lite servers this one connects to.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Neighbour {
    /// List them
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Add one, and connect to it
    Add {
        #[command(flatten)]
        common: Common,
        /// Host and port, such as smoke.example.org:4710
        address: String,
        /// What kind of server it is
        #[arg(long, value_enum, default_value_t = NeighbourKind::SmokeStack)]
        kind: NeighbourKind,
    },
    /// Connect to one that was stopped
    Start {
        #[command(flatten)]
        common: Common,
        /// Host and port
        address: String,
    },
    /// Disconnect from one
    Stop {
        #[command(flatten)]
        common: Common,
        /// Host and port
        address: String,
    },
    /// Forget its certificate: whichever it shows next is the right one
    ForgetCertificate {
        #[command(flatten)]
        common: Common,
        /// Host and port
        address: String,
    },
    /// Remove one
    Remove {
        #[command(flatten)]
        common: Common,
        /// Host and port
        address: String,
    },
}

const LISTENER_FIELDS: &[&str] = &["address", "private", "max_clients", "state", "reason"];
const NEIGHBOUR_FIELDS: &[&str] = &["address", "kind", "state", "reason"];
const PARTICIPANT_FIELDS: &[&str] = &["id", "name", "keys", "refusal", "waiting"];

impl Smoke {
    pub(super) fn run(self) -> anyhow::Result<()> {
        use SmokeRequest as R;
        let (common, request, fields): (Common, R, &[&str]) = match self {
            Self::Status { common } => {
                (common, R::Status, &["connected", "participants", "shared_port", "share_ids"])
            }
            Self::Participant(command) => command.request(),
            Self::Ozone(command) => command.request(),
            Self::Listener(command) => command.request(),
            Self::Neighbour(command) => command.request(),
        };
        common.print(AdminRequest::Smoke(request), fields)
    }
}

impl Participant {
    fn request(self) -> (Common, SmokeRequest, &'static [&'static str]) {
        use SmokeRequest as R;
        match self {
            Self::List { common, search } => (common, R::Participants { search }, PARTICIPANT_FIELDS),
            Self::Add { common, smoke_id: id, name } => {
                (common, R::AddParticipant { id, name }, PARTICIPANT_FIELDS)
            }
            Self::Change { common, smoke_id: id, name, accept_unsigned } => {
                (common, R::ChangeParticipant { id, name, accepts_unsigned: accept_unsigned }, &[])
            }
            Self::Approve { common, smoke_id: id } => (common, R::ApproveKeys { id }, &[]),
            Self::ForgetKeys { common, smoke_id: id } => (common, R::ForgetKeys { id }, &[]),
            Self::Remove { common, smoke_id: id } => (common, R::RemoveParticipant { id }, &[]),
        }
    }
}

impl Ozone {
    fn request(self) -> (Common, SmokeRequest, &'static [&'static str]) {
        use SmokeRequest as R;
        match self {
            Self::List { common } => (common, R::Ozones, &["number", "ozone"]),
            Self::Add { common, text } => (common, R::AddOzone { name: text }, &["number", "ozone"]),
            Self::Remove { common, ozone } => (common, R::RemoveOzone { which: ozone }, &[]),
        }
    }
}

impl Listener {
    fn request(self) -> (Common, SmokeRequest, &'static [&'static str]) {
        use SmokeRequest as R;
        let (common, request) = match self {
            Self::List { common } => (common, R::Listeners),
            Self::Add { common, address, private, max_clients } => {
                (common, R::AddListener { address, is_private: private, max_clients })
            }
            Self::Start { common, address } => (common, R::StartListener { address }),
            Self::Stop { common, address } => (common, R::StopListener { address }),
            Self::Remove { common, address } => (common, R::RemoveListener { address }),
        };
        (common, request, LISTENER_FIELDS)
    }
}

impl Neighbour {
    fn request(self) -> (Common, SmokeRequest, &'static [&'static str]) {
        use SmokeRequest as R;
        let (common, request) = match self {
            Self::List { common } => (common, R::Neighbours),
            Self::Add { common, address, kind } => (common, R::AddNeighbour { address, kind }),
            Self::Start { common, address } => (common, R::StartNeighbour { address }),
            Self::Stop { common, address } => (common, R::StopNeighbour { address }),
            Self::ForgetCertificate { common, address } => (common, R::ForgetCertificate { address }),
            Self::Remove { common, address } => (common, R::RemoveNeighbour { address }),
        };
        (common, request, NEIGHBOUR_FIELDS)
    }
}
