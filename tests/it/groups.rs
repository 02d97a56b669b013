//! Groups over a real server: what members get, and what nobody else gets, whatever the server does.

use std::time::Duration;

use momedo_client::ClientError;
use momedo_client::groups::chain;
use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::receiving::{self, Received};
use momedo_client::sending::{Destination, Draft, Sent, send};
use momedo_protocol::api::groups::{GroupKeyMessage, GroupKeysRequest, MAX_GROUP_KEYS_AT_ONCE};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Action, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use serde_json::{Value, json};

use crate::harness::{Server, refused};

fn settings(posting: Posting, access: Access) -> Settings {
    Settings { name: "7b".into(), posting, access }
}

async fn membership(profile: &Profile) -> Membership<'_> {
    Membership::begin(profile, "en", &|_| {}).await.unwrap()
}

/// A group of the first profile with the others in it.
async fn group(encryption: Encryption, profiles: &[&Profile]) -> GroupId {
    let mut moderator = membership(profiles[0]).await;
    let settings = settings(Posting::Everyone, Access::Closed);
    let id = moderator.create(settings, encryption).await.unwrap().id();
    let others: Vec<_> = profiles[1..].iter().map(|profile| profile.id().unwrap()).collect();
    if !others.is_empty() {
        moderator.add(id, &others, GroupRole::Member).await.unwrap();
    }
    id
}

async fn post(profile: &Profile, group: GroupId, text: &str) -> Result<Sent, ClientError> {
    let to = Destination::Group(group);
    send(profile, to, &Draft::text(text), Duration::from_secs(10), "en", &|_| {}).await
}

async fn received(profile: &Profile) -> Vec<Received> {
    let mut session = profile.log_in("en").await.unwrap();
    let mut shown = Vec::new();
    let mut show = |received: &Received| {
        shown.push(received.clone());
        Ok(())
    };
    receiving::receive(profile, &mut session, Duration::ZERO, &mut show).await.unwrap();
    shown
}

/// The texts of verified messages, events left out.
async fn texts(profile: &Profile) -> Vec<String> {
    let messages = received(profile).await;
    let shown = messages.iter().filter(|received| !received.event);
    shown
        .map(|received| {
            assert!(received.verified, "{received:?}");
            received.text.clone().unwrap_or_else(|| received.kind.clone())
        })
        .collect()
}

/// The notes about groups.
async fn events(profile: &Profile) -> String {
    let messages = received(profile).await;
    let events = messages.into_iter().filter(|received| received.event);
    events.filter_map(|received| received.text).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn what_is_posted_reaches_every_member_in_both_forms_of_encryption() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    for encryption in [Encryption::Symmetric, Encryption::Asymmetric] {
        let id = group(encryption, &[&ada, &ben, &carl]).await;
        let sent = post(&ada, id, "Wandertag morgen").await.unwrap();
        assert_eq!(sent.members, Some(3));
        for profile in [&ben, &carl] {
            let got = received(profile).await;
            let message = got.iter().find(|received| received.kind == "text").unwrap();
            assert_eq!((message.group, message.id, message.verified), (Some(id), sent.id, true));
            assert_eq!(message.text.as_deref(), Some("Wandertag morgen"));
            assert_eq!(message.suite, if encryption == Encryption::Symmetric { 3 } else { 4 });
        }
        post(&ben, id, "Um acht?").await.unwrap();
        assert_eq!(texts(&ada).await, ["Um acht?"]);
        assert_eq!(texts(&carl).await, ["Um acht?"]);
        // The sending device does not get its own message back.
        assert!(texts(&ben).await.is_empty());
    }
}

#[tokio::test]
async fn a_removed_member_gets_and_can_read_nothing_more() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let id = group(Encryption::Symmetric, &[&ada, &ben, &carl]).await;
    post(&ada, id, "eins").await.unwrap();
    assert_eq!((texts(&ben).await, texts(&carl).await), (vec!["eins".to_owned()], vec!["eins".to_owned()]));
    let before = ada.group(id).unwrap().unwrap();
    let mut moderator = membership(&ada).await;
    moderator.remove(id, &[ben.id().unwrap()]).await.unwrap();
    // Excluded at once, before there is a new key.
    assert!(ada.group(id).unwrap().unwrap().needs_epoch);
    let refused = post(&ben, id, "noch da?").await.unwrap_err();
    assert!(matches!(refused, ClientError::GroupRefused(_)), "{refused}");
    post(&carl, id, "zwei").await.unwrap();
    // With every key he ever had and all that passed by on the line, Ben reads nothing of it.
    let mut session = ada.log_in("en").await.unwrap();
    let seen = session.ozone(None, 10, Duration::ZERO).await.unwrap().messages;
    assert_eq!(seen.len(), 2, "the new key and the message");
    let mut stolen = ben.log_in("en").await.unwrap();
    for delivery in &seen {
        receiving::take_delivery(&ben, &mut stolen, delivery).await.unwrap();
    }
    let got = received(&ben).await;
    let says_nothing = |kind: &str| matches!(kind, "unreadable" | "waiting");
    assert!(got.iter().all(|received| received.event || says_nothing(&received.kind)), "{got:?}");
    assert_eq!(texts(&ada).await, ["zwei"]);
    let after = ada.group(id).unwrap().unwrap();
    assert_eq!(after.epoch, before.epoch + 1);
    assert_ne!(after.commitment, before.commitment);
}

#[tokio::test]
async fn a_message_from_before_a_removal_is_sealed_again_and_never_taken_late() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let id = group(Encryption::Symmetric, &[&ada, &ben, &carl]).await;
    post(&carl, id, "eins").await.unwrap();
    membership(&ada).await.remove(id, &[ben.id().unwrap()]).await.unwrap();
    // Carl's client has not heard of it: the server refuses, the client reads on and makes a new key.
    assert_eq!(carl.group(id).unwrap().unwrap().members.len(), 3);
    assert_eq!(post(&carl, id, "zwei").await.unwrap().members, Some(2));
    // What was written before is Ben's to read, and how he was removed.
    let got = received(&ben).await;
    let shown: Vec<_> = got.iter().filter(|received| !received.event).collect();
    assert_eq!((shown.len(), shown[0].text.as_deref(), shown[0].verified), (1, Some("eins"), true));
    assert!(got.iter().any(|received| received.event), "{got:?}");
    assert_eq!(texts(&ada).await, ["eins", "zwei"]);
}

#[tokio::test]
async fn a_server_that_slips_somebody_in_is_noticed() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let eve = server.register_profile(2, "eve").await;
    let id = group(Encryption::Asymmetric, &[&ada, &ben]).await;
    post(&ada, id, "eins").await.unwrap();
    assert_eq!(server.terminate().0.code(), Some(0));
    let member = serde_json::to_string(&ada.group(id).unwrap().unwrap().members[&ben.id().unwrap()]).unwrap();
    let database = rusqlite::Connection::open(server.data().join("momedo.db")).unwrap();
    let sql = "INSERT INTO group_members (group_id, participant, member, suspended) VALUES (?1, ?2, ?3, 0)";
    database.execute(sql, (id.number(), eve.id().unwrap().number(), &member)).unwrap();
    drop(database);
    server.launch();
    let refused = post(&ada, id, "zwei").await.unwrap_err();
    assert!(matches!(refused, ClientError::BrokenGroup { .. }), "{refused}");
    assert!(texts(&eve).await.is_empty());
}

#[tokio::test]
async fn a_server_that_writes_an_entry_itself_is_noticed() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let id = group(Encryption::Symmetric, &[&ada, &ben]).await;
    post(&ada, id, "eins").await.unwrap();
    assert_eq!(texts(&ben).await, ["eins"]);
    assert_eq!(server.terminate().0.code(), Some(0));
    // An old entry under a new number is all that a server can sign nothing for.
    let database = rusqlite::Connection::open(server.data().join("momedo.db")).unwrap();
    let sql = "INSERT INTO group_entries (group_id, number, entry)
               SELECT group_id, ?2, entry FROM group_entries WHERE group_id = ?1 AND number = 2";
    let next = ada.group(id).unwrap().unwrap().number + 1;
    database.execute(sql, (id.number(), next)).unwrap();
    let sql = "UPDATE groups SET number = ?2, state = json_set(state, '$.number', ?2) WHERE id = ?1";
    database.execute(sql, (id.number(), next)).unwrap();
    drop(database);
    server.launch();
    let refused = post(&ada, id, "zwei").await.unwrap_err();
    assert!(matches!(refused, ClientError::BrokenGroup { .. }), "{refused}");
    assert!(events(&ben).await.contains("must not be used"));
}

#[tokio::test]
async fn a_message_in_the_name_of_somebody_who_does_not_belong_is_not_verified() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let id = group(Encryption::Symmetric, &[&ada, &ben]).await;
    // Only moderators may write; Ben's client is made to believe otherwise by a server that does not check.
    post(&ben, id, "eins").await.unwrap();
    assert_eq!(texts(&ada).await, ["eins"]);
    let rules = |posting| settings(posting, Access::Closed);
    let change =
        |posting| move |_: &_| momedo_protocol::group::entry::Action::Settings { settings: rules(posting) };
    membership(&ada).await.change(id, change(Posting::Moderators)).await.unwrap();
    let refused = post(&ben, id, "zwei").await.unwrap_err();
    assert!(matches!(refused, ClientError::GroupRefused(_)), "{refused}");
    server.expects_errors = false;
}

#[tokio::test]
async fn keys_for_as_many_members_as_a_request_may_have_are_not_too_large() {
    let server = Server::start();
    let mut ada = server.register(0).await;
    let request = |count: usize| GroupKeysRequest {
        id: MessageId::new(momedo_client::now()),
        // What a group key takes that is sealed to somebody with all kinds of keys.
        messages: (0..count)
            .map(|_| GroupKeyMessage { to: ParticipantId::random(), envelope: Base64Bytes(vec![1; 4096]) })
            .collect(),
    };
    let group: GroupId = "7QK0M3ZD9XN4".parse().unwrap();
    let most = request(MAX_GROUP_KEYS_AT_ONCE);
    assert_eq!(refused(ada.session.hand_out_keys(group, &most).await), "unknown-group");
    let more = request(MAX_GROUP_KEYS_AT_ONCE + 1);
    assert_eq!(refused(ada.session.hand_out_keys(group, &more).await), "malformed");
}

#[tokio::test]
async fn newcomers_read_what_comes_and_not_what_was() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let id = group(Encryption::Symmetric, &[&ada, &ben]).await;
    post(&ada, id, "eins").await.unwrap();
    let epoch = ada.group(id).unwrap().unwrap().epoch;
    membership(&ada).await.add(id, &[carl.id().unwrap()], GroupRole::Member).await.unwrap();
    post(&ben, id, "zwei").await.unwrap();
    assert_eq!(texts(&carl).await, ["zwei"]);
    // Nobody left, so the key stayed.
    assert_eq!(ada.group(id).unwrap().unwrap().epoch, epoch);
    let events = events(&ben).await;
    assert!(events.contains("you belong to the group 7b"), "{events}");
}

#[tokio::test]
async fn an_open_group_is_joined_by_id_and_a_closed_one_by_its_link() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let mut moderator = membership(&ada).await;
    let open = moderator
        .create(settings(Posting::Everyone, Access::Open), Encryption::Symmetric)
        .await
        .unwrap()
        .id();
    let closed = group(Encryption::Symmetric, &[&ada]).await;
    let mut newcomer = membership(&ben).await;
    assert_eq!(newcomer.list().await.unwrap().open.iter().map(|group| group.id).collect::<Vec<_>>(), [open]);
    newcomer.join(open).await.unwrap();
    assert!(newcomer.list().await.unwrap().open.is_empty());
    let refused = newcomer.join(closed).await.unwrap_err();
    assert_eq!(refused.problem(), Some("unknown-group"));
    let link = moderator.open_link(closed, 1).await.unwrap();
    newcomer.join_by_link(&link).await.unwrap();
    // One use is one use.
    let refused = membership(&carl).await.join_by_link(&link).await.unwrap_err();
    assert!(matches!(refused, ClientError::GroupRefused(_)), "{refused}");
    for id in [open, closed] {
        post(&ada, id, "willkommen").await.unwrap();
    }
    assert_eq!(texts(&ben).await, ["willkommen", "willkommen"]);
    newcomer.leave(open).await.unwrap();
    assert_eq!(post(&ada, open, "allein").await.unwrap().members, Some(1));
}

#[tokio::test]
async fn whoever_was_removed_neither_reads_on_with_a_link_nor_comes_back_with_one() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let id = group(Encryption::Symmetric, &[&ada, &ben]).await;
    let mut moderator = membership(&ada).await;
    let link = moderator.open_link(id, 9).await.unwrap();
    // The public half stands in the chain, for every member.
    membership(&ben).await.state(id).await.unwrap();
    let removed = moderator.remove(id, &[ben.id().unwrap()]).await.unwrap();
    let renamed = Settings { name: "7b ohne Ben".into(), ..settings(Posting::Everyone, Access::Closed) };
    moderator.change(id, |_| Action::Settings { settings: renamed.clone() }).await.unwrap();
    let mut session = ben.log_in("en").await.unwrap();
    let ben_bundle = ben.own_bundle().unwrap();
    let signed = link.prove(ben.id().unwrap(), &ben_bundle.fingerprint());
    let proof = [&ben_bundle.fingerprint().0[..], &signed].concat();
    for shown in [&link.public_key()[..], &proof] {
        let answer = session.group_entries(id, 0, Some(shown)).await.unwrap();
        assert_eq!((answer.number, answer.members), (removed.number, 0), "a removed member reads on");
        assert!(answer.join.is_none());
    }
    let refused = membership(&ben).await.join_by_link(&link).await.unwrap_err();
    assert!(refused.to_string().contains("link"), "{refused}");
    assert!(moderator.state(id).await.unwrap().active(ben.id().unwrap()).is_none());
    // With the public half of the next link a stranger is told nothing, with the link itself how to join.
    let carl = server.register_profile(2, "carl").await;
    let link = moderator.open_link(id, 9).await.unwrap();
    let mut session = carl.log_in("en").await.unwrap();
    let refused = session.group_entries(id, 0, Some(&link.public_key())).await.unwrap_err();
    assert_eq!(refused.problem(), Some("unknown-group"));
    let fingerprint = carl.own_bundle().unwrap().fingerprint();
    let proof = [&fingerprint.0[..], &link.prove(carl.id().unwrap(), &fingerprint)].concat();
    let refused =
        ben.log_in("en").await.unwrap().group_entries(id, removed.number, Some(&proof)).await.unwrap();
    assert!(refused.join.is_none(), "somebody else's proof counts");
    let answer = session.group_entries(id, 0, Some(&proof)).await.unwrap();
    assert_eq!((answer.entries.len(), answer.members, answer.reset.len()), (1, 0, 0));
    let joined = membership(&carl).await.join_by_link(&link).await.unwrap();
    assert!(joined.active(carl.id().unwrap()).is_some());
}

#[tokio::test]
async fn a_message_whose_key_comes_later_is_opened_then() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let id = group(Encryption::Symmetric, &[&ada, &ben]).await;
    post(&ada, id, "eins").await.unwrap();
    // Ben's queue is handed out in two parts, the wrong way round.
    let mut session = ben.log_in("en").await.unwrap();
    let page = session.ozone(None, 10, Duration::ZERO).await.unwrap();
    assert_eq!(page.messages.len(), 2, "a key and a message");
    let (key, message) = (&page.messages[0], &page.messages[1]);
    receiving::take_delivery(&ben, &mut session, message).await.unwrap();
    assert!(receiving::stored(&ben).unwrap().iter().all(|received| received.event));
    receiving::take_delivery(&ben, &mut session, key).await.unwrap();
    let stored = receiving::stored(&ben).unwrap();
    assert!(stored.iter().any(|received| received.text.as_deref() == Some("eins") && received.verified));
}

#[tokio::test]
async fn own_devices_share_groups_and_a_revoked_one_is_followed_by_a_new_key() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let id = group(Encryption::Symmetric, &[&ada, &ben]).await;
    post(&ada, id, "eins").await.unwrap();
    let tablet = server.profile("tablet");
    let added = momedo_testing::people::add_device(&ben, &tablet, "tablet").await.unwrap();
    let (tablet, device) = added;
    assert_eq!(texts(&ben).await, ["eins"]);
    post(&ada, id, "zwei").await.unwrap();
    assert_eq!((texts(&ben).await, texts(&tablet).await), (vec!["zwei".to_owned()], vec!["zwei".to_owned()]));
    post(&ben, id, "vom Handy").await.unwrap();
    assert_eq!(texts(&tablet).await, ["vom Handy"]);
    let before = ben.group(id).unwrap().unwrap();
    momedo_client::devices::revoke(&ben, &[device], &[], "en", &|_| {}).await.unwrap();
    let after = ben.group(id).unwrap().unwrap();
    assert!(after.needs_epoch && after.number > before.number);
    assert_eq!(texts(&ada).await, ["vom Handy"]);
    post(&ada, id, "drei").await.unwrap();
    assert_eq!(texts(&ben).await, ["drei"]);
    assert_eq!(ada.group(id).unwrap().unwrap().epoch, before.epoch + 1);
    // The same with what Ben signs now.
    post(&ben, id, "vier").await.unwrap();
    assert_eq!(texts(&ada).await, ["vier"]);
}

#[tokio::test]
async fn somebody_whose_keys_were_reset_is_out_until_a_moderator_adds_them_again() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let id = group(Encryption::Symmetric, &[&ada, &ben, &carl]).await;
    post(&ada, id, "eins").await.unwrap();
    let who = ben.id().unwrap().to_string();
    server.json(&["admin", "participant", "reset-keys", &who, "--data-dir", "data", "--json"]);
    let invite =
        server.json(&["admin", "participant", "invite", &who, "--data-dir", "data", "--json"]).remove(0);
    let link = invite["link"].as_str().unwrap();
    server.json(&["user", "register", "--invite", link, "--profile", "ben-neu", "--json"]);
    let new_ben = momedo_client_native::profiles::open(&server.profile("ben-neu"), None).unwrap();
    assert_eq!(new_ben.id().unwrap(), ben.id().unwrap());
    assert_eq!(post(&carl, id, "zwei").await.unwrap().members, Some(2));
    assert!(carl.group(id).unwrap().unwrap().active(ben.id().unwrap()).is_none());
    assert!(texts(&new_ben).await.is_empty());
    // Ada has compared the new fingerprint; then she adds Ben again.
    let mut session = ada.log_in("en").await.unwrap();
    let fingerprint = new_ben.own_bundle().unwrap().fingerprint();
    momedo_client::contacts::compare(&ada, &mut session, new_ben.id().unwrap(), fingerprint).await.unwrap();
    membership(&ada).await.add(id, &[new_ben.id().unwrap()], GroupRole::Member).await.unwrap();
    assert_eq!(post(&ada, id, "drei").await.unwrap().members, Some(3));
    assert_eq!(texts(&new_ben).await, ["drei"]);
    assert_eq!(texts(&carl).await, ["eins", "drei"]);
}

#[tokio::test]
async fn a_restored_server_gets_the_rest_of_a_chain_back() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let id = group(Encryption::Symmetric, &[&ada]).await;
    assert_eq!(server.terminate().0.code(), Some(0));
    let copy = server.folder.path().join("copy.db");
    std::fs::copy(server.data().join("momedo.db"), &copy).unwrap();
    server.launch();
    membership(&ada).await.add(id, &[ben.id().unwrap()], GroupRole::Member).await.unwrap();
    let longest = ada.group(id).unwrap().unwrap();
    assert_eq!(server.terminate().0.code(), Some(0));
    std::fs::copy(&copy, server.data().join("momedo.db")).unwrap();
    server.launch();
    let mut session = ada.log_in("en").await.unwrap();
    let synced = chain::sync(&ada, &mut session, id).await.unwrap();
    assert_eq!(synced.state, longest);
    post(&ada, id, "wieder da").await.unwrap();
    assert_eq!(texts(&ben).await, ["wieder da"]);
}

#[tokio::test]
async fn the_command_line_makes_and_uses_groups() {
    let server = Server::start();
    for (number, name) in ["ada", "ben", "carl"].into_iter().enumerate() {
        server.register_profile(number, name).await;
    }
    let id_of = |name: &str| {
        momedo_client_native::profiles::open(&server.profile(name), None).unwrap().id().unwrap().to_string()
    };
    let run = |arguments: &[&str]| -> Vec<Value> { server.json(&[arguments, &["--json"]].concat()) };
    let made =
        run(&["group", "create", "--profile", "ada", "--name", "Kollegium", "--posting", "moderators"]);
    let id = made[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 12);
    let added = run(&["group", "add", "--profile", "ada", "--group", &id, &id_of("ben"), &id_of("carl")]);
    assert_eq!(added[0]["members"], 3);
    let sent = run(&["send", "--profile", "ada", "--to", &id, "Konferenz um drei"]);
    assert_eq!((&sent[0]["status"], &sent[0]["members"]), (&json!("accepted"), &json!(3)));
    let got = run(&["receive", "--profile", "ben"]);
    assert_eq!(got.len(), 1, "{got:?}");
    assert_eq!((&got[0]["group"], &got[0]["text"]), (&json!(id), &json!("Konferenz um drei")));
    assert_eq!((&got[0]["kind"], &got[0]["verified"]), (&json!("text"), &json!(true)));
    assert!(
        server.failure(&["send", "--profile", "ben", "--to", &id, "darf ich?"]).contains("only moderators")
    );
    let members = run(&["group", "members", "--profile", "carl", "--group", &id]);
    assert_eq!(members.len(), 3);
    run(&["group", "remove", "--profile", "ada", "--group", &id, &id_of("carl")]);
    // Whoever was removed reads how that came about, and nothing later.
    let members = run(&["group", "members", "--profile", "carl", "--group", &id]);
    assert!(members.iter().all(|member| member["id"] != json!(id_of("carl"))), "{members:?}");
    let listed = run(&["group", "list", "--profile", "ben"]);
    assert_eq!((&listed[0]["id"], &listed[0]["members"]), (&json!(id), &json!(2)));
    assert!(server.failure(&["group", "leave", "--profile", "ada", "--group", &id]).contains("moderator"));
    run(&["group", "leave", "--profile", "ben", "--group", &id]);
    assert!(run(&["group", "list", "--profile", "ben"]).is_empty());
    run(&["group", "archive", "--profile", "ada", "--group", &id]);
    assert!(server.failure(&["send", "--profile", "ada", "--to", &id, "hallo?"]).contains("archived"));
}

#[tokio::test]
async fn admins_see_groups_and_can_end_them_but_not_read_them() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let id = group(Encryption::Symmetric, &[&ada, &ben]).await;
    post(&ada, id, "bis gleich").await.unwrap();
    let list = || server.json(&["admin", "group", "list", "--data-dir", "data", "--json"]);
    let listed = list();
    assert_eq!((&listed[0]["id"], &listed[0]["name"]), (&json!(id), &json!("7b")));
    assert_eq!((&listed[0]["members"], &listed[0]["posting"]), (&json!(2), &json!("everyone")));
    server.json(&["admin", "group", "delete", "--data-dir", "data", &id.to_string(), "--json"]);
    assert!(list().is_empty());
    let log = server.json(&["admin", "log", "--data-dir", "data", "--json"]);
    assert!(log.iter().any(|line| line["action"] == "group-deleted"), "{log:?}");
    let refused = post(&ada, id, "noch jemand da?").await.unwrap_err();
    assert_eq!(refused.problem(), Some("unknown-group"));
    // What waits is still delivered, and was checked against a chain that Ben can no longer fetch.
    assert_eq!(received(&ben).await.iter().filter(|received| !received.event).count(), 1);
}
