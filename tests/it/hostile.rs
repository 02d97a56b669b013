//! A server of the test's that speaks to its neighbour without keeping to the rules.

use momedo_protocol::api::PublishedKeys;
use momedo_protocol::api::key_log::KeyLogPage;
use momedo_protocol::countersignature::Countersignature;
use momedo_protocol::cursor::StoreEpoch;
use momedo_protocol::digest::{Fingerprint, Sha512Digest};
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::{DocumentType, Jws};
use momedo_protocol::key_bundle::{KeyBundle, KeyBundlePayload};
use momedo_protocol::key_log::{KeyLogEntry, KeyLogHead, LogPlace, LogSubject, SignedHead};
use momedo_protocol::limits::MAX_KEY_LOG_PAGE;
use momedo_protocol::link::calls::{CallHeader, ReplyHeader, Request, Response};
use momedo_protocol::link::documents::{Outcome, Receipt};
use momedo_protocol::link::{
    Batch, Call, FetchKeyLog, Find, Found, Frame, KeyLogPart, MAX_HOPS, PairingLink, Reply, Signed, Standing,
};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::random;
use momedo_protocol::rsa_key::RsaPublicKey;

use crate::harness::{Server, rsa_key};
pub(crate) use crate::hostile_link::{Hostile, next_frame};
use crate::neighbours::{id, invite, neighbour, state, until};
use momedo_testing::envelopes::opaque;

impl Hostile {
    /// Dials without a word.
    pub(crate) async fn dial(server: &Server) -> Self {
        Self::dial_as(server, 11).await
    }

    /// The same with another stored key for its identity.
    async fn dial_as(server: &Server, key: usize) -> Self {
        Self::dial_with(&server.address, id(server).parse().unwrap(), rsa_key(key)).await
    }

    /// Becomes a neighbour that the admins trust with everything.
    pub(crate) async fn paired(server: &Server) -> Self {
        Self::paired_as(server, 11).await
    }

    /// The same with another stored key for its identity.
    pub(crate) async fn paired_as(server: &Server, key: usize) -> Self {
        let link: PairingLink = invite(server).parse().unwrap();
        let mut hostile = Self::dial_as(server, key).await;
        hostile.ask(link.code).await;
        let own = hostile.id().to_string();
        until("it asks", || state(server, &own) == "waiting-for-us");
        neighbour(server, &["confirm", &own]);
        neighbour(server, &["allow", &own, "--all"]);
        hostile.send(&Frame::Standing(Standing::Confirmed)).await;
        until("it is connected", || state(server, &own) == "connected");
        hostile
    }

    /// The next frame that is not about the link itself; `None` when the link was ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        next_frame(&mut self.stream).await
    }

    /// Answers every question about keys with these, for as long as the link lasts.
    pub(crate) async fn tell(&mut self, keys: &PublishedKeys, log: &[KeyLogEntry]) {
        while let Some(frame) = self.next().await {
            match frame {
                Frame::Find(Find { query, .. }) => {
                    let found = Found { query, keys: Some(keys.clone()), distance: 0 };
                    self.send(&Frame::Found(Box::new(found))).await;
                }
                Frame::FetchKeyLog(question) => {
                    let part = self.log_part(question, log);
                    self.send(&Frame::KeyLogPart(Box::new(part))).await;
                }
                _ => {}
            }
        }
    }

    pub(crate) fn message(
        &self,
        from: ParticipantId,
        to: &KeyBundle,
    ) -> (ParticipantId, ParticipantId, MessageId, Vec<u8>) {
        let id = MessageId::new(momedo_client::now());
        (from, to.payload.id, id, opaque(to, id, 1024))
    }

    /// A call that this neighbour signs as the home of whoever asks.
    pub(crate) fn call(&self, request: &Request) -> Call {
        let body = serde_json::to_vec(request).unwrap();
        let header = CallHeader {
            origin: self.id(),
            home: self.server,
            nonce: Base64Bytes(random::bytes::<16>().to_vec()),
            body: Sha512Digest::of(&body),
        };
        let header = serde_json::to_vec(&header.sign(&self.identity)).unwrap();
        let signed = Signed { identity_key: self.identity.public().spki().to_vec(), header, body };
        Call { query: 7, hops: MAX_HOPS, home: self.server, signed }
    }

    /// What this neighbour answers to a call.
    pub(crate) fn reply(&self, call: &Call, response: &Response) -> Reply {
        let body = serde_json::to_vec(response).unwrap();
        let header = ReplyHeader {
            home: self.id(),
            call: Base64Bytes(call.signed.name().to_vec()),
            body: Sha512Digest::of(&body),
        };
        let header = serde_json::to_vec(&header.sign(&self.identity)).unwrap();
        let identity_key = self.identity.public().spki().to_vec();
        Reply { query: call.query, signed: Some(Signed { identity_key, header, body }) }
    }

    /// Sends a call and returns what was answered, if anything.
    pub(crate) async fn answer(&mut self, call: Call) -> Option<Response> {
        let name = call.signed.name();
        self.send(&Frame::Call(Box::new(call))).await;
        loop {
            if let Some(Frame::Reply(reply)) = self.next().await {
                let signed = reply.signed?;
                let key = RsaPublicKey::from_spki(&signed.identity_key).unwrap();
                let header = ReplyHeader::verify(&signed.signed_header().unwrap(), &key).unwrap();
                assert_eq!((header.home, &header.call.0[..]), (self.server, &name[..]));
                return Some(serde_json::from_slice(&signed.body).unwrap());
            }
        }
    }

    /// Sends a batch and returns what became of each envelope, as the server signed it.
    pub(crate) async fn outcomes(&mut self, batch: Batch) -> Vec<Outcome> {
        let id = batch.id();
        self.send(&Frame::Batch(Box::new(batch))).await;
        loop {
            if let Some(Frame::Receipt(signed)) = self.next().await
                && signed.batch == id
            {
                let key = RsaPublicKey::from_spki(&signed.identity_key.0).unwrap();
                assert_eq!(key.fingerprint(), self.server);
                let receipt = Receipt::verify(&signed.receipt, &key).unwrap();
                return receipt.outcomes.into_iter().map(|outcome| outcome.outcome).collect();
            }
        }
    }

    /// What this neighbour would enter into its log for a claim.
    pub(crate) fn log_entry(&self, keys: &PublishedKeys) -> KeyLogEntry {
        let bundle = KeyBundle::verify(&keys.bundle).unwrap();
        KeyLogEntry {
            subject: LogSubject::of(self.id(), bundle.payload.id),
            version: bundle.payload.version,
            digest: bundle.digest,
            made_at: momedo_client::now(),
        }
    }

    /// The head of a log with these entries, signed.
    pub(crate) fn log_head(&self, log: &[KeyLogEntry]) -> SignedHead {
        let end = log.iter().fold(LogPlace::start(self.id()), |place, entry| place.after(entry));
        let head = KeyLogHead {
            server: self.id(),
            epoch: StoreEpoch::from_number(1).unwrap(),
            number: end.number,
            hash: end.hash,
            made_at: momedo_client::now(),
        };
        SignedHead {
            identity_key: Base64Bytes(self.identity.public().spki().to_vec()),
            head: head.sign(&self.identity),
        }
    }

    /// The answer of a server with this log.
    pub(crate) fn log_part(&self, question: FetchKeyLog, log: &[KeyLogEntry]) -> KeyLogPart {
        let after = usize::try_from(question.after).unwrap();
        let seen = log.get(..after);
        let hash = seen
            .map(|seen| seen.iter().fold(LogPlace::start(self.id()), |place, entry| place.after(entry)).hash);
        let entries = log.iter().skip(after).take(MAX_KEY_LOG_PAGE).copied().collect();
        KeyLogPart {
            query: question.query,
            page: Some(KeyLogPage { hash, entries, head: self.log_head(log) }),
        }
    }

    /// Keys of `id` as if this neighbour were the home.
    pub(crate) fn claim(
        &self,
        id: ParticipantId,
        like: &KeyBundle,
        homes: Vec<Fingerprint>,
    ) -> PublishedKeys {
        let signature_key = rsa_key(1);
        let payload = KeyBundlePayload {
            id,
            homes,
            signature_key: Base64Bytes(signature_key.public().spki().to_vec()),
            ..like.payload.clone()
        };
        let bundle =
            Jws::sign(DocumentType::KeyBundle, &serde_json::to_vec(&payload).unwrap(), &[&signature_key]);
        let countersignature = Countersignature {
            id,
            fingerprint: signature_key.public().fingerprint(),
            name: payload.name.clone(),
            home: self.id(),
            expires_at: payload.expires_at,
        };
        PublishedKeys {
            bundle,
            countersignature: countersignature.sign(&self.identity),
            changes: Vec::new(),
            home: Some(Base64Bytes(self.identity.public().spki().to_vec())),
        }
    }
}
