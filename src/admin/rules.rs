//! Rules: retention, quotas, invites, rates; what momedo.toml says is shown and cannot be changed here. Which there are,
//! and in which order, says the table of settings.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::confirm::ConfirmedForm;
use super::page::{Page, show};
use super::session::AdminSession;
use crate::http::error::status_of;
use crate::service::rules::{self, Rules};
use crate::service::{AdminError, ServiceError};
use crate::settings::{self, Kind, Range, Rule, Setting, Value, Words};
use momedo_texts::Language;

#[derive(Template)]
#[template(path = "admin/rules.html")]
struct RulesPage {
    page: Page,
    fields: Vec<Field>,
}

/// One rule.
struct Field {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    value: String,
    /// Of a number.
    range: Option<Range>,
    /// Whether it is yes or no.
    is_choice: bool,
    is_fixed: bool,
}

/// The rules of this page.
fn shown() -> impl Iterator<Item = (&'static Setting, &'static Rule, Words)> {
    settings::changeable()
        .filter(|(setting, _)| setting.page == Some(settings::Page::Rules))
        .filter_map(|(setting, rule)| Some((setting, rule, rule.label?)))
}

fn fields(session: &AdminSession, page: &Page) -> Vec<Field> {
    let app = &session.session.visitor.pages.app;
    let (config, file) = (app.config(), app.file_config());
    let words = |words: Words| match page.language {
        Language::German => words.german,
        Language::English => words.english,
    };
    shown()
        .map(|(setting, rule, label)| Field {
            name: rule.name,
            label: words(label),
            hint: words(setting.help),
            value: text(setting.rule_value(&config)),
            range: setting.kind.rule_range(),
            is_choice: matches!(setting.kind, Kind::YesOrNo),
            is_fixed: file.is_fixed(setting.name),
        })
        .collect()
}

/// A value as the form holds it.
fn text(value: Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::YesOrNo(yes) => u8::from(yes).to_string(),
        Value::Text(text) => text,
        Value::List(texts) => texts.join(" "),
        Value::Rate(_) | Value::Nothing => String::new(),
    }
}

/// What the form says; `None` if it leaves the setting as it is.
fn typed(setting: &Setting, text: &str) -> Result<Option<Value>, AdminError> {
    let text = text.trim();
    Ok(Some(match setting.kind {
        Kind::Number { .. } | Kind::Rate(_) if text.is_empty() => return Ok(None),
        Kind::Number { .. } | Kind::Rate(_) => {
            Value::Number(text.parse().map_err(|_| rules::out_of_range(setting))?)
        }
        Kind::YesOrNo => Value::YesOrNo(text == "1"),
        Kind::Hosts { .. } => {
            let parts = text.split([' ', ',', ';']).filter(|part| !part.is_empty());
            Value::List(parts.map(str::to_owned).collect())
        }
        Kind::Text { .. } | Kind::Other => Value::Text(text.to_owned()),
    }))
}

fn asked(form: &[(String, String)]) -> Result<Rules, ServiceError> {
    let mut asked = Rules::default();
    for (setting, rule, _) in shown() {
        let Some((_, text)) = form.iter().find(|(name, _)| name == rule.name) else { continue };
        if let Some(value) = typed(setting, text)?
            && !rule.set(&mut asked, &value)
        {
            return Err(rules::out_of_range(setting).into());
        }
    }
    Ok(asked)
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

pub(super) async fn change(
    ConfirmedForm(session, admin, form): ConfirmedForm<Vec<(String, String)>>,
) -> Response {
    let app = &session.session.visitor.pages.app;
    let change = async { rules::change(app, &admin, asked(&form)?).await };
    match change.await {
        Ok(()) => {
            session.session.visitor.pages.renew_certificate().await;
            Redirect::to("/admin/rules?saved=1").into_response()
        }
        Err(error) => {
            let page = session.page("rules").fail(&error);
            show_with(&session, page, status_of(&error))
        }
    }
}
