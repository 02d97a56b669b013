//! `user add-device`, `recover`, `link-device`, `backup-keys`.

use momedo_client::commands::joining::{self, CodeShown, Linking, Others, Recovering};
use momedo_client::commands::{CommandError, Reader};
use momedo_client::profile::Profile;
use momedo_protocol::device_link::DeviceLink;
use zeroize::Zeroizing;

use super::user::DEVICE_NAME;
use super::{Page, Shell};
use crate::arguments::{Arguments, misuse};

/// Makes this browser a device of somebody who is there already.
pub(super) async fn enter(
    shell: &mut Shell,
    name: &str,
    mut arguments: Arguments,
    reader: Reader<'_>,
    page: &Page,
) -> Result<(), CommandError> {
    let device_name = arguments.text("--device-name")?.unwrap_or_else(|| DEVICE_NAME.to_owned());
    if name == "add-device" {
        let link: DeviceLink = arguments.needed("--link")?;
        arguments.end()?;
        let show = |code: CodeShown| page.line(&code).map_err(std::io::Error::other);
        let (profile, added) = joining::join(&shell.place, &link, &device_name, reader, &show).await?;
        shell.profile = Some(profile);
        return Ok(page.line(&added)?);
    }
    let (server, id) = (arguments.needed("--server")?, arguments.needed("--id")?);
    let others = if arguments.flag("--revoke-others") { Others::Revoked } else { Others::Stay };
    arguments.end()?;
    let mut text = Zeroizing::new(String::new());
    while !joining::has_all_words(&text) {
        let line = Zeroizing::new(page.typed().await?);
        if line.is_empty() {
            break;
        }
        text.push_str(&line);
        text.push('\n');
    }
    let code = text.parse().map_err(misuse)?;
    let recovering = Recovering { server, id, code, device_name: &device_name, others };
    let recovered = joining::recover(&shell.place, recovering, reader).await;
    if let Err(CommandError::NotRevoked { .. }) = &recovered {
        // The identity is back all the same.
        shell.profile = Some(momedo_client::profile::Place::open(&shell.place)?);
    }
    let (profile, recovered) = recovered?;
    shell.profile = Some(profile);
    Ok(page.line(&recovered)?)
}

pub(super) async fn link(
    profile: &Profile,
    mut arguments: Arguments,
    reader: Reader<'_>,
    page: &Page,
) -> Result<(), CommandError> {
    arguments.end()?;
    let mut linking = Linking::open(profile, reader).await?;
    page.line(&linking.shown())?;
    let candidate = linking.candidate().await?;
    page.line(&candidate)?;
    let typed = page.typed().await?;
    Ok(page.line(&linking.finish(&candidate, &typed).await?)?)
}

pub(super) async fn back_up(
    profile: &Profile,
    mut arguments: Arguments,
    reader: Reader<'_>,
    page: &Page,
) -> Result<(), CommandError> {
    let (state, delete) = (arguments.flag("--state"), arguments.flag("--delete"));
    arguments.end()?;
    match (state, delete) {
        (true, true) => return Err(misuse("--state and --delete do not go together").into()),
        (true, false) => page.line(&joining::backup_state(profile, reader).await?)?,
        (false, true) => page.line(&joining::delete_backup(profile, reader).await?)?,
        (false, false) => page.line(&joining::back_up(profile, reader).await?)?,
    }
    Ok(())
}
