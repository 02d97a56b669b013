//! Receipts: who hears that messages arrived and were read. Nobody has to send any, and each costs as much as a
//! message, so a receipt says the most there is to say: that something was read, and only where that does not follow
//! at once, that it is here.

use std::time::Duration;

use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::group::GroupId;
use momedo_protocol::kind::{self, Content, MAX_RECEIPT_MESSAGES, MessageReference, Receipt, ReceiptKind};
use momedo_protocol::message::Message;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use web_time::Instant;

use crate::ClientError;
use crate::profile::Profile;
use crate::sending::{Draft, send_to_participant};
use crate::session::Session;

/// Setting that says which senders hear of it.
const RECEIPTS: &str = "receipts";

/// How long receipts are tried; they are sent another time if that does not do.
const RECEIPT_TIME: Duration = Duration::from_secs(10);

/// How long those for one sender are, whose server may be away.
const TIME_OF_SENDER: Duration = Duration::from_secs(3);

/// Who hears that messages arrived and were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", parse_err_ty = String, parse_err_fn = not_receipts)]
pub enum Receipts {
    /// Every sender of a message to oneself, and authors of announcements, tasks and polls.
    All,
    /// Authors of announcements, tasks and polls, who ask for it. A receipt costs as much as a message, so this is the
    /// default.
    #[default]
    Announcements,
    /// Nobody.
    Off,
}

impl Receipts {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        self.into()
    }

    /// Whether the sender of such a message hears of it. In groups only those that ask for something are told: thirty receipts for
    /// every "ok" would be more mail than the messages.
    fn tells(self, state: ReceiptKind, in_group: bool, kind: &str) -> bool {
        let says_something = !matches!(
            kind,
            kind::RECEIPT | kind::EDIT | kind::WITHDRAW | kind::VOTE | kind::TASK_STATE | kind::POLL_END
        );
        // Their authors wait for others to do something.
        let asks = matches!(kind, kind::ANNOUNCEMENT | kind::TASK | kind::POLL);
        match self {
            Self::Off => false,
            Self::All if !in_group => says_something,
            Self::All | Self::Announcements => asks && state == ReceiptKind::Read,
        }
    }
}

fn not_receipts(_: &str) -> String {
    "must be all, announcements or off".into()
}

/// Who hears that messages arrived and were read.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn receipts(profile: &Profile) -> Result<Receipts, ClientError> {
    Ok(profile.get(RECEIPTS)?.unwrap_or_default())
}

/// Chooses who hears that messages arrived and were read.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn set_receipts(profile: &Profile, receipts: Receipts) -> Result<(), ClientError> {
    profile.set(RECEIPTS, &receipts)
}

/// Notes that a verified message is on this device, so that its sender hears of it.
pub(crate) fn note_arrived(profile: &Profile, message: &Message) -> Result<(), ClientError> {
    let reference = MessageReference { from: message.from, id: message.id };
    let group = message.group.map(|group| GroupId::of(&group.id));
    note(profile, &reference, group, &message.kind, ReceiptKind::Delivered)
}

/// Notes that a message was shown, so that its sender hears of it.
pub(crate) fn note_shown(
    profile: &Profile,
    reference: &MessageReference,
    group: Option<GroupId>,
    kind: &str,
) -> Result<(), ClientError> {
    note(profile, reference, group, kind, ReceiptKind::Read)
}

fn note(
    profile: &Profile,
    reference: &MessageReference,
    group: Option<GroupId>,
    kind: &str,
    state: ReceiptKind,
) -> Result<(), ClientError> {
    if !receipts(profile)?.tells(state, group.is_some(), kind) || reference.from == profile.id()? {
        return Ok(());
    }
    let digest = match group {
        None => String::new(),
        Some(id) => match profile.group(id)? {
            Some(state) => state.group.to_string(),
            None => return Ok(()),
        },
    };
    profile.owe_receipt(reference, &digest, state)
}

/// Sends the receipts that are due, one message per sender and state; what cannot be sent now is sent another time.
pub(crate) async fn send_due(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let due = profile.due_receipts()?;
    let end = Instant::now() + RECEIPT_TIME;
    let mut rest = &due[..];
    while let Some(first) = rest.first() {
        let together = rest.iter().take_while(|other| {
            (other.reference.from, &other.group, other.state)
                == (first.reference.from, &first.group, first.state)
        });
        let count = together.count().min(MAX_RECEIPT_MESSAGES);
        let (part, later) = rest.split_at(count);
        rest = later;
        let receipt = Content::Receipt(Receipt {
            messages: part.iter().map(|due| due.reference.id).collect(),
            group: first.group.parse::<Sha512Digest>().ok(),
            state: first.state,
        });
        let draft = Draft { own_copy: false, ..Draft::of(&receipt) };
        let deadline = end.min(Instant::now() + TIME_OF_SENDER);
        match send_to_participant(profile, session, first.reference.from, &draft, deadline, &|_| {}).await {
            Err(ClientError::Unreachable { .. }) => return Ok(()),
            // Somebody else's server may answer.
            Err(error) if error.is_temporary() && Instant::now() < end => {}
            Err(error) if error.is_temporary() => return Ok(()),
            // Refused for good, or keys that cannot be trusted: nobody waits for a receipt.
            _ => {
                for due in part {
                    profile.settle_receipt(due)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hears_what_is_what_its_owner_chose() {
        use ReceiptKind::{Delivered, Read};
        for (receipts, state, in_group, kind, told) in [
            (Receipts::All, Delivered, false, kind::TEXT, true),
            (Receipts::All, Read, false, kind::TEXT, true),
            (Receipts::All, Delivered, true, kind::TEXT, false),
            (Receipts::All, Read, true, kind::TEXT, false),
            (Receipts::All, Delivered, true, kind::ANNOUNCEMENT, false),
            (Receipts::All, Read, true, kind::ANNOUNCEMENT, true),
            (Receipts::All, Read, true, kind::TASK, true),
            (Receipts::Announcements, Read, true, kind::POLL, true),
            (Receipts::Announcements, Delivered, true, kind::POLL, false),
            (Receipts::All, Read, false, kind::POLL_END, false),
            (Receipts::All, Delivered, false, kind::RECEIPT, false),
            (Receipts::All, Read, false, kind::VOTE, false),
            (Receipts::Announcements, Read, true, kind::ANNOUNCEMENT, true),
            (Receipts::Announcements, Read, false, kind::ANNOUNCEMENT, true),
            (Receipts::Announcements, Delivered, false, kind::ANNOUNCEMENT, false),
            (Receipts::Announcements, Delivered, false, kind::TEXT, false),
            (Receipts::Announcements, Read, false, kind::TEXT, false),
            (Receipts::Off, Delivered, false, kind::TEXT, false),
            (Receipts::Off, Read, true, kind::ANNOUNCEMENT, false),
        ] {
            assert_eq!(
                receipts.tells(state, in_group, kind),
                told,
                "{receipts:?} {state:?} {in_group} {kind}"
            );
        }
    }
}
