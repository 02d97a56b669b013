//! The `admin_accounts` table: who may use the admin pages.

use super::{StoreError, WriteTx};

impl WriteTx<'_> {
    /// Sets an admin account's password hash (Argon2id in PHC form), adding the account if need be.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_admin_password(&self, name: &str, hash: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO admin_accounts (name, password_hash) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET password_hash = ?2",
            )?
            .execute((name, hash))?;
        Ok(())
    }
}
