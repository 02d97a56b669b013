//! `keys`.

use momedo_client::commands::{CommandError, Reader, keys};
use momedo_client::profile::Profile;

use super::{Page, unknown};
use crate::arguments::Arguments;

pub(super) async fn run(
    profile: &Profile,
    name: &str,
    mut arguments: Arguments,
    reader: Reader<'_>,
    page: &Page,
) -> Result<(), CommandError> {
    match name {
        "show" => {
            let id = arguments.next_value()?;
            arguments.end()?;
            page.line(&keys::show(profile, id, reader).await?)?;
        }
        "rotate" => {
            arguments.end()?;
            page.line(&keys::rotate(profile, reader).await?)?;
        }
        "log" => {
            let at = arguments.value("--at")?;
            arguments.end()?;
            page.line(&keys::log(profile, at, reader).await?)?;
        }
        "verify" => {
            let id = arguments.needed_next("the ID")?;
            let fingerprint =
                keys::fingerprint(&arguments.needed_rest::<String>("the fingerprint")?.concat())?;
            page.line(&keys::verify(profile, id, fingerprint, reader).await?)?;
        }
        other => return Err(unknown("keys", other)),
    }
    Ok(())
}
