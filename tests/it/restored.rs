//! A backup older than a change is restored, for every kind of change there is, and everybody goes on: they write to each
//! other and to their groups, renew their keys, revoke devices, leave and end groups, and nothing revoked is back.
//!
//! | module | holds |
//! |---|---|
//! | [`changes`] | every kind of change, and which of them each entry of a group's chain is tried by |
//! | [`across`] | the same between two servers, and with a second home |
//! | [`hostile`] | what somebody makes of such a server: nothing |

mod across;
mod changes;
mod hostile;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::receiving::{self, Received};
use momedo_client::sending::{Destination, Draft, send};
use momedo_client::{ClientError, devices, rotation};
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Action, Encryption, GroupEntry, GroupRole, Posting, Settings};
use momedo_protocol::id::ParticipantId;
use momedo_testing::keys::ParticipantKeys;
use serde_json::Value;

use crate::harness::{Server, text};
use crate::key_backup::string;
use changes::Change;

const WAIT: Duration = Duration::from_secs(20);

/// A server with people, their devices and groups, as it was when the backup was made.
pub(crate) struct World {
    pub(crate) server: Server,
    /// Folders of the profiles that are to go on, the main device of each person first.
    pub(crate) devices: Vec<&'static str>,
    /// Devices that must not get in any more once another one of the person was heard.
    pub(crate) out: Vec<&'static str>,
    /// Groups in which everybody who belongs goes on writing.
    pub(crate) groups: Vec<GroupId>,
    /// Whoever is not to be written to: the server knows them no more, or their admin has to act.
    pub(crate) unknown: Vec<&'static str>,
    /// Pairs of whom the first takes nothing from the second.
    pub(crate) blocked: Vec<(&'static str, &'static str)>,
    /// The recovery code that was valid when the backup was made.
    pub(crate) code: Value,
    /// How far chains were known when the backup was restored.
    known: Vec<(&'static str, GroupId, u32, Sha512Digest)>,
    backup: String,
    template: tempfile::TempDir,
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy_folder(&entry.path(), &target),
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), target).unwrap()),
            _ => {}
        }
    }
}

pub(crate) fn settings(name: &str, access: Access) -> Settings {
    Settings { name: name.into(), posting: Posting::Everyone, access }
}

pub(crate) async fn membership(profile: &Profile) -> Membership<'_> {
    Membership::begin(profile, "en", &|_| {}).await.unwrap()
}

/// Everything there is, and that nothing went wrong.
pub(crate) async fn receive(profile: &Profile) -> Result<Vec<Received>, ClientError> {
    let mut session = profile.log_in("en").await?;
    let mut shown = Vec::new();
    let mut show = |received: &Received| {
        shown.push(received.clone());
        Ok(())
    };
    receiving::receive(profile, &mut session, Duration::ZERO, &mut show).await?;
    Ok(shown)
}

pub(crate) async fn post(profile: &Profile, to: Destination, text: &str) -> Result<(), ClientError> {
    send(profile, to, &Draft::text(text), WAIT, "en", &|_| {}).await.map(drop)
}

pub(crate) fn shows(all: &[Received], text: &str) -> bool {
    all.iter().filter(|one| one.verified && one.text.as_deref() == Some(text)).count() == 1
}

/// A server that shows different keys to different people is none of these.
fn no_attack(who: &str, all: &[Received]) {
    let attack = all.iter().find(|one| {
        let words = one.text.as_deref().unwrap_or_default();
        one.kind == "alarm" && (words.contains("different keys") || words.contains("none of your devices"))
    });
    assert!(attack.is_none(), "{who} hears of an attack where there is none: {attack:?}");
}

/// Whose device a profile is, by its name.
pub(crate) fn person(device: &str) -> &str {
    device.split('-').next().unwrap_or(device)
}

impl World {
    /// Ada with a phone and a tablet, Ben, Carl and Dora, two groups of the first three, and a backup.
    pub(crate) async fn prepare() -> Self {
        let server = Server::start();
        for (number, name) in ["ada", "ben", "carl"].into_iter().enumerate() {
            server.register_profile(number, name).await;
        }
        server.register_profile_with(server.invite(), "dora", ParticipantKeys::generate).await;
        let code = server.json(&["user", "backup-keys", "--profile", "ada", "--json"]).remove(0);
        let mut world = Self {
            server,
            devices: vec!["ada", "ada-tablet", "ben", "carl", "dora"],
            out: Vec::new(),
            groups: Vec::new(),
            unknown: Vec::new(),
            blocked: Vec::new(),
            code,
            known: Vec::new(),
            backup: String::new(),
            template: tempfile::tempdir().unwrap(),
        };
        world.add_device("ada", "ada-tablet").await;
        for (name, encryption) in [("Klasse", Encryption::Symmetric), ("Liste", Encryption::Asymmetric)] {
            let id = world.make_group("ada", name, encryption, &["ben", "carl"]).await;
            world.groups.push(id);
        }
        world.everybody_writes("vorher").await;
        let made = world.server.json(&["admin", "backup", "now", "--data-dir", "data", "--json"]).remove(0);
        world.backup = string(&made, "name");
        world.server.terminate();
        copy_folder(world.server.folder.path(), world.template.path());
        world
    }

    /// As it was when the backup was made.
    fn begin_anew(&mut self, fresh: &Fresh) {
        let folder = self.server.folder.path();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
        }
        copy_folder(self.template.path(), folder);
        self.devices = fresh.devices.clone();
        self.groups = fresh.groups.clone();
        self.out.clear();
        self.unknown.clear();
        self.blocked.clear();
        self.server.launch();
    }

    pub(crate) fn open(&self, device: &str) -> Profile {
        momedo_client_native::profiles::open(&self.server.profile(device), None).unwrap()
    }

    pub(crate) fn id(&self, device: &str) -> ParticipantId {
        self.open(device).id().unwrap()
    }

    pub(crate) async fn add_device(&self, by: &str, new: &str) {
        let path = self.server.profile(new);
        momedo_testing::people::add_device(&self.open(by), &path, new).await.unwrap();
    }

    pub(crate) async fn make_group(
        &self,
        by: &str,
        name: &str,
        encryption: Encryption,
        members: &[&str],
    ) -> GroupId {
        let profile = self.open(by);
        let mut moderator = membership(&profile).await;
        let id = moderator.create(settings(name, Access::Closed), encryption).await.unwrap().id();
        let ids: Vec<_> = members.iter().map(|member| self.id(member)).collect();
        if !ids.is_empty() {
            moderator.add(id, &ids, GroupRole::Moderator).await.unwrap();
        }
        id
    }

    pub(crate) fn admin(&self, arguments: &[&str]) -> Vec<Value> {
        self.server.json(&[&["admin"][..], arguments, &["--data-dir", "data", "--json"]].concat())
    }

    /// How far the chains of all groups are known, and to whom.
    fn chains(&self) -> Vec<(&'static str, GroupId, u32, Sha512Digest)> {
        let mut chains: Vec<(&'static str, GroupId, u32, Sha512Digest)> = Vec::new();
        for device in &self.devices {
            let profile = self.open(device);
            for state in profile.groups().unwrap() {
                let known = chains.iter().position(|(_, id, ..)| *id == state.id());
                let chain = (*device, state.id(), state.number, state.head);
                match known {
                    None => chains.push(chain),
                    Some(known) if chains[known].2 < state.number => chains[known] = chain,
                    Some(_) => {}
                }
            }
        }
        chains
    }

    /// The server has every entry again that anybody had.
    async fn nothing_is_lost_of_chains(&self) {
        for (device, group, number, head) in &self.known {
            let profile = self.open(device);
            let mut session = profile.log_in("en").await.unwrap();
            let entries = session.group_entries(*group, number - 1, None).await;
            let entries =
                entries.unwrap_or_else(|error| panic!("{group} is not there for {device}: {error}")).entries;
            let entry = entries.first().map(|entry| GroupEntry::read(entry).unwrap().digest);
            assert_eq!(entry, Some(*head), "{group} lost entry {number}, which {device} has");
        }
    }

    /// Stops the server, puts the backup in its place and starts it again.
    pub(crate) fn restore(&mut self) {
        self.known = self.chains();
        self.server.terminate();
        let file = format!("data/backups/{}.db", self.backup);
        let restored = self.server.run(&["admin", "restore", &file, "--replace", "--data-dir", "data"]);
        assert!(restored.status.success(), "{}", text(&restored.stderr));
        self.server.launch();
    }

    /// One device of everybody who is to go on.
    fn writers(&self) -> Vec<&'static str> {
        let mut writers: Vec<&'static str> = Vec::new();
        for device in &self.devices {
            if writers.iter().all(|writer| person(writer) != person(device)) {
                writers.push(device);
            }
        }
        writers
    }

    /// Whoever one takes something from.
    fn takes(&self, to: &str, from: &str) -> bool {
        !self.blocked.iter().any(|(by, whom)| *by == person(to) && *whom == person(from))
    }

    pub(crate) async fn everybody_receives(&self) -> Vec<(&'static str, Vec<Received>)> {
        let mut all = Vec::new();
        for device in &self.devices {
            let received = receive(&self.open(device)).await;
            let received = received.unwrap_or_else(|error| panic!("{device} cannot receive: {error}"));
            no_attack(device, &received);
            all.push((*device, received));
        }
        all
    }

    /// Everybody writes to everybody and to their groups, and every device of everybody shows it once, verified.
    pub(crate) async fn everybody_writes(&self, word: &str) {
        let mut sent: Vec<(String, &str, Vec<&str>)> = Vec::new();
        let people: Vec<_> = self.writers();
        for from in &people {
            let profile = self.open(from);
            for to in people.iter().filter(|to| *to != from && self.takes(to, from)) {
                let text = format!("{word}: {from} an {to}");
                let result = post(&profile, Destination::Participant(self.id(to)), &text).await;
                result.unwrap_or_else(|error| panic!("{from} cannot write to {to}: {error}"));
                sent.push((text, from, vec![person(to)]));
            }
            for to in people.iter().filter(|to| !self.takes(to, from)) {
                let refused = post(&profile, Destination::Participant(self.id(to)), "trotzdem").await;
                let problem = refused.as_ref().err().and_then(ClientError::problem);
                assert_eq!(problem, Some("blocked"), "{from} to {to}");
            }
            for group in &self.groups {
                let Some(state) = profile.group(*group).unwrap() else { continue };
                if state.active(profile.id().unwrap()).is_none() || state.archived {
                    continue;
                }
                let text = format!("{word}: {from} in {group}");
                let result = post(&profile, Destination::Group(*group), &text).await;
                result.unwrap_or_else(|error| {
                    panic!("{from} cannot write to {}: {error}", state.settings.name)
                });
                let state = profile.group(*group).unwrap().unwrap();
                let readers = people.iter().filter(|to| *to != from && self.takes(to, from));
                let readers = readers.filter(|to| state.active(self.id(to)).is_some());
                sent.push((text, from, readers.map(|to| person(to)).collect()));
            }
        }
        let shown = self.everybody_receives().await;
        for (text, from, readers) in sent {
            for (device, received) in shown.iter().filter(|(device, _)| readers.contains(&person(device))) {
                assert!(
                    shows(received, &text),
                    "{device} does not show what {from} wrote: {text}: {received:#?}"
                );
            }
        }
    }

    /// Everybody makes new keys.
    async fn everybody_rotates(&self) {
        for device in self.writers() {
            let profile = self.open(device);
            let mut session = profile.log_in("en").await.unwrap();
            let rotated = rotation::rotate(&profile, &mut session, &|_| {}).await;
            rotated.unwrap_or_else(|error| panic!("{device} cannot make new keys: {error}"));
        }
    }

    /// Whoever has two devices revokes the second.
    async fn second_devices_are_revoked(&mut self) {
        let writers = self.writers();
        for device in self.devices.clone() {
            let Some(writer) = writers.iter().find(|writer| person(writer) == person(device)) else {
                continue;
            };
            if *writer == device {
                continue;
            }
            let (profile, revoked) = (self.open(writer), self.open(device).device().unwrap());
            let mut session = profile.log_in("en").await.unwrap();
            let (list, _) = devices::list(&profile, &mut session).await.unwrap();
            let kept: Vec<_> =
                list.devices.iter().map(|entry| entry.id()).filter(|id| *id != revoked).collect();
            let result = devices::revoke(&profile, &[revoked], &kept, "en", &|_| {}).await;
            result.unwrap_or_else(|error| panic!("{writer} cannot revoke {device}: {error}"));
            self.devices.retain(|known| *known != device);
            self.out.push(device);
        }
    }

    /// In every group somebody leaves, somebody is removed, and somebody ends it.
    async fn groups_end(&self) {
        for group in &self.groups {
            let writers = self.writers();
            let belongs = |device: &&&str| {
                let profile = self.open(device);
                profile
                    .group(*group)
                    .unwrap()
                    .filter(|state| state.active(profile.id().unwrap()).is_some())
                    .is_some()
            };
            let members: Vec<_> = writers.iter().filter(belongs).collect();
            let is_moderator = |device: &&&&str| {
                let profile = self.open(device);
                let state = profile.group(*group).unwrap().unwrap();
                state.active(profile.id().unwrap()).is_some_and(|member| member.role == GroupRole::Moderator)
            };
            let state = |device: &str| self.open(device).group(*group).unwrap().unwrap();
            let Some(moderator) = members.iter().find(is_moderator) else { continue };
            if state(moderator).archived {
                continue;
            }
            let others: Vec<_> = members.iter().filter(|member| *member != moderator).collect();
            if let Some(leaves) = others.first() {
                let profile = self.open(leaves);
                let left = membership(&profile).await.leave(*group).await;
                left.unwrap_or_else(|error| panic!("{leaves} cannot leave: {error}"));
            }
            let profile = self.open(moderator);
            if let Some(removed) = others.get(1) {
                let removed = self.id(removed);
                let result = membership(&profile).await.remove(*group, &[removed]).await;
                result.unwrap_or_else(|error| panic!("{moderator} cannot remove: {error}"));
            }
            let archived = membership(&profile).await.change(*group, |_| Action::Archive {}).await;
            archived.unwrap_or_else(|error| panic!("{moderator} cannot archive: {error}"));
        }
    }

    /// Nothing revoked is back.
    async fn nobody_is_back(&self) {
        for device in &self.out {
            let session = self.open(device).log_in("en").await;
            assert!(session.is_err(), "{device} was revoked and gets in");
        }
    }

    /// Everything people do goes on.
    pub(crate) async fn everybody_goes_on(&mut self) {
        self.everybody_receives().await;
        self.nothing_is_lost_of_chains().await;
        self.everybody_receives().await;
        self.nobody_is_back().await;
        self.everybody_writes("nachher").await;
        self.everybody_rotates().await;
        self.everybody_writes("mit neuen Schlüsseln").await;
        self.second_devices_are_revoked().await;
        self.everybody_writes("ohne das zweite Gerät").await;
        self.nobody_is_back().await;
        self.groups_end().await;
        self.everybody_receives().await;
    }
}

/// What a world begins anew with.
struct Fresh {
    devices: Vec<&'static str>,
    groups: Vec<GroupId>,
}

/// Runs what holds the futures of everything people do: unoptimised, more than a test's own stack has room for.
pub(crate) fn on_a_deep_stack<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) {
    let run = move || tokio::runtime::Runtime::new().unwrap().block_on(work());
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(run).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Restores the backup after each of these changes, and tells of all that do not go well.
async fn walk(changes: &[Change]) {
    let mut world = World::prepare().await;
    let fresh = Fresh { devices: world.devices.clone(), groups: world.groups.clone() };
    let mut failed = Vec::new();
    for change in changes {
        world.begin_anew(&fresh);
        let tried = async {
            Box::pin(change.make(&mut world)).await;
            world.restore();
            change.admin_acts_again(&mut world);
            Box::pin(world.everybody_goes_on()).await;
        };
        if let Err(panic) = AssertUnwindSafe(tried).catch_unwind().await {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
            failed.push(format!("{change:?}: {}", words.unwrap_or_default()));
        }
        world.server.kill();
    }
    assert!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), changes.len(), failed.join("\n"));
}

#[test]
fn keys_and_devices_go_on_after_an_older_backup() {
    on_a_deep_stack(|| walk(Change::OF_KEYS));
}

#[test]
fn groups_go_on_after_an_older_backup() {
    on_a_deep_stack(|| walk(Change::OF_GROUPS));
}

#[test]
fn everything_else_goes_on_after_an_older_backup() {
    on_a_deep_stack(|| walk(Change::OF_OTHERS));
}

#[test]
fn every_kind_of_change_is_walked_through() {
    let walked = [Change::OF_KEYS, Change::OF_GROUPS, Change::OF_OTHERS].concat();
    for change in Change::ALL {
        assert_eq!(walked.iter().filter(|one| *one == change).count(), 1, "{change:?}");
    }
    assert_eq!(walked.len(), Change::ALL.len());
}
