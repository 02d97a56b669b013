//! `send`, `receive`, `message`, `file`.

use std::path::Path;
use std::time::Duration;

use momedo_client::blobs::Metadata;
use momedo_client::commands::receive::{self, Receiving};
use momedo_client::commands::send::{self, Attaching, Meant};
use momedo_client::commands::{CommandError, Reader, files, messages};
use momedo_client::living::About;
use momedo_client::profile::Profile;
use momedo_client::receiving::Received;
use momedo_protocol::kind::TaskState;

use super::{Page, unknown};
use crate::arguments::{Arguments, misuse};

/// What a browser saves is found by its path: there is one folder, whatever its name.
const FOLDER: &str = "";

fn seconds(arguments: &mut Arguments, default: u64) -> Result<Duration, CommandError> {
    Ok(Duration::from_secs(arguments.value("--wait")?.unwrap_or(default)))
}

fn attaching(arguments: &mut Arguments) -> Result<Attaching, CommandError> {
    let paths = arguments.texts("--file")?.into_iter().map(Into::into).collect();
    let metadata = if arguments.flag("--keep-metadata") { Metadata::Keep } else { Metadata::Strip };
    Ok(Attaching { paths, metadata })
}

fn meant(arguments: &mut Arguments, has_files: bool) -> Result<Meant, CommandError> {
    let place = arguments.text("--place")?.map(|text| send::place(&text)).transpose().map_err(misuse)?;
    let (announcement, task) = (arguments.flag("--announcement"), arguments.flag("--task"));
    let (options, several) = (arguments.texts("--poll")?, arguments.flag("--several"));
    Ok(match (announcement, task, options.is_empty()) {
        (false, false, true) if several => return Err(misuse("--several wants --poll").into()),
        (false, false, true) if place.is_some() && !has_files => {
            return Err(misuse("--place goes with files").into());
        }
        (false, false, true) => Meant::Message(place),
        (true, false, true) if place.is_none() => Meant::Announcement,
        (false, true, true) if place.is_none() => Meant::Task,
        (false, false, false) if place.is_none() && !has_files => Meant::Poll { options, several },
        _ => return Err(misuse("these options do not go together").into()),
    })
}

pub(super) async fn send(
    profile: &Profile,
    mut arguments: Arguments,
    reader: Reader<'_>,
    page: &Page,
) -> Result<(), CommandError> {
    let to = arguments.needed("--to")?;
    let wait = seconds(&mut arguments, send::WAIT_SECONDS)?;
    let attaching = attaching(&mut arguments)?;
    let has_files = !attaching.paths.is_empty();
    let meant = meant(&mut arguments, has_files)?;
    let text = match arguments.next()? {
        Some(text) => text,
        None if has_files => String::new(),
        None => return Err(misuse("there is neither a text nor a file").into()),
    };
    arguments.end()?;
    // What is misspelt shows before anything is uploaded.
    meant.draft(&text, Vec::new())?;
    let files = send::attach(profile, &attaching, wait, reader).await?;
    let draft = meant.draft(&text, files)?;
    Ok(page.line(&send::send(profile, to, &draft, wait, reader).await?)?)
}

pub(super) async fn receive(
    profile: &Profile,
    mut arguments: Arguments,
    reader: Reader<'_>,
    page: &Page,
) -> Result<(), CommandError> {
    let save_files = arguments.text("--save-files")?.map(|_| Path::new(FOLDER));
    let events = arguments.flag("--events");
    let receiving = Receiving { events, save_files, wait: seconds(&mut arguments, 0)? };
    arguments.end()?;
    let mut show = |received: &Received| page.line(received).map_err(std::io::Error::other);
    receive::receive(profile, &receiving, reader, &mut show).await
}

pub(super) async fn run(
    profile: &Profile,
    name: &str,
    mut arguments: Arguments,
    reader: Reader<'_>,
    page: &Page,
) -> Result<(), CommandError> {
    match name {
        "list" => {
            let with = arguments.value("--with")?;
            let limit = arguments.value("--limit")?.unwrap_or(messages::LISTED);
            arguments.end()?;
            return Ok(page.lines(&messages::list(profile, with, limit)?)?);
        }
        "report" => {
            let (reason, from) = (arguments.needed::<String>("--reason")?, arguments.value("--from")?);
            let id = arguments.needed_next("the message's ID")?;
            arguments.end()?;
            return Ok(page.line(&messages::report(profile, id, from, &reason, reader).await?)?);
        }
        _ => {}
    }
    // The options of a reply come before its words are taken.
    let attaching = if name == "reply" { Some(attaching(&mut arguments)?) } else { None };
    let id: String = arguments.needed_next("the message's ID")?;
    let about = match name {
        "show" => {
            arguments.end()?;
            return Ok(page.line(&messages::show(profile, &id)?)?);
        }
        "reply" => {
            let text = arguments.needed_next("the answer")?;
            arguments.end()?;
            let files = match &attaching {
                Some(attaching) => send::attach(profile, attaching, messages::WAIT, reader).await?,
                None => Vec::new(),
            };
            About::Reply(text, files)
        }
        "edit" => About::Edit(arguments.needed_next("the new text")?),
        "withdraw" => About::Withdraw,
        "accept" => About::Task(TaskState::Accepted),
        "done" => About::Task(TaskState::Done),
        "reopen" => About::Task(TaskState::Open),
        "vote" => About::Vote(arguments.rest()?),
        "end-poll" => About::EndPoll,
        other => return Err(unknown("message", other)),
    };
    arguments.end()?;
    Ok(page.line(&messages::say(profile, &id, about, reader).await?)?)
}

pub(super) async fn file(
    profile: &Profile,
    name: &str,
    mut arguments: Arguments,
    reader: Reader<'_>,
    page: &Page,
) -> Result<(), CommandError> {
    match name {
        "list" => {
            arguments.end()?;
            page.lines(&files::list(profile)?)?;
        }
        "save" => {
            arguments.text("--to")?;
            let wait = seconds(&mut arguments, files::WAIT_SECONDS)?;
            let id = arguments.needed_next("the file's ID")?;
            arguments.end()?;
            page.line(&files::save(profile, id, Path::new(FOLDER), wait, reader).await?)?;
        }
        other => return Err(unknown("file", other)),
    }
    Ok(())
}
