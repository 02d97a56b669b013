//! Between two servers, whichever of them is restored, and with a second home.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use momedo_client::profile::Profile;
use momedo_client::receiving::Received;
use momedo_client::sending::Destination;
use momedo_client::{devices, rotation};
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Action, Encryption, GroupRole};
use rusqlite::Connection;

use super::{copy_folder, membership, no_attack, on_a_deep_stack, post, settings, shows};
use crate::harness::{Server, text};
use crate::key_backup::string;
use crate::neighbours::{id, neighbour, pair, receive_until, say, state, until};
use crate::second_home::settle;

/// Lost lines are noticed soon.
const SETTINGS: &str = "[neighbours]\nheartbeat_seconds = 1\n";

/// What changes after the backup; a revocation, which a neighbour hears of within ten minutes, is tried with a second home.
/// Ada lives on the first server, Ben on the second, and Ada's keeps the group.
#[derive(Debug, Clone, Copy)]
enum Change {
    AdaRotates,
    BenRotates,
    GroupRenamed,
    BenAdded,
    BenRemovedAndAdded,
    GroupMade,
    MailTaken,
}

const CHANGES: [Change; 7] = [
    Change::AdaRotates,
    Change::BenRotates,
    Change::GroupRenamed,
    Change::BenAdded,
    Change::BenRemovedAndAdded,
    Change::GroupMade,
    Change::MailTaken,
];

/// Two servers as they were when backups of both were made.
struct Two {
    servers: [Server; 2],
    templates: [tempfile::TempDir; 2],
    backups: [String; 2],
    /// With Ben in it, and without.
    groups: [GroupId; 2],
}

fn back_up(server: &Server) -> String {
    string(&server.json(&["admin", "backup", "now", "--data-dir", "data", "--json"])[0], "name")
}

fn restore(server: &mut Server, backup: &str) {
    server.terminate();
    let file = format!("data/backups/{backup}.db");
    let restored = server.run(&["admin", "restore", &file, "--replace", "--data-dir", "data"]);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    server.launch();
}

fn are_connected(servers: &[Server; 2]) {
    let [one, two] = [id(&servers[0]), id(&servers[1])];
    until("the line is back", || {
        state(&servers[0], &two) == "connected" && state(&servers[1], &one) == "connected"
    });
}

async fn rotate(profile: &Profile) {
    let mut session = profile.log_in("en").await.unwrap();
    rotation::rotate(profile, &mut session, &|_| {}).await.unwrap();
}

async fn revoke(profile: &Profile, other: &Profile) {
    devices::revoke(profile, &[other.device().unwrap()], &[], "en", &|_| {}).await.unwrap();
}

async fn gets(profile: &Profile, who: &str, words: &str) {
    let all: Vec<Received> = receive_until(profile, |all| shows(all, words)).await;
    no_attack(who, &all);
}

impl Two {
    async fn prepare() -> Self {
        let servers = [Server::start_with(SETTINGS), Server::start_with(SETTINGS)];
        pair(&servers[0], &servers[1]);
        servers.iter().for_each(|server| drop(neighbour(server, &["allow", "--all"])));
        let (ada, ben) =
            (servers[0].register_profile(0, "ada").await, servers[1].register_profile(1, "ben").await);
        say(&ada, &ben, "hin").await;
        gets(&ben, "ben", "hin").await;
        say(&ben, &ada, "her").await;
        gets(&ada, "ada", "her").await;
        let mut groups = Vec::new();
        for members in [&[ben.id().unwrap()][..], &[]] {
            let mut moderator = membership(&ada).await;
            let group =
                moderator.create(settings("Hof", Access::Closed), Encryption::Symmetric).await.unwrap().id();
            if !members.is_empty() {
                moderator.add(group, members, GroupRole::Member).await.unwrap();
            }
            groups.push(group);
        }
        post(&ada, Destination::Group(groups[0]), "in der Gruppe").await.unwrap();
        gets(&ben, "ben", "in der Gruppe").await;
        let backups = [back_up(&servers[0]), back_up(&servers[1])];
        let mut two = Self {
            servers,
            templates: [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()],
            backups,
            groups: groups.try_into().unwrap(),
        };
        for (server, template) in two.servers.iter_mut().zip(&two.templates) {
            server.terminate();
            copy_folder(server.folder.path(), template.path());
        }
        two
    }

    fn begin_anew(&mut self) {
        for (server, template) in self.servers.iter_mut().zip(&self.templates) {
            let folder = server.folder.path();
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
                    .unwrap();
            }
            copy_folder(template.path(), folder);
            server.launch();
        }
        are_connected(&self.servers);
    }

    fn people(&self) -> [Profile; 2] {
        [0, 1].map(|number: usize| {
            let name = ["ada", "ben"][number];
            momedo_client_native::profiles::open(&self.servers[number].profile(name), None).unwrap()
        })
    }

    /// Does it; answers the groups in which both write from now on.
    async fn change(&self, change: Change) -> Vec<GroupId> {
        let [ada, ben] = &self.people();
        let [with_ben, without] = self.groups;
        let mut groups = vec![with_ben];
        match change {
            Change::AdaRotates => rotate(ada).await,
            Change::BenRotates => rotate(ben).await,
            Change::GroupRenamed => {
                let renamed = Action::Settings { settings: settings("Garten", Access::Closed) };
                membership(ada).await.change(with_ben, |_| renamed.clone()).await.unwrap();
            }
            Change::BenAdded => {
                membership(ada).await.add(without, &[ben.id().unwrap()], GroupRole::Member).await.unwrap();
                groups.push(without);
            }
            Change::BenRemovedAndAdded => {
                let ben = [ben.id().unwrap()];
                membership(ada).await.remove(with_ben, &ben).await.unwrap();
                membership(ada).await.add(with_ben, &ben, GroupRole::Moderator).await.unwrap();
            }
            Change::GroupMade => {
                let mut moderator = membership(ada).await;
                let made = settings("Neu", Access::Closed);
                let group = moderator.create(made, Encryption::Asymmetric).await.unwrap().id();
                moderator.add(group, &[ben.id().unwrap()], GroupRole::Moderator).await.unwrap();
                groups.push(group);
            }
            Change::MailTaken => {}
        }
        groups
    }

    /// Both write to each other and to their groups.
    async fn both_write(&self, groups: &[GroupId], word: &str) {
        let [ada, ben] = &self.people();
        for (from, to, name) in [(ada, ben, "ben"), (ben, ada, "ada")] {
            let words = format!("{word} an {name}");
            say(from, to, &words).await;
            gets(to, name, &words).await;
            for group in groups {
                let words = format!("{word} in {group} an {name}");
                let posted = post(from, Destination::Group(*group), &words).await;
                posted.unwrap_or_else(|error| panic!("nobody can post for {name} to {group}: {error}"));
                gets(to, name, &words).await;
            }
        }
    }
}

async fn walk(restored: usize) {
    let mut two = Two::prepare().await;
    let mut failed = Vec::new();
    for change in CHANGES {
        two.begin_anew();
        let tried = async {
            let groups = two.change(change).await;
            two.both_write(&groups, "dazwischen").await;
            let backup = two.backups[restored].clone();
            restore(&mut two.servers[restored], &backup);
            are_connected(&two.servers);
            Box::pin(two.both_write(&groups, "nachher")).await;
            let [ada, ben] = &two.people();
            rotate(ada).await;
            rotate(ben).await;
            Box::pin(two.both_write(&groups, "mit neuen Schlüsseln")).await;
            for (here, there) in [(0, 1), (1, 0)] {
                let rows = neighbour(&two.servers[here], &["list"]);
                let row = rows.iter().find(|row| row["id"] == id(&two.servers[there])).unwrap();
                assert!(row["log"]["broken_at"].is_null(), "{row}");
            }
        };
        if let Err(panic) = AssertUnwindSafe(Box::pin(tried)).catch_unwind().await {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
            failed.push(format!("{change:?}: {}", words.unwrap_or_default()));
        }
        two.servers.iter_mut().for_each(Server::kill);
    }
    assert!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), CHANGES.len(), failed.join("\n"));
}

#[test]
fn people_of_two_servers_go_on_when_the_one_that_keeps_the_group_is_restored() {
    on_a_deep_stack(|| walk(0));
}

#[test]
fn people_of_two_servers_go_on_when_the_other_one_is_restored() {
    on_a_deep_stack(|| walk(1));
}

/// The newest version of the only participant's keys that a server has.
fn version(server: &Server) -> u64 {
    let database = Connection::open(server.data().join("momedo.db")).unwrap();
    database.query_row("SELECT coalesce(max(version), 0) FROM key_bundles", [], |row| row.get(0)).unwrap()
}

/// Two servers that are second homes for each other's people, with Ada on the first.
async fn pair_with_ada() -> ([Server; 2], Profile) {
    let servers = [Server::start_with(SETTINGS), Server::start_with(SETTINGS)];
    pair(&servers[0], &servers[1]);
    for (here, there) in [(0, 1), (1, 0)] {
        neighbour(&servers[here], &["allow", &id(&servers[there]), "--second-home", "true"]);
    }
    let ada = servers[0].register_profile(0, "ada").await;
    momedo_testing::people::add_device(&ada, &servers[0].profile("tablet"), "tablet").await.unwrap();
    (servers, ada)
}

#[test]
fn a_second_home_hands_the_first_the_newest_keys_back_before_anybody_comes() {
    on_a_deep_stack(|| async {
        let (mut servers, ada) = pair_with_ada().await;
        let ben = servers[0].register_profile(1, "ben").await;
        settle(&servers[0], &servers[1], &["ada"]);
        say(&ben, &ada, "vorher").await;
        gets(&ada, "ada", "vorher").await;
        let backup = back_up(&servers[0]);
        let before = version(&servers[0]);
        let tablet = momedo_client_native::profiles::open(&servers[0].profile("tablet"), None).unwrap();
        revoke(&ada, &tablet).await;
        until("the second home hears of it", || version(&servers[1]) == before + 1);
        restore(&mut servers[0], &backup);
        until("the first home has the newest keys", || version(&servers[0]) == before + 1);
        // So the revoked device does not get in, although nobody else came yet.
        assert!(tablet.log_in("en").await.is_err());
        rotate(&ada).await;
        until("the second home hears of the next ones", || version(&servers[1]) == before + 2);
        // And either may fail.
        say(&ben, &ada, "nachher").await;
        servers[0].kill();
        gets(&ada, "ada", "nachher").await;
    });
}

#[test]
fn a_second_home_that_was_restored_is_told_anew() {
    on_a_deep_stack(|| async {
        let (mut servers, ada) = pair_with_ada().await;
        let empty = back_up(&servers[1]);
        settle(&servers[0], &servers[1], &["ada"]);
        let known = back_up(&servers[1]);
        rotate(&ada).await;
        let newest = version(&servers[0]);
        until("the second home hears of it", || version(&servers[1]) == newest);
        for backup in [&known, &empty] {
            restore(&mut servers[1], backup);
            are_connected(&servers);
            until("it has the newest keys again", || version(&servers[1]) == newest);
        }
    });
}

#[test]
fn a_second_home_taken_after_the_backup_stays_one() {
    on_a_deep_stack(|| async {
        let (mut servers, ada) = pair_with_ada().await;
        let ben = servers[0].register_profile(1, "ben").await;
        let backup = back_up(&servers[0]);
        settle(&servers[0], &servers[1], &["ada"]);
        let newest = version(&servers[1]);
        restore(&mut servers[0], &backup);
        are_connected(&servers);
        say(&ben, &ada, "nachher").await;
        gets(&ada, "ada", "nachher").await;
        assert!(version(&servers[0]) >= newest);
        rotate(&ada).await;
        settle(&servers[0], &servers[1], &["ada"]);
    });
}
