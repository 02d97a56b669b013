//! What the server holds about somebody as one ZIP file: a readable page, the same as JSON, and the bytes of
//! envelopes and keys. Written step by step, as fast as it is taken; nothing of it touches the disk here.

pub(crate) mod words;

use momedo_texts::Language;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use askama::Template;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use momedo_protocol::time::UnixMillis;
use serde_json::{Value, json};
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};

use super::unread::PART_BYTES;
use crate::domain::limits::EXPORT_TIME;
use crate::live::exports::AskedBy;
use crate::service::ServiceError;
use crate::service::error::compute;
use crate::service::personal::{FileOf, Holding, PersonalReader, Subject};
use crate::state::App;

/// Longest value the readable page shows whole; longer ones stand in data.json.
const SHOWN_CHARACTERS: usize = 120;

/// An export on its way: a stream of parts, in order. Cut short when something fails.
pub struct Export {
    /// What to save it as.
    pub file_name: String,
    /// The parts, each at most as large as one may be.
    pub parts: BoxStream<'static, io::Result<Bytes>>,
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
/// [`ServiceError::Busy`] when an export of the same person runs, or as many as may, and [`ServiceError::Internal`]
/// when the database cannot be read.
pub(crate) async fn start(
    app: &App,
    by: AskedBy,
    subject: Subject,
    language: Language,
) -> Result<Export, ServiceError> {
    let heading = Heading { server: app.config().server.name.clone(), at: app.clock.now(), language };
    let directory = app.store.directory().to_owned();
    let file_name = file_name(&subject);
    let place = app.exports.begin(by, &file_name).ok_or(ServiceError::Busy)?;
    // Begun here, so that a database that cannot be read is a refusal and not a file cut short.
    let writing = compute(move || {
        let reader = PersonalReader::open(&directory)?;
        Writing::begin(reader, &subject, &heading, Written::default())
            .map_err(|error| ServiceError::Internal(error.to_string()))
    })
    .await?;
    let state = Some((writing, Bytes::new(), place));
    let parts = stream::try_unfold(state, |state| async move {
        let Some((mut writing, mut rest, place)) = state else { return Ok(None) };
        while rest.is_empty() && !writing.is_finished() {
            // A little work at a time: no thread waits for whoever takes it.
            let step = compute(move || {
                let stepped = writing.step();
                Ok(stepped.map(|()| (writing.out.take(), writing)))
            });
            (rest, writing) = step.await.map_err(io::Error::other)??;
        }
        if rest.is_empty() {
            return Ok(None);
        }
        let part = rest.split_to(rest.len().min(PART_BYTES));
        // A copy: a piece would keep all of it in memory.
        Ok(Some((Bytes::copy_from_slice(&part), Some((writing, rest, place)))))
    });
    Ok(Export { file_name, parts: in_time(parts, Instant::now() + EXPORT_TIME).boxed() })
}

/// The parts that are asked for in time; then an error, which ends them.
fn in_time(
    parts: impl Stream<Item = io::Result<Bytes>>,
    until: Instant,
) -> impl Stream<Item = io::Result<Bytes>> {
    parts.map(move |part| if Instant::now() < until { part } else { Err(io::ErrorKind::TimedOut.into()) })
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
    let written = Written::default();
    let mut writing = Writing::begin(reader, subject, heading, written.clone())?;
    loop {
        out.write_all(&written.take())?;
        if writing.is_finished() {
            return Ok(());
        }
        writing.step()?;
    }
}

/// What was written and not taken yet.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An export that is written step by step. Every step blocks for a moment.
struct Writing {
    reader: PersonalReader,
    /// `None` when all is written.
    zip: Option<ZipWriter<StreamWriter<Written>>>,
    files: std::vec::IntoIter<FileOf>,
    out: Written,
}

impl Writing {
    /// Writes the readable page and the same as JSON.
    fn begin(reader: PersonalReader, subject: &Subject, heading: &Heading, out: Written) -> io::Result<Self> {
        let (holdings, files) = reader.holdings(subject).map_err(io::Error::other)?;
        let mut zip = ZipWriter::new_stream(out.clone());
        let compressed = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        zip.start_file("index.html", compressed)?;
        let html = page(subject, heading, &holdings).render().map_err(io::Error::other)?;
        zip.write_all(html.as_bytes())?;
        zip.start_file("data.json", compressed)?;
        serde_json::to_writer_pretty(&mut zip, &data(subject, heading, &holdings))?;
        Ok(Self { reader, zip: Some(zip), files: files.into_iter(), out })
    }

    fn is_finished(&self) -> bool {
        self.zip.is_none()
    }

    /// Writes the next file, or the end.
    fn step(&mut self) -> io::Result<()> {
        let Some(zip) = &mut self.zip else { return Ok(()) };
        let Some(file) = self.files.next() else {
            if let Some(zip) = self.zip.take() {
                zip.finish()?;
            }
            return Ok(());
        };
        // What was delivered meanwhile is held no more.
        let Some(bytes) = self.reader.file(&file).map_err(io::Error::other)? else { return Ok(()) };
        // Sealed mail and keys do not get smaller.
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        zip.start_file(file.path(), stored)?;
        zip.write_all(&bytes)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_export_ends_with_an_error_when_its_time_is_over() {
        let parts = || stream::iter([Ok(Bytes::from_static(b"part"))]);
        let now = Instant::now();
        let mut taken = std::pin::pin!(in_time(parts(), now + EXPORT_TIME));
        assert!(taken.next().await.is_some_and(|part| part.is_ok()));
        let mut late = std::pin::pin!(in_time(parts(), now));
        assert!(late.next().await.is_some_and(|part| part.is_err()));
    }
}
