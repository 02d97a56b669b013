//! A person as a row names them.

use super::columns::{Column, cell};
use crate::domain::folding::folded;
use crate::domain::role::Role;
use momedo_protocol::name::tidied;

/// One person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The person's name, given names first.
    pub name: String,
    /// The part of it that is the family name; empty where the list does not say it.
    pub family_name: String,
    /// Their class; may be empty.
    pub class: String,
    /// What other software knows them by; may be empty.
    pub key: String,
    /// Their role as written; may be empty.
    pub role: String,
}

impl Entry {
    /// The role, `member` when none is written; `None` for a word that is no role.
    pub fn role(&self) -> Option<Role> {
        if self.role.is_empty() { Some(Role::Member) } else { role_in(&self.role) }
    }
}

/// The role that a word stands for.
pub(super) fn role_in(word: &str) -> Option<Role> {
    match folded(word).as_str() {
        "mitglied" | "schüler" | "schülerin" | "schüler/in" | "schüler*in" | "schüler:in" | "lernende"
        | "pupil" | "student" => Some(Role::Member),
        "lehrer" | "lehrerin" | "lehrer/in" | "lehrer*in" | "lehrer:in" | "lehrkraft" | "lehrkräfte"
        | "kollegium" | "beschäftigte" | "mitarbeiter" | "mitarbeiterin" | "teacher" | "staff" => {
            Some(Role::Employee)
        }
        "verwaltung" => Some(Role::Admin),
        other => other.parse().ok(),
    }
}

/// Reads a row by what its columns mean, and by the order in which whole names are written.
pub(super) fn entry(columns: &[Option<Column>], row: &[String], order: NameOrder) -> Entry {
    let value = |wanted| {
        let column = columns.iter().position(|column| *column == Some(wanted));
        tidied(column.map_or("", |column| cell(row, column)))
    };
    let (family, given, whole) = (value(Column::FamilyName), value(Column::GivenName), value(Column::Name));
    let (given, family) = match whole.as_str() {
        "" => (given, family),
        whole => order.parts(whole),
    };
    Entry {
        name: tidied(&format!("{given} {family}")),
        family_name: family,
        class: value(Column::Class),
        key: value(Column::Key),
        role: value(Column::Role),
    }
}

/// In which order the parts of whole names stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum NameOrder {
    /// `Ada Lovelace`.
    #[default]
    GivenFirst,
    /// `Lovelace, Ada`.
    Comma,
    /// `Lovelace Ada`.
    FamilyFirst,
}

impl NameOrder {
    /// As most of these names and the title over them say.
    pub(super) fn of<'a>(title: &str, names: impl Iterator<Item = &'a str>) -> Self {
        let (mut all, mut with_comma) = (0_usize, 0_usize);
        for name in names {
            all += 1;
            with_comma += usize::from(at_comma(name).is_some());
        }
        let title: String = folded(title).chars().filter(|c| c.is_alphabetic()).collect();
        match () {
            () if with_comma * 2 > all => Self::Comma,
            () if ["namevor", "namerufname", "nachundvorname"].iter().any(|start| title.contains(start)) => {
                Self::FamilyFirst
            }
            () => Self::GivenFirst,
        }
    }

    /// Given names and family name; the family name is empty where it cannot be told.
    fn parts(self, whole: &str) -> (String, String) {
        let parts = match self {
            Self::GivenFirst => None,
            Self::Comma => at_comma(whole),
            Self::FamilyFirst => at_comma(whole).or_else(|| {
                // "von der Heide Max": small words belong to what follows them.
                let first = whole.split(' ').position(|word| word.starts_with(char::is_uppercase))?;
                let end: usize = whole.split(' ').take(first + 1).map(|word| word.len() + 1).sum();
                let given = whole.get(end..).filter(|given| !given.is_empty())?;
                Some((whole[..end].trim_end(), given))
            }),
        };
        parts.map_or_else(
            || (whole.to_owned(), String::new()),
            |(family, given)| (given.to_owned(), family.to_owned()),
        )
    }
}

/// The two sides of the only comma in a name.
fn at_comma(name: &str) -> Option<(&str, &str)> {
    let (family, given) = name.split_once(',')?;
    let (family, given) = (family.trim(), given.trim());
    (!family.is_empty() && !given.is_empty() && !given.contains(',')).then_some((family, given))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(order: NameOrder, whole: &str) -> (String, String) {
        order.parts(whole)
    }

    #[test]
    fn whole_names_are_taken_apart_as_their_list_writes_them() {
        let pair = |given: &str, family: &str| (given.to_owned(), family.to_owned());
        assert_eq!(parts(NameOrder::GivenFirst, "Ada Lovelace"), pair("Ada Lovelace", ""));
        assert_eq!(parts(NameOrder::Comma, "Lovelace, Ada"), pair("Ada", "Lovelace"));
        assert_eq!(parts(NameOrder::Comma, "Ada Lovelace"), pair("Ada Lovelace", ""));
        assert_eq!(parts(NameOrder::FamilyFirst, "Lovelace Ada"), pair("Ada", "Lovelace"));
        assert_eq!(
            parts(NameOrder::FamilyFirst, "von der Heide Max Emil"),
            pair("Max Emil", "von der Heide")
        );
        assert_eq!(parts(NameOrder::FamilyFirst, "Cher"), pair("Cher", ""));
        assert_eq!(NameOrder::of("Name", ["Lovelace, Ada", "Cher"].into_iter()), NameOrder::GivenFirst);
        assert_eq!(NameOrder::of("Name", ["Lovelace, Ada"].into_iter()), NameOrder::Comma);
        assert_eq!(NameOrder::of("Name Vorname", ["Lovelace Ada"].into_iter()), NameOrder::FamilyFirst);
        assert_eq!(NameOrder::of("Nach- und Vorname", ["Lovelace Ada"].into_iter()), NameOrder::FamilyFirst);
        assert_eq!(NameOrder::of("Vorname Name", ["Ada Lovelace"].into_iter()), NameOrder::GivenFirst);
    }
}
