//! Values and rows.

use super::{KeepError, Result};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    /// None.
    Null,
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<&[u8]> for Cell {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Cell {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Cell {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<bool> for Cell {
    fn from(is: bool) -> Self {
        Self::Integer(is.into())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The wanted columns of a row, read one after the other.
#[derive(Debug, Default)]
pub struct Row {
    cells: Vec<Cell>,
    next: usize,
}

impl Row {
    /// Takes the values of another row; its room is used again.
    pub(super) fn fill(&mut self, cells: impl Iterator<Item = Result<Cell>>) -> Result<()> {
        self.cells.clear();
        self.next = 0;
        cells.into_iter().try_for_each(|cell| {
            self.cells.push(cell?);
            Ok(())
        })
    }

    /// The next value.
    ///
    /// # Errors
    /// [`KeepError::Failed`] when there are no more.
    pub fn cell(&mut self) -> Result<Cell> {
        let cell =
            self.cells.get_mut(self.next).ok_or_else(|| KeepError::failed("a row has too few columns"))?;
        self.next += 1;
        Ok(std::mem::replace(cell, Cell::Null))
    }

    /// The next value, a text.
    pub(crate) fn text(&mut self) -> Result<String> {
        self.optional_text()?.ok_or_else(wrong_kind)
    }

    /// The next value, a text or none.
    pub(crate) fn optional_text(&mut self) -> Result<Option<String>> {
        match self.cell()? {
            Cell::Text(text) => Ok(Some(text)),
            Cell::Null => Ok(None),
            _ => Err(wrong_kind()),
        }
    }

    /// The next value, bytes.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>> {
        match self.cell()? {
            Cell::Bytes(bytes) => Ok(bytes),
            _ => Err(wrong_kind()),
        }
    }

    /// The next value, this many bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.bytes()?.try_into().map_err(|_| KeepError::failed("a value has another length"))
    }

    /// The next value, a number.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Result<T> {
        match self.cell()? {
            Cell::Integer(number) => {
                T::try_from(number).map_err(|_| KeepError::Failed(format!("{number} is out of range")))
            }
            _ => Err(wrong_kind()),
        }
    }

    /// The next value, yes or no.
    pub(crate) fn is(&mut self) -> Result<bool> {
        Ok(self.number::<i64>()? != 0)
    }
}

fn wrong_kind() -> KeepError {
    KeepError::failed("a value is of another kind")
}
