//! The command line's commands, with its options and its JSON: so that whoever knows one shell knows the other, and the same
//! scenarios are played against both. What they do is the core's; here their words are read.

mod groups;
mod joining;
mod keys;
mod messages;
mod page;
mod user;

use momedo_client::ClientError;
use momedo_client::commands::{CommandError, Reader};
use momedo_client::profile::Profile;

use crate::arguments::{Arguments, misuse};
use crate::profiles::Place;

pub(crate) use page::Page;

/// What a worker has at hand between commands.
pub(crate) struct Shell {
    place: Place,
    profile: Option<Profile>,
    language: String,
}

/// There is no such command.
fn unknown(group: &str, command: &str) -> CommandError {
    misuse(format!("there is no command \"{}\"", format!("{group} {command}").trim())).into()
}

impl Shell {
    /// A shell on this browser's profile, which is opened if there is one.
    pub(crate) fn new(place: Place, language: &str) -> Result<Self, ClientError> {
        let profile = place.stored()?;
        Ok(Self { place, profile, language: language.to_owned() })
    }

    fn profile(&self) -> Result<&Profile, ClientError> {
        self.profile.as_ref().ok_or_else(|| self.place.is_empty())
    }

    /// Runs one command.
    ///
    /// # Errors
    /// As [`CommandError`] says.
    pub(crate) async fn run(&mut self, words: Vec<String>, page: &Page) -> Result<(), CommandError> {
        let result = self.dispatch(words, page).await;
        if let Err(CommandError::Client(ClientError::Profile { .. })) = &result
            && self.profile.take().is_some()
        {
            // After a write that failed, as when there is no room, nothing is written any more until it is opened anew; what
            // was kept before is there.
            self.profile = self.place.stored()?;
        }
        result
    }

    async fn dispatch(&mut self, words: Vec<String>, page: &Page) -> Result<(), CommandError> {
        let mut arguments = Arguments::new(words);
        // Everything here is JSON.
        arguments.flag("--json");
        let command = arguments.next()?.unwrap_or_default();
        let name = match command.as_str() {
            "user" | "message" | "file" | "group" | "keys" => arguments.next()?.unwrap_or_default(),
            _ => String::new(),
        };
        let language = self.language.clone();
        let progress = |step| page.step(step);
        let reader = Reader { language: &language, progress: &progress };
        match command.as_str() {
            "user" => user::run(self, &name, arguments, reader, page).await,
            "send" => messages::send(self.profile()?, arguments, reader, page).await,
            "receive" => messages::receive(self.profile()?, arguments, reader, page).await,
            "message" => messages::run(self.profile()?, &name, arguments, reader, page).await,
            "file" => messages::file(self.profile()?, &name, arguments, reader, page).await,
            "group" => groups::run(self.profile()?, &name, arguments, reader, page).await,
            "keys" => keys::run(self.profile()?, &name, arguments, reader, page).await,
            other => Err(unknown("", other)),
        }
    }
}
