//! Messages to people of other servers, kept until the own home says what became of them: if it is lost before, the
//! second home gets the same bytes, and nobody gets anything twice.

use momedo_protocol::api::SubmitRequest;

use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, contacts, inbox, now};

/// Keeps an accepted submission, if it went to another server and there is a second home to take its place.
pub(crate) fn keep(
    profile: &Profile,
    session: &mut Session,
    request: &SubmitRequest,
    text: &str,
) -> Result<(), ClientError> {
    if profile.second_home()?.is_none() || request.to == session.id {
        return Ok(());
    }
    let home = session.connection().server().fingerprint;
    match contacts::remembered(profile, request.to)? {
        Some(known) if known.bundle.payload.homes.contains(&home) => Ok(()),
        _ => profile.keep_unconfirmed(request.id, request.to, text, now()),
    }
}

/// Submits again what the lost home had accepted. What is refused by now is said like any other end; what cannot be
/// decided yet, for example because the new first home does not know the way there, is tried again with the next command.
/// Each by itself; the first error is returned when all were tried, or none can be.
pub(crate) async fn submit_due(profile: &Profile, session: &mut Session) -> Result<(), ClientError> {
    let mut first = None;
    for text in profile.due_unconfirmed()? {
        let mut request: SubmitRequest =
            serde_json::from_str(&text).map_err(|error| ClientError::Protocol(error.to_string()))?;
        let mut result = session.submit(&request).await;
        if result.as_ref().is_err_and(|error| error.problem() == Some("unknown-blob")) {
            // Its files are lost with the server; what was written need not be.
            request.blobs = Vec::new();
            result = session.submit(&request).await;
        }
        match result {
            Ok(_) => profile.settle_unconfirmed(request.id, request.to)?,
            Err(error @ (ClientError::Unreachable { .. } | ClientError::WrongServer { .. })) => {
                return Err(error);
            }
            Err(error) if error.is_temporary() || error.is_about_one_recipient() => {}
            Err(ClientError::Refused(problem)) if !matches!(problem.status, 401 | 500..) => {
                inbox::put_undeliverable(profile, request.id, request.to, &problem.title)?;
            }
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    first.map_or(Ok(()), Err)
}
