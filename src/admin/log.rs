//! The log: who changed what and when; filtered, and exported for a spreadsheet.

use askama::Template;
use axum::extract::Query;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use strum::IntoEnumIterator;

use super::page::{Page, ROWS, show};
use super::refused::error_page;
use super::session::AdminSession;
use crate::domain::folding::folded;
use crate::http::error::status_of;
use crate::service::audit;
use crate::store::AuditRow;

/// Lines exported at most.
const MAX_EXPORTED: u64 = 100_000;

#[derive(Template)]
#[template(path = "admin/log.html")]
struct LogPage {
    page: Page,
    rows: Vec<AuditRow>,
    search: String,
    /// Where older lines begin; 0: there are none.
    older: i64,
}

#[derive(Deserialize)]
pub(super) struct LogQuery {
    #[serde(default)]
    search: String,
    #[serde(default)]
    before: String,
}

pub(super) async fn list(session: AdminSession, Query(query): Query<LogQuery>) -> Response {
    let page = session.page("log");
    let app = &session.session.visitor.pages.app;
    let before = query.before.parse().ok();
    match audit::list(app, &session.admin, query.search.clone(), shown(&page, &query.search), before, ROWS)
        .await
    {
        Ok(rows) => {
            let full = rows.len() as u64 == ROWS;
            let older = rows.last().filter(|_| full).map_or(0, |row| row.id);
            let nonce = page.nonce.clone();
            show(StatusCode::OK, &nonce, &LogPage { page, rows, search: query.search, older })
        }
        Err(error) => error_page(page, status_of(&error), &error),
    }
}

/// Actions whose words on the page have `search` in them.
fn shown(page: &Page, search: &str) -> Vec<&'static str> {
    let search = folded(search.trim());
    let words = audit::Action::iter().map(|action| action.word());
    words.filter(|word| !search.is_empty() && folded(&page.word("action", word)).contains(&search)).collect()
}

/// A field a spreadsheet takes as text, whatever somebody's name begins with; also where it splits fields at
/// something else than we do.
fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 1);
    let mut begins = true;
    for c in text.chars() {
        if begins && matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '|' | '%') {
            safe.push('\'');
        }
        safe.push(c);
        begins = match c {
            ',' | ';' | '\t' | '\n' | '\r' => true,
            // Between a separator and its field.
            ' ' | '"' => begins,
            _ => false,
        };
    }
    safe
}

pub(super) async fn export(session: AdminSession, Query(query): Query<LogQuery>) -> Response {
    let page = session.page("log");
    let app = &session.session.visitor.pages.app;
    let rows = match audit::list(
        app,
        &session.admin,
        query.search.clone(),
        shown(&page, &query.search),
        None,
        MAX_EXPORTED,
    )
    .await
    {
        Ok(rows) => rows,
        Err(error) => return error_page(page, status_of(&error), &error),
    };
    // Excel knows UTF-8 only by its mark.
    let mut writer = csv::WriterBuilder::new().delimiter(b';').from_writer("\u{feff}".as_bytes().to_vec());
    let mut write = |fields: [&str; 4]| writer.write_record(fields.map(harmless));
    let heading = [page.t("log.time"), page.t("log.account"), page.t("log.action"), page.t("log.subject")];
    let mut written = write(heading);
    for row in &rows {
        let action = page.word("action", &row.action);
        written = written.and_then(|()| {
            write([&page.time(&row.at), &row.account, &action, &page.subject(&row.action, &row.subject)])
        });
    }
    match written.ok().and_then(|()| writer.into_inner().ok()) {
        Some(bytes) => (
            [
                (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"momedo-log.csv\""),
            ],
            bytes,
        )
            .into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn no_field_is_a_formula() {
        for formula in ["=1+1", "+49", "-1", "@SUM(A1)", "\t=1", "|cmd", "%0A"] {
            assert!(harmless(formula).starts_with('\''), "{formula}");
        }
        for inside in ["x,=1", "x; =1", "x\t@a", "x\n-1", "x,\"=1\"", "a;b;+1"] {
            let safe = harmless(inside);
            assert!(["'=", "'@", "'-", "'+"].iter().any(|defused| safe.contains(defused)), "{safe}");
        }
        for plain in ["Ada", "Ada-Lena", "2026-11-22, 04:52 UTC", "7b; 8a", "a = b", ""] {
            assert_eq!(harmless(plain), plain);
        }
    }
}
