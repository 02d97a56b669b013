//! Finds out what an anonymous payload is: nothing in it says so, only trying the keys one knows.
//!
//! Trying everything costs participants times ozones. Three things keep it cheap: every common beginning is hashed
//! once per key and continued from a copy; what a connection sent lately is tried first ([`Hints`]), because
//! people write to the same people again and again; and what is left, the full search, has a known price that the
//! caller charges to the connection before it is done.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use crate::destination::Identity;
use crate::directory::{Directory, Participant};
use crate::key_bundle;
use crate::key_stream::KeyStream;
use crate::mac::{MacKey, MacState};
use crate::offline_copy;

/// Bytes that SHA-512 works on at once; recognition is priced in them.
const BLOCK_BYTES: usize = 128;

/// Blocks that one HMAC costs beside its data: the end of the inner hash, and the outer one.
const MAC_BLOCKS: u64 = 3;

/// Identities one connection's hints hold: as many people as anybody writes to in one sitting.
const MAX_HINTS: usize = 64;

/// What a payload is.
pub enum Recognised {
    /// A request in an ozone, opened. The stream is the ozone's, for an answer.
    Request {
        /// The ozone's keys.
        stream: Box<KeyStream>,
        /// What was in it.
        plain: Zeroizing<Vec<u8>>,
    },
    /// A key bundle addressed to a known participant, opened.
    Keys {
        /// The number of the participant it is addressed to.
        participant: i64,
        /// Where it goes.
        identity: Identity,
        /// What was in it.
        plain: Zeroizing<Vec<u8>>,
    },
    /// An offline copy for a known participant; the body is the payload without its last 64 bytes.
    OfflineCopy {
        /// The number of the participant it is for.
        participant: i64,
    },
    /// Addressed to somebody who is known or connected.
    Addressed {
        /// To whom.
        identity: Identity,
    },
}

/// A routing identity that somebody connected announced.
#[derive(Clone)]
pub struct LiveIdentity {
    /// The identity.
    pub identity: Identity,
    /// The same, as a prepared key.
    pub key: MacKey,
}

impl LiveIdentity {
    /// Prepares the key.
    pub fn new(identity: Identity) -> Self {
        Self { identity, key: MacKey::new(&identity) }
    }
}

/// What one connection sent lately, and who it says it is.
#[derive(Default)]
pub struct Hints {
    recent: VecDeque<LiveIdentity>,
    /// Identities it announced as its own.
    own: VecDeque<Identity>,
}

impl Hints {
    /// Puts an identity that something was sent to at the front.
    pub fn note(&mut self, identity: Identity) {
        let known = self.recent.iter().position(|hint| hint.identity == identity);
        let hint = known.and_then(|at| self.recent.remove(at)).unwrap_or_else(|| LiveIdentity::new(identity));
        self.recent.push_front(hint);
        self.recent.truncate(MAX_HINTS);
    }

    /// Notes an identity that the connection announced.
    pub fn announce(&mut self, identity: Identity) {
        self.own.retain(|own| *own != identity);
        self.own.push_front(identity);
        self.own.truncate(MAX_HINTS);
        self.note(identity);
    }
}

/// What recognising a payload costs at most, in blocks of SHA-512; known before anything is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// The ozones and the hints.
    pub quick: u64,
    /// Everybody who is known or connected, after that.
    pub full: u64,
}

impl Price {
    /// The price for a payload of `bytes`, with so many announced identities.
    pub fn of(directory: &Directory, hints: &Hints, live: usize, bytes: usize) -> Self {
        let data = (bytes / BLOCK_BYTES) as u64 + MAC_BLOCKS;
        // A copy is tried in three minutes.
        let copies = MAC_BLOCKS * 3;
        let own = hints.own.iter().filter(|identity| directory.by_identity(identity).is_some());
        let ozones = (directory.ozones().len() + own.count()) as u64;
        let (hints, participants) = (hints.recent.len() as u64, directory.participants().len() as u64);
        Self {
            quick: data * (ozones + hints + 1) + hints * ozones * copies,
            full: data * (participants + live as u64) + participants * ozones * copies,
        }
    }
}

/// One payload under examination, taken apart into what is tagged and the tag.
pub struct Search<'a> {
    directory: &'a Directory,
    data: &'a [u8],
    tag: &'a [u8],
    minutes: [u64; 3],
    /// The ozones to try, each with the state after the data: all named ones, and those whose name is the
    /// connection's own ID.
    ozones: Vec<(MacState, &'a KeyStream)>,
}

impl<'a> Search<'a> {
    /// Starts; hashes the data once per ozone.
    pub fn new(
        directory: &'a Directory,
        hints: &Hints,
        (data, tag): (&'a [u8], &'a [u8]),
        now_millis: u64,
    ) -> Self {
        let own = hints.own.iter().filter_map(|identity| directory.by_identity(identity));
        let streams = directory.ozones().iter().map(|ozone| &ozone.stream).chain(own.map(|one| &one.stream));
        let ozones = streams.map(|stream| (stream.mac().start(data), stream)).collect();
        Self { directory, data, tag, minutes: offline_copy::minutes(now_millis), ozones }
    }

    /// Starts with a Fire message, which can only be addressed to somebody connected: it is no request, and
    /// nobody stores it.
    pub fn of_fire(directory: &'a Directory, (data, tag): (&'a [u8], &'a [u8])) -> Self {
        Self { directory, data, tag, minutes: [0; 3], ozones: Vec::new() }
    }

    /// Looks for requests in the ozones, and for whatever goes where this connection sent something lately.
    pub fn quick(&self, hints: &Hints) -> Option<Recognised> {
        self.request().or_else(|| {
            let hint = hints.recent.iter().find(|hint| hint.key.verifies(self.data, self.tag));
            let known = || hints.recent.iter().filter_map(|hint| self.directory.by_identity(&hint.identity));
            hint.map(|hint| self.addressed(hint.identity)).or_else(|| self.copy_among(known))
        })
    }

    fn request(&self) -> Option<Recognised> {
        let (_, stream) = self.ozones.iter().find(|(state, _)| state.clone().is(self.tag))?;
        let plain = stream.decrypt(self.data).unwrap_or_default();
        Some(Recognised::Request { stream: Box::new((*stream).clone()), plain })
    }

    /// Tries everybody who is known or connected.
    pub fn full(&self, live: &[LiveIdentity]) -> Option<Recognised> {
        let known =
            self.directory.participants().iter().find(|one| one.identity_key().verifies(self.data, self.tag));
        if let Some(participant) = known {
            return Some(self.addressed(participant.identity));
        }
        // Most of those who are connected are known, and were tried.
        let mut strangers = live.iter().filter(|one| self.directory.by_identity(&one.identity).is_none());
        let connected = strangers.find(|one| one.key.verifies(self.data, self.tag));
        if let Some(one) = connected {
            return Some(self.addressed(one.identity));
        }
        self.copy_among(|| self.directory.participants().iter())
    }

    /// The minute is the outer loop: nearly every copy is from this one.
    fn copy_among<'d, I: Iterator<Item = &'d Participant>>(
        &self,
        participants: impl Fn() -> I,
    ) -> Option<Recognised> {
        self.minutes.iter().find_map(|minute| {
            self.ozones.iter().find_map(|(state, _)| {
                participants()
                    .find(|one| offline_copy::is_for(state, &one.id, *minute, self.tag))
                    .map(|one| Recognised::OfflineCopy { participant: one.number })
            })
        })
    }

    /// A frame for a participant may be a key bundle: its envelope opens with the keys of the ID.
    fn addressed(&self, identity: Identity) -> Recognised {
        let bundle = self.directory.by_identity(&identity).and_then(|participant| {
            let plain = key_bundle::open_sealed(self.data, &participant.stream)?;
            Some(Recognised::Keys { participant: participant.number, identity, plain })
        });
        bundle.unwrap_or(Recognised::Addressed { identity })
    }
}
