//! What every page has: language, texts, form token, navigation; and turning a template into an answer.

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use momedo_protocol::encoding::encode_base64;
use momedo_protocol::random;
use momedo_protocol::time::UnixMillis;
use momedo_texts::{Language, fill};

use super::menu::{Entry, MENU};
use crate::domain::calendar::{date_time, rfc3339};
use crate::service::ServiceError;
use crate::service::audit;
use crate::texts;

/// Something the page says about what was just done.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    pub(super) text: String,
    pub(super) is_error: bool,
}

/// What every page has.
pub(super) struct Page {
    pub(super) language: Language,
    /// What the forms of this session carry.
    pub(super) csrf: String,
    /// Who is logged in; empty: nobody.
    pub(super) account: String,
    pub(super) is_admin: bool,
    /// How much that weighs much an admin has not read.
    pub(super) unread: u64,
    /// Whether it is shown on the loopback listener, which has these pages alone.
    pub(super) is_local: bool,
    /// The page's own path, encoded for a link.
    pub(super) path: String,
    /// The page of the navigation that this is.
    pub(super) current: &'static str,
    pub(super) server: String,
    pub(super) notice: Option<Notice>,
    /// When it is shown, by the server's clock.
    pub(super) at: UnixMillis,
    /// Lets this page's own scripts run, and no other.
    pub(super) nonce: String,
}

impl Page {
    pub(super) fn new(language: Language, server: String, current: &'static str) -> Self {
        Self {
            language,
            csrf: String::new(),
            account: String::new(),
            is_admin: false,
            unread: 0,
            is_local: false,
            path: String::new(),
            current,
            server,
            notice: None,
            at: UnixMillis(0),
            nonce: encode_base64(&random::bytes::<16>()),
        }
    }

    /// The text of a key.
    pub(super) fn t<'a>(&'a self, key: &'a str) -> &'a str {
        texts::of(self.language).get(key)
    }

    /// The text of a key put together from a section and a word.
    pub(super) fn word(&self, section: &str, word: &str) -> String {
        self.t(&format!("{section}.{word}")).to_owned()
    }

    /// The text of a key with `{0}` replaced.
    pub(super) fn with(&self, key: &str, value: impl std::fmt::Display) -> String {
        fill(self.t(key), &[("0", value.to_string())])
    }

    /// The text of a key with `{0}`, `{1}` and so on replaced.
    pub(super) fn filled(&self, key: &str, values: &[String]) -> String {
        let names = ["0", "1", "2"];
        let values: Vec<_> = names.into_iter().zip(values.iter().cloned()).collect();
        fill(self.t(key), &values)
    }

    /// What an action of the log was about.
    pub(super) fn subject(&self, action: &str, kept: &str) -> String {
        audit::subject(action, kept, self.language)
    }

    /// What somebody deeper said in English, in the page's language; as it is where nothing else is known.
    pub(super) fn told(&self, english: &str) -> String {
        texts::told(english, self.language)
    }

    /// What the server's clock shows: one-time passwords depend on it.
    pub(super) fn clock(&self) -> String {
        self.with("log-in.clock", self.time(&self.at))
    }

    pub(super) fn lang(&self) -> &'static str {
        self.language.tag()
    }

    /// The other language's tag, for the switch.
    pub(super) fn other_lang(&self) -> &'static str {
        match self.language {
            Language::German => "en",
            Language::English => "de",
        }
    }

    /// The menu as far as whoever is logged in has a use for it; nothing while nobody is, or the server is being set up.
    pub(super) fn menu(&self) -> Vec<(&'static str, Vec<&'static Entry>)> {
        if self.account.is_empty() || self.is("set-up") {
            return Vec::new();
        }
        let of_use = |entry: &&Entry| self.is_admin || !entry.is_for_admins;
        let sections = MENU
            .iter()
            .map(|section| (section.title, section.entries.iter().filter(of_use).collect::<Vec<_>>()));
        sections.filter(|(_, entries)| !entries.is_empty()).collect()
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.current == name
    }

    /// Day and time as this language writes them, in UTC: a server has no time zone of its reader's.
    pub(super) fn time(&self, at: &UnixMillis) -> String {
        let Some(at) = date_time(*at) else { return "–".into() };
        format!("{}, {:02}:{:02} UTC", self.day_of(at), at.hour(), at.minute())
    }

    /// The same as HTML, so that a browser with a script shows it in its reader's own time zone.
    pub(super) fn when(&self, at: &UnixMillis) -> String {
        match rfc3339(*at) {
            // Digits and signs alone: nothing in it needs escaping.
            Some(exact) => format!("<time datetime=\"{exact}\">{}</time>", self.time(at)),
            None => "–".into(),
        }
    }

    /// The day as this language writes it.
    pub(super) fn day(&self, at: &UnixMillis) -> String {
        date_time(*at).map_or_else(|| "–".into(), |at| self.day_of(at))
    }

    fn day_of(&self, at: time::OffsetDateTime) -> String {
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        match self.language {
            Language::German => format!("{day}.{month}.{year}"),
            Language::English => format!("{year}-{month:02}-{day:02}"),
        }
    }

    /// A number with this language's separators.
    pub(super) fn number(&self, value: &u64) -> String {
        let separator = match self.language {
            Language::German => '.',
            Language::English => ',',
        };
        let digits = value.to_string();
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(separator);
            }
            text.push(digit);
        }
        text
    }

    /// Bytes as people read them.
    pub(super) fn bytes(&self, bytes: &u64) -> String {
        const MIB: u64 = 1024 * 1024;
        if *bytes >= MIB {
            format!("{} MiB", self.number(&(bytes / MIB)))
        } else {
            format!("{} KiB", self.number(&bytes.div_ceil(1024)))
        }
    }

    /// The sentence for a refusal.
    pub(super) fn refusal(&self, error: &ServiceError) -> String {
        error.said(self.language)
    }

    pub(super) fn fail(mut self, error: &ServiceError) -> Self {
        self.notice = Some(Notice { text: self.refusal(error), is_error: true });
        self
    }

    pub(super) fn done(mut self, text: String) -> Self {
        self.notice = Some(Notice { text, is_error: false });
        self
    }
}

/// One page of a long list.
pub(super) struct Paging {
    pub(super) search: String,
    pub(super) number: u64,
    pub(super) pages: u64,
    pub(super) total: u64,
    /// What the links to other pages carry besides.
    pub(super) rest: String,
}

/// Rows of one page.
pub(super) const ROWS: u64 = 50;

impl Paging {
    pub(super) fn new(search: String, number: u64, total: u64, rest: String) -> Self {
        let pages = total.div_ceil(ROWS).max(1);
        Self { search, number: number.clamp(1, pages), pages, total, rest }
    }

    pub(super) fn link(&self, number: &u64) -> String {
        let search: String = form_urlencoded::byte_serialize(self.search.as_bytes()).collect();
        format!("?search={search}&page={number}{}", self.rest)
    }

    pub(super) fn previous(&self) -> u64 {
        self.number - 1
    }

    pub(super) fn next(&self) -> u64 {
        self.number + 1
    }
}

/// Renders a page with the headers every page has.
pub(super) fn show(status: StatusCode, nonce: &str, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'nonce-{nonce}'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut response = (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Headers of everything under `/admin`.
pub(super) async fn headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut default = |name: HeaderName, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::X_FRAME_OPTIONS, "DENY");
    default(header::REFERRER_POLICY, "same-origin");
    default(header::CACHE_CONTROL, "no-store");
    default(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    default(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    default(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(language: Language) -> Page {
        Page::new(language, "Test".into(), "overview")
    }

    #[test]
    fn numbers_and_dates_are_written_as_the_language_does() {
        let (german, english) = (page(Language::German), page(Language::English));
        assert_eq!(
            (german.number(&1_234_567), english.number(&1_234_567)),
            ("1.234.567".into(), "1,234,567".into())
        );
        assert_eq!(german.number(&999), "999");
        let at = UnixMillis(1_795_312_000_000);
        assert_eq!((german.day(&at), english.day(&at)), ("22.11.2026".into(), "2026-11-22".into()));
        assert_eq!(english.time(&UnixMillis(u64::MAX)), "–");
        assert_eq!(english.bytes(&1), "1 KiB");
    }

    #[test]
    fn a_long_list_has_pages_and_its_search_survives_them() {
        let paging = Paging::new("a&b ü".into(), 9, 120, String::new());
        assert_eq!((paging.number, paging.pages), (3, 3));
        assert_eq!(paging.link(&2), "?search=a%26b+%C3%BC&page=2");
        assert_eq!(Paging::new(String::new(), 0, 0, String::new()).number, 1);
    }
}
