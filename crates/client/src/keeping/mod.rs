//! Rows that a device keeps, whatever keeps them: SQLite in a file, or a browser's private file without SQLite.
//!
//! What is kept and when it changes is written once, in [`crate::profile`]; a [`Keep`] only stores rows. Nothing about
//! messages, people or keys may enter here, no clock and no network; and an engine decides nothing: what it does with a
//! row follows from `tables` alone, so that both do the same.

mod cell;
#[cfg(feature = "sqlite")]
#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod disk;
mod encoding;
#[cfg(feature = "sqlite")]
mod migrations;
mod pages;
#[cfg(test)]
mod power_cuts;
#[cfg(feature = "sqlite")]
mod sqlite;
mod table;
pub(crate) mod tables;
mod trees;

use std::ops::ControlFlow;

pub use cell::{Cell, Row};
pub use pages::Pages;
#[cfg(feature = "sqlite")]
pub use sqlite::Sqlite;
pub use table::{Column, Index, Table};

/// Why something cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// A value that no table holds, or that stands there already: somebody may have sent it.
    #[error("{0}")]
    Unfit(String),
    /// What was kept was kept by a newer program, or its making was cut off.
    #[error("it was written by another version of momedo, or its making was cut off")]
    Version,
    /// It cannot be written, or read.
    #[error("{0}")]
    Failed(String),
}

impl KeepError {
    pub(crate) fn failed(reason: impl ToString) -> Self {
        Self::Failed(reason.to_string())
    }
}

/// What an engine answers.
pub type Result<T> = std::result::Result<T, KeepError>;

/// When what is committed has reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Each commit before it returns.
    AtOnce,
    /// With the next commit that is brought there at once. A power cut before it loses the last commits, or all since
    /// then; never one in the middle, nothing of before, and never part of one.
    Together,
}

/// In which direction rows are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The least first.
    Up,
    /// The greatest first.
    Down,
}

/// By what rows are visited.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    Arrival,
    Key,
    Index(&'static Index),
}

/// Which rows are visited, and in which order.
///
/// Values are ordered as SQLite does: nothing, numbers, texts by their UTF-8, bytes.
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    pub(crate) by: By,
    pub(crate) prefix: &'a [Cell],
    pub(crate) from: Option<Cell>,
    pub(crate) direction: Direction,
    pub(crate) filter: Option<Filter>,
}

/// Which value a column of the visited rows has, or has not.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) column: Column,
    pub(crate) cell: Cell,
    pub(crate) is: bool,
}

impl<'a> Scan<'a> {
    /// All of a table in the order in which rows came; a row that was changed keeps its place.
    pub fn by_arrival() -> Self {
        Self { by: By::Arrival, prefix: &[], from: None, direction: Direction::Up, filter: None }
    }

    /// By the key, those whose key begins with `prefix`.
    pub fn by_key(prefix: &'a [Cell]) -> Self {
        Self { by: By::Key, prefix, from: None, direction: Direction::Up, filter: None }
    }

    /// By an index, those whose indexed columns begin with `prefix`; then by arrival.
    pub fn by_index(index: &'static Index, prefix: &'a [Cell]) -> Self {
        Self { by: By::Index(index), prefix, from: None, direction: Direction::Up, filter: None }
    }

    /// Begins where the column after the prefix has this value. Not for arrival.
    #[must_use]
    pub fn from(self, cell: Cell) -> Self {
        Self { from: Some(cell), ..self }
    }

    /// Leaves out all rows that have another value there.
    #[must_use]
    pub fn only(self, column: Column, cell: Cell) -> Self {
        Self { filter: Some(Filter { column, cell, is: true }), ..self }
    }

    /// Leaves out all rows that have this value there.
    #[must_use]
    pub fn except(self, column: Column, cell: Cell) -> Self {
        Self { filter: Some(Filter { column, cell, is: false }), ..self }
    }

    /// The greatest, or the last to come, first.
    #[must_use]
    pub fn down(self) -> Self {
        Self { direction: Direction::Down, ..self }
    }

    /// The columns that order the rows; none when by arrival.
    #[cfg(feature = "sqlite")]
    pub(crate) fn columns(&self, table: &Table) -> Vec<Column> {
        match self.by {
            By::Arrival => Vec::new(),
            By::Key => table.key_columns().collect(),
            By::Index(index) => index.columns.to_vec(),
        }
    }
}

/// Looks at a row; breaks off when it has seen enough.
pub type Visit<'a> = &'a mut dyn FnMut(&mut Row) -> Result<ControlFlow<()>>;

/// Keeps rows of `tables`.
///
/// One of these calls is whole or not at all, and on the disk as the [`Durability`] says; what has to be whole together
/// stands between [`Keep::begin`] and [`Keep::commit`], and sees its own changes. There is one such transaction at a time.
pub trait Keep: Send {
    /// Brings an empty store, or one whose making was cut off, to the newest schema.
    ///
    /// # Errors
    /// [`KeepError::Failed`], as of every call that follows.
    fn make(&self) -> Result<()>;

    /// Brings a store that was made by this or an earlier program to the newest schema.
    ///
    /// # Errors
    /// [`KeepError::Version`] for any other, which is left as it is.
    fn upgrade(&self) -> Result<()>;

    /// Whether a schema is there, of whichever version.
    ///
    /// # Errors
    /// [`KeepError::Failed`].
    fn is_made(&self) -> Result<bool>;

    /// Begins a transaction; waits for one of another program.
    ///
    /// # Errors
    /// [`KeepError::Failed`], also when one is open already.
    fn begin(&self) -> Result<()>;

    /// Keeps what was changed since [`Keep::begin`].
    ///
    /// # Errors
    /// [`KeepError::Failed`].
    fn commit(&self) -> Result<()>;

    /// Takes back what was changed since [`Keep::begin`].
    ///
    /// # Errors
    /// [`KeepError::Failed`].
    fn rollback(&self) -> Result<()>;

    /// Whether a transaction is open.
    fn is_in_transaction(&self) -> bool;

    /// When commits from now on reach the disk; not to be changed within a transaction.
    ///
    /// # Errors
    /// [`KeepError::Failed`].
    fn set_durability(&self, durability: Durability) -> Result<()>;

    /// These columns of the row with this key.
    ///
    /// # Errors
    /// [`KeepError::Failed`].
    fn row(&self, table: &'static Table, key: &[Cell], columns: &[Column]) -> Result<Option<Row>>;

    /// Adds a row, all its columns in the table's order, unless its key or what else is unique is there; whether it did.
    /// The number of a numbered row is [`Cell::Null`]: it is one more than the greatest.
    ///
    /// # Errors
    /// [`KeepError::Unfit`] for values that cannot be kept.
    fn insert(&self, table: &'static Table, row: Vec<Cell>) -> Result<bool>;

    /// Adds a row, or gives the one with its key, where it stands, these values. Not for numbered tables.
    ///
    /// # Errors
    /// [`KeepError::Unfit`] as [`Keep::insert`], and when another row has what must be unique.
    fn put(&self, table: &'static Table, row: Vec<Cell>) -> Result<()>;

    /// Gives some columns, none of the key, other values; whether there is such a row.
    ///
    /// # Errors
    /// As [`Keep::put`].
    fn set(&self, table: &'static Table, key: &[Cell], cells: Vec<(Column, Cell)>) -> Result<bool>;

    /// Removes a row; whether there was one.
    ///
    /// # Errors
    /// [`KeepError::Failed`].
    fn remove(&self, table: &'static Table, key: &[Cell]) -> Result<bool>;

    /// Visits rows with these columns of them. The visitor must not call the engine.
    ///
    /// # Errors
    /// [`KeepError::Failed`], and what the visitor says.
    fn scan(&self, table: &'static Table, scan: Scan<'_>, columns: &[Column], visit: Visit<'_>)
    -> Result<()>;

    /// Removes everything that is kept, for ever.
    ///
    /// # Errors
    /// [`KeepError::Failed`].
    fn discard(self: Box<Self>) -> Result<()>;
}
