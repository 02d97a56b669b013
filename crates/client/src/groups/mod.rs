//! Groups: reading and checking chains, changing them, and posting.
//!
//! The server is believed nothing: every entry is checked by the rules of [`momedo_protocol::group::state`], and
//! a chain once read may only grow. What the server alone says (to how many it passes on) is compared with what
//! the chain says.
//!
//! | module | does |
//! |---|---|
//! | [`chain`] | reads on, appends, notices a server that lies |
//! | [`membership`] | create, add, remove, join, leave |
//! | `keys` | group keys: made, handed on, kept |
//! | `asking` | group keys that did not come |
//! | [`posting`] | seals once and posts |
//! | `receiving` | opens and checks what was posted |
//! | `renewing` | tells every group of new keys of one's own |

pub(crate) mod asking;
pub mod chain;
pub(crate) mod earlier;
pub(crate) mod key_store;
pub(crate) mod keys;
pub(crate) mod looking;
pub mod membership;
pub(crate) mod notes;
pub mod posting;
pub(crate) mod receiving;
pub(crate) mod renewing;
