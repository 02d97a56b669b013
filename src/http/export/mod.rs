//! What the server holds about somebody as one ZIP file: a readable page, the same as JSON, and the bytes of
//! envelopes and keys. Written as fast as it is taken; nothing of it touches the disk here.

pub(crate) mod words;

use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use askama::Template;
use bytes::Bytes;
use futures_util::Stream;
use momedo_protocol::time::UnixMillis;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::language::Language;
use crate::service::ServiceError;
use crate::service::personal::{Holding, PersonalReader, Subject};
use crate::state::App;

/// Parts of an export that wait for a slow reader.
const PARTS: usize = 8;

/// Bytes of a part.
const PART_BYTES: usize = 64 * 1024;

/// Longest value the readable page shows whole; longer ones stand in data.json.
const SHOWN_CHARACTERS: usize = 120;

/// An export on its way: a stream of parts, in order. Cut short when something fails.
pub struct Export {
    /// What to save it as.
    pub file_name: String,
    parts: mpsc::Receiver<io::Result<Bytes>>,
}

impl Stream for Export {
    type Item = io::Result<Bytes>;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.parts.poll_recv(context)
    }
}

/// What an export says about itself.
#[derive(Debug, Clone)]
pub(crate) struct Heading {
    pub(crate) server: String,
    pub(crate) at: UnixMillis,
    pub(crate) language: Language,
}

#[derive(Template)]
#[template(path = "export.html")]
struct ExportPage<'a> {
    german: bool,
    language: &'static str,
    server: &'a str,
    name: &'a str,
    id: String,
    tables: Vec<Section>,
}

struct Section {
    title: &'static str,
    explanation: &'static str,
    rows: Vec<Vec<(&'static str, String)>>,
}

/// The name of somebody's export; their ID or their number in the list.
pub(crate) fn file_name(subject: &Subject) -> String {
    let who = match (subject.participant, subject.person) {
        (Some(id), _) => id.to_string(),
        (None, Some(person)) => person.0.to_string(),
        (None, None) => "export".into(),
    };
    format!("momedo-{who}.zip")
}

/// Begins to hand out everything about somebody.
///
/// # Errors
/// [`ServiceError::Internal`] when the database cannot be read.
pub(crate) async fn start(app: &App, subject: Subject, language: Language) -> Result<Export, ServiceError> {
    let heading = Heading { server: app.config().server.name.clone(), at: app.clock.now(), language };
    let directory = app.store.directory().to_owned();
    let file_name = file_name(&subject);
    // Opened here, so that a database that cannot be read is a refusal and not a file cut short.
    let reader = tokio::task::spawn_blocking(move || PersonalReader::open(&directory))
        .await
        .map_err(|error| ServiceError::Internal(error.to_string()))??;
    let (sender, parts) = mpsc::channel(PARTS);
    tokio::task::spawn_blocking(move || {
        let mut out = io::BufWriter::with_capacity(PART_BYTES, Parts(sender.clone()));
        let written = write(&reader, &subject, &heading, &mut out).and_then(|()| out.flush());
        if let Err(error) = written {
            // A reader that went away does not want to hear of it.
            let _: Result<_, _> = sender.blocking_send(Err(error));
        }
    });
    Ok(Export { file_name, parts })
}

/// Writes the export of somebody in the database in `directory`. Blocks.
///
/// # Errors
/// What the operating system or the database says.
pub(crate) fn write_from(
    directory: &Path,
    subject: &Subject,
    heading: &Heading,
    out: &mut dyn Write,
) -> io::Result<()> {
    let reader = PersonalReader::open(directory).map_err(io::Error::other)?;
    write(&reader, subject, heading, out)
}

struct Parts(mpsc::Sender<io::Result<Bytes>>);

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(
    reader: &PersonalReader,
    subject: &Subject,
    heading: &Heading,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (holdings, files) = reader.holdings(subject).map_err(io::Error::other)?;
    let mut zip = ZipWriter::new_stream(out);
    let compressed = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("index.html", compressed)?;
    let html = page(subject, heading, &holdings).render().map_err(io::Error::other)?;
    zip.write_all(html.as_bytes())?;
    zip.start_file("data.json", compressed)?;
    serde_json::to_writer_pretty(&mut zip, &data(subject, heading, &holdings))?;
    for file in files {
        // What was delivered meanwhile is held no more.
        let Some(bytes) = reader.file(&file).map_err(io::Error::other)? else { continue };
        // Sealed mail and keys do not get smaller.
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file(file.path(), stored)?;
        zip.write_all(&bytes)?;
    }
    zip.finish()?;
    Ok(())
}

fn data(subject: &Subject, heading: &Heading, holdings: &[Holding]) -> Value {
    let tables: serde_json::Map<String, Value> =
        holdings.iter().map(|holding| (holding.table.to_owned(), json!(holding.rows))).collect();
    json!({
        "server": heading.server,
        "exported_at": heading.at,
        "id": subject.participant.map(|id| id.to_string()),
        "name": subject.name,
        "tables": tables,
    })
}

fn page<'a>(subject: &'a Subject, heading: &'a Heading, holdings: &[Holding]) -> ExportPage<'a> {
    let language = heading.language;
    let tables = holdings
        .iter()
        .filter(|holding| !holding.rows.is_empty())
        .map(|holding| {
            let (title, explanation) = words::of(holding.table, language);
            let rows = holding.rows.iter().map(|row| {
                let shown = row.iter().filter(|(_, value)| !value.is_null());
                shown.map(|(column, value)| (words::column(column, language), short(value))).collect()
            });
            Section { title, explanation, rows: rows.collect() }
        })
        .collect();
    ExportPage {
        german: language == Language::German,
        language: language.tag(),
        server: &heading.server,
        name: &subject.name,
        id: subject.participant.map(|id| id.to_string()).unwrap_or_default(),
        tables,
    }
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}
