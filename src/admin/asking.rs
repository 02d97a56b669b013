//! Asking before what a click must not do by itself: what follows is said, and nothing is done until it is wanted.
//!
//! It is asked wherever something ends for somebody else or cannot be taken back, and where the page it stands on has not
//! said so already. Once for all forms, so that no page can forget it.

use askama::Template;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;

use super::page::{Page, show};
use super::session::Session;

/// The field by which the page says that it was wanted.
const SURE: &str = "sure";

#[derive(Template)]
#[template(path = "admin/asking.html")]
struct AskingPage {
    page: Page,
    /// Where it goes on.
    action: String,
    back: String,
    title: String,
    help: &'static str,
    yes: &'static str,
    typed: Vec<(String, String)>,
}

/// What is asked about a form.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    /// Its title, with `{0}` for what it is about.
    title: &'static str,
    /// What follows.
    help: &'static str,
    /// The word on the button.
    yes: &'static str,
    /// The field that says what it is about.
    about: &'static str,
    /// The page it stands on.
    back: &'static str,
}

fn question(path: &str, field: impl Fn(&str) -> Option<String>) -> Option<Question> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches("/admin/").split('/').collect();
    let act = field("act").unwrap_or_default();
    let (title, help, yes, about, back) = match (parts.as_slice(), act.as_str()) {
        (["participants", _, "revoke-device"], _) => {
            ("asking.device", "asking.device-help", "asking.device-yes", "device", "")
        }
        (["accounts", "delete"], _) => {
            ("asking.account", "asking.account-help", "asking.delete", "name", "/admin/account")
        }
        (["account", "session"], _) => {
            ("asking.session", "asking.session-help", "asking.session-yes", "", "/admin/account")
        }
        // Switching them on carries a secret.
        (["account", "one-time-passwords"], _) if field("secret").unwrap_or_default().is_empty() => {
            ("asking.one-time", "asking.one-time-help", "asking.one-time-yes", "", "/admin/account")
        }
        (["import", "undo"], _) => {
            ("asking.import", "asking.import-help", "asking.import-yes", "", "/admin/import")
        }
        (["groups", _, "delete"], _) => {
            ("asking.group", "asking.group-help", "asking.delete", "", "/admin/groups")
        }
        (["listeners"], "remove" | "stop") => {
            ("asking.listener", "asking.listener-help", "asking.listener-yes", "address", "/admin/listeners")
        }
        (["neighbours"], "block") => {
            ("asking.block", "asking.block-help", "asking.block-yes", "", "/admin/neighbours")
        }
        (["neighbours"], "remove") => {
            ("asking.neighbour", "asking.neighbour-help", "asking.remove", "", "/admin/neighbours")
        }
        (["certificates", "remove"], _) => {
            ("asking.certificate", "asking.certificate-help", "asking.remove", "", "/admin/certificates")
        }
        (["certificates", "acme", "off"], _) => {
            ("asking.acme", "asking.acme-help", "asking.acme-yes", "", "/admin/certificates")
        }
        (["smoke", "participants", _], "remove") => {
            ("asking.smoke-person", "asking.smoke-person-help", "asking.remove", "", "/admin/participants")
        }
        (["smoke", "participants", _, "keys"], "forget") => (
            "asking.smoke-keys",
            "asking.smoke-keys-help",
            "asking.smoke-keys-yes",
            "",
            "/admin/participants",
        ),
        (["smoke", "ozones"], "remove") => {
            ("asking.smoke-ozone", "asking.smoke-ozone-help", "asking.remove", "", "/admin/ozones")
        }
        (["smoke", "listeners"], "remove") => {
            ("asking.listener", "asking.listener-help", "asking.remove", "", "/admin/listeners")
        }
        (["smoke", "neighbours"], "remove") => (
            "asking.smoke-neighbour",
            "asking.smoke-neighbour-help",
            "asking.remove",
            "",
            "/admin/neighbours",
        ),
        _ => return None,
    };
    Some(Question { title, help, yes, about, back })
}

/// The page that asks, when this form has to be asked about and was not.
pub(super) fn asked(session: &Session, body: &Bytes) -> Option<Response> {
    let field = |wanted: &str| {
        let found = form_urlencoded::parse(body).find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.into_owned())
    };
    if field(SURE).is_some() {
        return None;
    }
    let action = session.visitor.path.clone();
    let question = question(&action, field)?;
    // What stands on a person's page goes back to that person.
    let back = match question.back {
        "" => action.rsplit_once('/').map_or("/admin", |(page, _)| page),
        back => back,
    };
    let mut page = session.page("asking");
    page.path = form_urlencoded::byte_serialize(back.as_bytes()).collect();
    let typed = form_urlencoded::parse(body)
        .filter(|(name, _)| name != "csrf")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let title = page.with(question.title, field(question.about).unwrap_or_default());
    let (nonce, back) = (page.nonce.clone(), back.to_owned());
    let template = AskingPage { page, action, back, title, help: question.help, yes: question.yes, typed };
    Some(show(StatusCode::OK, &nonce, &template))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_it_is_asked_about() {
        let asks = |path: &str, fields: &[(&str, &str)]| {
            let field = |wanted: &str| {
                fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
            };
            question(path, field).is_some()
        };
        assert!(asks("/admin/participants/7/revoke-device", &[("device", "x")]));
        assert!(asks("/admin/neighbours?page=2", &[("act", "block")]));
        assert!(!asks("/admin/neighbours", &[("act", "accept")]));
        assert!(asks("/admin/account/one-time-passwords", &[]));
        assert!(!asks("/admin/account/one-time-passwords", &[("secret", "00")]));
        assert!(!asks("/admin/participants/7/rename", &[]));
    }
}
