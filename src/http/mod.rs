//! The public HTTP API under `/api/v1`, and the few pages a browser may see without logging in.
//!
//! Handlers extract, call one use case and convert; rules live in `service`.

mod blobs;
mod blocks;
mod description;
mod device_links;
mod devices;
pub(crate) mod drain;
pub mod error;
pub mod export;
pub(crate) mod extract;
mod groups;
mod health;
mod invite_page;
mod key_backup;
mod keys;
pub(crate) mod language;
pub(crate) mod me;
mod messages;
mod metrics;
mod ozone;
pub mod plain;
mod registration;
mod reports;
mod security;
mod server_information;
mod sessions;
mod stream;
pub(crate) mod trust;
pub(crate) mod unread;
mod web_client;
mod websocket;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, Response, header};
use axum::routing::{any, get};
use momedo_protocol::limits::MAX_SIGNED_DOCUMENT_BYTES;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::extract::Unauthenticated;
use self::unread::Shared;
use crate::live::memory::Serving;
use crate::live::shutdown::Shutdown;
use crate::state::{App, AppState};
use crate::tls::door::Exporter;

/// What a connection occupies, whatever that is: given back with its last part.
pub type Occupied = Arc<dyn Send + Sync>;

/// What a handler may know of the connection its request came over.
#[derive(Clone)]
pub struct Connection {
    /// The peer's address.
    pub address: IpAddr,
    /// Keying material for identity proofs.
    pub exporter: Exporter,
    /// Held by whatever outlives the request, a WebSocket for example.
    pub occupied: Occupied,
    /// The request's place in the budget of memory.
    pub serving: Arc<Serving>,
}

/// Handlers' state: the app, and the stop signal for what would otherwise go on.
#[derive(Clone)]
pub(crate) struct HttpState {
    app: AppState,
    stop: Shutdown,
}

impl std::ops::Deref for HttpState {
    type Target = App;
    fn deref(&self) -> &App {
        &self.app
    }
}

/// Largest JSON body: a signed bundle with its device list, or an envelope with its copy, in base64url.
fn max_body_bytes(app: &App) -> usize {
    (MAX_SIGNED_DOCUMENT_BYTES * 2).max(app.config().mail.max_envelope_bytes * 2) * 4 / 3 + 4096
}

fn api_routes() -> OpenApiRouter<HttpState> {
    OpenApiRouter::new()
        .routes(routes!(server_information::server))
        .routes(routes!(server_information::identity))
        .routes(routes!(registration::reserve))
        .routes(routes!(keys::fetch, keys::publish))
        .routes(routes!(keys::log))
        .routes(routes!(keys::prove))
        .routes(routes!(keys::fetch_mceliece, keys::store_mceliece))
        .routes(routes!(sessions::challenge))
        .routes(routes!(sessions::log_in))
        .routes(routes!(messages::submit))
        .routes(routes!(ozone::fetch))
        .routes(routes!(ozone::acknowledge))
        .routes(routes!(devices::list, devices::update))
        .routes(routes!(blobs::announce))
        .routes(routes!(blobs::fetch, blobs::append, blobs::release))
        .routes(routes!(blobs::progress))
        .routes(routes!(blobs::release_hold))
        .routes(routes!(groups::list, groups::create))
        .routes(routes!(groups::entries, groups::append, groups::take_back))
        .routes(routes!(groups::hand_out_keys))
        .routes(routes!(groups::post))
        .routes(routes!(key_backup::state, key_backup::store, key_backup::delete))
        .routes(routes!(key_backup::fetch))
        .routes(routes!(key_backup::add_device))
        .routes(routes!(device_links::open))
        .routes(routes!(device_links::close))
        .routes(routes!(device_links::read, device_links::write))
        .routes(routes!(me::erase))
        .routes(routes!(me::export))
        .routes(routes!(me::homes))
        .routes(routes!(blocks::list))
        .routes(routes!(blocks::add, blocks::remove))
        .routes(routes!(reports::report))
        .routes(routes!(stream::open))
}

/// The whole HTTP service.
pub fn router(app: AppState, stop: Shutdown) -> Router {
    let (api, description) = api_routes().split_for_parts();
    let description = Bytes::from(description::document(description).to_string());
    Router::new()
        .nest("/api/v1", api)
        .route(
            "/api/v1/openapi.json",
            get(move |_: Unauthenticated| async move {
                Shared(([(header::CONTENT_TYPE, "application/json")], description))
            }),
        )
        .route("/healthz", get(health::health))
        .route("/metrics", any(metrics::figures))
        .route("/i", get(invite_page::invite))
        .route("/d", get(invite_page::device))
        .route("/", get(invite_page::home))
        .route("/security", get(security::page))
        .route("/trust", get(trust::page))
        .route("/vertrauen", get(trust::german_page))
        .route("/trust/{name}", get(trust::certificate))
        .route("/.well-known/security.txt", get(security::text))
        .route("/static/public.css", get(invite_page::style))
        .merge(web_client::routes())
        .fallback(|| async { error::ApiError(crate::service::ServiceError::NoSuchPath) })
        .method_not_allowed_fallback(|| async { error::ApiError(crate::service::ServiceError::WrongMethod) })
        // Innermost: a refusal must not leave the line broken.
        .layer(axum::middleware::from_fn(drain::refused))
        // Inside the headers: turns refusals into problem details in the request's language.
        .layer(axum::middleware::from_fn(error::render))
        // Outermost, so that errors carry them too.
        .layer(axum::middleware::map_response(security_headers))
        .with_state(HttpState { app, stop })
}

/// Headers every answer carries: nothing is guessed, framed, cached or referred to by accident.
async fn security_headers<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    let mut default = |name, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::X_FRAME_OPTIONS, "DENY");
    default(header::REFERRER_POLICY, "no-referrer");
    default(header::CACHE_CONTROL, "no-store");
    default(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    response
}
