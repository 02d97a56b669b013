//! Requests in an ozone: retrieval, read notices, keys, shared IDs. Answers go to whoever asked.

use std::sync::Arc;

use momedo_smoke::destination::{Content, Identity};
use momedo_smoke::key_stream::KeyStream;
use momedo_smoke::ozone_request::{self, OzoneRequest, Signed, WINDOW_MILLIS};
use momedo_smoke::{frame, offline_copy, random};

use super::connection::Connection;
use crate::service::ServiceError;
use crate::service::smoke::{keys, mail, participants};

/// What checking a signature costs, in blocks, the look-up included.
const SIGNATURE_PRICE: u64 = 5_000;

/// What answering with keys costs, in blocks: keys may have to be derived for whoever asks.
const KEYS_PRICE: u64 = 10_000;

impl Connection<'_> {
    /// Does what an opened request asks for; one that is not timely or not understood is ignored.
    pub(super) async fn request(&mut self, stream: &KeyStream, plain: &[u8], frame: &[u8]) {
        let Some(request) = OzoneRequest::read(plain) else { return };
        if !ozone_request::is_timely(request.at_millis(), self.app.clock.now().0, WINDOW_MILLIS) {
            return;
        }
        let done = match request {
            OzoneRequest::Retrieve(signed) => self.retrieve(signed).await,
            OzoneRequest::MessageRead(signed) => self.message_read(signed).await,
            OzoneRequest::FetchKeys { requester, requested, .. } => {
                if self.key_requests.take(self.now()).is_err() || !self.socket.outgoing().has_room() {
                    return;
                }
                self.pay(KEYS_PRICE).await;
                keys::fetch(self.app, requester, requested).await.map(|answer| {
                    if let Some(payload) = answer {
                        self.answer(&requester.routing_identity(), &payload);
                    }
                })
            }
            OzoneRequest::ShareId { id, temporary, .. } => {
                if self.shared_ids.take(self.now()).is_err() {
                    return;
                }
                self.pay(KEYS_PRICE).await;
                let shared = participants::share(self.app, id).await;
                // Other servers may know the ozone, too.
                self.echo(None, frame);
                shared.map(|is_here| {
                    if is_here {
                        let now = self.app.clock.now().0;
                        let payload = ozone_request::confirmation(stream, &id, &temporary, now);
                        self.answer(&id.routing_identity(), &payload);
                    }
                })
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, "a Smoke request failed");
        }
    }

    async fn retrieve(&mut self, signed: Signed) -> Result<(), ServiceError> {
        let retrieval_identity: Identity = signed.field;
        self.pay(SIGNATURE_PRICE).await;
        let signers = keys::signers(self.app, signed).await?;
        let now = self.now();
        let may = signers.first().is_some_and(|first| self.app.smoke.may_retrieve(*first, now));
        if !may || !self.socket.outgoing().has_room() {
            return Ok(());
        }
        let released = mail::release(self.app, signers, &self.given).await?;
        tracing::debug!(count = released.len(), "offline copies are handed over");
        for message in released {
            let times = self.given.entry(message.number).or_default();
            *times = times.saturating_add(1);
            let payload = offline_copy::release(&message.body, &retrieval_identity);
            self.answer(&retrieval_identity, &payload);
        }
        Ok(())
    }

    async fn message_read(&mut self, signed: Signed) -> Result<(), ServiceError> {
        let digest = signed.field;
        self.pay(SIGNATURE_PRICE).await;
        let signers = keys::signers(self.app, signed).await?;
        if signers.is_empty() { Ok(()) } else { mail::note_read(self.app, signers, digest).await }
    }

    /// Sends a payload to whoever asked. It is remembered, so that a neighbour's echo of it ends here.
    fn answer(&self, identity: &Identity, payload: &[u8]) {
        let _ = self.app.smoke.look(Content::Payload(payload), 0, self.now());
        let frame = frame::untyped(payload, random());
        self.app.smoke.answer(&self.socket, identity, Arc::from(frame));
    }
}
