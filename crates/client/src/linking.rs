//! Linking a new device with a link that an old one shows, as text or QR code.
//!
//! Both sides show the same six digits before anything secret is handed over; whoever photographed the link
//! and was faster makes them differ.

use std::time::Duration;

use http::{Method, StatusCode};
use momedo_protocol::device_link::{DeviceLink, LinkCode, LinkNonce, LinkOffer, LinkStep, commitment};
use momedo_protocol::device_list::DeviceEntry;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::DeviceId;
use momedo_protocol::limits::MAX_WAIT_SECONDS;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::ml_kem_key::MlKemPublicKey;
use momedo_protocol::name::is_acceptable_name;
use momedo_protocol::random;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::seal::{self, RecipientKeys};
use momedo_protocol::suite::Suite;
use zeroize::Zeroizing;

use crate::connection::tell_of_clocks;
use crate::connection::{Connection, Payload, ServerAddress};
use crate::profile::{Place, Profile};
use crate::progress::{Progress, Step};
use crate::secrets::DeviceKeys;
use crate::session::{Session, server_information};
use crate::{ClientError, devices, identity, now};

fn failed(error: impl ToString) -> ClientError {
    ClientError::Linking(error.to_string())
}

/// How often the handover is tried again while the server cannot be reached.
const TRIES: usize = 5;

/// Opens a link to be shown to the new device.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn open(profile: &Profile, session: &mut Session) -> Result<(DeviceLink, Duration), ClientError> {
    devices::adopt_published_keys(profile, session).await?;
    let server = profile.server()?;
    let address = server.addresses.first().cloned().ok_or_else(|| failed("no address is known"))?;
    let opened = session.open_device_link().await?;
    let link = DeviceLink {
        address,
        link: opened.link,
        secret: Zeroizing::new(random::bytes()),
        id: session.id,
        participant: profile.own_bundle()?.fingerprint(),
        server: server.fingerprint,
    };
    Ok((link, Duration::from_secs(opened.expires_in)))
}

/// A device that wants to be linked.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What it calls itself.
    pub name: String,
    /// What both devices show; only a person can tell that they are equal.
    pub code: LinkCode,
    entry: DeviceEntry,
}

impl Candidate {
    /// Its ID, once it is linked.
    pub fn device(&self) -> DeviceId {
        self.entry.id()
    }
}

/// Waits for the new device until the link ends.
///
/// # Errors
/// As [`ClientError`] says; `unknown-link` when nobody came in time.
pub async fn await_candidate(session: &mut Session, link: &DeviceLink) -> Result<Candidate, ClientError> {
    let token = session.token().to_owned();
    let connection = session.connection();
    let offer_bytes = await_step(connection, Some(&token), link, LinkStep::Offer).await?;
    let offer: LinkOffer = serde_json::from_slice(&offer_bytes).map_err(failed)?;
    let nonce = random::bytes::<32>();
    write_step(connection, Some(&token), link, LinkStep::Challenge, &nonce_json(&nonce)?).await?;
    let opening = await_step(connection, Some(&token), link, LinkStep::Opening).await?;
    let opening: LinkNonce = serde_json::from_slice(&opening).map_err(failed)?;
    if opening.nonce.0.len() != 32 || commitment(&opening.nonce.0) != offer.commitment {
        return Err(failed("the new device broke the protocol: somebody may be in between"));
    }
    if !is_acceptable_name(&offer.device.name) {
        return Err(failed("the new device's name cannot be shown"));
    }
    let code = link.code(&offer_bytes, &nonce, &opening.nonce.0);
    Ok(Candidate { name: offer.device.name.clone(), code, entry: offer.device })
}

/// Makes a candidate a device, after a person found the codes equal.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn accept(
    profile: &Profile,
    session: &mut Session,
    link: &DeviceLink,
    candidate: &Candidate,
) -> Result<DeviceId, ClientError> {
    devices::adopt_published_keys(profile, session).await?;
    let entry = &candidate.entry;
    let rsa = RsaPublicKey::from_spki(&entry.rsa_key.0).map_err(failed)?;
    let ml_kem = MlKemPublicKey::from_bytes(&entry.ml_kem_key.0).map_err(failed)?;
    let keys =
        RecipientKeys { version: 0, digest: entry.key_digest(), rsa: &rsa, ml_kem: &ml_kem, mceliece: None };
    let content = identity::collect(profile)?;
    let sealed = seal::seal(Suite::Small, &keys, MessageId::new(now()), &content).map_err(failed)?;
    devices::publish_entry(profile, session, entry).await?;
    let token = session.token().to_owned();
    let bytes = link.seal(LinkStep::Handover, &sealed);
    for remaining in (0..TRIES).rev() {
        match put(session.connection(), Some(&token), link, LinkStep::Handover, bytes.clone()).await {
            Err(error) if error.is_temporary() && remaining > 0 => {}
            result => {
                result?;
                break;
            }
        }
    }
    Ok(entry.id())
}

/// Ends a link whose codes differ.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn refuse(session: &mut Session, link: &DeviceLink) -> Result<(), ClientError> {
    session.close_device_link(link.link).await
}

/// Makes this device one of the participant who shows `link`. `show` gets the code that the old device must
/// show as well.
///
/// # Errors
/// As [`ClientError`] says; the profile then does not exist.
pub async fn join(
    place: &dyn Place,
    link: &DeviceLink,
    name: &str,
    language: &str,
    progress: Progress<'_>,
    show: &(dyn Fn(LinkCode) -> std::io::Result<()> + Send + Sync),
) -> Result<(Profile, DeviceId), ClientError> {
    if place.exists() {
        return Err(place.exists_already());
    }
    let platform = place.platform();
    let server = ServerAddress { addresses: vec![link.address.clone()], fingerprint: link.server };
    let mut connection = Connection::new(platform, server, language);
    server_information(&mut connection).await?;
    tell_of_clocks(&connection, progress);
    progress(Step::MakingKeys);
    let keys = DeviceKeys::make(platform).await?;
    let entry = keys.entry(name);
    let nonce = random::bytes::<32>();
    let offer = LinkOffer { device: entry.clone(), commitment: commitment(&nonce) };
    let offer = serde_json::to_vec(&offer).map_err(failed)?;
    write_step(&mut connection, None, link, LinkStep::Offer, &offer).await?;
    let challenge = await_step(&mut connection, None, link, LinkStep::Challenge).await?;
    let challenge: LinkNonce = serde_json::from_slice(&challenge).map_err(failed)?;
    write_step(&mut connection, None, link, LinkStep::Opening, &nonce_json(&nonce)?).await?;
    show(link.code(&offer, &challenge.nonce.0, &nonce)).map_err(failed)?;
    let sealed = await_step(&mut connection, None, link, LinkStep::Handover).await?;
    let content = keys.private.open(&sealed).await;
    let content = content.ok_or_else(|| failed("what was handed over is not sealed to this device"))?;
    let (identity, signature_key, _) = identity::read(platform, &content).await?;
    // Only the participant has the private key whose fingerprint the link showed.
    if identity.id != link.id
        || identity.server != link.server
        || signature_key.public().fingerprint() != link.participant
    {
        return Err(failed("what was handed over is not of whoever showed the link"));
    }
    let profile = place.create()?;
    let installed = async {
        let made_under = signature_key.public().fingerprint();
        identity::install(&profile, &identity, &identity.bundle, made_under, &keys, &entry)?;
        profile.log_in(language).await.map(drop)
    };
    match installed.await {
        Ok(()) => Ok((profile, entry.id())),
        // It is listed; logging in can wait.
        Err(error) if error.is_temporary() => Ok((profile, entry.id())),
        Err(error) => {
            profile.discard();
            Err(error)
        }
    }
}

fn nonce_json(nonce: &[u8; 32]) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(&LinkNonce { nonce: Base64Bytes(nonce.to_vec()) }).map_err(failed)
}

fn path_of(link: &DeviceLink, step: LinkStep) -> String {
    format!("/device-links/{}/{step}", link.link)
}

async fn write_step(
    connection: &mut Connection,
    token: Option<&str>,
    link: &DeviceLink,
    step: LinkStep,
    message: &[u8],
) -> Result<(), ClientError> {
    put(connection, token, link, step, link.seal(step, message)).await
}

async fn put(
    connection: &mut Connection,
    token: Option<&str>,
    link: &DeviceLink,
    step: LinkStep,
    bytes: Vec<u8>,
) -> Result<(), ClientError> {
    let (path, payload) = (path_of(link, step), Payload::Binary(bytes));
    connection.request(Method::PUT, &path, token, payload, Duration::ZERO).await.map(drop)
}

/// Waits for what the other device writes, until the link ends.
async fn await_step(
    connection: &mut Connection,
    token: Option<&str>,
    link: &DeviceLink,
    step: LinkStep,
) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let wait = Duration::from_secs(MAX_WAIT_SECONDS);
    let path = format!("{}?wait={}", path_of(link, step), wait.as_secs());
    loop {
        let answer = connection.request(Method::GET, &path, token, Payload::None, wait).await?;
        if answer.status == StatusCode::NO_CONTENT {
            continue;
        }
        return link
            .open(step, &answer.body)
            .ok_or_else(|| failed("what came was not made with this link: somebody may be in between"));
    }
}
