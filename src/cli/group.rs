//! `momedo group`: making groups and changing who belongs to them.

use clap::Subcommand;
use momedo_client::groups::membership::Membership;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Action, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::group::link::GroupLink;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;

use super::naming::{self, printable_name};
use super::{ProfileArgs, client_runtime, language, output, words};

/// Make groups, and change who belongs to them.
#[derive(Debug, Subcommand)]
pub(super) enum Group {
    /// Make a group; you moderate it
    Create {
        #[command(flatten)]
        common: Common,
        /// What it is called; the server sees the name
        #[arg(long)]
        name: String,
        /// Who may write: everyone or moderators
        #[arg(long, default_value = "everyone")]
        posting: Posting,
        /// Who may join without being added: open (anyone here) or closed
        #[arg(long, default_value = "closed")]
        access: Access,
        /// symmetric (one key per epoch, for every size) or asymmetric (sealed to each member anew)
        #[arg(long, default_value = "symmetric")]
        encryption: Encryption,
    },
    /// List your groups, and the open ones you could join
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Show a group's rules and its last change
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// List who belongs to a group
    Members {
        #[command(flatten)]
        which: Which,
    },
    /// Add people at once; after a reset of somebody's keys, add them again
    Add {
        #[command(flatten)]
        which: Which,
        /// Their IDs
        #[arg(required = true)]
        ids: Vec<ParticipantId>,
        /// What they may do: member or moderator
        #[arg(long, default_value = "member")]
        role: GroupRole,
    },
    /// Remove people: they get nothing any more, and the next message has a new key
    Remove {
        #[command(flatten)]
        which: Which,
        /// Their IDs
        #[arg(required = true)]
        ids: Vec<ParticipantId>,
    },
    /// Change somebody's role
    Role {
        #[command(flatten)]
        which: Which,
        /// Whose
        id: ParticipantId,
        /// member or moderator
        role: GroupRole,
    },
    /// Change a group's name or rules
    Set {
        #[command(flatten)]
        which: Which,
        /// The new name
        #[arg(long)]
        name: Option<String>,
        /// Who may write: everyone or moderators
        #[arg(long)]
        posting: Option<Posting>,
        /// Who may join without being added: open or closed
        #[arg(long)]
        access: Option<Access>,
    },
    /// Make a link that lets people join, in place of any other; or end it
    Link {
        #[command(flatten)]
        which: Which,
        /// How many may join with it
        #[arg(long, default_value_t = 30)]
        uses: u32,
        /// End the link instead
        #[arg(long)]
        end: bool,
    },
    /// Join an open group by its ID, or any group by its link
    Join {
        #[command(flatten)]
        common: Common,
        /// The open group's ID
        #[arg(long, required_unless_present = "link")]
        group: Option<GroupId>,
        /// The link
        #[arg(long, conflicts_with = "group")]
        link: Option<GroupLink>,
    },
    /// Leave a group
    Leave {
        #[command(flatten)]
        which: Which,
    },
    /// Make a new group key now, as when the current one may be known to others
    NewKey {
        #[command(flatten)]
        which: Which,
    },
    /// End a group: nobody writes any more
    Archive {
        #[command(flatten)]
        which: Which,
    },
}

/// What every command of groups takes.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    #[command(flatten)]
    profile: ProfileArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which group a command is about.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    #[command(flatten)]
    common: Common,
    /// The group's ID, such as 7QK0M3ZD9XN4
    #[arg(long)]
    group: GroupId,
}

impl Group {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let common = match &self {
            Self::Create { common, .. } | Self::List { common } | Self::Join { common, .. } => common,
            Self::Show { which }
            | Self::Members { which }
            | Self::Add { which, .. }
            | Self::Remove { which, .. }
            | Self::Role { which, .. }
            | Self::Set { which, .. }
            | Self::Link { which, .. }
            | Self::Leave { which }
            | Self::NewKey { which }
            | Self::Archive { which } => &which.common,
        };
        let (profile, json) = (common.profile.open()?, common.json);
        client_runtime()?.block_on(async {
            let membership = Membership::begin(&profile, &language(), &output::progress).await?;
            self.act(membership, json).await
        })
    }

    async fn act(self, mut groups: Membership<'_>, json: bool) -> anyhow::Result<()> {
        match self {
            Self::Create { name, posting, access, encryption, .. } => {
                let state = groups.create(Settings { name, posting, access }, encryption).await?;
                done(&state, json, "group.made")
            }
            Self::List { .. } => {
                let listed = groups.list().await?;
                let own = listed.groups.iter().map(|group| (group, true));
                for (group, member) in own.chain(listed.open.iter().map(|group| (group, false))) {
                    let archived = groups.profile().group(group.id)?.is_some_and(|state| state.archived);
                    if json {
                        output::json(&serde_json::json!({
                            "id": group.id, "name": group.name, "members": group.members, "member": member,
                            "archived": archived,
                        }))?;
                    } else {
                        let note = match (member, archived) {
                            (_, true) => format!("  ({})", words!("group.is-archived")),
                            (true, false) => String::new(),
                            (false, false) => format!("  ({})", words!("group.is-open")),
                        };
                        let members = counted!("group.members", group.members);
                        say!("{}  {}  {members}{note}", group.id, printable_name(&group.name));
                    }
                }
                if listed.more_open {
                    note!("{}", words!("group.more"));
                }
                Ok(())
            }
            Self::Show { which } => {
                let state = groups.state(which.group).await?;
                if json {
                    return output::json(&description(&state));
                }
                say!("{}  {}", state.id(), printable_name(&state.settings.name));
                say!("{}", rules(&state));
                say!("{}", words!("group.sealing", encryption = encryption(&state), epoch = state.epoch));
                say!("{}", words!("group.counts", members = state.members.len(), changes = state.number));
                say!("{}", words!("group.digest", digest = state.group));
                Ok(())
            }
            Self::Members { which } => {
                let state = groups.state(which.group).await?;
                for (id, member) in &state.members {
                    if json {
                        output::json(&serde_json::json!({
                            "id": id, "role": member.role, "fingerprint": member.fingerprint,
                            "suspended": member.suspended,
                        }))?;
                    } else {
                        let note = match member.suspended {
                            true => format!("  ({})", words!("group.suspended")),
                            false => String::new(),
                        };
                        let role = match member.role {
                            GroupRole::Member => words!("group-role.member"),
                            GroupRole::Moderator => words!("group-role.moderator"),
                        };
                        say!("{}  {role}{note}", naming::person(groups.profile(), *id)?);
                    }
                }
                Ok(())
            }
            Self::Add { which, ids, role } => {
                let state = groups.add(which.group, &ids, role).await?;
                done(&state, json, "group.added")
            }
            Self::Remove { which, ids } => {
                let state = groups.remove(which.group, &ids).await?;
                done(&state, json, "group.removed")
            }
            Self::Role { which, id, role } => {
                let state = groups.change(which.group, |_| Action::Role { member: id, role }).await?;
                done(&state, json, "group.role-changed")
            }
            Self::Set { which, name, posting, access } => {
                let state = groups
                    .change(which.group, |state| {
                        let mut settings = state.settings.clone();
                        settings.name = name.clone().unwrap_or(settings.name);
                        settings.posting = posting.unwrap_or(settings.posting);
                        settings.access = access.unwrap_or(settings.access);
                        Action::Settings { settings }
                    })
                    .await?;
                done(&state, json, "group.changed")
            }
            Self::Link { which, end: true, .. } => {
                let state = groups.change(which.group, |_| Action::Link { key: None, uses: 0 }).await?;
                done(&state, json, "group.link-ended")
            }
            Self::Link { which, uses, .. } => {
                let link = groups.open_link(which.group, uses).await?.to_string();
                if json {
                    return output::json(&serde_json::json!({ "link": link, "uses": uses }));
                }
                say!("{link}");
                Ok(())
            }
            Self::Join { group: Some(id), .. } => {
                let state = groups.join(id).await?;
                done(&state, json, "group.joined")
            }
            Self::Join { link, .. } => {
                let link = link.ok_or_else(|| anyhow::anyhow!(words!("group.either")))?;
                let state = groups.join_by_link(&link).await?;
                done(&state, json, "group.joined")
            }
            Self::Leave { which } => {
                groups.leave(which.group).await?;
                if json {
                    return output::json(&serde_json::json!({ "id": which.group, "status": "left" }));
                }
                say!("{}", words!("group.left", group = which.group));
                Ok(())
            }
            Self::NewKey { which } => {
                let state = groups.new_key(which.group).await?;
                done(&state, json, "group.new-key")
            }
            Self::Archive { which } => {
                let state = groups.change(which.group, |_| Action::Archive {}).await?;
                done(&state, json, "group.archived")
            }
        }
    }
}

fn description(state: &GroupState) -> serde_json::Value {
    serde_json::json!({
        "id": state.id(),
        "name": state.settings.name,
        "posting": state.settings.posting,
        "access": state.settings.access,
        "encryption": state.encryption,
        "epoch": state.epoch,
        "number": state.number,
        "members": state.members.len(),
        "archived": state.archived,
    })
}

/// Who may write, and who may join.
fn rules(state: &GroupState) -> String {
    let posting = match state.settings.posting {
        Posting::Everyone => words!("posting.everyone"),
        Posting::Moderators => words!("posting.moderators"),
    };
    let access = match state.settings.access {
        Access::Open => words!("access.open"),
        Access::Closed => words!("access.closed"),
    };
    words!("group.rules", posting = posting, access = access)
}

fn encryption(state: &GroupState) -> &'static str {
    match state.encryption {
        Encryption::Symmetric => words!("encryption.symmetric"),
        Encryption::Asymmetric => words!("encryption.asymmetric"),
    }
}

/// Says what was done to a group; `what` is the key of the words for it.
fn done(state: &GroupState, json: bool, what: &'static str) -> anyhow::Result<()> {
    if json {
        return output::json(&description(state));
    }
    let members = counted!("group.members", state.members.len());
    let name = printable_name(&state.settings.name);
    let values = [("name", name), ("id", state.id().to_string()), ("members", members)];
    say!("{}", words::with(what, &values));
    Ok(())
}
