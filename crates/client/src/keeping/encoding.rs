//! Keys and rows as bytes, for engines that know nothing else.
//!
//! Encoded keys compare as the values do: nothing, numbers, texts by their UTF-8, bytes; and no encoded value is the
//! beginning of another, so that those with one prefix stand together.

use super::{Cell, Column, KeepError, Result};

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;
const BYTES: u8 = 3;
const TEXT_APART: u8 = 4;
const BYTES_APART: u8 = 5;

/// Appends a value to a key.
pub(super) fn push_key(key: &mut Vec<u8>, cell: &Cell) {
    match cell {
        Cell::Null => key.push(NULL),
        Cell::Integer(number) => {
            key.push(INTEGER);
            key.extend(ordered(*number));
        }
        Cell::Text(text) => push_ended(key, TEXT, text.as_bytes()),
        Cell::Bytes(bytes) => push_ended(key, BYTES, bytes),
    }
}

/// A zero within is followed by 255, the one at the end by 1, which is less.
fn push_ended(key: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    key.push(kind);
    for byte in bytes {
        key.push(*byte);
        if *byte == 0 {
            key.push(u8::MAX);
        }
    }
    key.extend([0, 1]);
}

/// A number as bytes that compare as numbers do.
pub(super) fn ordered(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

/// What [`ordered`] made.
pub(super) fn number(bytes: &[u8]) -> Result<i64> {
    bytes.try_into().map(|bytes| i64::from_be_bytes(bytes) ^ i64::MIN).map_err(|_| damaged())
}

/// The first key that does not begin with this one.
pub(super) fn after(mut key: Vec<u8>) -> Vec<u8> {
    // The first byte is a table's number and never 255.
    while key.pop_if(|byte| *byte == u8::MAX).is_some() {}
    if let Some(byte) = key.last_mut() {
        *byte += 1;
    }
    key
}

/// A value as it stands in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// There.
    Here(Cell),
    /// A long one, elsewhere.
    Apart { is_text: bool, length: u32 },
}

/// A row as bytes.
pub(super) fn row(fields: &[Field]) -> Result<Vec<u8>> {
    let mut row = Vec::new();
    for field in fields {
        match field {
            Field::Here(Cell::Null) => row.push(NULL),
            Field::Here(Cell::Integer(number)) => {
                row.push(INTEGER);
                row.extend(number.to_be_bytes());
            }
            Field::Here(Cell::Text(text)) => push_long(&mut row, TEXT, text.as_bytes())?,
            Field::Here(Cell::Bytes(bytes)) => push_long(&mut row, BYTES, bytes)?,
            Field::Apart { is_text, length } => {
                row.push(if *is_text { TEXT_APART } else { BYTES_APART });
                row.extend(length.to_be_bytes());
            }
        }
    }
    Ok(row)
}

fn push_long(row: &mut Vec<u8>, kind: u8, bytes: &[u8]) -> Result<()> {
    row.push(kind);
    row.extend(length(bytes)?.to_be_bytes());
    row.extend(bytes);
    Ok(())
}

/// How long a value is, if it can be kept.
pub(super) fn length(bytes: &[u8]) -> Result<u32> {
    u32::try_from(bytes.len()).map_err(|_| KeepError::Unfit("a value is too long".to_owned()))
}

/// A value in a row's bytes.
enum Raw<'a> {
    Null,
    Integer(i64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Apart { is_text: bool, length: u32 },
}

fn next<'a>(row: &mut &'a [u8]) -> Result<Raw<'a>> {
    let kind = *row.split_off_first().ok_or_else(damaged)?;
    Ok(match kind {
        NULL => Raw::Null,
        INTEGER => Raw::Integer(i64::from_be_bytes(take(row)?)),
        TEXT | BYTES => {
            let length = u32::from_be_bytes(take(row)?) as usize;
            let bytes = row.split_off(..length).ok_or_else(damaged)?;
            if kind == TEXT { Raw::Text(bytes) } else { Raw::Bytes(bytes) }
        }
        TEXT_APART | BYTES_APART => {
            Raw::Apart { is_text: kind == TEXT_APART, length: u32::from_be_bytes(take(row)?) }
        }
        _ => return Err(damaged()),
    })
}

fn take<const N: usize>(row: &mut &[u8]) -> Result<[u8; N]> {
    let (taken, rest) = row.split_first_chunk().ok_or_else(damaged)?;
    *row = rest;
    Ok(*taken)
}

fn field(raw: Raw<'_>) -> Result<Field> {
    Ok(match raw {
        Raw::Null => Field::Here(Cell::Null),
        Raw::Integer(number) => Field::Here(Cell::Integer(number)),
        Raw::Text(text) => Field::Here(Cell::Text(text_of(text.to_vec())?)),
        Raw::Bytes(bytes) => Field::Here(Cell::Bytes(bytes.to_vec())),
        Raw::Apart { is_text, length } => Field::Apart { is_text, length },
    })
}

/// Bytes as a text.
pub(super) fn text_of(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|_| damaged())
}

/// All fields of a row.
pub(super) fn fields(mut row: &[u8]) -> Result<Vec<Field>> {
    let mut fields = Vec::new();
    while !row.is_empty() {
        fields.push(field(next(&mut row)?)?);
    }
    Ok(fields)
}

/// These columns of a row, in this order; of others nothing is copied.
pub(super) fn wanted(row: &[u8], columns: &[Column]) -> Result<Vec<Field>> {
    let Some(last) = columns.iter().map(|column| column.place).max() else { return Ok(Vec::new()) };
    let mut found = vec![Field::Here(Cell::Null); columns.len()];
    let mut rest = row;
    for place in 0..=last {
        let start = rest;
        let raw = next(&mut rest)?;
        let mut raw = Some(raw);
        for (column, found) in columns.iter().zip(&mut found).filter(|(column, _)| column.place == place) {
            // A column that is wanted twice, as itself and its length, is read twice.
            let raw = raw.take().map_or_else(|| next(&mut { start }), Ok)?;
            *found = if column.is_length { Field::Here(length_of(&raw)) } else { field(raw)? };
        }
    }
    Ok(found)
}

/// Whether a column of a row has this value; `None` for a long one, which stands elsewhere.
pub(super) fn is(mut row: &[u8], column: Column, cell: &Cell) -> Result<Option<bool>> {
    for _ in 0..column.place {
        next(&mut row)?;
    }
    Ok(Some(match (next(&mut row)?, cell) {
        (Raw::Apart { .. }, Cell::Text(_) | Cell::Bytes(_)) => return Ok(None),
        (Raw::Null, Cell::Null) => true,
        (Raw::Integer(number), Cell::Integer(other)) => number == *other,
        (Raw::Text(text), Cell::Text(other)) => text == other.as_bytes(),
        (Raw::Bytes(bytes), Cell::Bytes(other)) => bytes == other,
        _ => false,
    }))
}

fn length_of(raw: &Raw<'_>) -> Cell {
    match raw {
        Raw::Null => Cell::Null,
        Raw::Integer(number) => Cell::Integer(number.to_string().len() as i64),
        Raw::Text(bytes) | Raw::Bytes(bytes) => Cell::Integer(bytes.len() as i64),
        Raw::Apart { length, .. } => Cell::Integer((*length).into()),
    }
}

pub(super) fn damaged() -> KeepError {
    KeepError::failed("what was kept is damaged")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell() -> impl Strategy<Value = Cell> {
        let byte = prop_oneof![Just(0), Just(1), Just(255), any::<u8>()];
        prop_oneof![
            Just(Cell::Null),
            any::<i64>().prop_map(Cell::Integer),
            (-2..3i64).prop_map(Cell::Integer),
            "[\0a]{0,2}".prop_map(Cell::Text),
            prop::collection::vec(byte, 0..3).prop_map(Cell::Bytes),
        ]
    }

    fn key(cells: &[Cell]) -> Vec<u8> {
        let mut key = vec![7];
        cells.iter().for_each(|cell| push_key(&mut key, cell));
        key
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn keys_are_ordered_as_what_they_stand_for(
            both in prop::collection::vec(cell(), 0..2),
            one in prop::collection::vec(cell(), 0..2),
            other in prop::collection::vec(cell(), 0..3),
        ) {
            let (one, other) = ([both.clone(), one].concat(), [both, other].concat());
            prop_assert_eq!(key(&one).cmp(&key(&other)), one.cmp(&other));
            let stands_under = other.starts_with(&one);
            let is_between = (key(&one)..after(key(&one))).contains(&key(&other));
            prop_assert_eq!(stands_under, is_between);
        }

        #[test]
        fn rows_are_read_as_they_were_written(cells in prop::collection::vec(cell(), 1..5), is_text: bool) {
            let mut written: Vec<_> = cells.into_iter().map(Field::Here).collect();
            written.push(Field::Apart { is_text, length: 300 });
            let bytes = row(&written).unwrap();
            prop_assert_eq!(fields(&bytes).unwrap(), written.clone());
            let last = Column::at(u8::try_from(written.len()).unwrap() - 1);
            let some = wanted(&bytes, &[last.length(), Column::at(0), last]).unwrap();
            let expected = [Field::Here(Cell::Integer(300)), written[0].clone(), written[written.len() - 1].clone()];
            prop_assert_eq!(some, expected);
        }

        #[test]
        fn damage_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = fields(&bytes);
            let _ = wanted(&bytes, &[Column::at(2), Column::at(0).length()]);
        }
    }
}
