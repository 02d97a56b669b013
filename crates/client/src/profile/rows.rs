//! A profile's rows, with what goes wrong in the words of clients.

use std::ops::ControlFlow;

use super::Profile;
use crate::ClientError;
use crate::keeping::{Cell, Column, KeepError, Result as Kept, Row, Scan, Table};

/// A number as tables hold it.
pub(super) fn number(number: impl TryInto<i64, Error: ToString>) -> Result<Cell, ClientError> {
    number.try_into().map(Cell::Integer).map_err(|error| ClientError::Unfit(error.to_string()))
}

impl Profile {
    /// Tells what is wrong with a value, which somebody may have sent, from what is wrong with the profile.
    pub(super) fn kept<T>(&self, result: Kept<T>) -> Result<T, ClientError> {
        result.map_err(|error| match error {
            KeepError::Unfit(reason) => ClientError::Unfit(reason),
            error => self.failed(error),
        })
    }

    /// A row, if it is there.
    pub(super) fn row<T>(
        &self,
        table: &'static Table,
        key: &[Cell],
        columns: &[Column],
        read: impl FnOnce(&mut Row) -> Kept<T>,
    ) -> Result<Option<T>, ClientError> {
        let row = self.kept(self.keep.row(table, key, columns))?;
        row.map(|mut row| self.kept(read(&mut row))).transpose()
    }

    /// Whether there is such a row.
    pub(super) fn has(&self, table: &'static Table, key: &[Cell]) -> Result<bool, ClientError> {
        Ok(self.kept(self.keep.row(table, key, &[]))?.is_some())
    }

    /// All rows of a scan.
    pub(super) fn rows<T>(
        &self,
        table: &'static Table,
        scan: Scan<'_>,
        columns: &[Column],
        mut read: impl FnMut(&mut Row) -> Kept<T>,
    ) -> Result<Vec<T>, ClientError> {
        let mut all = Vec::new();
        self.visit(table, scan, columns, |row| {
            all.push(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(all)
    }

    /// Looks at rows until it has seen enough.
    pub(super) fn visit(
        &self,
        table: &'static Table,
        scan: Scan<'_>,
        columns: &[Column],
        mut look: impl FnMut(&mut Row) -> Kept<ControlFlow<()>>,
    ) -> Result<(), ClientError> {
        self.kept(self.keep.scan(table, scan, columns, &mut look))
    }

    /// Adds a row unless it is there; whether it did.
    pub(super) fn insert<const N: usize>(
        &self,
        table: &'static Table,
        row: [Cell; N],
    ) -> Result<bool, ClientError> {
        if let Some((column, oldest)) = self.oldest.borrow_mut().get_mut(table.name)
            && let Cell::Integer(number) = &row[column.index()]
        {
            *oldest = (*oldest).min(*number);
        }
        self.kept(self.keep.insert(table, row.into()))
    }

    /// Adds a row that cannot be there.
    pub(super) fn add<const N: usize>(
        &self,
        table: &'static Table,
        row: [Cell; N],
    ) -> Result<(), ClientError> {
        match self.insert(table, row)? {
            true => Ok(()),
            false => Err(ClientError::Unfit(format!("it stands in {} already", table.name))),
        }
    }

    /// Adds a row or gives the one that is there these values.
    pub(super) fn put<const N: usize>(
        &self,
        table: &'static Table,
        row: [Cell; N],
    ) -> Result<(), ClientError> {
        self.kept(self.keep.put(table, row.into()))
    }

    /// Gives some columns of a row other values; whether there is one.
    pub(super) fn change<const N: usize>(
        &self,
        table: &'static Table,
        key: &[Cell],
        cells: [(Column, Cell); N],
    ) -> Result<bool, ClientError> {
        self.kept(self.keep.set(table, key, cells.into()))
    }

    /// Removes a row; whether there was one.
    pub(super) fn delete(&self, table: &'static Table, key: &[Cell]) -> Result<bool, ClientError> {
        self.kept(self.keep.remove(table, key))
    }

    /// Removes rows with a number in this column that is less than `before`. Of a table always the same column, which no
    /// row gets changed.
    pub(super) fn delete_before(
        &self,
        table: &'static Table,
        column: Column,
        before: u64,
    ) -> Result<(), ClientError> {
        let Cell::Integer(before) = number(before)? else { return Ok(()) };
        // It is asked with every message, and looking through all of them takes longer than the message.
        if self.oldest.borrow().get(table.name).is_some_and(|(_, oldest)| *oldest >= before) {
            return Ok(());
        }
        self.whole(|| {
            // Keys of all are not read for the few that are old.
            let mut oldest = i64::MAX;
            self.visit(table, Scan::by_arrival(), &[column], |row| {
                oldest = oldest.min(row.number()?);
                Ok(ControlFlow::Continue(()))
            })?;
            if oldest >= before {
                self.oldest.borrow_mut().insert(table.name, (column, oldest));
                return Ok(());
            }
            let columns: Vec<_> = [column].into_iter().chain(table.key_columns()).collect();
            let mut old = Vec::new();
            self.visit(table, Scan::by_arrival(), &columns, |row| {
                if row.number::<i64>()? < before {
                    old.push(table.key_columns().map(|_| row.cell()).collect::<Kept<Vec<_>>>()?);
                }
                Ok(ControlFlow::Continue(()))
            })?;
            old.iter().try_for_each(|key| self.delete(table, key).map(drop))
        })
    }

    /// Runs `work` so that all of it is kept or none, also where more around it is.
    pub(super) fn whole<T>(&self, work: impl FnOnce() -> Result<T, ClientError>) -> Result<T, ClientError> {
        if self.keep.is_in_transaction() { work() } else { self.atomically(work) }
    }
}
