//! What contacts are called: by their home's admins, which stands, and by themselves.
//!
//! A person writes a name into their own key bundle, and could write anybody's. The home signs the one that its admins
//! know; where the two differ, both are shown, and a change of either is told.

use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use serde::{Deserialize, Serialize};

use crate::ClientError;
use crate::inbox::put_renamed;
use crate::profile::Profile;

/// What somebody is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// By the admins of their home: the name to show.
    pub by_home: String,
    /// By themselves, in their key bundle.
    pub by_themselves: String,
}

impl Called {
    /// The name they gave themselves, where it is another one.
    pub fn other_name(&self) -> Option<&str> {
        (self.by_home != self.by_themselves).then_some(&*self.by_themselves)
    }
}

impl std::fmt::Display for Called {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.other_name() {
            None => f.write_str(&self.by_home),
            Some(own) => write!(f, "{} (calls themselves: {own})", self.by_home),
        }
    }
}

fn setting(id: ParticipantId) -> String {
    format!("called/{id}")
}

/// What a contact is called, as far as this device was told.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn of(profile: &Profile, id: ParticipantId) -> Result<Option<Called>, ClientError> {
    profile.get(&setting(id))
}

/// The name to show somebody by: the one their home vouches for, or the own one; `None` where nobody vouches for any.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn name(profile: &Profile, id: ParticipantId) -> Result<Option<String>, ClientError> {
    if id == profile.id()? {
        return Ok(profile.own_bundle().ok().map(|bundle| bundle.payload.name));
    }
    Ok(of(profile, id)?.map(|called| called.by_home))
}

/// What a group is called, as its members signed it.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn group(profile: &Profile, id: GroupId) -> Result<Option<String>, ClientError> {
    profile.group_name(id)
}

/// Remembers what a contact is called, and tells of a change.
pub(crate) fn note(profile: &Profile, id: ParticipantId, called: &Called) -> Result<(), ClientError> {
    let before = of(profile, id)?;
    if before.as_ref() == Some(called) {
        return Ok(());
    }
    let change = match &before {
        Some(before) => Some(format!("{before} is now called {called}")),
        None => called.other_name().map(|_| format!("{called}: their home knows them by the first name")),
    };
    profile.set(&setting(id), called)?;
    change.map_or(Ok(()), |words| put_renamed(profile, id, &words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(by_home: &str, by_themselves: &str) -> Called {
        Called { by_home: by_home.into(), by_themselves: by_themselves.into() }
    }

    #[test]
    fn a_name_that_somebody_gave_themselves_is_shown_as_such_and_once() {
        let profile = crate::testing::profile(None);
        let (ada, ben) = (ParticipantId::random(), ParticipantId::random());
        let said = || {
            let unshown = profile.unshown().unwrap().into_iter().map(|(_, _, event)| event);
            unshown.filter(|event| event.contains("\"renamed\"")).collect::<Vec<_>>()
        };
        profile.set("id", &ada).unwrap();
        note(&profile, ben, &called("Ben Roth", "Ben Roth")).unwrap();
        assert!(said().is_empty());
        let changed = called("Ben Roth", "Frau Direktor");
        note(&profile, ben, &changed).unwrap();
        note(&profile, ben, &changed).unwrap();
        assert_eq!(said().len(), 1);
        assert!(said()[0].contains("Ben Roth (calls themselves: Frau Direktor)"), "{:?}", said());
        assert_eq!(of(&profile, ben).unwrap(), Some(changed));
        // A stranger who does so is told of at once.
        note(&profile, ParticipantId::random(), &called("Carl", "Polizei")).unwrap();
        assert_eq!(said().len(), 2);
    }
}
