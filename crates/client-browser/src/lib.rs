//! The client core in a browser's worker: what JavaScript may call.
//!
//! Decides nothing; it turns calls into those of the core, and answers into JSON. Empty on every other platform.
#![cfg(target_arch = "wasm32")]

use momedo_protocol::invite::InviteLink;
use serde_json::json;
use wasm_bindgen::prelude::wasm_bindgen;

/// What an invite link says, as JSON: its server's address and fingerprint, or what is wrong with it. The code stays out
/// of the answer, because whoever shows it needs none.
#[wasm_bindgen(js_name = readInvite)]
pub fn read_invite(link: &str) -> String {
    let answer = match link.parse::<InviteLink>() {
        Ok(InviteLink { address, server, .. }) => json!({ "address": address, "server": server.to_string() }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    answer.to_string()
}
