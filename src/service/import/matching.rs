//! Whom a row is about: somebody with its key, else somebody of its name in its class, each person once.

use std::collections::HashSet;

use super::{Effect, RowError};
use crate::domain::class_list::Entry;
use crate::domain::folding::{class_key, folded};
use crate::service::ServiceError;
use crate::store::{PersonId, PersonRow, ReadTx};

/// The rows of one list so far.
pub(super) struct Matching {
    /// Whether rows of one name in one class are different people.
    namesakes: bool,
    /// Keys, or names with their classes.
    seen: HashSet<String>,
    /// People that a row was about.
    taken: HashSet<PersonId>,
}

/// Whom a row is about; nobody yet if they are new.
pub(super) struct Match(pub(super) Option<PersonRow>);

impl Matching {
    pub(super) fn new(namesakes: bool) -> Self {
        Self { namesakes, seen: HashSet::new(), taken: HashSet::new() }
    }

    /// Refuses a row that says again what another one said.
    pub(super) fn note(&mut self, entry: &Entry) -> Result<(), RowError> {
        if !entry.key.is_empty() {
            return self.seen.insert(format!("key {}", entry.key)).then_some(()).ok_or(RowError::Repeated);
        }
        let name = format!("name {}\n{}", folded(&entry.name), class_key(&entry.class));
        if self.seen.insert(name) || self.namesakes { Ok(()) } else { Err(RowError::Namesake) }
    }

    /// Finds whom a row is about, and takes them from the rows behind it.
    pub(super) fn find(&mut self, tx: &ReadTx<'_>, entry: &Entry) -> Result<Match, ServiceError> {
        let found = self.existing(tx, entry)?;
        if let Some(person) = &found {
            self.taken.insert(person.id);
        }
        Ok(Match(found))
    }

    /// Somebody whom a row made is not whom another one is about.
    pub(super) fn take(&mut self, person: PersonId) {
        self.taken.insert(person);
    }

    fn existing(&self, tx: &ReadTx<'_>, entry: &Entry) -> Result<Option<PersonRow>, ServiceError> {
        if !entry.key.is_empty()
            && let Some(known) = tx.find_person_by_key(&entry.key)?
        {
            return Ok(Some(known));
        }
        // Somebody entered by hand, without a key, is taken for the same person and gets it.
        let class = match entry.class.as_str() {
            "" => None,
            class => match tx.class_number(class)? {
                Some(class) => Some(class),
                None => return Ok(None),
            },
        };
        // A list without keys means those who have one, too.
        let mut same_name = tx.people_by_name(&entry.name, class, entry.key.is_empty())?;
        same_name.retain(|person| !self.taken.contains(&person.id));
        same_name.sort_by_key(|person| person.external_key.is_some());
        Ok(same_name.into_iter().next())
    }
}

impl Match {
    /// What the row would do.
    pub(super) fn effect(&self, tx: &ReadTx<'_>, entry: &Entry) -> Result<Effect, ServiceError> {
        let Some(person) = &self.0 else { return Ok(Effect::Adds) };
        let same_role = entry.role.is_empty() || entry.role() == Some(person.role);
        let same_key = entry.key.is_empty() || person.external_key.as_ref() == Some(&entry.key);
        let same_family = entry.family_name.is_empty() || person.family_name == entry.family_name;
        let same = person.name == entry.name
            && same_family
            && same_key
            && same_role
            && is_in_class(tx, person.id, &entry.class)?;
        Ok(if same { Effect::Unchanged } else { Effect::Changes })
    }
}

fn is_in_class(tx: &ReadTx<'_>, person: PersonId, class: &str) -> Result<bool, ServiceError> {
    if class.is_empty() {
        return Ok(true);
    }
    let Some(class) = tx.class_number(class)? else { return Ok(false) };
    // Still in a class of an earlier list, they have to leave that one.
    let others = tx.classes_by_list(person)?.iter().any(|other| *other != class);
    Ok(tx.classes_of(person)?.contains(&class) && !others)
}
