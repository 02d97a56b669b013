//! Problem details (RFC 9457): what an error looks like on the wire.

use serde::{Deserialize, Serialize};

/// An error of the API: `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A stable name such as `urn:momedo:problem:unknown-participant`; programs decide by it.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence for people, in the request's language.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// More about this occurrence, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// After how many seconds trying again makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// What every problem type starts with.
pub const PROBLEM_PREFIX: &str = "urn:momedo:problem:";

impl Problem {
    /// The stable name without its prefix, such as `unknown-participant`.
    pub fn name(&self) -> &str {
        self.kind.strip_prefix(PROBLEM_PREFIX).unwrap_or(&self.kind)
    }
}
