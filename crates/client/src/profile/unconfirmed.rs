//! What was accepted for people of other servers, until the own home says what became of it.

use momedo_protocol::id::ParticipantId;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;

use super::Profile;
use super::rows::number;
use crate::ClientError;
use crate::keeping::tables::unconfirmed::{ACCEPTED_AT, DUE, ID, RECIPIENT, REQUEST, TABLE};
use crate::keeping::{Cell, Row, Scan};

/// How long they are kept, in days: as long as a server does.
const DAYS: u64 = 90;

impl Profile {
    /// Keeps a submission that was accepted; those that nobody spoke of any more go.
    pub(crate) fn keep_unconfirmed(
        &self,
        id: MessageId,
        recipient: ParticipantId,
        request: &str,
        now: UnixMillis,
    ) -> Result<(), ClientError> {
        let before = now.0.saturating_sub(DAYS * 86_400_000);
        let (id, recipient) = (id.to_string().into(), recipient.to_string().into());
        self.whole(|| {
            self.delete_before(&TABLE, ACCEPTED_AT, before)?;
            let row = [id, recipient, request.into(), number(now.0)?, false.into()];
            self.insert(&TABLE, row).map(drop)
        })
    }

    /// Forgets a submission of which is known what became of it.
    pub(crate) fn forget_unconfirmed(
        &self,
        id: MessageId,
        recipient: ParticipantId,
    ) -> Result<(), ClientError> {
        self.delete(&TABLE, &[id.to_string().into(), recipient.to_string().into()]).map(drop)
    }

    /// Notes that all of them have to be submitted again: who had accepted them is lost.
    pub(crate) fn mark_unconfirmed_due(&self) -> Result<(), ClientError> {
        self.whole(|| {
            self.not_due()?
                .iter()
                .try_for_each(|key| self.change(&TABLE, key, [(DUE, true.into())]).map(drop))
        })
    }

    /// Those that have to be submitted again, oldest first.
    pub(crate) fn due_unconfirmed(&self) -> Result<Vec<String>, ClientError> {
        self.rows(&TABLE, Scan::by_key(&[]).only(DUE, true.into()), &[REQUEST], Row::text)
    }

    /// Keys of those that are not due.
    fn not_due(&self) -> Result<Vec<[Cell; 2]>, ClientError> {
        let scan = Scan::by_key(&[]).only(DUE, false.into());
        self.rows(&TABLE, scan, &[ID, RECIPIENT], |row| Ok([row.cell()?, row.cell()?]))
    }

    /// Notes that one was submitted again.
    pub(crate) fn settle_unconfirmed(
        &self,
        id: MessageId,
        recipient: ParticipantId,
    ) -> Result<(), ClientError> {
        let key = [id.to_string().into(), recipient.to_string().into()];
        self.change(&TABLE, &key, [(DUE, false.into())]).map(drop)
    }
}
