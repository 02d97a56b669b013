//! Where [`super::Pages`] puts rows in redb's trees.
//!
//! A key in `small` begins with the table's number and what it leads to: 0 and a row's place to the row, 1 and the row's
//! key to its place, 2 and on and an index's columns with the place to the place. A key in `heavy` is the table's number,
//! the place and the column.

use std::ops::{Bound, ControlFlow};

use redb::{
    AccessGuard, Range, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction,
};

use super::encoding::{self, Field};
use super::{Cell, Column, Direction, Filter, Index, KeepError, Result, Row, Table};

type Bytes = &'static [u8];

pub(super) const SMALL: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("small");
pub(super) const HEAVY: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("heavy");
pub(super) const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// Longest value of a heavy column, in bytes, that stands in the row: less than a look elsewhere costs.
const LONGEST_HERE: usize = 128;

/// A tree as it is, or as it becomes.
enum Tree<'t> {
    Snapshot(ReadOnlyTable<Bytes, Bytes>),
    Open(redb::Table<'t, Bytes, Bytes>),
}

impl<'t> Tree<'t> {
    fn get(&self, key: &[u8]) -> Result<Option<AccessGuard<'_, Bytes>>> {
        Ok(match self {
            Self::Snapshot(tree) => ReadableTable::get(tree, key)?,
            Self::Open(tree) => tree.get(key)?,
        })
    }

    fn range(&self, low: &[u8], high: &[u8]) -> Result<Range<'_, Bytes, Bytes>> {
        let range = (Bound::Included(low), Bound::Excluded(high));
        Ok(match self {
            Self::Snapshot(tree) => ReadableTable::range::<&[u8]>(tree, range)?,
            Self::Open(tree) => tree.range::<&[u8]>(range)?,
        })
    }

    fn open(&mut self) -> Result<&mut redb::Table<'t, Bytes, Bytes>> {
        match self {
            Self::Open(tree) => Ok(tree),
            Self::Snapshot(_) => Err(KeepError::failed("a snapshot is not written to")),
        }
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.open()?.insert(key, value)?;
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<()> {
        self.open()?.remove(key)?;
        Ok(())
    }
}

/// What a column of a row becomes.
pub(super) enum New {
    /// What it was.
    Same(Field),
    /// Something else.
    Is(Cell),
}

/// Both trees.
pub(super) struct Trees<'t> {
    small: Tree<'t>,
    heavy: Tree<'t>,
    /// Whether a row was written or removed.
    is_changed: bool,
}

impl<'t> Trees<'t> {
    /// As they become.
    pub(super) fn of(transaction: &'t WriteTransaction) -> Result<Self> {
        let small = Tree::Open(transaction.open_table(SMALL)?);
        Ok(Self { small, heavy: Tree::Open(transaction.open_table(HEAVY)?), is_changed: false })
    }

    /// As they are.
    pub(super) fn snapshot(transaction: &ReadTransaction) -> Result<Self> {
        let small = Tree::Snapshot(transaction.open_table(SMALL)?);
        Ok(Self { small, heavy: Tree::Snapshot(transaction.open_table(HEAVY)?), is_changed: false })
    }

    /// Whether a row was written or removed.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Where the row with this key stands.
    pub(super) fn find(&self, table: &Table, key: &[Cell]) -> Result<Option<i64>> {
        if table.is_numbered {
            let [Cell::Integer(place)] = key else { return Ok(None) };
            return Ok(self.small.get(&row_key(table, *place))?.map(|_| *place));
        }
        let mut whole = table.keys();
        key.iter().for_each(|cell| encoding::push_key(&mut whole, cell));
        self.small.get(&whole)?.map(|place| encoding::number(place.value())).transpose()
    }

    /// The place after the last row.
    pub(super) fn next_place(&self, table: &Table) -> Result<i64> {
        let rows = table.rows();
        let Some(last) = self.small.range(&rows, &encoding::after(rows.clone()))?.next_back() else {
            return Ok(1);
        };
        Ok(encoding::number(&last?.0.value()[rows.len()..])?.saturating_add(1))
    }

    /// Everything of a row.
    pub(super) fn fields(&self, table: &Table, place: i64) -> Result<Vec<Field>> {
        let row = self.small.get(&row_key(table, place))?.ok_or_else(encoding::damaged)?;
        encoding::fields(row.value())
    }

    /// The bytes of a row.
    pub(super) fn row(&self, table: &Table, place: i64) -> Result<Option<AccessGuard<'_, Bytes>>> {
        self.small.get(&row_key(table, place))
    }

    /// Reads these columns of a row with these bytes.
    pub(super) fn read(
        &self,
        table: &Table,
        place: i64,
        row: &[u8],
        columns: &[Column],
        into: &mut Row,
    ) -> Result<()> {
        let fields = encoding::wanted(row, columns)?;
        into.fill(columns.iter().zip(fields).map(|(column, field)| match field {
            Field::Here(cell) => Ok(cell),
            Field::Apart { is_text, .. } => {
                let value = self.heavy.get(&heavy_key(table, place, *column))?;
                let bytes = value.ok_or_else(encoding::damaged)?.value().to_vec();
                Ok(if is_text { Cell::Text(encoding::text_of(bytes)?) } else { Cell::Bytes(bytes) })
            }
        }))
    }

    /// Whether a row with these bytes is not left out.
    pub(super) fn fits(&self, table: &Table, place: i64, row: &[u8], filter: &Filter) -> Result<bool> {
        let Filter { column, cell, is } = filter;
        if let Some(found) = encoding::is(row, *column, cell)? {
            return Ok(found == *is);
        }
        let mut long = Row::default();
        self.read(table, place, row, &[*column], &mut long)?;
        Ok((long.cell()? == *cell) == *is)
    }

    /// Visits what stands between two keys, the second left out.
    pub(super) fn visit(
        &self,
        low: &[u8],
        high: &[u8],
        direction: Direction,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        if low >= high {
            return Ok(());
        }
        let mut range = self.small.range(low, high)?;
        while let Some(entry) = if direction == Direction::Up { range.next() } else { range.next_back() } {
            let (key, value) = entry?;
            if visit(key.value(), value.value())?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Whether another row has what must be unique of this one.
    pub(super) fn is_taken(&self, table: &Table, place: i64, row: &[New]) -> Result<bool> {
        for index in table.indexes.iter().filter(|index| index.is_unique) {
            let mut low = table.index(index)?;
            for column in index.columns {
                match row.get(column.index()) {
                    Some(New::Is(cell) | New::Same(Field::Here(cell))) => encoding::push_key(&mut low, cell),
                    _ => return Err(encoding::damaged()),
                }
            }
            for entry in self.small.range(&low, &encoding::after(low.clone()))? {
                if encoding::number(entry?.1.value())? != place {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Writes a row, in the place of what it was.
    pub(super) fn store(
        &mut self,
        table: &Table,
        place: i64,
        old: Option<&[Field]>,
        new: Vec<New>,
    ) -> Result<()> {
        if new.len() != table.columns.len() {
            return Err(KeepError::failed("a row has another number of columns"));
        }
        self.is_changed = true;
        let mut fields = Vec::with_capacity(new.len());
        for (column, new) in (0..).map(Column::at).zip(new) {
            let was_apart =
                old.is_some_and(|old| matches!(old.get(column.index()), Some(Field::Apart { .. })));
            fields.push(match new {
                New::Same(field) => field,
                New::Is(cell) => self.store_cell(table, place, column, cell, was_apart)?,
            });
        }
        self.small.insert(&row_key(table, place), &encoding::row(&fields)?)?;
        let before = old.map(|old| orders(table, place, old)).transpose()?;
        let now = orders(table, place, &fields)?;
        for (number, key) in now.iter().enumerate() {
            match before.as_ref().map(|before| &before[number]) {
                Some(before) if before == key => continue,
                Some(before) => self.small.remove(before)?,
                None => {}
            }
            self.small.insert(key, &encoding::ordered(place))?;
        }
        Ok(())
    }

    fn store_cell(
        &mut self,
        table: &Table,
        place: i64,
        column: Column,
        cell: Cell,
        was_apart: bool,
    ) -> Result<Field> {
        let (is_text, bytes) = match &cell {
            Cell::Text(text) => (true, text.as_bytes()),
            Cell::Bytes(bytes) => (false, &bytes[..]),
            Cell::Null | Cell::Integer(_) => (false, &[][..]),
        };
        let key = heavy_key(table, place, column);
        if table.heavy.contains(&column) && bytes.len() > LONGEST_HERE {
            let length = encoding::length(bytes)?;
            self.heavy.insert(&key, bytes)?;
            return Ok(Field::Apart { is_text, length });
        }
        if was_apart {
            self.heavy.remove(&key)?;
        }
        Ok(Field::Here(cell))
    }

    /// Removes a row.
    pub(super) fn remove(&mut self, table: &Table, place: i64, old: &[Field]) -> Result<()> {
        self.is_changed = true;
        for key in orders(table, place, old)? {
            self.small.remove(&key)?;
        }
        for (column, _) in
            (0..).map(Column::at).zip(old).filter(|(_, field)| matches!(field, Field::Apart { .. }))
        {
            self.heavy.remove(&heavy_key(table, place, column))?;
        }
        self.small.remove(&row_key(table, place))
    }
}

impl Table {
    /// What all keys of rows begin with.
    pub(super) fn rows(&self) -> Vec<u8> {
        vec![self.number, 0]
    }

    /// What all that leads from keys to rows begins with.
    pub(super) fn keys(&self) -> Vec<u8> {
        vec![self.number, 1]
    }

    /// What all keys of an index begin with.
    pub(super) fn index(&self, index: &Index) -> Result<Vec<u8>> {
        let place = (2..).zip(self.indexes).find(|(_, own)| own.name == index.name);
        let (place, _) = place.ok_or_else(|| KeepError::failed("an index of another table"))?;
        Ok(vec![self.number, place])
    }
}

fn row_key(table: &Table, place: i64) -> Vec<u8> {
    let mut key = table.rows();
    key.extend(encoding::ordered(place));
    key
}

fn heavy_key(table: &Table, place: i64, column: Column) -> Vec<u8> {
    let mut key = vec![table.number];
    key.extend(encoding::ordered(place));
    key.push(column.place);
    key
}

/// Everything that leads to a row: its key, and a key of each index.
fn orders(table: &Table, place: i64, fields: &[Field]) -> Result<Vec<Vec<u8>>> {
    let push = |key: &mut Vec<u8>, column: Column| match fields.get(column.index()) {
        Some(Field::Here(cell)) => {
            encoding::push_key(key, cell);
            Ok(())
        }
        _ => Err(encoding::damaged()),
    };
    let mut all = Vec::with_capacity(table.indexes.len() + 1);
    if !table.is_numbered {
        let mut key = table.keys();
        table.key_columns().try_for_each(|column| push(&mut key, column))?;
        all.push(key);
    }
    for index in table.indexes {
        let mut key = table.index(index)?;
        index.columns.iter().try_for_each(|column| push(&mut key, *column))?;
        encoding::push_key(&mut key, &Cell::Integer(place));
        all.push(key);
    }
    Ok(all)
}

/// Said of everything after a write that failed, until the file is opened anew.
pub(super) const BROKEN: &str = "an earlier write failed";

/// Tells what is wrong with a value from what is wrong with the file.
macro_rules! explain {
    ($($error:ident)*) => {
        $(impl From<redb::$error> for KeepError {
            fn from(error: redb::$error) -> Self {
                match redb::Error::from(error) {
                    error @ redb::Error::ValueTooLarge(_) => Self::Unfit(error.to_string()),
                    redb::Error::PreviousIo => Self::failed(BROKEN),
                    error => Self::failed(error),
                }
            }
        })*
    };
}

explain!(StorageError TableError TransactionError CommitError DatabaseError SetDurabilityError CompactionError);
