//! Instants as they travel: milliseconds since 1970 in UTC.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, as a clock showed them; never used to order mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This instant plus whole days, saturating.
    pub fn plus_days(self, days: u64) -> Self {
        Self(self.0.saturating_add(days.saturating_mul(86_400_000)))
    }
}
