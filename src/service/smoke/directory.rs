//! What frames are recognised by, read from the store into memory whenever it changed.

use momedo_smoke::directory::{Directory, Ozone, Participant};
use momedo_smoke::key_stream::KeyStream;

use crate::service::ServiceError;
use crate::service::error::compute;
use crate::state::App;

/// Reads participants and ozones anew; deriving an ozone's keys takes a millisecond each.
///
/// # Errors
/// As [`ServiceError`] says; what was in memory stays in force.
pub async fn reload(app: &App) -> Result<(), ServiceError> {
    // Two changes at once must not end with the older reading.
    let _turn = app.smoke_reload.lock().await;
    let read = app.store.read(|tx| Ok::<_, ServiceError>((tx.smoke_ozones()?, tx.smoke_streams()?)));
    let (ozones, streams) = read.await?;
    let directory = compute(move || {
        let ozones = ozones.iter().map(|row| Ozone { stream: KeyStream::of_ozone(&row.name) });
        let participants =
            streams.into_iter().map(|(number, id, stream)| Participant::new(number, id, stream));
        Ok(Directory::new(ozones.collect(), participants.collect()))
    })
    .await?;
    app.smoke.change_directory(directory);
    Ok(())
}
