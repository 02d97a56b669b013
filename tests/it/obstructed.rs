//! Receiving under attack: whatever the server refuses, and whatever others send, everybody else's mail is shown and
//! acknowledged, and what cannot be judged waits with its reason.

use std::collections::BTreeSet;
use std::time::Duration;

use momedo_client::blocking;
use momedo_client::connection::ServerAddress;
use momedo_client::now;
use momedo_client::profile::Profile;
use momedo_client::receiving::{self, Outcome, Received, Saving};
use momedo_client::session::Session;
use momedo_protocol::api::{self, SubmitRequest};
use momedo_protocol::blob::{BlobId, FileKey, FileReference};
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::key::{GroupKey, GroupKeyBody};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::kind;
use momedo_protocol::message::{KIND_GROUP_KEY, Message};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::seal::{RecipientKeys, seal};
use momedo_protocol::suite::Suite;
use momedo_protocol::time::UnixMillis;
use serde_json::{Value, json};

use crate::harness::{Person, Server};
use crate::obstructing::{Instead, Obstructing, everything_a_server_may_say};

/// The steps that are mail itself; the others are asked for its sake.
const MAIL: [&str; 4] = ["POST /sessions/challenge", "POST /sessions", "GET /ozone", "POST /ozone/ack"];

/// Ada, who receives over a stand-in for her server; Ben, whom she knows; Carl, whom she does not.
struct Scene {
    server: Server,
    front: Obstructing,
    ada: Profile,
    session: Session,
    bundle: KeyBundle,
    ben: Person,
    carl: Person,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::start();
        let front = Obstructing::before(&server);
        let mut invite = server.invite();
        invite.address = front.address.clone();
        let keys = || crate::harness::stored_keys(0);
        let ada = server.register_profile_with(invite, "ada", keys).await;
        let (mut ben, carl) = (server.register(1).await, server.register(2).await);
        let session = ada.log_in("en").await.unwrap();
        let published = ben.session.keys(session.id, 0).await.unwrap();
        let bundle = KeyBundle::verify(&published.bundle).unwrap();
        let mut scene = Self { server, front, ada, session, bundle, ben, carl };
        let first = message(&scene.ben, &scene.bundle, kind::TEXT, "Hallo".into());
        submit(&mut scene.ben, &scene.bundle, &first).await;
        assert_eq!(texts(&scene.receive().await.0), ["Hallo"]);
        scene.front.asked();
        scene
    }

    /// One run of receiving, and what it showed.
    async fn receive(&mut self) -> (Vec<Received>, Outcome) {
        self.receive_files(None).await
    }

    async fn receive_files(&mut self, saving: Option<&Saving<'_>>) -> (Vec<Received>, Outcome) {
        let mut shown = Vec::new();
        let mut show = |received: &Received| {
            shown.push(received.clone());
            Ok(())
        };
        // A new one, as a program has that is started again.
        let mut session = self.session_with(&self.front.address);
        let wait = Duration::ZERO;
        let outcome =
            receiving::receive_files(&self.ada, &mut session, wait, saving, &mut show).await.unwrap();
        (shown, outcome)
    }

    /// A text of Ben's, whom Ada knows.
    async fn ben_says(&mut self, text: &str) {
        let said = message(&self.ben, &self.bundle, kind::TEXT, text.into());
        submit(&mut self.ben, &self.bundle, &said).await;
    }

    /// A text of Carl's, whose keys have to be asked for.
    async fn carl_says(&mut self, text: &str) {
        self.forget_carl();
        let said = message(&self.carl, &self.bundle, kind::TEXT, text.into());
        submit(&mut self.carl, &self.bundle, &said).await;
    }

    fn forget_carl(&self) {
        let database = rusqlite::Connection::open(self.server.profile("ada").join("profile.db")).unwrap();
        let carl = self.carl.id().to_string();
        database.execute("DELETE FROM contacts WHERE id = ?1", [carl]).unwrap();
    }

    /// Ada's session, over this address.
    fn session_with(&self, address: &str) -> Session {
        let (token, id, device) = (self.session.token().to_owned(), self.session.id, self.session.device);
        let fingerprint = self.ada.server().unwrap().fingerprint;
        let connection = momedo_client_native::connection(
            ServerAddress { addresses: vec![address.to_owned()], fingerprint },
            "en",
        );
        let session = api::Session {
            id,
            device,
            token,
            expires_in: 0,
            addresses: Vec::new(),
            was_behind: false,
            lacks_key: false,
        };
        Session::with_token(connection, session)
    }

    /// How many of Ada's deliveries the server itself still keeps.
    async fn kept(&self) -> usize {
        let mut direct = self.session_with(&self.server.address);
        direct.ozone(None, 500, Duration::ZERO).await.unwrap().messages.len()
    }
}

fn message(from: &Person, to: &KeyBundle, kind: &str, body: Value) -> Message {
    Message {
        from: from.id(),
        to: Some(to.payload.id),
        group: None,
        id: MessageId::new(now()),
        sent_at: now(),
        conversation: None,
        log: None,
        kind: kind.into(),
        body,
    }
}

async fn submit(person: &mut Person, to: &KeyBundle, message: &Message) {
    let keys = RecipientKeys {
        version: u32::try_from(to.payload.version).unwrap(),
        digest: to.digest,
        rsa: &to.rsa_key,
        ml_kem: &to.ml_kem_key,
        mceliece: None,
    };
    let signed = message.sign(&person.keys.signature_key);
    let envelope = Base64Bytes(seal(Suite::Small, &keys, message.id, &signed).unwrap());
    let (id, to) = (message.id, to.payload.id);
    let request = SubmitRequest { id, to, device: None, envelope, own_devices: None, blobs: Vec::new() };
    person.session.submit(&request).await.unwrap();
}

/// A key for a group that is none.
fn made_up_group_key() -> Value {
    let body = GroupKeyBody {
        group: Sha512Digest(momedo_protocol::random::bytes()),
        epoch: 1,
        key: Base64Bytes(GroupKey::random().bytes().to_vec()),
    };
    serde_json::to_value(&body).unwrap()
}

fn texts(shown: &[Received]) -> Vec<&str> {
    shown.iter().filter(|one| one.kind == kind::TEXT).filter_map(|one| one.text.as_deref()).collect()
}

fn verified(shown: &[Received], text: &str) -> bool {
    shown.iter().any(|one| one.verified && one.kind == kind::TEXT && one.text.as_deref() == Some(text))
}

#[tokio::test]
async fn group_keys_for_groups_that_are_none_keep_no_mail_away_and_cost_a_few_questions() {
    let mut scene = Scene::new().await;
    for _ in 0..100 {
        let key = message(&scene.carl, &scene.bundle, KIND_GROUP_KEY, made_up_group_key());
        submit(&mut scene.carl, &scene.bundle, &key).await;
    }
    scene.ben_says("Wandertag").await;
    // As a server does for one who asked for many groups.
    let refused = Instead::Refusal(429, "too-often".into());
    scene.front.say(move |step| (step == "GET /groups/*/entries").then(|| refused.clone()));
    let (shown, outcome) = scene.receive().await;
    assert!(verified(&shown, "Wandertag"), "{shown:?}");
    assert_eq!((texts(&shown).len(), scene.kept().await), (1, 0));
    assert!(outcome.failed.is_none(), "{outcome:?}");
    let asked = scene.front.asked();
    assert!(asked.iter().filter(|step| *step == "GET /groups/*/entries").count() <= 1, "{asked:?}");
    // Nor once the server answers that there are no such groups.
    scene.front.let_pass();
    for _ in 0..3 {
        let (shown, _) = scene.receive().await;
        assert!(shown.is_empty(), "keys are no news for people: {shown:?}");
        let asked = scene.front.asked();
        assert!(asked.iter().filter(|step| *step == "GET /groups/*/entries").count() <= 4, "{asked:?}");
    }
}

#[tokio::test]
async fn nothing_is_asked_for_the_blocked() {
    let mut scene = Scene::new().await;
    for _ in 0..3 {
        let key = message(&scene.carl, &scene.bundle, KIND_GROUP_KEY, made_up_group_key());
        submit(&mut scene.carl, &scene.bundle, &key).await;
    }
    scene.carl_says("Hör zu!").await;
    scene.ben_says("Wandertag").await;
    let carl = scene.carl.id();
    blocking::block(&scene.ada, &mut scene.session, carl).await.unwrap();
    scene.front.asked();
    let (shown, _) = scene.receive().await;
    assert_eq!((texts(&shown), shown.len(), scene.kept().await), (vec!["Wandertag"], 1, 0));
    let asked = scene.front.asked();
    assert!(!asked.iter().any(|step| step == "GET /keys/*" || step == "GET /groups/*/entries"), "{asked:?}");
}

#[tokio::test]
async fn whose_keys_are_refused_waits_with_the_reason_and_holds_nobody_up() {
    let mut scene = Scene::new().await;
    for (status, name) in
        [(403, "not-allowed-across"), (409, "disputed-participant"), (503, "home-unreachable")]
    {
        scene.carl_says("aus der Ferne").await;
        scene.ben_says("Wandertag").await;
        let refused = Instead::Refusal(status, name.into());
        scene.front.say(move |step| (step == "GET /keys/*").then(|| refused.clone()));
        let (shown, outcome) = scene.receive().await;
        assert_eq!((texts(&shown), scene.kept().await), (vec!["Wandertag"], 0), "{name}");
        assert!(outcome.failed.is_none(), "{name}: {outcome:?}");
        let waiting = shown.iter().find(|one| one.kind == "waiting").unwrap();
        let words = waiting.text.clone().unwrap();
        assert_eq!((waiting.from, words.contains(name)), (scene.carl.id(), true), "{words}");
        let set_aside = receiving::set_aside(&scene.ada).unwrap();
        assert_eq!((set_aside.len(), set_aside[0].count, set_aside[0].from), (1, 1, scene.carl.id()));
        // Told once; and shown as soon as it can be judged.
        assert!(scene.receive().await.0.is_empty(), "{name}");
        scene.front.let_pass();
        let mut shown = Vec::new();
        for _ in 0..3 {
            shown.extend(scene.receive().await.0);
        }
        assert!(shown.len() == 1 && verified(&shown, "aus der Ferne"), "{name}: {shown:?}");
        assert!(receiving::set_aside(&scene.ada).unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_stays_refused_is_shown_unverified_in_the_end_and_what_may_pass_waits_on() {
    let mut scene = Scene::new().await;
    for (status, is_shown) in [(403, true), (503, false)] {
        scene.carl_says(&status.to_string()).await;
        scene
            .front
            .say(move |step| (step == "GET /keys/*").then(|| Instead::Refusal(status, "whatever".into())));
        let mut shown = Vec::new();
        for _ in 0..70 {
            shown.extend(scene.receive().await.0.into_iter().filter(|one| one.kind != "waiting"));
        }
        assert_eq!(texts(&shown) == [status.to_string()], is_shown, "{shown:?}");
        assert!(shown.iter().all(|one| !one.verified), "{shown:?}");
    }
}

#[tokio::test]
async fn times_beyond_all_times_are_no_reason_to_end_receiving() {
    let mut scene = Scene::new().await;
    let reference = |id: MessageId, from: ParticipantId| json!({ "from": from, "id": id });
    let (ben, ada) = (scene.ben.id(), scene.bundle.payload.id);
    let poll = message(&scene.ben, &scene.bundle, kind::TASK, json!({ "text": "Tafel wischen" }));
    submit(&mut scene.ben, &scene.bundle, &poll).await;
    for (kind, body) in [
        (kind::TASK_STATE, json!({ "task": reference(poll.id, ben), "state": "done" })),
        (kind::RECEIPT, json!({ "messages": [reference(poll.id, ada)["id"]], "state": "read" })),
        (kind::TEXT, "aus der Zukunft".into()),
    ] {
        let late = message(&scene.ben, &scene.bundle, kind, body);
        submit(&mut scene.ben, &scene.bundle, &Message { sent_at: UnixMillis(u64::MAX), ..late }).await;
    }
    scene.ben_says("danach").await;
    let (shown, outcome) = scene.receive().await;
    assert_eq!(texts(&shown), ["aus der Zukunft", "danach"], "{shown:?}");
    assert!(shown.iter().all(|one| one.verified), "{shown:?}");
    assert_eq!((outcome.failed.is_none(), scene.kept().await), (true, 0));
}

/// A message with a file that its sender's server never hands out.
#[tokio::test]
async fn a_file_that_never_comes_keeps_no_message_from_being_shown() {
    let mut scene = Scene::new().await;
    let file = FileReference {
        name: "foto.bin".into(),
        media_type: "application/octet-stream".into(),
        size: 5,
        blob: BlobId::random(),
        key: FileKey::random(),
    };
    let body = json!({ "text": "schaut", "files": [file] });
    let with_file = message(&scene.ben, &scene.bundle, kind::FILE, body);
    submit(&mut scene.ben, &scene.bundle, &with_file).await;
    scene.carl_says("Hallo").await;
    scene.front.say(|step| (step == "GET /blobs/*").then(|| Instead::Refusal(503, "blob-on-its-way".into())));
    let folder = scene.server.profile("fotos");
    let wait = Duration::from_millis(10);
    let saving = Saving { folder: &folder, wait, progress: &|_| {} };
    let (shown, outcome) = scene.receive_files(Some(&saving)).await;
    assert_eq!((texts(&shown), scene.kept().await), (vec!["Hallo"], 0));
    assert!(outcome.failed.is_some_and(|error| error.is_temporary()));
    // Nor does it wait for ever itself.
    let mut shown = Vec::new();
    for _ in 0..3 {
        shown.extend(scene.receive_files(Some(&saving)).await.0);
    }
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(
        shown[0].files[0].problem.as_ref().is_some_and(|problem| problem.contains("on-its-way")),
        "{shown:?}"
    );
}

/// Everything a server may say, at every step it is asked: all at once, each step with another refusal in each run, so
/// that every pair comes up. Steps that are reached only when others are answered come up alone, with one refusal of each
/// status, by which a client decides.
#[tokio::test]
async fn whatever_is_refused_wherever_known_peoples_mail_arrives_at_once_and_all_other_mail_in_the_end() {
    let mut scene = Scene::new().await;
    let mut refusals = everything_a_server_may_say();
    scene.prepare_steps().await;
    scene.carl_says("Guten Morgen").await;
    scene.receive().await;
    let all: BTreeSet<String> = scene.front.asked().into_iter().collect();
    let mut steps: Vec<String> = all.into_iter().filter(|step| !MAIL.contains(&step.as_str())).collect();
    assert!(steps.len() >= 6, "{steps:?}");
    let (mut number, mut from_carl) = (0, BTreeSet::new());
    while !steps.is_empty() {
        let mut obstructed = BTreeSet::new();
        for shift in 0..refusals.len() {
            number += 1;
            let (from_ben, stranger) = (format!("von Ben {number}"), format!("von Carl {number}"));
            let read = |shown: &[Received], left: &mut BTreeSet<String>| {
                for one in shown.iter().filter(|one| one.kind == kind::TEXT) {
                    left.remove(one.text.as_deref().unwrap());
                }
            };
            scene.prepare_steps().await;
            scene.carl_says(&stranger).await;
            scene.ben_says(&from_ben).await;
            from_carl.insert(stranger);
            let (planned, said) = (steps.clone(), refusals.clone());
            scene.front.say(move |step| {
                let place = planned.iter().position(|planned| planned == step)?;
                Some(said[(place + shift) % said.len()].clone())
            });
            let (shown, _) = scene.receive().await;
            assert!(verified(&shown, &from_ben), "{shift} {steps:?}: {shown:?}");
            assert_eq!(scene.kept().await, 0, "{shift} {steps:?}");
            read(&shown, &mut from_carl);
            obstructed.extend(scene.front.obstructed());
            // Soon tried again, and then answered.
            scene.front.let_pass();
            read(&scene.receive().await.0, &mut from_carl);
        }
        let mut statuses = BTreeSet::new();
        refusals.retain(|refusal| match refusal {
            Instead::Refusal(status, _) => statuses.insert(*status),
            Instead::Nonsense | Instead::Nothing => true,
        });
        let before = steps.len();
        steps.retain(|step| !obstructed.contains(step));
        assert!(steps.len() < before, "never asked: {steps:?}");
    }
    assert!(from_carl.is_empty(), "lost: {from_carl:?}");
    let (_, outcome) = scene.receive().await;
    assert!(outcome.failed.is_none(), "{outcome:?}");
}

impl Scene {
    /// Has everything be due that a run of receiving asks for.
    async fn prepare_steps(&mut self) {
        self.ada.set("homes-asked-at", &0).unwrap();
        let key = message(&self.ben, &self.bundle, KIND_GROUP_KEY, made_up_group_key());
        submit(&mut self.ben, &self.bundle, &key).await;
    }
}

#[tokio::test]
async fn mail_that_is_refused_itself_comes_once_when_it_is_not() {
    let mut scene = Scene::new().await;
    for (number, refusal) in everything_a_server_may_say().into_iter().enumerate() {
        let text = format!("Nummer {number}");
        scene.ben_says(&text).await;
        let mut shown = Vec::new();
        for refused in ["GET /ozone", "POST /ozone/ack"] {
            let said = refusal.clone();
            scene.front.say(move |step| (step == refused).then(|| said.clone()));
            let (now_shown, outcome) = scene.receive().await;
            assert!(outcome.failed.is_some(), "{refused} {refusal:?}");
            assert_eq!(now_shown.len(), usize::from(refused != "GET /ozone"), "{refused} {refusal:?}");
            shown.extend(now_shown);
        }
        assert_eq!(scene.kept().await, 1, "{refusal:?}");
        scene.front.let_pass();
        let (rest, outcome) = scene.receive().await;
        shown.extend(rest);
        assert_eq!((texts(&shown), scene.kept().await), (vec![text.as_str()], 0), "{refusal:?}");
        assert!(outcome.failed.is_none(), "{refusal:?}: {outcome:?}");
    }
}
