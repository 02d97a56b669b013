//! Is everything well, and what needs doing?

use std::time::Duration;

use momedo_protocol::id::ParticipantId;
use momedo_protocol::time::{OUTDATED_AFTER, UnixMillis};
use serde::Serialize;

use super::error::compute;
use super::neighbours::{self, NeighbourState};
use super::permission::Admin;
use super::{ServiceError, acme, status};
use crate::live::activity::HOURS;
use crate::state::App;
use crate::store::{KeysRow, OzoneRow, Tick};

/// A thing to be done, worst first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Task {
    /// New mail is refused.
    DiskFull,
    /// A listener does not run.
    ListenerFailed {
        /// Its address.
        address: String,
    },
    /// The last backup failed.
    BackupsFail {
        /// Why.
        reason: String,
    },
    /// No certificate was obtained from the public authority.
    CertificateFails {
        /// Why.
        reason: String,
    },
    /// The clock is before this program was made.
    ClockWrong,
    /// Somebody reported a message, and nobody has dealt with it.
    ReportsOpen {
        /// How many.
        count: u64,
    },
    /// Keys under Smoke aliases wait for a decision.
    SmokeKeys {
        /// How many.
        count: u64,
    },
    /// A neighbour has been out of reach for a while, or another server answers in its place.
    NeighbourBroken {
        /// Its name.
        name: String,
    },
    /// A server asks to become a neighbour.
    NeighbourAsks {
        /// Its name.
        name: String,
    },
    /// A neighbour's log of key changes does not go on where it was.
    LogBroken {
        /// Its name.
        name: String,
    },
    /// Two servers claim one ID, and nothing is sent there.
    Disputed {
        /// The ID.
        participant: ParticipantId,
    },
    /// Nobody has been invited.
    NobodyThere,
    /// People have not used their invites.
    Unregistered {
        /// How many.
        count: u64,
    },
}

/// The overview.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// The server in numbers.
    #[serde(flatten)]
    pub status: status::Status,
    /// People the admins know.
    pub people: u64,
    /// What needs doing.
    pub tasks: Vec<Task>,
    /// Messages per hour, oldest first.
    pub messages_per_hour: [u64; HOURS],
}

/// How old shared figures may be: counting all waiting mail is work, and many pages may be open.
const STATUS_AGE: Duration = Duration::from_secs(15);

/// The server in numbers as JSON, at most some seconds old.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn recent_status(app: &App) -> Result<serde_json::Value, ServiceError> {
    let now = app.clock.elapsed();
    let mut kept = app.recent_status.lock().await;
    if let Some((taken, status)) = &*kept
        && now.saturating_sub(*taken) < STATUS_AGE
    {
        let mut status = status.clone();
        status["online"] = app.hub.online().into();
        return Ok(status);
    }
    let status = serde_json::to_value(status::now(app).await?)
        .map_err(|error| ServiceError::Internal(error.to_string()))?;
    *kept = Some((now, status.clone()));
    Ok(status)
}

/// A neighbour that is out of reach for so long is a task, in milliseconds: servers restart now and then.
const BROKEN_AFTER: u64 = 300_000;

/// A clock that shows an earlier time was never set: this is a day before this code was written.
const EARLIEST_NOW: u64 = 1_790_000_000_000;

/// One participant's ozone, as listed.
#[derive(Debug, Clone)]
pub struct Ozone {
    /// Whose.
    pub participant: ParticipantId,
    /// Their name.
    pub name: String,
    /// Deliveries that wait.
    pub depth: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest was accepted.
    pub oldest_at: Option<UnixMillis>,
}

/// One participant's keys, as listed.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Whose.
    pub participant: ParticipantId,
    /// Their name.
    pub name: String,
    /// Version of the bundle; 0: none.
    pub version: u64,
    /// Fingerprint of the signature key, grouped.
    pub fingerprint: String,
    /// The suites its owner accepts.
    pub suites: String,
    /// When the bundle was made, by its owner's clock.
    pub issued_at: UnixMillis,
    /// How often the signature key changed.
    pub changes: u64,
    /// Whether an admin reset the keys and no new ones came yet.
    pub awaits_keys: bool,
}

/// One page of ozones, fullest first, and how many there are in all.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn ozones(
    app: &App,
    _: &Admin,
    search: String,
    offset: u64,
    limit: u64,
) -> Result<(Vec<Ozone>, u64), ServiceError> {
    let now = app.clock.now();
    app.store
        .read(move |tx| {
            let tick = tx.tick();
            let (rows, total) = tx.list_ozones(&search, offset, limit)?;
            let at = |oldest: Tick| UnixMillis(now.0.saturating_sub(tick.0.saturating_sub(oldest.0)));
            let ozone = |row: OzoneRow| Ozone {
                participant: row.participant,
                name: row.name,
                depth: row.depth,
                bytes: row.bytes,
                oldest_at: row.oldest.map(at),
            };
            Ok((rows.into_iter().map(ozone).collect(), total))
        })
        .await
}

/// One page of keys, by name, and how many there are in all.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn keys(
    app: &App,
    _: &Admin,
    search: String,
    offset: u64,
    limit: u64,
) -> Result<(Vec<Keys>, u64), ServiceError> {
    let (rows, total) = app.store.read(move |tx| tx.list_keys(&search, offset, limit)).await?;
    let keys = compute(move || rows.into_iter().map(keys_of).collect::<Result<Vec<_>, _>>()).await?;
    Ok((keys, total))
}

fn keys_of(row: KeysRow) -> Result<Keys, ServiceError> {
    let bundle = match row.bundle.as_str() {
        "" => None,
        text => Some(super::documents::verified_bundle(text)?),
    };
    let suites = bundle.as_ref().map_or_else(String::new, |bundle| {
        bundle.payload.suites.iter().map(|suite| suite.number().to_string()).collect::<Vec<_>>().join(", ")
    });
    Ok(Keys {
        participant: row.participant,
        name: row.name,
        version: row.version,
        fingerprint: bundle.as_ref().map_or_else(String::new, |bundle| bundle.fingerprint().grouped()),
        suites,
        issued_at: bundle.map_or(UnixMillis(0), |bundle| bundle.payload.issued_at),
        changes: row.changes,
        awaits_keys: row.awaits_keys,
    })
}

/// Looks at everything.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn overview(app: &App, admin: &Admin) -> Result<Overview, ServiceError> {
    let status = status::now(app).await?;
    let read = app.store.read(|tx| {
        Ok::<_, ServiceError>((tx.count_people()?, tx.count_open_reports()?, tx.count_waiting_smoke_keys()?))
    });
    let ((people, unregistered), reports, smoke_keys) = read.await?;
    let mut tasks = Vec::new();
    if status.storage_full {
        tasks.push(Task::DiskFull);
    }
    for listener in app.listeners.list().into_iter().chain(app.smoke.listeners.list()) {
        if matches!(listener.state, crate::live::listening::ListenerState::Failed(_)) {
            tasks.push(Task::ListenerFailed { address: listener.address.to_string() });
        }
    }
    if let Some(reason) = status.backups.trouble.clone() {
        tasks.push(Task::BackupsFail { reason });
    }
    if let Some(reason) = acme::trouble(app).await? {
        tasks.push(Task::CertificateFails { reason });
    }
    let now = app.clock.now();
    if now.0 < EARLIEST_NOW || now > OUTDATED_AFTER {
        tasks.push(Task::ClockWrong);
    }
    if reports > 0 {
        tasks.push(Task::ReportsOpen { count: reports });
    }
    if smoke_keys > 0 {
        tasks.push(Task::SmokeKeys { count: smoke_keys });
    }
    tasks.extend(neighbour_tasks(app, admin).await?);
    if people == 0 {
        tasks.push(Task::NobodyThere);
    } else if unregistered > 0 {
        tasks.push(Task::Unregistered { count: unregistered });
    }
    let messages_per_hour = app.activity.by_hour(app.clock.now());
    Ok(Overview { status, people, tasks, messages_per_hour })
}

/// What is to be done about neighbours.
async fn neighbour_tasks(app: &App, admin: &Admin) -> Result<Vec<Task>, ServiceError> {
    let mut tasks = Vec::new();
    let earlier = app.clock.now().0.saturating_sub(BROKEN_AFTER);
    for neighbour in neighbours::list(app, admin).await? {
        let name = neighbour.name;
        if neighbour.log.is_some_and(|log| log.broken_at.is_some()) {
            tasks.push(Task::LogBroken { name: name.clone() });
        }
        let was_long = neighbour.since.is_some_and(|since| since.0 < earlier);
        match neighbour.state {
            NeighbourState::WrongIdentity => tasks.push(Task::NeighbourBroken { name }),
            NeighbourState::Unreachable if was_long => tasks.push(Task::NeighbourBroken { name }),
            NeighbourState::WaitingForUs => tasks.push(Task::NeighbourAsks { name }),
            _ => {}
        }
    }
    let disputed = app.store.read(|tx| Ok::<_, ServiceError>(tx.disputed_participants()?)).await?;
    tasks.extend(disputed.into_iter().map(|row| Task::Disputed { participant: row.id }));
    Ok(tasks)
}

/// Whether the server works, for whoever watches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Well,
    /// The disk is full: no new mail is taken.
    Full,
    /// The database cannot be read.
    Unreadable,
}

/// How the server is; nobody has to log in for it.
pub async fn health(app: &App) -> Health {
    match app.store.read(|tx| Ok::<_, ServiceError>(tx.epoch())).await {
        Err(_) => Health::Unreadable,
        Ok(_) if app.store.is_full() => Health::Full,
        Ok(_) => Health::Well,
    }
}
