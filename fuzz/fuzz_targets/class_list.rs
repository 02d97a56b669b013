//! Class lists: whatever file somebody chooses, text or workbook, is read or refused.
//!
//! The rules are the server's own source, without the server around them.
#![no_main]

#[allow(dead_code, reason = "a part of the rules, whose other callers are not here")]
#[path = "."]
mod domain {
    #[path = "../../src/domain/class_list/mod.rs"]
    pub mod class_list;
    #[path = "../../src/domain/folding.rs"]
    pub mod folding;
    #[path = "../../src/domain/person_name.rs"]
    pub mod person_name;
    #[path = "../../src/domain/role.rs"]
    pub mod role;
}

use domain::class_list::{Choices, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The first byte may say in which line the titles stand.
    let (titles, file) = match data.split_first() {
        Some((line @ 0..=3, file)) => (Some(u64::from(*line)), file),
        _ => (None, data),
    };
    if let Ok(list) = read(file, &Choices { titles, ..Choices::default() }) {
        assert!(!list.rows.is_empty(), "a list that holds nobody is an error");
    }
});
