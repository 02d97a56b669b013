//! What every handler of the pages has.

use crate::live::shutdown::Shutdown;
use crate::state::AppState;

/// What every handler has.
pub(crate) struct Pages {
    pub(super) app: AppState,
    pub(super) stop: Shutdown,
}

impl Pages {
    /// Lets the certificate carry the names that rules give the server now.
    pub(super) async fn renew_certificate(&self) {
        if let Err(error) = crate::service::certificates::renew(&self.app).await {
            tracing::error!(%error, "the certificate cannot be renewed");
        }
    }
}
