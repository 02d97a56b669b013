//! Groups of people whose first home was lost and replaced by their second, and of that home when it comes back.

use std::time::Duration;

use momedo_client::groups::membership::Membership;
use momedo_client::profile::Profile;
use momedo_client::sending::{Destination, Draft, send};
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};

use crate::harness::{Server, refused};
use crate::neighbours::{id, neighbour, receive_until, state, until};
use crate::second_home::{homes, pair_of_servers, pair_with_a_neighbour, settle};

/// As long as a group's home may need to answer.
const PATIENCE: Duration = Duration::from_secs(15);

async fn group(moderator: &Profile, others: &[&Profile]) -> GroupId {
    let mut membership = Membership::begin(moderator, "en", &|_| {}).await.unwrap();
    let settings = Settings { name: "7b".into(), posting: Posting::Everyone, access: Access::Closed };
    let id = membership.create(settings, Encryption::Symmetric).await.unwrap().id();
    let others: Vec<_> = others.iter().map(|profile| profile.id().unwrap()).collect();
    membership.add(id, &others, GroupRole::Member).await.unwrap();
    id
}

/// Posts, and everybody named receives it, verified.
async fn post(from: &Profile, group: GroupId, text: &str, all: &[&Profile]) {
    send(from, Destination::Group(group), &Draft::text(text), PATIENCE, "en", &|_| {}).await.unwrap();
    for profile in all {
        let is_it = |one: &momedo_client::receiving::Received| {
            one.verified && one.group == Some(group) && one.text.as_deref() == Some(text)
        };
        receive_until(profile, |all| all.iter().any(is_it)).await;
    }
}

async fn replace(a: &mut Server, b: &Server) {
    let lost = id(a);
    a.kill();
    until("the line is lost", || state(b, &lost) == "unreachable");
    neighbour(b, &["take-over", &lost]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_taken_over_belongs_to_new_groups_everywhere() {
    let ([mut a, b], z, [ada, zoe]) = pair_with_a_neighbour().await;
    let ben = b.register_profile(2, "ben").await;
    // The other server knows her from before, at the home that is lost.
    let before = group(&zoe, &[&ada]).await;
    post(&zoe, before, "vorher", &[&ada]).await;
    replace(&mut a, &b).await;
    homes(&a, "ada");
    let here = group(&ben, &[&ada, &zoe]).await;
    post(&ben, here, "bei Ben", &[&ada, &zoe]).await;
    post(&ada, here, "von Ada", &[&ben, &zoe]).await;
    let there = group(&zoe, &[&ada, &ben]).await;
    post(&zoe, there, "bei Zoe", &[&ada, &ben]).await;
    post(&ada, there, "Antwort", &[&zoe, &ben]).await;
    let own = group(&ada, &[&ben, &zoe]).await;
    post(&ada, own, "bei Ada", &[&ben, &zoe]).await;
    post(&zoe, own, "Antwort", &[&ada, &ben]).await;
    // Where she was before, she still is.
    post(&ada, before, "noch da", &[&zoe]).await;
    post(&zoe, before, "gut", &[&ada]).await;
    drop(z);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_lost_server_go_on_when_it_is_back_and_its_people_live_elsewhere() {
    let ([mut a, b], z, [ada, zoe]) = pair_with_a_neighbour().await;
    let ben = b.register_profile(2, "ben").await;
    for (here, there) in [(&a, &b), (&b, &a)] {
        neighbour(here, &["allow", &id(there), "--all"]);
    }
    let eva = a.register_profile(3, "eva").await;
    let kept_at_a = group(&ada, &[&ben, &zoe, &eva]).await;
    post(&ada, kept_at_a, "vorher", &[&ben, &zoe, &eva]).await;
    replace(&mut a, &b).await;
    homes(&a, "ada");
    // The group's only server is off: that is said, and nothing else suffers.
    let text = Draft::text("wohin");
    let error = send(&ada, Destination::Group(kept_at_a), &text, Duration::ZERO, "en", &|_| {}).await;
    assert_eq!(refused(error), "home-unreachable");
    a.launch();
    until("its admin is told", || neighbour(&a, &["list"]).iter().any(|row| row["says_first"] == true));
    neighbour(&a, &["accept-take-over", &id(&b)]);
    for home in [&b, &z] {
        until("the line is back", || state(home, &id(&a)) == "connected");
    }
    post(&ada, kept_at_a, "wieder da", &[&ben, &zoe, &eva]).await;
    post(&zoe, kept_at_a, "von Zoe", &[&ada, &ben, &eva]).await;
    post(&eva, kept_at_a, "von Eva", &[&ada, &ben, &zoe]).await;
    post(&ben, kept_at_a, "von Ben", &[&ada, &zoe, &eva]).await;
    // Its moderator still moderates it, also with new keys, which the server that keeps the group hears of.
    a.json(&["keys", "rotate", "--profile", "ada", "--json"]);
    let mut membership = Membership::begin(&ada, "en", &|_| {}).await.unwrap();
    membership.remove(kept_at_a, &[ben.id().unwrap()]).await.unwrap();
    membership.add(kept_at_a, &[ben.id().unwrap()], GroupRole::Member).await.unwrap();
    post(&ada, kept_at_a, "mit neuen Schlüsseln", &[&ben, &zoe, &eva]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_may_be_kept_by_either_home_and_read_over_the_other() {
    let [a, b] = pair_of_servers();
    for (here, there) in [(&a, &b), (&b, &a)] {
        neighbour(here, &["allow", &id(there), "--all"]);
    }
    let ada = a.register_profile(0, "ada").await;
    let (ben, carl) = (b.register_profile(1, "ben").await, b.register_profile(2, "carl").await);
    settle(&a, &b, &["ada"]);
    let at_second = group(&ben, &[&ada, &carl]).await;
    post(&ben, at_second, "beim zweiten", &[&ada, &carl]).await;
    // Over her first home, which has not the group.
    post(&ada, at_second, "Antwort", &[&ben, &carl]).await;
    a.json(&["keys", "rotate", "--profile", "ada", "--json"]);
    let own = group(&ada, &[&ben]).await;
    post(&ada, own, "beim ersten", &[&ben]).await;
    post(&ada, at_second, "mit neuen Schlüsseln", &[&ben, &carl]).await;
    let mut membership = Membership::begin(&ada, "en", &|_| {}).await.unwrap();
    membership.leave(at_second).await.unwrap();
    post(&ben, at_second, "ohne sie", &[&carl]).await;
}
