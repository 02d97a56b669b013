//! Reports: a recipient discloses one message to the staff, with the sender's signature, so that nobody
//! can put words into anybody's mouth. There is no key that opens what nobody disclosed.

use momedo_protocol::api;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::Jws;
use momedo_protocol::key_bundle::KeyBundle;
use momedo_protocol::limits::MAX_REASON_CHARACTERS;
use momedo_protocol::link::calls::{Request, Response};
use momedo_protocol::message::Message;
use momedo_protocol::time::UnixMillis;

use super::audit::{self, Action};
use super::documents::{jws_text, stored_jws};
use super::error::compute;
use super::neighbours::calls;
use super::permission::Staff;
use super::{AdminError, ServiceError};
use crate::live::sessions::Principal;
use crate::state::App;
use crate::store::{AuditRow, NewReport, PersonRow, ReadTx, ReportId, ReportRow};

/// Who "did" what the server notes by itself.
const SERVER: &str = "momedo";

/// A report as the staff see it.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its number.
    pub id: ReportId,
    /// Who disclosed it.
    pub reporter: ParticipantId,
    /// The reporter's name.
    pub reporter_name: String,
    /// The reporter's row, if this account may see it.
    pub reporter_row: Option<PersonRow>,
    /// Who wrote it.
    pub sender: ParticipantId,
    /// The sender's row, if they live here and this account may see it.
    pub sender_row: Option<PersonRow>,
    /// The sender's name.
    pub sender_name: String,
    /// What is wrong with it.
    pub reason: String,
    /// The message's kind.
    pub kind: String,
    /// What it says; JSON where it is no plain text.
    pub text: String,
    /// When it was written, by the sender's clock.
    pub sent_at: UnixMillis,
    /// When it was reported.
    pub reported_at: UnixMillis,
    /// When and by which account it was closed.
    pub closed: Option<(UnixMillis, String)>,
    /// What the staff wrote down about it.
    pub note: String,
    /// Every report about this sender, this one included; only admins see reports of all classes.
    pub of_sender: u64,
    /// What was done about it, oldest first.
    pub history: Vec<AuditRow>,
}

/// Takes a report; the same message again is the same report. What somebody of another server wrote is reported to
/// that server's staff, too.
///
/// # Errors
/// [`ServiceError::ReportRefused`] when it was not sent to the reporter, or is not signed with a key its sender
/// has or had; [`ServiceError::Malformed`] for a reason too long; [`ServiceError::HomeUnreachable`] when the sender's
/// server has to hear of it and cannot.
pub async fn report(
    app: &App,
    principal: Principal,
    request: api::ReportRequest,
) -> Result<api::Reported, ServiceError> {
    let reporter = principal.participant;
    app.rates.publication(reporter, app.clock.elapsed())?;
    let reason = checked_reason(&request.reason)?;
    let text = jws_text(&request.message)?;
    let claimed = Message::unverified(text.as_bytes()).map_err(|_| refused("it is not a signed message"))?;
    let (sender, group) = (claimed.from, claimed.group.as_ref().map(|context| GroupId::of(&context.id)));
    let (bundles, home) = app
        .store
        .read(move |tx| {
            let is_of_elsewhere = match group {
                Some(group) => !tx.has_group(group)? && tx.find_remote_group(group)?.is_some(),
                None => false,
            };
            // Who belongs to a group of another server only that server knows.
            if !is_of_elsewhere && !concerns(tx, &claimed, reporter)? {
                return Err(refused("it was not sent to you"));
            }
            let remote = tx.find_remote(sender)?;
            Ok((bundles_of(tx, sender)?, remote.map(|row| row.home)))
        })
        .await?;
    let (text, message) = verified(text, bundles).await?;
    if let Some(home) = home {
        let request =
            Request::Report { from: reporter, reason: reason.clone(), message: request.message.clone() };
        match calls::ask_for_response(app, home, &request).await? {
            Response::Done => {}
            _ => return Err(calls::unexpected()),
        }
    }
    let report = NewReport { reporter, sender, message_id: message.id, reason, message: text };
    let id = keep(app, report).await?;
    Ok(api::Reported { report: u64::try_from(id.0).unwrap_or(0) })
}

/// Takes a report about one of this server's participants from another home.
///
/// # Errors
/// [`ServiceError::ReportRefused`] or [`ServiceError::Malformed`].
pub async fn report_from(
    app: &App,
    home: Fingerprint,
    reporter: ParticipantId,
    reason: String,
    message: Jws,
) -> Result<(), ServiceError> {
    let reason = checked_reason(&reason)?;
    let text = jws_text(&message)?;
    let claimed = Message::unverified(text.as_bytes()).map_err(|_| refused("it is not a signed message"))?;
    let sender = claimed.from;
    let bundles = app
        .store
        .read(move |tx| {
            let lives_there = tx.find_remote(reporter)?.is_some_and(|row| row.home == home);
            let concerned = match (claimed.to, &claimed.group) {
                (Some(to), None) => to == reporter,
                (None, Some(context)) => {
                    let group = GroupId::of(&context.id);
                    !tx.has_group(group)? || tx.was_ever_member(group, reporter)?
                }
                _ => false,
            };
            if !lives_there || !concerned || tx.find_participant(sender)?.is_none() {
                return Err(refused("it is none of this server's business"));
            }
            Ok(tx.list_bundles(sender)?)
        })
        .await?;
    let (text, message) = verified(text, bundles).await?;
    keep(app, NewReport { reporter, sender, message_id: message.id, reason, message: text }).await.map(drop)
}

fn checked_reason(reason: &str) -> Result<String, ServiceError> {
    let reason = reason.trim().to_owned();
    if reason.chars().count() > MAX_REASON_CHARACTERS {
        let limit = format!("a reason has at most {MAX_REASON_CHARACTERS} characters");
        return Err(ServiceError::Malformed(limit));
    }
    Ok(reason)
}

/// Every bundle of a sender that is known here.
fn bundles_of(tx: &ReadTx<'_>, sender: ParticipantId) -> Result<Vec<String>, ServiceError> {
    let Some(keys) = tx.find_remote(sender)?.and_then(|row| row.keys) else {
        return Ok(tx.list_bundles(sender)?);
    };
    let published: api::PublishedKeys = serde_json::from_str(&keys.published)
        .map_err(|_| ServiceError::Internal("kept keys are damaged".into()))?;
    std::iter::once(&published.bundle).chain(&published.changes).map(jws_text).collect()
}

/// Checks that the message is signed with a key its sender has or had.
async fn verified(text: String, bundles: Vec<String>) -> Result<(String, Message), ServiceError> {
    compute(move || {
        let mut tried: Vec<momedo_protocol::rsa_key::RsaPublicKey> = Vec::new();
        for bundle in bundles {
            let key = KeyBundle::verify(&stored_jws(&bundle)?)?.signature_key;
            if tried.contains(&key) {
                continue;
            }
            if let Ok(message) = Message::verify(text.as_bytes(), &key) {
                return Ok((text, message));
            }
            tried.push(key);
        }
        Err(refused("its signature fits none of the sender's keys"))
    })
    .await
}

async fn keep(app: &App, report: NewReport) -> Result<ReportId, ServiceError> {
    let now = app.clock.now();
    app.store
        .write(move |tx| {
            let (id, is_new) = tx.insert_report(&report, now)?;
            if is_new {
                audit::log(tx, now, SERVER, Action::ReportMade, &format!("#{}", id.0))?;
            }
            Ok::<_, ServiceError>(id)
        })
        .await
}

fn refused(why: &'static str) -> ServiceError {
    ServiceError::ReportRefused(why)
}

/// Whether somebody else sent a message to this participant, or to a group of theirs, now or once. The copy for
/// the sender's own devices was sent to nobody.
fn concerns(tx: &ReadTx<'_>, message: &Message, reporter: ParticipantId) -> Result<bool, ServiceError> {
    if message.from == reporter {
        return Ok(false);
    }
    match (message.to, message.group) {
        (Some(to), None) => Ok(to == reporter),
        (None, Some(context)) => Ok(tx.was_ever_member(GroupId::of(&context.id), reporter)?),
        _ => Ok(false),
    }
}

/// A page of reports, open ones first; a class lead sees those of the own classes.
///
/// # Errors
/// As [`ServiceError`] says.
pub async fn list(
    app: &App,
    staff: &Staff,
    offset: u64,
    limit: u64,
) -> Result<(Vec<Report>, u64), ServiceError> {
    let staff = staff.clone();
    app.store
        .read(move |tx| {
            let (rows, total) = tx.list_reports(staff.classes(), offset, limit)?;
            let shown = rows.into_iter().map(|row| shown(tx, &staff, row)).collect::<Result<_, _>>()?;
            Ok::<_, ServiceError>((shown, total))
        })
        .await
}

/// Somebody as far as this account may see them.
fn visible(tx: &ReadTx<'_>, staff: &Staff, id: ParticipantId) -> Result<Option<PersonRow>, ServiceError> {
    let Some(person) = tx.find_person_of(id)? else { return Ok(None) };
    let own = match staff.classes() {
        None => true,
        Some(classes) => tx.classes_of(person.id)?.iter().any(|class| classes.contains(class)),
    };
    Ok(own.then_some(person))
}

fn shown(tx: &ReadTx<'_>, staff: &Staff, row: ReportRow) -> Result<Report, ServiceError> {
    let message = Message::unverified(row.report.message.as_bytes())
        .map_err(|_| ServiceError::Internal("a stored report is damaged".into()))?;
    let text = match message.body {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(Report {
        id: row.id,
        reporter_row: visible(tx, staff, row.report.reporter)?,
        sender_row: visible(tx, staff, row.report.sender)?,
        reporter: row.report.reporter,
        reporter_name: row.reporter_name,
        sender: row.report.sender,
        sender_name: row.sender_name,
        reason: row.report.reason,
        kind: message.kind,
        text,
        sent_at: message.sent_at,
        reported_at: row.reported_at,
        closed: row.closed,
        note: row.note,
        of_sender: row.of_sender,
        history: tx.log_of_report(row.id.0)?,
    })
}

/// Closes a report, or opens it again.
///
/// # Errors
/// [`AdminError::UnknownReport`], also for one that is not of the lead's classes.
pub async fn set_closed(app: &App, staff: &Staff, id: ReportId, closed: bool) -> Result<(), ServiceError> {
    let (now, staff) = (app.clock.now(), staff.clone());
    app.store
        .write_freeing(move |tx| {
            tx.find_report(id, staff.classes())?.ok_or(AdminError::UnknownReport)?;
            tx.set_report_closed(id, closed.then_some((now, staff.account())))?;
            let action = if closed { Action::ReportClosed } else { Action::ReportReopened };
            audit::log(tx, now, staff.account(), action, &format!("#{}", id.0))
        })
        .await
}

/// Most characters of a note.
pub const MAX_NOTE_CHARACTERS: usize = 2_000;

/// Writes down what the staff want to remember of a report, in place of what was there; the log says that it was done, not
/// what it says.
///
/// # Errors
/// [`AdminError::UnknownReport`], also for one that is not of the lead's classes; [`AdminError::NoteTooLong`].
pub async fn set_note(app: &App, staff: &Staff, id: ReportId, note: &str) -> Result<(), ServiceError> {
    let note = note.trim().to_owned();
    if note.chars().count() > MAX_NOTE_CHARACTERS {
        return Err(AdminError::NoteTooLong.into());
    }
    let (now, staff) = (app.clock.now(), staff.clone());
    app.store
        .write(move |tx| {
            tx.find_report(id, staff.classes())?.ok_or(AdminError::UnknownReport)?;
            tx.set_report_note(id, &note)?;
            audit::log(tx, now, staff.account(), Action::ReportNoted, &format!("#{}", id.0))
        })
        .await
}

#[cfg(test)]
mod tests;
