//! Certificates: what is in force, the authority's certificate for devices, an own certificate.

use askama::Template;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use momedo_protocol::encoding::encode_hex;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::page::{Page, show};
use super::session::{AdminSession, Form};
use super::status_of;
use crate::service::AdminError;
use crate::service::certificates::{self, MAX_PEM_BYTES, Upload};
use crate::tls::Origin;

#[derive(Template)]
#[template(path = "admin/certificates.html")]
struct CertificatesPage {
    page: Page,
    server_fingerprint: String,
    fingerprint: String,
    names: String,
    days: u64,
    ends: String,
    origin: String,
    is_uploaded: bool,
    is_from_files: bool,
}

fn show_with(session: &AdminSession, page: Page, status: StatusCode) -> Response {
    let pages = &session.session.visitor.pages;
    let in_force = pages.certificates.in_force();
    let ends_at = in_force.as_ref().map_or(pages.app.clock.now(), |found| found.ends_at);
    let days = ends_at.0.saturating_sub(pages.app.clock.now().0) / 86_400_000;
    let origin = in_force.as_ref().map_or(Origin::Issued, |found| found.origin);
    let word = match origin {
        Origin::Issued => "certificates.issued",
        Origin::Files => "certificates.files",
        Origin::Uploaded => "certificates.uploaded",
    };
    let nonce = page.nonce.clone();
    let template = CertificatesPage {
        server_fingerprint: pages.app.fingerprint.grouped(),
        fingerprint: in_force.as_ref().map(|found| found.fingerprint.grouped()).unwrap_or_default(),
        names: in_force.map(|found| found.names.join(", ")).unwrap_or_default(),
        days,
        ends: page.day(&ends_at),
        origin: page.t(word).to_owned(),
        is_uploaded: origin == Origin::Uploaded,
        is_from_files: origin == Origin::Files,
        page,
    };
    show(status, &nonce, &template)
}

pub(super) async fn show_all(session: AdminSession) -> Response {
    let page = session.page("certificates");
    show_with(&session, page, StatusCode::OK)
}

#[derive(Deserialize)]
pub(super) struct UploadForm {
    chain: String,
    key: Zeroizing<String>,
}

pub(super) async fn upload(Form(session, form): Form<UploadForm>) -> Response {
    let pages = &session.session.visitor.pages;
    let result = if form.chain.len() > MAX_PEM_BYTES || form.key.len() > MAX_PEM_BYTES {
        Err(AdminError::FileTooLarge.into())
    } else {
        let upload = Upload { chain: form.chain, key: form.key.to_string() };
        certificates::upload(&pages.app, &session.admin, &pages.certificates, upload).await
    };
    match result {
        Ok(()) => Redirect::to("/admin/certificates").into_response(),
        Err(error) => {
            let page = session.page("certificates").fail(&error);
            show_with(&session, page, status_of(&error))
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

pub(super) async fn remove(Form(session, Nothing {}): Form<Nothing>) -> Response {
    let pages = &session.session.visitor.pages;
    match certificates::remove(&pages.app, &session.admin, &pages.certificates).await {
        Ok(()) => Redirect::to("/admin/certificates").into_response(),
        Err(error) => {
            let page = session.page("certificates").fail(&error);
            show_with(&session, page, status_of(&error))
        }
    }
}

/// The authority's certificate, as each kind of device takes it.
pub(super) async fn download(session: AdminSession, Path(kind): Path<String>) -> Response {
    use base64::Engine;
    let pages = &session.session.visitor.pages;
    let der = pages.certificates.authority().to_vec();
    let base64 = base64::engine::general_purpose::STANDARD.encode(&der);
    let (content_type, name, bytes) = match kind.as_str() {
        // Android and Windows.
        "crt" => ("application/x-x509-ca-cert", "momedo.crt", der),
        "pem" => {
            let lines: Vec<&str> =
                base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
            let text =
                format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
            ("application/x-pem-file", "momedo.pem", text.into_bytes())
        }
        "mobileconfig" => {
            let id = encode_hex(&pages.app.fingerprint.0[..16]);
            let server = pages.app.config().server.name.clone();
            let profile = profile(&server, &id, &base64);
            ("application/x-apple-aspen-config", "momedo.mobileconfig", profile.into_bytes())
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)], bytes)
        .into_response()
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
