//! Receiving: open, verify, store, show, and only then acknowledge.

use std::path::{Path, PathBuf};
use std::time::Duration;

use momedo_protocol::api::Delivery;
use momedo_protocol::blob::{BlobId, FileReference};
use momedo_protocol::cursor::Cursor;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::envelope;
use momedo_protocol::group::GroupId;
use momedo_protocol::group::envelope::is_group_envelope;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::{Content, MessageReference};
use momedo_protocol::limits::MAX_OZONE_PAGE;
use momedo_protocol::message::{KIND_GROUP_KEY, KIND_KEY_BACKUP, KIND_KEYS, Message};
use momedo_protocol::message_id::MessageId;
use momedo_protocol::notice::{Fate, Notice};
use momedo_protocol::seal;
use momedo_protocol::time::UnixMillis;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::contacts::{self, Trust};
use crate::devices::adopt_published_keys;
use crate::groups::receiving::{self as groups, Taken};
use crate::profile::Profile;
use crate::registration::Progress;
use crate::rotation::rotate_if_due;
use crate::secrets::CarriedKeys;
use crate::session::Session;
use crate::{
    ClientError, blobs, blocking, homes, key_backup, key_log, living, now, receipts, reporting, unconfirmed,
};

/// Messages fetched at once.
const PAGE: usize = 100;

/// How long the second home is asked to wait for something new.
const SECOND_WAIT: Duration = Duration::from_secs(20);

/// Setting with the server the participant registered at.
pub(crate) const REGISTERED_AT: &str = "registered-at";

/// Setting with the time the other home's queue was last emptied.
const EMPTIED_AT: &str = "second-home-emptied-at";

/// How often it is, in milliseconds: once an hour.
const EMPTY_EVERY: u64 = 3_600_000;

/// A received message as it is shown; one line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The sender's ID for it.
    pub id: MessageId,
    /// Who sent it.
    pub from: ParticipantId,
    /// On a copy of what another own device sent: to whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ParticipantId>,
    /// The group it was posted to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// `text`, `unreadable`, an unknown kind as it came, or an event.
    pub kind: String,
    /// The text, where the kind has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The whole body, of kinds that are more than a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<serde_json::Value>,
    /// Files that came along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ReceivedFile>,
    /// When it was written, by the sender's clock; when the server took it, if it cannot be read.
    pub sent_at: UnixMillis,
    /// Whether the signature fits the pinned key.
    pub verified: bool,
    /// `first-use` or `compared`.
    pub trust: String,
    /// The suite it was sealed with.
    pub suite: u8,
    /// Whether people wrote it; the rest is shown only when asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub event: bool,
}

/// A file that came along with a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReceivedFile {
    /// What `momedo file save` takes.
    pub id: BlobId,
    /// What its sender calls it.
    pub name: String,
    /// Its media type, as its sender says.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where it was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<PathBuf>,
    /// Why it was not saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Where files that come along are saved, and how.
pub struct Saving<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// How long nothing may move before a file is given up for now.
    pub wait: Duration,
    /// Hears how far it is.
    pub progress: Progress<'a>,
}

/// Fetches, stores and shows everything that waits, then acknowledges; with `wait`, waits that long for
/// the first message. Returns how many were shown.
///
/// `show` must have put a message where the person sees it before it returns; what it fails on is shown
/// again next time.
///
/// # Errors
/// As [`ClientError`] says, or what `show` says.
pub async fn receive(
    profile: &Profile,
    session: &mut Session,
    wait: Duration,
    show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
) -> Result<usize, ClientError> {
    receive_files(profile, session, wait, None, show).await
}

/// As [`receive`], and saves files of verified messages before they are shown.
///
/// # Errors
/// As [`receive`]; a file that cannot be had is no error, the message says why.
pub async fn receive_files(
    profile: &Profile,
    session: &mut Session,
    wait: Duration,
    saving: Option<&Saving<'_>>,
    show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
) -> Result<usize, ClientError> {
    let mut shown = show_stored(profile, session, saving, show).await?;
    homes::follow_if_due(profile, session).await;
    if !session.is_second {
        adopt_published_keys(profile, session).await?;
        unconfirmed::submit_due(profile, session).await?;
        take_waiting(profile, session).await?;
        groups::sync_all(profile, session).await?;
        shown += show_stored(profile, session, saving, show).await?;
        // Keys that could not be renewed today are renewed another day; mail is worth more.
        drop(rotate_if_due(profile, session, &|_| {}).await);
        drop(key_backup::renew_if_due(profile, session).await);
    }
    // What was known before serves when the server does not say.
    drop(blocking::refresh(profile, session).await);
    let wait = if shown > 0 { Duration::ZERO } else { wait };
    // Who is with their second home looks for the first again soon.
    let wait = if session.is_second { wait.min(SECOND_WAIT) } else { wait };
    let fetched = fetch(profile, session, wait, saving, show).await?;
    shown += fetched.shown;
    let mut oldest = Some(fetched.oldest_bundle_version);
    if profile.second_home()?.is_some() {
        oldest = match empty_other_home(profile, session, saving, show).await? {
            Some(other) => {
                shown += other.shown;
                Some(fetched.oldest_bundle_version.min(other.oldest_bundle_version))
            }
            None => None,
        };
    }
    // Something may wait at the other home that only older keys open.
    if let Some(oldest) = oldest {
        profile.erase_keys_before(oldest)?;
    }
    receipts::send_due(profile, session).await?;
    blobs::send_releases(profile, session).await?;
    tolerate(key_log::check_own(profile, session).await)?;
    Ok(shown + show_stored(profile, session, saving, show).await?)
}

/// What fetching came to.
struct Fetched {
    shown: usize,
    /// Only older keys may be erased.
    oldest_bundle_version: u64,
}

/// Fetches, stores, shows and acknowledges what waits at one home.
async fn fetch(
    profile: &Profile,
    session: &mut Session,
    mut wait: Duration,
    saving: Option<&Saving<'_>>,
    show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
) -> Result<Fetched, ClientError> {
    let mut shown = 0;
    let name = cursor_name(profile, session)?;
    let mut after: Option<Cursor> = profile.get(&name)?;
    loop {
        let page = session.ozone(after, PAGE, wait).await?;
        wait = Duration::ZERO;
        if page.messages.is_empty() {
            return Ok(Fetched { shown, oldest_bundle_version: page.oldest_bundle_version });
        }
        for delivery in &page.messages {
            take(profile, session, delivery).await?;
        }
        shown += show_stored(profile, session, saving, show).await?;
        // Everything is stored: only now may the server forget it. The cursor follows last, or a
        // program killed in between would never acknowledge this page.
        session.acknowledge(page.cursor).await?;
        profile.set(&name, &page.cursor)?;
        after = Some(page.cursor);
    }
}

/// The setting with the place in the queue of the home that a session is with.
fn cursor_name(profile: &Profile, session: &mut Session) -> Result<String, ClientError> {
    let server = session.connection().server().fingerprint;
    let registered_at: Option<Fingerprint> = profile.get(REGISTERED_AT)?;
    let is_first = registered_at.unwrap_or(profile.server()?.fingerprint) == server;
    Ok(if is_first { "cursor".into() } else { format!("cursor:{server}") })
}

/// Takes what waits at the home that `session` is not with: mostly what came here already, and is dropped. Once an hour,
/// so that it does not fill up; `None` when it was not done.
async fn empty_other_home(
    profile: &Profile,
    session: &mut Session,
    saving: Option<&Saving<'_>>,
    show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
) -> Result<Option<Fetched>, ClientError> {
    let emptied: Option<UnixMillis> = profile.get(EMPTIED_AT)?;
    let is_due = emptied.is_none_or(|at| now().0.saturating_sub(at.0) >= EMPTY_EVERY || at > now());
    if session.is_second || !is_due {
        return Ok(None);
    }
    let Some(mut other) = homes::other(profile, session).await else { return Ok(None) };
    match fetch(profile, &mut other, Duration::ZERO, saving, show).await {
        Ok(fetched) => {
            profile.set(EMPTIED_AT, &now())?;
            Ok(Some(fetched))
        }
        Err(error @ ClientError::Profile { .. }) => Err(error),
        // It is only the other one.
        Err(_) => Ok(None),
    }
}

/// Takes what came over the second home and could not be judged there.
async fn take_waiting(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    for (row, text) in profile.locked()? {
        let delivery: Delivery =
            serde_json::from_str(&text).map_err(|error| ClientError::Protocol(error.to_string()))?;
        if !is_group_envelope(&delivery.envelope.0) {
            take_now(profile, session, &delivery).await?;
            profile.remove_locked(row)?;
        }
    }
    open_locked(profile, session).await
}

async fn show_stored(
    profile: &Profile,
    session: &mut Session,
    saving: Option<&Saving<'_>>,
    show: &mut (dyn FnMut(&Received) -> std::io::Result<()> + Send),
) -> Result<usize, ClientError> {
    let mut shown = 0;
    for (sender, id, event) in profile.unshown()? {
        let mut received: Received =
            serde_json::from_str(&event).map_err(|error| ClientError::Protocol(error.to_string()))?;
        if let Some(saving) = saving.filter(|_| received.verified && !received.files.is_empty()) {
            // Files may take a while.
            receipts::send_due(profile, session).await?;
            save_files(profile, session, &mut received, saving).await?;
        }
        if let Err(error) = show(&received) {
            // Nobody has read it, but it is here.
            receipts::send_due(profile, session).await?;
            return Err(ClientError::Protocol(format!("cannot show a message: {error}")));
        }
        profile.atomically(|| {
            if received.verified && !received.event {
                let reference = MessageReference { from: received.from, id: received.id };
                receipts::note_shown(profile, &reference, received.group, &received.kind)?;
            }
            profile.mark_shown(&sender, &id)
        })?;
        shown += 1;
    }
    Ok(shown)
}

/// Saves the files of a message; one that is gone or damaged says so instead.
async fn save_files(
    profile: &Profile,
    session: &mut Session,
    received: &mut Received,
    saving: &Saving<'_>,
) -> Result<(), ClientError> {
    let from = received.from;
    let kept = profile.kept_message(&MessageReference { from, id: received.id })?;
    let is_withdrawn = kept.is_some_and(|kept| kept.withdrawn);
    for file in &mut received.files {
        // Killed between saving and showing: it is there already.
        let saved = profile.saved_file(file.id, from)?.filter(|path| path.is_file());
        if saved.is_some() {
            file.saved = saved;
            continue;
        }
        if is_withdrawn {
            file.problem = Some("its sender took it back".into());
            continue;
        }
        let Saving { folder, wait, progress } = *saving;
        match blobs::save(profile, session, file.id, Some(from), folder, wait, progress).await {
            Ok(path) => file.saved = Some(path),
            // Shown another time, with its files.
            Err(error) if error.is_temporary() => return Err(error),
            Err(error @ ClientError::Profile { .. }) => return Err(error),
            Err(error) => file.problem = Some(error.to_string()),
        }
    }
    Ok(())
}

/// Takes one delivery: opens, verifies and stores it; low-level, [`receive`] does it for everything that waits.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn take_delivery(
    profile: &Profile,
    session: &mut Session,
    delivery: &Delivery,
) -> Result<(), ClientError> {
    take(profile, session, delivery).await
}

/// What was taken and not shown yet, in the order it came.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn stored(profile: &Profile) -> Result<Vec<Received>, ClientError> {
    let read =
        |event: &str| serde_json::from_str(event).map_err(|error| ClientError::Protocol(error.to_string()));
    profile.unshown()?.iter().map(|(_, _, event)| read(event)).collect()
}

/// Takes a delivery; what the second home cannot tell enough about waits until the first is back.
async fn take(profile: &Profile, session: &mut Session, delivery: &Delivery) -> Result<(), ClientError> {
    match take_now(profile, session, delivery).await {
        Err(error)
            if session.is_second
                && matches!(
                    error.problem(),
                    Some("home-unreachable" | "unknown-participant" | "unknown-group")
                ) =>
        {
            keep_locked(profile, delivery)
        }
        result => result,
    }
}

fn keep_locked(profile: &Profile, delivery: &Delivery) -> Result<(), ClientError> {
    let text = serde_json::to_string(delivery);
    profile.put_locked(&text.map_err(|error| ClientError::Protocol(error.to_string()))?)
}

/// Verifies first, then drops duplicates by sender and message ID.
async fn take_now(profile: &Profile, session: &mut Session, delivery: &Delivery) -> Result<(), ClientError> {
    if let Some(notice) = Notice::decode(&delivery.envelope.0) {
        return take_notice(profile, session.id, delivery, &notice);
    }
    if is_group_envelope(&delivery.envelope.0) {
        return take_from_group(profile, session, delivery).await;
    }
    let opened = open(profile, delivery)?;
    let received = match opened {
        Some((inner, suite)) => read(profile, session, delivery, &inner, suite).await?,
        None => Some((unreadable(delivery), None)),
    };
    let (received, message) = received.unzip();
    let (from, message) = (delivery.from, message.flatten());
    compare_logs(profile, session, received.as_ref(), message.as_ref()).await?;
    put(profile, from, &from.to_string(), delivery.id, received.as_ref(), message.as_ref())
}

/// Takes what the own home tells of messages to other servers: an event for each.
fn take_notice(
    profile: &Profile,
    own: ParticipantId,
    delivery: &Delivery,
    notice: &Notice,
) -> Result<(), ClientError> {
    // The own home says it in the participant's own name; whatever else says so is not its word.
    if delivery.from != own {
        let from = delivery.from;
        return put(profile, from, &from.to_string(), delivery.id, Some(&unreadable(delivery)), None);
    }
    let kind = match notice.fate {
        Fate::Delivered => "delivered",
        Fate::Undeliverable => "undeliverable",
    };
    for message in &notice.messages {
        let event = Received {
            id: message.id,
            to: Some(message.to),
            kind: kind.into(),
            text: notice.reason.map(|reason| reason.word().to_owned()),
            verified: true,
            trust: Trust::Compared.name().into(),
            suite: 0,
            // An end that is not the one hoped for must be seen.
            event: notice.fate == Fate::Delivered,
            ..unreadable(delivery)
        };
        put(profile, own, &format!("notice {}", message.to), message.id, Some(&event), None)?;
        profile.forget_unconfirmed(message.id, message.to)?;
    }
    Ok(())
}

/// Has it shown with the next messages that a message did not arrive.
pub(crate) fn put_undeliverable(
    profile: &Profile,
    id: MessageId,
    to: ParticipantId,
    reason: &str,
) -> Result<(), ClientError> {
    let event = Received { id, to: Some(to), kind: "undeliverable".into(), ..said(profile, reason)? };
    let own = profile.id()?;
    put(profile, own, &format!("notice {to}"), id, Some(&event), None)
}

/// Stores what was opened, unless it is known. Only what was verified stands for its ID: something forged must
/// not keep the true message out.
fn put(
    profile: &Profile,
    from: ParticipantId,
    sender: &str,
    id: MessageId,
    received: Option<&Received>,
    message: Option<&Message>,
) -> Result<(), ClientError> {
    let verified = received.is_none_or(|received| received.verified);
    let sender = if verified { sender.to_owned() } else { format!("unverified {sender}") };
    // The server refuses what the blocked send to oneself; what it took before, and what they post to groups, is
    // dropped here.
    let (received, message) =
        if blocking::is_blocked(profile, from)? { (None, None) } else { (received, message) };
    if profile.is_known(&sender, id)? {
        return Ok(());
    }
    let event = received.map(serde_json::to_string).transpose();
    let event = event.map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.atomically(|| {
        if let Some(message) = message.filter(|_| verified) {
            living::note(profile, message)?;
            blobs::note(profile, message)?;
            receipts::note_arrived(profile, message)?;
        }
        profile.put_inbox(&sender, id, event.as_deref())
    })
}

/// Compares what a verified message says of the server's log of key changes with what is seen here.
async fn compare_logs(
    profile: &Profile,
    session: &mut Session,
    received: Option<&Received>,
    message: Option<&Message>,
) -> Result<(), ClientError> {
    match message.filter(|_| received.is_some_and(|received| received.verified)) {
        Some(message) if blocking::is_blocked(profile, message.from)? => Ok(()),
        Some(message) => tolerate(key_log::compare(profile, session, message).await),
        None => Ok(()),
    }
}

/// What is wrong with the log was said where it was found; mail is taken all the same. Only a profile that cannot be
/// written, or a line that broke, ends receiving.
fn tolerate(result: Result<(), ClientError>) -> Result<(), ClientError> {
    match result {
        Err(error @ (ClientError::Profile { .. } | ClientError::Unreachable { .. })) => Err(error),
        _ => Ok(()),
    }
}

/// Has an alarm about the server shown with the next messages.
pub(crate) fn put_alarm(profile: &Profile, words: &str) -> Result<(), ClientError> {
    let alarm = said(profile, words)?;
    let event = serde_json::to_string(&alarm).map_err(|error| ClientError::Protocol(error.to_string()))?;
    profile.put_inbox("alarm", alarm.id, Some(&event))
}

/// Something that this program says itself.
fn said(profile: &Profile, words: &str) -> Result<Received, ClientError> {
    Ok(Received {
        id: MessageId::new(now()),
        from: profile.id()?,
        to: None,
        group: None,
        kind: "alarm".into(),
        text: Some(words.to_owned()),
        body: None,
        files: Vec::new(),
        sent_at: now(),
        verified: true,
        trust: Trust::Compared.name().into(),
        suite: 0,
        event: false,
    })
}

/// Takes what was posted to a group; without its key it waits for it.
async fn take_from_group(
    profile: &Profile,
    session: &mut Session,
    delivery: &Delivery,
) -> Result<(), ClientError> {
    match groups::take(profile, session, delivery).await? {
        Taken::Shown(received, message) => {
            let sender = group_sender(delivery);
            compare_logs(profile, session, Some(&received), message.as_deref()).await?;
            put(profile, delivery.from, &sender, delivery.id, Some(&received), message.as_deref())
        }
        Taken::Locked => {
            keep_locked(profile, delivery)?;
            groups::note_locked(profile, delivery)
        }
    }
}

/// One sender may use a message ID once in every conversation.
fn group_sender(delivery: &Delivery) -> String {
    let group = delivery.group.map(|group| group.to_string()).unwrap_or_default();
    format!("{} {group}", delivery.from)
}

/// Keeps a group key, reads the group on, and opens what waited for the key.
async fn take_group_key(
    profile: &Profile,
    session: &mut Session,
    message: &Message,
) -> Result<(), ClientError> {
    let Some(body) = crate::groups::keys::take(profile, message)? else { return Ok(()) };
    match crate::groups::chain::sync(profile, session, GroupId::of(&body.group)).await {
        Ok(_) | Err(ClientError::BrokenGroup { .. }) => {}
        Err(error) if matches!(error.problem(), Some("unknown-group" | "home-unreachable")) => {}
        Err(error) => return Err(error),
    }
    open_locked(profile, session).await
}

/// Opens what was posted to groups and waited for something.
async fn open_locked(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    for (row, text) in profile.locked()? {
        let delivery: Delivery =
            serde_json::from_str(&text).map_err(|error| ClientError::Protocol(error.to_string()))?;
        if !is_group_envelope(&delivery.envelope.0) {
            continue;
        }
        let taken = match groups::take(profile, session, &delivery).await {
            Err(error) if error.problem() == Some("home-unreachable") => continue,
            taken => taken?,
        };
        if let Taken::Shown(received, message) = taken {
            let sender = group_sender(&delivery);
            put(profile, delivery.from, &sender, delivery.id, Some(&received), message.as_deref())?;
            profile.remove_locked(row)?;
        }
    }
    Ok(())
}

/// Pages looked through for group keys before something is sealed.
const KEY_PAGES: usize = 20;

/// Takes group keys out of what waits, without showing or acknowledging anything: whoever writes before reading
/// must not make a new key because of that.
pub(crate) async fn look_for_group_keys(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let mut after: Option<Cursor> = profile.get(&cursor_name(profile, session)?)?;
    for _ in 0..KEY_PAGES {
        let page = session.ozone(after, MAX_OZONE_PAGE, Duration::ZERO).await?;
        for delivery in &page.messages {
            let Some((inner, _)) = open(profile, delivery)? else { continue };
            let Ok(claimed) = Message::unverified(&inner) else { continue };
            let says_the_same = claimed.from == delivery.from && claimed.to == Some(session.id);
            if claimed.kind == KIND_GROUP_KEY && says_the_same && claimed.id == delivery.id {
                // The chain says by its commitment which keys count, so whoever it is from.
                crate::groups::keys::take(profile, &claimed)?;
            }
        }
        if page.messages.is_empty() {
            break;
        }
        after = Some(page.cursor);
    }
    Ok(())
}

/// A body as it is shown: the keys of its files are nobody's business.
fn without_keys(body: &serde_json::Value) -> serde_json::Value {
    let mut body = body.clone();
    let files = body.get_mut("files").and_then(serde_json::Value::as_array_mut);
    for file in files.into_iter().flatten().filter_map(serde_json::Value::as_object_mut) {
        file.remove("key");
    }
    body
}

fn described_file(file: &FileReference) -> ReceivedFile {
    ReceivedFile {
        id: file.blob,
        name: file.name.clone(),
        media_type: file.media_type.clone(),
        size: file.size,
        saved: None,
        problem: None,
    }
}

/// Kinds under which this program tells of something itself.
const OWN_KINDS: &[&str] = &["alarm", "delivered", "undeliverable", "unreadable"];

/// The kind as it is shown: nobody's message passes for something that this program says.
fn shown_kind(kind: &str) -> String {
    if OWN_KINDS.contains(&kind) { format!("message {kind}") } else { kind.to_owned() }
}

/// An opened message as it is shown.
pub(crate) fn described(message: &Message, verified: bool, trust: Trust, suite: u8) -> Received {
    let content = Content::read(&message.kind, &message.body);
    let is_text = matches!(content, Content::Text(_));
    Received {
        id: message.id,
        from: message.from,
        to: None,
        group: message.group.map(|group| GroupId::of(&group.id)),
        kind: shown_kind(&message.kind),
        text: content.text().map(str::to_owned),
        body: (!is_text).then(|| without_keys(&message.body)),
        files: content.files().iter().map(described_file).collect(),
        sent_at: message.sent_at,
        verified,
        trust: trust.name().into(),
        suite,
        event: matches!(content, Content::Receipt(_)),
    }
}

/// The signed bytes of an opened envelope, and its suite.
type Opened = (Zeroizing<Vec<u8>>, u8);

fn open(profile: &Profile, delivery: &Delivery) -> Result<Option<Opened>, ClientError> {
    let bytes = &delivery.envelope.0;
    let Ok(outside) = envelope::decode(bytes) else { return Ok(None) };
    let Some(keys) = profile.private_keys(&outside.header.recipient_digest)? else { return Ok(None) };
    Ok(seal::open(bytes, &keys).ok().map(|inner| (inner, outside.header.suite.number())))
}

pub(crate) fn unreadable(delivery: &Delivery) -> Received {
    Received {
        id: delivery.id,
        from: delivery.from,
        to: None,
        group: None,
        kind: "unreadable".into(),
        text: None,
        body: None,
        files: Vec::new(),
        sent_at: delivery.accepted_at,
        verified: false,
        trust: Trust::FirstUse.name().into(),
        suite: delivery.envelope.0.get(1).copied().unwrap_or(0),
        event: false,
    }
}

async fn read(
    profile: &Profile,
    session: &mut Session,
    delivery: &Delivery,
    inner: &[u8],
    suite: u8,
) -> Result<Option<(Received, Option<Message>)>, ClientError> {
    let own = profile.id()?;
    let Ok(claimed) = Message::unverified(inner) else { return Ok(Some((unreadable(delivery), None))) };
    // What the server says outside must be what the sender signed inside.
    if claimed.from != delivery.from
        || claimed.to != Some(own)
        || claimed.group.is_some()
        || claimed.id != delivery.id
    {
        return Ok(Some((unreadable(delivery), None)));
    }
    let (verified, trust) = if claimed.from == own {
        // Of several changes made while this device was away, each is signed with the key before.
        let mut keys = profile.carried_signature_keys()?;
        keys.push(profile.own_bundle()?.signature_key);
        let fits = keys.iter().any(|key| Message::verify(inner, key).is_ok());
        if fits && claimed.kind == KIND_KEYS && keep_keys(profile, &claimed)? {
            adopt_published_keys(profile, session).await?;
            return Ok(None);
        }
        if fits && claimed.kind == KIND_KEY_BACKUP && key_backup::take(profile, &claimed)? {
            return Ok(None);
        }
        (fits, Trust::Compared)
    } else {
        verify(profile, session, inner, claimed.from).await?
    };
    if claimed.kind == KIND_GROUP_KEY && verified {
        return take_group_key(profile, session, &claimed).await.map(|()| None);
    }
    if verified && claimed.from != own {
        reporting::keep(profile, claimed.from, claimed.id, inner)?;
    }
    // Only an own device can say that it wrote to somebody else.
    let to = claimed.conversation.filter(|_| claimed.from == own);
    Ok(Some((Received { to, ..described(&claimed, verified, trust, suite) }, Some(claimed))))
}

/// Whether the signature fits the sender's pinned key, fetching it on first use or after a change.
async fn verify(
    profile: &Profile,
    session: &mut Session,
    inner: &[u8],
    from: ParticipantId,
) -> Result<(bool, Trust), ClientError> {
    if let Some(known) = contacts::remembered(profile, from)?
        && Message::verify(inner, &known.bundle.signature_key).is_ok()
    {
        return Ok((true, known.trust));
    }
    match contacts::fetch(profile, session, from).await {
        Ok(known) => {
            let mut keys = std::iter::once(&known.bundle.signature_key).chain(&known.earlier_keys);
            Ok((keys.any(|key| Message::verify(inner, key).is_ok()), known.trust))
        }
        // Keys that may not be used verify nothing, but the message is shown as what it is.
        Err(ClientError::KeysReset { .. } | ClientError::UntrustedKeys { .. } | ClientError::KeyLog(_)) => {
            Ok((false, Trust::FirstUse))
        }
        // The second home may not know everybody.
        Err(ClientError::Refused(problem)) if problem.status == 404 && !session.is_second => {
            Ok((false, Trust::FirstUse))
        }
        Err(error) => Err(error),
    }
}

/// Keeps keys that another own device made and sealed to this one; false when they cannot be read, for
/// example because a newer version wrote them.
fn keep_keys(profile: &Profile, message: &Message) -> Result<bool, ClientError> {
    let Ok(carried) = serde_json::from_value::<CarriedKeys>(message.body.clone()) else { return Ok(false) };
    if !carried.is_readable() {
        return Ok(false);
    }
    profile.store_carried_keys(&carried).map(|()| true)
}
