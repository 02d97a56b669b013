//! What people and groups are called where a command names them, and names and texts from outside on a terminal.

use momedo_client::ClientError;
use momedo_client::names;
use momedo_client::profile::Profile;
use momedo_client::sending::Destination;
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::name::is_visible;

/// A message must not steer the terminal it is shown on, nor look like a message of somebody else: lines
/// after the first are indented.
pub(super) fn printable(text: &str) -> String {
    let safe = |c: char| {
        // Emoji are put together with joiners and selectors, and in some scripts a joiner makes another word.
        let joins = matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}');
        if is_visible(c) || joins || matches!(c, '\n' | '\t') { c } else { '\u{fffd}' }
    };
    text.chars().map(safe).collect::<String>().replace('\n', "\n    ")
}

/// A name on a terminal: it has no line of its own.
pub(super) fn printable_name(name: &str) -> String {
    printable(name).replace(['\n', '\t'], "\u{fffd}")
}

/// Somebody by name, where one is known, and ID, which tells namesakes apart.
pub(super) fn named_person(name: Option<&str>, id: ParticipantId) -> String {
    name.map_or_else(|| id.to_string(), |name| format!("{} ({id})", printable_name(name)))
}

/// A group by its name, where it is known, and ID.
pub(super) fn named_group(name: Option<&str>, id: GroupId) -> String {
    name.map_or_else(|| id.to_string(), |name| format!("\"{}\" ({id})", printable_name(name)))
}

/// Somebody as the profile knows them.
pub(super) fn person(profile: &Profile, id: ParticipantId) -> Result<String, ClientError> {
    Ok(named_person(names::name(profile, id)?.as_deref(), id))
}

/// Several people.
pub(super) fn people(profile: &Profile, ids: &[ParticipantId]) -> Result<String, ClientError> {
    Ok(ids.iter().map(|id| person(profile, *id)).collect::<Result<Vec<_>, _>>()?.join(", "))
}

/// A group as the profile knows it.
fn group(profile: &Profile, id: GroupId) -> Result<String, ClientError> {
    Ok(named_group(names::group(profile, id)?.as_deref(), id))
}

/// The other side of a conversation.
pub(super) fn conversation(profile: &Profile, with: &str) -> Result<String, ClientError> {
    match with.parse() {
        Ok(Destination::Participant(id)) => person(profile, id),
        Ok(Destination::Group(id)) => group(profile, id),
        Err(_) => Ok(printable(with)),
    }
}

/// By what name somebody goes, and by which they call themselves.
pub(super) fn told(name: &str, own_name: Option<&str>) -> String {
    match own_name {
        None => name.to_owned(),
        Some(own) => words!("naming.other-name", name = name, own = own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_neither_steers_the_terminal_nor_begins_a_line() {
        let id: ParticipantId = "M8N22HT6".parse().unwrap();
        assert_eq!(named_person(Some("Ada Lovelace"), id), "Ada Lovelace (M8N22HT6)");
        assert_eq!(named_person(None, id), "M8N22HT6");
        let forged = named_person(Some("Ada\nBen (X): hi\u{1b}[2J\u{202e}"), id);
        assert!(!forged.contains(['\n', '\u{1b}', '\u{202e}']), "{forged:?}");
        assert!(forged.ends_with(" (M8N22HT6)"), "{forged:?}");
        let group: GroupId = "7QK0M3ZD9XN4".parse().unwrap();
        assert_eq!(named_group(Some("7b"), group), "\"7b\" (7QK0M3ZD9XN4)");
    }
}
