//! Rows in pages of one file that a [`StorageBackend`] reads and writes: for a browser, which has no SQLite.
//!
//! redb keeps two trees. In `small` stand rows under their place in the order of arrival, and, each under what it orders
//! by, the place of every row: its key, its indexes. In `heavy` stand long values, so that whoever visits rows does not
//! read them. This module needs no file system, no thread and no clock.
//!
//! # Durability
//! A page that counts is never written over: a commit writes new pages, waits until the file has them, and only then has
//! the header point to them (redb's commit in two phases). A crash at any moment therefore leaves the last commit or the
//! one before. Commits that reach the disk together are redb's `Durability::None`: they use pages that no durable commit
//! knows, and the header does not name them until the next durable commit, which names all of them at once. Each
//! durable commit also keeps which pages are free, because a browser ends its workers without a word: without this, the
//! whole file would be read whenever it is opened again.
//!
//! A commit that fails, as for want of room, leaves the file as it was before or after it; redb refuses what follows until
//! the file is opened again.
//!
//! # What was removed
//! SQLite is told to overwrite what it deletes; redb cannot be. What was removed or replaced stands in pages that are free
//! until something new is written to them, and whoever has the file can read it until then. For the same reason nothing
//! can be overwritten from here: a changed value is a new page. What is secret must be sealed by those who keep it, as
//! profiles with a passphrase do, and then what stays behind is sealed as well.

use std::cell::{Cell as Flag, RefCell};
use std::ops::ControlFlow;

use redb::{Builder, Database, ReadableDatabase, StorageBackend, TableError, WriteTransaction};

use super::encoding;
use super::trees::{ABOUT, BROKEN, HEAVY, New, SMALL, Trees};
use super::{
    By, Cell, Column, Direction, Durability, Keep, KeepError, Result, Row, Scan, Table, Visit, tables,
};

/// What says of which version the schema is.
const SCHEMA: &str = "schema";

/// Rows in pages of a file.
pub struct Pages {
    database: Database,
    open: RefCell<Option<WriteTransaction>>,
    /// Whether the open transaction changed anything: bringing nothing to the disk takes as long as bringing something.
    is_changed: Flag<bool>,
    durability: Flag<Durability>,
    /// Why the first write failed: what follows fails for the same reason.
    failed: RefCell<Option<String>>,
}

impl Pages {
    /// Opens what `storage` holds, or begins it when it is empty; up to `cache_bytes` are kept in memory, and half of them
    /// may wait to be written. A phone does well with four MiB.
    ///
    /// # Errors
    /// [`KeepError::Failed`], also when it holds something else.
    pub fn open(storage: impl StorageBackend, cache_bytes: usize) -> Result<Self> {
        let database = Builder::new().set_cache_size(cache_bytes).create_with_backend(storage)?;
        Ok(Self {
            database,
            open: RefCell::default(),
            is_changed: Flag::new(false),
            durability: Flag::new(Durability::AtOnce),
            failed: RefCell::default(),
        })
    }

    fn version(&self) -> Result<Option<u64>> {
        match self.database.begin_read()?.open_table(ABOUT) {
            Ok(about) => Ok(about.get(SCHEMA)?.map(|version| version.value())),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn make_as(&self, version: u64) -> Result<()> {
        let transaction = self.start()?;
        drop(Trees::of(&transaction)?);
        transaction.open_table(ABOUT)?.insert(SCHEMA, version)?;
        Ok(transaction.commit()?)
    }

    fn start(&self) -> Result<WriteTransaction> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(true);
        transaction.set_durability(match self.durability.get() {
            Durability::AtOnce => redb::Durability::Immediate,
            Durability::Together => redb::Durability::None,
        })?;
        Ok(transaction)
    }

    /// Has every failure say what the first one was.
    fn said<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error {
            KeepError::Failed(reason) => {
                let mut first = self.failed.borrow_mut();
                if reason == BROKEN {
                    return KeepError::Failed(first.clone().unwrap_or(reason));
                }
                first.get_or_insert_with(|| reason.clone());
                KeepError::Failed(reason)
            }
            error => error,
        })
    }

    fn read<T>(&self, run: impl FnOnce(&Trees<'_>) -> Result<T>) -> Result<T> {
        self.said(self.read_in(run))
    }

    fn write<T>(&self, run: impl FnOnce(&mut Trees<'_>) -> Result<T>) -> Result<T> {
        self.said(self.write_in(run))
    }

    fn read_in<T>(&self, run: impl FnOnce(&Trees<'_>) -> Result<T>) -> Result<T> {
        match &*self.open.borrow() {
            Some(transaction) => run(&Trees::of(transaction)?),
            None => run(&Trees::snapshot(&self.database.begin_read()?)?),
        }
    }

    fn write_in<T>(&self, run: impl FnOnce(&mut Trees<'_>) -> Result<T>) -> Result<T> {
        if let Some(transaction) = &*self.open.borrow() {
            let mut trees = Trees::of(transaction)?;
            let result = run(&mut trees);
            self.is_changed.set(self.is_changed.get() || trees.is_changed());
            return result;
        }
        let transaction = self.start()?;
        let mut trees = Trees::of(&transaction)?;
        let result = run(&mut trees);
        let is_changed = trees.is_changed();
        drop(trees);
        end(transaction, result.is_ok() && is_changed)?;
        result
    }
}

/// Keeps what a transaction did, or takes it back.
fn end(transaction: WriteTransaction, is_kept: bool) -> Result<()> {
    if is_kept {
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(())
}

impl Keep for Pages {
    fn make(&self) -> Result<()> {
        if self.version()?.is_some() {
            return self.upgrade();
        }
        self.make_as(tables::VERSION.into())
    }

    fn upgrade(&self) -> Result<()> {
        // Earlier ones were SQLite's alone.
        if self.version()? == Some(tables::VERSION.into()) { Ok(()) } else { Err(KeepError::Version) }
    }

    fn is_made(&self) -> Result<bool> {
        Ok(self.version()?.is_some())
    }

    fn begin(&self) -> Result<()> {
        let mut open = self.open.borrow_mut();
        if open.is_some() {
            return Err(KeepError::failed("cannot start a transaction within a transaction"));
        }
        *open = Some(self.said(self.start())?);
        self.is_changed.set(false);
        Ok(())
    }

    fn commit(&self) -> Result<()> {
        self.said(end(self.open.take().ok_or_else(no_transaction)?, self.is_changed.get()))
    }

    fn rollback(&self) -> Result<()> {
        self.said(end(self.open.take().ok_or_else(no_transaction)?, false))
    }

    fn is_in_transaction(&self) -> bool {
        self.open.borrow().is_some()
    }

    fn set_durability(&self, durability: Durability) -> Result<()> {
        self.durability.set(durability);
        Ok(())
    }

    fn row(&self, table: &'static Table, key: &[Cell], columns: &[Column]) -> Result<Option<Row>> {
        self.read(|trees| {
            let Some(place) = trees.find(table, key)? else { return Ok(None) };
            let row = trees.row(table, place)?.ok_or_else(encoding::damaged)?;
            let mut found = Row::default();
            trees.read(table, place, row.value(), columns, &mut found)?;
            Ok(Some(found))
        })
    }

    fn insert(&self, table: &'static Table, mut row: Vec<Cell>) -> Result<bool> {
        self.write(|trees| {
            let place = trees.next_place(table)?;
            if table.is_numbered
                && let Some(number) = row.first_mut()
            {
                *number = Cell::Integer(place);
            }
            if trees.find(table, key(table, &row)?)?.is_some() {
                return Ok(false);
            }
            let row: Vec<_> = row.into_iter().map(New::Is).collect();
            if trees.is_taken(table, place, &row)? {
                return Ok(false);
            }
            trees.store(table, place, None, row)?;
            Ok(true)
        })
    }

    fn put(&self, table: &'static Table, row: Vec<Cell>) -> Result<()> {
        self.write(|trees| {
            let found = trees.find(table, key(table, &row)?)?;
            let place = found.map_or_else(|| trees.next_place(table), Ok)?;
            let row: Vec<_> = row.into_iter().map(New::Is).collect();
            if trees.is_taken(table, place, &row)? {
                return Err(taken(table));
            }
            let old = found.map(|place| trees.fields(table, place)).transpose()?;
            trees.store(table, place, old.as_deref(), row)
        })
    }

    fn set(&self, table: &'static Table, key: &[Cell], cells: Vec<(Column, Cell)>) -> Result<bool> {
        self.write(|trees| {
            let Some(place) = trees.find(table, key)? else { return Ok(false) };
            let old = trees.fields(table, place)?;
            let mut new: Vec<_> = old.iter().cloned().map(New::Same).collect();
            for (column, cell) in cells {
                *new.get_mut(column.index()).ok_or_else(encoding::damaged)? = New::Is(cell);
            }
            if trees.is_taken(table, place, &new)? {
                return Err(taken(table));
            }
            trees.store(table, place, Some(&old), new)?;
            Ok(true)
        })
    }

    fn remove(&self, table: &'static Table, key: &[Cell]) -> Result<bool> {
        self.write(|trees| {
            let Some(place) = trees.find(table, key)? else { return Ok(false) };
            let old = trees.fields(table, place)?;
            trees.remove(table, place, &old)?;
            Ok(true)
        })
    }

    fn scan(
        &self,
        table: &'static Table,
        scan: Scan<'_>,
        columns: &[Column],
        visit: Visit<'_>,
    ) -> Result<()> {
        let mut low = match scan.by {
            By::Arrival => table.rows(),
            By::Key if table.is_numbered => table.rows(),
            By::Key => table.keys(),
            By::Index(index) => table.index(index)?,
        };
        let is_of_rows = matches!(scan.by, By::Arrival) || (matches!(scan.by, By::Key) && table.is_numbered);
        let push = |key: &mut Vec<u8>, cell: &Cell| match (is_of_rows, cell) {
            (true, Cell::Integer(number)) => key.extend(encoding::ordered(*number)),
            _ => encoding::push_key(key, cell),
        };
        scan.prefix.iter().for_each(|cell| push(&mut low, cell));
        let mut high = encoding::after(low.clone());
        if let Some(from) = &scan.from {
            match scan.direction {
                Direction::Up => push(&mut low, from),
                Direction::Down => {
                    high = low.clone();
                    push(&mut high, from);
                    high = encoding::after(high);
                }
            }
        }
        self.read(|trees| {
            let mut seen = Row::default();
            let mut look = |place, row: &[u8]| {
                if let Some(filter) = &scan.filter
                    && !trees.fits(table, place, row, filter)?
                {
                    return Ok(ControlFlow::Continue(()));
                }
                trees.read(table, place, row, columns, &mut seen)?;
                visit(&mut seen)
            };
            trees.visit(&low, &high, scan.direction, |key, value| {
                if is_of_rows {
                    return look(encoding::number(&key[2..])?, value);
                }
                let place = encoding::number(value)?;
                let row = trees.row(table, place)?.ok_or_else(encoding::damaged)?;
                look(place, row.value())
            })
        })
    }

    fn discard(mut self: Box<Self>) -> Result<()> {
        let transaction = self.start()?;
        transaction.delete_table(SMALL)?;
        transaction.delete_table(HEAVY)?;
        transaction.delete_table(ABOUT)?;
        transaction.commit()?;
        // The file becomes short: most of what was removed goes with its end.
        self.database.compact()?;
        Ok(())
    }
}

fn key<'a>(table: &Table, row: &'a [Cell]) -> Result<&'a [Cell]> {
    row.get(..table.key.into()).ok_or_else(|| KeepError::failed("a row has too few columns"))
}

fn no_transaction() -> KeepError {
    KeepError::failed("no transaction is open")
}

fn taken(table: &Table) -> KeepError {
    KeepError::Unfit(format!("another of {} has what must be unique", table.name))
}
