//! How many connections there may be on which nobody logged in, and of one participant.
//!
//! A connection takes memory before it asks for anything. Newcomers are never refused for that: whoever is many, by
//! address or by account, loses the oldest of their own.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use momedo_protocol::id::ParticipantId;

use super::SITE_BITS;
use crate::live::rates::network_of;

/// Connections without anybody logged in, of all addresses: about 60 KiB each at most.
const MAX_STRANGERS: usize = 1_500;

/// Connections of one participant, all devices together.
const MAX_OF_PARTICIPANT: usize = 64;

/// Whose a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody's yet, from this address.
    Stranger(IpAddr),
    /// A participant's.
    Participant(ParticipantId),
    /// Somebody's who is counted elsewhere.
    Elsewhere,
}

/// Connections by whose they are, each by its number; later ones have higher numbers.
#[derive(Default)]
pub(super) struct Crowds {
    strangers: HashMap<IpAddr, BTreeSet<u64>>,
    count: usize,
    participants: HashMap<ParticipantId, BTreeSet<u64>>,
}

impl Crowds {
    /// Counts a connection; returns the one that has to go for it.
    pub(super) fn join(&mut self, number: u64, owner: Owner) -> Option<u64> {
        match owner {
            Owner::Stranger(address) => {
                self.count += usize::from(self.strangers.entry(address).or_default().insert(number));
                if self.count <= MAX_STRANGERS {
                    return None;
                }
                self.oldest_of_the_most()
            }
            Owner::Participant(participant) => {
                let own = self.participants.entry(participant).or_default();
                own.insert(number);
                if own.len() > MAX_OF_PARTICIPANT { own.first().copied() } else { None }
            }
            Owner::Elsewhere => None,
        }
    }

    /// The oldest connection of the address that has most, in the network that has most: one with an address for each
    /// connection is as many as its network.
    fn oldest_of_the_most(&self) -> Option<u64> {
        let mut networks: HashMap<IpAddr, usize> = HashMap::new();
        for (address, own) in &self.strangers {
            *networks.entry(network_of(*address, SITE_BITS)).or_default() += own.len();
        }
        let (most, _) = networks.into_iter().max_by_key(|(_, count)| *count)?;
        let within = self.strangers.iter().filter(|(address, _)| network_of(**address, SITE_BITS) == most);
        let (_, own) = within.max_by_key(|(_, own)| own.len())?;
        own.first().copied()
    }

    /// Counts a connection no more.
    pub(super) fn leave(&mut self, number: u64, owner: Owner) {
        match owner {
            Owner::Stranger(address) => {
                self.count -= usize::from(remove(&mut self.strangers, address, number));
            }
            Owner::Participant(participant) => drop(remove(&mut self.participants, participant, number)),
            Owner::Elsewhere => {}
        }
    }
}

fn remove<K: Hash + Eq>(crowds: &mut HashMap<K, BTreeSet<u64>>, key: K, number: u64) -> bool {
    let Some(own) = crowds.get_mut(&key) else { return false };
    let was_there = own.remove(&number);
    if own.is_empty() {
        crowds.remove(&key);
    }
    was_there
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_with_an_address_for_each_connection_loses_its_own() {
        let mut crowds = Crowds::default();
        let school = Owner::Stranger(IpAddr::from([192, 0, 2, 7]));
        assert_eq!((crowds.join(0, school), crowds.join(1, school)), (None, None));
        let attacker = |number: u64| {
            Owner::Stranger(IpAddr::from([0x2001, 0xdb8, 0, u16::try_from(number).unwrap(), 0, 0, 0, 1]))
        };
        for number in 2..MAX_STRANGERS as u64 {
            assert_eq!(crowds.join(number, attacker(number)), None);
        }
        let next = MAX_STRANGERS as u64;
        let ended = crowds.join(next, attacker(next)).unwrap();
        assert!(ended > 1, "the school's connection {ended} had to go");
    }

    #[test]
    fn whoever_is_many_loses_the_oldest_of_their_own() {
        let mut crowds = Crowds::default();
        let [attacker, school] = [1, 2].map(|last| Owner::Stranger(IpAddr::from([127, 0, 0, last])));
        assert_eq!(crowds.join(0, school), None);
        for number in 1..MAX_STRANGERS as u64 {
            assert_eq!(crowds.join(number, attacker), None);
        }
        let next = MAX_STRANGERS as u64;
        assert_eq!(crowds.join(next, attacker), Some(1));
        crowds.leave(1, attacker);
        // A newcomer is let in, and the attacker makes room.
        assert_eq!(crowds.join(next + 1, school), Some(2));
        crowds.leave(2, attacker);
        crowds.leave(2, attacker);
        // Whoever logs in makes room, too.
        crowds.leave(next + 1, school);
        let somebody = Owner::Participant(ParticipantId::from_number(1).unwrap());
        assert_eq!(crowds.join(next + 1, somebody), None);
        assert_eq!(crowds.join(next + 2, attacker), None);
        for number in 0..MAX_OF_PARTICIPANT as u64 - 1 {
            assert_eq!(crowds.join(next + 3 + number, somebody), None);
        }
        assert_eq!(crowds.join(2 * next, somebody), Some(next + 1));
    }
}
