//! A server that was restored from an older backup takes back what it has forgotten, from whoever has it.
//!
//! Nothing is believed because of who brings it. Keys and devices count by the participant's signatures, from the newest
//! keys known here upwards, or because this server's own log says that it had them; the log counts by this server's own
//! signature; entries of groups' chains count because they continue the chain by its rules. So nobody can bring what was not,
//! nor put anything older in the place of what is there: the worst is to come with less than others have.
//!
//! | module | holds |
//! |---|---|
//! | [`keys`] | a participant's newest keys and devices |
//! | [`log`] | the end of the own log of key changes, and whose keys it says are missing |
//! | [`groups`] | entries of groups' chains |
//! | [`neighbours`] | what this server brings a neighbour that was restored |

pub mod groups;
pub mod keys;
pub mod log;
pub mod neighbours;
