//! `group`.

use momedo_client::commands::groups::{Changes, GroupShown, Groups, LINK_USES};
use momedo_client::commands::{CommandError, Reader};
use momedo_client::profile::Profile;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{Access, Encryption, GroupRole, Posting, Settings};

use super::{Page, unknown};
use crate::arguments::{Arguments, misuse};

pub(super) async fn run(
    profile: &Profile,
    name: &str,
    mut arguments: Arguments,
    reader: Reader<'_>,
    page: &Page,
) -> Result<(), CommandError> {
    let mut groups = Groups::begin(profile, reader).await?;
    match name {
        "create" => {
            let settings = Settings {
                name: arguments.needed("--name")?,
                posting: arguments.value("--posting")?.unwrap_or(Posting::Everyone),
                access: arguments.value("--access")?.unwrap_or(Access::Closed),
            };
            let encryption = arguments.value("--encryption")?.unwrap_or(Encryption::Symmetric);
            arguments.end()?;
            return Ok(page.line(&groups.create(settings, encryption).await?)?);
        }
        "list" => {
            arguments.end()?;
            return Ok(page.lines(&groups.list().await?.groups)?);
        }
        "join" => {
            let (group, link) = (arguments.value("--group")?, arguments.value("--link")?);
            arguments.end()?;
            return Ok(page.line(&match (group, link) {
                (Some(group), None) => groups.join(group).await?,
                (None, Some(link)) => groups.join_by_link(&link).await?,
                _ => return Err(misuse("give --group or --link").into()),
            })?);
        }
        _ => {}
    }
    let group: GroupId = arguments.needed("--group")?;
    match name {
        "members" => {
            arguments.end()?;
            return Ok(page.lines(&groups.members(group).await?)?);
        }
        "link" if !arguments.flag("--end") => {
            let uses = arguments.value("--uses")?.unwrap_or(LINK_USES);
            arguments.end()?;
            return Ok(page.line(&groups.link(group, uses).await?)?);
        }
        "leave" => {
            arguments.end()?;
            return Ok(page.line(&groups.leave(group).await?)?);
        }
        _ => {}
    }
    Ok(page.line(&change(&mut groups, name, group, arguments).await?)?)
}

/// Commands that answer with the group.
async fn change(
    groups: &mut Groups<'_>,
    name: &str,
    group: GroupId,
    mut arguments: Arguments,
) -> Result<GroupShown, CommandError> {
    match name {
        "add" => {
            let role = arguments.value("--role")?.unwrap_or(GroupRole::Member);
            return groups.add(group, &arguments.needed_rest("an ID")?, role).await;
        }
        "remove" => return groups.remove(group, &arguments.needed_rest("an ID")?).await,
        "role" => {
            let (id, role) = (arguments.needed_next("the ID")?, arguments.needed_next("the role")?);
            arguments.end()?;
            return groups.set_role(group, id, role).await;
        }
        "set" => {
            let changes = Changes {
                name: arguments.text("--name")?,
                posting: arguments.value("--posting")?,
                access: arguments.value("--access")?,
            };
            arguments.end()?;
            return groups.set(group, &changes).await;
        }
        _ => arguments.end()?,
    }
    match name {
        "show" => groups.show(group).await,
        "link" => groups.end_link(group).await,
        "new-key" => groups.new_key(group).await,
        "archive" => groups.archive(group).await,
        other => Err(unknown("group", other)),
    }
}
