//! Every kind of change that a backup can be older than.

use std::time::Duration;

use momedo_client::blobs::{self, Metadata};
use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::sending::{Destination, Draft, send};
use momedo_client::{blocking, contacts, devices, rotation};
use momedo_protocol::api::JoinedHow;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Action, Encryption, GroupEntry, GroupRole};
use momedo_protocol::kind::{Attachments, Content, Poll, Withdrawal};
use momedo_testing::keys::ParticipantKeys;

use super::{World, membership, post, settings};
use crate::harness::text;
use crate::key_backup::{recover, string};

macro_rules! changes {
    ($($list:ident { $($(#[$doc:meta])* $name:ident),+ $(,)? })+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Change { $($($(#[$doc])* $name),+),+ }

        impl Change {
            $(pub(super) const $list: &[Self] = &[$(Self::$name),+];)+
            pub(super) const ALL: &[Self] = &[$($(Self::$name),+),+];
        }
    };
}

changes! {
    OF_KEYS {
        /// New encryption keys.
        Rotated,
        /// Several times: a gap in versions.
        RotatedOften,
        /// By the device that is not heard first.
        RotatedByTheOther,
        DeviceLinked,
        DeviceRevoked,
        /// By one that was linked after the backup: the server knows the revoked one alone.
        DeviceRevokedByANewOne,
        DeviceLockedOut,
        RecoveryCodeMade,
        Recovered,
        Registered,
        KeysReset,
    }
    OF_GROUPS {
        GroupMade,
        MemberAdded,
        MemberLeft,
        MemberRemoved,
        RoleChanged,
        GroupRenamed,
        GroupKeyRenewed,
        LinkMade,
        LinkEnded,
        JoinedByLink,
        JoinedOpenGroup,
        GroupArchived,
        /// A group made after the backup in which much happened.
        ManyEntries,
    }
    OF_OTHERS {
        Blocked,
        PersonRenamed,
        Disabled,
        Verified,
        MailTaken,
        MailWaiting,
        FileSent,
        Withdrawn,
        Polled,
        ChatDeleted,
        /// The same backup once more, after people went on.
        RestoredTwice,
    }
}

/// By which changes each kind of entry of a group's chain is tried; a new kind does not compile without one.
fn tried_by(action: &Action) -> &'static [Change] {
    match action {
        Action::Create { .. } => &[Change::GroupMade, Change::ManyEntries],
        Action::Add { .. } => &[Change::MemberAdded],
        Action::Remove { .. } => &[Change::MemberRemoved],
        Action::Join { .. } => &[Change::JoinedByLink, Change::JoinedOpenGroup],
        Action::Leave {} => &[Change::MemberLeft],
        Action::Role { .. } => &[Change::RoleChanged],
        Action::Settings { .. } => &[Change::GroupRenamed],
        Action::Link { key: Some(_), .. } => &[Change::LinkMade],
        Action::Link { key: None, .. } => &[Change::LinkEnded],
        Action::Epoch { .. } => &[Change::GroupKeyRenewed],
        Action::Welcome { .. } => &[Change::MemberAdded],
        Action::Suspend { .. } => &[Change::KeysReset],
        Action::Renew { .. } => &[Change::DeviceRevoked],
        Action::Archive {} => &[Change::GroupArchived],
    }
}

/// By which change each way for a device to join is tried.
const fn joining(how: JoinedHow) -> Change {
    match how {
        JoinedHow::Registered => Change::Registered,
        JoinedHow::Linked => Change::DeviceLinked,
        JoinedHow::Recovered => Change::Recovered,
    }
}

const _: [Change; 3] =
    [joining(JoinedHow::Registered), joining(JoinedHow::Linked), joining(JoinedHow::Recovered)];

/// The kinds of entries of a group's chain.
async fn kinds(profile: &Profile, group: GroupId) -> Vec<Action> {
    let mut session = profile.log_in("en").await.unwrap();
    let entries = session.group_entries(group, 0, None).await.unwrap().entries;
    entries.iter().map(|entry| GroupEntry::read(entry).unwrap().payload.action).collect()
}

async fn revoke(world: &mut World, by: &str, device: &'static str, kept: &[&str]) {
    let (profile, revoked) = (world.open(by), world.open(device).device().unwrap());
    let kept: Vec<_> = kept.iter().map(|kept| world.open(kept).device().unwrap()).collect();
    devices::revoke(&profile, &[revoked], &kept, "en", &|_| {}).await.unwrap();
    world.devices.retain(|known| *known != device);
    world.out.push(device);
}

async fn rotate(world: &World, device: &str) {
    let profile = world.open(device);
    let mut session = profile.log_in("en").await.unwrap();
    rotation::rotate(&profile, &mut session, &|_| {}).await.unwrap();
}

async fn change(world: &World, by: &str, action: impl Fn() -> Action) {
    let profile = world.open(by);
    membership(&profile).await.change(world.groups[0], |_| action()).await.unwrap();
}

async fn say(
    world: &World,
    from: &str,
    to: &str,
    content: &Content,
) -> momedo_protocol::message_id::MessageId {
    let to = Destination::Participant(world.id(to));
    send(&world.open(from), to, &Draft::of(content), super::WAIT, "en", &|_| {}).await.unwrap().id
}

impl Change {
    /// Does it, and everybody hears of it where people do.
    pub(super) async fn make(self, world: &mut World) {
        let before = world.groups.clone();
        self.act(world).await;
        if self != Self::MailWaiting {
            world.everybody_receives().await;
        }
        // Whoever reads on without anything new holds no more than before.
        if Self::OF_GROUPS.contains(&self) || matches!(self, Self::KeysReset | Self::DeviceRevoked) {
            world.everybody_writes("dazwischen").await;
            let ben = world.open("ben");
            let mut actions = Vec::new();
            for group in before.iter().chain(&world.groups) {
                actions.extend(kinds(&ben, *group).await);
            }
            let is_tried = actions.iter().any(|action| tried_by(action).contains(&self));
            assert!(is_tried, "{self:?} made no entry of its kind");
        }
    }

    async fn act(self, world: &mut World) {
        let group = world.groups[0];
        match self {
            Self::Rotated => rotate(world, "ada").await,
            Self::RotatedOften => {
                for _ in 0..3 {
                    rotate(world, "ben").await;
                    world.everybody_receives().await;
                }
            }
            Self::RotatedByTheOther => rotate(world, "ada-tablet").await,
            Self::DeviceLinked => {
                world.add_device("ada", "ada-laptop").await;
                world.devices.push("ada-laptop");
            }
            Self::DeviceRevoked => revoke(world, "ada", "ada-tablet", &[]).await,
            Self::DeviceRevokedByANewOne => {
                world.add_device("ada", "ada-laptop").await;
                world.devices.push("ada-laptop");
                world.everybody_receives().await;
                revoke(world, "ada-laptop", "ada", &["ada-tablet"]).await;
                revoke(world, "ada-laptop", "ada-tablet", &[]).await;
            }
            Self::DeviceLockedOut => {
                let device = world.open("ada-tablet").device().unwrap().to_string();
                world.admin(&["participant", "revoke-device", &world.id("ada").to_string(), &device]);
                world.devices.retain(|known| *known != "ada-tablet");
                world.out.push("ada-tablet");
            }
            Self::RecoveryCodeMade => {
                world.server.json(&["user", "backup-keys", "--profile", "ada", "--json"]);
            }
            Self::Recovered => {
                let words = string(&world.code, "words");
                let recovered = recover(&world.server, &world.code, "ada-found", &words, &[]);
                assert!(recovered.status.success(), "{}", text(&recovered.stderr));
                world.devices.push("ada-found");
                // It joined with the keys of the day the code was made; what is written from now on it reads.
                let ben = world.open("ben");
                membership(&ben).await.new_key(group).await.unwrap();
            }
            Self::Registered => {
                let invite = world.server.invite();
                world.server.register_profile_with(invite, "emil", ParticipantKeys::generate).await;
                let ada = world.open("ada");
                membership(&ada).await.add(group, &[world.id("emil")], GroupRole::Member).await.unwrap();
                world.devices.push("emil");
                world.everybody_writes("mit Emil").await;
                world.devices.retain(|known| *known != "emil");
                world.unknown.push("emil");
            }
            Self::KeysReset => {
                let invite =
                    world.admin(&["participant", "reset-keys", &world.id("carl").to_string()]).remove(0);
                let link = string(&invite, "link").parse().unwrap();
                world.server.register_profile_with(link, "carl-anew", ParticipantKeys::generate).await;
                world.devices.retain(|known| *known != "carl");
                world.devices.push("carl-anew");
                world.out.push("carl");
                world.everybody_receives().await;
                for device in ["ada", "ada-tablet", "ben", "dora"] {
                    let (profile, carl) = (world.open(device), world.open("carl-anew"));
                    let mut session = profile.log_in("en").await.unwrap();
                    let fingerprint = carl.own_bundle().unwrap().fingerprint();
                    contacts::compare(&profile, &mut session, carl.id().unwrap(), fingerprint).await.unwrap();
                }
                post(&world.open("ben"), Destination::Group(group), "ohne Carl").await.unwrap();
                let ada = world.open("ada");
                for group in world.groups.clone() {
                    membership(&ada)
                        .await
                        .add(group, &[world.id("carl-anew")], GroupRole::Moderator)
                        .await
                        .unwrap();
                }
                for group in world.groups.clone() {
                    post(&ada, Destination::Group(group), "Willkommen zurück").await.unwrap();
                }
            }
            Self::GroupMade | Self::ManyEntries => {
                for encryption in [Encryption::Symmetric, Encryption::Asymmetric] {
                    let id = world.make_group("ada", "Neu", encryption, &["ben", "dora"]).await;
                    world.groups.push(id);
                }
                if self == Self::ManyEntries {
                    world.groups.rotate_right(1);
                    for number in 0..30 {
                        change(world, "ben", || Action::Settings {
                            settings: settings(&format!("Neu {number}"), Access::Closed),
                        })
                        .await;
                    }
                }
            }
            Self::MemberAdded => {
                let ada = world.open("ada");
                membership(&ada).await.add(group, &[world.id("dora")], GroupRole::Member).await.unwrap();
                post(&ada, Destination::Group(group), "Willkommen").await.unwrap();
            }
            Self::MemberLeft => {
                let carl = world.open("carl");
                membership(&carl).await.leave(group).await.unwrap();
            }
            Self::MemberRemoved => {
                let ada = world.open("ada");
                membership(&ada).await.remove(group, &[world.id("carl")]).await.unwrap();
            }
            Self::RoleChanged => {
                let member = world.id("carl");
                change(world, "ada", || Action::Role { member, role: GroupRole::Member }).await;
            }
            Self::GroupRenamed => {
                change(world, "ben", || Action::Settings { settings: settings("Umbenannt", Access::Closed) })
                    .await;
            }
            Self::GroupKeyRenewed => {
                let ben = world.open("ben");
                membership(&ben).await.new_key(group).await.unwrap();
            }
            Self::LinkMade | Self::LinkEnded => {
                let ada = world.open("ada");
                membership(&ada).await.open_link(group, 5).await.unwrap();
                if self == Self::LinkEnded {
                    change(world, "ada", || Action::Link { key: None, uses: 0 }).await;
                }
            }
            Self::JoinedByLink => {
                let (ada, dora) = (world.open("ada"), world.open("dora"));
                let link = membership(&ada).await.open_link(group, 5).await.unwrap();
                membership(&dora).await.join_by_link(&link).await.unwrap();
            }
            Self::JoinedOpenGroup => {
                change(world, "ada", || Action::Settings { settings: settings("Offen", Access::Open) }).await;
                let dora = world.open("dora");
                let mut joining: Membership<'_> = membership(&dora).await;
                joining.join(group).await.unwrap();
            }
            Self::GroupArchived => change(world, "ada", || Action::Archive {}).await,
            Self::Blocked => {
                let ben = world.open("ben");
                let mut session = ben.log_in("en").await.unwrap();
                blocking::block(&ben, &mut session, world.id("carl")).await.unwrap();
                world.blocked.push(("ben", "carl"));
            }
            Self::PersonRenamed => {
                world.admin(&["participant", "rename", &world.id("ben").to_string(), "Benjamin"]);
            }
            Self::Disabled => {
                world.admin(&["participant", "disable", &world.id("dora").to_string()]);
                world.devices.retain(|known| *known != "dora");
            }
            Self::Verified => {
                let (ada, ben) = (world.open("ada"), world.open("ben"));
                let mut session = ada.log_in("en").await.unwrap();
                let fingerprint = ben.own_bundle().unwrap().fingerprint();
                contacts::compare(&ada, &mut session, world.id("ben"), fingerprint).await.unwrap();
            }
            Self::MailTaken => world.everybody_writes("genommen").await,
            Self::MailWaiting => {
                say(world, "ada", "ben", &Content::Text("wartet".into())).await;
                post(&world.open("ben"), Destination::Group(group), "wartet auch").await.unwrap();
            }
            Self::FileSent => {
                let path = world.server.folder.path().join("plan.pdf");
                std::fs::write(&path, b"geheim").unwrap();
                let ada = world.open("ada");
                let wait = Duration::from_secs(10);
                let files = blobs::attach(&ada, &[path], Metadata::Strip, wait, "en", &|_| {}).await.unwrap();
                say(
                    world,
                    "ada",
                    "ben",
                    &Content::File(Attachments { text: "hier".into(), files, place: None }),
                )
                .await;
            }
            Self::Withdrawn => {
                let message = say(world, "ada", "ben", &Content::Text("doch nicht".into())).await;
                world.everybody_receives().await;
                say(world, "ada", "ben", &Content::Withdraw(Withdrawal { message })).await;
            }
            Self::Polled => {
                let options = vec!["ja".to_owned(), "nein".to_owned()];
                let poll = Content::Poll(Poll { question: "Ausflug?".into(), options, several: false });
                let draft = Draft::of(&poll);
                let to = Destination::Group(group);
                send(&world.open("ada"), to, &draft, super::WAIT, "en", &|_| {}).await.unwrap();
            }
            Self::ChatDeleted => {
                let id = world.make_group("ada", "Weg", Encryption::Symmetric, &["ben"]).await;
                world.everybody_receives().await;
                world.admin(&["group", "delete", &id.to_string()]);
            }
            Self::RestoredTwice => {
                rotate(world, "ada").await;
                change(world, "ben", || Action::Settings { settings: settings("Zweimal", Access::Closed) })
                    .await;
                world.everybody_receives().await;
                world.restore();
                world.everybody_receives().await;
                world.everybody_writes("nach dem ersten Mal").await;
                rotate(world, "carl").await;
            }
        }
    }

    /// What only the admin can do again, as the documents say.
    pub(super) fn admin_acts_again(self, world: &mut World) {
        match self {
            Self::Disabled => {
                world.admin(&["participant", "disable", &world.id("dora").to_string()]);
            }
            // Nobody's device knows it better: a new person, with a new ID.
            Self::Registered => {
                let refused = world.server.failure(&["receive", "--profile", "emil", "--json"]);
                assert!(refused.contains("restored"), "{refused}");
            }
            _ => {}
        }
    }
}
