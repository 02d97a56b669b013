//! `user register`, `receipts`, `homes`.

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::invite::InviteLink;
use serde::Serialize;

use super::{CommandError, Reader};
use crate::profile::{Place, Profile};
use crate::receipts::{self, Receipts};
use crate::registration::{self, Joining};
use crate::{addresses, homes};

/// Who joined.
#[derive(Debug, Clone, Serialize)]
pub struct Registered {
    /// The participant's fingerprint.
    pub fingerprint: Fingerprint,
    /// The ID.
    pub id: ParticipantId,
    /// The display name.
    pub name: String,
}

/// Joins a server with an invite; without a name under that of the invite.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn register(
    place: &dyn Place,
    invite: InviteLink,
    name: Option<&str>,
    device_name: &str,
    reader: Reader<'_>,
) -> Result<(Profile, Registered), CommandError> {
    let joining = Joining { invite, name, device_name, language: reader.language };
    let (profile, joined) = registration::register(place, &joining, reader.progress).await?;
    let registered = Registered { fingerprint: joined.fingerprint, id: joined.id, name: joined.name };
    Ok((profile, registered))
}

/// Who hears that messages arrived and were read.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ReceiptsShown {
    /// As on the command line.
    pub receipts: &'static str,
}

/// Chooses who hears that messages arrived and were read, if a choice is given, and says how it is.
///
/// # Errors
/// As [`CommandError`] says.
pub fn receipts(profile: &Profile, choice: Option<Receipts>) -> Result<ReceiptsShown, CommandError> {
    if let Some(choice) = choice {
        receipts::set_receipts(profile, choice)?;
    }
    Ok(ReceiptsShown { receipts: receipts::receipts(profile)?.word() })
}

/// Where a participant lives, first the home that is asked first.
#[derive(Debug, Clone, Serialize)]
pub struct HomesShown {
    /// The first home.
    pub first: FirstHome,
    /// The other one, if there is one.
    pub second: Option<SecondHome>,
    /// Whether another one is wanted when it is offered.
    pub wanted: bool,
}

/// The home that is asked first.
#[derive(Debug, Clone, Serialize)]
pub struct FirstHome {
    /// Where it is.
    pub addresses: Vec<String>,
    /// Its fingerprint.
    pub server: Fingerprint,
}

/// The home that keeps mail and keys, too.
#[derive(Debug, Clone, Serialize)]
pub struct SecondHome {
    /// Where it is.
    pub addresses: Vec<String>,
    /// What it is called.
    pub name: String,
    /// Its fingerprint.
    pub server: Fingerprint,
}

/// Takes where the server is now, and whether a second home is wanted, where they are given; says how it is.
///
/// # Errors
/// As [`CommandError`] says.
pub async fn homes(
    profile: &Profile,
    second: Option<bool>,
    address: Option<&str>,
    reader: Reader<'_>,
) -> Result<HomesShown, CommandError> {
    if let Some(address) = address {
        addresses::take(profile, address, reader.language).await?;
    }
    let mut session = profile.log_in(reader.language).await?;
    match second {
        Some(wanted) => homes::choose(profile, &mut session, wanted, reader.progress).await?,
        None => homes::follow(profile, &mut session, reader.progress).await?,
    }
    let first = profile.server()?;
    let second = profile.second_home()?;
    Ok(HomesShown {
        first: FirstHome { addresses: first.addresses, server: first.fingerprint },
        second: second.map(|home| SecondHome {
            addresses: home.addresses,
            name: home.name,
            server: home.server,
        }),
        wanted: profile.wants_second_home()?,
    })
}
