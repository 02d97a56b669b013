//! Reads typed values out of columns; a value the schema cannot hold is a conversion error, never a panic.

use momedo_protocol::digest::Sha512Digest;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::message_id::MessageId;
use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};

fn wrong(index: usize, kind: Type) -> Error {
    Error::FromSqlConversionFailure(index, kind, "value out of range".into())
}

pub(super) fn participant(row: &Row<'_>, index: usize) -> Result<ParticipantId> {
    ParticipantId::from_number(row.get(index)?).ok_or_else(|| wrong(index, Type::Integer))
}

pub(super) fn device(row: &Row<'_>, index: usize) -> Result<DeviceId> {
    DeviceId::from_number(row.get(index)?).ok_or_else(|| wrong(index, Type::Integer))
}

pub(super) fn digest(row: &Row<'_>, index: usize) -> Result<Sha512Digest> {
    Ok(Sha512Digest(row.get(index)?))
}

pub(super) fn message_id(row: &Row<'_>, index: usize) -> Result<MessageId> {
    Ok(MessageId(row.get(index)?))
}
