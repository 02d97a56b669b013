//! `momedo keys`: fingerprints, one's own and contacts'.

use clap::Subcommand;
use momedo_client::devices::adopt_published_keys;
use momedo_client::{contacts, rotation};
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;

use super::{ProfileArgs, client_runtime, language, output};

/// Show and compare fingerprints.
#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Show your fingerprint, or a contact's
    Show {
        #[command(flatten)]
        profile: ProfileArgs,
        /// A contact's ID; yours when absent
        id: Option<ParticipantId>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make new encryption keys now; otherwise that happens by itself every 90 days
    Rotate {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say that you compared a contact's fingerprint with them; accepts keys that were reset
    Verify {
        #[command(flatten)]
        profile: ProfileArgs,
        /// The contact's ID
        id: ParticipantId,
        /// The fingerprint they told you, with or without spaces
        #[arg(required = true, num_args = 1..)]
        fingerprint: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Keys {
    pub(super) fn run(self) -> anyhow::Result<()> {
        client_runtime()?.block_on(self.act())
    }

    async fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Show { profile, id, json } => {
                let opened = profile.open()?;
                let (bundle, trust) = match id {
                    Some(id) if id != opened.id()? => {
                        let mut session = opened.log_in(&language()).await?;
                        let known = contacts::fetch(&opened, &mut session, id).await?;
                        (known.bundle, known.trust.name())
                    }
                    _ => (opened.own_bundle()?, "own"),
                };
                show(&bundle, trust, json)
            }
            Self::Rotate { profile, json } => {
                let opened = profile.open()?;
                let mut session = opened.log_in(&language()).await?;
                adopt_published_keys(&opened, &mut session).await?;
                rotation::rotate(&opened, &mut session, &output::progress).await?;
                show(&opened.own_bundle()?, "own", json)
            }
            Self::Verify { profile, id, fingerprint, json } => {
                let fingerprint: Fingerprint = fingerprint
                    .concat()
                    .replace([' ', '-', ':'], "")
                    .parse()
                    .map_err(|_| anyhow::anyhow!("a fingerprint has 64 hexadecimal digits"))?;
                let opened = profile.open()?;
                let mut session = opened.log_in(&language()).await?;
                adopt_published_keys(&opened, &mut session).await?;
                contacts::compare(&opened, &mut session, id, fingerprint).await?;
                if json {
                    return output::json(&serde_json::json!({ "id": id, "trust": "compared" }));
                }
                println!("{id} is compared");
                Ok(())
            }
        }
    }
}

fn show(bundle: &KeyBundle, trust: &str, json: bool) -> anyhow::Result<()> {
    let payload = &bundle.payload;
    if json {
        return output::json(&serde_json::json!({
            "id": payload.id, "name": payload.name, "fingerprint": bundle.fingerprint(),
            "version": payload.version, "suites": payload.suites, "trust": trust,
        }));
    }
    println!("{} {}", payload.id, payload.name);
    println!("fingerprint {}", bundle.fingerprint().grouped());
    println!("keys        version {}, {trust}", payload.version);
    Ok(())
}
