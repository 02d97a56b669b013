//! Files that hold a passphrase or a password.

use std::path::Path;

use anyhow::Context;
use momedo_protocol::secret_text::SecretText;
use zeroize::Zeroizing;

/// Reads a secret from a file (`what` says which), or standard input where the system names it as a file.
pub(super) fn read(file: &Path, what: &str) -> anyhow::Result<SecretText> {
    let failed = || format!("cannot read the {what} file {}", file.display());
    let bytes = Zeroizing::new(std::fs::read(file).with_context(failed)?);
    let secret = SecretText::from_file(&bytes).with_context(failed)?;
    anyhow::ensure!(!secret.is_empty(), "the {what} file {} is empty", file.display());
    Ok(secret)
}
