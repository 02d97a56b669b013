//! `momedo admin certificate`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use momedo_texts::Language;

use super::Common;
use crate::acme::Challenge;
use crate::cli::words;
use crate::service::acme::Choice;
use crate::service::administration::{AdminRequest, CertificateRequest, Password};

/// The certificate browsers see.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Certificate {
    /// Show the certificate in force, and how the public authority is asked
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Use a certificate of your own; no public authority is asked any more
    Use {
        #[command(flatten)]
        common: Common,
        /// PEM file with the certificate chain, own certificate first
        #[arg(long, value_name = "FILE")]
        chain: PathBuf,
        /// PEM file with its private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Go back to what this server's own authority issues
    Remove {
        #[command(flatten)]
        common: Common,
    },
    /// Certificates from a public authority such as Let's Encrypt (ACME), renewed by themselves
    #[command(subcommand)]
    Acme(Acme),
}

/// Certificates from a public authority.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Acme {
    /// Switch it on and order a certificate; beside a stopped server the next start orders it
    On(On),
    /// Ask no authority any more; a certificate that is there serves until it ends
    Off {
        #[command(flatten)]
        common: Common,
    },
    /// Order a new certificate now
    Renew {
        #[command(flatten)]
        common: Common,
    },
}

/// What to order, and of whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct On {
    #[command(flatten)]
    common: Common,
    /// A public name that leads here; may be given more than once
    #[arg(long = "domain", value_name = "NAME", required = true)]
    domains: Vec<String>,
    /// How the authority checks the name: tls-alpn-01 (port 443) or http-01 (port 80)
    #[arg(long, default_value = "tls-alpn-01")]
    challenge: Challenge,
    /// Where the authority may write to
    #[arg(long, value_name = "E-MAIL", default_value = "")]
    contact: String,
    /// The authority's directory; without it the one of momedo.toml, or Let's Encrypt's
    #[arg(long, value_name = "URL", default_value = "")]
    directory: String,
    /// Say that you agree to the authority's terms
    #[arg(long)]
    agree_to_terms: bool,
}

impl Certificate {
    pub(super) fn run(self) -> anyhow::Result<()> {
        use CertificateRequest as R;
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).with_context(|| words!("file.unreadable", path = path.display()))
        };
        let (common, request) = match self {
            Self::Status { common } => (common, R::Status),
            Self::Use { common, chain, key } => {
                (common, R::Use { chain: read(chain)?, key: Password(read(key)?) })
            }
            Self::Remove { common } => (common, R::Remove),
            Self::Acme(Acme::On(on)) => {
                let On { common, domains, challenge, contact, directory, agree_to_terms } = on;
                let choice = Choice { enabled: true, domains, directory, contact, challenge };
                (common, R::AcmeOn { choice, agrees_to_terms: agree_to_terms })
            }
            Self::Acme(Acme::Off { common }) => (common, R::AcmeOff),
            Self::Acme(Acme::Renew { common }) => (common, R::AcmeRenew),
        };
        let request = AdminRequest::Certificate(request);
        if common.json {
            return common.print(request, &[]);
        }
        let line = common.ask(request)?.lines()?.into_iter().next().unwrap_or_default();
        let origin = super::text(&line["origin"]);
        let origin = match (crate::cli::spoken(), origin.as_str()) {
            (Language::German, "issued" | "files" | "uploaded" | "acme") => {
                crate::texts::of(Language::German).get(&format!("certificates.{origin}")).to_owned()
            }
            _ => origin,
        };
        say!("{}", words!("certificate.origin", origin = origin));
        let (at, days) = (super::time(&line["ends_at"]), line["days"].as_u64().unwrap_or_default());
        say!("{}", counted!("certificate.ends", days, at = at));
        let names = line["names"].as_array().cloned().unwrap_or_default();
        say!(
            "{}",
            words!("certificate.names", names = names.iter().map(super::text).collect::<Vec<_>>().join(" "))
        );
        say!("{}", words!("certificate.fingerprint", fingerprint = super::text(&line["fingerprint"])));
        say!("{}", words!("certificate.server", fingerprint = super::text(&line["server_fingerprint"])));
        let acme = &line["acme"];
        if acme["enabled"] != true {
            say!("{}", words!("certificate.not-asked"));
            return Ok(());
        }
        say!("{}", words!("certificate.authority", directory = super::text(&acme["directory"])));
        match (acme["trouble"].as_str(), acme["due_at"].is_null()) {
            (Some(trouble), _) => {
                say!("{}", words!("certificate.fails", reason = words::told(trouble)));
                say!("{}", words!("certificate.again", at = super::time(&acme["again_at"])));
            }
            (None, false) => say!("{}", words!("certificate.renewed", at = super::time(&acme["due_at"]))),
            (None, true) => say!("{}", words!("certificate.ordered")),
        }
        Ok(())
    }
}
