//! Servers that say over multicast DNS that they are in the local network: rumours, for an admin to pick from.
//!
//! Nobody has proved anything. What is heard fills a bounded list and is used for nothing else; a server that was picked
//! has to prove its key like any other. The sockets are in [`crate::neighbours`].

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::link::MAX_ADDRESSES;
use momedo_protocol::name::is_acceptable_name;
use tokio::sync::{Notify, watch};

use crate::domain::dialling::may_reach;
use crate::domain::folding::sort_key;
use crate::domain::neighbour::may_ask_without_code;

/// Most servers in the list; whoever announces more is playing.
const MAX_FOUND: usize = 64;

/// A server that was heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The server ID it claims.
    pub id: Fingerprint,
    /// The name it gives itself.
    pub name: String,
    /// Where it says it can be dialled, at most [`MAX_ADDRESSES`].
    pub addresses: Vec<String>,
}

impl Found {
    /// Takes an announcement over as far as it makes sense; `None` when nothing of it can be used.
    pub fn heard(
        id: &str,
        name: &str,
        port: u16,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Option<Self> {
        let id: Fingerprint = id.parse().ok()?;
        // What is dialled is a private address: never loopback, nor one that leads no farther than the cable.
        let is_usable = |ip: &IpAddr| may_ask_without_code(*ip) && may_reach(*ip, &[]).is_ok();
        let mut addresses: Vec<IpAddr> = addresses.into_iter().filter(is_usable).collect();
        addresses.sort();
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() || port == 0 {
            return None;
        }
        let name = if is_acceptable_name(name) { name.to_owned() } else { id.to_string()[..8].to_owned() };
        let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port).to_string()).collect();
        Some(Self { id, name, addresses })
    }
}

/// Everything that was heard of.
#[derive(Default)]
pub struct Nearby {
    found: Mutex<HashMap<String, Found>>,
    looking: AtomicBool,
    again: Notify,
    changed: watch::Sender<u64>,
}

impl Nearby {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears of every change of the list.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn note_change(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Notes whether others are listened for; what was heard before is forgotten.
    pub fn set_looking(&self, looking: bool) {
        self.looking.store(looking, Ordering::Release);
        self.lock().clear();
        self.note_change();
    }

    /// Whether others are listened for.
    pub fn is_looking(&self) -> bool {
        self.looking.load(Ordering::Acquire)
    }

    /// Notes what an instance of the service says of itself; beyond the limit it is dropped.
    pub fn note(&self, instance: &str, found: Found) {
        let mut all = self.lock();
        if all.get(instance) == Some(&found) || (all.len() >= MAX_FOUND && !all.contains_key(instance)) {
            return;
        }
        all.insert(instance.to_owned(), found);
        drop(all);
        self.note_change();
    }

    /// Forgets an instance that has gone.
    pub fn forget(&self, instance: &str) {
        if self.lock().remove(instance).is_some() {
            self.note_change();
        }
    }

    /// The names of all instances.
    pub fn instances(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Every server once, by name; where several instances claim one ID, with the addresses of all.
    pub fn list(&self) -> Vec<Found> {
        let all = self.lock();
        let mut instances: Vec<_> = all.iter().collect();
        instances.sort_by_key(|(instance, _)| *instance);
        let mut servers: BTreeMap<[u8; 32], Found> = BTreeMap::new();
        for (_, found) in instances {
            let server =
                servers.entry(found.id.0).or_insert_with(|| Found { addresses: Vec::new(), ..found.clone() });
            for address in &found.addresses {
                if server.addresses.len() < MAX_ADDRESSES && !server.addresses.contains(address) {
                    server.addresses.push(address.clone());
                }
            }
        }
        let mut servers: Vec<Found> = servers.into_values().collect();
        servers.sort_by_cached_key(|server| (sort_key(&server.name), server.id.0));
        servers
    }

    /// Asks for another look, because somebody reads the list.
    pub fn look_again(&self) {
        self.again.notify_one();
    }

    /// Waits until another look is asked for.
    pub async fn wanted_again(&self) {
        self.again.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> String {
        Fingerprint([byte; 32]).to_string()
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn of_an_announcement_only_what_makes_sense_is_taken() {
        let heard = |name: &str, texts: &[&str]| Found::heard(&id(1), name, 4710, addresses(texts));
        let found = heard(
            "Schule am See",
            &["fe80::1", "8.8.8.8", "fd00::7", "127.0.0.1", "169.254.3.4", "10.0.0.7"],
        )
        .unwrap();
        assert_eq!(
            (found.name.as_str(), found.addresses),
            ("Schule am See", vec!["10.0.0.7:4710".into(), "[fd00::7]:4710".into()])
        );
        assert_eq!(heard("x", &["8.8.8.8", "127.0.0.1"]), None);
        assert_eq!(Found::heard("x", "x", 4710, addresses(&["10.0.0.7"])), None);
        assert_eq!(Found::heard(&id(1), "x", 0, addresses(&["10.0.0.7"])), None);
        let many: Vec<String> = (1..100).map(|last| format!("10.0.0.{last}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let found = heard(&"x".repeat(1000), &many).unwrap();
        assert_eq!((found.name.as_str(), found.addresses.len()), ("01010101", MAX_ADDRESSES));
    }

    #[test]
    fn the_list_is_bounded_and_names_every_server_once() {
        let nearby = Nearby::default();
        let found = |byte: u8, name: &str, address: &str| {
            Found::heard(&id(byte), name, 4710, addresses(&[address])).unwrap()
        };
        nearby.note("b", found(2, "B", "10.0.0.2"));
        nearby.note("a", found(1, "A", "10.0.0.1"));
        // Somebody claims to be A, too.
        nearby.note("c", found(1, "C", "10.0.0.3"));
        let names: Vec<_> =
            nearby.list().into_iter().map(|found| (found.name, found.addresses.len())).collect();
        assert_eq!(names, [("A".to_owned(), 2), ("B".to_owned(), 1)]);
        for number in 0..1000 {
            nearby.note(&number.to_string(), found(3, "D", "10.0.0.4"));
        }
        assert_eq!(nearby.instances().len(), MAX_FOUND);
        nearby.note("a", found(4, "E", "10.0.0.5"));
        assert!(nearby.list().iter().any(|found| found.name == "E"));
        nearby.forget("b");
        assert!(nearby.list().iter().all(|found| found.name != "B"));
        nearby.set_looking(true);
        assert!(nearby.list().is_empty() && nearby.is_looking());
    }
}
