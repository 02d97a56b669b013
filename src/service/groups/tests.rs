//! Who may do what in a group, and who gets what is posted: over the API, without a socket.

use axum::http::{Method, StatusCode};
use momedo_protocol::api::groups as api;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::entry::{
    Access, Action, Encryption, GroupEntryPayload, GroupRole, NewMember, Posting, Settings,
};
use momedo_protocol::group::link::GroupLink;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;
use momedo_testing::stored_keys::rsa_key;
use serde_json::{Value, json};

use crate::service::permission::RecentlyConfirmed;
use crate::testing::group::{Group, add, closed, member, remove};
use crate::testing::{Person, Server, refused, word};

async fn three(server: &Server) -> [Person; 3] {
    [server.register("Ada").await, server.register("Ben").await, server.register("Carl").await]
}

async fn count(server: &Server, who: &Person) -> usize {
    server.waiting(who).await.messages.len()
}

/// Another server.
fn elsewhere(server: &Server) -> Fingerprint {
    let mut other = server.app().fingerprint;
    other.0[0] ^= 1;
    other
}

fn role(who: &Person, role: GroupRole) -> Action {
    Action::Role { member: who.id, role }
}

#[tokio::test]
async fn what_is_posted_reaches_the_members_and_nobody_else() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let group = Group::with_key(&server, &ada, &[&ben]).await;
    let answer = group.post(&ada, &group.message(&ada, &[])).await;
    assert_eq!((answer.0, &answer.1["members"]), (StatusCode::CREATED, &json!(2)));
    let got = server.waiting(&ben).await.messages;
    assert_eq!(
        got.iter().map(|got| (got.from, got.group)).collect::<Vec<_>>(),
        [(ada.id, Some(group.state.id()))]
    );
    assert_eq!((count(&server, &ada).await, count(&server, &carl).await), (0, 0));
}

#[tokio::test]
async fn whoever_does_not_belong_does_not_hear_that_there_is_a_group() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[&ben]).await;
    assert_eq!(word(&group.entries(&carl).await), "unknown-group");
    for action in [Action::Settings { settings: closed() }, Action::Leave {}, add(&[&carl]), group.epoch()] {
        assert_eq!(word(&group.change(&carl, action).await), "unknown-group");
    }
    assert_eq!(word(&group.post(&carl, &group.message(&carl, &[])).await), "unknown-group");
    let keys = json!({ "id": MessageId([1; 16]), "messages": [{ "to": ben.id, "envelope": "" }] });
    let handed = server.call(&carl, Method::POST, &group.path("keys"), keys).await;
    assert_eq!(word(&handed), "unknown-group");
    let listed = server.call(&carl, Method::GET, "/groups", Value::Null).await.1;
    assert_eq!((&listed["groups"], &listed["open"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn a_member_changes_neither_members_nor_roles_nor_rules() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[&ben]).await;
    let number = group.state.number;
    for action in [
        add(&[&carl]),
        remove(&[&ada]),
        role(&ben, GroupRole::Moderator),
        Action::Settings { settings: Settings { access: Access::Open, ..closed() } },
        Action::Link { key: Some(Base64Bytes(vec![1; 32])), uses: 1 },
        Action::Archive {},
    ] {
        assert_eq!(word(&group.change(&ben, action).await), "group-refused");
    }
    assert_eq!(group.entries(&ada).await.1["number"], number);
}

#[tokio::test]
async fn whoever_is_a_moderator_may_and_whoever_is_one_no_more_may_not() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[&ben]).await;
    group.must(&ada, role(&ben, GroupRole::Moderator)).await;
    group.must(&ben, add(&[&carl])).await;
    group.must(&ben, role(&ada, GroupRole::Member)).await;
    assert_eq!(word(&group.change(&ada, remove(&[&carl])).await), "group-refused");
    group.must(&ben, remove(&[&carl, &ada])).await;
}

#[tokio::test]
async fn a_group_always_has_a_moderator() {
    let server = Server::open("").await;
    let [ada, ben, _] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[&ben]).await;
    for action in [Action::Leave {}, remove(&[&ada]), role(&ada, GroupRole::Member)] {
        assert_eq!(word(&group.change(&ada, action).await), "group-refused");
    }
    group.must(&ada, role(&ben, GroupRole::Moderator)).await;
    group.must(&ada, Action::Leave {}).await;
    assert_eq!(group.state.members.keys().collect::<Vec<_>>(), [&ben.id]);
}

#[tokio::test]
async fn the_last_one_who_leaves_ends_the_group() {
    let server = Server::open("").await;
    let ada = server.register("Ada").await;
    let mut group =
        Group::create(&server, &ada, Encryption::Symmetric, Settings { access: Access::Open, ..closed() })
            .await;
    group.must(&ada, Action::Leave {}).await;
    assert!(group.state.archived);
    let listed = server.call(&ada, Method::GET, "/groups", Value::Null).await.1;
    assert_eq!((&listed["groups"], &listed["open"]), (&json!([]), &json!([])));
    assert_eq!(word(&group.change(&ada, join(None)).await), "group-refused");
}

#[tokio::test]
async fn of_two_entries_at_once_one_counts_and_the_other_is_stale() {
    let server = Server::open("").await;
    let [ada, ben, _] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[&ben]).await;
    let first = group.next(&ada, role(&ben, GroupRole::Moderator)).sign(&rsa_key(0));
    let late = group.next(&ben, Action::Leave {}).sign(&rsa_key(0));
    let taken = group.submit(&ada, &first).await;
    assert_eq!(taken.0, StatusCode::CREATED);
    assert_eq!(word(&group.submit(&ben, &late).await), "stale-group");
    assert_eq!(group.submit(&ada, &first).await, taken, "the same again gets the same answer");
    group.state.number += 1;
    assert_eq!(group.entries(&ben).await.1["number"], group.state.number);
}

#[tokio::test]
async fn an_entry_counts_from_its_author_alone_and_with_the_key_that_is_published() {
    let server = Server::open("").await;
    let [ada, ben, _] = three(&server).await;
    let group = Group::with_key(&server, &ada, &[&ben]).await;
    let entry = group.next(&ada, Action::Archive {});
    assert_eq!(word(&group.submit(&ben, &entry.sign(&rsa_key(0))).await), "not-yours");
    let key = Base64Bytes(rsa_key(5).public().spki().to_vec());
    let stolen = GroupEntryPayload { key, ..entry.clone() };
    assert_eq!(word(&group.submit(&ada, &stolen.sign(&rsa_key(5))).await), "group-refused");
    assert_eq!(word(&group.submit(&ada, &entry.sign(&rsa_key(5))).await), "group-refused");
    assert_eq!(group.submit(&ada, &entry.sign(&rsa_key(0))).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn newcomers_are_people_there_are_with_the_keys_they_have() {
    let server = Server::open("").await;
    let [ada, ben, _] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[]).await;
    let nobody = NewMember { id: ParticipantId::random(), ..member(&ben) };
    let newer = NewMember { version: 2, ..member(&ben) };
    let mut other = member(&ben);
    other.fingerprint.0[0] ^= 1;
    for (new, expected) in [(nobody, "unknown-participant"), (newer, "stale-bundle"), (other, "stale-bundle")]
    {
        let members = vec![member(&ada), new];
        assert_eq!(word(&group.change(&ada, Action::Add { members }).await), expected);
    }
    assert_eq!(group.entries(&ada).await.1["members"], 1);
}

#[tokio::test]
async fn whoever_is_blocked_adds_nobody_who_blocks_them() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[]).await;
    let block = format!("/me/blocks/{}", ada.id);
    server.call(&ben, Method::PUT, &block, Value::Null).await;
    assert_eq!(word(&group.change(&ada, add(&[&carl, &ben])).await), "blocked");
    group.must(&ada, add(&[&carl])).await;
    server.call(&ben, Method::DELETE, &block, Value::Null).await;
    group.must(&ada, add(&[&ben])).await;
}

fn join(proof: Option<Vec<u8>>) -> Action {
    Action::Join { version: 1, home: None, proof: proof.map(Base64Bytes) }
}

#[tokio::test]
async fn an_open_group_is_listed_and_joined_and_a_closed_one_is_not() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[]).await;
    assert_eq!(word(&group.change(&ben, join(None)).await), "group-refused");
    let settings = Settings { access: Access::Open, ..closed() };
    group.must(&ada, Action::Settings { settings }).await;
    let listed = server.call(&ben, Method::GET, "/groups", Value::Null).await.1;
    assert_eq!(listed["open"][0]["id"], json!(group.state.id()));
    let shown = group.entries(&ben).await.1;
    assert_eq!(shown["entries"].as_array().unwrap().len(), 1, "who may join sees the first entry alone");
    assert_eq!(shown["join"]["number"], group.state.number);
    group.must(&ben, join(None)).await;
    let listed = server.call(&ben, Method::GET, "/groups", Value::Null).await.1;
    assert_eq!((&listed["open"], listed["groups"].as_array().map(Vec::len)), (&json!([]), Some(1)));
    group.must(&ada, Action::Settings { settings: closed() }).await;
    assert_eq!(word(&group.entries(&carl).await), "unknown-group");
}

#[tokio::test]
async fn a_link_lets_in_as_many_as_it_says_and_ends_when_somebody_is_removed() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[]).await;
    let link = GroupLink::random(group.state.group);
    let make = |uses| Action::Link { key: Some(Base64Bytes(link.public_key())), uses };
    let proof = |who: &Person| join(Some(link.prove(who.id, &who.bundle.fingerprint())));
    group.must(&ada, make(1)).await;
    let others = join(Some(link.prove(carl.id, &carl.bundle.fingerprint())));
    assert_eq!(word(&group.change(&ben, others).await), "group-refused", "it was signed for somebody else");
    group.must(&ben, proof(&ben)).await;
    assert_eq!(word(&group.change(&carl, proof(&carl)).await), "group-refused", "it is used up");
    group.must(&ada, make(9)).await;
    group.must(&ada, remove(&[&ben])).await;
    assert_eq!(word(&group.change(&ben, proof(&ben)).await), "group-refused");
    assert_eq!(word(&group.change(&carl, proof(&carl)).await), "group-refused");
    group.must(&ada, make(9)).await;
    group.must(&carl, proof(&carl)).await;
}

#[tokio::test]
async fn whoever_joins_names_their_own_home() {
    let server = Server::open("").await;
    let [ada, ben, _] = three(&server).await;
    let settings = Settings { access: Access::Open, ..closed() };
    let mut group = Group::create(&server, &ada, Encryption::Symmetric, settings).await;
    let link = GroupLink::random(group.state.group);
    group.must(&ada, Action::Link { key: Some(Base64Bytes(link.public_key())), uses: 5 }).await;
    let proof = Some(Base64Bytes(link.prove(ben.id, &ben.bundle.fingerprint())));
    let abroad = Action::Join { version: 1, home: Some(elsewhere(&server)), proof };
    assert_eq!(word(&group.change(&ben, abroad).await), "group-refused");
    group.must(&ben, join(None)).await;
}

#[tokio::test]
async fn only_moderators_write_where_only_moderators_write() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[&ben, &carl]).await;
    let settings = Settings { posting: Posting::Moderators, ..closed() };
    group.must(&ada, Action::Settings { settings }).await;
    assert_eq!(word(&group.post(&ben, &group.message(&ben, &[])).await), "moderators-post");
    assert!(group.post(&ada, &group.message(&ada, &[])).await.0.is_success());
    group.must(&ada, role(&ben, GroupRole::Moderator)).await;
    assert!(group.post(&ben, &group.message(&ben, &[])).await.0.is_success());
    assert_eq!((count(&server, &ada).await, count(&server, &carl).await), (1, 2));
}

#[tokio::test]
async fn whoever_does_not_know_the_last_entry_does_not_post() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[&ben]).await;
    let early = group.message(&ben, &[]);
    group.must(&ada, add(&[&carl])).await;
    assert_eq!(word(&group.post(&ben, &early).await), "stale-group");
    let ahead = api::GroupMessageRequest { number: group.state.number + 1, ..group.message(&ben, &[]) };
    assert_eq!(word(&group.post(&ben, &ahead).await), "stale-group");
    assert_eq!(count(&server, &ada).await, 0);
    assert!(group.post(&ben, &group.message(&ben, &[])).await.0.is_success());
    assert_eq!(count(&server, &carl).await, 1);
}

#[tokio::test]
async fn nothing_is_posted_under_a_key_that_somebody_has_who_left() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let mut group = Group::create(&server, &ada, Encryption::Symmetric, closed()).await;
    let keyless = group.message_in(1, &ada, &[]);
    assert_eq!(word(&group.post(&ada, &keyless).await), "group-refused", "there is no key yet");
    group.must(&ada, add(&[&ben, &carl])).await;
    group.must(&ada, group.epoch()).await;
    assert!(group.post(&ada, &group.message(&ada, &[])).await.0.is_success());
    group.must(&carl, Action::Leave {}).await;
    assert_eq!(word(&group.post(&ada, &group.message(&ada, &[])).await), "group-refused");
    group.must(&ben, group.epoch()).await;
    assert_eq!(word(&group.post(&ada, &group.message_in(1, &ada, &[])).await), "group-refused");
    assert!(group.post(&ada, &group.message_in(2, &ada, &[])).await.0.is_success());
    assert_eq!((count(&server, &ben).await, count(&server, &carl).await), (2, 1));
}

#[tokio::test]
async fn a_message_is_sealed_for_its_group_and_in_its_groups_form() {
    let server = Server::open("").await;
    let [ada, ben, _] = three(&server).await;
    let shared = Group::with_key(&server, &ada, &[&ben]).await;
    let other = Group::with_key(&server, &ada, &[&ben]).await;
    assert_eq!(word(&shared.post(&ada, &other.message(&ada, &[])).await), "group-refused");
    assert_eq!(word(&shared.post(&ada, &shared.message_in(0, &ada, &[&ben])).await), "group-refused");
    assert_eq!(word(&shared.post(&ada, &shared.message(&ada, &[&ben])).await), "group-refused", "a slot");
    let mut apart = Group::create(&server, &ada, Encryption::Asymmetric, closed()).await;
    apart.must(&ada, add(&[&ben])).await;
    assert_eq!(word(&apart.post(&ada, &apart.message_in(1, &ada, &[])).await), "group-refused");
    assert_eq!(word(&apart.change(&ada, apart.epoch()).await), "group-refused", "it has no key to share");
    assert_eq!(count(&server, &ben).await, 0);
}

#[tokio::test]
async fn without_a_shared_key_a_member_gets_what_was_sealed_to_them_and_others_hear_that_they_missed_it() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let mut group = Group::create(&server, &ada, Encryption::Asymmetric, closed()).await;
    group.must(&ada, add(&[&ben, &carl])).await;
    assert!(group.post(&ada, &group.message(&ada, &[&ben])).await.0.is_success());
    let (to_ben, to_carl) = (server.waiting(&ben).await, server.waiting(&carl).await);
    assert!(to_ben.messages.len() == 1 && to_ben.messages[0].slot.is_some());
    assert_eq!((to_ben.missed, to_carl.messages.len(), to_carl.missed), (0, 0, 1));
}

#[tokio::test]
async fn each_member_has_one_slot_and_it_is_of_this_very_message() {
    let server = Server::open("").await;
    let [ada, ben, _] = three(&server).await;
    let mut group = Group::create(&server, &ada, Encryption::Asymmetric, closed()).await;
    group.must(&ada, add(&[&ben])).await;
    assert_eq!(word(&group.post(&ada, &group.message(&ada, &[&ben, &ben])).await), "malformed");
    let mut mixed = group.message(&ada, &[]);
    mixed.slots = group.message(&ada, &[&ben]).slots;
    assert_eq!(word(&group.post(&ada, &mixed).await), "message-id-mismatch");
    let renamed = api::GroupMessageRequest { id: MessageId([7; 16]), ..group.message(&ada, &[]) };
    assert_eq!(word(&group.post(&ada, &renamed).await), "message-id-mismatch");
    assert_eq!(count(&server, &ben).await, 0);
}

#[tokio::test]
async fn whoever_was_removed_neither_posts_nor_gets_nor_reads_what_came_later() {
    let server = Server::open("").await;
    let [ada, ben, _] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[&ben]).await;
    group.must(&ada, remove(&[&ben])).await;
    let removed_at = group.state.number;
    group.must(&ada, group.epoch()).await;
    assert!(group.post(&ada, &group.message(&ada, &[])).await.0.is_success());
    assert_eq!(word(&group.post(&ben, &group.message(&ben, &[])).await), "unknown-group");
    assert_eq!(count(&server, &ben).await, 0);
    let read = group.entries(&ben).await.1;
    assert_eq!((&read["number"], &read["members"]), (&json!(removed_at), &json!(0)));
    assert_eq!(read["entries"].as_array().unwrap().len(), removed_at as usize);
}

#[tokio::test]
async fn nobody_posts_to_an_archived_group_and_everybody_may_leave_it() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[&ben]).await;
    group.must(&ada, Action::Archive {}).await;
    assert_eq!(word(&group.post(&ada, &group.message(&ada, &[])).await), "group-refused");
    for action in [add(&[&carl]), group.epoch(), Action::Settings { settings: closed() }] {
        assert_eq!(word(&group.change(&ada, action).await), "group-refused");
    }
    group.must(&ben, Action::Leave {}).await;
    group.must(&ada, Action::Leave {}).await;
}

#[tokio::test]
async fn the_same_posting_again_is_kept_once_and_something_else_under_its_id_is_refused() {
    let server = Server::open("").await;
    let [ada, ben, _] = three(&server).await;
    let mut group = Group::with_key(&server, &ada, &[&ben]).await;
    let message = group.message(&ada, &[]);
    let first = group.post(&ada, &message).await;
    assert_eq!(group.post(&ada, &message).await, first);
    let mut other = message.clone();
    *other.envelope.0.last_mut().unwrap() ^= 1;
    assert_eq!(word(&group.post(&ada, &other).await), "message-conflict");
    group.must(&ada, Action::Archive {}).await;
    assert_eq!(group.post(&ada, &message).await.0, StatusCode::CREATED, "what was taken stays taken");
    assert_eq!(count(&server, &ben).await, 1);
}

#[tokio::test]
async fn whoever_blocks_a_fellow_member_gets_nothing_they_post_and_they_do_not_hear_of_it() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let group = Group::with_key(&server, &ada, &[&ben, &carl]).await;
    server.call(&ben, Method::PUT, &format!("/me/blocks/{}", carl.id), Value::Null).await;
    let posted = group.post(&carl, &group.message(&carl, &[])).await;
    assert_eq!((&posted.1["members"], posted.1.get("left_out")), (&json!(3), None));
    let page = server.waiting(&ben).await;
    assert_eq!((page.messages.len(), page.missed, count(&server, &ada).await), (0, 0, 1));
    assert!(group.post(&ada, &group.message(&ada, &[])).await.0.is_success());
    assert_eq!(count(&server, &ben).await, 1);
}

#[tokio::test]
async fn keys_are_handed_to_members_whom_they_block_too_and_to_nobody_else() {
    let server = Server::open("").await;
    let [ada, ben, carl] = three(&server).await;
    let group = Group::with_key(&server, &ada, &[&ben]).await;
    server.call(&ben, Method::PUT, &format!("/me/blocks/{}", ada.id), Value::Null).await;
    let id = server.envelope(&ben).id;
    let sealed = |to: &Person| {
        let envelope = Base64Bytes(momedo_testing::envelopes::opaque(&to.bundle, id, 512));
        json!({ "to": to.id, "envelope": envelope })
    };
    let hand_out = async |messages: Vec<Value>| {
        let body = json!({ "id": id, "messages": messages });
        server.call(&ada, Method::POST, &group.path("keys"), body).await
    };
    assert_eq!(word(&hand_out(Vec::new()).await), "malformed");
    assert_eq!(word(&hand_out(vec![sealed(&ben); 51]).await), "malformed");
    let handed = hand_out(vec![sealed(&ben), sealed(&carl)]).await;
    let refused = handed.1["refused"].as_array().unwrap();
    assert_eq!((refused.len(), &refused[0]["to"]), (1, &json!(carl.id)));
    assert_eq!(word(&(handed.0, refused[0]["problem"].clone())), "unknown-group");
    assert_eq!((count(&server, &ben).await, count(&server, &carl).await), (1, 0));
}

#[tokio::test]
async fn a_group_that_an_admin_deletes_is_gone_and_what_waits_is_still_delivered() {
    let server = Server::open("").await;
    let [ada, ben, _] = three(&server).await;
    let group = Group::with_key(&server, &ada, &[&ben]).await;
    assert!(group.post(&ada, &group.message(&ada, &[])).await.0.is_success());
    let (admin, id) = (RecentlyConfirmed::at_the_machine(), group.state.id().to_string());
    assert_eq!(refused(super::delete(server.app(), &admin, "7QK0M3ZD9XN4").await), "unknown-group");
    super::delete(server.app(), &admin, &id).await.unwrap();
    assert_eq!(refused(super::delete(server.app(), &admin, &id).await), "unknown-group");
    assert_eq!(word(&group.post(&ada, &group.message(&ada, &[])).await), "unknown-group");
    assert_eq!(word(&group.entries(&ben).await), "unknown-group");
    assert_eq!(count(&server, &ben).await, 1);
}

#[tokio::test]
async fn a_group_is_made_for_this_server_and_under_the_version_of_keys_its_maker_has() {
    let server = Server::open("").await;
    let [ada, _, _] = three(&server).await;
    let first = |home, version| {
        let salt = Base64Bytes(vec![1; 16]);
        let action =
            Action::Create { settings: closed(), encryption: Encryption::Symmetric, home, version, salt };
        GroupEntryPayload {
            group: None,
            number: 1,
            previous: None,
            author: ada.id,
            key: Base64Bytes(rsa_key(0).public().spki().to_vec()),
            made_at: UnixMillis(1),
            action,
        }
        .sign(&rsa_key(0))
    };
    let create = async |entry| server.call(&ada, Method::POST, "/groups", json!({ "entry": entry })).await;
    let own = server.app().fingerprint;
    assert_eq!(word(&create(first(elsewhere(&server), 1)).await), "group-refused");
    assert_eq!(word(&create(first(own, 2)).await), "group-refused");
    let right = first(own, 1);
    let made = create(right.clone()).await;
    assert_eq!((made.0, create(right).await), (StatusCode::CREATED, made.clone()));
    let listed = server.call(&ada, Method::GET, "/groups", Value::Null).await.1;
    assert_eq!(listed["groups"].as_array().map(Vec::len), Some(1));
}
