//! Fetching the large keys of a group's members: each once, and not again after a line that broke in between.

use std::sync::Mutex;
use std::time::Instant;

use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::progress::Step;
use momedo_client::sending::{Destination, Draft, send};
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::mceliece::{McEliecePrivateKey, PUBLIC_KEY_BYTES};
use momedo_testing::keys::ParticipantKeys;

use crate::harness::{PATIENCE, Server, stored_keys};
use crate::line::Line;

/// Stored keys, but with a McEliece key of one's own.
fn own_keys(number: usize) -> ParticipantKeys {
    let mut keys = stored_keys(number);
    let (private, public) = McEliecePrivateKey::generate();
    (keys.encryption.private.mceliece, keys.encryption.mceliece) = (Some(private), public);
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_members_key_is_fetched_once_however_often_the_line_breaks() {
    const MEMBERS: usize = 4;
    let server = Server::start();
    let line = Line::to(&server.address);
    let ada = server.register_profile_over(&line, 0, "ada").await;
    let mut members = Vec::new();
    for number in 1..=MEMBERS {
        let name = format!("member-{number}");
        let keys = move || own_keys(number);
        let profile: Profile = server.register_profile_with(server.invite(), &name, keys).await;
        members.push(profile.id().unwrap());
    }
    let steps = Mutex::new(Vec::new());
    let progress = |step: Step| steps.lock().unwrap().push(step);
    for (number, encryption) in [Encryption::Symmetric, Encryption::Asymmetric].into_iter().enumerate() {
        let mut moderator = Membership::begin(&ada, "en", &|_| {}).await.unwrap();
        let settings = Settings { name: "Schule".into(), posting: Posting::Everyone, access: Access::Closed };
        let group = moderator.create(settings, encryption).await.unwrap().id();
        moderator.add(group, &members, GroupRole::Member).await.unwrap();
        line.mend();
        let (to, draft) = (Destination::Group(group), Draft::text("Hallo"));
        let post = || send(&ada, to, &draft, PATIENCE, "en", &progress);
        if number == 0 {
            // In the middle of the third of four keys.
            line.break_after(2 * PUBLIC_KEY_BYTES + PUBLIC_KEY_BYTES / 2);
            let watched = line.clone();
            let breaking = tokio::task::spawn_blocking(move || {
                let begun = Instant::now();
                while !watched.has_failed() {
                    assert!(begun.elapsed() < PATIENCE, "the line was to break");
                    std::thread::yield_now();
                }
            });
            // Whoever sends gives up at that moment.
            tokio::select! {
                ended = post() => panic!("{ended:?}"),
                broken = breaking => broken.unwrap(),
            }
            line.mend();
        }
        post().await.unwrap();
        // A little is said beside the keys. The second group needs none of them again.
        let keys = line.down() / PUBLIC_KEY_BYTES;
        assert_eq!(keys, if number == 0 { MEMBERS - 2 } else { 0 }, "{encryption}");
    }
    let steps = steps.into_inner().unwrap();
    let fetched = |step: &Step| matches!(step, Step::FetchingKeys { .. } | Step::HandingOutKeys { .. });
    assert!(steps.iter().any(fetched), "nobody was told how far it is: {steps:?}");
}
