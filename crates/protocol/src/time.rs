//! Instants as they travel: milliseconds since 1970 in UTC.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, as a clock showed them; never used to order mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnixMillis(pub u64);

/// No clock that is right shows less: 2026-11-01.
pub const MADE_AFTER: UnixMillis = UnixMillis(1_793_491_200_000);

/// Nor more: ten years later nobody runs this version any more.
pub const OUTDATED_AFTER: UnixMillis = MADE_AFTER.plus_days(3_653);

impl UnixMillis {
    /// Whether a clock that shows this may be right.
    pub fn is_plausible(self) -> bool {
        (MADE_AFTER..=OUTDATED_AFTER).contains(&self)
    }

    /// This instant plus whole days, saturating.
    pub const fn plus_days(self, days: u64) -> Self {
        Self(self.0.saturating_add(days.saturating_mul(86_400_000)))
    }
}
