//! Neighbours' logs of key changes: followed entry by entry, so that a server that shows different keys to different
//! people is found out.
//!
//! A head that does not continue what was seen is kept beside the last one that did: both are signed by the neighbour,
//! so nobody else can have made them. From then on its log counts for nothing new until an admin has decided; what was
//! known before goes on.

use std::time::Duration;

use momedo_protocol::api::key_log::KeyLogPage;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::key_log::{KeyLogEntry, KeyLogHead, LogGap, LogPlace, SignedHead, follow as check};
use momedo_protocol::link::{FetchKeyLog, Frame, KeyLogPart};
use momedo_protocol::time::UnixMillis;
use serde::Serialize;

use crate::domain::neighbour::{FRESH, LOG_HEADS, LOG_QUESTIONS, MAX_LOG_ENTRIES};
use crate::links::{Answer, Counted};
use crate::service::audit::{self, Action};
use crate::service::permission::RecentlyConfirmed;
use crate::service::{AdminError, ServiceError, key_log, restored};
use crate::state::App;
use crate::store::{LogStanding, NeighbourLogRow, NeighbourRow};

/// How long a neighbour may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(4);

/// Pages of a neighbour's log fetched in one go; the rest with the next head.
const PAGES: usize = 500;

/// A neighbour's log as listed.
#[derive(Debug, Clone, Serialize)]
pub struct FollowedLog {
    /// Entries followed.
    pub number: u64,
    /// The first 16 bytes of the hash there, for people to compare.
    pub hash: String,
    /// Since when it does not go on where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<UnixMillis>,
    /// Then: the last signed head that continued the log, and the first that did not, for showing to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<[SignedHead; 2]>,
}

impl FollowedLog {
    pub(super) fn of(server: Fingerprint, row: &NeighbourLogRow) -> Self {
        let read = |head: &str| serde_json::from_str::<SignedHead>(head).ok();
        let heads = row.broken.as_ref().and_then(|(broken, _)| Some([read(&row.head)?, read(broken)?]));
        Self {
            number: row.end.number,
            hash: row.end.view(server).grouped_hash(),
            broken_at: row.broken.as_ref().map(|(_, at)| *at),
            evidence: heads,
        }
    }
}

/// What is known of a neighbour's log, while it is one.
struct Known {
    row: Option<NeighbourLogRow>,
    end: LogPlace,
}

/// `None` for a server that is no neighbour, or whose log is broken already.
async fn known(app: &App, server: Fingerprint) -> Result<Option<Known>, ServiceError> {
    app.store
        .read(move |tx| {
            if tx.find_neighbour(server)?.filter(NeighbourRow::is_paired).is_none() {
                return Ok(None);
            }
            let row = tx.find_neighbour_log(server)?;
            if row.as_ref().is_some_and(|row| row.broken.is_some()) {
                return Ok(None);
            }
            let end = row.as_ref().map_or_else(|| LogPlace::start(server), |row| row.end);
            Ok(Some(Known { row, end }))
        })
        .await
}

/// Takes what a neighbour says about where its log ends.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn take_head(app: &App, server: Fingerprint, signed: SignedHead) -> Result<(), ServiceError> {
    if app.links.count(server, Counted::LogHeads, LOG_HEADS, 1, app.clock.elapsed()).is_err() {
        // The next one tells all that this one does.
        return Ok(());
    }
    let Ok(head) = signed.verify(server) else {
        tracing::warn!(%server, "a neighbour's head of its key log is not signed by it");
        return Ok(());
    };
    // It may have been restored, and wait for what this server knows of it.
    restored::neighbours::hear(app, server, &head).await?;
    let Some(Known { row: Some(row), end }) = known(app, server).await? else {
        return follow(app, server).await;
    };
    if head.place() == end {
        return Ok(());
    }
    if head.number <= end.number {
        let number = head.number;
        let seen =
            app.store.read(move |tx| Ok::<_, ServiceError>(tx.neighbour_log_hash(server, number)?)).await?;
        if seen != Some(head.hash) {
            return note_gap(app, server, &row, signed, &head, LogGap::OtherPast).await;
        }
    }
    // It may be an older head that was overtaken: the log itself tells.
    follow(app, server).await
}

/// Follows a neighbour's log to its end.
///
/// # Errors
/// As [`ServiceError`] says; what was fetched until then is kept.
pub async fn follow(app: &App, server: Fingerprint) -> Result<(), ServiceError> {
    let _one_at_a_time = app.key_log.begin_following(server).await;
    for _ in 0..PAGES {
        let Some(Known { row, end }) = known(app, server).await? else { return Ok(()) };
        let Some(page) = fetch(app, server, end.number).await? else { return Ok(()) };
        let Ok(head) = page.head.verify(server) else {
            tracing::warn!(%server, "a neighbour's head of its key log is not signed by it");
            return Ok(());
        };
        if head.number > MAX_LOG_ENTRIES {
            tracing::warn!(%server, "a neighbour's key log is longer than this server follows");
            return Ok(());
        }
        if row.is_some() && page.entries.is_empty() && head.place() == end {
            return Ok(());
        }
        let subjects: Vec<_> = page.entries.iter().map(|entry| entry.subject).collect();
        let newest = app
            .store
            .read(move |tx| Ok::<_, ServiceError>(tx.newest_in_neighbour_log(server, subjects.into_iter())?))
            .await?;
        let places = match check(end, &page, &head, &newest) {
            Ok(places) => places,
            Err(gap) => {
                return match row {
                    Some(row) => note_gap(app, server, &row, page.head, &head, gap).await,
                    None => {
                        tracing::warn!(%server, %gap, "a neighbour's key log makes no sense");
                        Ok(())
                    }
                };
            }
        };
        let signed =
            serde_json::to_string(&page.head).map_err(|error| ServiceError::Internal(error.to_string()))?;
        let is_at_end = places.last().map_or(end.number, |place| place.number) == head.number;
        let entries: Vec<_> = page.entries.into_iter().zip(places).collect();
        let vouching = KeyLogEntry::of_home(app.fingerprint, server, app.clock.now());
        let own = app.fingerprint;
        let is_new = app
            .store
            .write(move |tx| {
                tx.extend_neighbour_log(server, end, &entries, &signed)?;
                if !entries.is_empty() {
                    // Clients hold what they are given against this log.
                    tx.age_remote_keys(server, FRESH)?;
                }
                // Said in the open, once: a server that makes another one up has to show it to everybody.
                let is_new = !tx.key_log_tells_of(vouching.subject)?;
                if is_new {
                    tx.append_entry_to_key_log(own, &vouching)?;
                }
                Ok::<_, ServiceError>(is_new)
            })
            .await?;
        if is_new {
            app.key_log.note_change();
        }
        if is_at_end {
            return Ok(());
        }
    }
    Ok(())
}

async fn fetch(app: &App, server: Fingerprint, after: u64) -> Result<Option<KeyLogPage>, ServiceError> {
    let query = app.links.new_query();
    let mut question = app.links.ask(&[server], query, &Frame::FetchKeyLog(FetchKeyLog { query, after }));
    match tokio::time::timeout(ANSWER_TIME, question.next()).await {
        Ok(Some((_, Answer::KeyLogPart(part)))) => Ok(part.page),
        _ => Ok(None),
    }
}

/// Keeps the evidence that a neighbour's log does not go on where it was, once.
async fn note_gap(
    app: &App,
    server: Fingerprint,
    row: &NeighbourLogRow,
    signed: SignedHead,
    head: &KeyLogHead,
    gap: LogGap,
) -> Result<(), ServiceError> {
    let began_anew = serde_json::from_str::<SignedHead>(&row.head)
        .ok()
        .and_then(|before| before.verify(server).ok())
        .is_some_and(|before| before.epoch != head.epoch);
    let text = serde_json::to_string(&signed).map_err(|error| ServiceError::Internal(error.to_string()))?;
    let now = app.clock.now();
    let is_new =
        app.store.write(move |tx| Ok::<_, ServiceError>(tx.note_broken_log(server, &text, now)?)).await?;
    if is_new {
        tracing::error!(
            %server, %gap, seen = row.end.number, shown = head.number, began_anew,
            "a neighbour's log of key changes does not go on where it was: it shows different keys to different \
             people, or it was restored from a backup; ask its admin, then momedo admin neighbour accept-log"
        );
        app.links.note_change();
    }
    Ok(())
}

/// A part of this server's log for a neighbour.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn answer(
    app: &App,
    neighbour: Fingerprint,
    question: FetchKeyLog,
) -> Result<KeyLogPart, ServiceError> {
    let query = question.query;
    let paired = move |row: Option<NeighbourRow>| row.filter(NeighbourRow::is_paired).is_some();
    let is_paired =
        app.store.read(move |tx| Ok::<_, ServiceError>(paired(tx.find_neighbour(neighbour)?))).await?;
    let counted = app.links.count(neighbour, Counted::LogPages, LOG_QUESTIONS, 1, app.clock.elapsed());
    if !is_paired || counted.is_err() {
        return Ok(KeyLogPart { query, page: None });
    }
    Ok(KeyLogPart { query, page: Some(key_log::page(app, question.after).await?) })
}

/// Whether a bundle that `via` told of may be believed, as far as its home's log is known here: always where the home
/// is no neighbour. What the home itself tells has to be the newest of its log.
///
/// # Errors
/// As [`ServiceError`] says.
pub(super) async fn vouch(
    app: &App,
    home: Fingerprint,
    via: Fingerprint,
    bundle: &KeyBundle,
) -> Result<bool, ServiceError> {
    let is_neighbour = move |row: Option<NeighbourRow>| row.filter(NeighbourRow::is_paired).is_some();
    if !app.store.read(move |tx| Ok::<_, ServiceError>(is_neighbour(tx.find_neighbour(home)?))).await? {
        return Ok(true);
    }
    let id: ParticipantId = bundle.payload.id;
    let (version, digest) = (bundle.payload.version, bundle.digest);
    let subject = key_log::subject_of(app, home, id).await?;
    for is_followed in [false, true] {
        let standing = app
            .store
            .read(move |tx| {
                Ok::<_, ServiceError>(tx.neighbour_log_standing(home, subject, version, &digest)?)
            })
            .await?;
        match standing {
            LogStanding::Newest => return Ok(true),
            // Somebody between kept it while it was superseded.
            LogStanding::Older if via != home => return Ok(true),
            _ if is_followed => return Ok(false),
            _ => follow(app, home).await?,
        }
    }
    Ok(false)
}

/// Says that a neighbour's log may begin anew: its admin explained why it does not go on.
///
/// # Errors
/// [`AdminError::UnknownNeighbour`].
pub async fn accept(app: &App, admin: &RecentlyConfirmed, server: Fingerprint) -> Result<(), ServiceError> {
    let (now, account) = (app.clock.now(), admin.account().to_owned());
    app.store
        .write(move |tx| {
            tx.find_neighbour(server)?.ok_or(ServiceError::Admin(AdminError::UnknownNeighbour))?;
            if tx.forget_neighbour_log(server)? {
                audit::log(tx, now, &account, Action::LogAccepted, &server.to_string())?;
            }
            Ok::<_, ServiceError>(())
        })
        .await?;
    follow(app, server).await
}
