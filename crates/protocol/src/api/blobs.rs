//! What the calls under `/blobs` take and give.

use serde::{Deserialize, Serialize};

use super::wire;
use crate::blob::BlobId;

wire! {
    /// `POST /blobs`: announces an upload.
    request BlobRequest {
        /// An ID of the client's choice, 16 random bytes.
        pub id: BlobId,
        /// How many sealed bytes will come.
        pub size: u64,
    }
}

wire! {
    /// How far an upload is.
    response BlobUpload {
        /// The blob.
        pub id: BlobId,
        /// How many bytes are on the server's disk; the next one goes here.
        pub offset: u64,
        /// How many there will be.
        pub size: u64,
    }
}
