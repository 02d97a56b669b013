//! `momedo admin participant`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;

use super::Common;
use super::class_list::ClassListArgs;
use crate::cli::output;
use crate::domain::role::Role;
use crate::http::export;
use crate::service::administration::{AdminRequest, ParticipantRequest};
use crate::service::personal;
use crate::store::ImportId;
use crate::surroundings::data_directory::create_private_file;

/// People. WHO is an ID such as M8N22HT6, or # and the number in the list, such as '#12'.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Participant {
    /// List people
    List {
        #[command(flatten)]
        common: Common,
        /// Part of a name or key, or an ID
        #[arg(long, default_value = "")]
        search: String,
        /// Only this class or team
        #[arg(long)]
        class: Option<String>,
    },
    /// Add a person and print their invite link
    Add {
        #[command(flatten)]
        common: Common,
        /// The name
        name: String,
        /// member, employee, admin or bot
        #[arg(long, default_value = "member")]
        role: Role,
        /// The class or team
        #[arg(long)]
        class: Option<String>,
        /// What other software knows the person by
        #[arg(long)]
        key: Option<String>,
    },
    /// Make fresh invite links; older ones of the same people end
    Invite {
        #[command(flatten)]
        common: Common,
        /// For whom
        who: Vec<String>,
        /// For everybody of this class who has not registered
        #[arg(long)]
        class: Option<String>,
    },
    /// Rename a person
    Rename {
        #[command(flatten)]
        common: Common,
        /// Whom
        who: String,
        /// The new name
        name: String,
    },
    /// Set a person's role
    Role {
        #[command(flatten)]
        common: Common,
        /// Whose
        who: String,
        /// member, employee, admin or bot
        role: Role,
    },
    /// Lock participants out; mail goes on waiting
    Disable {
        #[command(flatten)]
        common: Common,
        /// Whom
        #[arg(required = true)]
        who: Vec<String>,
    },
    /// Let disabled participants in again
    Enable {
        #[command(flatten)]
        common: Common,
        /// Whom
        #[arg(required = true)]
        who: Vec<String>,
    },
    /// Move people into another class: they leave the one they are in
    Move {
        #[command(flatten)]
        common: Common,
        /// Whom
        #[arg(required = true)]
        who: Vec<String>,
        /// The class
        #[arg(long)]
        to: String,
    },
    /// Delete people, with devices, keys and waiting mail
    Delete {
        #[command(flatten)]
        common: Common,
        /// Whom
        #[arg(required = true)]
        who: Vec<String>,
        /// Only say what would go
        #[arg(long)]
        preview: bool,
    },
    /// Write everything the server holds about a person into a ZIP file: a readable page and JSON
    Export {
        #[command(flatten)]
        common: Common,
        /// About whom
        who: String,
        /// Where to; without it momedo-ID.zip in this folder
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Let somebody who lost every device begin anew under the same ID, and print the link for it
    ResetKeys {
        #[command(flatten)]
        common: Common,
        /// Whose
        who: String,
    },
    /// List a participant's devices
    Devices {
        #[command(flatten)]
        common: Common,
        /// Whose
        who: String,
    },
    /// Lock one device out
    RevokeDevice {
        #[command(flatten)]
        common: Common,
        /// Whose
        who: String,
        /// The device's ID
        device: String,
    },
    /// Import a class list; what each column means is said first, and rows that cannot be used are left out
    Import {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        list: Box<ClassListArgs>,
    },
    /// Undo an import
    UndoImport {
        #[command(flatten)]
        common: Common,
        /// Its number, which importing printed
        id: i64,
    },
}

const PERSON: &[&str] = &["number", "id", "name", "classes", "role", "state"];
const LINK: &[&str] = &["name", "link"];

impl Participant {
    pub(super) fn run(self) -> anyhow::Result<()> {
        use ParticipantRequest as R;
        let (common, request, fields): (Common, R, &[&str]) = match self {
            Self::List { common, search, class } => (common, R::List { search, class }, PERSON),
            Self::Add { common, name, role, class, key } => (common, R::Add { name, role, class, key }, LINK),
            Self::Invite { common, who, class } => (common, R::Invite { who, class }, LINK),
            Self::Rename { common, who, name } => (common, R::Rename { who, name }, &[]),
            Self::Role { common, who, role } => (common, R::Role { who, role }, &[]),
            Self::Disable { common, who } => (common, R::Enable { who, enabled: false }, &[]),
            Self::Enable { common, who } => (common, R::Enable { who, enabled: true }, &[]),
            Self::Move { common, who, to } => (common, R::Move { who, class: to }, &[]),
            Self::Delete { common, who, preview } => {
                let fields: &[&str] = if preview { &["who", "devices", "waiting", "held"] } else { &[] };
                (common, R::Delete { who, preview }, fields)
            }
            Self::Export { common, who, to } => return export(&common, who, to),
            Self::ResetKeys { common, who } => (common, R::ResetKeys { who }, LINK),
            Self::Devices { common, who } => {
                (common, R::Devices { who }, &["id", "seen_at", "online", "waiting"])
            }
            Self::RevokeDevice { common, who, device } => (common, R::RevokeDevice { who, device }, &[]),
            Self::Import { common, list } => return list.run(&common),
            Self::UndoImport { common, id } => {
                (common, R::UndoImport { id: ImportId(id) }, &["deleted", "put_back", "kept"])
            }
        };
        common.print(AdminRequest::Participant(request), fields)
    }
}

/// Reads the database itself, so that the file belongs to whoever asked; the server notes that it was done.
fn export(common: &Common, who: String, to: Option<PathBuf>) -> anyhow::Result<()> {
    let refuse = |to: &std::path::Path| {
        anyhow::ensure!(!to.exists(), words!("file.exists", path = to.display()));
        anyhow::Ok(())
    };
    to.as_deref().map_or(Ok(()), refuse)?;
    let request = AdminRequest::Participant(ParticipantRequest::Export { who });
    let line = common.ask(request)?.lines()?.into_iter().next().unwrap_or_default();
    let subject = personal::subject_in(&line)?;
    let directory = common.data.path()?;
    let to = to.unwrap_or_else(|| PathBuf::from(export::file_name(&subject)));
    refuse(&to)?;
    let failed = || words!("file.unwritable", path = to.display());
    let mut file = create_private_file(&to).with_context(failed)?;
    let heading = export::Heading {
        server: line["server"].as_str().unwrap_or_default().to_owned(),
        at: momedo_client::now(),
        language: crate::cli::spoken(),
    };
    let written =
        export::write_from(&directory, &subject, &heading, &mut file).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a file is worth nothing, and in the way of the next try.
        drop(std::fs::remove_file(&to));
        return Err(error).with_context(failed);
    }
    let bytes = file.metadata().with_context(failed)?.len();
    if common.json {
        return output::json(&serde_json::json!({ "file": to, "bytes": bytes }));
    }
    say!("{}", words!("file.written", path = to.display(), bytes = bytes));
    Ok(())
}
