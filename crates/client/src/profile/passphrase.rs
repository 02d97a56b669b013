//! The key of a profile's secrets, made of its passphrase.

use argon2::Argon2;
use momedo_protocol::random;
use momedo_protocol::secret_text::SecretText;
use zeroize::Zeroizing;

use super::Profile;
use crate::ClientError;

/// Setting that holds the salt of an encrypted profile.
pub(super) const SALT: &str = "passphrase-salt";

/// Secret that is only there to tell a right passphrase from a wrong one.
pub(crate) const CHECK: &str = "check";

/// What that secret is.
pub(super) const CHECKED: &[u8] = b"momedo";

impl Profile {
    /// Encrypts what is stored from now on, under the passphrase's composed form.
    pub(super) fn lock(&mut self, passphrase: &str) -> Result<(), ClientError> {
        let salt = random::bytes::<16>();
        self.set(SALT, &salt)?;
        self.key = Some(self.derive(&SecretText::typed(passphrase).composed(), &salt)?);
        Ok(())
    }

    /// Finds the form of the passphrase that the profile was made with: composed, or as it came to earlier versions.
    pub(super) fn unlock(&mut self, passphrase: &str, salt: &[u8]) -> Result<(), ClientError> {
        for form in SecretText::typed(passphrase).forms_of_files() {
            self.key = Some(self.derive(&form, salt)?);
            match self.secret(CHECK) {
                Err(ClientError::WrongPassphrase) => {}
                checked => return checked.map(drop),
            }
        }
        Err(ClientError::WrongPassphrase)
    }

    fn derive(&self, form: &str, salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, ClientError> {
        let mut key = Zeroizing::new([0; 32]);
        Argon2::default()
            .hash_password_into(form.as_bytes(), salt, &mut key[..])
            .map_err(|error| self.failed(error))?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeping::Pages;
    use crate::keeping::disk::Disk;
    use crate::testing::{made_in, opened_in};

    #[test]
    fn a_profile_of_an_earlier_version_opens_however_its_passphrase_is_typed() {
        let (composed, decomposed) = ("Gr\u{fc}ne Bl\u{e4}tter", "Gru\u{308}ne Bla\u{308}tter");
        let marked = format!("\u{feff}{composed}");
        for made_with in [composed, decomposed, &marked] {
            let disk = Disk::holding(Vec::new(), usize::MAX);
            let pages = || Box::new(Pages::open(disk.clone(), 1 << 20).unwrap());
            let mut profile = made_in(pages(), Some("another")).unwrap();
            // The key of the bytes as they came.
            let salt = profile.get::<[u8; 16]>(SALT).unwrap().unwrap();
            profile.key = Some(profile.derive(made_with, &salt).unwrap());
            profile.set_secret(CHECK, b"momedo").unwrap();
            drop(profile);
            for typed in [composed, decomposed, &marked] {
                assert!(opened_in(pages(), Some(typed)).is_ok(), "{made_with:?} by {typed:?}");
            }
            let wrong = opened_in(pages(), Some("Grune Blatter"));
            assert!(matches!(wrong, Err(ClientError::WrongPassphrase)));
            assert!(matches!(opened_in(pages(), None), Err(ClientError::Locked)));
        }
    }
}
