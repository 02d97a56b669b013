//! Rules: retention, quotas, invites, rates; what momedo.toml says is shown and cannot be changed here.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::confirm::ConfirmedForm;
use super::page::{Page, show};
use super::session::AdminSession;
use super::status_of;
use crate::service::rules::{self, Rules};

#[derive(Template)]
#[template(path = "admin/rules.html")]
struct RulesPage {
    page: Page,
    fields: Vec<Field>,
}

/// One rule.
struct Field {
    name: &'static str,
    label: String,
    hint: String,
    value: String,
    kind: Kind,
    /// Of a number.
    least: u64,
    is_fixed: bool,
}

/// What a rule is.
#[derive(PartialEq)]
enum Kind {
    Text,
    Number,
    /// "1" or "0".
    YesOrNo,
}

fn fields(session: &AdminSession, page: &Page) -> Vec<Field> {
    let app = &session.session.visitor.pages.app;
    let (config, fixed) = (app.config(), &app.file_config().fixed);
    let mib = |bytes: u64| (bytes / (1024 * 1024)).to_string();
    [
        ("name", "server.name", config.server.name.clone()),
        ("addresses", "server.addresses", config.server.addresses.join(" ")),
        ("retention_days", "mail.retention_days", config.mail.retention_days.to_string()),
        ("queue_mib", "mail.max_queue_bytes", mib(config.mail.max_queue_bytes)),
        ("sender_share_percent", "mail.sender_share_percent", config.mail.sender_share_percent.to_string()),
        ("sender_mib", "mail.max_sender_bytes", mib(config.mail.max_sender_bytes)),
        ("file_mib", "blobs.max_blob_bytes", mib(config.blobs.max_blob_bytes)),
        ("person_files_mib", "blobs.max_participant_bytes", mib(config.blobs.max_participant_bytes)),
        ("server_files_mib", "blobs.max_server_bytes", mib(config.blobs.max_server_bytes)),
        ("file_days", "blobs.retention_days", config.blobs.retention_days.to_string()),
        ("invite_days", "rules.invite_days", config.rules.invite_days.to_string()),
        (
            "one_time_passwords",
            "rules.one_time_passwords",
            u8::from(config.rules.one_time_passwords).to_string(),
        ),
        ("security_contact", "security.contact", config.security.contact.clone()),
        ("security_policy", "security.policy", config.security.policy.clone()),
        ("security_encryption", "security.encryption", config.security.encryption.clone()),
        ("messages_per_minute", "rates.messages", config.rates.messages.per_minute.to_string()),
        ("backup_every_hours", "backup.every_hours", config.backup.every_hours.to_string()),
        ("backup_keep", "backup.keep", config.backup.keep.to_string()),
    ]
    .into_iter()
    .map(|(name, setting, value)| Field {
        name,
        label: page.word("rule", name),
        hint: page.word("rule-hint", name),
        value,
        kind: match name {
            "one_time_passwords" => Kind::YesOrNo,
            "name" | "addresses" => Kind::Text,
            _ if name.starts_with("security") => Kind::Text,
            _ => Kind::Number,
        },
        least: u64::from(!matches!(name, "backup_every_hours" | "server_files_mib")),
        is_fixed: fixed.contains(setting),
    })
    .collect()
}

fn show_with(session: &AdminSession, page: Page, status: StatusCode) -> Response {
    let fields = fields(session, &page);
    let nonce = page.nonce.clone();
    show(status, &nonce, &RulesPage { page, fields })
}

#[derive(Deserialize)]
pub(super) struct DoneQuery {
    #[serde(default)]
    saved: String,
}

pub(super) async fn show_all(
    session: AdminSession,
    axum::extract::Query(query): axum::extract::Query<DoneQuery>,
) -> Response {
    let mut page = session.page("rules");
    if query.saved == "1" {
        let text = page.t("rules.saved").to_owned();
        page = page.done(text);
    }
    show_with(&session, page, StatusCode::OK)
}

#[derive(Deserialize)]
pub(super) struct RulesForm {
    name: Option<String>,
    addresses: Option<String>,
    retention_days: Option<u64>,
    queue_mib: Option<u64>,
    sender_share_percent: Option<u64>,
    sender_mib: Option<u64>,
    file_mib: Option<u64>,
    person_files_mib: Option<u64>,
    server_files_mib: Option<u64>,
    file_days: Option<u64>,
    invite_days: Option<u64>,
    one_time_passwords: Option<u8>,
    security_contact: Option<String>,
    security_policy: Option<String>,
    security_encryption: Option<String>,
    messages_per_minute: Option<u32>,
    backup_every_hours: Option<u64>,
    backup_keep: Option<u64>,
}

pub(super) async fn change(ConfirmedForm(session, admin, form): ConfirmedForm<RulesForm>) -> Response {
    let app = &session.session.visitor.pages.app;
    let trimmed = |text: String| text.trim().to_owned();
    let split = |text: String| {
        text.split([' ', ',', ';']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let rules = Rules {
        name: form.name.map(trimmed),
        addresses: form.addresses.map(split),
        link_port: None,
        retention_days: form.retention_days,
        queue_mib: form.queue_mib,
        sender_share_percent: form.sender_share_percent,
        sender_mib: form.sender_mib,
        file_mib: form.file_mib,
        person_files_mib: form.person_files_mib,
        server_files_mib: form.server_files_mib,
        file_days: form.file_days,
        invite_days: form.invite_days,
        one_time_passwords: form.one_time_passwords.map(|asks| asks == 1),
        security_contact: form.security_contact.map(trimmed),
        security_policy: form.security_policy.map(trimmed),
        security_encryption: form.security_encryption.map(trimmed),
        messages_per_minute: form.messages_per_minute,
        backup_every_hours: form.backup_every_hours,
        backup_keep: form.backup_keep,
        ..Rules::default()
    };
    match rules::change(app, &admin, rules).await {
        Ok(()) => {
            super::renew_certificate(&session.session.visitor.pages).await;
            Redirect::to("/admin/rules?saved=1").into_response()
        }
        Err(error) => {
            let page = session.page("rules").fail(&error);
            show_with(&session, page, status_of(&error))
        }
    }
}
