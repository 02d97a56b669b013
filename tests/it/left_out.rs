//! An admin who keeps the log of key changes silent: leaves people out of it, says that they moved away, or tells of
//! homes that no log knows.

use momedo_client::contacts::{self, Trust};
use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::rotation;
use momedo_client::sending::{Destination, Draft, send};
use momedo_protocol::api::PublishedKeys;
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::jws::Signer;
use momedo_protocol::key_bundle::{KeyBundle, KeyBundlePayload};
use momedo_protocol::key_log::KeyLogEntry;

use crate::harness::{PATIENCE, Server, rsa_key};
use crate::key_log::{alarms, shown};
use crate::neighbours::{id, neighbour, pair, receive_until, row_of_three, say, state, until};
use crate::two_faced::Editor;

/// Has the server tell another log from its next start on.
fn retell(server: &mut Server, change: impl FnOnce(&mut Vec<KeyLogEntry>)) {
    server.kill();
    let editor = Editor::open(server);
    let mut log = editor.log();
    change(&mut log);
    editor.set_log(&log);
    drop(editor);
    server.launch();
}

async fn trust_in(seen_by: &Profile, of: &Profile) -> Trust {
    let mut session = seen_by.log_in("en").await.unwrap();
    contacts::fetch(seen_by, &mut session, of.id().unwrap()).await.unwrap().trust
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_left_out_of_the_log_hears_of_it() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    server.register(1).await;
    let own = ada.own_bundle().unwrap();
    // Ada has never looked: for her this is how the log always was.
    retell(&mut server, |log| log.retain(|entry| entry.digest != own.digest));
    let received = shown(&ada).await;
    assert_eq!(alarms(&received).len(), 1, "{received:?}");
    assert!(alarms(&received)[0].contains("does not tell of you at all"), "{received:?}");
    assert!(alarms(&shown(&ada).await).is_empty(), "it is said once");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_did_not_move_away_or_back_to_older_keys_hears_that_the_log_says_so() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let mut session = ada.log_in("en").await.unwrap();
    let first = ada.own_bundle().unwrap().digest;
    rotation::rotate(&ada, &mut session, &|_| {}).await.unwrap();
    // Nothing of what Ada has seen is told differently; something is added.
    assert!(alarms(&shown(&ada).await).is_empty());
    let moved = |log: &mut Vec<KeyLogEntry>| {
        let last = *log.last().unwrap();
        log.push(KeyLogEntry { version: 3, digest: KeyLogEntry::MOVED, ..last });
    };
    retell(&mut server, moved);
    let received = shown(&ada).await;
    assert_eq!(alarms(&received).len(), 1, "{received:?}");
    assert!(
        alarms(&received)[0].contains("moved away, which none of your devices asked for"),
        "{received:?}"
    );
    // The state of before her rotation: an old head, signed and true once.
    retell(&mut server, |log| log.retain(|entry| entry.digest == first));
    let received = shown(&ada).await;
    let heard = alarms(&received);
    assert!(heard.iter().any(|alarm| alarm.contains("older keys as your newest")), "{received:?}");
    assert!(heard.iter().any(|alarm| alarm.contains("does not go on")), "{received:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_behind_others_is_marked_and_a_neighbour_that_the_log_names_is_not() {
    let [a, b, c] = row_of_three();
    let (ada, ben) = (a.register_profile(0, "ada").await, b.register_profile(1, "ben").await);
    let carl = c.register_profile(2, "carl").await;
    say(&carl, &ada, "von weit her").await;
    say(&ben, &ada, "von nebenan").await;
    let is_text = |message: &&momedo_client::receiving::Received| message.kind == "text";
    let received = receive_until(&ada, |all| all.iter().filter(is_text).count() == 2).await;
    let trust = |text: &str| {
        let message = received.iter().find(|message| message.text.as_deref() == Some(text)).unwrap();
        (message.verified, message.trust.clone())
    };
    assert_eq!(trust("von weit her"), (true, "unvouched".into()));
    assert_eq!(trust("von nebenan"), (true, "first-use".into()));
    // Whom the log vouches for as a home, everybody can read there.
    let log = a.json(&["keys", "log", "--profile", "ada", "--json"]).remove(0);
    let told: Vec<_> = log["servers"].as_array().unwrap().iter().map(|told| told["server"].clone()).collect();
    assert_eq!(told, [serde_json::Value::String(id(&b))]);
    let known = a.json(&["keys", "show", "--profile", "ada", &carl.id().unwrap().to_string(), "--json"]);
    assert_eq!(known[0]["trust"], "unvouched");
}

/// The same bundle with keys that the admin made, at a home that the admin made up.
fn made_up(true_one: &KeyBundle) -> (PublishedKeys, KeyBundle) {
    let (key, home) = (rsa_key(10), rsa_key(11));
    let signer: &dyn Signer = &key;
    let payload = KeyBundlePayload {
        signature_key: Base64Bytes(key.public().spki().to_vec()),
        homes: vec![home.public().fingerprint()],
        ..true_one.payload.clone()
    };
    let bundle = payload.sign(&[signer]);
    let forged = KeyBundle::verify(&bundle).unwrap();
    let countersignature = Countersignature {
        id: forged.payload.id,
        fingerprint: forged.fingerprint(),
        name: forged.payload.name.clone(),
        home: home.public().fingerprint(),
        expires_at: forged.payload.expires_at,
    };
    let published = PublishedKeys {
        bundle,
        countersignature: countersignature.sign(&home),
        changes: Vec::new(),
        home: Some(Base64Bytes(home.public().spki().to_vec())),
    };
    (published, forged)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_home_that_an_admin_made_up_are_marked() {
    let (mut here, there) = (Server::start(), Server::start());
    pair(&here, &there);
    for server in [&here, &there] {
        neighbour(server, &["allow", "--all"]);
    }
    let (ada, eve) = (here.register_profile(0, "ada").await, here.register_profile(2, "eve").await);
    let ben = there.register_profile(1, "ben").await;
    let other = id(&there);
    until("they are connected", || state(&here, &other) == "connected");
    assert_eq!(trust_in(&ada, &ben).await, Trust::FirstUse);
    let (published, forged) = made_up(&ben.own_bundle().unwrap());
    here.kill();
    let editor = Editor::open(&here);
    let sql = "UPDATE remote_participants SET home = ?2, version = ?3, digest = ?4, keys = ?5 WHERE id = ?1";
    let text = serde_json::to_string(&published).unwrap();
    let home = forged.payload.homes[0].0;
    let row = (ben.id().unwrap().number(), home, forged.payload.version, forged.digest.0, text);
    assert_eq!(editor.database.execute(sql, row).unwrap(), 1);
    drop(editor);
    here.launch();
    // Eve meets Ben for the first time, and takes the admin for him; she sees that nobody vouches for that.
    assert_eq!(trust_in(&eve, &ben).await, Trust::Unvouched);
    // Ada knows him.
    let mut session = ada.log_in("en").await.unwrap();
    assert!(contacts::fetch(&ada, &mut session, ben.id().unwrap()).await.is_err());
}

/// Keys of a member that somebody has never seen, with a log that fits them: nobody can tell but by the group's chain.
#[tokio::test(flavor = "multi_thread")]
async fn group_keys_are_sealed_to_the_member_whom_the_chain_pins_whatever_an_admin_shows() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let dora = server.register_profile(2, "dora").await;
    let mut groups = Vec::new();
    for encryption in [Encryption::Asymmetric, Encryption::Symmetric] {
        let mut moderator = Membership::begin(&ada, "en", &|_| {}).await.unwrap();
        let settings = Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Closed };
        let group = moderator.create(settings, encryption).await.unwrap().id();
        let others = [ben.id().unwrap(), dora.id().unwrap()];
        moderator.add(group, &others, GroupRole::Member).await.unwrap();
        groups.push(group);
    }
    // As after a reset of Ben's keys, which the admin enters into the log.
    server.kill();
    let editor = Editor::open(&server);
    let (true_one, _) = editor.bundle_of(ben.id().unwrap());
    let key = rsa_key(10);
    let signer: &dyn Signer = &key;
    let signature_key = Base64Bytes(key.public().spki().to_vec());
    let jws = KeyBundlePayload { signature_key, version: 2, ..true_one.payload.clone() }.sign(&[signer]);
    let forged = KeyBundle::verify(&jws).unwrap();
    editor.set_bundle(&forged, &jws);
    let sql = "UPDATE key_bundles SET version = 2 WHERE participant = ?1";
    assert_eq!(editor.database.execute(sql, [ben.id().unwrap().number()]).unwrap(), 1);
    let mut log = editor.log();
    let of_ben = *log.iter().find(|entry| entry.digest == true_one.digest).unwrap();
    log.push(KeyLogEntry { version: 2, digest: forged.digest, ..of_ben });
    editor.set_log(&log);
    drop(editor);
    server.launch();
    assert_eq!(trust_in(&dora, &ben).await, Trust::FirstUse, "she takes the admin for him");
    for group in groups {
        let to = Destination::Group(group);
        send(&dora, to, &Draft::text("unter uns"), PATIENCE, "en", &|_| {}).await.unwrap();
    }
    let database = rusqlite::Connection::open(server.data().join("momedo.db")).unwrap();
    let count = |sql: &str, of: &Profile| -> u64 {
        database.query_row(sql, [of.id().unwrap().number()], |row| row.get(0)).unwrap()
    };
    let slots = "SELECT count(*) FROM slots WHERE participant = ?1";
    let waiting =
        "SELECT count(*) FROM deliveries WHERE device IN (SELECT id FROM devices WHERE participant = ?1)";
    assert_eq!((count(slots, &ada), count(slots, &ben)), (1, 0), "content keys");
    // Of what was posted under a group key everybody has it; the key itself went to Ada alone.
    assert_eq!((count(waiting, &ada), count(waiting, &ben)), (3, 1), "postings and keys");
}
