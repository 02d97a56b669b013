//! The admin pages under `/admin`: server-rendered, usable without JavaScript, nothing from elsewhere.
//!
//! One page per file: template struct, GET, POST. Handlers call one use case and show the result; what may
//! not enter: rules, SQL.

mod accounts;
mod accounts_of_others;
mod asking;
mod backup;
mod certificates;
mod chart;
mod chosen;
mod classes;
mod confirm;
mod events;
mod files;
mod groups;
mod import;
mod import_preview;
mod language;
mod listeners;
mod lists;
mod log;
mod log_in;
mod menu;
mod neighbours;
mod overview;
mod own_path;
mod page;
mod pages;
mod people;
mod refused;
mod reports;
mod restore;
mod resume;
mod rules;
mod session;
mod set_up;
mod set_up_addresses;
mod set_up_restore;
mod sheets;
mod smoke;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{Redirect, Response};
use axum::routing::{get, post};

use self::pages::Pages;
use self::refused::error_page;
use self::session::Visitor;
use crate::live::shutdown::Shutdown;
use crate::service::import::MAX_FILE_BYTES;
use crate::service::{AdminError, ServiceError};
use crate::state::AppState;

pub use session::Loopback;

/// Every page.
pub fn router(app: AppState, stop: Shutdown) -> Router {
    let pages = Arc::new(Pages { app, stop });
    let person = Router::new()
        .route("/", get(people::show_one))
        .route("/rename", post(people::rename))
        .route("/role", post(people::set_role))
        .route("/enabled", post(people::set_enabled))
        .route("/invite", post(people::invite))
        .route("/reset-keys", post(people::reset_keys))
        .route("/revoke-device", post(people::revoke_device))
        .route("/class", post(people::set_class))
        .route("/export", post(people::export))
        .route("/delete", get(people::preview_deletion).post(people::delete));
    let class = Router::new()
        .route("/", get(classes::show_one))
        .route("/rename", post(classes::rename))
        .route("/add", post(classes::add_person))
        .route("/remove", post(classes::remove_person))
        .route("/delete", post(classes::delete));
    let admin = Router::new()
        .route("/", get(overview::show_or_log_in).post(log_in::log_in))
        .route("/log-out", post(log_in::log_out))
        .route("/language", get(language::choose))
        .route("/confirm", get(confirm::show_before).post(confirm::before))
        .route("/notices", post(overview::note_read))
        .route("/setup", get(set_up::again).post(set_up::account))
        .route("/setup/restore", get(set_up_restore::choose))
        .route("/setup/restore/upload", post(set_up_restore::upload).layer(DefaultBodyLimit::disable()))
        .route("/setup/restore/cancel", post(set_up_restore::cancel))
        .route("/setup/restore/confirm", post(set_up_restore::confirm))
        .route("/setup/server", get(set_up::server).post(set_up::name_server))
        .route("/setup/class", get(set_up::class).post(set_up::add_class))
        .route("/events", get(events::numbers))
        .route("/participants", get(people::list).post(people::add))
        .route("/participants/chosen", post(chosen::act))
        .route("/participants/chosen/delete", post(chosen::delete))
        .nest("/participants/{number}", person)
        .route("/import", get(import::show_form).post(import::preview))
        .route("/import/confirm", post(import::confirm))
        .route("/import/undo", post(import::undo))
        .route("/sheets", post(chosen::act))
        .route("/cards/{name}", get(sheets::made))
        .route("/classes", get(classes::list).post(classes::add))
        .nest("/classes/{number}", class)
        .route("/groups", get(groups::list))
        .route("/groups/{id}/delete", post(groups::delete))
        .route("/reports", get(reports::list).post(reports::set_state))
        .route("/reports/note", post(reports::set_note))
        .route("/ozones", get(lists::ozones))
        .route("/keys", get(lists::keys))
        .route("/neighbours", get(neighbours::list).post(neighbours::change))
        .route("/neighbours/changes", get(events::neighbours))
        .route("/neighbours/rules", post(neighbours::allow))
        .route("/neighbours/take-over", post(neighbours::take_over))
        .route("/neighbours/accept-take-over", post(neighbours::accept_take_over))
        .route("/neighbours/accept-log", post(neighbours::accept_log))
        .route("/about", get(lists::about))
        .route("/help", get(lists::help))
        .route("/listeners", get(listeners::list).post(listeners::change))
        .route("/certificates", get(certificates::show_all).post(certificates::upload))
        .route("/certificates/remove", post(certificates::remove))
        .route("/certificates/acme/on", post(certificates::acme_on))
        .route("/certificates/acme/off", post(certificates::acme_off))
        .route("/certificates/acme/renew", post(certificates::acme_renew))
        .route("/rules", get(rules::show_all).post(rules::change))
        .route("/backup", get(backup::list).post(backup::make))
        .route("/backup/verify", post(backup::verify))
        .route("/backup/download", post(backup::download))
        .route("/backup/restore", post(restore::choose))
        // As large as a backup is; what is free on the disk limits it.
        .route("/backup/restore/upload", post(restore::upload).layer(DefaultBodyLimit::disable()))
        .route("/backup/restore/confirm", post(restore::confirm))
        .route("/backup/restore/cancel", post(restore::cancel))
        .route("/autostart", post(overview::switch_autostart))
        .route("/log", get(log::list))
        .route("/log.csv", get(log::export))
        .route("/account", get(accounts::own))
        .route("/account/password", post(accounts::change_password))
        .route("/account/one-time-passwords", post(accounts::one_time_passwords))
        .route("/account/session", post(accounts::end_session))
        .route("/accounts", post(accounts::add))
        .route("/accounts/change", get(accounts_of_others::show_one))
        .route("/accounts/classes", post(accounts_of_others::change_classes))
        .route("/accounts/password", post(accounts_of_others::set_password))
        .route("/accounts/delete", post(accounts::delete))
        .route("/smoke/participants", get(smoke::all_participants).post(smoke::add_participant))
        .route("/smoke/participants/sharing", post(smoke::change_sharing))
        .route("/smoke/participants/{id}", get(smoke::participant).post(smoke::change_participant))
        .route("/smoke/participants/{id}/keys", post(smoke::change_keys))
        .route("/smoke/ozones", post(smoke::change_ozones))
        .route("/smoke/listeners", post(smoke::change_listeners))
        .route("/smoke/listeners/shared-port", post(smoke::change_shared_port))
        .route("/smoke/neighbours", post(smoke::change_neighbours))
        .route("/smoke/neighbours/forget", post(smoke::forget_certificate))
        .route("/stop", post(overview::stop))
        .route("/static/{name}", get(files::file))
        .fallback(no_such_page)
        .method_not_allowed_fallback(not_so)
        .layer(axum::middleware::from_fn_with_state(pages.clone(), refused::as_page))
        .layer(axum::middleware::from_fn(confirm::with_new_cookie))
        // A refused upload must not leave the line broken.
        .layer(axum::middleware::from_fn(crate::http::drain::refused))
        .layer(DefaultBodyLimit::max(MAX_FILE_BYTES + 64 * 1024))
        .layer(axum::middleware::map_response(page::headers));
    Router::new()
        // What people type: both with and without a slash at the end.
        .route("/admin/", get(|| async { Redirect::permanent("/admin") }))
        .nest("/admin", admin)
        .with_state(pages)
}

async fn no_such_page(visitor: Visitor) -> Response {
    error_page(visitor.page("error"), StatusCode::NOT_FOUND, &ServiceError::NoSuchPath)
}

/// An address that takes a form, typed into a browser or come back to.
async fn not_so(visitor: Visitor) -> Response {
    error_page(visitor.page("error"), StatusCode::METHOD_NOT_ALLOWED, &AdminError::NotSo.into())
}
