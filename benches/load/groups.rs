//! Figures of groups: posting to a class and to a whole school, and handing out a new group key.

use std::time::{Duration, Instant};

use momedo_client::connection::ServerAddress;
use momedo_client::groups::membership::Membership;
use momedo_client::registration::Joining;
use momedo_client::session::Session;
use momedo_protocol::api;
use momedo_protocol::api::groups::{GroupEntryRequest, GroupMessageRequest};
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{
    Access, Action, Encryption, GroupEntry, GroupEntryPayload, GroupRole, NewMember, Posting, Settings,
};
use momedo_protocol::group::envelope::seal_message;
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::mceliece::McEliecePrivateKey;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::random;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::PrivateKeys;
use momedo_protocol::stream::ClientFrame;
use momedo_testing::keys::{DeviceKeys, NewKeys, ParticipantKeys};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::figures::{delivered, milliseconds, percentile, print};
use crate::keys::keys;
use crate::people::{Person, copy, register, signature_key};
use crate::subject::Subject;

/// Postings that are timed.
const POSTINGS: usize = 100;

fn settings() -> Settings {
    Settings { name: "Schule".into(), posting: Posting::Everyone, access: Access::Closed }
}

/// A group of these people with a key nobody was sent: what is measured is the server.
pub(crate) struct Group {
    state: GroupState,
    key: GroupKey,
}

/// Another connection with somebody's session.
pub(crate) fn session(server: ServerAddress, person: &Person) -> Session {
    let session = api::Session {
        id: person.bundle.payload.id,
        device: person.session.device,
        token: person.session.token().to_owned(),
        expires_in: 0,
        addresses: Vec::new(),
        was_behind: false,
        lacks_key: false,
    };
    Session::with_token(momedo_client_native::connection(server, "en"), session)
}

/// A group of few; `None` when the server refused it.
pub(crate) async fn small(server: ServerAddress, author: &Person, members: &[&Person]) -> Option<Group> {
    let home = server.fingerprint;
    Group::try_make(&mut session(server, author), home, members, &signature_key()).await
}

impl Group {
    async fn make(
        author: &mut Session,
        home: Fingerprint,
        members: &[&Person],
        signer: &RsaPrivateKey,
    ) -> Self {
        Self::try_make(author, home, members, signer).await.unwrap()
    }

    /// `None` when the server refused an entry.
    async fn try_make(
        author: &mut Session,
        home: Fingerprint,
        members: &[&Person],
        signer: &RsaPrivateKey,
    ) -> Option<Self> {
        let key = GroupKey::random();
        let create = Action::Create {
            settings: settings(),
            encryption: Encryption::Symmetric,
            home,
            version: 1,
            salt: Base64Bytes(random::bytes::<16>().to_vec()),
        };
        let mut state: Option<GroupState> = None;
        let mut actions = vec![create];
        let newcomers: Vec<NewMember> = members
            .iter()
            .map(|person| NewMember {
                id: person.bundle.payload.id,
                fingerprint: person.bundle.fingerprint(),
                version: 1,
                home: None,
                role: GroupRole::Member,
            })
            .collect();
        actions.extend(newcomers.chunks(256).map(|members| Action::Add { members: members.to_vec() }));
        actions.push(Action::Epoch { epoch: 1, commitment: key.commitment() });
        for action in actions {
            let jws = GroupEntryPayload {
                group: state.as_ref().map(|state| state.group),
                number: state.as_ref().map_or(1, |state| state.number + 1),
                previous: state.as_ref().map(|state| state.head),
                author: author.id,
                key: Base64Bytes(signer.public().spki().to_vec()),
                made_at: momedo_client::now(),
                action,
            }
            .sign(signer);
            let entry = GroupEntry::read(&jws).unwrap();
            let request = GroupEntryRequest { entry: jws };
            match &mut state {
                None => {
                    author.create_group(&request).await.ok()?;
                    state = Some(GroupState::create(&entry).unwrap());
                }
                Some(state) => {
                    author.append_to_group(state.id(), &request).await.ok()?;
                    state.apply(&entry).unwrap();
                }
            }
        }
        Some(Self { state: state.unwrap(), key })
    }

    pub(crate) fn id(&self) -> GroupId {
        self.state.id()
    }

    pub(crate) fn posting(&self, sender: ParticipantId) -> GroupMessageRequest {
        let id = MessageId::new(momedo_client::now());
        let inner = [b'x'; 1000];
        let envelope = seal_message(self.state.group, 1, &self.key, sender, id, &inner).unwrap();
        GroupMessageRequest {
            id,
            number: self.state.number,
            envelope: Base64Bytes(envelope),
            slots: Vec::new(),
            blobs: Vec::new(),
        }
    }
}

/// One sender to 30 and 1,000 members, two of the 30 offline: time until the last online one has it.
pub(crate) fn posting(runtime: &Runtime) {
    let subject = Subject::start();
    runtime.block_on(async {
        let mut people = register(&subject, 1_001).await;
        let signer = signature_key();
        for (size, offline) in [(30, 2), (1_000, 0)] {
            let (author, others) = people.split_at_mut(1);
            let author = &mut author[0].session;
            let members: Vec<&Person> = others[..size].iter().collect();
            let group = Group::make(author, subject.address.fingerprint, &members, &signer).await;
            let id: GroupId = group.state.id();
            let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
            let mut tasks = JoinSet::new();
            for member in &members[..size - offline] {
                let mut stream = member.stream(&subject, 64).await;
                let arrived = arrived.clone();
                tasks.spawn(async move {
                    while let Ok(Some(text)) = stream.next_text().await {
                        let Some(cursor) = delivered(&text) else { continue };
                        arrived.send(Instant::now()).unwrap();
                        stream.feed(&ClientFrame::Ack { cursor }).await.unwrap();
                        stream.flush().await.unwrap();
                    }
                });
            }
            let mut times = Vec::new();
            for _ in 0..POSTINGS {
                let request = group.posting(author.id);
                let begun = Instant::now();
                author.post_to_group(id, &request).await.unwrap();
                let mut last = begun;
                for _ in 0..size - offline {
                    last = last.max(arrivals.recv().await.unwrap());
                }
                times.push(last - begun);
            }
            times.sort();
            // As fast as one sender can, one posting after another.
            let cpu = subject.cpu();
            let begun = Instant::now();
            for _ in 0..POSTINGS {
                author.post_to_group(id, &group.posting(author.id)).await.unwrap();
            }
            for _ in 0..POSTINGS * (size - offline) {
                arrivals.recv().await.unwrap();
            }
            let (time, cpu) = (begun.elapsed(), subject.cpu() - cpu);
            let deliveries = POSTINGS * (size - offline);
            print(
                "groups",
                json!({
                    "members": size, "offline": offline,
                    "to_the_last_online_p50_ms": percentile(&times, 50),
                    "to_the_last_online_p99_ms": percentile(&times, 99),
                    "deliveries_per_second": (deliveries as f64 / time.as_secs_f64()) as u64,
                    "server_cpu_us_per_delivery": cpu.as_secs_f64() * 1e6 / deliveries as f64,
                }),
            );
            tasks.shutdown().await;
        }
    });
}

/// Bytes that waiting for 2 of 30 costs: the body stands once.
pub(crate) fn growth(runtime: &Runtime) {
    let subject = Subject::start();
    runtime.block_on(async {
        let mut people = register(&subject, 31).await;
        let signer = signature_key();
        let (author, others) = people.split_at_mut(1);
        let author = &mut author[0].session;
        let members: Vec<&Person> = others.iter().collect();
        let group = Group::make(author, subject.address.fingerprint, &members, &signer).await;
        let bytes = || subject.admin(&["status"])[0]["ozone_bytes"].as_u64().unwrap();
        let before = bytes();
        let request = group.posting(author.id);
        author.post_to_group(group.state.id(), &request).await.unwrap();
        print(
            "group-growth",
            json!({ "members": 30, "waiting_for": 30, "envelope_bytes": request.envelope.0.len(),
                    "database_grew_by_bodies_bytes": bytes() - before }),
        );
    });
}

/// A new group key for 30, 300 and 2,000 members: its cost for whoever makes it. Everybody shares one McEliece
/// key here, which is fetched once; a real school fetches one for each member the first time (`fetch_ms` each).
pub(crate) fn new_key(runtime: &Runtime) {
    let subject = Subject::start();
    runtime.block_on(async {
        let largest: usize = std::env::var("GROUP_MEMBERS").map_or(2_000, |text| text.parse().unwrap());
        let people = register(&subject, largest).await;
        let folder = tempfile::tempdir().unwrap();
        let (private, mceliece) = McEliecePrivateKey::generate();
        let mut stored = keys(largest + 5).split_off(largest + 2);
        let (login, rsa, signature) = (stored.remove(0), stored.remove(0), stored.remove(0));
        let keys = move || ParticipantKeys {
            signature_key: signature,
            device: DeviceKeys {
                login,
                private: PrivateKeys { rsa: copy(&rsa), ml_kem: MlKemPrivateKey::generate(), mceliece: None },
            },
            encryption: NewKeys {
                private: PrivateKeys { rsa, ml_kem: MlKemPrivateKey::generate(), mceliece: Some(private) },
                mceliece,
            },
        };
        let joining =
            Joining { invite: subject.invite(), name: Some("Leitung"), device_name: "load", language: "en" };
        let path = folder.path().join("profile");
        let (profile, _) =
            momedo_testing::people::register_with(&path, &joining, keys, &|_| {}).await.unwrap();
        let quiet: momedo_client::progress::Progress<'_> = &|_| {};
        for size in [30, 300, 2_000].into_iter().filter(|size| *size <= largest) {
            let mut moderator = Membership::begin(&profile, "en", quiet).await.unwrap();
            let id = moderator.create(settings(), Encryption::Symmetric).await.unwrap().id();
            let ids: Vec<ParticipantId> =
                people[..size - 1].iter().map(|person| person.bundle.payload.id).collect();
            let begun = Instant::now();
            moderator.add(id, &ids, GroupRole::Member).await.unwrap();
            let added = begun.elapsed();
            let waiting = || subject.admin(&["status"])[0]["ozone_bytes"].as_u64().unwrap();
            let before = waiting();
            let begun = Instant::now();
            moderator.new_key(id).await.unwrap();
            let first = begun.elapsed();
            let bytes = waiting() - before;
            let begun = Instant::now();
            moderator.new_key(id).await.unwrap();
            print(
                "new-key",
                json!({
                    "members": size, "add_ms": milliseconds(added), "first_ms": milliseconds(first),
                    "again_ms": milliseconds(begun.elapsed()), "envelope_bytes_in_all": bytes,
                }),
            );
        }
        let digest: Sha512Digest = people[0].bundle.payload.mceliece_key.unwrap();
        let mut session = people.into_iter().next().unwrap().session;
        let begun = Instant::now();
        for _ in 0..100 {
            session.mceliece_key(&digest).await.unwrap();
        }
        let each: Duration = begun.elapsed() / 100;
        print("new-key", json!({ "mceliece_key_fetch_ms": milliseconds(each), "bytes": 524_160 }));
    });
}
