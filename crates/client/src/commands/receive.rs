//! `receive`: its answer is a line for each message, as it is shown.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use momedo_protocol::limits::MAX_WAIT_SECONDS;

use super::{CommandError, Reader, files};
use crate::ClientError;
use crate::profile::Profile;
use crate::receiving::{self, Outcome, Received, Saving, Show};
use crate::session::Session;

/// Pause before the next try while following a server that cannot be reached.
const PAUSE: Duration = Duration::from_secs(2);

/// What is received.
#[derive(Debug, Clone, Copy)]
pub struct Receiving<'a> {
    /// Events such as changes of keys as well.
    pub events: bool,
    /// Where files that come along are saved.
    pub save_files: Option<&'a Path>,
    /// How long the first message is waited for.
    pub wait: Duration,
}

impl Receiving<'_> {
    /// That somebody else may read along is said unasked.
    fn shows(&self, received: &Received) -> bool {
        !received.event || self.events || received.kind == "device-added"
    }

    async fn run(
        &self,
        profile: &Profile,
        session: &mut Session,
        wait: Duration,
        reader: Reader<'_>,
        show: &mut Show<'_>,
    ) -> Result<Outcome, ClientError> {
        let wait_for_files = Duration::from_secs(files::WAIT_SECONDS);
        let saving =
            self.save_files.map(|folder| Saving { folder, wait: wait_for_files, progress: reader.progress });
        let mut show = |received: &Received| if self.shows(received) { show(received) } else { Ok(()) };
        receiving::receive_files(profile, session, wait, saving.as_ref(), &mut show).await
    }
}

/// Shows what waits, then tells the server that it may forget it.
///
/// # Errors
/// As [`CommandError`] says; whatever could be had was shown.
pub async fn receive(
    profile: &Profile,
    receiving: &Receiving<'_>,
    reader: Reader<'_>,
    show: &mut Show<'_>,
) -> Result<(), CommandError> {
    let mut session = profile.log_in(reader.language).await?;
    let outcome = receiving.run(profile, &mut session, receiving.wait, reader, show).await?;
    outcome.failed.map_or(Ok(()), |error| Err(error.into()))
}

/// What happens to whoever follows.
#[derive(Debug)]
pub enum Hitch<'a> {
    /// Something does not work, and other mail comes all the same.
    GoesOn(&'a ClientError),
    /// The server cannot be asked; it is asked again.
    TriesAgain(&'a ClientError),
}

/// The server's end of the line is gone, and may come back.
fn ends_line(error: &ClientError) -> bool {
    error.is_temporary() || error.problem() == Some("not-logged-in")
}

/// Shows what waits and what comes, without an end.
///
/// # Errors
/// As [`CommandError`] says, when trying again is of no use.
pub async fn follow(
    profile: &Profile,
    receiving: &Receiving<'_>,
    reader: Reader<'_>,
    show: &mut Show<'_>,
    hitch: &mut (dyn FnMut(Hitch<'_>) + Send),
) -> Result<Infallible, CommandError> {
    loop {
        match follow_line(profile, receiving, reader, show, hitch).await {
            Err(error) if ends_line(&error) => {
                hitch(Hitch::TriesAgain(&error));
                profile.platform.wait(PAUSE).await;
            }
            result => return Ok(result?),
        }
    }
}

async fn follow_line(
    profile: &Profile,
    receiving: &Receiving<'_>,
    reader: Reader<'_>,
    show: &mut Show<'_>,
    hitch: &mut (dyn FnMut(Hitch<'_>) + Send),
) -> Result<Infallible, ClientError> {
    let wait = Duration::from_secs(MAX_WAIT_SECONDS);
    let mut session = profile.log_in(reader.language).await?;
    loop {
        let outcome = receiving.run(profile, &mut session, wait, reader, show).await?;
        match outcome.failed {
            Some(error) if ends_line(&error) => return Err(error),
            Some(error) => {
                hitch(Hitch::GoesOn(&error));
                profile.platform.wait(PAUSE).await;
            }
            None => {}
        }
        if session.is_second() {
            // The first home may be back.
            session = profile.log_in(reader.language).await?;
        }
    }
}
