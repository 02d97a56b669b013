//! `momedo admin neighbour`.

use clap::{Args, Subcommand};

use super::Common;
use crate::domain::role::Role;
use crate::service::administration::{AdminRequest, NeighbourRequest};
use crate::service::neighbours::contracts::ContractChange;

/// Other servers this one exchanges mail with. ID is the server's fingerprint, or its first letters.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Neighbour {
    /// Make a link for the admin of another server; it can be used once
    Invite {
        #[command(flatten)]
        common: Common,
    },
    /// Follow a link from the admin of another server, which confirms this side
    Add {
        #[command(flatten)]
        common: Common,
        /// The link, as it was copied
        link: String,
    },
    /// List servers found in the local network; what they say of themselves is not proved
    Nearby {
        #[command(flatten)]
        common: Common,
    },
    /// Ask a server found in the local network, which confirms this side; compare the words first
    Ask {
        #[command(flatten)]
        common: Common,
        /// Which
        id: String,
    },
    /// List neighbours: how they stand, and what waits for them
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Confirm a server whose admin followed a link from here, or asked from nearby; compare the words first
    Confirm {
        #[command(flatten)]
        common: Common,
        /// Which
        id: String,
    },
    /// Say who may talk across, and whether mail of others may pass; until then nothing does
    Allow(Allow),
    /// Exchange nothing for now; what is queued waits
    Pause {
        #[command(flatten)]
        common: Common,
        /// Which
        id: String,
    },
    /// End a pause or a block
    Resume {
        #[command(flatten)]
        common: Common,
        /// Which
        id: String,
    },
    /// Block a server; what was queued for it is reported to its senders as undeliverable
    Block {
        #[command(flatten)]
        common: Common,
        /// Which
        id: String,
    },
    /// Forget a server; what was queued for it is reported to its senders as undeliverable
    Remove {
        #[command(flatten)]
        common: Common,
        /// Which
        id: String,
    },
    /// Take nothing from a participant of another server, and bring them nothing
    BlockParticipant {
        #[command(flatten)]
        common: Common,
        /// The participant's ID
        participant: String,
    },
    /// Take mail from a participant of another server again
    UnblockParticipant {
        #[command(flatten)]
        common: Common,
        /// The participant's ID
        participant: String,
    },
    /// List participants of other servers that are blocked
    BlockedParticipants {
        #[command(flatten)]
        common: Common,
    },
    /// Become the first home of everybody for whom this server stands in, when their first home is lost
    ///
    /// Their mail and keys are here already, so nothing is asked of them. Not possible while the other server answers.
    /// Should it come back, its admin has to accept this there; it is their second home from then on.
    TakeOver {
        #[command(flatten)]
        common: Common,
        /// The lost server
        id: String,
    },
    /// Accept that a second home took this server's participants over while this one was lost
    AcceptTakeOver {
        #[command(flatten)]
        common: Common,
        /// The server that took over
        id: String,
    },
    /// Follow a neighbour's log of key changes anew, after its admin explained why it does not go on where it was
    ///
    /// A server that was restored from a backup has forgotten the newest entries. A server that shows different keys
    /// to different people has such a log, too: ask its admin by telephone, and keep what `list --json` shows.
    AcceptLog {
        #[command(flatten)]
        common: Common,
        /// Which
        id: String,
    },
    /// Decide which of two servers is home to an ID that both claim; the overview names such IDs
    Settle {
        #[command(flatten)]
        common: Common,
        /// The participant's ID
        participant: String,
        /// The server ID of the right home
        home: String,
    },
}

/// What may pass between this server and its neighbours.
#[derive(Debug, Args)]
pub(in crate::cli) struct Allow {
    #[command(flatten)]
    common: Common,
    /// One neighbour; without it, all there are now
    id: Option<String>,
    /// Everybody, in both directions, and mail of others may pass
    #[arg(long, conflicts_with_all = ["nothing", "roles", "classes"])]
    all: bool,
    /// Nobody, and mail of others may not pass
    #[arg(long, conflicts_with_all = ["roles", "classes", "hop_through"])]
    nothing: bool,
    /// These roles, instead of those allowed so far; may be given more than once
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,
    /// These classes, instead of those allowed so far; may be given more than once
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<String>,
    /// Whether mail of others may pass
    #[arg(long, value_name = "BOOL")]
    hop_through: Option<bool>,
    /// Envelopes the neighbour may bring per minute
    #[arg(long, value_name = "NUMBER")]
    per_minute: Option<u32>,
    /// How much may wait, in MiB
    #[arg(long, value_name = "MIB")]
    queue_mib: Option<u64>,
    /// Whether each of the two servers keeps mail and keys for the other's participants, so that either may fail
    #[arg(long, value_name = "BOOL")]
    second_home: Option<bool>,
}

impl Allow {
    fn change(&self) -> ContractChange {
        let restricts = !self.roles.is_empty() || !self.classes.is_empty();
        let everybody = if self.all { Some(true) } else { (self.nothing || restricts).then_some(false) };
        ContractChange {
            everybody,
            roles: (self.nothing || !self.roles.is_empty()).then(|| self.roles.clone()),
            classes: (self.nothing || !self.classes.is_empty()).then(|| self.classes.clone()),
            hop_through: if self.all || self.nothing { Some(self.all) } else { self.hop_through },
            per_minute: self.per_minute,
            queue_mib: self.queue_mib,
            second_home: self.second_home,
        }
    }
}

impl Neighbour {
    pub(super) fn run(self) -> anyhow::Result<()> {
        use NeighbourRequest as R;
        const LISTED: &[&str] = &["id", "name", "state", "waiting", "words"];
        let (common, request, fields): (Common, R, &[&str]) = match self {
            Self::Invite { common } => (common, R::Invite, &["link"]),
            Self::Add { common, link } => (common, R::Add { link }, LISTED),
            Self::Nearby { common } => (common, R::Nearby, &["id", "name", "address", "words"]),
            Self::Ask { common, id } => (common, R::Ask { id }, LISTED),
            Self::List { common } => (common, R::List, LISTED),
            Self::Confirm { common, id } => (common, R::Confirm { id }, LISTED),
            Self::Allow(allow) => {
                let change = allow.change();
                (allow.common, R::Allow { id: allow.id, change }, LISTED)
            }
            Self::Pause { common, id } => (common, R::Pause { id }, LISTED),
            Self::Resume { common, id } => (common, R::Resume { id }, LISTED),
            Self::Block { common, id } => (common, R::Block { id }, LISTED),
            Self::Remove { common, id } => (common, R::Remove { id }, &[]),
            Self::BlockParticipant { common, participant } => {
                (common, R::BlockParticipant { participant, blocked: true }, &[])
            }
            Self::UnblockParticipant { common, participant } => {
                (common, R::BlockParticipant { participant, blocked: false }, &[])
            }
            Self::BlockedParticipants { common } => (common, R::BlockedParticipants, &["id"]),
            Self::TakeOver { common, id } => (common, R::TakeOver { id }, &["participants"]),
            Self::AcceptTakeOver { common, id } => (common, R::AcceptTakeOver { id }, &["participants"]),
            Self::AcceptLog { common, id } => (common, R::AcceptLog { id }, &[]),
            Self::Settle { common, participant, home } => (common, R::Settle { participant, home }, &[]),
        };
        common.print(AdminRequest::Neighbour(request), fields)
    }
}
