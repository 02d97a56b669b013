//! `momedo admin status`: the server in numbers.

use crate::cli::output;
use crate::cli::words;
use crate::service::status::Status;

/// Prints a line for each number, and one for what is wrong.
pub(super) fn print(status: &Status) -> anyhow::Result<()> {
    say!("{}", words!("status.participants", number = status.participants, online = status.online));
    say!("{}", words!("status.devices", number = status.devices));
    say!("{}", words!("status.waiting", number = status.ozone_envelopes, bytes = status.ozone_bytes));
    say!("{}", words!("status.version", version = status.version, schema = status.schema));
    say!("{}", words!("status.fingerprint", fingerprint = status.fingerprint));
    say!("{}", words!("status.words", words = status.words));
    say!("{}", words!("status.key-log", number = status.key_log_number, hash = status.key_log_hash));
    let backups = &status.backups;
    match backups.last_at {
        Some(at) => {
            let newest = output::time(Some(at));
            say!(
                "{}",
                words!("status.backups", number = backups.count, bytes = backups.bytes, newest = newest)
            );
        }
        None => say!("{}", words!("status.no-backups")),
    }
    if let Some(trouble) = &backups.trouble {
        say!("{}", words!("status.backups-fail", reason = words::told(trouble)));
    }
    if status.storage_full {
        say!("{}", words!("status.disk-full"));
    }
    if status.half_written > 0 {
        say!("{}", words!("status.half-written", number = status.half_written));
    }
    Ok(())
}
