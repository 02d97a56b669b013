//! Log-in, and the calls of the API that need one.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::Method;
use momedo_protocol::api;
use momedo_protocol::api::blobs::{BlobRequest, BlobUpload};
use momedo_protocol::api::groups::{
    GroupEntries, GroupEntryRequest, GroupEntryTaken, GroupKeysReceipt, GroupKeysRequest,
    GroupMessageRequest, GroupReceipt, Groups,
};
use momedo_protocol::api::homes::Homes;
use momedo_protocol::api::key_log::KeyLogPage;
use momedo_protocol::api::restored::{Held, HeldEntries};
use momedo_protocol::blob::BlobId;
use momedo_protocol::cursor::{Cursor, StoreEpoch};
use momedo_protocol::device_link::LinkId;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::encode_base64;
use momedo_protocol::erasure::Erasure;
use momedo_protocol::group::GroupId;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::limits::MAX_OZONE_PAGE;
use momedo_protocol::login::Login;
use momedo_protocol::rsa_key::RsaPublicKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use web_time::Instant;

use crate::ClientError;
use crate::connection::{Connection, Downloading, Payload};
use crate::platform::keys::PrivateKey;
use crate::questions::Questions;
use crate::signing::signed;

/// A connection with a bearer token.
pub struct Session {
    connection: Connection,
    token: String,
    /// When the server's log of key changes was followed to its end.
    pub(crate) log_followed: Option<Instant>,
    /// What was asked because of mail in this run of receiving.
    pub(crate) questions: Questions,
    /// Whether it is with the participant's second home: nothing but mail is changed there.
    pub(crate) is_second: bool,
    /// Which life of the server's store it is, as far as the log-in told.
    pub(crate) epoch: Option<StoreEpoch>,
    /// Whether the log-in brought the server keys or devices that it had forgotten.
    pub(crate) was_behind: bool,
    /// Whether a restored server lacks the McEliece key that the own bundle names.
    pub(crate) lacks_key: bool,
    /// The participant logged in.
    pub id: ParticipantId,
    /// The device logged in.
    pub device: DeviceId,
    /// Where the server says that it can be reached.
    pub(crate) addresses: Vec<String>,
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Payload, ClientError> {
    serde_json::to_vec(value).map(Payload::Json).map_err(|error| ClientError::Protocol(error.to_string()))
}

pub(crate) fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Protocol(error.to_string()))
}

/// Who the server is and what it takes, checked against its fingerprint.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn server_information(connection: &mut Connection) -> Result<api::ServerInformation, ClientError> {
    let answer = connection.request(Method::GET, "/server", None, Payload::None, Duration::ZERO).await?;
    let information: api::ServerInformation = from_json(&answer.body)?;
    let key = RsaPublicKey::from_spki(&information.identity_key.0)
        .map_err(|error| ClientError::Protocol(error.to_string()))?;
    let pinned = connection.server().fingerprint;
    if key.fingerprint() != pinned || information.fingerprint != pinned {
        let address = connection.server().addresses.join(", ");
        return Err(ClientError::WrongServer { address });
    }
    Ok(information)
}

impl Session {
    /// Logs a device in.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn log_in(
        connection: Connection,
        device: DeviceId,
        login_key: &PrivateKey,
    ) -> Result<Self, ClientError> {
        Self::log_in_with(connection, device, login_key, |_| Ok(None)).await
    }

    /// As [`Session::log_in`]; `held` is asked what the server is told first, in this life of its store.
    pub(crate) async fn log_in_with(
        mut connection: Connection,
        device: DeviceId,
        login_key: &PrivateKey,
        held: impl FnOnce(StoreEpoch) -> Result<Option<Held>, ClientError>,
    ) -> Result<Self, ClientError> {
        let request = to_json(&api::LoginChallengeRequest { device })?;
        let answer =
            connection.request(Method::POST, "/sessions/challenge", None, request, Duration::ZERO).await?;
        let challenge: api::LoginChallenge = from_json(&answer.body)?;
        let server = connection.server().fingerprint;
        let login = signed(&Login { device, nonce: challenge.nonce, server }, &[login_key]).await?;
        let held = held(challenge.epoch)?.map(Box::new);
        let request = to_json(&api::LoginRequest { login: login.clone(), held })?;
        let answer = match connection.request(Method::POST, "/sessions", None, request, Duration::ZERO).await
        {
            // Too much to hand back keeps nobody out.
            Err(ClientError::Refused(problem)) if problem.status == 413 => {
                let request = to_json(&api::LoginRequest { login, held: None })?;
                connection.request(Method::POST, "/sessions", None, request, Duration::ZERO).await?
            }
            result => result?,
        };
        let session: api::Session = from_json(&answer.body)?;
        Ok(Self { epoch: Some(challenge.epoch), ..Self::with_token(connection, session) })
    }

    /// Uses a session that a registration gave.
    pub fn with_token(connection: Connection, session: api::Session) -> Self {
        Self {
            connection,
            token: session.token,
            log_followed: None,
            questions: Questions::default(),
            is_second: false,
            epoch: None,
            was_behind: session.was_behind,
            lacks_key: session.lacks_key,
            id: session.id,
            device: session.device,
            addresses: session.addresses,
        }
    }

    /// Whether it is with the participant's second home, because the first does not answer.
    pub fn is_second(&self) -> bool {
        self.is_second
    }

    /// The bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The connection beneath.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        payload: Payload,
    ) -> Result<T, ClientError> {
        let answer =
            self.connection.request(method, path, Some(&self.token), payload, Duration::ZERO).await?;
        from_json(&answer.body)
    }

    /// A participant's current keys, with changes of the signature key after version `known`.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn keys(&mut self, id: ParticipantId, known: u64) -> Result<api::PublishedKeys, ClientError> {
        self.call(Method::GET, &format!("/keys/{id}?known={known}"), Payload::None).await
    }

    /// A part of the log of key changes after a number: the server's own, or another's as far as it followed that.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn key_log(
        &mut self,
        server: Option<Fingerprint>,
        after: u64,
    ) -> Result<KeyLogPage, ClientError> {
        let server = server.map(|server| format!("&server={server}")).unwrap_or_default();
        self.call(Method::GET, &format!("/keys/log?after={after}{server}"), Payload::None).await
    }

    /// A McEliece key, raw and not yet compared with its digest.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn mceliece_key(&mut self, digest: &Sha512Digest) -> Result<Vec<u8>, ClientError> {
        let path = format!("/keys/mceliece/{digest}");
        let answer = self
            .connection
            .request(Method::GET, &path, Some(&self.token), Payload::None, Duration::ZERO)
            .await?;
        Ok(answer.body.to_vec())
    }

    /// Stores a McEliece key.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn store_mceliece_key(&mut self, digest: &Sha512Digest, key: &[u8]) -> Result<(), ClientError> {
        store_mceliece_key(&mut self.connection, &self.token, digest, key).await
    }

    /// Offers a bundle.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn publish(
        &mut self,
        request: &api::PublishRequest,
    ) -> Result<api::PublishChallenge, ClientError> {
        let path = format!("/keys/{}", self.id);
        self.call(Method::PUT, &path, to_json(request)?).await
    }

    /// Proves possession of an offered bundle's keys.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn prove(&mut self, request: &api::ProofRequest) -> Result<api::Published, ClientError> {
        let path = format!("/keys/{}/proof", self.id);
        self.call(Method::POST, &path, to_json(request)?).await
    }

    /// Where the participant lives.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn homes(&mut self) -> Result<Homes, ClientError> {
        self.call(Method::GET, "/me/homes", Payload::None).await
    }

    /// What the server knows of the own key backup.
    ///
    /// # Errors
    /// As [`ClientError`] says; `no-key-backup` when there is none.
    pub async fn key_backup(&mut self) -> Result<api::KeyBackupState, ClientError> {
        self.call(Method::GET, "/me/key-backup", Payload::None).await
    }

    /// Replaces the own key backup.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn store_key_backup(&mut self, request: &api::KeyBackupRequest) -> Result<(), ClientError> {
        self.done(Method::PUT, "/me/key-backup", to_json(request)?).await
    }

    /// Removes the own key backup.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn delete_key_backup(&mut self) -> Result<(), ClientError> {
        self.done(Method::DELETE, "/me/key-backup", Payload::None).await
    }

    /// Opens a link for a new device.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn open_device_link(&mut self) -> Result<api::OpenedDeviceLink, ClientError> {
        self.call(Method::POST, "/device-links", Payload::None).await
    }

    /// Ends a link.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn close_device_link(&mut self, link: LinkId) -> Result<(), ClientError> {
        self.done(Method::DELETE, &format!("/device-links/{link}"), Payload::None).await
    }

    /// Whom the participant blocks.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn blocks(&mut self) -> Result<api::Blocks, ClientError> {
        self.call(Method::GET, "/me/blocks", Payload::None).await
    }

    /// Blocks somebody.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn block(&mut self, id: ParticipantId) -> Result<(), ClientError> {
        self.done(Method::PUT, &format!("/me/blocks/{id}"), Payload::None).await
    }

    /// Blocks somebody no longer.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn unblock(&mut self, id: ParticipantId) -> Result<(), ClientError> {
        self.done(Method::DELETE, &format!("/me/blocks/{id}"), Payload::None).await
    }

    /// Discloses a received message to the staff.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn report(&mut self, request: &api::ReportRequest) -> Result<api::Reported, ClientError> {
        self.call(Method::POST, "/reports", to_json(request)?).await
    }

    /// Writes what the server holds about the participant to `out`: a ZIP file.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn export(&mut self, out: &mut (dyn std::io::Write + Send)) -> Result<u64, ClientError> {
        self.connection.download("/me/export", &self.token, out).await
    }

    /// Has the participant erased, with a signature made for it.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn erase(&mut self, login_key: &PrivateKey) -> Result<(), ClientError> {
        let request = to_json(&api::LoginChallengeRequest { device: self.device })?;
        let challenge: api::LoginChallenge = self.call(Method::POST, "/sessions/challenge", request).await?;
        let server = self.connection.server().fingerprint;
        let erasure = Erasure { id: self.id, device: self.device, nonce: challenge.nonce, server };
        let erasure = signed(&erasure, &[login_key]).await?;
        let request = to_json(&api::EraseRequest { erasure })?;
        self.done(Method::DELETE, "/me", request).await
    }

    async fn done(&mut self, method: Method, path: &str, payload: Payload) -> Result<(), ClientError> {
        self.connection.request(method, path, Some(&self.token), payload, Duration::ZERO).await.map(drop)
    }

    /// The participant's own devices.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn devices(&mut self) -> Result<api::Devices, ClientError> {
        self.call(Method::GET, "/devices", Payload::None).await
    }

    /// Publishes a device list that adds devices.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn update_devices(&mut self, request: &api::DeviceListRequest) -> Result<(), ClientError> {
        let request = to_json(request)?;
        self.connection
            .request(Method::PUT, "/devices", Some(&self.token), request, Duration::ZERO)
            .await
            .map(drop)
    }

    /// Submits an envelope; an answer means that it is on the server's disk.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn submit(&mut self, request: &api::SubmitRequest) -> Result<api::Receipt, ClientError> {
        self.call(Method::POST, "/messages", to_json(request)?).await
    }

    /// The participant's groups, and open ones.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn groups(&mut self) -> Result<Groups, ClientError> {
        self.call(Method::GET, "/groups", Payload::None).await
    }

    /// Makes a group.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn create_group(&mut self, request: &GroupEntryRequest) -> Result<(), ClientError> {
        self.call::<GroupEntryTaken>(Method::POST, "/groups", to_json(request)?).await.map(drop)
    }

    /// A part of a group's chain; `query` may name its link.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn group_entries(
        &mut self,
        id: GroupId,
        after: u32,
        proof: Option<&[u8]>,
    ) -> Result<GroupEntries, ClientError> {
        let proof = proof.map(|proof| format!("&proof={}", encode_base64(proof))).unwrap_or_default();
        self.call(Method::GET, &format!("/groups/{id}/entries?after={after}{proof}"), Payload::None).await
    }

    /// Appends to a group's chain.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn append_to_group(
        &mut self,
        id: GroupId,
        request: &GroupEntryRequest,
    ) -> Result<(), ClientError> {
        let path = format!("/groups/{id}/entries");
        self.call::<GroupEntryTaken>(Method::POST, &path, to_json(request)?).await.map(drop)
    }

    /// Hands entries of a chain back that the server may have forgotten.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub(crate) async fn hand_back_entries(
        &mut self,
        id: GroupId,
        held: &HeldEntries,
    ) -> Result<GroupEntryTaken, ClientError> {
        self.call(Method::PUT, &format!("/groups/{id}/entries"), to_json(held)?).await
    }

    /// Hands out group keys.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn hand_out_keys(
        &mut self,
        id: GroupId,
        request: &GroupKeysRequest,
    ) -> Result<GroupKeysReceipt, ClientError> {
        self.call(Method::POST, &format!("/groups/{id}/keys"), to_json(request)?).await
    }

    /// Posts to a group; an answer means that it is on the server's disk.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn post_to_group(
        &mut self,
        id: GroupId,
        request: &GroupMessageRequest,
    ) -> Result<GroupReceipt, ClientError> {
        self.call(Method::POST, &format!("/groups/{id}/messages"), to_json(request)?).await
    }

    /// A page of what waits for this device.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn ozone(
        &mut self,
        after: Option<Cursor>,
        limit: usize,
        wait: Duration,
    ) -> Result<api::OzonePage, ClientError> {
        let limit = limit.clamp(1, MAX_OZONE_PAGE);
        let after = after.map(|cursor| format!("&after={cursor}")).unwrap_or_default();
        let path = format!("/ozone?limit={limit}&wait={}{after}", wait.as_secs());
        let answer =
            self.connection.request(Method::GET, &path, Some(&self.token), Payload::None, wait).await?;
        from_json(&answer.body)
    }

    /// Announces an upload, or asks how far it is.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn announce_blob(&mut self, request: &BlobRequest) -> Result<BlobUpload, ClientError> {
        self.call(Method::POST, "/blobs", to_json(request)?).await
    }

    /// How far an upload is, once older requests for it have ended.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn blob_upload(&mut self, id: BlobId) -> Result<BlobUpload, ClientError> {
        self.call(Method::GET, &format!("/blobs/{id}/upload"), Payload::None).await
    }

    /// Appends a few bytes to an upload.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn append_bytes(
        &mut self,
        id: BlobId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<BlobUpload, ClientError> {
        let path = format!("/blobs/{id}?offset={offset}");
        self.call(Method::PATCH, &path, Payload::Binary(bytes.to_vec())).await
    }

    /// Appends to an upload as it is read; gives up when it stands still for `stall`.
    pub(crate) async fn append_to_blob(
        &mut self,
        id: BlobId,
        offset: u64,
        bytes: (impl Stream<Item = std::io::Result<Bytes>> + Send + 'static, u64),
        stall: Duration,
        moved: &AtomicU64,
        tell: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<BlobUpload, ClientError> {
        let path = format!("/blobs/{id}?offset={offset}");
        let answer = self.connection.send_streaming(&path, &self.token, bytes, stall, moved, tell).await?;
        from_json(&answer.body)
    }

    /// Begins to fetch a blob from `from` on.
    pub(crate) async fn fetch_blob(
        &mut self,
        id: BlobId,
        from: u64,
        tag: Option<&str>,
        stall: Duration,
    ) -> Result<Downloading, ClientError> {
        self.connection.fetch_streaming(&format!("/blobs/{id}"), &self.token, from, tag, stall).await
    }

    /// Erases an own blob, or tells the server that this device needs it no more.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn release_blob(&mut self, id: BlobId) -> Result<(), ClientError> {
        self.done(Method::DELETE, &format!("/blobs/{id}"), Payload::None).await
    }

    /// Tells the server that this device needs a blob no more; an own blob stays for the others who got it.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn release_hold(&mut self, id: BlobId) -> Result<(), ClientError> {
        self.done(Method::DELETE, &format!("/blobs/{id}/hold"), Payload::None).await
    }

    /// Acknowledges everything up to `cursor`.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn acknowledge(&mut self, cursor: Cursor) -> Result<(), ClientError> {
        let request = to_json(&api::AcknowledgeRequest { cursor })?;
        self.call::<api::Acknowledged>(Method::POST, "/ozone/ack", request).await.map(drop)
    }
}

pub(crate) async fn store_mceliece_key(
    connection: &mut Connection,
    token: &str,
    digest: &Sha512Digest,
    key: &[u8],
) -> Result<(), ClientError> {
    let path = format!("/keys/mceliece/{digest}");
    let payload = Payload::Binary(key.to_vec());
    connection.request(Method::PUT, &path, Some(token), payload, Duration::ZERO).await.map(drop)
}
