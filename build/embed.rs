//! From the module to the files that the server hands out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

/// Files by their names as the server hands them out.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The list of files with their digests, as `sha256sum` writes it; its own digest stands for all of them.
const SUMS: &str = "SHA256SUMS";

/// Binds the module to JavaScript: an ES module, which a module worker imports without `eval`. `scratch` is written anew.
pub(crate) fn bind(wasm: &Path, scratch: &Path) -> Result<Files> {
    empty(scratch)?;
    Bindgen::new()
        .input_path(wasm)
        .out_name("client")
        .web(true)?
        .omit_default_module_path(false)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(scratch)
        .with_context(|| format!("cannot bind {} to JavaScript", wasm.display()))?;
    read(scratch)
}

/// Reads a folder with all below it.
pub(crate) fn read(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    let of_folder = || format!("cannot read {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(of_folder)? {
        let path = entry.with_context(of_folder)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).with_context(of_folder)?.to_owned();
        if path.is_dir() {
            files.extend(read(&path)?.into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

/// Writes the packed files, and `web_client.rs`, which names them in an expression.
pub(crate) fn embed(mut files: Files, out: &Path) -> Result<()> {
    let mut sums = String::new();
    for (name, bytes) in &files {
        writeln!(sums, "{}  {name}", hex(bytes))?;
    }
    let digest = hex(sums.as_bytes());
    files.insert(SUMS.to_owned(), sums.into_bytes());

    let folder = out.join("web-client");
    empty(&folder)?;
    let mut source = format!("Client {{ digest: {digest:?}, files: &[\n");
    for (number, (name, bytes)) in files.iter().enumerate() {
        // Numbers, because names may have folders in them.
        let packed = folder.join(format!("{number}.gz"));
        std::fs::write(&packed, gzip(bytes)?)
            .with_context(|| format!("cannot write {}", packed.display()))?;
        writeln!(source, "({name:?}, include_bytes!(\"web-client/{number}.gz\")),")?;
    }
    source.push_str("] }\n");
    let path = out.join("web_client.rs");
    std::fs::write(&path, source).with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a folder with nothing in it.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Packs without name and date, so that the same comes of the same.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut packer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    packer.write_all(bytes)?;
    Ok(packer.finish()?)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
