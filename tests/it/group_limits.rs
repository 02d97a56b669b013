//! Limits of groups that only a server knows, on both sides of each.

use std::io::{Read, Write};
use std::time::Instant;

use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_protocol::api::groups::{GroupKeyMessage, GroupKeysRequest, GroupMessageRequest};
use momedo_protocol::blob::BlobId;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::group::envelope::seal_message;
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;

use crate::door::{Tls, tls};
use crate::harness::{PATIENCE, Server, refused};

fn open_group() -> Settings {
    Settings { name: "offen".into(), posting: Posting::Everyone, access: Access::Open }
}

async fn membership(profile: &Profile) -> Membership<'_> {
    Membership::begin(profile, "en", &|_| {}).await.unwrap()
}

#[tokio::test]
async fn somebody_makes_or_joins_five_hundred_groups_and_two_hundred_open_ones_are_listed() {
    let mut server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut moderator = membership(&ada).await;
        ids.push(moderator.create(open_group(), Encryption::Symmetric).await.unwrap().id());
    }
    // 499 more that Ben joined: making them one by one would take the test longer than all others.
    assert_eq!(server.terminate().0.code(), Some(0));
    let database = rusqlite::Connection::open(server.data().join("momedo.db")).unwrap();
    let sql = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 499)
               INSERT INTO groups (id, name, number, state, open, created_at)
               SELECT n, 'voll', number, state, 1, created_at FROM number, groups WHERE groups.id = ?1";
    database.execute(sql, [ids[0].number()]).unwrap();
    let sql = "INSERT INTO group_members (group_id, participant, member, suspended)
               SELECT id, ?1, (SELECT member FROM group_members LIMIT 1), 0 FROM groups WHERE name = 'voll'";
    assert_eq!(database.execute(sql, [ben.id().unwrap().number()]).unwrap(), 499);
    drop(database);
    server.launch();
    let mut newcomer = membership(&ben).await;
    newcomer.join(ids[0]).await.unwrap();
    assert_eq!(newcomer.join(ids[1]).await.unwrap_err().problem(), Some("too-many-groups"));
    let made = newcomer.create(open_group(), Encryption::Symmetric).await;
    assert_eq!(made.unwrap_err().problem(), Some("too-many-groups"));
    let mut moderator = membership(&ada).await;
    // To what others add him that is no limit, nor does it use up his.
    moderator.add(ids[2], &[ben.id().unwrap()], GroupRole::Member).await.unwrap();
    newcomer.leave(ids[0]).await.unwrap();
    newcomer.join(ids[1]).await.unwrap();
    // There are 502 open groups.
    assert_eq!(membership(&carl).await.list().await.unwrap().open.len(), 200);
}

/// A posting to a group that the server does not know: whoever gets so far has passed every limit.
fn posting(sender: ParticipantId, inner: usize, blobs: usize) -> (GroupId, GroupMessageRequest) {
    let (group, id) = (Sha512Digest([7; 64]), MessageId::new(momedo_client::now()));
    let envelope = seal_message(group, 1, &GroupKey::random(), sender, id, &vec![b'x'; inner]).unwrap();
    let blobs = (0..blobs).map(|_| BlobId::random()).collect();
    let request =
        GroupMessageRequest { id, number: 1, envelope: Base64Bytes(envelope), slots: Vec::new(), blobs };
    (GroupId::of(&group), request)
}

#[tokio::test]
async fn envelopes_files_and_keys_of_a_posting_are_limited() {
    let largest = posting(ParticipantId::random(), 3000, 0).1.envelope.0.len();
    let server = Server::start_with(&format!("[mail]\nmax_envelope_bytes = {largest}\n"));
    let mut ada = server.register(0).await;
    for (inner, blobs, answer) in [
        (3000, 0, "unknown-group"),
        (5000, 0, "envelope-too-large"),
        (3000, 16, "unknown-group"),
        (3000, 17, "malformed"),
    ] {
        let (group, request) = posting(ada.id(), inner, blobs);
        let posted = ada.session.post_to_group(group, &request).await;
        assert_eq!(refused(posted), answer, "{inner} bytes, {blobs} files");
    }
    let group = posting(ada.id(), 1, 0).0;
    for (count, answer) in [(0, "malformed"), (1, "unknown-group"), (50, "unknown-group"), (51, "malformed")]
    {
        let message =
            |_| GroupKeyMessage { to: ParticipantId::random(), envelope: Base64Bytes(vec![1; 100]) };
        let id = MessageId::new(momedo_client::now());
        let request = GroupKeysRequest { id, messages: (0..count).map(message).collect() };
        assert_eq!(refused(ada.session.hand_out_keys(group, &request).await), answer, "{count} keys");
    }
}

/// Largest posting that is read without asking whether others are being read: see section 15 of the protocol.
const SMALL_BODY: usize = 178_858;

/// Begins a large posting; only its header for now.
fn begin_large_posting(server: &Server, token: &str) -> Tls {
    let mut stream = tls(server);
    write!(
        stream,
        "POST /api/v1/groups/7QK0M3ZD9XN4/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        SMALL_BODY + 1
    )
    .unwrap();
    stream.flush().unwrap();
    stream
}

/// Sends the body and returns the status of the answer.
fn end_large_posting(mut stream: Tls) -> u16 {
    // The server may have answered already and not want it.
    let _: std::io::Result<()> = stream.write_all(&vec![b' '; SMALL_BODY + 1]).and_then(|()| stream.flush());
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap()
}

#[tokio::test]
async fn four_large_postings_are_read_at_once() {
    let server = Server::start();
    let ada = server.register(0).await;
    let token = ada.session.token();
    let since = Instant::now();
    loop {
        let begun: Vec<Tls> = (0..8).map(|_| begin_large_posting(&server, token)).collect();
        let answers: Vec<u16> = begun.into_iter().map(end_large_posting).collect();
        // What is read is no posting. Those that came while four were being read were not read at all.
        assert!(answers.iter().all(|status| matches!(status, 400 | 503)), "{answers:?}");
        assert!(answers.iter().filter(|status| **status == 400).count() >= 4, "{answers:?}");
        if answers.contains(&503) {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "a fifth is read");
    }
    assert_eq!(end_large_posting(begin_large_posting(&server, token)), 400);
}
