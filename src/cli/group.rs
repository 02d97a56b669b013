//! `momedo group`: making groups and changing who belongs to them.

use clap::Subcommand;
use momedo_client::commands::groups::{Changes, GroupShown, Groups, LINK_USES, Listed, MemberShown};
use momedo_client::profile::Profile;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::group::link::GroupLink;
use momedo_protocol::id::ParticipantId;

use super::naming::{self, printable_name};
use super::{ProfileArgs, client_runtime, language, output, reader, words};

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
        #[arg(long, default_value_t = LINK_USES)]
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
            let language = language();
            let groups = Groups::begin(&profile, reader(&language)).await?;
            self.act(groups, json).await
        })
    }

    async fn act(self, mut groups: Groups<'_>, json: bool) -> anyhow::Result<()> {
        match self {
            Self::Create { name, posting, access, encryption, .. } => {
                let settings = Settings { name, posting, access };
                done(&groups.create(settings, encryption).await?, json, "group.made")
            }
            Self::List { .. } => list(&groups.list().await?, json),
            Self::Show { which } => show(&groups.show(which.group).await?, json),
            Self::Members { which } => {
                let members = groups.members(which.group).await?;
                members.iter().try_for_each(|member| show_member(groups.profile(), member, json))
            }
            Self::Add { which, ids, role } => {
                done(&groups.add(which.group, &ids, role).await?, json, "group.added")
            }
            Self::Remove { which, ids } => {
                done(&groups.remove(which.group, &ids).await?, json, "group.removed")
            }
            Self::Role { which, id, role } => {
                done(&groups.set_role(which.group, id, role).await?, json, "group.role-changed")
            }
            Self::Set { which, name, posting, access } => {
                let changes = Changes { name, posting, access };
                done(&groups.set(which.group, &changes).await?, json, "group.changed")
            }
            Self::Link { which, end: true, .. } => {
                done(&groups.end_link(which.group).await?, json, "group.link-ended")
            }
            Self::Link { which, uses, .. } => {
                let shown = groups.link(which.group, uses).await?;
                output::answer(json, &shown, &shown.link)
            }
            Self::Join { group: Some(id), .. } => done(&groups.join(id).await?, json, "group.joined"),
            Self::Join { link, .. } => {
                let link = link.ok_or_else(|| anyhow::anyhow!(words!("group.either")))?;
                done(&groups.join_by_link(&link).await?, json, "group.joined")
            }
            Self::Leave { which } => {
                let left = groups.leave(which.group).await?;
                output::answer(json, &left, &words!("group.left", group = which.group))
            }
            Self::NewKey { which } => done(&groups.new_key(which.group).await?, json, "group.new-key"),
            Self::Archive { which } => done(&groups.archive(which.group).await?, json, "group.archived"),
        }
    }
}

fn list(listed: &Listed, json: bool) -> anyhow::Result<()> {
    for group in &listed.groups {
        if json {
            output::json(group)?;
            continue;
        }
        let note = match (group.member, group.archived) {
            (_, true) => format!("  ({})", words!("group.is-archived")),
            (true, false) => String::new(),
            (false, false) => format!("  ({})", words!("group.is-open")),
        };
        let members = counted!("group.members", group.members);
        say!("{}  {}  {members}{note}", group.id, printable_name(&group.name));
    }
    if listed.more_open {
        note!("{}", words!("group.more"));
    }
    Ok(())
}

fn show(group: &GroupShown, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(group);
    }
    say!("{}  {}", group.id, printable_name(&group.name));
    say!("{}", rules(group));
    say!("{}", words!("group.sealing", encryption = encryption(group), epoch = group.epoch));
    say!("{}", words!("group.counts", members = group.members, changes = group.number));
    say!("{}", words!("group.digest", digest = group.digest));
    Ok(())
}

fn show_member(profile: &Profile, member: &MemberShown, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(member);
    }
    let note = match member.suspended {
        true => format!("  ({})", words!("group.suspended")),
        false => String::new(),
    };
    let role = match member.role {
        GroupRole::Member => words!("group-role.member"),
        GroupRole::Moderator => words!("group-role.moderator"),
    };
    say!("{}  {role}{note}", naming::person(profile, member.id)?);
    Ok(())
}

/// Who may write, and who may join.
fn rules(group: &GroupShown) -> String {
    let posting = match group.posting {
        Posting::Everyone => words!("posting.everyone"),
        Posting::Moderators => words!("posting.moderators"),
    };
    let access = match group.access {
        Access::Open => words!("access.open"),
        Access::Closed => words!("access.closed"),
    };
    words!("group.rules", posting = posting, access = access)
}

fn encryption(group: &GroupShown) -> &'static str {
    match group.encryption {
        Encryption::Symmetric => words!("encryption.symmetric"),
        Encryption::Asymmetric => words!("encryption.asymmetric"),
    }
}

/// Says what was done to a group; `what` is the key of the words for it.
fn done(group: &GroupShown, json: bool, what: &'static str) -> anyhow::Result<()> {
    if json {
        return output::json(group);
    }
    let members = counted!("group.members", group.members);
    let name = printable_name(&group.name);
    let values = [("name", name), ("id", group.id.to_string()), ("members", members)];
    say!("{}", words::with(what, &values));
    Ok(())
}
