//! Who gets figures, and that they say what happened.

use super::*;
use crate::testing::{Server, refused, word};

fn machine() -> RecentlyConfirmed {
    RecentlyConfirmed::at_the_machine()
}

#[tokio::test]
async fn only_the_newest_token_lets_anybody_read() {
    let server = Server::open("").await;
    let app = server.app();
    for token in ["", "AAAA"] {
        assert_eq!(refused(authenticate(app, token).await), "not-logged-in", "there is no token yet");
    }
    let old = make_token(app, &machine()).await.unwrap();
    assert!(authenticate(app, &old).await.is_ok());
    let new = make_token(app, &machine()).await.unwrap();
    assert!(authenticate(app, &new).await.is_ok());
    for token in [old.as_str(), "", &new[1..], &format!("{new}A")] {
        assert_eq!(refused(authenticate(app, token).await), "not-logged-in");
    }
    let kept = app.store.read(|tx| tx.setting(TOKEN)).await.unwrap().unwrap();
    assert_ne!(kept, new.as_bytes(), "a backup holds no token");
}

#[tokio::test]
async fn what_was_accepted_and_refused_is_counted() {
    let server = Server::open("[rates]\nmessages = { per_minute = 1, burst = 2 }\n").await;
    let app = server.app();
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    for expected in ["", "", "too-often"] {
        assert_eq!(word(&server.send(&ada, &ben).await), expected);
    }
    let figures = figures(app, &Reader(())).await.unwrap();
    assert_eq!((figures.accepted, figures.refused), (2, vec![("too-often", 1)]));
    assert_eq!((figures.status.participants, figures.status.ozone_envelopes), (2, 2));
    assert!(figures.database_bytes > 0 && figures.free_bytes > 0 && figures.certificate_ends_at.is_some());
    assert!(figures.neighbours.iter().all(|(_, count)| *count == 0) && figures.outgoing == 0);
}
