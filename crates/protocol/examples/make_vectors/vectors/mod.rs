//! Every file of vectors, and how it is made.

mod bundles;
mod derivation;
mod documents;
mod envelopes;
mod fixtures;
mod groups;
mod key_log;
mod link;
mod names;
mod new_devices;
mod possession;

use std::error::Error;
use std::path::Path;

use fixtures::Keys;
use serde_json::Value;

pub(super) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What makes a file.
type Make = fn(&Keys) -> Result<Value>;

const FILES: [(&str, Make); 10] = [
    ("keys.json", Keys::vectors),
    ("names.json", |keys| Ok(names::names(keys))),
    ("documents.json", documents::documents),
    ("bundles.json", bundles::bundles),
    ("envelopes.json", envelopes::envelopes),
    ("possession.json", possession::possession),
    ("new_devices.json", new_devices::new_devices),
    ("groups.json", groups::groups),
    ("link.json", link::link),
    ("key_log.json", key_log::key_log),
];

/// Makes these files in the folder, or all of them where none is named.
pub(super) fn write(folder: &Path, wanted: &[String]) -> Result<()> {
    if let Some(unknown) = wanted.iter().find(|wanted| FILES.iter().all(|(name, _)| name != wanted)) {
        return Err(format!("there are no vectors named {unknown}").into());
    }
    let keys = Keys::read()?;
    for (name, make) in FILES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            let text = serde_json::to_string_pretty(&make(&keys)?)? + "\n";
            println!("{name}: {} bytes", text.len());
            std::fs::write(folder.join(name), text)?;
        }
    }
    Ok(())
}
