//! Groups as they were after an earlier entry.
//!
//! Mail that waited names older and older places of a chain that went on meanwhile, and each place is found by checking
//! every entry before it. Messages arrive in the order in which the chain grew, so each begins where the last one ended.

use std::sync::{Mutex, PoisonError};

use momedo_protocol::group::GroupId;
use momedo_protocol::group::state::GroupState;

/// Places kept at once; a group of 2,000 takes a few hundred kilobytes.
const MAX_PLACES: usize = 8;

/// The places asked for last, oldest first.
#[derive(Default)]
pub(crate) struct EarlierGroups(Mutex<Vec<GroupState>>);

impl EarlierGroups {
    /// The latest known place of a group that is not after entry `number`.
    pub(crate) fn at_or_before(&self, id: GroupId, number: u32) -> Option<GroupState> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = places.iter().filter(|place| place.id() == id && place.number <= number);
        own.max_by_key(|place| place.number).cloned()
    }

    /// Keeps a place that was checked entry by entry.
    pub(crate) fn keep(&self, place: GroupState) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|known| known.id() != place.id() || known.number != place.number);
        if places.len() >= MAX_PLACES {
            places.remove(0);
        }
        places.push(place);
    }
}

#[cfg(test)]
mod tests {
    use momedo_protocol::digest::Fingerprint;
    use momedo_protocol::encoding::Base64Bytes;
    use momedo_protocol::group::entry::{
        Access, Action, Encryption, GroupEntry, GroupEntryPayload, Posting, Settings,
    };
    use momedo_protocol::id::ParticipantId;
    use momedo_protocol::rsa_private_key::RsaPrivateKey;
    use momedo_protocol::time::UnixMillis;

    use super::*;

    fn group(signer: &RsaPrivateKey, salt: u8) -> GroupState {
        let settings = Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Closed };
        let payload = GroupEntryPayload {
            group: None,
            number: 1,
            previous: None,
            author: ParticipantId::from_number(1).unwrap(),
            key: Base64Bytes(signer.public().spki().to_vec()),
            made_at: UnixMillis(0),
            action: Action::Create {
                settings,
                encryption: Encryption::Symmetric,
                home: Fingerprint([0; 32]),
                version: 1,
                salt: Base64Bytes(vec![salt; 16]),
            },
        };
        GroupState::create(&GroupEntry::read(&payload.sign(signer)).unwrap()).unwrap()
    }

    #[test]
    fn checking_goes_on_from_the_nearest_place_before_and_never_from_one_after() {
        let signer = RsaPrivateKey::generate();
        let (ours, other) = (group(&signer, 1), group(&signer, 2));
        let earlier = EarlierGroups::default();
        for number in [10, 500, 90] {
            earlier.keep(GroupState { number, ..ours.clone() });
        }
        let place = |number| earlier.at_or_before(ours.id(), number).map(|place| place.number);
        assert_eq!([place(9), place(10), place(499), place(600)], [None, Some(10), Some(90), Some(500)]);
        assert!(earlier.at_or_before(other.id(), 600).is_none());
        for number in 1000..1000 + MAX_PLACES as u32 {
            earlier.keep(GroupState { number, ..other.clone() });
        }
        assert_eq!(place(600), None, "few are kept");
    }
}
