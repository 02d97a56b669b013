//! Questions to neighbours that are open, and what came of earlier ones.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::{Found, FoundGroup, Frame, KeyLogPart, KeyPart, Signed};
use momedo_protocol::random;
use tokio::sync::mpsc;

use super::{Links, lock};

/// Answers that wait for whoever asked.
const WAITING_ANSWERS: usize = 64;

/// Questions remembered, so that one that comes back is dropped.
const SEEN_QUESTIONS: usize = 10_000;

/// IDs remembered that nobody knew.
const UNKNOWN_IDS: usize = 10_000;

/// What a neighbour answers.
#[derive(Debug)]
pub enum Answer {
    /// Who is home to an ID, or that it does not know.
    Found(Box<Found>),
    /// A part of a key.
    KeyPart(KeyPart),
    /// What another home answers.
    Reply(Option<Signed>),
    /// Who keeps a group, or that it does not know.
    FoundGroup(Box<FoundGroup>),
    /// A part of a key log.
    KeyLogPart(Box<KeyLogPart>),
}

/// A question that is open.
pub struct Question {
    links: Arc<Links>,
    query: u64,
    answers: mpsc::Receiver<(Fingerprint, Answer)>,
}

impl Question {
    /// The next answer, and whose it is.
    pub async fn next(&mut self) -> Option<(Fingerprint, Answer)> {
        self.answers.recv().await
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        lock(&self.links.questions).remove(&self.query);
    }
}

pub(super) struct Asked {
    neighbours: HashSet<Fingerprint>,
    answers: mpsc::Sender<(Fingerprint, Answer)>,
}

impl Links {
    /// Asks neighbours something; answers come to the question for as long as it is kept.
    pub fn ask(self: &Arc<Self>, neighbours: &[Fingerprint], query: u64, frame: &Frame) -> Question {
        let (answers, answered) = mpsc::channel(WAITING_ANSWERS);
        let asked = Asked { neighbours: neighbours.iter().copied().collect(), answers };
        lock(&self.questions).insert(query, asked);
        for neighbour in neighbours {
            let sent = self.link(*neighbour).is_some_and(|link| link.try_send(frame));
            if !sent {
                let nothing = Found { query, keys: None, distance: 0 };
                self.answer(*neighbour, query, Answer::Found(Box::new(nothing)));
            }
        }
        Question { links: self.clone(), query, answers: answered }
    }

    /// Hands a neighbour's answer to whoever asked it; what nobody asked for is dropped.
    pub fn answer(&self, neighbour: Fingerprint, query: u64, answer: Answer) {
        let mut questions = lock(&self.questions);
        let Some(asked) = questions.get_mut(&query) else { return };
        // Of a key there are several parts; where somebody lives is said once.
        let was_asked = match answer {
            Answer::Found(_) | Answer::Reply(_) | Answer::FoundGroup(_) | Answer::KeyLogPart(_) => {
                asked.neighbours.remove(&neighbour)
            }
            Answer::KeyPart(_) => asked.neighbours.contains(&neighbour),
        };
        if was_asked {
            // A full channel is somebody who sends more parts than a key has.
            let _: Result<_, _> = asked.answers.try_send((neighbour, answer));
        }
    }

    /// Whether a question is new; one that came before is on a loop.
    pub fn is_new_question(&self, query: u64) -> bool {
        let mut seen = lock(&self.seen);
        let (known, order) = &mut *seen;
        if !known.insert(query) {
            return false;
        }
        order.push_back(query);
        if order.len() > SEEN_QUESTIONS
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
        true
    }

    /// A name for a new question, known from now on.
    pub fn new_query(&self) -> u64 {
        let query = u64::from_be_bytes(random::bytes());
        self.is_new_question(query);
        query
    }

    /// Whether nobody knew this ID at or after `since`.
    pub fn was_unknown(&self, id: ParticipantId, since: Duration) -> bool {
        lock(&self.unknown).get(&id).is_some_and(|(at, _)| *at >= since)
    }

    /// Whether, at or after `since`, everybody who was asked for this ID answered that they do not know it.
    pub fn was_denied(&self, id: ParticipantId, since: Duration) -> bool {
        lock(&self.unknown).get(&id).is_some_and(|(at, all_answered)| *at >= since && *all_answered)
    }

    /// Notes that nobody knows this ID; `all_answered` says that nobody was silent.
    pub fn note_unknown(&self, id: ParticipantId, now: Duration, all_answered: bool) {
        let mut unknown = lock(&self.unknown);
        if unknown.len() >= UNKNOWN_IDS {
            unknown.clear();
        }
        unknown.insert(id, (now, all_answered));
    }

    /// Forgets which IDs nobody knew: another neighbour may.
    pub fn forget_unknown(&self) {
        lock(&self.unknown).clear();
    }
}
