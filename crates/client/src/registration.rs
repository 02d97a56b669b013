//! Joining a server with an invite link.

use std::time::Duration;

use http::Method;
use momedo_protocol::api;
use momedo_protocol::device_list::DeviceListPayload;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::invite::{InviteCode, InviteLink};
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::possession::PossessionContext;
use web_time::Instant;

use crate::clocks::require_set;
use crate::connection::{Connection, ServerAddress, tell_of_clocks};
use crate::own_bundle::bundle_payload;
use crate::profile::{Place, Profile};
use crate::progress::{Progress, Step};
use crate::secrets::ParticipantKeys;
use crate::session::{from_json, server_information, store_mceliece_key, to_json};
use crate::signing::signed;
use crate::{ClientError, held, insisting, known_devices, now};

/// How long to try to find out whether a registration whose answer was lost took place.
const ANSWER_LOST: Duration = Duration::from_secs(10);

/// What somebody who joins chooses.
#[derive(Debug, Clone)]
pub struct Joining<'a> {
    /// The invite.
    pub invite: InviteLink,
    /// Display name; the invite's when absent.
    pub name: Option<&'a str>,
    /// What this device is called.
    pub device_name: &'a str,
    /// Language of error texts, a tag such as `de`.
    pub language: &'a str,
}

/// Who somebody is after joining.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The ID.
    pub id: ParticipantId,
    /// The display name.
    pub name: String,
    /// The participant's fingerprint.
    pub fingerprint: Fingerprint,
}

/// Registers with an invite and makes the profile.
///
/// # Errors
/// As [`ClientError`] says; the profile then does not exist, and the invite is not used up.
pub async fn register(
    place: &dyn Place,
    joining: &Joining<'_>,
    progress: Progress<'_>,
) -> Result<(Profile, Joined), ClientError> {
    register_with(place, joining, ParticipantKeys::make(place.platform()), progress).await
}

/// [`register`] with keys from elsewhere; `keys` may take its time.
///
/// # Errors
/// As [`register`].
pub async fn register_with(
    place: &dyn Place,
    joining: &Joining<'_>,
    keys: impl Future<Output = Result<ParticipantKeys, ClientError>>,
    progress: Progress<'_>,
) -> Result<(Profile, Joined), ClientError> {
    let profile = place.create()?;
    match join(&profile, joining, keys, progress).await {
        Ok(joined) => Ok((profile, joined)),
        // Perhaps only the last answer was lost: who can log in is registered.
        Err(error) if error.is_temporary() && profile.id().is_ok() => {
            let bundle = profile.own_bundle()?;
            match insisting::log_in(&profile, joining.language, Instant::now() + ANSWER_LOST).await {
                Ok(_) => {
                    let (id, name) = (bundle.payload.id, bundle.payload.name.clone());
                    Ok((profile, Joined { id, name, fingerprint: bundle.fingerprint() }))
                }
                // Nobody knows; the keys are kept, and the next command finds out.
                Err(unclear) if unclear.is_temporary() => Err(error),
                Err(_) => {
                    profile.discard();
                    Err(error)
                }
            }
        }
        Err(error) => {
            profile.discard();
            Err(error)
        }
    }
}

async fn join(
    profile: &Profile,
    joining: &Joining<'_>,
    keys: impl Future<Output = Result<ParticipantKeys, ClientError>>,
    progress: Progress<'_>,
) -> Result<Joined, ClientError> {
    let invite = &joining.invite;
    let server = ServerAddress { addresses: vec![invite.address.clone()], fingerprint: invite.server };
    require_set()?;
    let mut connection = Connection::new(&profile.platform, server.clone(), joining.language);
    server_information(&mut connection).await?;
    tell_of_clocks(&connection, progress);
    let reservation = reserve(&mut connection, invite.code).await?;
    progress(Step::MakingKeys);
    let keys = keys.await?;
    progress(Step::SendingKey);
    let offered = offer(&mut connection, &reservation, joining.name, joining.device_name, &keys).await?;
    // Everything is on disk before the server makes it count.
    let digest = keys.encryption.mceliece.digest();
    profile.atomically(|| {
        profile.store_signature_key(&keys.signature_key.pkcs8)?;
        profile.store_device_keys(&keys.device)?;
        profile.store_bundle_keys(&offered.bundle.digest, &keys.encryption.stored)?;
        profile.set_mceliece_key(&digest, keys.encryption.mceliece.bytes())?;
        profile.set("addresses", &server.addresses)?;
        profile.set("server", &server.fingerprint)?;
        profile.set("name", &offered.bundle.payload.name)?;
        profile.set_own_bundle(&offered.bundle, &offered.jws)?;
        profile.set("device", &offered.device)?;
        known_devices::know_devices(profile, &offered.list)?;
        held::note_list(profile, &offered.list, &offered.signed_list)?;
        profile.set("id", &reservation.id)
    })?;
    let joined = Joined {
        id: reservation.id,
        name: offered.bundle.payload.name.clone(),
        fingerprint: offered.bundle.fingerprint(),
    };
    prove(&mut connection, &reservation, offered).await?;
    Ok(joined)
}

/// Asks for an ID with an invite code.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn reserve(connection: &mut Connection, code: InviteCode) -> Result<api::Reservation, ClientError> {
    let request = to_json(&api::ReserveRequest { invite: code })?;
    let answer = connection.request(Method::POST, "/participants", None, request, Duration::ZERO).await?;
    from_json(&answer.body)
}

/// A first bundle that the server has seen and wants proved.
pub struct Offered {
    /// The signed bundle.
    pub jws: Jws,
    /// The bundle.
    pub bundle: KeyBundle,
    /// The first device.
    pub device: DeviceId,
    /// The list with that device.
    pub list: DeviceListPayload,
    /// The same, signed.
    pub signed_list: Jws,
    /// The answer to the server's challenge.
    pub proof: api::ProofRequest,
}

/// Sends the McEliece key, the first bundle and the first device list.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn offer(
    connection: &mut Connection,
    reservation: &api::Reservation,
    name: Option<&str>,
    device_name: &str,
    keys: &ParticipantKeys,
) -> Result<Offered, ClientError> {
    let protocol = |error: String| ClientError::Protocol(error);
    let (id, token) = (reservation.id, &reservation.token);
    let server = connection.server().fingerprint;
    let digest = keys.encryption.mceliece.digest();
    store_mceliece_key(connection, token, &digest, keys.encryption.mceliece.bytes()).await?;
    let name = name.or(reservation.name.as_deref()).map_or_else(|| id.to_string(), str::to_owned);
    let payload = bundle_payload(
        id,
        &name,
        reservation.bundle_version,
        vec![server],
        &keys.signature_key.key,
        &keys.encryption,
    );
    let signature_key = &keys.signature_key.key;
    let jws = signed(&payload, &[signature_key]).await?;
    let bundle = KeyBundle::verify(&jws).map_err(|error| protocol(error.to_string()))?;
    let entry = keys.device.entry(device_name);
    let device = entry.id();
    let version = reservation.device_list_version;
    let list = DeviceListPayload { id, version, issued_at: now(), devices: vec![entry] };
    let signed_list = signed(&list, &[signature_key]).await?;
    let device_list = Some(signed_list.clone());
    let publish = to_json(&api::PublishRequest { bundle: jws.clone(), device_list })?;
    let path = format!("/keys/{id}");
    let answer = connection.request(Method::PUT, &path, Some(token), publish, Duration::ZERO).await?;
    let challenge: api::PublishChallenge = from_json(&answer.body)?;
    let context = PossessionContext { server, id, bundle_digest: bundle.digest };
    let answer = keys.encryption.private.answer(&challenge.challenge, &context).await;
    let answer = answer.ok_or_else(|| protocol("the server's challenge does not fit the keys".into()))?;
    let proof = api::ProofRequest {
        challenge_id: challenge.challenge_id,
        answer: Base64Bytes(answer.bytes().to_vec()),
    };
    Ok(Offered { jws, bundle, device, list, signed_list, proof })
}

/// Proves an offered first bundle, which completes the registration.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn prove(
    connection: &mut Connection,
    reservation: &api::Reservation,
    offered: Offered,
) -> Result<api::Session, ClientError> {
    let path = format!("/keys/{}/proof", reservation.id);
    let proof = to_json(&offered.proof)?;
    let answer =
        connection.request(Method::POST, &path, Some(&reservation.token), proof, Duration::ZERO).await?;
    let published: api::Published = from_json(&answer.body)?;
    published.session.ok_or_else(|| ClientError::Protocol("the registration gave no session".into()))
}
