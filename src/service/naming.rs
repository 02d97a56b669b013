//! Which names admins may give to people, classes, accounts and the server.

use momedo_protocol::name::is_acceptable_name;

use super::{AdminError, ServiceError};

/// Whether it is one.
///
/// # Errors
/// [`AdminError::UnacceptableName`].
pub(crate) fn check_name(name: &str) -> Result<(), ServiceError> {
    if is_acceptable_name(name) { Ok(()) } else { Err(AdminError::UnacceptableName.into()) }
}

#[cfg(test)]
mod tests;
