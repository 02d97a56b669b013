//! Messages that live on after they were shown: announcements that are seen, tasks that get done, polls, edits.

use momedo_protocol::blob::FileReference;
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::{
    self, Announcement, Content, Edit, MessageReference, Poll, PollEnd, ReceiptKind, Reply, Task, TaskChange,
    TaskState, Vote, Withdrawal,
};
use momedo_protocol::message::{KIND_GROUP_KEY, KIND_GROUP_KEY_REQUEST, KIND_KEY_BACKUP, KIND_KEYS, Message};
use momedo_protocol::message_id::MessageId;
use serde::Serialize;

use crate::draft::{Destination, Draft};
use crate::profile::Profile;
use crate::profile::living::{KeptMessage, Mark};
use crate::{ClientError, inbox};

/// Kinds that are no messages of their own.
const ABOUT_OTHERS: [&str; 10] = [
    kind::TASK_STATE,
    kind::VOTE,
    kind::POLL_END,
    kind::EDIT,
    kind::WITHDRAW,
    kind::RECEIPT,
    KIND_GROUP_KEY,
    KIND_GROUP_KEY_REQUEST,
    KIND_KEYS,
    KIND_KEY_BACKUP,
];

const MARK_READ: &str = "receipt";
const MARK_ARRIVED: &str = "arrived";
const MARK_TASK: &str = "task";
const MARK_VOTE: &str = "vote";
const MARK_ENDED: &str = "poll-end";

/// A message and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LivingMessage {
    /// The sender's ID for it.
    pub id: MessageId,
    /// Who sent it.
    pub from: ParticipantId,
    /// The participant or group it was exchanged with.
    pub conversation: String,
    /// Its kind.
    pub kind: String,
    /// What it says, where that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether its sender took it back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// Of an own message: on whose devices it is, as far as they tell; those who have seen it among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrived: Option<Vec<ParticipantId>>,
    /// Of an own message: who has seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Vec<ParticipantId>>,
    /// Of an own message: who has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_seen: Option<Vec<ParticipantId>>,
    /// Of a task: how far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Of a task: who said so last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<ParticipantId>,
    /// Of a poll: whether its author ended it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// Of a poll: its answers, with who chose each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<PollOption>,
}

/// An answer of a poll.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PollOption {
    /// The answer.
    pub text: String,
    /// Who chose it.
    pub chosen_by: Vec<ParticipantId>,
}

/// The participant or group a message was exchanged with, as people write it.
fn conversation_of(message: &Message, own: ParticipantId) -> String {
    match (&message.group, message.from == own) {
        (Some(group), _) => GroupId::of(&group.id).to_string(),
        (None, true) => message.conversation.unwrap_or(own).to_string(),
        (None, false) => message.from.to_string(),
    }
}

/// The body of kinds that live on; of others nothing is kept. Files and their keys are kept elsewhere.
fn kept_body(content: &Content) -> Option<String> {
    let content = match content {
        Content::Announcement(body) => {
            Content::Announcement(Announcement { files: Vec::new(), ..body.clone() })
        }
        Content::Task(body) => Content::Task(Task { files: Vec::new(), ..body.clone() }),
        Content::Poll(_) => content.clone(),
        _ => return None,
    };
    Some(content.write().1.to_string())
}

/// Takes note of a verified message: keeps what it is about, and marks what it is said about.
pub(crate) fn note(profile: &Profile, message: &Message) -> Result<(), ClientError> {
    let own = profile.id()?;
    let content = Content::read(&message.kind, &message.body);
    let conversation = conversation_of(message, own);
    let reference = MessageReference { from: message.from, id: message.id };
    let mark = |mark: &str, value: String| Mark {
        who: message.from,
        mark: mark.into(),
        value,
        at: message.sent_at.0,
    };
    // What is said about a message counts in its own conversation alone.
    let about = |reference: &MessageReference| -> Result<bool, ClientError> {
        let kept = profile.kept_message(reference)?;
        Ok(kept.is_some_and(|kept| kept.conversation == conversation))
    };
    match &content {
        Content::Receipt(receipt) => {
            // Two marks: a device that is late to say that it has the message does not make it unread.
            let name = match receipt.state {
                ReceiptKind::Delivered => MARK_ARRIVED,
                ReceiptKind::Read => MARK_READ,
            };
            for id in &receipt.messages {
                let reference = MessageReference { from: own, id: *id };
                profile.put_mark(&reference, &mark(name, receipt.state.word().into()))?;
            }
            return Ok(());
        }
        Content::TaskState(change) if about(&change.task)? => {
            profile.put_mark(&change.task, &mark(MARK_TASK, change.state.word().into()))?;
        }
        Content::Vote(vote) if about(&vote.poll)? && !is_ended(profile, &vote.poll)? => {
            let choices = serde_json::to_string(&vote.choices);
            let choices = choices.map_err(|error| ClientError::Protocol(error.to_string()))?;
            profile.put_mark(&vote.poll, &mark(MARK_VOTE, choices))?;
        }
        Content::PollEnd(end) => {
            let poll = MessageReference { id: end.poll, ..reference };
            if about(&poll)? {
                profile.put_mark(&poll, &mark(MARK_ENDED, String::new()))?;
            }
        }
        Content::Edit(edit) => {
            let reference = MessageReference { id: edit.message, ..reference };
            if about(&reference)? {
                edit_kept(profile, &reference, &edit.text)?;
            }
        }
        Content::Withdraw(withdrawal) => {
            let reference = MessageReference { id: withdrawal.message, ..reference };
            if about(&reference)? {
                profile.mark_withdrawn(&reference)?;
                profile.withdraw_files(&reference, own)?;
            }
        }
        _ => {}
    }
    // What another own device sent: this one hears what became of it, too.
    if let (true, Ok(to)) = (message.from == own, conversation.parse()) {
        inbox::keep_beginning(profile, message.id, to, &content)?;
    }
    profile.keep_message(&KeptMessage {
        reference,
        conversation,
        kind: message.kind.clone(),
        body: kept_body(&content),
        audience: None,
        withdrawn: false,
    })
}

/// Whether a poll was ended.
fn is_ended(profile: &Profile, poll: &MessageReference) -> Result<bool, ClientError> {
    Ok(profile.marks(poll)?.iter().any(|mark| mark.mark == MARK_ENDED))
}

fn edit_kept(profile: &Profile, reference: &MessageReference, text: &str) -> Result<(), ClientError> {
    let Some(kept) = profile.kept_message(reference)? else { return Ok(()) };
    let content = match content_of(&kept) {
        Content::Announcement(_) => {
            Content::Announcement(Announcement { text: text.into(), files: Vec::new() })
        }
        Content::Task(_) => Content::Task(Task { text: text.into(), files: Vec::new() }),
        _ => return Ok(()),
    };
    profile.replace_body(reference, &content.write().1.to_string())
}

fn content_of(kept: &KeptMessage) -> Content {
    let body = kept.body.as_deref().and_then(|body| serde_json::from_str(body).ok());
    body.map_or(Content::Unknown, |body| Content::read(&kept.kind, &body))
}

/// Takes note of an own message that was accepted.
pub(crate) fn note_sent(
    profile: &Profile,
    id: MessageId,
    to: Destination,
    draft: &Draft,
) -> Result<(), ClientError> {
    let own = profile.id()?;
    let (conversation, audience) = match to {
        Destination::Participant(to) => (to.to_string(), vec![to]),
        Destination::Group(group) => {
            let state = profile.group(group)?;
            let members = state.iter().flat_map(|state| state.active_members().map(|(id, _)| id));
            (group.to_string(), members.filter(|member| *member != own).collect())
        }
    };
    let content = Content::read(&draft.kind, &draft.body);
    let own_mark =
        |mark: &str, value: String| Mark { who: own, mark: mark.into(), value, at: crate::now().0 };
    match &content {
        Content::Receipt(_) => return Ok(()),
        Content::TaskState(change) => {
            profile.put_mark(&change.task, &own_mark(MARK_TASK, change.state.word().into()))?;
        }
        Content::Vote(vote) => {
            let choices = serde_json::to_string(&vote.choices);
            let choices = choices.map_err(|error| ClientError::Protocol(error.to_string()))?;
            profile.put_mark(&vote.poll, &own_mark(MARK_VOTE, choices))?;
        }
        Content::PollEnd(end) => {
            let poll = MessageReference { from: own, id: end.poll };
            profile.put_mark(&poll, &own_mark(MARK_ENDED, String::new()))?;
        }
        Content::Edit(edit) => {
            edit_kept(profile, &MessageReference { from: own, id: edit.message }, &edit.text)?;
        }
        Content::Withdraw(withdrawal) => {
            let reference = MessageReference { from: own, id: withdrawal.message };
            profile.mark_withdrawn(&reference)?;
            profile.withdraw_files(&reference, own)?;
        }
        _ => {}
    }
    let audience =
        serde_json::to_string(&audience).map_err(|error| ClientError::Protocol(error.to_string()))?;
    inbox::keep_beginning(profile, id, to, &content)?;
    profile.keep_message(&KeptMessage {
        reference: MessageReference { from: own, id },
        conversation,
        kind: draft.kind.clone(),
        body: kept_body(&content),
        audience: Some(audience),
        withdrawn: false,
    })
}

/// A message by its ID, or by `SENDER/ID` where several have the same.
///
/// # Errors
/// [`ClientError::UnknownMessage`].
pub fn find(profile: &Profile, name: &str) -> Result<LivingMessage, ClientError> {
    described(profile, find_kept(profile, name)?)
}

/// The messages kept last, the newest last: at most `limit`, and with `with` those exchanged with it alone. What only
/// says something about another message, or hands out keys, is not among them.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn newest(
    profile: &Profile,
    with: Option<Destination>,
    limit: usize,
) -> Result<Vec<LivingMessage>, ClientError> {
    let with = with.map(|with| match with {
        Destination::Participant(id) => id.to_string(),
        Destination::Group(id) => id.to_string(),
    });
    let is_listed = |kind: &str| !ABOUT_OTHERS.contains(&kind);
    let mut kept = profile.newest_messages(with.as_deref(), limit, is_listed)?;
    kept.reverse();
    kept.into_iter().map(|kept| described(profile, kept)).collect()
}

fn described(profile: &Profile, kept: KeptMessage) -> Result<LivingMessage, ClientError> {
    let marks = profile.marks(&kept.reference)?;
    let content = content_of(&kept);
    let mut living = LivingMessage {
        id: kept.reference.id,
        from: kept.reference.from,
        conversation: kept.conversation,
        text: content.text().map(str::to_owned),
        withdrawn: kept.withdrawn,
        arrived: None,
        seen: None,
        not_seen: None,
        state: None,
        by: None,
        ended: marks.iter().any(|mark| mark.mark == MARK_ENDED),
        options: Vec::new(),
        kind: kept.kind,
    };
    if let Some(audience) = kept.audience {
        let audience: Vec<ParticipantId> =
            serde_json::from_str(&audience).map_err(|error| ClientError::Protocol(error.to_string()))?;
        let is_marked = |who: &ParticipantId, names: &[&str]| {
            marks.iter().any(|mark| mark.who == *who && names.contains(&mark.mark.as_str()))
        };
        let has_it = |who: &&ParticipantId| is_marked(who, &[MARK_READ, MARK_ARRIVED]);
        living.arrived = Some(audience.iter().filter(has_it).copied().collect());
        let (seen, not_seen) = audience.into_iter().partition(|who| is_marked(who, &[MARK_READ]));
        (living.seen, living.not_seen) = (Some(seen), Some(not_seen));
    }
    match content {
        Content::Task(_) => {
            let last = marks.iter().rfind(|mark| mark.mark == MARK_TASK);
            living.state = Some(last.map_or(TaskState::Open.word(), |mark| &mark.value).to_owned());
            living.by = last.map(|mark| mark.who);
        }
        Content::Poll(poll) => living.options = count(&poll, &kept.reference, &marks),
        _ => {}
    }
    Ok(living)
}

fn count(poll: &Poll, reference: &MessageReference, marks: &[Mark]) -> Vec<PollOption> {
    let votes: Vec<(ParticipantId, Vote)> = marks
        .iter()
        .filter(|mark| mark.mark == MARK_VOTE)
        .filter_map(|mark| {
            let choices = serde_json::from_str(&mark.value).ok()?;
            Some((mark.who, Vote { poll: *reference, choices }))
        })
        .filter(|(_, vote)| vote.fits(poll))
        .collect();
    let option = |(place, text): (usize, &String)| PollOption {
        text: text.clone(),
        chosen_by: votes
            .iter()
            .filter(|(_, vote)| vote.choices.contains(&place))
            .map(|(who, _)| *who)
            .collect(),
    };
    poll.options.iter().enumerate().map(option).collect()
}

fn find_kept(profile: &Profile, name: &str) -> Result<KeptMessage, ClientError> {
    let unknown = || ClientError::UnknownMessage(name.to_owned());
    let (sender, id) = match name.split_once('/') {
        Some((sender, id)) => (Some(sender.parse::<ParticipantId>().map_err(|_| unknown())?), id),
        None => (None, name),
    };
    let mut found = profile.kept_messages(id.parse().map_err(|_| unknown())?)?;
    found.retain(|message| sender.is_none_or(|sender| sender == message.reference.from));
    match (found.pop(), found.is_empty()) {
        (Some(message), true) => Ok(message),
        _ => Err(unknown()),
    }
}

/// What somebody wants to say about a message.
#[derive(Debug, Clone)]
pub enum About {
    /// Answer it, perhaps with files.
    Reply(String, Vec<FileReference>),
    /// Give it another text; own messages only.
    Edit(String),
    /// Take it back; own messages only.
    Withdraw,
    /// Say how far a task is.
    Task(TaskState),
    /// Choose answers of a poll, counted from 1.
    Vote(Vec<usize>),
    /// End a poll; own ones only.
    EndPoll,
}

/// Words something about a message, and says where it goes.
///
/// # Errors
/// [`ClientError::UnknownMessage`], or [`ClientError::NotPossible`] when it cannot be said of this message.
pub fn about(profile: &Profile, name: &str, about: About) -> Result<(Destination, Draft), ClientError> {
    let kept = find_kept(profile, name)?;
    let impossible = |reason: &str| Err(ClientError::NotPossible(reason.into()));
    let is_own = kept.reference.from == profile.id()?;
    let content = match about {
        About::Reply(text, files) => Content::Reply(Reply { to: kept.reference, text, files }),
        About::Edit(_) | About::Withdraw if !is_own => {
            return impossible("only your own messages can be changed or taken back");
        }
        About::Edit(_) if kept.withdrawn => return impossible("the message was taken back"),
        About::Edit(text) => Content::Edit(Edit { message: kept.reference.id, text }),
        About::Withdraw => Content::Withdraw(Withdrawal { message: kept.reference.id }),
        About::Task(state) => match content_of(&kept) {
            Content::Task(_) => Content::TaskState(TaskChange { task: kept.reference, state }),
            _ => return impossible("this message is no task"),
        },
        About::Vote(choices) => {
            let Content::Poll(poll) = content_of(&kept) else {
                return impossible("this message is no poll");
            };
            let choices = choices.iter().map(|choice| choice.wrapping_sub(1)).collect();
            let vote = Vote { poll: kept.reference, choices };
            if is_ended(profile, &kept.reference)? {
                return impossible("the poll has ended");
            }
            if !vote.fits(&poll) {
                return impossible("the poll has no such answers, or takes only one");
            }
            Content::Vote(vote)
        }
        About::EndPoll => match content_of(&kept) {
            Content::Poll(_) if is_own => Content::PollEnd(PollEnd { poll: kept.reference.id }),
            Content::Poll(_) => return impossible("only your own polls can be ended"),
            _ => return impossible("this message is no poll"),
        },
    };
    let to = kept.conversation.parse().map_err(ClientError::Protocol)?;
    Ok((to, Draft::of(&content)))
}
