//! What is done with a frame: some typed ones are for this server; of any other it is found out what it is. What nobody
//! here knows or can decode is passed on as it came: it may be another program's, such as Spot-On's.

use std::sync::Arc;

use momedo_smoke::destination::{Addressed, Form, Identity};
use momedo_smoke::directory::Directory;
use momedo_smoke::frame::{self, Frame, Kind, MAX_FRAME_BYTES};
use momedo_smoke::mac::TAG_BYTES;
use momedo_smoke::recognition::{LiveIdentity, Price, Recognised, Search};

use super::connection::{Connection, Peer};
use crate::service::ServiceError;
use crate::service::smoke::{keys, mail};
use crate::smoke_hub::Novelty;

/// Up to this many blocks, most of a millisecond, a search is done where it is; a longer one off the async threads.
const SHORT_SEARCH: u64 = 1_500;

/// The least a frame costs, in blocks: cutting, decoding and queues are work, too.
const FRAME_PRICE: u64 = 200;

/// What a key bundle's checks cost, in blocks: two signatures, and an ID derived from its keys.
const BUNDLE_PRICE: u64 = 20_000;

/// The largest payload of a stranger that is looked up among everybody here, in bytes; key bundles are smaller.
const MAX_SEARCHED_OF_STRANGERS: usize = 512 * 1024;

/// How often a busy store is asked again to keep a message.
const TRIES: u32 = 20;

impl Connection<'_> {
    /// Does what a frame asks for; what cannot be understood is ignored.
    pub(super) async fn handle(&mut self, bytes: Vec<u8>) {
        let frame = Frame::read(&bytes);
        self.pay(FRAME_PRICE + bytes.len() as u64 / 128).await;
        if self.socket.outgoing().is_locked() {
            if frame.kind == Some(Kind::Response) {
                self.authenticate(frame.body).await;
                if !self.socket.outgoing().is_locked() {
                    self.trust();
                }
            }
            return;
        }
        match frame.kind {
            Some(kind @ (Kind::Capabilities | Kind::Identity | Kind::Identities | Kind::Unsolicited)) => {
                // A neighbour says these about itself as a client, which it is not here.
                if self.peer == Peer::Client {
                    self.introduce(kind, frame.body);
                }
            }
            Some(Kind::Challenge | Kind::Response) => {}
            Some(Kind::Other) | None => {
                if let Some(addressed) = Addressed::read(frame.body) {
                    self.payload(addressed, frame.body, &bytes).await;
                }
            }
        }
    }

    /// It speaks the protocol, so its large frames do not wait with those of strangers.
    fn trust(&mut self) {
        self.is_known = true;
        self.frames.set_limit(MAX_FRAME_BYTES);
    }

    fn introduce(&mut self, kind: Kind, body: &[u8]) {
        let now = self.now();
        match kind {
            Kind::Identity => {
                let Some(identity) = frame::identity(body) else { return };
                self.socket.announce(identity, now);
                self.hints.announce(identity);
            }
            Kind::Identities => {
                let Some(identities) = frame::identities(body) else { return };
                identities.iter().take(64).for_each(|identity| self.hints.announce(*identity));
                self.socket.replace_identities(identities, now);
            }
            Kind::Unsolicited => self.socket.take_everything(),
            _ => {}
        }
        self.trust();
    }

    async fn payload(&mut self, addressed: Addressed, body: &[u8], frame: &[u8]) {
        let content = addressed.content(body);
        let novelty = self.app.smoke.look(content, self.socket.number(), self.now());
        if novelty == Novelty::Duplicate {
            return;
        }
        let is_payload = addressed.payload() == Some(content);
        let (addressed, recognised) = self.recognise(addressed).await;
        let has_effect = !matches!(recognised, Some(Recognised::Addressed { .. }) | None);
        // What has an effect has it once, however its Base64 is broken into lines.
        let is_new = novelty == Novelty::New
            && (!has_effect
                || is_payload
                || addressed.payload().is_none_or(|payload| {
                    self.app.smoke.look(payload, self.socket.number(), self.now()) == Novelty::New
                }));
        match recognised {
            Some(Recognised::Request { stream, plain }) => {
                self.trust();
                // A repeated request is a captured one, or one that was answered.
                if is_new {
                    self.request(&stream, &plain, frame).await;
                }
            }
            Some(Recognised::OfflineCopy { participant }) => {
                self.trust();
                self.hint(participant);
                if is_new && let Some((body, _)) = addressed.parts() {
                    self.keep(participant, body.to_vec()).await;
                }
            }
            Some(Recognised::Keys { identity, plain, .. }) => {
                self.trust();
                self.hints.note(identity);
                if is_new {
                    self.pay(BUNDLE_PRICE).await;
                    if let Err(error) = keys::publish(self.app, &plain).await {
                        tracing::warn!(%error, "a Smoke key bundle could not be kept");
                    }
                }
                self.echo(Some(&identity), frame);
            }
            Some(Recognised::Addressed { identity }) => {
                self.trust();
                self.hints.note(identity);
                self.echo(Some(&identity), frame);
            }
            None => self.echo(None, frame),
        }
    }

    /// Finds out what a payload is, in each form it may have.
    async fn recognise(&mut self, mut addressed: Addressed) -> (Addressed, Option<Recognised>) {
        for form in addressed.forms() {
            let found;
            (addressed, found) = self.recognise_as(form, addressed).await;
            if found.is_some() {
                return (addressed, found);
            }
        }
        (addressed, None)
    }

    /// Finds out what a payload of this form is: first where this connection wrote before, which nearly always is
    /// enough, then everywhere. Each is paid for before it is done.
    async fn recognise_as(&mut self, form: Form, addressed: Addressed) -> (Addressed, Option<Recognised>) {
        let app = self.app;
        let directory = app.smoke.directory();
        let live = app.smoke.count_live_identities();
        let bytes = addressed.parts_as(form).map_or(0, |(data, _)| data.len() + TAG_BYTES);
        let price = Price::of(&directory, &self.hints, live, bytes);
        self.pay(price.quick).await;
        let (addressed, found) = self.search(&directory, (form, addressed), price.quick, None).await;
        if found.is_some() {
            return (addressed, found);
        }
        // It is passed on to everybody all the same; a search through all would keep those who wait for theirs.
        if !self.is_known && bytes > MAX_SEARCHED_OF_STRANGERS {
            return (addressed, None);
        }
        self.pay(price.full).await;
        let live = app.smoke.live_identities(self.now());
        self.search(&directory, (form, addressed), price.full, Some(live)).await
    }

    /// Searches where it is, or off the async threads when that is much work: among the hints, or with `live`
    /// everywhere.
    async fn search(
        &mut self,
        directory: &Arc<Directory>,
        (form, addressed): (Form, Addressed),
        price: u64,
        live: Option<Arc<[LiveIdentity]>>,
    ) -> (Addressed, Option<Recognised>) {
        let (directory, hints) = (directory.clone(), std::mem::take(&mut self.hints));
        let now_millis = self.app.clock.now().0;
        let search = move || {
            let found = addressed.parts_as(form).and_then(|parts| {
                let search = match form {
                    Form::Whole => Search::new(&directory, &hints, parts, now_millis),
                    Form::Lines => Search::of_fire(&directory, parts),
                };
                live.map_or_else(|| search.quick(&hints), |live| search.full(&live))
            });
            (addressed, hints, found)
        };
        let (addressed, hints, found) = if price <= SHORT_SEARCH {
            search()
        } else {
            let permit = self.app.smoke.searches.clone().acquire_owned().await;
            let searched = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                search()
            });
            // It ends early only with the runtime.
            let Ok(searched) = searched.await else { return std::future::pending().await };
            searched
        };
        self.hints = hints;
        (addressed, found)
    }

    /// The next frame of this connection most likely goes to the same participant.
    fn hint(&mut self, participant: i64) {
        let directory = self.app.smoke.directory();
        let found = directory.participants().iter().find(|one| one.number == participant);
        if let Some(found) = found {
            self.hints.note(found.identity);
        }
    }

    /// Keeps an offline copy; the next frame is read once it is on disk.
    async fn keep(&mut self, participant: i64, body: Vec<u8>) {
        // Nothing is lost: the client waits, and its next bytes with it.
        while let Err(wait) = self.copies.take(self.now()) {
            tokio::time::sleep(wait).await;
        }
        for attempt in 1..=TRIES {
            match mail::keep(self.app, participant, body.clone()).await {
                Ok(kept) => {
                    tracing::debug!(?kept, "an offline copy");
                    return;
                }
                Err(ServiceError::Busy) if attempt < TRIES => {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "an offline copy could not be kept");
                    return;
                }
            }
        }
    }

    /// Passes a frame on to whom it concerns.
    pub(super) fn echo(&self, destination: Option<&Identity>, frame: &[u8]) {
        self.app.smoke.echo(self.socket.number(), destination, frame, self.now());
    }
}
