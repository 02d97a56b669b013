//! Exports of what the server holds about somebody that run: one of each person, few in all.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::limits::MAX_EXPORTS;

/// Every export that runs, by its file's name.
#[derive(Default)]
pub struct Exports(Arc<Mutex<HashSet<String>>>);

/// A place among the exports that run.
pub struct Place {
    running: Arc<Mutex<HashSet<String>>>,
    name: String,
}

impl Exports {
    /// A place for one more export; `None` when one of the same person runs, or as many as may.
    pub fn begin(&self, name: &str) -> Option<Place> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.len() >= MAX_EXPORTS || !running.insert(name.to_owned()) {
            return None;
        }
        Some(Place { running: self.0.clone(), name: name.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_export_of_each_person_and_few_in_all_run_at_once() {
        let exports = Exports::default();
        let mut places: Vec<_> = exports.begin("0").into_iter().collect();
        assert!(exports.begin("0").is_none());
        places.extend((1..MAX_EXPORTS).filter_map(|number| exports.begin(&number.to_string())));
        assert_eq!(places.len(), MAX_EXPORTS);
        assert!(exports.begin("another").is_none());
        drop(places);
        assert!(exports.begin("0").is_some());
    }
}
