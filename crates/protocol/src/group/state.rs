//! What a group is after all its changes, and which change may come next.
//!
//! Pure: the server and every member apply the same entries and come to the same group. The one invariant:
//! an entry counts only if it follows the last one, is signed by the key the chain pins for its author, and its
//! author may do what it does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::GroupId;
use super::entry::{
    Access, Action, Encryption, GroupEntry, GroupRole, MAX_ADDED_AT_ONCE, NewMember, Posting, Settings,
};
use super::link::is_let_in;
use crate::countersignature::Countersignature;
use crate::digest::{Fingerprint, Sha512Digest};
use crate::encoding::Base64Bytes;
use crate::id::ParticipantId;
use crate::jws::Jws;
use crate::key_bundle::KeyBundle;
use crate::name::is_acceptable_name;
use crate::rsa_key::RsaPublicKey;

/// Most members of a group, suspended ones included.
pub const MAX_GROUP_MEMBERS: usize = 2000;

/// Most entries of a chain; far more than a school's class sees in years, and still read in seconds.
pub const MAX_GROUP_ENTRIES: u32 = 100_000;

/// The last entries of a chain, which only take somebody out or archive the group ([`Action::takes_out`]): as many as
/// everybody in the largest group needs to leave, each after one last change of their own key, and one to archive it.
/// Nobody comes in meanwhile.
pub const RESERVED_GROUP_ENTRIES: u32 = 2 * MAX_GROUP_MEMBERS as u32 + 1;

/// Most changes of a signature key one entry may catch up with; they must fit an entry.
const MAX_RENEWED_AT_ONCE: usize = 6;

/// Somebody who belongs to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Pinned fingerprint of the signature key.
    pub fingerprint: Fingerprint,
    /// Version of the key bundle it was pinned from.
    pub version: u32,
    /// Fingerprint of the home.
    pub home: Fingerprint,
    /// What they may do.
    pub role: GroupRole,
    /// Their keys were reset: nothing goes to them until a moderator adds them again.
    pub suspended: bool,
    /// They have not been sent the current group key.
    pub awaits_key: bool,
    /// They changed their key in one of the reserved entries, which everybody may once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renewed_last: bool,
}

/// The link a group can be joined with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenLink {
    /// Ed25519 public key.
    pub key: Base64Bytes,
    /// How many may still join with it.
    pub uses: u32,
}

impl OpenLink {
    /// Whether whoever has the link signed for this person with this signature key, and it is not used up.
    pub fn lets_in(
        &self,
        group: &Sha512Digest,
        id: ParticipantId,
        fingerprint: &Fingerprint,
        proof: &[u8],
    ) -> bool {
        self.uses > 0 && is_let_in(&self.key.0, group, id, fingerprint, proof)
    }
}

/// A group after its last entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupState {
    /// Digest of the first entry: the group itself.
    pub group: Sha512Digest,
    /// Number of the last entry.
    pub number: u32,
    /// Digest of the last entry.
    pub head: Sha512Digest,
    /// Name and rules.
    pub settings: Settings,
    /// How messages are sealed.
    pub encryption: Encryption,
    /// Fingerprint of the server that keeps the group.
    pub home: Fingerprint,
    /// The current epoch; 0 before the first key.
    pub epoch: u32,
    /// Commitment to the current epoch's key.
    pub commitment: Option<Sha512Digest>,
    /// Somebody may know the key who must not read on: whoever writes next makes a new epoch first.
    pub needs_epoch: bool,
    /// The link people can join with.
    pub link: Option<OpenLink>,
    /// Nobody posts any more.
    pub archived: bool,
    /// Everybody who belongs to it; kept apart from the rest where it is stored.
    #[serde(skip)]
    pub members: BTreeMap<ParticipantId, Member>,
}

/// Why an entry does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// It does not follow the last entry: somebody else was faster, or something is missing.
    #[error("the group changed meanwhile (its last entry is number {number})")]
    NotNext {
        /// The last entry's number.
        number: u32,
    },
    /// Its author may not do this.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// What it says cannot be.
    #[error("{0}")]
    Invalid(&'static str),
}

use GroupError::{Invalid, NotAllowed};

impl GroupState {
    /// The group that a first entry makes.
    ///
    /// # Errors
    /// [`GroupError::Invalid`].
    pub fn create(entry: &GroupEntry) -> Result<Self, GroupError> {
        let payload = &entry.payload;
        let Action::Create { settings, encryption, home, version, salt } = &payload.action else {
            return Err(Invalid("the first entry of a group creates it"));
        };
        if payload.number != 1 || payload.group.is_some() || payload.previous.is_some() {
            return Err(Invalid("the first entry of a group has number 1 and follows nothing"));
        }
        if salt.0.len() != 16 {
            return Err(Invalid("a group is made with 16 random bytes"));
        }
        check_settings(settings)?;
        let moderator = Member {
            fingerprint: entry.key.fingerprint(),
            version: *version,
            home: *home,
            role: GroupRole::Moderator,
            suspended: false,
            awaits_key: false,
            renewed_last: false,
        };
        Ok(Self {
            group: entry.digest,
            number: 1,
            head: entry.digest,
            settings: settings.clone(),
            encryption: *encryption,
            home: *home,
            epoch: 0,
            commitment: None,
            needs_epoch: *encryption == Encryption::Symmetric,
            link: None,
            archived: false,
            members: BTreeMap::from([(payload.author, moderator)]),
        })
    }

    /// The short ID.
    pub fn id(&self) -> GroupId {
        GroupId::of(&self.group)
    }

    /// A member who is not suspended.
    pub fn active(&self, id: ParticipantId) -> Option<&Member> {
        self.members.get(&id).filter(|member| !member.suspended)
    }

    /// Everybody who is sent what is posted.
    pub fn active_members(&self) -> impl Iterator<Item = (ParticipantId, &Member)> {
        self.members.iter().filter(|(_, member)| !member.suspended).map(|(id, member)| (*id, member))
    }

    /// Whether a participant may post.
    pub fn may_post(&self, id: ParticipantId) -> bool {
        let allowed = |member: &Member| match self.settings.posting {
            Posting::Everyone => true,
            Posting::Moderators => member.role == GroupRole::Moderator,
        };
        !self.archived && self.active(id).is_some_and(allowed)
    }

    /// Takes the next entry; on an error nothing changed.
    ///
    /// # Errors
    /// As [`GroupError`] says.
    pub fn apply(&mut self, entry: &GroupEntry) -> Result<(), GroupError> {
        let payload = &entry.payload;
        let follows = payload.number == self.number.saturating_add(1)
            && payload.group == Some(self.group)
            && payload.previous == Some(self.head);
        if !follows {
            return Err(GroupError::NotNext { number: self.number });
        }
        let is_reserved = payload.number > MAX_GROUP_ENTRIES - RESERVED_GROUP_ENTRIES;
        // Whoever has a new key can leave or be a moderator only once the chain knows it.
        let renews = matches!(payload.action, Action::Renew { .. });
        let may_renew =
            renews && self.members.get(&payload.author).is_some_and(|member| !member.renewed_last);
        if payload.number > MAX_GROUP_ENTRIES || (is_reserved && !payload.action.takes_out() && !may_renew) {
            return Err(Invalid("the group has had too many changes; make a new one"));
        }
        let mut next = self.clone();
        next.change(entry)?;
        if let Some(member) = next.members.get_mut(&payload.author).filter(|_| is_reserved && renews) {
            member.renewed_last = true;
        }
        next.number = payload.number;
        next.head = entry.digest;
        *self = next;
        Ok(())
    }

    fn change(&mut self, entry: &GroupEntry) -> Result<(), GroupError> {
        let author = entry.payload.author;
        let fingerprint = entry.key.fingerprint();
        let member = || match self.active(author) {
            Some(member) if member.fingerprint == fingerprint => Ok(member.role),
            _ => Err(NotAllowed("only a member changes a group, with the key it knows")),
        };
        let living = || match self.archived {
            true => Err(NotAllowed("the group is archived")),
            false => member(),
        };
        let moderator = || match living()? {
            GroupRole::Moderator => Ok(()),
            GroupRole::Member => Err(NotAllowed("only a moderator may do this")),
        };
        match &entry.payload.action {
            Action::Create { .. } => Err(Invalid("a group is created once")),
            Action::Join { version, home, proof } => {
                self.join(author, fingerprint, *version, *home, proof.as_ref())
            }
            Action::Renew { previous_key, bundles } => self.renew(author, &entry.key, previous_key, bundles),
            Action::Leave {} => {
                member()?;
                self.remove(&[author])
            }
            Action::Epoch { epoch, commitment } => {
                living()?;
                self.begin_epoch(*epoch, *commitment)
            }
            Action::Welcome { members } => {
                living()?;
                self.welcome(members)
            }
            Action::Suspend { member, bundle, home_key, countersignature } => {
                living()?;
                self.suspend(*member, bundle, home_key, countersignature)
            }
            Action::Add { members } => {
                moderator()?;
                self.add(members)
            }
            Action::Remove { members } => {
                moderator()?;
                self.remove(members)?;
                // Whoever was removed may have it.
                self.link = None;
                Ok(())
            }
            Action::Role { member, role } => {
                moderator()?;
                self.set_role(*member, *role)
            }
            Action::Settings { settings } => {
                moderator()?;
                check_settings(settings)?;
                self.settings = settings.clone();
                Ok(())
            }
            Action::Link { key, uses } => {
                moderator()?;
                self.set_link(key.as_ref(), *uses)
            }
            Action::Archive {} => {
                moderator()?;
                self.archived = true;
                self.link = None;
                Ok(())
            }
        }
    }

    fn insert(&mut self, id: ParticipantId, member: Member) -> Result<(), GroupError> {
        if !self.members.contains_key(&id) && self.members.len() >= MAX_GROUP_MEMBERS {
            return Err(Invalid("a group has at most 2,000 members"));
        }
        self.members.insert(id, member);
        Ok(())
    }

    fn add(&mut self, members: &[NewMember]) -> Result<(), GroupError> {
        if members.is_empty() || members.len() > MAX_ADDED_AT_ONCE {
            return Err(Invalid("1 to 256 members are added at once"));
        }
        for new in members {
            let known = self.members.get(&new.id);
            if known.is_some_and(|known| !known.suspended && known.fingerprint == new.fingerprint) {
                return Err(Invalid("somebody is a member already"));
            }
            // Whoever has the keys that were reset may have the group's, too.
            self.needs_epoch |= known.is_some() && self.encryption == Encryption::Symmetric;
            let member = Member {
                fingerprint: new.fingerprint,
                version: new.version,
                home: new.home.unwrap_or(self.home),
                role: new.role,
                suspended: false,
                awaits_key: self.encryption == Encryption::Symmetric,
                renewed_last: false,
            };
            self.insert(new.id, member)?;
        }
        self.require_moderator()
    }

    fn remove(&mut self, members: &[ParticipantId]) -> Result<(), GroupError> {
        if members.is_empty() || members.len() > MAX_ADDED_AT_ONCE {
            return Err(Invalid("1 to 256 members are removed at once"));
        }
        for id in members {
            self.members.remove(id).ok_or(Invalid("somebody is no member"))?;
        }
        self.needs_epoch = self.encryption == Encryption::Symmetric;
        if self.members.is_empty() {
            self.archived = true;
            self.link = None;
            return Ok(());
        }
        self.require_moderator()
    }

    /// A group without a moderator could never be changed again.
    fn require_moderator(&self) -> Result<(), GroupError> {
        let moderated = self.active_members().any(|(_, member)| member.role == GroupRole::Moderator);
        if moderated || self.archived {
            return Ok(());
        }
        Err(NotAllowed("a group needs a moderator: make somebody else one first, or archive it"))
    }

    fn set_role(&mut self, id: ParticipantId, role: GroupRole) -> Result<(), GroupError> {
        self.members.get_mut(&id).ok_or(Invalid("somebody is no member"))?.role = role;
        self.require_moderator()
    }

    fn set_link(&mut self, key: Option<&Base64Bytes>, uses: u32) -> Result<(), GroupError> {
        if key.is_some_and(|key| key.0.len() != 32 || uses == 0) {
            return Err(Invalid("a link has a key of 32 bytes and lets somebody in"));
        }
        self.link = key.map(|key| OpenLink { key: key.clone(), uses });
        Ok(())
    }

    fn join(
        &mut self,
        author: ParticipantId,
        fingerprint: Fingerprint,
        version: u32,
        home: Option<Fingerprint>,
        proof: Option<&Base64Bytes>,
    ) -> Result<(), GroupError> {
        if self.archived {
            return Err(NotAllowed("the group is archived"));
        }
        if self.members.contains_key(&author) {
            return Err(Invalid("somebody is a member already"));
        }
        match (proof, &mut self.link) {
            (Some(proof), Some(link)) if link.uses > 0 => {
                if !link.lets_in(&self.group, author, &fingerprint, &proof.0) {
                    return Err(NotAllowed("the link does not fit: it may have been replaced"));
                }
                link.uses -= 1;
            }
            (Some(_), _) => return Err(NotAllowed("the link was ended or used up")),
            (None, _) if self.settings.access == Access::Open && home.is_none() => {}
            (None, _) => return Err(NotAllowed("the group is closed: ask for its link")),
        }
        let member = Member {
            fingerprint,
            version,
            home: home.unwrap_or(self.home),
            role: GroupRole::Member,
            suspended: false,
            awaits_key: self.encryption == Encryption::Symmetric,
            renewed_last: false,
        };
        self.insert(author, member)
    }

    fn begin_epoch(&mut self, epoch: u32, commitment: Sha512Digest) -> Result<(), GroupError> {
        if self.encryption != Encryption::Symmetric {
            return Err(Invalid("only groups with a group key have epochs"));
        }
        if epoch != self.epoch.saturating_add(1) {
            return Err(Invalid("epochs are numbered one after another"));
        }
        self.epoch = epoch;
        self.commitment = Some(commitment);
        self.needs_epoch = false;
        self.members.values_mut().for_each(|member| member.awaits_key = false);
        Ok(())
    }

    fn welcome(&mut self, members: &[ParticipantId]) -> Result<(), GroupError> {
        if self.epoch == 0 || self.needs_epoch {
            return Err(Invalid("there is no key to hand on"));
        }
        if members.is_empty() || members.len() > MAX_ADDED_AT_ONCE {
            return Err(Invalid("1 to 256 members are welcomed at once"));
        }
        for id in members {
            self.members.get_mut(id).ok_or(Invalid("somebody is no member"))?.awaits_key = false;
        }
        Ok(())
    }

    fn suspend(
        &mut self,
        id: ParticipantId,
        bundle: &Jws,
        home_key: &Base64Bytes,
        countersignature: &Jws,
    ) -> Result<(), GroupError> {
        let wrong = |_| Invalid("the proof of a reset does not fit");
        let member = self.members.get_mut(&id).ok_or(Invalid("somebody is no member"))?;
        let bundle = KeyBundle::verify(bundle).map_err(|_| Invalid("the proof of a reset does not fit"))?;
        let home =
            RsaPublicKey::from_spki(&home_key.0).map_err(|_| Invalid("the proof of a reset does not fit"))?;
        let confirmed = Countersignature::verify(countersignature, &home).map_err(wrong)?;
        let proves = home.fingerprint() == member.home
            && bundle.payload.id == id
            && confirmed.id == id
            && confirmed.fingerprint == bundle.fingerprint()
            && bundle.fingerprint() != member.fingerprint
            // An earlier key of theirs proves nothing.
            && bundle.payload.version > u64::from(member.version);
        if !proves || member.suspended {
            return Err(Invalid("the proof of a reset does not fit"));
        }
        member.suspended = true;
        self.link = None;
        self.needs_epoch = self.encryption == Encryption::Symmetric;
        Ok(())
    }

    fn renew(
        &mut self,
        author: ParticipantId,
        key: &RsaPublicKey,
        previous_key: &Base64Bytes,
        bundles: &[Jws],
    ) -> Result<(), GroupError> {
        let wrong = || NotAllowed("the new key is not signed by the one the group knows");
        let member = self.members.get_mut(&author).ok_or(NotAllowed("only a member changes a group"))?;
        let mut current = RsaPublicKey::from_spki(&previous_key.0).map_err(|_| wrong())?;
        if current.fingerprint() != member.fingerprint || bundles.len() > MAX_RENEWED_AT_ONCE {
            return Err(wrong());
        }
        let mut version = u64::from(member.version);
        for jws in bundles {
            let bundle = KeyBundle::verify(jws).map_err(|_| wrong())?;
            let follows = bundle.payload.id == author && bundle.payload.version > version;
            if !follows || bundle.is_signed_by(jws, &current).is_err() {
                return Err(wrong());
            }
            version = bundle.payload.version;
            current = bundle.signature_key;
        }
        if current != *key || bundles.is_empty() {
            return Err(wrong());
        }
        member.fingerprint = key.fingerprint();
        member.version = u32::try_from(version).map_err(|_| wrong())?;
        member.suspended = false;
        // A key changes when a device was lost, and that device had the group's key too.
        self.needs_epoch = self.encryption == Encryption::Symmetric;
        Ok(())
    }
}

fn check_settings(settings: &Settings) -> Result<(), GroupError> {
    if is_acceptable_name(&settings.name) {
        Ok(())
    } else {
        Err(Invalid("a group's name has 1 to 80 characters that can be seen, with single spaces"))
    }
}
