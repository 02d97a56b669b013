//! `group`: making groups and changing who belongs to them.

use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Action, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::group::link::GroupLink;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use serde::Serialize;

use super::{CommandError, Reader, Status};
use crate::groups::membership::Membership;
use crate::profile::Profile;

/// How many may join with a link unless somebody says otherwise.
pub const LINK_USES: u32 = 30;

/// A group.
#[derive(Debug, Clone, Serialize)]
pub struct GroupShown {
    /// Who may join.
    pub access: Access,
    /// Whether nobody writes any more.
    pub archived: bool,
    /// How what is posted is sealed.
    pub encryption: Encryption,
    /// How often its key was made anew.
    pub epoch: u32,
    /// Its ID.
    pub id: GroupId,
    /// How many belong to it.
    pub members: usize,
    /// What it is called.
    pub name: String,
    /// How many changes it has seen.
    pub number: u32,
    /// Who may write.
    pub posting: Posting,
    /// What its members compare.
    #[serde(skip)]
    pub digest: Sha512Digest,
}

impl From<GroupState> for GroupShown {
    fn from(state: GroupState) -> Self {
        Self {
            access: state.settings.access,
            archived: state.archived,
            encryption: state.encryption,
            epoch: state.epoch,
            id: state.id(),
            members: state.members.len(),
            digest: state.group,
            number: state.number,
            posting: state.settings.posting,
            name: state.settings.name,
        }
    }
}

/// Groups that somebody belongs to or could join.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The answer has a line for each.
    pub groups: Vec<ListedGroup>,
    /// Whether there are more open ones.
    pub more_open: bool,
}

/// A group in a list.
#[derive(Debug, Clone, Serialize)]
pub struct ListedGroup {
    /// Whether nobody writes any more, as far as this device knows.
    pub archived: bool,
    /// Its ID.
    pub id: GroupId,
    /// Whether the participant belongs to it.
    pub member: bool,
    /// How many belong to it.
    pub members: u64,
    /// What it is called.
    pub name: String,
}

/// Who belongs to a group.
#[derive(Debug, Clone, Serialize)]
pub struct MemberShown {
    /// The fingerprint by which the group knows them.
    pub fingerprint: Fingerprint,
    /// Who.
    pub id: ParticipantId,
    /// What they may do.
    pub role: GroupRole,
    /// Whether their keys were reset since.
    pub suspended: bool,
}

/// A link with which people join.
#[derive(Debug, Clone, Serialize)]
pub struct LinkShown {
    /// The whole link.
    pub link: String,
    /// How many may join with it.
    pub uses: u32,
}

/// A group that was left.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Left {
    /// Which.
    pub id: GroupId,
    /// What became of the membership.
    pub status: Status,
}

/// What is to change of a group; the rest stays.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// What it is called.
    pub name: Option<String>,
    /// Who may write.
    pub posting: Option<Posting>,
    /// Who may join.
    pub access: Option<Access>,
}

/// A log-in with which the commands for groups work.
pub struct Groups<'a>(Membership<'a>);

impl<'a> Groups<'a> {
    /// Logs in.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn begin(profile: &'a Profile, reader: Reader<'a>) -> Result<Self, CommandError> {
        Ok(Self(Membership::begin(profile, reader.language, reader.progress).await?))
    }

    /// Whose groups they are.
    pub fn profile(&self) -> &'a Profile {
        self.0.profile()
    }

    /// Makes a group.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn create(
        &mut self,
        settings: Settings,
        encryption: Encryption,
    ) -> Result<GroupShown, CommandError> {
        Ok(self.0.create(settings, encryption).await?.into())
    }

    /// Lists the participant's groups, and the open ones.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn list(&mut self) -> Result<Listed, CommandError> {
        let listed = self.0.list().await?;
        let own = listed.groups.into_iter().map(|group| (group, true));
        let all = own.chain(listed.open.into_iter().map(|group| (group, false)));
        let groups = all.map(|(group, member)| {
            let archived = self.profile().group(group.id)?.is_some_and(|state| state.archived);
            Ok(ListedGroup { archived, id: group.id, member, members: group.members, name: group.name })
        });
        Ok(Listed { groups: groups.collect::<Result<_, CommandError>>()?, more_open: listed.more_open })
    }

    /// Shows a group.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn show(&mut self, group: GroupId) -> Result<GroupShown, CommandError> {
        Ok(self.0.state(group).await?.into())
    }

    /// Who belongs to a group; the answer has a line for each.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn members(&mut self, group: GroupId) -> Result<Vec<MemberShown>, CommandError> {
        let state = self.0.state(group).await?;
        let shown = state.members.iter().map(|(id, member)| MemberShown {
            fingerprint: member.fingerprint,
            id: *id,
            role: member.role,
            suspended: member.suspended,
        });
        Ok(shown.collect())
    }

    /// Adds people.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn add(
        &mut self,
        group: GroupId,
        ids: &[ParticipantId],
        role: GroupRole,
    ) -> Result<GroupShown, CommandError> {
        Ok(self.0.add(group, ids, role).await?.into())
    }

    /// Removes people.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn remove(
        &mut self,
        group: GroupId,
        ids: &[ParticipantId],
    ) -> Result<GroupShown, CommandError> {
        Ok(self.0.remove(group, ids).await?.into())
    }

    /// Changes somebody's role.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn set_role(
        &mut self,
        group: GroupId,
        member: ParticipantId,
        role: GroupRole,
    ) -> Result<GroupShown, CommandError> {
        Ok(self.0.change(group, |_| Action::Role { member, role }).await?.into())
    }

    /// Changes a group's name or rules.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn set(&mut self, group: GroupId, changes: &Changes) -> Result<GroupShown, CommandError> {
        let change = |state: &GroupState| {
            let mut settings = state.settings.clone();
            settings.name = changes.name.clone().unwrap_or(settings.name);
            settings.posting = changes.posting.unwrap_or(settings.posting);
            settings.access = changes.access.unwrap_or(settings.access);
            Action::Settings { settings }
        };
        Ok(self.0.change(group, change).await?.into())
    }

    /// Makes a link that lets people join.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn link(&mut self, group: GroupId, uses: u32) -> Result<LinkShown, CommandError> {
        Ok(LinkShown { link: self.0.open_link(group, uses).await?.to_string(), uses })
    }

    /// Ends the link.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn end_link(&mut self, group: GroupId) -> Result<GroupShown, CommandError> {
        Ok(self.0.change(group, |_| Action::Link { key: None, uses: 0 }).await?.into())
    }

    /// Joins an open group.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn join(&mut self, group: GroupId) -> Result<GroupShown, CommandError> {
        Ok(self.0.join(group).await?.into())
    }

    /// Joins a group by its link.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn join_by_link(&mut self, link: &GroupLink) -> Result<GroupShown, CommandError> {
        Ok(self.0.join_by_link(link).await?.into())
    }

    /// Leaves a group.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn leave(&mut self, group: GroupId) -> Result<Left, CommandError> {
        self.0.leave(group).await?;
        Ok(Left { id: group, status: Status::Left })
    }

    /// Makes a new group key.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn new_key(&mut self, group: GroupId) -> Result<GroupShown, CommandError> {
        Ok(self.0.new_key(group).await?.into())
    }

    /// Ends a group.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub async fn archive(&mut self, group: GroupId) -> Result<GroupShown, CommandError> {
        Ok(self.0.change(group, |_| Action::Archive {}).await?.into())
    }
}
