//! momedo's client on an operating system: the shell around `momedo-client` for the command line, for bots and for tests.
//!
//! What may not enter: anything that decides what a participant's side does; that is the client's, and runs in a browser
//! as well.
//!
//! | module | holds |
//! |---|---|
//! | [`mod@line`], `pin` | HTTPS to the pinned server, proved before anything secret is sent |
//! | [`stream`] | the WebSocket, for programs that stay connected |
//! | [`keys`] | private RSA keys in memory |
//! | [`work`] | threads |
//! | [`folder`], `part` | files, and a profile's folder |
//! | [`profiles`] | profiles in a private folder |

pub mod folder;
pub mod keys;
pub mod line;
mod part;
mod pin;
pub mod profiles;
pub mod stream;
pub mod work;

use std::sync::Arc;

use momedo_client::connection::{Connection, ServerAddress};
use momedo_client::platform::Platform;

/// Everything the client runs on here.
pub fn platform() -> Platform {
    Platform {
        lines: Arc::new(line::TlsLines),
        rsa: Arc::new(keys::KeysInMemory),
        work: Arc::new(work::Threads),
        files: Arc::new(folder::SystemFiles),
    }
}

/// A client of `server`; nothing is connected yet. `language` is a tag such as `de`, for error texts.
pub fn connection(server: ServerAddress, language: &str) -> Connection {
    Connection::new(&platform(), server, language)
}
