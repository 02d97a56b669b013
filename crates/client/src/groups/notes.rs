//! What people hear of a group: who came, who went, that the key is new.

use momedo_protocol::group::entry::{Action, GroupEntry};
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::message_id::MessageId;

use crate::ClientError;
use crate::contacts::Trust;
use crate::inbox::Received;
use crate::profile::Profile;

/// Puts a note about a group among the messages to be shown, once.
pub(super) fn note(
    profile: &Profile,
    state: &GroupState,
    id: Option<[u8; 16]>,
    text: &str,
) -> Result<(), ClientError> {
    let Some(id) = id.map(MessageId) else { return Ok(()) };
    let received = Received {
        id,
        from: profile.id()?,
        from_name: None,
        to: None,
        to_name: None,
        group: Some(state.id()),
        group_name: None,
        kind: "group-changed".into(),
        text: Some(text.to_owned()),
        about: None,
        reason: None,
        body: None,
        files: Vec::new(),
        sent_at: crate::now(),
        verified: true,
        trust: Trust::Compared.name().into(),
        suite: 0,
        event: true,
    };
    let event = serde_json::to_string(&received).map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.put_inbox(&format!("group {}", state.id()), id, Some(&event))
}

/// Notes what people should hear of: who came, who went, and that the key is new.
pub(crate) fn note_changes(
    profile: &Profile,
    before: Option<&GroupState>,
    state: &GroupState,
    read: &[(GroupEntry, Jws)],
) -> Result<(), ClientError> {
    let own = profile.id()?;
    let is_creator = read.first().is_some_and(|(entry, _)| entry.payload.author == own);
    if before.is_none() && !is_creator {
        let name = &state.settings.name;
        let text = match state.active(own) {
            Some(_) => format!("you belong to the group {name}"),
            None => format!("you do not belong to the group {name} any more"),
        };
        return note(profile, state, state.group.0[..16].try_into().ok(), &text);
    }
    let mut has_link = before.is_some_and(|before| before.link.is_some());
    for (entry, _) in read {
        let ended_link = if has_link { "; that ended the link" } else { "" };
        has_link = match &entry.payload.action {
            Action::Link { key, .. } => key.is_some(),
            Action::Remove { .. } | Action::Suspend { .. } => false,
            _ => has_link,
        };
        let author = entry.payload.author;
        let list = |ids: &mut dyn Iterator<Item = ParticipantId>| {
            ids.map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
        };
        let text = match &entry.payload.action {
            Action::Add { members } => {
                format!("{author} added {}", list(&mut members.iter().map(|member| member.id)))
            }
            Action::Remove { members } => {
                format!("{author} removed {}{ended_link}", list(&mut members.iter().copied()))
            }
            Action::Join { .. } => format!("{author} joined"),
            Action::Leave {} => format!("{author} left"),
            Action::Role { member, role } => format!("{author} made {member} a {role}"),
            Action::Settings { settings } => {
                format!("{author} changed the group: {}, {} write", settings.name, settings.posting)
            }
            Action::Link { key: Some(_), uses } => format!("{author} made a link that lets {uses} join"),
            Action::Link { key: None, .. } => format!("{author} ended the link"),
            Action::Epoch { epoch, .. } => format!("{author} made a new group key (epoch {epoch})"),
            Action::Suspend { member, .. } => {
                format!("the keys of {member} were reset; a moderator has to add them again{ended_link}")
            }
            Action::Renew { .. } => format!("{author} has a new key, signed by the old one"),
            Action::Archive {} => format!("{author} archived the group"),
            Action::Welcome { .. } | Action::Create { .. } => continue,
        };
        note(profile, state, entry.digest.0[..16].try_into().ok(), &text)?;
    }
    Ok(())
}
