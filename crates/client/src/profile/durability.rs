//! When what is kept has reached the disk: at once, or with other commits together.

use super::Profile;
use crate::ClientError;
use crate::keeping::Durability;

/// Setting that is written to bring everything before it to the disk.
const BROUGHT: &str = "brought-to-disk";

/// Commits that reach the disk together.
///
/// A program that is killed loses none of them. A power cut may lose the last ones until [`Together::bring_to_disk`] has
/// returned, so only what would come again, or be shown once more, is kept like this.
pub(crate) struct Together<'a>(&'a Profile);

impl Profile {
    /// From here on commits reach the disk together.
    pub(crate) fn together(&self) -> Result<Together<'_>, ClientError> {
        self.kept(self.keep.set_durability(Durability::Together))?;
        Ok(Together(self))
    }
}

impl Together<'_> {
    /// Waits until everything kept so far is on the disk.
    pub(crate) fn bring_to_disk(self) -> Result<(), ClientError> {
        let profile = self.0;
        drop(self);
        // Making this commit durable makes all before it so.
        let turns: u64 = profile.get(BROUGHT)?.unwrap_or_default();
        profile.set(BROUGHT, &turns.wrapping_add(1))
    }
}

impl Drop for Together<'_> {
    fn drop(&mut self) {
        // It cannot fail on an open database outside a transaction; should it, commits stay as they are.
        let _: Result<(), _> = self.0.keep.set_durability(Durability::AtOnce);
    }
}
