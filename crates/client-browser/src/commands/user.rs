//! `user`.

use momedo_client::commands::{CommandError, Reader, devices, manners, user};

use super::{Page, Shell, joining, unknown};
use crate::arguments::Arguments;

/// What a device is called, unless somebody says otherwise.
pub(super) const DEVICE_NAME: &str = "browser";

pub(super) async fn run(
    shell: &mut Shell,
    name: &str,
    mut arguments: Arguments,
    reader: Reader<'_>,
    page: &Page,
) -> Result<(), CommandError> {
    match name {
        "register" => {
            let (invite, name) = (arguments.needed("--invite")?, arguments.text("--name")?);
            let device_name = arguments.text("--device-name")?;
            arguments.end()?;
            let device_name = device_name.as_deref().unwrap_or(DEVICE_NAME);
            let (profile, registered) =
                user::register(&shell.place, invite, name.as_deref(), device_name, reader).await?;
            shell.profile = Some(profile);
            page.line(&registered)?;
        }
        "add-device" | "recover" => joining::enter(shell, name, arguments, reader, page).await?,
        "link-device" => joining::link(shell.profile()?, arguments, reader, page).await?,
        "backup-keys" => joining::back_up(shell.profile()?, arguments, reader, page).await?,
        "receipts" => {
            let choice = arguments.next_value()?;
            arguments.end()?;
            page.line(&user::receipts(shell.profile()?, choice)?)?;
        }
        "homes" => {
            let (second, address) = (arguments.value("--second")?, arguments.text("--address")?);
            arguments.end()?;
            page.line(&user::homes(shell.profile()?, second, address.as_deref(), reader).await?)?;
        }
        "devices" => {
            arguments.end()?;
            page.lines(&devices::list(shell.profile()?, reader).await?.devices)?;
        }
        "revoke-device" => {
            let kept = arguments.values("--keep")?;
            let revoked = arguments.needed_rest("the device's ID")?;
            page.lines(&devices::revoke(shell.profile()?, &revoked, &kept, reader).await?.devices)?;
        }
        "block" | "unblock" => {
            let id = arguments.needed_next("the ID")?;
            arguments.end()?;
            let profile = shell.profile()?;
            page.line(&match name {
                "block" => manners::block(profile, id, reader).await?,
                _ => manners::unblock(profile, id, reader).await?,
            })?;
        }
        "blocked" => {
            arguments.end()?;
            page.lines(&manners::blocked(shell.profile()?, reader).await?)?;
        }
        "erase" => {
            let confirm = arguments.needed("--confirm")?;
            arguments.end()?;
            page.line(&manners::erase(shell.profile()?, confirm, reader).await?)?;
        }
        other => return Err(unknown("user", other)),
    }
    Ok(())
}
