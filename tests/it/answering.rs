//! Writing to people at another server that is away, or no neighbour any more.

use std::time::Duration;

use momedo_client::groups::membership::Membership;
use momedo_client::sending::{Destination, Draft, send};
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};
use momedo_protocol::mceliece::McEliecePrivateKey;
use momedo_testing::keys::ParticipantKeys;

use crate::harness::{PATIENCE, Server, stored_keys};
use crate::neighbours::{id, neighbour, pair, receive_until};

/// Stored keys, but with a McEliece key of one's own.
fn own_keys(number: usize) -> ParticipantKeys {
    let mut keys = stored_keys(number);
    let (private, public) = McEliecePrivateKey::generate();
    (keys.encryption.private.mceliece, keys.encryption.mceliece) = (Some(private), public);
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_is_taken_and_arrives_when_the_other_server_is_back() {
    let (school, mut town) = (Server::start(), Server::start());
    pair(&school, &town);
    [&school, &town].into_iter().for_each(|server| drop(neighbour(server, &["allow", "--all"])));
    let ada = school.register_profile(0, "ada").await;
    let carl = town.register_profile_with(town.invite(), "carl", || own_keys(1)).await;
    let (ada_id, carl_id) = (ada.id().unwrap(), carl.id().unwrap());
    let question = Draft::text("Wann kommt der Bus?");
    send(&carl, Destination::Participant(ada_id), &question, PATIENCE, "en", &|_| {}).await.unwrap();
    let shows = |text: &'static str| {
        move |all: &[momedo_client::receiving::Received]| {
            all.iter().any(|received| received.verified && received.text.as_deref() == Some(text))
        }
    };
    receive_until(&ada, shows("Wann kommt der Bus?")).await;
    town.terminate();
    let answer = Draft::text("Um acht");
    let wait = Duration::from_secs(5);
    send(&ada, Destination::Participant(carl_id), &answer, wait, "en", &|_| {}).await.unwrap();
    town.launch();
    receive_until(&carl, shows("Um acht")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_posts_to_a_group_hears_whom_it_does_not_reach() {
    let (school, town) = (Server::start(), Server::start());
    pair(&school, &town);
    [&school, &town].into_iter().for_each(|server| drop(neighbour(server, &["allow", "--all"])));
    let ada = school.register_profile(0, "ada").await;
    let carl = town.register_profile(1, "carl").await;
    let carl_id = carl.id().unwrap();
    let mut moderator = Membership::begin(&ada, "en", &|_| {}).await.unwrap();
    let settings = Settings { name: "Projekt".into(), posting: Posting::Everyone, access: Access::Closed };
    let group = moderator.create(settings, Encryption::Symmetric).await.unwrap().id();
    moderator.add(group, &[carl_id], GroupRole::Member).await.unwrap();
    let post = async |text: &str| {
        let draft = Draft::text(text);
        send(&ada, Destination::Group(group), &draft, PATIENCE, "en", &|_| {}).await.unwrap()
    };
    let sent = post("eins").await;
    assert_eq!((sent.members, &sent.left_out[..]), (Some(2), &[][..]));
    receive_until(&carl, |all| all.iter().any(|received| received.text.as_deref() == Some("eins"))).await;
    neighbour(&school, &["block", &id(&town)]);
    let sent = post("zwei").await;
    assert_eq!((sent.members, &sent.left_out[..]), (Some(1), &[carl_id][..]));
}
