//! What became of own messages to people of other servers: said with the beginning of the text, and why.

use momedo_protocol::api::Delivery;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::{Content, MessageReference};
use momedo_protocol::link::documents::Outcome;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::notice::{Fate, Notice};

use super::received::{Received, said, unreadable};
use super::{put_event, put_unverified};
use crate::draft::Destination;
use crate::known_keys;
use crate::profile::Profile;
use crate::profile::contact::Trust;
use crate::{ClientError, now};

/// Characters of a message that are kept and said.
const BEGINNING: usize = 60;

/// How a message begins: its first words, or the name of its first file.
fn beginning(content: &Content) -> Option<String> {
    let files = content.files();
    let file = files.first().map(|file| file.name.as_str());
    let text = content.text().filter(|text| !text.trim().is_empty()).or(file)?;
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(BEGINNING) {
        words.truncate(end);
        words.push('…');
    }
    Some(words)
}

/// Whether a message goes to other servers, as far as this device knows.
fn leaves(profile: &Profile, to: Destination) -> Result<bool, ClientError> {
    let own = profile.server()?.fingerprint;
    Ok(match to {
        Destination::Participant(to) => known_keys::remembered(profile, to)?
            .is_none_or(|known| !known.bundle.payload.homes.contains(&own)),
        Destination::Group(group) => profile
            .group(group)?
            .is_some_and(|state| state.active_members().any(|(_, member)| member.home != own)),
    })
}

/// Keeps how an own message begins that somebody may hear did not arrive.
pub(crate) fn keep_beginning(
    profile: &Profile,
    id: MessageId,
    to: Destination,
    content: &Content,
) -> Result<(), ClientError> {
    match beginning(content) {
        Some(words) if to != Destination::Participant(profile.id()?) && leaves(profile, to)? => {
            profile.keep_beginning(id, &words, now())
        }
        _ => Ok(()),
    }
}

/// Why a message does not arrive, in words.
fn words(reason: Option<Outcome>) -> &'static str {
    match reason {
        None | Some(Outcome::Later | Outcome::Delivered) => {
            "their server could not be reached, or had no room, for as long as messages wait"
        }
        Some(Outcome::UnknownParticipant) => "their server knows nobody with this ID",
        Some(Outcome::NotAllowedAcross) => "they, or their server, take no messages from you",
        Some(Outcome::StaleBundle) => "it was sealed to keys that they have replaced: send it again",
        Some(Outcome::NoDevice) => "they have no device that could read it",
        Some(Outcome::TooLarge) => "it is longer than their server takes",
        Some(Outcome::Malformed) => "their server cannot read it; it may be older than this program",
        Some(Outcome::Conflict) => "their server has another message of yours with the same ID",
        Some(Outcome::WrongHome) => "they live at another server by now: send it again",
    }
}

/// Takes what the own home tells of messages to other servers: an event for each.
pub(crate) fn take(
    profile: &Profile,
    own: ParticipantId,
    delivery: &Delivery,
    notice: &Notice,
) -> Result<(), ClientError> {
    // The own home says it in the participant's own name; whatever else says so is not its word.
    if delivery.from != own {
        return put_unverified(profile, delivery, &unreadable(delivery));
    }
    for message in &notice.messages {
        let is_delivered = notice.fate == Fate::Delivered;
        let event = Received {
            id: message.id,
            to: Some(message.to),
            kind: if is_delivered { "delivered" } else { "undeliverable" }.into(),
            text: (!is_delivered).then(|| words(notice.reason).to_owned()),
            about: if is_delivered { None } else { profile.beginning(message.id)? },
            reason: notice.reason.map(|reason| reason.word().to_owned()),
            verified: true,
            trust: Trust::Compared.name().into(),
            suite: 0,
            // An end that is not the one hoped for must be seen.
            event: is_delivered,
            ..unreadable(delivery)
        };
        end(profile, message.id, message.to, &event)?;
    }
    Ok(())
}

/// Has it shown with the next messages that a message did not arrive.
pub(crate) fn put_undeliverable(
    profile: &Profile,
    id: MessageId,
    to: ParticipantId,
    words: &str,
) -> Result<(), ClientError> {
    let about = profile.beginning(id)?;
    let event = Received { id, to: Some(to), kind: "undeliverable".into(), about, ..said(profile, words)? };
    end(profile, id, to, &event)
}

/// Has it shown what became of a message, of which nothing is kept any more.
fn end(profile: &Profile, id: MessageId, to: ParticipantId, event: &Received) -> Result<(), ClientError> {
    if !profile.is_known(&format!("notice {to}"), id)? {
        put_event(profile, &format!("notice {to}"), id, event)?;
    }
    profile.forget_unconfirmed(id, to)?;
    let kept = profile.kept_message(&MessageReference { from: profile.id()?, id })?;
    // Of what went to a group, more may be heard.
    if kept.is_none_or(|kept| kept.conversation == to.to_string()) {
        profile.forget_beginning(id)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_one_short_line_whatever_was_written() {
        let of = |text: &str| beginning(&Content::Text(text.into()));
        assert_eq!(of("Guten\n  Morgen!"), Some("Guten Morgen!".into()));
        assert_eq!(of(" \n"), None);
        let long = of(&"ü".repeat(61)).unwrap();
        assert_eq!((long.chars().count(), long.ends_with('…')), (61, true));
        assert_eq!(of(&"ü".repeat(60)), Some("ü".repeat(60)));
    }
}
