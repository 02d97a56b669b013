//! Kinds of messages: what `kind` says and the body that goes with it.
//!
//! Whoever receives a kind it does not know shows that something came, and never drops it. A body that is not
//! what its kind asks for is treated the same way.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoStaticStr;

use crate::blob::{FileReference, MAX_MESSAGE_BLOBS};
use crate::digest::Sha512Digest;
use crate::id::ParticipantId;
use crate::message_id::MessageId;

/// A plain text; the body is a JSON string, or an object with `text` beside what else a newer program says.
pub const TEXT: &str = "text";
/// Files, perhaps with a text; the body is [`Attachments`].
pub const FILE: &str = "file";
/// The same, where every file is an image.
pub const IMAGE: &str = "image";
/// Something its author wants to know who has seen; the body is an [`Announcement`].
pub const ANNOUNCEMENT: &str = "announcement";
/// Something to be done; the body is a [`Task`].
pub const TASK: &str = "task";
/// How far a task is; the body is a [`TaskChange`].
pub const TASK_STATE: &str = "task-state";
/// A question with answers to choose from; the body is a [`Poll`].
pub const POLL: &str = "poll";
/// An answer to a poll; the body is a [`Vote`].
pub const VOTE: &str = "vote";
/// Ends a poll; the body is a [`PollEnd`].
pub const POLL_END: &str = "poll-end";
/// An answer to a message; the body is a [`Reply`].
pub const REPLY: &str = "reply";
/// Another text for an earlier message of the same sender; the body is an [`Edit`].
pub const EDIT: &str = "edit";
/// Takes an earlier message of the same sender back; the body is a [`Withdrawal`].
pub const WITHDRAW: &str = "withdraw";
/// Says that messages arrived or were read; the body is a [`Receipt`].
pub const RECEIPT: &str = "receipt";

/// Fewest and most answers of a poll.
pub const POLL_OPTIONS: std::ops::RangeInclusive<usize> = 2..=20;

/// Longest answer of a poll, in characters.
pub const MAX_OPTION_CHARACTERS: usize = 200;

/// Most messages one receipt is about.
pub const MAX_RECEIPT_MESSAGES: usize = 200;

/// Names a message: IDs are unique for each sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MessageReference {
    /// Who sent it.
    pub from: ParticipantId,
    /// The sender's ID for it.
    pub id: MessageId,
}

/// A place on earth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Degrees north of the equator, -90 to 90.
    pub latitude: f64,
    /// Degrees east of Greenwich, -180 to 180.
    pub longitude: f64,
}

impl Place {
    /// Whether there is such a place.
    pub fn is_acceptable(&self) -> bool {
        (-90.0..=90.0).contains(&self.latitude) && (-180.0..=180.0).contains(&self.longitude)
    }
}

/// The body of [`FILE`] and [`IMAGE`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachments {
    /// What is said with the files; may be empty.
    pub text: String,
    /// 1 to 16 files, each in a blob of its own.
    pub files: Vec<FileReference>,
    /// Where it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// The body of [`ANNOUNCEMENT`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// What is announced.
    pub text: String,
    /// At most 16 files that go along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileReference>,
}

/// The body of [`TASK`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// What is to be done.
    pub text: String,
    /// At most 16 files that go along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileReference>,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum TaskState {
    /// Nobody does it yet, or it has to be done again.
    Open,
    /// Somebody is at it.
    Accepted,
    /// It is done.
    Done,
}

impl TaskState {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// The body of [`TASK_STATE`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskChange {
    /// Which task.
    pub task: MessageReference,
    /// How far it is now.
    pub state: TaskState,
}

/// The body of [`POLL`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Poll {
    /// What is asked.
    pub question: String,
    /// 2 to 20 answers of at most 200 characters.
    pub options: Vec<String>,
    /// Whether several answers may be chosen.
    #[serde(default)]
    pub several: bool,
}

/// The body of [`VOTE`]; a later one takes the place of an earlier one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vote {
    /// Which poll.
    pub poll: MessageReference,
    /// Places of the chosen answers, from 0; none takes the vote back.
    pub choices: Vec<usize>,
}

/// The body of [`POLL_END`]; counts only if the poll is the sender's own. Votes that come later do not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PollEnd {
    /// Which poll.
    pub poll: MessageId,
}

/// The body of [`REPLY`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// What is answered.
    pub to: MessageReference,
    /// The answer.
    pub text: String,
    /// At most 16 files that go along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileReference>,
}

/// The body of [`EDIT`]; counts only if the message is the sender's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// Which message.
    pub message: MessageId,
    /// Its text from now on.
    pub text: String,
}

/// The body of [`WITHDRAW`]; counts only if the message is the sender's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Which message.
    pub message: MessageId,
}

/// What a receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ReceiptKind {
    /// A device has it.
    Delivered,
    /// It was shown to somebody.
    Read,
}

impl ReceiptKind {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// The body of [`RECEIPT`]; goes to the sender of the messages alone, also for those of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Messages of the one who gets the receipt; at most 200.
    pub messages: Vec<MessageId>,
    /// The group they were posted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Sha512Digest>,
    /// What happened to them.
    pub state: ReceiptKind,
}

/// What a message says, read by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// [`TEXT`].
    Text(String),
    /// [`FILE`].
    File(Attachments),
    /// [`IMAGE`].
    Image(Attachments),
    /// [`ANNOUNCEMENT`].
    Announcement(Announcement),
    /// [`TASK`].
    Task(Task),
    /// [`TASK_STATE`].
    TaskState(TaskChange),
    /// [`POLL`].
    Poll(Poll),
    /// [`VOTE`].
    Vote(Vote),
    /// [`POLL_END`].
    PollEnd(PollEnd),
    /// [`REPLY`].
    Reply(Reply),
    /// [`EDIT`].
    Edit(Edit),
    /// [`WITHDRAW`].
    Withdraw(Withdrawal),
    /// [`RECEIPT`].
    Receipt(Receipt),
    /// A kind unknown here, or a body that does not fit it.
    Unknown,
}

impl Content {
    /// Reads a body as its kind asks; what cannot be read is [`Content::Unknown`].
    pub fn read(kind: &str, body: &Value) -> Self {
        let read = match kind {
            TEXT => text_of(body).map(|text| Self::Text(text.to_owned())),
            FILE => parse(body).filter(Attachments::is_acceptable).map(Self::File),
            IMAGE => parse(body).filter(Attachments::is_acceptable).map(Self::Image),
            ANNOUNCEMENT => parse(body).map(Self::Announcement),
            TASK => parse(body).map(Self::Task),
            TASK_STATE => parse(body).map(Self::TaskState),
            POLL => parse(body).filter(Poll::is_acceptable).map(Self::Poll),
            VOTE => parse(body).filter(Vote::is_acceptable).map(Self::Vote),
            POLL_END => parse(body).map(Self::PollEnd),
            REPLY => parse(body).map(Self::Reply),
            EDIT => parse(body).map(Self::Edit),
            WITHDRAW => parse(body).map(Self::Withdraw),
            RECEIPT => parse(body).filter(Receipt::is_acceptable).map(Self::Receipt),
            _ => None,
        };
        read.filter(|content| are_acceptable(content.files())).unwrap_or(Self::Unknown)
    }

    /// The kind and the body to send; [`Content::Unknown`] cannot be sent and gives an empty text.
    pub fn write(&self) -> (&'static str, Value) {
        match self {
            Self::Text(text) => (TEXT, Value::String(text.clone())),
            Self::File(body) => (FILE, value(body)),
            Self::Image(body) => (IMAGE, value(body)),
            Self::Announcement(body) => (ANNOUNCEMENT, value(body)),
            Self::Task(body) => (TASK, value(body)),
            Self::TaskState(body) => (TASK_STATE, value(body)),
            Self::Poll(body) => (POLL, value(body)),
            Self::Vote(body) => (VOTE, value(body)),
            Self::PollEnd(body) => (POLL_END, value(body)),
            Self::Reply(body) => (REPLY, value(body)),
            Self::Edit(body) => (EDIT, value(body)),
            Self::Withdraw(body) => (WITHDRAW, value(body)),
            Self::Receipt(body) => (RECEIPT, value(body)),
            Self::Unknown => (TEXT, Value::String(String::new())),
        }
    }

    /// What people read first, where the kind has a text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::File(Attachments { text, .. })
            | Self::Image(Attachments { text, .. })
            | Self::Announcement(Announcement { text, .. })
            | Self::Task(Task { text, .. })
            | Self::Reply(Reply { text, .. })
            | Self::Edit(Edit { text, .. }) => Some(text),
            Self::Poll(poll) => Some(&poll.question),
            _ => None,
        }
    }

    /// The files that go along.
    pub fn files(&self) -> &[FileReference] {
        match self {
            Self::File(Attachments { files, .. })
            | Self::Image(Attachments { files, .. })
            | Self::Announcement(Announcement { files, .. })
            | Self::Task(Task { files, .. })
            | Self::Reply(Reply { files, .. }) => files,
            _ => &[],
        }
    }
}

/// Whether a message may have these files: not too many, and each blob once.
fn are_acceptable(files: &[FileReference]) -> bool {
    let is_first = |index: usize| files[..index].iter().all(|file| file.blob != files[index].blob);
    files.len() <= MAX_MESSAGE_BLOBS && (0..files.len()).all(is_first)
}

impl Attachments {
    /// Whether there is a file, and the place exists.
    fn is_acceptable(&self) -> bool {
        !self.files.is_empty() && self.place.as_ref().is_none_or(Place::is_acceptable)
    }
}

impl Poll {
    /// Whether it has as many answers as a poll may have, none too long, empty or double.
    pub fn is_acceptable(&self) -> bool {
        let length = |option: &String| (1..=MAX_OPTION_CHARACTERS).contains(&option.chars().count());
        let is_first = |index: usize| !self.options[..index].contains(&self.options[index]);
        POLL_OPTIONS.contains(&self.options.len())
            && self.options.iter().all(length)
            && (0..self.options.len()).all(is_first)
    }
}

impl Vote {
    fn is_acceptable(&self) -> bool {
        let is_first = |index: usize| !self.choices[..index].contains(&self.choices[index]);
        self.choices.iter().all(|choice| *choice < *POLL_OPTIONS.end())
            && self.choices.len() <= *POLL_OPTIONS.end()
            && (0..self.choices.len()).all(is_first)
    }

    /// Whether the vote answers this poll.
    pub fn fits(&self, poll: &Poll) -> bool {
        self.choices.iter().all(|choice| *choice < poll.options.len())
            && (poll.several || self.choices.len() <= 1)
    }
}

impl Receipt {
    fn is_acceptable(&self) -> bool {
        (1..=MAX_RECEIPT_MESSAGES).contains(&self.messages.len())
    }
}

/// A text, also of a program that says more with it than this one knows: `{ "text": "…", … }`.
fn text_of(body: &Value) -> Option<&str> {
    body.as_str().or_else(|| body.get("text")?.as_str())
}

fn parse<T: serde::de::DeserializeOwned>(body: &Value) -> Option<T> {
    T::deserialize(body).ok()
}

fn value(body: &impl Serialize) -> Value {
    serde_json::to_value(body).expect("bodies are plain structures that always serialize")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::blob::{BlobId, FileKey};

    fn reference() -> MessageReference {
        MessageReference { from: ParticipantId::random(), id: MessageId([7; 16]) }
    }

    fn files(count: u8) -> Vec<FileReference> {
        let file = |number| FileReference {
            name: format!("Bild {number}.jpg"),
            media_type: "image/jpeg".into(),
            size: 3,
            blob: BlobId([number; 16]),
            key: FileKey::from_bytes(&[number; 32]).unwrap(),
        };
        (0..count).map(file).collect()
    }

    fn poll(count: usize) -> Poll {
        let options = (0..count).map(|index| format!("Antwort {index}")).collect();
        Poll { question: "Wann?".into(), options, several: false }
    }

    #[test]
    fn a_text_of_a_newer_program_is_read_as_a_text() {
        for body in
            [json!("Hallo"), json!({ "text": "Hallo" }), json!({ "text": "Hallo", "style": ["bold"] })]
        {
            assert_eq!(Content::read(TEXT, &body), Content::Text("Hallo".into()), "{body}");
        }
        for body in [json!(7), json!({ "text": 7 }), json!({ "style": [] }), json!(["Hallo"])] {
            assert_eq!(Content::read(TEXT, &body), Content::Unknown, "{body}");
        }
    }

    #[test]
    fn every_kind_comes_back_as_it_went() {
        let text = || "Lampe kaputt".to_owned();
        for content in [
            Content::Text(text()),
            Content::File(Attachments { text: text(), files: files(1), place: None }),
            Content::Image(Attachments {
                text: text(),
                files: files(16),
                place: Some(Place { latitude: -54.8, longitude: 68.3 }),
            }),
            Content::Announcement(Announcement { text: text(), files: files(2) }),
            Content::Task(Task { text: text(), files: Vec::new() }),
            Content::TaskState(TaskChange { task: reference(), state: TaskState::Accepted }),
            Content::Poll(poll(2)),
            Content::Vote(Vote { poll: reference(), choices: vec![1] }),
            Content::PollEnd(PollEnd { poll: MessageId([1; 16]) }),
            Content::Reply(Reply { to: reference(), text: text(), files: files(1) }),
            Content::Edit(Edit { message: MessageId([1; 16]), text: text() }),
            Content::Withdraw(Withdrawal { message: MessageId([1; 16]) }),
            Content::Receipt(Receipt {
                messages: vec![MessageId([1; 16])],
                group: None,
                state: ReceiptKind::Read,
            }),
        ] {
            let (kind, body) = content.write();
            assert_eq!(Content::read(kind, &body), content);
            // Fields of a later version do not make it unreadable.
            if let Value::Object(mut fields) = body {
                fields.insert("later".into(), json!(1));
                assert_eq!(Content::read(kind, &Value::Object(fields)), content);
            }
        }
    }

    #[test]
    fn what_does_not_fit_its_kind_is_unknown() {
        for (kind, body) in [
            ("hologram", json!("x")),
            (TEXT, json!({})),
            (POLL, value(&poll(1))),
            (POLL, value(&poll(21))),
            (POLL, json!({ "question": "?", "options": ["a", "a"] })),
            (POLL, json!({ "question": "?", "options": ["a", ""] })),
            (VOTE, json!({ "poll": reference(), "choices": [1, 1] })),
            (VOTE, json!({ "poll": reference(), "choices": [20] })),
            (RECEIPT, json!({ "messages": [], "state": "read" })),
            (TASK_STATE, json!({ "task": reference(), "state": "lost" })),
            (FILE, json!({ "text": "", "files": [] })),
            (IMAGE, json!({ "text": "", "files": files(17) })),
            (FILE, json!({ "text": "", "files": [files(1)[0], files(1)[0]] })),
            (FILE, json!({ "text": "", "files": files(1), "place": { "latitude": 90.1, "longitude": 0.0 } })),
            (TASK, json!({ "text": "", "files": files(17) })),
        ] {
            assert_eq!(Content::read(kind, &body), Content::Unknown, "{kind} {body}");
        }
        assert!(matches!(Content::read(POLL, &value(&poll(20))), Content::Poll(_)));
    }

    #[test]
    fn every_limit_of_a_kind_holds_on_both_sides() {
        let is_read = |kind: &str, body: Value| Content::read(kind, &body) != Content::Unknown;
        for (count, fits) in [(1, false), (2, true), (20, true), (21, false)] {
            assert_eq!(is_read(POLL, value(&poll(count))), fits, "{count} answers");
        }
        for (characters, fits) in [(0, false), (1, true), (200, true), (201, false)] {
            let options = vec!["ä".repeat(characters), "andere".into()];
            assert_eq!(is_read(POLL, value(&Poll { options, ..poll(2) })), fits, "{characters} characters");
        }
        for (last, fits) in [(19, true), (20, false)] {
            let choices: Vec<usize> = (0..=last).collect();
            assert_eq!(is_read(VOTE, json!({ "poll": reference(), "choices": [last] })), fits, "{last}");
            assert_eq!(is_read(VOTE, json!({ "poll": reference(), "choices": choices })), fits, "to {last}");
        }
        for (count, fits) in [(0, false), (1, true), (200, true), (201, false)] {
            let messages = vec![MessageId([7; 16]); count];
            let receipt = json!({ "messages": messages, "state": "delivered" });
            assert_eq!(is_read(RECEIPT, receipt), fits, "{count} messages");
        }
        for (count, fits) in [(16, true), (17, false)] {
            for kind in [FILE, IMAGE, ANNOUNCEMENT, TASK, REPLY] {
                let body = json!({ "to": reference(), "text": "", "files": files(count) });
                assert_eq!(is_read(kind, body), fits, "{count} files with {kind}");
            }
        }
        for (latitude, longitude, fits) in [
            (90.0, 180.0, true),
            (-90.0, -180.0, true),
            (90.000_1, 0.0, false),
            (-90.000_1, 0.0, false),
            (0.0, 180.000_1, false),
            (0.0, -180.000_1, false),
        ] {
            let place = json!({ "latitude": latitude, "longitude": longitude });
            let body = json!({ "text": "", "files": files(1), "place": place });
            assert_eq!(is_read(IMAGE, body), fits, "{latitude} {longitude}");
        }
    }

    #[test]
    fn a_vote_fits_the_poll_it_is_for() {
        let vote = |choices: &[usize]| Vote { poll: reference(), choices: choices.to_vec() };
        let one = poll(3);
        let several = Poll { several: true, ..one.clone() };
        assert!(vote(&[2]).fits(&one) && vote(&[]).fits(&one) && vote(&[0, 2]).fits(&several));
        assert!(!vote(&[3]).fits(&one) && !vote(&[0, 1]).fits(&one));
    }

    proptest! {
        #[test]
        fn reading_never_panics(kind in "[a-z-]{0,12}", body in ".{0,200}") {
            let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
            let _ = Content::read(&kind, &body);
        }
    }
}
