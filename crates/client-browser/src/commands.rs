//! The command line's commands, with its JSON: so that whoever knows one shell knows the other, and the same scenarios are
//! played against both.

use std::path::Path;
use std::time::Duration;

use momedo_client::ClientError;
use momedo_client::blobs::{self, Metadata};
use momedo_client::profile::Profile;
use momedo_client::progress::Step;
use momedo_client::receiving::{self, Received, Saving};
use momedo_client::registration::{self, Joining};
use momedo_client::sending::{self, Destination, Draft};
use momedo_client::{devices, profile};
use momedo_protocol::kind::{Announcement, Attachments, Content, Poll, Task};
use serde_json::{Value, json};

use crate::arguments::{Arguments, misuse};
use crate::profiles::Place;

/// How long a file may stand still before it is given up for now.
const SAVING: Duration = Duration::from_secs(30);

/// Where answers and steps go: the page's side of a command.
pub(crate) trait Told {
    /// A line of JSON, as the command line prints it.
    fn line(&self, line: &Value);

    /// Something that takes a while.
    fn step(&self, step: Step);
}

/// A step as JSON.
pub(crate) fn step_words(step: Step) -> Value {
    let progress = |name: &str, done: u64, total: u64| json!({ "step": name, "done": done, "total": total });
    match step {
        Step::MakingKeys => json!({ "step": "making-keys" }),
        Step::SendingKey => json!({ "step": "sending-key" }),
        Step::FetchingKey => json!({ "step": "fetching-key" }),
        Step::FetchingKeys { done, total } => progress("fetching-keys", done as u64, total as u64),
        Step::HandingOutKeys { done, total } => progress("handing-out-keys", done as u64, total as u64),
        Step::Uploading { done, total } => progress("uploading", done, total),
        Step::Downloading { done, total } => progress("downloading", done, total),
        Step::ClocksDiffer(_) => json!({ "step": "clocks-differ" }),
    }
}

/// What a worker has at hand between commands.
pub(crate) struct Shell {
    place: Place,
    profile: Option<Profile>,
    language: String,
}

impl Shell {
    /// A shell on this browser's profile, which is opened if there is one.
    pub(crate) fn new(place: Place, language: &str) -> Result<Self, ClientError> {
        let profile = if profile::Place::exists(&place) { Some(profile::Place::open(&place)?) } else { None };
        Ok(Self { place, profile, language: language.to_owned() })
    }

    fn profile(&self) -> Result<&Profile, ClientError> {
        self.profile.as_ref().ok_or_else(|| self.place.is_empty())
    }

    /// Runs one command.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub(crate) async fn run(
        &mut self,
        words: Vec<String>,
        told: &(impl Told + Send + Sync),
    ) -> Result<(), ClientError> {
        let mut arguments = Arguments::new(words);
        // Everything here is JSON.
        arguments.flag("--json");
        let command = arguments.next().unwrap_or_default();
        match command.as_str() {
            "user" => self.user(arguments, told).await,
            "send" => self.send(arguments, told).await,
            "receive" => self.receive(arguments, told).await,
            other => Err(misuse(format!("there is no command {other:?}"))),
        }
    }

    async fn user(
        &mut self,
        mut arguments: Arguments,
        told: &(impl Told + Send + Sync),
    ) -> Result<(), ClientError> {
        match arguments.next().unwrap_or_default().as_str() {
            "register" => {
                let (name, device_name) = (arguments.text("--name")?, arguments.text("--device-name")?);
                let joining = Joining {
                    invite: arguments.needed("--invite")?,
                    name: name.as_deref(),
                    device_name: device_name.as_deref().unwrap_or("browser"),
                    language: &self.language,
                };
                arguments.end()?;
                let progress = |step| told.step(step);
                let (profile, joined) = registration::register(&self.place, &joining, &progress).await?;
                self.profile = Some(profile);
                let (id, name, fingerprint) = (joined.id, joined.name, joined.fingerprint);
                told.line(&json!({ "id": id, "name": name, "fingerprint": fingerprint }));
                Ok(())
            }
            "show" => {
                arguments.end()?;
                let profile = self.profile()?;
                let own = profile.own_bundle()?;
                let (id, fingerprint) = (own.payload.id, own.fingerprint());
                told.line(&json!({ "id": id, "name": own.payload.name, "fingerprint": fingerprint }));
                Ok(())
            }
            "devices" => {
                arguments.end()?;
                let profile = self.profile()?;
                let mut session = profile.log_in(&self.language).await?;
                devices::adopt_published_keys(profile, &mut session).await?;
                let (list, _) = devices::list(profile, &mut session).await?;
                for entry in &list.devices {
                    told.line(&json!({ "id": entry.id(), "name": entry.name }));
                }
                Ok(())
            }
            other => Err(misuse(format!("there is no command \"user {other}\""))),
        }
    }

    async fn send(
        &mut self,
        mut arguments: Arguments,
        told: &(impl Told + Send + Sync),
    ) -> Result<(), ClientError> {
        let profile = self.profile()?;
        let to: Destination = arguments.needed("--to")?;
        let wait = Duration::from_secs(arguments.value("--wait")?.unwrap_or(10));
        let paths: Vec<_> = arguments.texts("--file")?.into_iter().map(Into::into).collect();
        let keeps = arguments.flag("--keep-metadata");
        let (announcement, task) = (arguments.flag("--announcement"), arguments.flag("--task"));
        let (options, several) = (arguments.texts("--poll")?, arguments.flag("--several"));
        let text = arguments.next().unwrap_or_default();
        arguments.end()?;
        let metadata = if keeps { Metadata::Keep } else { Metadata::Strip };
        let progress = |step| told.step(step);
        let files = match paths.is_empty() {
            true => Vec::new(),
            false => blobs::attach(profile, &paths, metadata, wait, &self.language, &progress).await?,
        };
        let content = if announcement {
            Content::Announcement(Announcement { text, files })
        } else if task {
            Content::Task(Task { text, files })
        } else if !options.is_empty() {
            let poll = Poll { question: text, options, several };
            if !poll.is_acceptable() {
                return Err(misuse("a poll has a question and two to twenty different answers"));
            }
            Content::Poll(poll)
        } else if !files.is_empty() {
            let is_image = files.iter().all(|file| file.media_type.starts_with("image/"));
            let body = Attachments { text, files, place: None };
            if is_image { Content::Image(body) } else { Content::File(body) }
        } else {
            Content::Text(text)
        };
        let sent = sending::send(profile, to, &Draft::of(&content), wait, &self.language, &progress).await?;
        let mut answer = json!({ "id": sent.id, "status": "accepted" });
        if let Some(members) = sent.members {
            answer["members"] = members.into();
            answer["left_out"] = json!(sent.left_out);
        }
        told.line(&answer);
        Ok(())
    }

    async fn receive(
        &mut self,
        mut arguments: Arguments,
        told: &(impl Told + Send + Sync),
    ) -> Result<(), ClientError> {
        let profile = self.profile()?;
        let events = arguments.flag("--events");
        let wait = Duration::from_secs(arguments.value("--wait")?.unwrap_or(0));
        let saves = arguments.flag("--save-files");
        arguments.end()?;
        let progress = |step| told.step(step);
        let saving = Saving { folder: Path::new(""), wait: SAVING, progress: &progress };
        let mut show = |received: &Received| {
            // That somebody else may read along is said unasked.
            if !received.event || events || received.kind == "device-added" {
                told.line(&serde_json::to_value(received).map_err(std::io::Error::other)?);
            }
            Ok(())
        };
        let mut session = profile.log_in(&self.language).await?;
        let outcome =
            receiving::receive_files(profile, &mut session, wait, saves.then_some(&saving), &mut show)
                .await?;
        outcome.failed.map_or(Ok(()), Err)
    }
}
