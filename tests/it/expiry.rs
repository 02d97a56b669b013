//! Expiry, by the time the server itself saw pass: the store and the use cases, on a clock of the test's.

use std::time::Duration;

use momedo::domain::delivery::Takers;
use momedo::domain::ozone::{Quota, Source};
use momedo::server::running;
use momedo::service::{ServiceError, upkeep};
use momedo::settings::config::Config;
use momedo::store::{Charged, NewEnvelope, StoreError, WriteTx};
use momedo::surroundings::clock::Clock;
use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;

const DAY: Duration = Duration::from_secs(86_400);
const QUOTA: Quota = Quota { queue_bytes: 1 << 20, sender_bytes: 1 << 20 };

fn device(name: &str) -> DeviceId {
    DeviceId::of_login_key(name.as_bytes())
}

async fn add(app: &momedo::state::App, id: ParticipantId, devices: &'static [&'static str]) {
    app.store
        .write(move |tx| {
            tx.insert_participant(id, "Test", UnixMillis(0))?;
            for name in devices {
                tx.upsert_device(device(name), id, &Sha512Digest([0; 64]), name.as_bytes())?;
            }
            Ok::<_, ServiceError>(())
        })
        .await
        .unwrap();
}

fn takers(
    tx: &mut WriteTx<'_>,
    device: DeviceId,
    quota: &Quota,
    envelope: &NewEnvelope,
) -> Result<Takers, StoreError> {
    let queues = tx.queues(&[device], envelope.source, envelope.sender)?;
    Ok(Takers::with_room(&queues, envelope.source, envelope.bytes.len() as u64, quota))
}

async fn deliver(app: &momedo::state::App, from: ParticipantId, to: ParticipantId, name: &'static str) {
    let envelope = NewEnvelope {
        sender: from,
        message_id: MessageId::new(UnixMillis(1)),
        accepted_at: UnixMillis(1),
        bundle_version: 1,
        source: Source::Here,
        charged: Charged::Sender,
        bytes: vec![7; 1000],
    };
    app.store
        .write(move |tx| {
            let takers = takers(tx, device(name), &QUOTA, &envelope)?;
            Ok::<_, ServiceError>(tx.append(to, &takers, envelope)?)
        })
        .await
        .unwrap();
}

async fn waiting(app: &momedo::state::App, name: &'static str) -> (u64, u64, u64) {
    app.store
        .read(move |tx| {
            let state = tx.queue_state(device(name))?;
            Ok::<_, ServiceError>((tx.count_waiting(device(name))?, state.missed, tx.count_envelopes()?.0))
        })
        .await
        .unwrap()
}

async fn mark_seen(app: &momedo::state::App, name: &'static str) {
    app.store.write(move |tx| Ok::<_, ServiceError>(tx.mark_device_seen(device(name))?)).await.unwrap();
}

#[tokio::test]
async fn mail_expires_after_the_retention_the_server_saw_and_the_device_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (ada, ben) = (ParticipantId::random(), ParticipantId::random());
    let clock = Clock::manual();
    let opened = running::open(folder.path(), Config::default(), clock.clone()).await.unwrap();
    let app = &opened.app;
    add(app, ada, &["ada"]).await;
    add(app, ben, &["phone"]).await;
    deliver(app, ada, ben, "phone").await;
    for _ in 0..89 {
        clock.advance(DAY);
        mark_seen(app, "phone").await;
        assert_eq!(upkeep::expire(app).await.unwrap(), 0);
    }
    deliver(app, ada, ben, "phone").await;
    clock.advance(DAY * 2);
    mark_seen(app, "phone").await;
    assert_eq!(upkeep::expire(app).await.unwrap(), 1);
    assert_eq!(waiting(app, "phone").await, (1, 1, 1));
    app.store.close().await;
}

#[tokio::test]
async fn time_the_server_did_not_see_expires_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (ada, ben) = (ParticipantId::random(), ParticipantId::random());
    for run in 0..3 {
        // Each run has a clock of its own; between two runs anything may have passed.
        let clock = Clock::manual();
        let opened = running::open(folder.path(), Config::default(), clock.clone()).await.unwrap();
        if run == 0 {
            add(&opened.app, ada, &["ada"]).await;
            add(&opened.app, ben, &["phone"]).await;
            deliver(&opened.app, ada, ben, "phone").await;
        }
        clock.advance(DAY * 25);
        mark_seen(&opened.app, "phone").await;
        assert_eq!(upkeep::expire(&opened.app).await.unwrap(), 0);
        assert_eq!(waiting(&opened.app, "phone").await.0, 1, "run {run}");
        opened.app.store.close().await;
    }
    // The three runs add up: 75 days, and 16 more.
    let clock = Clock::manual();
    let opened = running::open(folder.path(), Config::default(), clock.clone()).await.unwrap();
    clock.advance(DAY * 16);
    mark_seen(&opened.app, "phone").await;
    assert_eq!(upkeep::expire(&opened.app).await.unwrap(), 1);
    opened.app.store.close().await;
}

#[tokio::test]
async fn a_device_nobody_saw_for_a_month_is_parked_and_a_forgotten_one_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (ada, ben) = (ParticipantId::random(), ParticipantId::random());
    let clock = Clock::manual();
    let opened = running::open(folder.path(), Config::default(), clock.clone()).await.unwrap();
    let app = &opened.app;
    add(app, ada, &["ada"]).await;
    add(app, ben, &["phone", "tablet"]).await;
    deliver(app, ada, ben, "tablet").await;
    clock.advance(DAY * 31);
    mark_seen(app, "phone").await;
    upkeep::expire(app).await.unwrap();
    assert_eq!(waiting(app, "tablet").await, (0, 1, 0));
    let receiving = app.store.read(move |tx| tx.receiving_devices(ben)).await.unwrap();
    assert_eq!(receiving, [device("phone")]);
    // It comes back: mail is kept for it again, and it hears what it missed.
    mark_seen(app, "tablet").await;
    let receiving = app.store.read(move |tx| tx.receiving_devices(ben)).await.unwrap();
    assert_eq!(receiving.len(), 2);
    deliver(app, ada, ben, "tablet").await;
    assert_eq!(waiting(app, "tablet").await, (1, 1, 1));
    app.store.close().await;
}

#[tokio::test]
async fn a_failed_job_undoes_itself_and_nobody_elses_and_the_counting_stays_right() {
    let folder = tempfile::tempdir().unwrap();
    let (ada, ben) = (ParticipantId::random(), ParticipantId::random());
    let opened = running::open(folder.path(), Config::default(), Clock::manual()).await.unwrap();
    let app = &opened.app;
    add(app, ada, &["ada"]).await;
    add(app, ben, &["phone"]).await;
    deliver(app, ada, ben, "phone").await;
    let envelope = move |byte| NewEnvelope {
        sender: ada,
        message_id: MessageId([byte; 16]),
        accepted_at: UnixMillis(1),
        bundle_version: 1,
        source: Source::Here,
        charged: Charged::Sender,
        bytes: vec![byte; 600],
    };
    let quota = Quota { queue_bytes: 2000, sender_bytes: 2000 };
    let append = move |tx: &mut WriteTx<'_>, envelope: NewEnvelope| {
        let takers = takers(tx, device("phone"), &quota, &envelope)?;
        tx.append(ben, &takers, envelope)?;
        Ok::<_, ServiceError>(takers.taking.len())
    };
    let failed = app
        .store
        .write(move |tx| {
            append(tx, envelope(1))?;
            Err::<(), _>(ServiceError::MessageConflict)
        })
        .await;
    assert!(matches!(failed, Err(ServiceError::MessageConflict)));
    assert_eq!(waiting(app, "phone").await, (1, 0, 1));
    // One that promised to decide first, and did not, is undone, and nothing is answered wrongly.
    let broken = app
        .store
        .write_decided(move |tx| {
            append(tx, envelope(1))?;
            Err::<(), _>(ServiceError::MessageConflict)
        })
        .await;
    assert!(matches!(broken, Err(ServiceError::MessageConflict)));
    assert_eq!(waiting(app, "phone").await, (1, 0, 1));
    // 1,000 bytes wait, so one of 600 fits and a second one does not.
    for (byte, taken) in [(2, 1), (3, 0)] {
        let appended = app.store.write(move |tx| append(tx, envelope(byte))).await.unwrap();
        assert_eq!(appended, taken, "{byte}");
    }
    let page = app.store.read(move |tx| tx.waiting(device("phone"), 0, 10, 1 << 20)).await.unwrap();
    assert_eq!(page.iter().map(|waiting| waiting.sequence).collect::<Vec<_>>(), [1, 2]);
    app.store.close().await;
}

#[tokio::test]
async fn no_sequence_number_is_given_twice_when_a_whole_queue_expired_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (ada, ben) = (ParticipantId::random(), ParticipantId::random());
    let opened = running::open(folder.path(), Config::default(), Clock::manual()).await.unwrap();
    add(&opened.app, ada, &["ada"]).await;
    add(&opened.app, ben, &["phone"]).await;
    for _ in 0..3 {
        deliver(&opened.app, ada, ben, "phone").await;
    }
    opened.app.store.close().await;
    drop(opened);
    // The writer of this run has not counted the queue yet when everything in it expires.
    let clock = Clock::manual();
    let opened = running::open(folder.path(), Config::default(), clock.clone()).await.unwrap();
    clock.advance(DAY * 91);
    mark_seen(&opened.app, "phone").await;
    assert_eq!(upkeep::expire(&opened.app).await.unwrap(), 3);
    deliver(&opened.app, ada, ben, "phone").await;
    let page = opened.app.store.read(move |tx| tx.waiting(device("phone"), 0, 10, 1 << 20)).await.unwrap();
    assert_eq!(page.iter().map(|waiting| waiting.sequence).collect::<Vec<_>>(), [4]);
    opened.app.store.close().await;
}

#[tokio::test]
async fn the_last_device_of_a_participant_is_never_parked() {
    let folder = tempfile::tempdir().unwrap();
    let (ada, ben) = (ParticipantId::random(), ParticipantId::random());
    let clock = Clock::manual();
    let opened = running::open(folder.path(), Config::default(), clock.clone()).await.unwrap();
    let app = &opened.app;
    add(app, ada, &["ada"]).await;
    add(app, ben, &["phone", "tablet"]).await;
    deliver(app, ada, ben, "phone").await;
    deliver(app, ada, ben, "tablet").await;
    // Six weeks of holidays without any device: one of the two keeps its mail.
    clock.advance(DAY * 42);
    upkeep::expire(app).await.unwrap();
    let receiving = app.store.read(move |tx| tx.receiving_devices(ben)).await.unwrap();
    assert_eq!(receiving.len(), 1);
    assert_eq!(app.store.read(move |tx| tx.count_waiting(receiving[0])).await.unwrap(), 1);
    upkeep::expire(app).await.unwrap();
    assert_eq!(app.store.read(move |tx| tx.receiving_devices(ben)).await.unwrap().len(), 1);
    app.store.close().await;
}
