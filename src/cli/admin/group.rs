//! `momedo admin group`: groups that participants made.

use clap::Subcommand;
use momedo_protocol::group::GroupId;

use super::Common;
use crate::service::administration::{AdminRequest, GroupRequest};

/// Groups that participants made; who belongs to them is theirs to sign.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Group {
    /// List them
    List {
        #[command(flatten)]
        common: Common,
        /// Only those with this in their name
        #[arg(long, default_value = "")]
        search: String,
    },
    /// Delete one: nobody can write to it any more, and what waits is still delivered
    Delete {
        #[command(flatten)]
        common: Common,
        /// Its ID
        id: GroupId,
    },
}

impl Group {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (common, request, fields): (Common, GroupRequest, &[&str]) = match self {
            Self::List { common, search } => {
                (common, GroupRequest::List { search }, &["id", "name", "members", "posting", "encryption"])
            }
            Self::Delete { common, id } => (common, GroupRequest::Delete { id: id.to_string() }, &[]),
        };
        common.print(AdminRequest::Group(request), fields)
    }
}
