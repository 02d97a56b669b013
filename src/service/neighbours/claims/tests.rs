use momedo_protocol::rsa_private_key::RsaPrivateKey;

use super::*;
use crate::testing::{self, keys};

/// What a home tells of somebody: their bundle of this version, signed by `key` and, if it changed, by the one before.
fn told(
    id: ParticipantId,
    home: Fingerprint,
    other: Option<Fingerprint>,
    version: u64,
    (key, before): (&RsaPrivateKey, Option<&RsaPrivateKey>),
) -> Told {
    let homes = std::iter::once(home).chain(other).collect();
    let (bundle, jws) = testing::bundle(id, homes, version, (key, before));
    let changes = before.map(|_| jws.clone()).into_iter().collect();
    let published = PublishedKeys { bundle: jws.clone(), countersignature: jws, home: None, changes };
    Told { home, via: home, distance: 0, bundle, published }
}

/// Who is kept as the home after each of these was told, and whether two claim the ID.
async fn kept_after(all: Vec<Told>) -> (Fingerprint, bool) {
    let folder = tempfile::tempdir().unwrap();
    let store = testing::store(&folder);
    let row = store
        .write(move |tx| {
            let mut row = None;
            for told in &all {
                row = keep(tx, told)?;
            }
            Ok::<_, ServiceError>(row)
        })
        .await
        .unwrap()
        .unwrap();
    store.close().await;
    (row.home, row.disputed_by.is_some())
}

#[tokio::test]
async fn naming_the_true_home_as_the_other_one_takes_nobody_over() {
    let keys = keys();
    let [home, thief] = [1, 2].map(|number| Fingerprint([number; 32]));
    let id = ParticipantId::random();
    let truth = || told(id, home, None, 3, (&keys[0], None));
    let claim = |version| told(id, thief, Some(home), version, (&keys[1], None));
    // Whichever is heard first, and whatever version the thief makes up.
    for version in [1, 3, 4_000_000_000] {
        assert!(kept_after(vec![claim(version), truth()]).await.1, "version {version}, heard first");
        assert!(kept_after(vec![truth(), claim(version)]).await.1, "version {version}, heard last");
    }
}

#[tokio::test]
async fn a_home_that_was_left_and_one_that_is_behind_claim_nobody() {
    let keys = keys();
    let [home, other] = [1, 2].map(|number| Fingerprint([number; 32]));
    let id = ParticipantId::random();
    // The second home has not heard that it is none any more.
    let left = || told(id, other, Some(home), 5, (&keys[0], None));
    let newest = || told(id, home, None, 6, (&keys[0], None));
    assert_eq!(kept_after(vec![newest(), left()]).await, (home, false));
    assert_eq!(kept_after(vec![left(), newest()]).await, (home, false));
    // The signature key changed, and the second home is behind.
    let behind = || told(id, other, Some(home), 5, (&keys[0], None));
    let changed = || told(id, home, Some(other), 6, (&keys[1], Some(&keys[0])));
    assert_eq!(kept_after(vec![changed(), behind()]).await, (home, false));
    // An admin had the keys reset: both name each other, and the one that is behind claims nothing.
    let reset = || told(id, home, Some(other), 6, (&keys[2], None));
    assert_eq!(kept_after(vec![reset(), behind()]).await, (home, false));
}
