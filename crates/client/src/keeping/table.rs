//! What an engine has to know of a table.

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Stands for it in [`super::Pages`]; never given to another.
    pub(crate) number: u8,
    /// Its name.
    pub(crate) name: &'static str,
    /// Its columns; SQL does not mind the case of their names.
    pub(crate) columns: &'static [&'static str],
    /// How many of the first columns are the key.
    pub(crate) key: u8,
    /// Whether the key is a number that rows get as they come.
    pub(crate) is_numbered: bool,
    /// Columns with values that may be long, and that scans mostly do not want. Never of the key or an index.
    pub(crate) heavy: &'static [Column],
    /// Its indexes; one that is added stands last.
    pub(crate) indexes: &'static [&'static Index],
}

/// An order of a table's rows beside the key.
#[derive(Debug)]
pub struct Index {
    /// Its name, among all tables.
    pub(crate) name: &'static str,
    /// By what it orders.
    pub(crate) columns: &'static [Column],
    /// Whether no two rows may have the same there.
    pub(crate) is_unique: bool,
}

/// A column of a table, or its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its place among the table's columns.
    pub(crate) place: u8,
    /// Whether only its length is meant.
    pub(crate) is_length: bool,
}

impl Column {
    pub(crate) const fn at(place: u8) -> Self {
        Self { place, is_length: false }
    }

    /// Its length in bytes, without reading it; none where there is no value. For texts and bytes.
    pub const fn length(self) -> Self {
        Self { is_length: true, ..self }
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.place)
    }
}

impl Table {
    pub(crate) fn key_columns(&self) -> impl Iterator<Item = Column> {
        (0..self.key).map(Column::at)
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn column_name(&self, column: Column) -> &'static str {
        self.columns[column.index()]
    }
}
