//! Who asks something of a group that is kept here, and over which of their homes: a member is whoever the chain's key says,
//! not the server that passes on what they ask.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::NewMember;
use momedo_protocol::group::state::Member;
use momedo_protocol::id::ParticipantId;

use crate::domain::ozone::Source;
use crate::domain::rate::Rate;
use crate::links::Counted;
use crate::live::rates::TooOften;
use crate::live::sessions::Principal;
use crate::service::neighbours::finding;
use crate::service::{ServiceError, documents};
use crate::state::App;
use crate::store::{ParticipantState, ReadTx};

/// Who reads, changes or posts to a group that is kept here.
#[derive(Debug, Clone, Copy)]
pub enum Actor {
    /// A device of this server's participant.
    Here(Principal),
    /// A participant of another home, which signed for asking.
    There {
        /// Who.
        participant: ParticipantId,
        /// Their home.
        home: Fingerprint,
        /// The neighbour that brought what their home asks.
        neighbour: Fingerprint,
        /// How often that one may.
        rate: Rate,
    },
}

impl Actor {
    /// Who it is.
    pub fn participant(self) -> ParticipantId {
        match self {
            Self::Here(principal) => principal.participant,
            Self::There { participant, .. } => participant,
        }
    }

    /// Where what they write comes from.
    pub(super) fn source(self) -> Source {
        match self {
            Self::Here(_) => Source::Here,
            Self::There { home, neighbour, .. } => Source::There { neighbour, home, is_copy: false },
        }
    }

    /// Counts what they do: for this server's participants by themselves, for others by the neighbour that brings it,
    /// which could name anybody.
    pub(in crate::service) fn count(self, app: &App, number: u32) -> Result<(), ServiceError> {
        let now = app.clock.elapsed();
        match self {
            Self::Here(principal) => Ok(app.rates.messages(principal.participant, number, now)?),
            Self::There { neighbour, rate, .. } => {
                let counted = app.links.count(neighbour, Counted::Envelopes, rate, number, now);
                counted.map_err(|wait| TooOften(wait).into())
            }
        }
    }

    /// Their home, if it is not this server.
    pub(super) fn elsewhere(self) -> Option<Fingerprint> {
        match self {
            Self::Here(_) => None,
            Self::There { home, .. } => Some(home),
        }
    }

    /// How many members a group has to whom this one may post: another home charges nobody whom it only names.
    pub(super) fn members_of(self, tx: &ReadTx<'_>, id: GroupId) -> Result<u64, ServiceError> {
        if self.elsewhere().is_some() && self.member(tx, id)?.is_none() {
            return Err(ServiceError::UnknownGroup);
        }
        tx.count_group_members(id)?.ok_or(ServiceError::UnknownGroup)
    }

    /// What the chain says of them as a member; nobody of another home is taken for a namesake here.
    pub(super) fn member(self, tx: &ReadTx<'_>, id: GroupId) -> Result<Option<Member>, ServiceError> {
        let member = tx.find_group_member(id, self.participant())?;
        let (Some(member), Some(home)) = (&member, self.elsewhere()) else { return Ok(member) };
        let who = self.participant();
        let is_theirs = member.home == home
            || finding::find_placed(tx, who, member.home, member.fingerprint)?
                .is_some_and(|row| row.lives_at(home))
            // Somebody with one home here, who asks over the other.
            || (lives_here_and(tx, who, home)?
                && (tx.find_group(id)?.is_some_and(|group| group.home == member.home)
                    || is_own_key(tx, who, member.fingerprint)?));
        Ok(is_theirs.then(|| member.clone()))
    }
}

/// Whether somebody has two homes, this server and `home`.
fn lives_here_and(tx: &ReadTx<'_>, id: ParticipantId, home: Fingerprint) -> Result<bool, ServiceError> {
    Ok(tx.find_other_home(id)?.is_some_and(|other| other.server == home && !other.ends))
}

/// Whether this is the signature key that somebody has published here.
fn is_own_key(tx: &ReadTx<'_>, id: ParticipantId, fingerprint: Fingerprint) -> Result<bool, ServiceError> {
    Ok(published(tx, id, None)?.is_some_and(|(known, _)| known == fingerprint))
}

/// Where a newcomer is asked whether they may be added: at the home they are said to live at, or at the other one if that
/// is the one in use; `None` for whoever lives here, too.
pub(in crate::service) fn home_of_newcomer(
    tx: &ReadTx<'_>,
    new: &NewMember,
    own: Fingerprint,
) -> Result<Option<Fingerprint>, ServiceError> {
    let Some(home) = new.home.filter(|home| *home != own) else { return Ok(None) };
    if lives_here_and(tx, new.id, home)? {
        return Ok(None);
    }
    let row = tx.find_remote(new.id)?.filter(|row| row.lives_at(home) && row.disputed_by.is_none());
    Ok(Some(row.map_or(home, |row| row.home)))
}

/// Fingerprint and version of the keys somebody has published here, or at another home. Whoever is disabled belongs to
/// groups, too; that they do nothing themselves, their sessions' end sees to.
pub(in crate::service) fn published(
    tx: &ReadTx<'_>,
    id: ParticipantId,
    elsewhere: Option<Fingerprint>,
) -> Result<Option<(Fingerprint, u32)>, ServiceError> {
    if let Some(home) = elsewhere
        && !lives_here_and(tx, id, home)?
    {
        return finding::published_at(tx, id, home);
    }
    if tx.find_participant(id)?.is_none_or(|row| row.state == ParticipantState::Erased) {
        return Ok(None);
    }
    let Some(row) = tx.current_bundle(id)? else { return Ok(None) };
    let version = u32::try_from(row.version).unwrap_or(u32::MAX);
    Ok(Some((documents::fingerprint_of(&row.bundle)?, version)))
}
