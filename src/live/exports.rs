//! Exports of what the server holds about somebody that run: one of each person, few in all. Admins have places
//! of their own, so that nobody keeps them from one by taking theirs slowly.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::limits::MAX_EXPORTS;

/// Who asked for an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskedBy {
    /// Whom it is about.
    Themselves,
    /// An admin.
    Admin,
}

type Running = HashSet<(AskedBy, String)>;

/// Every export that runs, by who asked for it and its file's name.
#[derive(Default)]
pub struct Exports(Arc<Mutex<Running>>);

/// A place among the exports that run.
pub struct Place {
    running: Arc<Mutex<Running>>,
    export: (AskedBy, String),
}

impl Exports {
    /// A place for one more export; `None` when one of the same person runs, or as many as may, for those who ask.
    pub fn begin(&self, by: AskedBy, name: &str) -> Option<Place> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let export = (by, name.to_owned());
        let number = running.iter().filter(|(other, _)| *other == by).count();
        if number >= MAX_EXPORTS || !running.insert(export.clone()) {
            return None;
        }
        Some(Place { running: self.0.clone(), export })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.export);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_export_of_each_person_and_few_in_all_run_at_once() {
        let exports = Exports::default();
        let mut places: Vec<_> = exports.begin(AskedBy::Themselves, "0").into_iter().collect();
        assert!(exports.begin(AskedBy::Themselves, "0").is_none());
        places.extend(
            (1..MAX_EXPORTS).filter_map(|number| exports.begin(AskedBy::Themselves, &number.to_string())),
        );
        assert_eq!(places.len(), MAX_EXPORTS);
        assert!(exports.begin(AskedBy::Themselves, "another").is_none());
        let admins: Vec<_> = (0..=MAX_EXPORTS)
            .filter_map(|number| exports.begin(AskedBy::Admin, &number.to_string()))
            .collect();
        assert_eq!(admins.len(), MAX_EXPORTS, "admins have places of their own, and as many");
        drop(places);
        assert!(exports.begin(AskedBy::Themselves, "0").is_some());
    }
}
