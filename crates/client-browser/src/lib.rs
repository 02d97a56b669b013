//! The client core in a browser's worker: what JavaScript may call, and what the client runs on there.
//!
//! Decides nothing; it turns calls into those of the core, and answers into JSON. Empty on every other platform.
//!
//! | module | holds |
//! |---|---|
//! | `line` | requests with `fetch` |
//! | `keys` | private RSA keys with WebCrypto |
//! | `storage`, `profiles` | the profile, in one of the browser's private files |
//! | `files` | files that are sent and saved |
//! | `work` | the worker's one thread, and waiting |
//! | `commands`, `arguments` | the command line's commands, answered with its JSON |
#![cfg(target_arch = "wasm32")]

mod arguments;
mod commands;
mod files;
mod keys;
mod line;
mod profiles;
mod scope;
mod storage;
mod work;

use std::sync::Arc;

use js_sys::{Array, Function, Object};
use momedo_client::ClientError;
use momedo_client::commands::CommandError;
use momedo_client::platform::Platform;
use momedo_protocol::invite::InviteLink;
use momedo_texts::{Language, Refusal};
use serde_json::json;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;
use zeroize::{Zeroize, Zeroizing};

use commands::{Page, Shell};
use files::PageFiles;

/// What an invite link says, as JSON: its server's address and fingerprint, or what is wrong with it. The code stays out
/// of the answer, because whoever shows it needs none.
#[wasm_bindgen(js_name = readInvite)]
pub fn read_invite(link: &str) -> String {
    let answer = match link.parse::<InviteLink>() {
        Ok(InviteLink { address, server, .. }) => json!({ "address": address, "server": server.to_string() }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    answer.to_string()
}

/// A participant's side in this worker; one at a time in a browser.
#[wasm_bindgen]
pub struct Client {
    shell: Shell,
    files: Arc<PageFiles>,
    language: Language,
}

/// An error as JSON: a word for programs, and words for people.
fn told(error: &CommandError, language: Language) -> JsValue {
    let word = match error {
        CommandError::Client(error) | CommandError::NotSent(error) => {
            error.problem().unwrap_or_else(|| error.word())
        }
        own => own.word(),
    };
    json!({ "error": word, "said": error.said_in_full(language) }).to_string().into()
}

#[wasm_bindgen]
impl Client {
    /// Opens what this browser keeps; `language` is a tag such as `de`, `key` the 32 bytes its secrets are sealed with, which
    /// are emptied.
    ///
    /// # Errors
    /// JSON with a word and what is to be said, also when another tab has it.
    pub async fn open(language: &str, mut key: Vec<u8>) -> Result<Client, JsValue> {
        let spoken = if language.starts_with("de") { Language::German } else { Language::English };
        let files = files::page_files();
        let platform = Platform {
            lines: Arc::new(line::FetchLines),
            rsa: Arc::new(keys::WebCrypto),
            work: Arc::new(work::OneThread),
            files: files.clone(),
        };
        let sealing = <[u8; 32]>::try_from(&key[..]).map(Zeroizing::new);
        key.zeroize();
        let opening = async {
            let sealing = sealing.map_err(|_| ClientError::Protocol("the key has another length".into()))?;
            let place = profiles::Place::open(platform, sealing).await?;
            // Only now: this worker is the only one.
            files::clear_scratch().await?;
            Shell::new(place, language)
        };
        let shell = opening.await.map_err(|error: ClientError| told(&error.into(), spoken))?;
        Ok(Self { shell, files, language: spoken })
    }

    /// Runs a command: the words of the command line after `momedo`, without a profile; `files` are those it sends, by name.
    /// `tell` gets every line and step as it comes, as `(kind, json)`; `ask` promises a line that somebody types.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub async fn run(
        &mut self,
        words: Array,
        files: Option<Object>,
        tell: Function,
        ask: Function,
    ) -> Result<(), JsValue> {
        let words = words.iter().filter_map(|word| word.as_string()).collect();
        for entry in files.iter().flat_map(|files| Object::entries(files).iter().collect::<Vec<_>>()) {
            let entry: Array = entry.unchecked_into();
            if let (Some(name), Ok(blob)) = (entry.get(0).as_string(), entry.get(1).dyn_into()) {
                self.files.take(&name, blob);
            }
        }
        let result = self.shell.run(words, &Page::new(tell, ask)).await;
        self.files.forget();
        result.map_err(|error| told(&error, self.language))
    }

    /// The file at the path that `receive` or `file save` answered with, to be handed to the person.
    ///
    /// # Errors
    /// As [`Client::open`], when there is none.
    pub async fn saved(&self, path: &str) -> Result<Blob, JsValue> {
        files::saved(path.as_ref()).await.map_err(|error| told(&error.into(), self.language))
    }
}
