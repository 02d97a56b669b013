//! Trying again what was not answered: a log-in, or anything that is done with a session.

use std::time::Duration;

use web_time::Instant;

use crate::ClientError;
use crate::platform::Platform;
use crate::profile::Profile;
use crate::session::Session;

/// Pause between two tries.
pub(crate) const PAUSE: Duration = Duration::from_millis(300);

/// Logs in, trying again until `deadline` while the server cannot be reached.
///
/// # Errors
/// As [`ClientError`] says.
pub async fn log_in(profile: &Profile, language: &str, deadline: Instant) -> Result<Session, ClientError> {
    loop {
        match by(&profile.platform, deadline, profile.log_in(language)).await {
            Err(error) if error.is_temporary() && Instant::now() + PAUSE < deadline => {
                profile.platform.wait(PAUSE).await;
            }
            result => return result,
        }
    }
}

/// How long each step of long work may take: fetching a thousand keys is no reason to give up, standing still is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepTime(Duration);

impl StepTime {
    /// What is left until `deadline`, for each step anew.
    pub(crate) fn until(deadline: Instant) -> Self {
        Self(deadline.saturating_duration_since(Instant::now()))
    }

    /// When the step that begins now is given up.
    pub(crate) fn deadline(self) -> Instant {
        Instant::now() + self.0
    }
}

/// Bounds one try, so that a server that takes connections and does not answer holds nobody longer than
/// they chose to wait.
async fn by<T>(
    platform: &Platform,
    deadline: Instant,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    let late = || ClientError::Unreachable {
        addresses: "its address".into(),
        reason: "no answer in the time to wait".into(),
    };
    let left = deadline.saturating_duration_since(Instant::now());
    platform.within(left, work).await.unwrap_or_else(|| Err(late()))
}

/// Does something with a session until it is answered or `deadline` passes.
pub(crate) async fn insist<T>(
    profile: &Profile,
    session: &mut Session,
    deadline: Instant,
    mut work: impl AsyncFnMut(&mut Session) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    loop {
        match by(&profile.platform, deadline, work(session)).await {
            // The server restarted: sessions do not outlive that.
            Err(error) if error.problem() == Some("not-logged-in") && Instant::now() < deadline => {
                *session = log_in(profile, "en", deadline).await?;
            }
            Err(error) if error.is_temporary() && Instant::now() + PAUSE < deadline => {
                profile.platform.wait(PAUSE).await;
                // Perhaps the other home answers.
                if matches!(error, ClientError::Unreachable { .. }) && profile.second_home()?.is_some() {
                    *session = log_in(profile, "en", deadline).await?;
                }
            }
            result => return result,
        }
    }
}
