//! The socket over which `momedo admin` talks to the running server: one JSON line in, one out.
//!
//! It stands in the data directory, which only its owner may enter; whoever can open it is the admin.

use std::fmt;
use std::path::{Path, PathBuf};

use momedo_texts::{Language, Refusal};
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::live::shutdown::Shutdown;
use crate::service::administration::{AdminRequest, AdminResponse};
use crate::state::AppState;
use crate::texts;

/// What is asked, and in which language a refusal is to be told.
#[derive(Debug, Serialize, Deserialize)]
struct Question<R> {
    language: Language,
    request: R,
}

/// The server's answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Done(Box<AdminResponse>),
    Failed(String),
}

/// Why the running server could not be asked. Each kind is a row, as those of [`crate::service::ServiceError`] are.
#[derive(Debug, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum ControlError {
    /// No server answers there.
    NotRunning(PathBuf),
    /// The server refused, and this is what it says.
    #[strum(disabled)]
    Refused(String),
    /// The server stopped meanwhile.
    StoppedMeanwhile,
    /// One side does not understand the other, as after an update without a restart.
    NotUnderstood(String),
}

impl Refusal for ControlError {
    fn word(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            own => own.into(),
        }
    }

    fn values(&self, _: Language) -> Vec<(&'static str, String)> {
        match self {
            Self::NotRunning(directory) => vec![("path", directory.display().to_string())],
            Self::NotUnderstood(reason) => vec![("reason", reason.clone())],
            Self::Refused(_) | Self::StoppedMeanwhile => Vec::new(),
        }
    }
}

impl ControlError {
    /// What is wrong and what to do, as people read it.
    pub fn said(&self, language: Language) -> String {
        match self {
            Self::Refused(said) => said.clone(),
            other => texts::said(other, language),
        }
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said(Language::English))
    }
}

impl std::error::Error for ControlError {}

/// Largest request, in bytes: a class list.
#[cfg(unix)]
const MAX_LINE: u64 = 16 * 1024 * 1024;

/// The socket, listening.
#[cfg(unix)]
pub struct Control(tokio::net::UnixListener);

/// Makes the socket. One that cannot be made is logged: the server is worth running without it.
#[cfg(unix)]
pub fn listen(directory: &Path) -> Option<Control> {
    bind(directory)
        .inspect_err(|error| {
            tracing::error!(%error, "no control socket: `momedo admin` works only while the server is stopped");
        })
        .ok()
        .map(Control)
}

/// Serves the socket until `stop` is raised, then removes it.
#[cfg(unix)]
pub async fn serve(app: AppState, control: Option<Control>, directory: PathBuf, mut stop: Shutdown) {
    let Some(Control(listener)) = control else { return };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.requested() => break,
        };
        let Ok((stream, _)) = accepted else { continue };
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(&app, stream).await {
                tracing::debug!(%error, "an admin connection ended early");
            }
        });
    }
    let _: Result<_, _> =
        std::fs::remove_file(crate::surroundings::data_directory::control_socket(&directory));
}

/// A Unix socket's path has at most about 100 bytes; a shorter way to the same folder helps.
#[cfg(target_os = "linux")]
fn short_path(directory: &Path) -> std::io::Result<(PathBuf, std::fs::File)> {
    use std::os::fd::AsRawFd;
    let folder = std::fs::File::open(directory)?;
    let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
    Ok((crate::surroundings::data_directory::control_socket(&path), folder))
}

#[cfg(all(unix, not(target_os = "linux")))]
fn short_path(directory: &Path) -> std::io::Result<(PathBuf, std::fs::File)> {
    Ok((crate::surroundings::data_directory::control_socket(directory), std::fs::File::open(directory)?))
}

#[cfg(unix)]
fn bind(directory: &Path) -> std::io::Result<tokio::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let path = crate::surroundings::data_directory::control_socket(directory);
    // We hold the lock, so whatever is there was left by a server that is gone.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (short, _folder) = short_path(directory)?;
    let listener = tokio::net::UnixListener::bind(short)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(unix)]
async fn answer(app: &AppState, stream: tokio::net::UnixStream) -> std::io::Result<()> {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(MAX_LINE)).read_line(&mut line).await?;
    let answer = match serde_json::from_str::<Question<AdminRequest>>(&line) {
        Err(error) => Answer::Failed(ControlError::NotUnderstood(error.to_string()).said(Language::English)),
        Ok(Question { language, request }) => {
            match crate::service::administration::execute(app, request).await {
                Ok(response) => Answer::Done(Box::new(response)),
                Err(error) => Answer::Failed(error.said_in_full(language)),
            }
        }
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    write.write_all(&text).await
}

/// Asks the server that runs on `directory`, which tells a refusal in `language`.
///
/// # Errors
/// [`ControlError::NotRunning`] when none answers, [`ControlError::Refused`] with its words.
#[cfg(unix)]
pub async fn ask(
    directory: &Path,
    language: Language,
    request: &AdminRequest,
) -> Result<AdminResponse, ControlError> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let not_running = |_: std::io::Error| ControlError::NotRunning(directory.to_owned());
    let (short, _folder) = short_path(directory).map_err(not_running)?;
    let mut stream = tokio::net::UnixStream::connect(short).await.map_err(not_running)?;
    let not_understood = |error: serde_json::Error| ControlError::NotUnderstood(error.to_string());
    let mut line = serde_json::to_vec(&Question { language, request }).map_err(not_understood)?;
    line.push(b'\n');
    stream.write_all(&line).await.map_err(not_running)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.map_err(not_running)?;
    if text.is_empty() {
        return Err(ControlError::StoppedMeanwhile);
    }
    match serde_json::from_str(&text) {
        Ok(Answer::Done(response)) => Ok(*response),
        Ok(Answer::Failed(reason)) => Err(ControlError::Refused(reason)),
        Err(error) => Err(not_understood(error)),
    }
}

/// The named pipe for Windows comes with its installer; until then `momedo admin` works beside a stopped
/// server there.
#[cfg(not(unix))]
pub struct Control;

/// As the note at [`Control`] says.
#[cfg(not(unix))]
pub fn listen(_: &Path) -> Option<Control> {
    None
}

/// As the note at [`Control`] says.
#[cfg(not(unix))]
pub async fn serve(_: AppState, _: Option<Control>, _: PathBuf, mut stop: Shutdown) {
    stop.requested().await;
}

/// As the note at [`Control`] says.
///
/// # Errors
/// Always [`ControlError::NotRunning`].
#[cfg(not(unix))]
pub async fn ask(directory: &Path, _: Language, _: &AdminRequest) -> Result<AdminResponse, ControlError> {
    Err(ControlError::NotRunning(directory.to_owned()))
}
