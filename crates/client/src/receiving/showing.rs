//! Showing what was taken, with its files where they are wanted.

use std::collections::{BTreeSet, HashSet};

use momedo_protocol::id::ParticipantId;
use momedo_protocol::kind::{MessageReference, WITHDRAW};

use super::{Saving, Show};
use crate::inbox::Received;
use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, blobs, names, receipts};

/// How often the files of a message are tried before it is shown without them.
const FILE_TRIES: u32 = 3;

/// Senders whose files may stand still in one run; then no more files are waited for.
const STALLS: usize = 3;

/// What shows messages in one run of receiving.
pub(super) struct Showing<'a> {
    profile: &'a Profile,
    saving: Option<&'a Saving<'a>>,
    show: &'a mut Show<'a>,
    /// How many were shown.
    pub(super) shown: usize,
    /// What went wrong first with one message, and kept no other from being shown.
    pub(super) failed: Option<ClientError>,
    /// Who wrote to this participant alone in this run.
    pub(super) wrote: BTreeSet<ParticipantId>,
    /// Whose files did not come in this run.
    stalled: HashSet<ParticipantId>,
    /// Messages whose files were tried in this run.
    tried: HashSet<(String, String)>,
}

impl<'a> Showing<'a> {
    pub(super) fn new(profile: &'a Profile, saving: Option<&'a Saving<'a>>, show: &'a mut Show<'a>) -> Self {
        Self {
            profile,
            saving,
            show,
            shown: 0,
            failed: None,
            wrote: BTreeSet::new(),
            stalled: HashSet::new(),
            tried: HashSet::new(),
        }
    }

    /// Shows what was not shown yet, each by itself.
    ///
    /// # Errors
    /// What the shower says, for then nobody reads; or [`ClientError::Profile`].
    pub(super) async fn show_stored(&mut self, session: &mut Session) -> Result<(), ClientError> {
        let profile = self.profile;
        // Of several programs on one profile each message is shown by one.
        let _turn = profile.folder.turn().await;
        let together = profile.together()?;
        let shown = self.show_each(session).await;
        together.bring_to_disk()?;
        shown
    }

    async fn show_each(&mut self, session: &mut Session) -> Result<(), ClientError> {
        let profile = self.profile;
        let mut unshown = profile.unshown()?;
        if self.saving.is_some() {
            // Whose files did not come before goes last: few may stand still in a run, and nobody else's wait for them.
            let tries = profile.tries()?;
            unshown.sort_by_key(|(sender, _, _)| tries.get(sender).copied());
        }
        for (sender, id, event) in unshown {
            let mut received: Received = match serde_json::from_str(&event) {
                Ok(received) => received,
                Err(error) => {
                    self.failed.get_or_insert(ClientError::Protocol(error.to_string()));
                    continue;
                }
            };
            // Its sender took it back before anybody saw it.
            if self.is_withdrawn(&received)? {
                profile.mark_shown(&sender, &id)?;
                continue;
            }
            if let Some(saving) = self.saving.filter(|_| received.verified && !received.files.is_empty())
                && let Err(error) = self.save_files(session, &mut received, saving).await
            {
                let words = error.to_string();
                let was_asked = !matches!(error, ClientError::NotAsked(_));
                session.questions.hear_of_step(&error);
                self.failed.get_or_insert(error);
                if was_asked {
                    self.stalled.insert(received.from);
                }
                // What was never tried, or was in this run already, is no try.
                if !was_asked
                    || !self.tried.insert((sender.clone(), id.clone()))
                    || profile.count_try(&sender, &id)? < FILE_TRIES
                {
                    // Shown another time, with its files.
                    continue;
                }
                for file in received.files.iter_mut().filter(|file| file.saved.is_none()) {
                    file.problem.get_or_insert_with(|| words.clone());
                }
            }
            name(&mut received, profile)?;
            if let Err(error) = (self.show)(&received) {
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
            self.shown += 1;
            if received.verified && !received.event && received.group.is_none() && received.to.is_none() {
                self.wrote.insert(received.from);
            }
        }
        Ok(())
    }

    /// Whether a message was taken back; that it was is shown by itself.
    fn is_withdrawn(&self, received: &Received) -> Result<bool, ClientError> {
        if !received.verified || received.event || received.kind == WITHDRAW {
            return Ok(false);
        }
        let kept = self.profile.kept_message(&MessageReference { from: received.from, id: received.id })?;
        Ok(kept.is_some_and(|kept| kept.withdrawn))
    }

    /// Saves the files of a message; one that is gone or damaged says so instead.
    async fn save_files(
        &self,
        session: &mut Session,
        received: &mut Received,
        saving: &Saving<'_>,
    ) -> Result<(), ClientError> {
        let (profile, from) = (self.profile, received.from);
        let waits =
            !self.stalled.contains(&from) && self.stalled.len() < STALLS && session.questions.are_answered();
        if waits {
            // Files may take a while.
            receipts::send_due(profile, session).await?;
        }
        for file in &mut received.files {
            // Killed between saving and showing: it is there already.
            if let Some(saved) = profile.saved_file(file.id, from)?
                && profile.platform.files.has(&saved).await
            {
                file.saved = Some(saved);
                continue;
            }
            if !waits {
                return Err(ClientError::NotAsked("other files did not come".into()));
            }
            let Saving { folder, wait, progress } = *saving;
            match blobs::save(profile, session, file.id, Some(from), folder, wait, progress).await {
                Ok(path) => file.saved = Some(path),
                Err(error) if error.is_temporary() || matches!(error, ClientError::Profile { .. }) => {
                    return Err(error);
                }
                Err(error) => file.problem = Some(error.to_string()),
            }
        }
        Ok(())
    }
}

/// Says what those are called whom it names, as it is known now. Of what nobody vouches for no sender is named.
fn name(received: &mut Received, profile: &Profile) -> Result<(), ClientError> {
    received.from_name = if received.verified { names::name(profile, received.from)? } else { None };
    received.to_name = received.to.map(|to| names::name(profile, to)).transpose()?.flatten();
    received.group_name = received.group.map(|group| names::group(profile, group)).transpose()?.flatten();
    Ok(())
}
