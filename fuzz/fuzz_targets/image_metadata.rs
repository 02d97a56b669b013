//! Pictures whose metadata is taken out before they are sent. What came out has none left to take. How to run it: see
//! `smoke_codec`.
#![no_main]

#[path = "../../crates/client/src/metadata/mod.rs"]
mod metadata;

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for name in ["a.jpg", "a.png", "a.webp", "a.gif", "a"] {
        let mut file = Cursor::new(bytes);
        let Ok(found) = metadata::Format::find(name, &mut file) else { continue };
        let mut once = Vec::new();
        file.set_position(0);
        if metadata::strip(found.format, &mut file, &mut once).is_err() {
            continue;
        }
        assert!(once.len() <= bytes.len() + 64, "it grew from {} to {}", bytes.len(), once.len());
        let mut twice = Vec::new();
        if metadata::strip(found.format, &mut Cursor::new(&once), &mut twice).is_ok() {
            assert_eq!(twice, once, "something was left to take out");
        }
    }
});
