//! Writes the vectors of the Smoke app into `corpus/smoke_codec`, so that fuzzing starts from real frames.

use std::path::Path;

use serde_json::Value;

fn strings(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| strings(value, into)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, into)),
        _ => {}
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len() / 2).map(|index| digits(index * 2)).collect()
}

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vectors = std::fs::read(root.join("../crates/smoke/vectors/vectors.json"))?;
    let vectors: Value = serde_json::from_slice(&vectors)?;
    let mut texts = Vec::new();
    strings(&vectors["vectors"], &mut texts);
    let folder = root.join("corpus/smoke_codec");
    std::fs::create_dir_all(&folder)?;
    for (number, text) in texts.iter().filter(|text| (32..60_000).contains(&text.len())).enumerate() {
        // The first byte says what the rest is: a stream, an opened request, a bundle's text, an answer.
        let seed = if text.starts_with("POST") {
            [&[0], text.as_bytes()].concat()
        } else if let Some(bytes) = unhex(text) {
            [&[1], &bytes[..]].concat()
        } else {
            [&[3], text.as_bytes()].concat()
        };
        std::fs::write(folder.join(format!("vector-{number}")), seed)?;
    }
    Ok(())
}
