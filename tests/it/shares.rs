//! Nobody uses up what somebody else needs: lists of groups, chains, turns to write, the server's room.

use std::time::Duration;

use momedo_client::ClientError;
use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::receiving;
use momedo_client::sending::{Destination, Draft, send};
use momedo_protocol::api::groups::GroupMessageRequest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::group::envelope::seal_message;
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::message_id::MessageId;
use rusqlite::Connection;

use crate::across::count;
use crate::harness::{PATIENCE, Server, refused};
use crate::neighbours::{id, neighbour, pair, until};

async fn membership(profile: &Profile) -> Membership<'_> {
    Membership::begin(profile, "en", &|_| {}).await.unwrap()
}

async fn new_group(profile: &Profile) -> GroupId {
    let settings = Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Closed };
    membership(profile).await.create(settings, Encryption::Symmetric).await.unwrap().id()
}

async fn add(profile: &Profile, group: GroupId, whom: &Profile) -> Result<(), ClientError> {
    let whom = [whom.id().unwrap()];
    membership(profile).await.add(group, &whom, GroupRole::Member).await.map(drop)
}

/// Changes the database of a server that stands still meanwhile.
fn change(server: &mut Server, statements: &str) {
    assert_eq!(server.terminate().0.code(), Some(0));
    let database = Connection::open(server.data().join("momedo.db")).unwrap();
    database.execute_batch(statements).unwrap();
    drop(database);
    server.launch();
}

#[tokio::test]
async fn nobody_fills_anybodys_list_of_groups() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let (first, second, carls) = (new_group(&ada).await, new_group(&ada).await, new_group(&carl).await);
    // Ada added Ben to 49 groups: making them one by one would take the test longer than all others.
    let (adder, added) = (ada.id().unwrap().number(), ben.id().unwrap().number());
    change(
        &mut server,
        &format!(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 49)
             INSERT INTO groups (id, name, number, state, open, created_at)
             SELECT n, 'voll', number, state, 0, created_at FROM number, groups WHERE groups.id = {};
             INSERT INTO group_members (group_id, participant, member, suspended, added_by)
             SELECT id, {added}, (SELECT member FROM group_members LIMIT 1), 0, {adder} FROM groups
             WHERE name = 'voll';",
            first.number()
        ),
    );
    add(&ada, first, &ben).await.unwrap();
    assert_eq!(refused(add(&ada, second, &ben).await), "added-too-often");
    // Others add Ben all the same, and Ben makes groups of his own.
    add(&carl, carls, &ben).await.unwrap();
    new_group(&ben).await;
    // Whoever leaves is not in it any more.
    membership(&ben).await.leave(first).await.unwrap();
    add(&ada, second, &ben).await.unwrap();
}

#[tokio::test]
async fn nobody_pushes_others_groups_out_of_the_list_of_open_ones() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let settings = Settings { name: "Zirkus".into(), posting: Posting::Everyone, access: Access::Open };
    let open = membership(&ada).await.create(settings, Encryption::Symmetric).await.unwrap().id();
    let carl = server.register_profile(2, "carl").await;
    // Carl made 300 that stand before it.
    change(
        &mut server,
        &format!(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 300)
             INSERT INTO groups (id, name, number, state, open, created_at, made_by)
             SELECT n, 'AAA', number, state, 1, created_at, {} FROM number, groups WHERE groups.id = {};",
            carl.id().unwrap().number(),
            open.number()
        ),
    );
    let listed = membership(&ben).await.list().await.unwrap().open;
    assert_eq!((listed.len(), listed.last().map(|group| group.name.as_str())), (21, Some("Zirkus")));
}

#[tokio::test]
async fn whoever_is_blocked_adds_nobody() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let group = new_group(&ada).await;
    let mut session = ben.log_in("en").await.unwrap();
    session.block(ada.id().unwrap()).await.unwrap();
    assert_eq!(refused(add(&ada, group, &ben).await), "blocked");
    assert!(session.groups().await.unwrap().groups.is_empty());
    session.unblock(ada.id().unwrap()).await.unwrap();
    add(&ada, group, &ben).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_blocked_at_another_server_adds_nobody_there() {
    let (a, b) = (Server::start(), Server::start());
    pair(&a, &b);
    for (here, there) in [(&a, &b), (&b, &a)] {
        neighbour(here, &["allow", &id(there), "--all"]);
    }
    let ada = a.register_profile(0, "ada").await;
    let ben = b.register_profile(1, "ben").await;
    let group = new_group(&ada).await;
    let mut session = ben.log_in("en").await.unwrap();
    session.block(ada.id().unwrap()).await.unwrap();
    assert_eq!(refused(add(&ada, group, &ben).await), "blocked");
    session.unblock(ada.id().unwrap()).await.unwrap();
    add(&ada, group, &ben).await.unwrap();
}

#[tokio::test]
async fn no_member_uses_up_a_chain_and_everybody_can_be_removed_or_leave() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let dora = server.register_profile(3, "dora").await;
    let group = new_group(&ada).await;
    for member in [&ben, &carl, &dora] {
        add(&ada, group, member).await.unwrap();
    }
    for member in [&ada, &ben, &carl, &dora] {
        membership(member).await.new_key(group).await.unwrap();
    }
    // What a member wrote counts, and what all of them did who are no moderators.
    let database = Connection::open(server.data().join("momedo.db")).unwrap();
    let by_members: u32 = database.query_row("SELECT by_members FROM groups", [], |row| row.get(0)).unwrap();
    assert_eq!(by_members, 3);
    drop(database);
    // Ben has written a thousand entries.
    let bens = ben.id().unwrap().number();
    change(&mut server, &format!("UPDATE group_authors SET entries = 1000 WHERE participant = {bens}"));
    assert_eq!(refused(membership(&ben).await.new_key(group).await), "changed-too-often");
    membership(&carl).await.new_key(group).await.unwrap();
    // And all members together half of what a chain takes: the other half is the moderators'.
    change(&mut server, "UPDATE groups SET by_members = 50000");
    assert_eq!(refused(membership(&carl).await.new_key(group).await), "changed-too-often");
    membership(&ben).await.leave(group).await.unwrap();
    membership(&ada).await.remove(group, &[carl.id().unwrap()]).await.unwrap();
    membership(&ada).await.new_key(group).await.unwrap();
    membership(&dora).await.leave(group).await.unwrap();
}

#[tokio::test]
async fn a_message_to_many_is_paid_for_before_the_next_one() {
    let mut server = Server::start_with("[rates]\nmessages = { per_minute = 1, burst = 28 }\n");
    let ada = server.register_profile(0, "ada").await;
    let group = new_group(&ada).await;
    membership(&ada).await.new_key(group).await.unwrap();
    let state = ada.group(group).unwrap().unwrap();
    // 200 more who are nobody: what counts is how many there are. The restart gives Ada her turns back.
    let statements = format!(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 200)
         INSERT INTO group_members (group_id, participant, member, suspended)
         SELECT {}, n, (SELECT member FROM group_members LIMIT 1), 0 FROM number",
        group.number()
    );
    change(&mut server, &statements);
    let mut session = ada.log_in("en").await.unwrap();
    let mut post = async || {
        let id = MessageId::new(momedo_client::now());
        let from = ada.id().unwrap();
        let envelope = seal_message(state.group, state.epoch, &GroupKey::random(), from, id, b"{}").unwrap();
        let (number, slots, blobs) = (state.number, Vec::new(), Vec::new());
        let request = GroupMessageRequest { id, number, envelope: Base64Bytes(envelope), slots, blobs };
        session.post_to_group(group, &request).await
    };
    // Each costs five turns; the sixth begins with three and leaves a debt of two.
    for _ in 0..6 {
        post().await.unwrap();
    }
    let error = post().await.unwrap_err();
    let ClientError::Refused(problem) = error else { panic!("{error}") };
    assert_eq!((problem.name(), problem.status), ("too-often", 429));
    assert!((121..=180).contains(&problem.retry_after.unwrap()), "{:?}", problem.retry_after);
}

async fn receive(profile: &Profile) {
    let mut session = profile.log_in("en").await.unwrap();
    receiving::receive(profile, &mut session, Duration::ZERO, &mut |_| Ok(())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_has_a_share_of_the_server_for_everybody_together() {
    // One envelope takes about 5,700 bytes.
    let mut server = Server::start_with("[mail]\nmax_sender_bytes = 20000\n");
    let (mut ada, mut ben) = (server.register(0).await, server.register(1).await);
    let (mut carl, mut dora) = (server.register(2).await, server.register(3).await);
    for to in [&ben, &carl, &ben] {
        let bundle = to.bundle.clone();
        ada.submit(&bundle, 4096).await.unwrap();
    }
    for to in [&ben, &carl, &dora] {
        let bundle = to.bundle.clone();
        assert_eq!(refused(ada.submit(&bundle, 4096).await), "sender-full");
    }
    // That is Ada's share and nobody else's.
    carl.submit(&ben.bundle, 4096).await.unwrap();
    // The counting survives a restart, and what is fetched makes room.
    assert_eq!(server.terminate().0.code(), Some(0));
    server.launch();
    for person in [&mut ada, &mut ben, &mut carl, &mut dora] {
        person.log_in(&server).await;
    }
    assert_eq!(refused(ada.submit(&dora.bundle, 4096).await), "sender-full");
    let cursor = carl.waiting().await.cursor;
    carl.session.acknowledge(cursor).await.unwrap();
    ada.submit(&dora.bundle, 4096).await.unwrap();
    assert_eq!(refused(ada.submit(&dora.bundle, 4096).await), "sender-full");
    for person in [&mut ben, &mut dora] {
        let cursor = person.waiting().await.cursor;
        person.session.acknowledge(cursor).await.unwrap();
    }
    assert_eq!(count(&server, "sender_bytes"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_a_group_counts_once_until_the_last_member_has_it() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let (ben, carl) = (server.register_profile(1, "ben").await, server.register_profile(2, "carl").await);
    let group = new_group(&ada).await;
    for member in [&ben, &carl] {
        add(&ada, group, member).await.unwrap();
    }
    let post = async || {
        let draft = Draft::text("hallo");
        send(&ada, Destination::Group(group), &draft, PATIENCE, "en", &|_| {}).await.unwrap();
    };
    let waiting = || -> u64 {
        let database = Connection::open(server.data().join("momedo.db")).unwrap();
        let sql = "SELECT coalesce(sum(bytes), 0) FROM sender_bytes WHERE sender = ?1";
        database.query_row(sql, [ada.id().unwrap().number()], |row| row.get(0)).unwrap()
    };
    post().await;
    for member in [&ben, &carl] {
        receive(member).await;
    }
    until("all have it", || waiting() == 0);
    post().await;
    let all = waiting();
    assert!(all > 0);
    receive(&ben).await;
    assert_eq!(waiting(), all);
    receive(&carl).await;
    until("the last one has it", || waiting() == 0);
}
