//! What a home tells its own participant in the participant's ozone: what became of messages to other servers.
//!
//! A notice stands where an envelope would, and begins with a byte that no envelope begins with. Nobody but the
//! own home can put one there: submissions and what neighbours bring must be envelopes. So it needs no signature
//! beside the connection to the pinned home.

use serde::{Deserialize, Serialize};

use crate::id::ParticipantId;
use crate::link::documents::Outcome;
use crate::message_id::MessageId;

/// The first byte of a notice, where an envelope has its version.
pub const MARK: u8 = 0;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The recipient's home has it.
    Delivered,
    /// It will not arrive.
    Undeliverable,
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What became of them.
    pub fate: Fate,
    /// Why, when they do not arrive; absent: their time was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Outcome>,
    /// Which messages.
    pub messages: Vec<NoticedMessage>,
}

/// One message of a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticedMessage {
    /// The message.
    pub id: MessageId,
    /// Whom it was for.
    pub to: ParticipantId,
}

impl Notice {
    /// The bytes that stand in place of an envelope.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![MARK];
        serde_json::to_writer(&mut out, self).expect("notices are plain structures that always serialize");
        out
    }

    /// Reads a notice; `None` for an envelope, or for one that cannot be read.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (mark, body) = bytes.split_first()?;
        if *mark == MARK { serde_json::from_slice(body).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_no_envelope_and_comes_back_as_it_went() {
        let notice = Notice {
            fate: Fate::Undeliverable,
            reason: Some(Outcome::NotAllowedAcross),
            messages: vec![NoticedMessage { id: MessageId([1; 16]), to: ParticipantId::random() }],
        };
        let bytes = notice.encode();
        assert_eq!(Notice::decode(&bytes), Some(notice));
        assert!(crate::envelope::decode(&bytes).is_err());
        assert!(crate::group::envelope::decode(&bytes).is_err());
        assert!(!crate::group::envelope::is_group_envelope(&bytes));
    }
}
