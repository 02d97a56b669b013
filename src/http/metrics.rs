//! `GET /metrics`: the server in numbers as OpenMetrics, for Prometheus and the like.
//!
//! While it is switched off nothing tells this path from one that does not exist.

use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::HttpState;
use super::error::{ApiError, ApiResult};
use super::extract::{bearer, failed};
use crate::service::ServiceError;
use crate::service::metrics::{self, Figures};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The figures, for whoever brings the token.
pub(crate) async fn figures(State(state): State<HttpState>, request: Request) -> ApiResult<Response> {
    if !state.config().metrics.enabled {
        return Err(ApiError(ServiceError::NoSuchPath));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(ApiError(ServiceError::WrongMethod));
    }
    let (parts, _) = request.into_parts();
    let reader = match bearer(&parts) {
        Some(token) => metrics::authenticate(&state, token).await,
        None => Err(ServiceError::NotLoggedIn),
    };
    let reader = reader.map_err(|error| failed(&state, &parts, error))?;
    let figures = metrics::figures(&state, &reader).await?;
    let text = written(figures).map_err(|error| ServiceError::Internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// The figures as text. Labels hold words of the program alone.
fn written(figures: Figures) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::default();
    // By the name that every program uses for it.
    registry.register_with_unit(
        "process_start_time",
        "When the server started, in Unix time",
        Unit::Seconds,
        ConstGauge::new(seconds(figures.started_at)),
    );
    let own = registry.sub_registry_with_prefix("momedo");
    let status = &figures.status;
    let version = vec![("version", status.version.clone()), ("schema", status.schema.to_string())];
    own.register("build", "Version of the program and of the database's schema", Info::new(version));
    let gauges = [
        ("participants", "Registered participants", status.participants),
        ("participants_online", "Participants connected right now", status.online),
        ("devices", "Devices that are not revoked", status.devices),
        ("streams", "Streams and long polls that are open", figures.streams),
        ("waiting_envelopes", "Envelopes that wait for devices here", status.ozone_envelopes),
        ("outbox_envelopes", "Envelopes that wait for other servers", figures.outgoing),
        ("storage_full", "1 while the disk is full and new mail is refused", status.storage_full.into()),
        ("backup_failing", "1 while the last backup failed", status.backups.trouble.is_some().into()),
        ("backups", "Backups that are kept", status.backups.count),
        ("key_log_entries", "Entries in the log of key changes", status.key_log_number),
    ];
    for (name, help, value) in gauges {
        own.register(name, help, ConstGauge::new(value));
    }
    let bytes = [
        ("waiting", "What the waiting envelopes take", status.ozone_bytes),
        ("backups", "What the backups take", status.backups.bytes),
        ("database", "Size of the database with its log", figures.database_bytes),
        ("disk_free", "What is free on the database's disk", figures.free_bytes),
    ];
    for (name, help, value) in bytes {
        own.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(value));
    }
    let times = [
        (
            "backup_last_success_time",
            "When the newest good backup was made, in Unix time",
            status.backups.last_at,
        ),
        (
            "certificate_end_time",
            "When the certificate in force ends, in Unix time",
            figures.certificate_ends_at,
        ),
    ];
    // Nothing rather than a time that never was.
    for (name, help, at) in times.into_iter().filter_map(|(name, help, at)| Some((name, help, at?))) {
        own.register_with_unit(name, help, Unit::Seconds, ConstGauge::new(seconds(at)));
    }
    let counters = [
        ("messages_accepted", "Messages accepted since the start", figures.accepted),
        ("backup_failures", "Backups that failed since the start", figures.failed_backups),
        ("half_written", "Writes undone half-way since the start: each is a bug", status.half_written),
    ];
    for (name, help, value) in counters {
        own.register(name, help, ConstCounter::new(value));
    }
    let refused = Family::<Labels, Counter>::default();
    for (word, count) in figures.refused {
        refused.get_or_create(&vec![("reason", word)]).inc_by(count);
    }
    own.register("messages_refused", "Messages refused since the start, by reason", refused);
    let neighbours = Family::<Labels, Gauge<u64, std::sync::atomic::AtomicU64>>::default();
    for (state, count) in figures.neighbours {
        neighbours.get_or_create(&vec![("state", state.word())]).set(count);
    }
    own.register("neighbours", "Other servers this one is paired with, by how they stand", neighbours);
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

type Labels = Vec<(&'static str, &'static str)>;

fn seconds(at: momedo_protocol::time::UnixMillis) -> f64 {
    // Exact for as long as anybody counts milliseconds.
    at.0 as f64 / 1000.0
}
