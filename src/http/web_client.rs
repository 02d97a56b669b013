//! `/client/`: the client for browsers, which is built into the program (`build/main.rs`), and the page that starts it.
//!
//! Its files stand under the digest of all of them: an address never means other bytes, so browsers may keep them for good,
//! and no page can mix the files of two versions.

use std::io::Read as _;
use std::sync::{Arc, OnceLock};

use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use momedo_texts::Language;

use super::HttpState;
use super::error::ApiError;
use super::extract::Unauthenticated;
use super::invite_page::shown;
use super::language;
use super::unread::Shared;
use crate::service::ServiceError;

/// What the worker may do: run the module (which is no `eval`) and talk to this server. A worker is bound by the policy
/// that comes with its script, and not by its page's.
const WORKER_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; \
                             base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                             require-trusted-types-for 'script'; trusted-types 'none'";

/// What the page may do: show itself and start the worker. No text ever becomes script; the one policy for addresses of
/// scripts is in `web-client/page.js`.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                           require-trusted-types-for 'script'; trusted-types momedo";

/// The client as it is in the program.
struct Client {
    /// SHA-256 of the file `SHA256SUMS`, in hex.
    digest: &'static str,
    /// Names, and bytes as gzip has them.
    files: &'static [(&'static str, &'static [u8])],
}

#[cfg(feature = "web-client")]
const CLIENT: Client = include!(concat!(env!("OUT_DIR"), "/web_client.rs"));
#[cfg(not(feature = "web-client"))]
const CLIENT: Client = Client { digest: "", files: &[] };

/// One file as it is handed out.
struct File {
    name: &'static str,
    gzipped: &'static [u8],
    /// Made when the first asks who takes no gzip; hardly anybody does.
    plain: OnceLock<Bytes>,
}

/// The page and the files.
pub(super) fn routes() -> Router<HttpState> {
    let file = |&(name, gzipped)| File { name, gzipped, plain: OnceLock::new() };
    let files: Arc<[File]> = CLIENT.files.iter().map(file).collect();
    Router::new().route("/client/", get(page)).route(
        "/client/{digest}/{*name}",
        get(move |_: Unauthenticated, Path((digest, name)): Path<(String, String)>, headers: HeaderMap| {
            let files = files.clone();
            async move {
                let file = files.iter().find(|file| digest == CLIENT.digest && file.name == name);
                file.map_or_else(
                    || ApiError(ServiceError::NoSuchPath).into_response(),
                    |file| file.answer(&headers),
                )
            }
        }),
    )
}

#[derive(Template)]
#[template(path = "client.html")]
struct ClientPage<'a> {
    language: &'static str,
    german: bool,
    server: &'a str,
    /// The page's script; `None` in a program without the client.
    script: Option<String>,
}

async fn page(State(state): State<HttpState>, _: Unauthenticated, headers: HeaderMap) -> Response {
    let language = language::asked_for(&headers);
    let has_client = !CLIENT.files.is_empty();
    let page = ClientPage {
        language: language.tag(),
        german: language == Language::German,
        server: &state.config().server.name,
        script: has_client.then(|| format!("/client/{}/page.js", CLIENT.digest)),
    };
    let mut response = shown(&page, language);
    let policy = HeaderValue::from_static(PAGE_POLICY);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

impl File {
    fn answer(&self, headers: &HeaderMap) -> Response {
        let common = [
            (header::CONTENT_TYPE, media_type(self.name)),
            (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            (header::CONTENT_SECURITY_POLICY, WORKER_POLICY),
            (header::VARY, "accept-encoding"),
        ];
        if takes_gzip(headers) {
            Shared((common, [(header::CONTENT_ENCODING, "gzip")], self.gzipped)).into_response()
        } else {
            Shared((common, self.plain())).into_response()
        }
    }

    fn plain(&self) -> Bytes {
        let unpack = || {
            let mut plain = Vec::new();
            let mut packed = flate2::read::GzDecoder::new(self.gzipped);
            packed.read_to_end(&mut plain).expect("what the build packed can be unpacked");
            Bytes::from(plain)
        };
        self.plain.get_or_init(unpack).clone()
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        // Browsers compile while it comes only under just this type.
        Some((_, "wasm")) => "application/wasm",
        _ => "text/plain; charset=utf-8",
    }
}

/// Whether the request's `Accept-Encoding` (RFC 9110) has room for gzip.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_whoever_names_it_and_does_not_refuse_it() {
        let takes = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
            takes_gzip(&headers)
        };
        for value in ["gzip", "br, GZIP", "gzip;q=0.5", "identity;q=1, gzip; q=0.1"] {
            assert!(takes(value), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "gzip; q=0.0", "gzip;q=x", "xgzip"] {
            assert!(!takes(value), "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
