//! Files that hold a passphrase or a password.

use std::path::Path;

use anyhow::Context;
use momedo_protocol::secret_text::SecretText;
use zeroize::Zeroizing;

/// What a file holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Secret {
    /// Of a profile, or of a backup.
    Passphrase,
    /// Of an account of the admin pages.
    Password,
}

/// Reads a secret from a file, or standard input where the system names it as a file.
pub(super) fn read(file: &Path, what: Secret) -> anyhow::Result<SecretText> {
    let path = file.display();
    let failed = || match what {
        Secret::Passphrase => words!("secret.unreadable-passphrase", path = path),
        Secret::Password => words!("secret.unreadable-password", path = path),
    };
    let bytes = Zeroizing::new(std::fs::read(file).with_context(failed)?);
    let secret = SecretText::from_file(&bytes).with_context(failed)?;
    let empty = || match what {
        Secret::Passphrase => words!("secret.empty-passphrase", path = path),
        Secret::Password => words!("secret.empty-password", path = path),
    };
    anyhow::ensure!(!secret.is_empty(), empty());
    Ok(secret)
}
