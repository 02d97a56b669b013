//! What a device keeps of messages that live on after they were shown: who has seen them, how far a task is, how
//! people voted. Texts are kept of announcements, tasks and polls alone.

use std::ops::ControlFlow;

use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::{MessageReference, ReceiptKind};
use momedo_protocol::message_id::MessageId;

use super::{Profile, stored_time};
use crate::ClientError;
use crate::keeping::tables::{due_receipts, marks, messages};
use crate::keeping::{Cell, Result as Kept, Row, Scan};

/// A message as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct KeptMessage {
    /// Whose it is, and its ID.
    pub(crate) reference: MessageReference,
    /// The participant or group it was exchanged with.
    pub(crate) conversation: String,
    /// Its kind.
    pub(crate) kind: String,
    /// Its body as JSON, for kinds that live on.
    pub(crate) body: Option<String>,
    /// Of an own message: to whom it went, as JSON.
    pub(crate) audience: Option<String>,
    /// Whether its sender took it back.
    pub(crate) withdrawn: bool,
}

/// A receipt that somebody should get.
#[derive(Debug, Clone)]
pub(crate) struct DueReceipt {
    /// The message it is about; it goes to its sender.
    pub(crate) reference: MessageReference,
    /// Digest of the group it was posted to, or empty.
    pub(crate) group: String,
    /// What happened to the message.
    pub(crate) state: ReceiptKind,
}

/// What somebody said about a message.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// Who.
    pub(crate) who: ParticipantId,
    /// What about: `receipt` (read), `arrived`, `task` or `vote`.
    pub(crate) mark: String,
    /// What it says.
    pub(crate) value: String,
    /// When, by that person's clock.
    pub(crate) at: u64,
}

fn pair(reference: &MessageReference) -> [Cell; 2] {
    [reference.from.to_string().into(), reference.id.to_string().into()]
}

impl Profile {
    /// Keeps what a message is about, unless it is kept already.
    pub(crate) fn keep_message(&self, message: &KeptMessage) -> Result<(), ClientError> {
        let [sender, id] = pair(&message.reference);
        let (conversation, kind) = ((&message.conversation).into(), (&message.kind).into());
        let (body, audience) = (message.body.clone().into(), message.audience.clone().into());
        let row = [sender, id, conversation, kind, body, audience, false.into()];
        self.insert(&messages::TABLE, row).map(drop)
    }

    /// Every kept message with this ID; senders choose IDs, so there may be several.
    pub(crate) fn kept_messages(&self, id: MessageId) -> Result<Vec<KeptMessage>, ClientError> {
        use messages::{AUDIENCE, BODY, CONVERSATION, KIND, MESSAGES_BY_ID, SENDER, TABLE, WITHDRAWN};
        let columns = [SENDER, CONVERSATION, KIND, BODY, AUDIENCE, WITHDRAWN];
        let read = |row: &mut Row| Ok((row.text()?, rest(row)?));
        let key = [id.to_string().into()];
        let rows = self.rows(&TABLE, Scan::by_index(&MESSAGES_BY_ID, &key), &columns, read)?;
        rows.into_iter()
            .map(|(sender, rest)| {
                let from = sender.parse().map_err(|error| self.failed(error))?;
                Ok(rest.of(MessageReference { from, id }))
            })
            .collect()
    }

    /// The kept messages that came or went last, newest first: of these kinds, and of one conversation if one is named.
    pub(crate) fn newest_messages(
        &self,
        conversation: Option<&str>,
        limit: usize,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<KeptMessage>, ClientError> {
        use messages::{AUDIENCE, BODY, CONVERSATION, ID, KIND, SENDER, TABLE, WITHDRAWN};
        // Rows come in the order in which they were kept; senders choose their times.
        let mut scan = Scan::by_arrival().down();
        if let Some(conversation) = conversation {
            scan = scan.only(CONVERSATION, conversation.into());
        }
        let mut found = Vec::new();
        if limit > 0 {
            self.visit(&TABLE, scan, &[SENDER, ID, CONVERSATION, KIND, BODY, AUDIENCE, WITHDRAWN], |row| {
                let (sender, id, rest) = (row.text()?, row.text()?, rest(row)?);
                if is_wanted(&rest.kind) {
                    found.push((sender, id, rest));
                }
                Ok(if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
        }
        let read = |(sender, id, rest): (String, String, Rest)| {
            let from = sender.parse().map_err(|error| self.failed(error))?;
            let id = id.parse().map_err(|error| self.failed(error))?;
            Ok(rest.of(MessageReference { from, id }))
        };
        found.into_iter().map(read).collect()
    }

    /// A kept message.
    pub(crate) fn kept_message(
        &self,
        reference: &MessageReference,
    ) -> Result<Option<KeptMessage>, ClientError> {
        let found = self.kept_messages(reference.id)?;
        Ok(found.into_iter().find(|message| message.reference.from == reference.from))
    }

    /// Gives a kept message another body.
    pub(crate) fn replace_body(&self, reference: &MessageReference, body: &str) -> Result<(), ClientError> {
        let key = pair(reference);
        self.whole(|| {
            let length = self.row(&messages::TABLE, &key, &[messages::BODY.length()], Row::cell)?;
            if matches!(length, None | Some(Cell::Null)) {
                return Ok(());
            }
            self.change(&messages::TABLE, &key, [(messages::BODY, body.into())]).map(drop)
        })
    }

    /// Forgets what a message said; its sender took it back.
    pub(crate) fn mark_withdrawn(&self, reference: &MessageReference) -> Result<(), ClientError> {
        let withdrawn = [(messages::WITHDRAWN, true.into()), (messages::BODY, Cell::Null)];
        self.change(&messages::TABLE, &pair(reference), withdrawn).map(drop)
    }

    /// Notes what somebody said about a message; only something later takes its place.
    pub(crate) fn put_mark(&self, reference: &MessageReference, mark: &Mark) -> Result<(), ClientError> {
        let [sender, id] = pair(reference);
        let key = [sender, id, mark.who.to_string().into(), (&mark.mark).into()];
        let at = stored_time(mark.at);
        self.whole(|| {
            let before: Option<i64> = self.row(&marks::TABLE, &key, &[marks::AT], Row::number)?;
            if before.is_some_and(|before| before > at) {
                return Ok(());
            }
            let [sender, id, who, about] = key;
            self.put(&marks::TABLE, [sender, id, who, about, (&mark.value).into(), at.into()])
        })
    }

    /// What was said about a message, the newest last.
    pub(crate) fn marks(&self, reference: &MessageReference) -> Result<Vec<Mark>, ClientError> {
        let key = pair(reference);
        let columns = [marks::WHO, marks::MARK, marks::VALUE, marks::AT];
        let mut rows = self.rows(&marks::TABLE, Scan::by_key(&key), &columns, |row| {
            Ok((row.text()?, row.text()?, row.text()?, row.number::<u64>()?))
        })?;
        rows.sort_by(|one, other| (one.3, &one.0).cmp(&(other.3, &other.0)));
        rows.into_iter()
            .map(|(who, mark, value, at)| {
                let who = who.parse().map_err(|error| self.failed(error))?;
                Ok(Mark { who, mark, value, at })
            })
            .collect()
    }

    /// Notes that a sender should hear what happened to a message; that it was read says more than that it arrived.
    pub(crate) fn owe_receipt(
        &self,
        reference: &MessageReference,
        group: &str,
        state: ReceiptKind,
    ) -> Result<(), ClientError> {
        let key = pair(reference);
        self.whole(|| {
            let owed = self.row(&due_receipts::TABLE, &key, &[due_receipts::STATE], Row::text)?;
            match owed.as_deref() {
                None => {
                    let [sender, id] = key;
                    self.add(&due_receipts::TABLE, [sender, id, group.into(), state.word().into()])
                }
                Some("delivered") => {
                    let owes = [(due_receipts::STATE, state.word().into())];
                    self.change(&due_receipts::TABLE, &key, owes).map(drop)
                }
                Some(_) => Ok(()),
            }
        })
    }

    /// Receipts that are due; those for one sender and group that say the same stand together.
    pub(crate) fn due_receipts(&self) -> Result<Vec<DueReceipt>, ClientError> {
        use due_receipts::{GROUP_DIGEST, ID, SENDER, STATE, TABLE};
        let columns = [SENDER, GROUP_DIGEST, STATE, ID];
        let mut rows = self.rows(&TABLE, Scan::by_key(&[]), &columns, |row| {
            Ok((row.text()?, row.text()?, row.text()?, row.text()?))
        })?;
        rows.sort();
        rows.into_iter()
            .map(|(sender, group, state, id)| {
                let from = sender.parse().map_err(|error| self.failed(error))?;
                let id = id.parse().map_err(|error| self.failed(error))?;
                let is_read = state == ReceiptKind::Read.word();
                let state = if is_read { ReceiptKind::Read } else { ReceiptKind::Delivered };
                Ok(DueReceipt { reference: MessageReference { from, id }, group, state })
            })
            .collect()
    }

    /// Notes that a sender has heard, or never will.
    pub(crate) fn settle_receipt(&self, due: &DueReceipt) -> Result<(), ClientError> {
        let key = pair(&due.reference);
        self.whole(|| {
            let owed = self.row(&due_receipts::TABLE, &key, &[due_receipts::STATE], Row::text)?;
            if owed.is_some_and(|owed| owed == due.state.word()) {
                self.delete(&due_receipts::TABLE, &key)?;
            }
            Ok(())
        })
    }
}

/// What is kept of a message beside whose it is.
struct Rest {
    conversation: String,
    kind: String,
    body: Option<String>,
    audience: Option<String>,
    withdrawn: bool,
}

fn rest(row: &mut Row) -> Kept<Rest> {
    let (conversation, kind) = (row.text()?, row.text()?);
    Ok(Rest {
        conversation,
        kind,
        body: row.optional_text()?,
        audience: row.optional_text()?,
        withdrawn: row.is()?,
    })
}

impl Rest {
    fn of(self, reference: MessageReference) -> KeptMessage {
        let Self { conversation, kind, body, audience, withdrawn } = self;
        KeptMessage { reference, conversation, kind, body, audience, withdrawn }
    }
}
