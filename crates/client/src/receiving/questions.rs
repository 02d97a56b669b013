//! What is asked of the server on behalf of what arrived: bounded, so that nobody's mail uses up what this device may
//! ask, and one that is overloaded is left alone.

use momedo_protocol::group::GroupId;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::message::Message;

use crate::groups::chain;
use crate::known_keys::KnownKeys;
use crate::meaning::Meaning;
use crate::profile::Profile;
use crate::questions::Kind;
use crate::session::Session;
use crate::{ClientError, contacts, key_log};

/// Whether a signature fits somebody's keys, asking for them where those that are remembered do not do.
///
/// # Errors
/// As [`contacts::fetch`], or [`ClientError::NotAsked`].
pub(crate) async fn keys_that_fit(
    profile: &Profile,
    session: &mut Session,
    from: ParticipantId,
    mut fits: impl FnMut(&KnownKeys) -> bool,
) -> Result<(bool, contacts::Trust), ClientError> {
    session.questions.may_ask(from, Kind::Keys)?;
    match contacts::fetch(profile, session, from).await {
        Ok(known) => {
            let fits = fits(&known);
            if !fits {
                session.questions.was_in_vain(from);
            }
            Ok((fits, known.trust))
        }
        Err(error) => {
            session.questions.failed(from, Kind::Keys, &error);
            match Meaning::of(&error, session.is_second) {
                // Keys that may not be used, or of nobody, verify nothing; the message is shown as what it is.
                Meaning::Settled => Ok((false, contacts::Trust::FirstUse)),
                _ => Err(error),
            }
        }
    }
}

/// What reading a group on came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// It was read to its end.
    ToItsEnd,
    /// It cannot be used.
    Broken,
    /// The server keeps no such group, or none that this participant belongs to.
    Unknown,
}

/// Reads a group on because of what `from` sent.
///
/// # Errors
/// As [`chain::sync`], or [`ClientError::NotAsked`].
pub(crate) async fn read_group(
    profile: &Profile,
    session: &mut Session,
    from: ParticipantId,
    id: GroupId,
) -> Result<Read, ClientError> {
    if session.questions.unknown_groups.contains(&id) {
        return Ok(Read::Unknown);
    }
    session.questions.may_ask(from, Kind::Group)?;
    let number = |profile: &Profile| Ok::<_, ClientError>(profile.group(id)?.map(|state| state.number));
    let before = number(profile)?;
    match chain::sync(profile, session, id).await {
        Ok(synced) => {
            if before == Some(synced.state.number) {
                session.questions.was_in_vain(from);
            }
            Ok(Read::ToItsEnd)
        }
        Err(error) => {
            session.questions.failed(from, Kind::Group, &error);
            match (&error, Meaning::of(&error, session.is_second)) {
                (ClientError::BrokenGroup { .. }, _) => Ok(Read::Broken),
                (_, Meaning::Settled) => {
                    session.questions.unknown_groups.insert(id);
                    Ok(Read::Unknown)
                }
                _ => Err(error),
            }
        }
    }
}

/// Compares what a verified message says of a log of key changes with what is seen here. What is wrong with a log is
/// said where it is found; nothing of it keeps mail from being taken.
pub(crate) async fn compare_logs(profile: &Profile, session: &mut Session, message: &Message) {
    let from = message.from;
    if session.questions.may_ask(from, Kind::Log).is_err() {
        return;
    }
    if let Err(error) = key_log::compare(profile, session, message).await {
        return session.questions.failed(from, Kind::Log, &error);
    }
    let server = session.connection().server().fingerprint;
    let Some(told) = message.log.filter(|told| told.number > 0 && told.is_of(server)) else { return };
    let place = profile.log_place(server, told.number);
    if !place.is_ok_and(|place| place.is_some_and(|place| told.agrees(&place))) {
        session.questions.was_in_vain(from);
    }
}
