//! `momedo keys`: fingerprints, one's own and contacts'.

use anyhow::Context;
use clap::Subcommand;
use momedo_client::contacts::Trust;
use momedo_client::devices::adopt_published_keys;
use momedo_client::names::{self, Called};
use momedo_client::profile::Profile;
use momedo_client::{contacts, key_log, rotation};
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_bundle::KeyBundle;

use super::naming::{self, printable, printable_name};
use super::{ProfileArgs, client_runtime, language, output, words};

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
    /// Show how far you followed your server's log of key changes, to compare with others on the telephone
    ///
    /// The server enters every change of keys into a log that it can only append to. Whoever is on the same server sees
    /// the same hash at the same number; if not, it shows different keys to different people, or was restored from a
    /// backup. Programs compare by themselves with every message.
    Log {
        #[command(flatten)]
        profile: ProfileArgs,
        /// The number to compare at; the newest by default
        #[arg(long, value_name = "NUMBER")]
        at: Option<u64>,
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
                let (bundle, trust, called) = match id {
                    Some(id) if id != opened.id()? => {
                        let mut session = opened.log_in(&language()).await?;
                        let known = contacts::fetch(&opened, &mut session, id).await?;
                        (known.bundle, known.trust.name(), names::of(&opened, id)?)
                    }
                    _ => (opened.own_bundle()?, "own", None),
                };
                show(&bundle, called, trust, json)
            }
            Self::Rotate { profile, json } => {
                let opened = profile.open()?;
                let mut session = opened.log_in(&language()).await?;
                adopt_published_keys(&opened, &mut session).await?;
                rotation::rotate(&opened, &mut session, &output::progress).await?;
                show(&opened.own_bundle()?, None, "own", json)
            }
            Self::Log { profile, at, json } => {
                let opened = profile.open()?;
                let mut session = opened.log_in(&language()).await?;
                key_log::follow(&opened, &mut session).await?;
                log(&opened, at, json)
            }
            Self::Verify { profile, id, fingerprint, json } => {
                let fingerprint: Fingerprint = fingerprint
                    .concat()
                    .replace([' ', '-', ':'], "")
                    .parse()
                    .map_err(|_| anyhow::anyhow!(words!("contact.not-a-fingerprint")))?;
                let opened = profile.open()?;
                let mut session = opened.log_in(&language()).await?;
                adopt_published_keys(&opened, &mut session).await?;
                contacts::compare(&opened, &mut session, id, fingerprint).await?;
                if json {
                    return output::json(&serde_json::json!({ "id": id, "trust": "compared" }));
                }
                say!("{}", words!("contact.compared", id = id));
                Ok(())
            }
        }
    }
}

fn log(profile: &Profile, at: Option<u64>, json: bool) -> anyhow::Result<()> {
    let view = key_log::view(profile, at)?.context(words!("contact.beyond-log"))?;
    let (server, alarms) = (profile.server()?.fingerprint, profile.log_alarms()?);
    let homes = profile.log_homes(server)?;
    if json {
        return output::json(&serde_json::json!({
            "server": server, "number": view.number, "hash": view.grouped_hash(), "alarms": alarms,
            "servers": homes.iter().map(|(home, number)| serde_json::json!({ "server": home, "number": number }))
                .collect::<Vec<_>>(),
        }));
    }
    say!("{}", words!("contact.log-server", server = server.grouped()));
    say!("{}", words!("contact.log-number", number = view.number));
    say!("{}", words!("contact.log-hash", hash = view.grouped_hash()));
    for (home, number) in homes {
        say!("{}", words!("contact.log-tells", server = home.grouped(), number = number));
    }
    for alarm in alarms {
        let told = printable(&words::told(&alarm.words));
        say!("{}", words!("contact.alarm", at = output::time(Some(alarm.at)), words = told));
    }
    Ok(())
}

fn show(bundle: &KeyBundle, called: Option<Called>, trust: &str, json: bool) -> anyhow::Result<()> {
    let payload = &bundle.payload;
    let own = || Called { by_home: payload.name.clone(), by_themselves: payload.name.clone() };
    let called = called.unwrap_or_else(own);
    if json {
        return output::json(&serde_json::json!({
            "id": payload.id, "name": called.by_home, "own_name": called.other_name(),
            "fingerprint": bundle.fingerprint(), "version": payload.version, "suites": payload.suites, "trust": trust,
        }));
    }
    say!("{} {}", payload.id, printable_name(&naming::told(&called)));
    say!("{}", words!("contact.fingerprint", fingerprint = bundle.fingerprint().grouped()));
    let told = match trust {
        "unvouched" => words!("trust.unvouched"),
        "first-use" => words!("trust.first-use"),
        "compared" => words!("trust.compared"),
        "own" => words!("trust.own"),
        other => other,
    };
    say!("{}", words!("contact.version", version = payload.version, trust = told));
    if trust == Trust::Unvouched.name() {
        say!("{}", words!("contact.unvouched"));
    }
    Ok(())
}
