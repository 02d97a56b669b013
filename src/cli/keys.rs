//! `momedo keys`: fingerprints, one's own and contacts'.

use clap::Subcommand;
use momedo_client::commands::keys::{self, KeysShown, LogShown, OtherLog};
use momedo_client::contacts::Trust;
use momedo_protocol::id::ParticipantId;

use super::naming::{self, printable, printable_name};
use super::{ProfileArgs, client_runtime, language, output, reader, words};

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
        let language = language();
        let reader = reader(&language);
        match self {
            Self::Show { profile, id, json } => show(&keys::show(&profile.open()?, id, reader).await?, json),
            Self::Rotate { profile, json } => show(&keys::rotate(&profile.open()?, reader).await?, json),
            Self::Log { profile, at, json } => log(&keys::log(&profile.open()?, at, reader).await?, json),
            Self::Verify { profile, id, fingerprint, json } => {
                let fingerprint = keys::fingerprint(&fingerprint.concat())?;
                let verified = keys::verify(&profile.open()?, id, fingerprint, reader).await?;
                output::answer(json, &verified, &words!("contact.compared", id = id))
            }
        }
    }
}

fn log(log: &LogShown, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(log);
    }
    say!("{}", words!("contact.log-server", server = log.server.grouped()));
    say!("{}", words!("contact.log-number", number = log.number));
    say!("{}", words!("contact.log-hash", hash = log.hash));
    for OtherLog { server, number } in &log.servers {
        say!("{}", words!("contact.log-tells", server = server.grouped(), number = number));
    }
    for alarm in &log.alarms {
        let told = printable(&words::told(&alarm.words));
        say!("{}", words!("contact.alarm", at = output::time(Some(alarm.at)), words = told));
    }
    Ok(())
}

fn show(keys: &KeysShown, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(keys);
    }
    let called = naming::told(&keys.name, keys.own_name.as_deref());
    say!("{} {}", keys.id, printable_name(&called));
    say!("{}", words!("contact.fingerprint", fingerprint = keys.fingerprint.grouped()));
    let told = match keys.trust {
        "unvouched" => words!("trust.unvouched"),
        "first-use" => words!("trust.first-use"),
        "compared" => words!("trust.compared"),
        "own" => words!("trust.own"),
        other => other,
    };
    say!("{}", words!("contact.version", version = keys.version, trust = told));
    if keys.trust == Trust::Unvouched.name() {
        say!("{}", words!("contact.unvouched"));
    }
    Ok(())
}
