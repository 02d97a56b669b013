//! The end of the own log of key changes, handed back.
//!
//! It is this server's own word: signed by its identity, and hashed over everything before. With it the log goes on where
//! everybody saw it, and the server knows whose keys it has forgotten.

use momedo_protocol::api::restored::{HeldKeyLog, MAX_LOG_HANDED_BACK};
use momedo_protocol::key_log::{KeyLogEntry, LogPlace};

use crate::service::ServiceError;
use crate::service::error::compute;
use crate::state::App;

/// Takes the end of the log, if it continues what is here; whether it told of anything new.
///
/// # Errors
/// As [`ServiceError`] says; [`ServiceError::Malformed`] for what this server did not sign.
pub async fn take(app: &App, held: HeldKeyLog) -> Result<bool, ServiceError> {
    if held.entries.len() > MAX_LOG_HANDED_BACK {
        return Err(ServiceError::Malformed("more of the log than is taken at once".into()));
    }
    let own = app.fingerprint;
    let head = held.head.clone();
    let verified = compute(move || Ok(head.verify(own).ok())).await?;
    let head = verified
        .ok_or_else(|| ServiceError::Malformed("the end of the log is not signed by this server".into()))?;
    let forgotten = app
        .store
        .write(move |tx| {
            if !tx.takes_back()? {
                return Ok(None);
            }
            let Some(number) = head.number.checked_sub(held.entries.len() as u64) else { return Ok(None) };
            let Some(hash) = tx.key_log_hash(own, number)? else { return Ok(None) };
            let (before, end) = (LogPlace { number, hash }, tx.key_log_end(own)?);
            let Some(missing) = continuation(before, end, &held.entries, head.place()) else {
                return Ok(None);
            };
            let subjects = tx.log_subjects()?;
            let mut forgotten = Vec::new();
            for entry in missing {
                tx.append_entry_to_key_log(own, &entry)?;
                let Some(id) = subjects.get(&entry.subject).copied() else { continue };
                let is_newer = tx.current_bundle(id)?.is_some_and(|row| row.version < entry.version);
                if is_newer && entry.digest != KeyLogEntry::MOVED {
                    tx.note_forgotten_keys(id, entry.version)?;
                    forgotten.push(id);
                }
            }
            Ok::<_, ServiceError>(Some(forgotten))
        })
        .await?;
    let Some(forgotten) = forgotten else { return Ok(false) };
    app.key_log.note_change();
    tracing::info!(participants = forgotten.len(), "the end of the log of key changes was handed back");
    // Whoever is in may have been revoked since the backup.
    for id in forgotten {
        app.sessions.end_participant(id);
        app.hub.disconnect_participant(id);
    }
    Ok(true)
}

/// What comes after `end` of entries that begin after `before` and have to end at `last`; `None` if that is nothing, or if
/// the log went on differently since.
fn continuation(
    before: LogPlace,
    end: LogPlace,
    entries: &[KeyLogEntry],
    last: LogPlace,
) -> Option<Vec<KeyLogEntry>> {
    let mut place = before;
    let mut missing = Vec::new();
    for entry in entries {
        place = place.after(entry);
        if place.number > end.number {
            missing.push(*entry);
        } else if place.number == end.number && place != end {
            return None;
        }
    }
    (place == last && !missing.is_empty()).then_some(missing)
}

#[cfg(test)]
mod tests {
    use momedo_protocol::digest::{Fingerprint, Sha512Digest};
    use momedo_protocol::key_log::LogSubject;
    use momedo_protocol::time::UnixMillis;

    use super::*;

    fn entry(version: u64) -> KeyLogEntry {
        let digest = Sha512Digest([u8::try_from(version).unwrap(); 64]);
        KeyLogEntry { subject: LogSubject([1; 32]), version, digest, made_at: UnixMillis(version) }
    }

    /// The places of a log with these entries, the first before all of them.
    fn places(entries: &[KeyLogEntry]) -> Vec<LogPlace> {
        let mut places = vec![LogPlace::start(Fingerprint([7; 32]))];
        for entry in entries {
            places.push(places.last().unwrap().after(entry));
        }
        places
    }

    #[test]
    fn only_what_continues_the_log_to_the_signed_end_is_taken() {
        let all: Vec<_> = (1..=5).map(entry).collect();
        let places = places(&all);
        let last = places[5];
        assert_eq!(continuation(places[3], places[3], &all[3..], last), Some(all[3..].to_vec()));
        assert_eq!(
            continuation(places[1], places[3], &all[1..], last),
            Some(all[3..].to_vec()),
            "with an overlap"
        );
        assert_eq!(continuation(places[1], last, &all[1..], last), None, "nothing is missing");
        // It went on with something else since the restore.
        let other = places[3].after(&entry(9));
        assert_eq!(continuation(places[1], other, &all[1..], last), None);
        let mut forged = all.clone();
        forged[4] = entry(9);
        assert_eq!(continuation(places[3], places[3], &forged[3..], last), None);
        assert_eq!(continuation(places[3], places[3], &all[3..4], last), None, "cut off");
    }
}
