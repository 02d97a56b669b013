//! The `admin_accounts`, `recovery_codes` and `account_classes` tables: who may use the admin pages.

use momedo_protocol::time::UnixMillis;
use rusqlite::OptionalExtension;

use super::{ReadTx, StoreError, WriteTx};
use crate::domain::role::AccountRole;

/// An account of the admin pages.
#[derive(Debug, Clone)]
pub struct AccountRow {
    /// Its name.
    pub name: String,
    /// Argon2id in PHC form.
    pub password_hash: String,
    /// What it may do.
    pub role: AccountRole,
    /// The secret of its one-time passwords, if it has any.
    pub totp_secret: Option<Vec<u8>>,
    /// The last time step a one-time password was used for.
    pub totp_step: u64,
}

const ACCOUNT: &str = "SELECT name, password_hash, role, totp_secret, totp_step FROM admin_accounts";

fn account(row: &rusqlite::Row<'_>) -> rusqlite::Result<AccountRow> {
    let role: String = row.get(2)?;
    Ok(AccountRow {
        name: row.get(0)?,
        password_hash: row.get(1)?,
        role: if role == "admin" { AccountRole::Admin } else { AccountRole::ClassLead },
        totp_secret: row.get(3)?,
        totp_step: row.get(4)?,
    })
}

impl ReadTx<'_> {
    /// Whether there is any account, that is, whether the server has been set up.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn has_accounts(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM admin_accounts)";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// The account of this name.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn find_account(&self, name: &str) -> Result<Option<AccountRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{ACCOUNT} WHERE name = ?1"))?;
        Ok(statement.query_row([name], account).optional()?)
    }

    /// Every account, by name.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn list_accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{ACCOUNT} ORDER BY sort_key(name)"))?;
        let rows = statement.query_map([], account)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The classes a class lead's account looks after.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn classes_of_account(&self, name: &str) -> Result<Vec<i64>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT class FROM account_classes WHERE account = ?1")?;
        let rows = statement.query_map([name], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl WriteTx<'_> {
    /// Adds an account; false when there is one of that name.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn insert_account(
        &self,
        name: &str,
        hash: &str,
        role: AccountRole,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let added = self
            .connection
            .prepare_cached(
                // It need not read what was before it, nor that it was made.
                "INSERT INTO admin_accounts (name, password_hash, role, created_at, read_line)
                 VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(id), 0) + 1 FROM audit_log))
                 ON CONFLICT DO NOTHING",
            )?
            .execute((name, hash, role.word(), now.0))?;
        Ok(added == 1)
    }

    /// Sets an admin account's password hash (Argon2id in PHC form), adding the account if need be. One-time
    /// passwords stay as they are.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_admin_password(&self, name: &str, hash: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO admin_accounts (name, password_hash, read_line)
                 VALUES (?1, ?2, (SELECT coalesce(max(id), 0) + 1 FROM audit_log)) ON CONFLICT (name) DO UPDATE SET password_hash = ?2",
            )?
            .execute((name, hash))?;
        Ok(())
    }

    /// Changes an account's password hash and nothing else.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn change_password(&self, name: &str, hash: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE admin_accounts SET password_hash = ?2 WHERE name = ?1")?
            .execute((name, hash))?;
        Ok(())
    }

    /// Deletes an account.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn delete_account(&self, name: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM admin_accounts WHERE name = ?1")?.execute([name])?;
        Ok(())
    }

    /// Sets the classes a class lead's account looks after.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_classes_of_account(&self, name: &str, classes: &[i64]) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM account_classes WHERE account = ?1")?.execute([name])?;
        for class in classes {
            self.connection
                .prepare_cached("INSERT INTO account_classes (account, class) VALUES (?1, ?2)")?
                .execute((name, class))?;
        }
        Ok(())
    }

    /// Switches one-time passwords on, with the hashes of the codes that replace one, or off.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn set_totp(
        &self,
        name: &str,
        secret: Option<&[u8]>,
        recovery: &[[u8; 32]],
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE admin_accounts SET totp_secret = ?2, totp_step = 0 WHERE name = ?1")?
            .execute((name, secret))?;
        self.connection.prepare_cached("DELETE FROM recovery_codes WHERE account = ?1")?.execute([name])?;
        for hash in recovery {
            self.connection
                .prepare_cached("INSERT INTO recovery_codes (account, code_hash) VALUES (?1, ?2)")?
                .execute((name, hash))?;
        }
        Ok(())
    }

    /// Uses a one-time password's time step up; false when it or a later one was used before.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn use_totp_step(&self, name: &str, step: u64) -> Result<bool, StoreError> {
        let used = self
            .connection
            .prepare_cached("UPDATE admin_accounts SET totp_step = ?2 WHERE name = ?1 AND totp_step < ?2")?
            .execute((name, step))?;
        Ok(used == 1)
    }

    /// Uses a recovery code up; false when there is no such code.
    ///
    /// # Errors
    /// As [`StoreError`] says.
    pub fn use_recovery_code(&self, name: &str, hash: &[u8; 32]) -> Result<bool, StoreError> {
        let used = self
            .connection
            .prepare_cached("DELETE FROM recovery_codes WHERE account = ?1 AND code_hash = ?2")?
            .execute((name, hash))?;
        Ok(used == 1)
    }
}
