//! A group's chain as its members write it, and what they post.

use axum::http::{Method, StatusCode};
use momedo_protocol::api::groups as api;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::entry::{
    Access, Action, Encryption, GroupEntry, GroupEntryPayload, GroupRole, NewMember, Posting, Settings,
};
use momedo_protocol::group::envelope::{seal_message, seal_slot};
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::jws::Jws;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::random;
use momedo_protocol::seal::RecipientKeys;
use momedo_protocol::suite::Suite;
use momedo_protocol::time::UnixMillis;
use momedo_testing::stored_keys::rsa_key;
use serde_json::{Value, json};

use super::{Answer, Person, Server};

/// A group, and the server that keeps it.
pub(crate) struct Group<'a> {
    server: &'a Server,
    /// What the chain says.
    pub(crate) state: GroupState,
}

/// A closed group in which everybody writes.
pub(crate) fn closed() -> Settings {
    Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Closed }
}

/// Somebody as they are added.
pub(crate) fn member(who: &Person) -> NewMember {
    let fingerprint = who.bundle.fingerprint();
    NewMember { id: who.id, fingerprint, version: 1, home: None, role: GroupRole::Member }
}

/// The entry that adds these.
pub(crate) fn add(whom: &[&Person]) -> Action {
    Action::Add { members: whom.iter().map(|who| member(who)).collect() }
}

/// The entry that takes these out.
pub(crate) fn remove(whom: &[&Person]) -> Action {
    Action::Remove { members: whom.iter().map(|who| who.id).collect() }
}

impl<'a> Group<'a> {
    /// Makes a group.
    pub(crate) async fn create(
        server: &'a Server,
        by: &Person,
        encryption: Encryption,
        settings: Settings,
    ) -> Self {
        let salt = Base64Bytes(random::bytes::<16>().to_vec());
        let home = server.app().fingerprint;
        let action = Action::Create { settings, encryption, home, version: 1, salt };
        let entry = payload(by, action).sign(&rsa_key(0));
        let taken = server.call(by, Method::POST, "/groups", json!({ "entry": entry })).await;
        assert_eq!(taken.0, StatusCode::CREATED, "{taken:?}");
        Self { server, state: GroupState::create(&GroupEntry::read(&entry).unwrap()).unwrap() }
    }

    /// One with a shared key that everybody has.
    pub(crate) async fn with_key(server: &'a Server, by: &Person, members: &[&Person]) -> Self {
        let mut group = Self::create(server, by, Encryption::Symmetric, closed()).await;
        if !members.is_empty() {
            group.must(by, add(members)).await;
        }
        group.must(by, group.epoch()).await;
        group
    }

    /// The next epoch, with a key that nobody has.
    pub(crate) fn epoch(&self) -> Action {
        Action::Epoch { epoch: self.state.epoch + 1, commitment: GroupKey::random().commitment() }
    }

    /// The next entry, not signed.
    pub(crate) fn next(&self, by: &Person, action: Action) -> GroupEntryPayload {
        GroupEntryPayload {
            group: Some(self.state.group),
            number: self.state.number + 1,
            previous: Some(self.state.head),
            ..payload(by, action)
        }
    }

    /// A path below the group's.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/groups/{}/{rest}", self.state.id())
    }

    /// Sends an entry, whoever signed it.
    pub(crate) async fn submit(&self, by: &Person, entry: &Jws) -> Answer {
        self.server.call(by, Method::POST, &self.path("entries"), json!({ "entry": entry })).await
    }

    /// Changes the group, if the server lets them.
    pub(crate) async fn change(&mut self, by: &Person, action: Action) -> Answer {
        let entry = self.next(by, action).sign(&rsa_key(0));
        let answer = self.submit(by, &entry).await;
        if answer.0.is_success() {
            self.state.apply(&GroupEntry::read(&entry).unwrap()).unwrap();
        }
        answer
    }

    /// The same where nothing may stand against it.
    pub(crate) async fn must(&mut self, by: &Person, action: Action) {
        let answer = self.change(by, action).await;
        assert!(answer.0.is_success(), "{answer:?}");
    }

    /// The chain as far as somebody may read it.
    pub(crate) async fn entries(&self, by: &Person) -> Answer {
        self.server.call(by, Method::GET, &self.path("entries"), Value::Null).await
    }

    /// A message to the group as it is, with a slot for each of these; nobody can open it.
    pub(crate) fn message(&self, by: &Person, slots: &[&Person]) -> api::GroupMessageRequest {
        self.message_in(self.state.epoch, by, slots)
    }

    /// The same in any epoch.
    pub(crate) fn message_in(&self, epoch: u32, by: &Person, slots: &[&Person]) -> api::GroupMessageRequest {
        let (id, key) = (MessageId::new(self.server.app().clock.now()), GroupKey::random());
        let envelope = seal_message(self.state.group, epoch, &key, by.id, id, b"{}").unwrap();
        let slot = |to: &&Person| {
            let keys = RecipientKeys::of_bundle(&to.bundle, None).unwrap();
            let slot = seal_slot(Suite::Small, &keys, id, &key).unwrap();
            api::GroupSlot { to: to.id, slot: Base64Bytes(slot) }
        };
        api::GroupMessageRequest {
            id,
            number: self.state.number,
            envelope: Base64Bytes(envelope),
            slots: slots.iter().map(slot).collect(),
            blobs: Vec::new(),
        }
    }

    /// Posts a message.
    pub(crate) async fn post(&self, by: &Person, message: &api::GroupMessageRequest) -> Answer {
        let message = serde_json::to_value(message).unwrap();
        self.server.call(by, Method::POST, &self.path("messages"), message).await
    }
}

fn payload(by: &Person, action: Action) -> GroupEntryPayload {
    GroupEntryPayload {
        group: None,
        number: 1,
        previous: None,
        author: by.id,
        key: Base64Bytes(rsa_key(0).public().spki().to_vec()),
        made_at: UnixMillis(1),
        action,
    }
}
