//! `GET /trust` and `GET /vertrauen`: how a phone or computer learns to trust the server's own authority, so that its browser
//! warns no more. Without log-in: whoever needs it has none yet.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use momedo_protocol::digest::sha256;
use momedo_protocol::encoding::encode_hex;
use momedo_texts::Language;

use super::HttpState;
use super::error::ApiError;
use super::extract::Unauthenticated;
use super::invite_page::shown;
use super::language;
use crate::service::ServiceError;
use crate::state::App;

#[derive(Template)]
#[template(path = "trust.html")]
struct TrustPage<'a> {
    language: &'static str,
    german: bool,
    server: &'a str,
    /// SHA-256 of the authority's certificate, as devices show it.
    fingerprint: String,
}

/// The page in the browser's language.
pub(crate) async fn page(State(state): State<HttpState>, _: Unauthenticated, headers: HeaderMap) -> Response {
    in_language(&state, language::asked_for(&headers))
}

/// The page in German, by its German name.
pub(crate) async fn german_page(State(state): State<HttpState>, _: Unauthenticated) -> Response {
    in_language(&state, Language::German)
}

/// SHA-256 of the authority's certificate, as devices show it while they are set up.
pub(crate) fn fingerprint(app: &App) -> String {
    let hex = encode_hex(&sha256(&app.certificates.authority())).to_uppercase();
    let pairs: Vec<&str> =
        hex.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok()).collect();
    pairs.join(":")
}

fn in_language(state: &HttpState, language: Language) -> Response {
    let page = TrustPage {
        language: language.tag(),
        german: language == Language::German,
        server: &state.config().server.name,
        fingerprint: fingerprint(state),
    };
    shown(&page, language)
}

/// The authority's certificate, as each kind of device takes it.
pub(crate) async fn certificate(
    State(state): State<HttpState>,
    _: Unauthenticated,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    use base64::Engine;
    let der = state.certificates.authority().to_vec();
    let base64 = base64::engine::general_purpose::STANDARD.encode(&der);
    let (content_type, bytes) = match name.as_str() {
        // Android and Windows.
        "momedo.crt" => ("application/x-x509-ca-cert", der),
        "momedo.pem" => {
            let lines: Vec<&str> =
                base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
            let text =
                format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
            ("application/x-pem-file", text.into_bytes())
        }
        "momedo.mobileconfig" => {
            let id = encode_hex(&state.fingerprint.0[..16]);
            let profile = profile(&state.config().server.name, &id, &base64);
            ("application/x-apple-aspen-config", profile.into_bytes())
        }
        _ => return Err(ApiError(ServiceError::NoSuchPath)),
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    Ok(([(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)], bytes)
        .into_response())
}

/// An Apple configuration profile with one root certificate.
fn profile(server: &str, id: &str, certificate: &str) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let uuid = |last: &str| {
        format!("{}-{}-4{}-8{}-{}{last}", &id[..8], &id[8..12], &id[13..16], &id[17..20], &id[20..31])
    };
    let (outer, inner, server) = (uuid("0"), uuid("1"), escape(server));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>PayloadContent</key><array><dict>
<key>PayloadCertificateFileName</key><string>momedo.crt</string>
<key>PayloadContent</key><data>{certificate}</data>
<key>PayloadDisplayName</key><string>{server}</string>
<key>PayloadIdentifier</key><string>momedo.{id}.certificate</string>
<key>PayloadType</key><string>com.apple.security.root</string>
<key>PayloadUUID</key><string>{inner}</string>
<key>PayloadVersion</key><integer>1</integer>
</dict></array>
<key>PayloadDisplayName</key><string>{server} (momedo)</string>
<key>PayloadIdentifier</key><string>momedo.{id}</string>
<key>PayloadType</key><string>Configuration</string>
<key>PayloadUUID</key><string>{outer}</string>
<key>PayloadVersion</key><integer>1</integer>
</dict></plist>
"#
    )
}
