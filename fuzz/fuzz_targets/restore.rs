//! Restoring: whatever file somebody chooses as a backup becomes a sound server or is refused, and leaves nothing behind.
//!
//! Start it with a real one: `momedo admin backup export NAME --to fuzz/corpus/restore/real`; `-max_len` must be its size.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use momedo::server::running;
use momedo::service::backup::{Replace, restore};
use momedo_protocol::time::UnixMillis;

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let (file, directory) = (folder.path().join("file"), folder.path().join("data"));
    std::fs::write(&file, data).expect("it can be written to");
    let passphrase = momedo_protocol::secret_text::SecretText::typed("Sonne über dem Schulhof");
    let restored = restore(&file, &directory, Some(&passphrase), Replace::Refuse, UnixMillis(1));
    match restored {
        Ok(_) => assert!(running::examine(Path::new(&directory)).is_ok(), "what was restored is sound"),
        Err(_) => assert!(!directory.exists(), "what is refused leaves nothing behind"),
    }
});
