//! How own messages to people of other servers begin, so that it can be said which of them did not arrive. Sealed like
//! secrets, and forgotten when it is known what became of the message.

use momedo_protocol::message_id::MessageId;
use momedo_protocol::time::UnixMillis;

use super::Profile;
use super::rows::number;
use crate::ClientError;
use crate::keeping::Row;
use crate::keeping::tables::beginnings::{KEPT_AT, TABLE, WORDS};

/// How long they are kept, in days: as long as a server does.
const DAYS: u64 = 90;

fn name(id: &str) -> String {
    format!("beginning {id}")
}

impl Profile {
    /// Keeps how an own message begins; those that nobody spoke of any more go.
    pub(crate) fn keep_beginning(
        &self,
        id: MessageId,
        words: &str,
        now: UnixMillis,
    ) -> Result<(), ClientError> {
        let id = id.to_string();
        let sealed = self.sealed(&name(&id), words.as_bytes())?;
        let before = now.0.saturating_sub(DAYS * 86_400_000);
        self.whole(|| {
            self.delete_before(&TABLE, KEPT_AT, before)?;
            self.insert(&TABLE, [id.into(), number(now.0)?, sealed.into()]).map(drop)
        })
    }

    /// How an own message begins, if it is kept.
    pub(crate) fn beginning(&self, id: MessageId) -> Result<Option<String>, ClientError> {
        let id = id.to_string();
        let sealed = self.row(&TABLE, &[(&id).into()], &[WORDS], Row::bytes)?;
        let Some(sealed) = sealed else { return Ok(None) };
        let words = self.unsealed(&name(&id), sealed)?;
        Ok(Some(String::from_utf8_lossy(&words).into_owned()))
    }

    /// Forgets how an own message begins.
    pub(crate) fn forget_beginning(&self, id: MessageId) -> Result<(), ClientError> {
        self.delete(&TABLE, &[id.to_string().into()]).map(drop)
    }
}
