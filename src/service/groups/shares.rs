//! What the author of an entry leaves others: of the chain, of their lists of groups, and of their say in who adds them.

use momedo_protocol::group::entry::{Action, GroupEntry};
use momedo_protocol::group::state::GroupState;

use crate::domain::group::MAX_OWN_GROUPS;
use crate::service::ServiceError;
use crate::store::{Author, WriteTx};

/// Whether the author leaves others what they need of the chain.
pub(in crate::service) fn check_chain(
    tx: &mut WriteTx<'_>,
    before: &GroupState,
    entry: &GroupEntry,
    author: &Author,
) -> Result<(), ServiceError> {
    let may = author.is_moderator
        || entry.payload.action.takes_out()
        || tx.chain_use(before.id(), author.participant)?.allows_more();
    if may { Ok(()) } else { Err(ServiceError::ChangedTooOften) }
}

/// Whether the author leaves others what they need: of the chain, of the lists of those who are added, and their say in
/// who may add them.
pub(in crate::service) fn check(
    tx: &mut WriteTx<'_>,
    before: &GroupState,
    entry: &GroupEntry,
    author: &Author,
) -> Result<(), ServiceError> {
    check_chain(tx, before, entry, author)?;
    match &entry.payload.action {
        Action::Join { .. } if tx.count_own_groups(author.participant)? >= MAX_OWN_GROUPS => {
            Err(ServiceError::TooManyGroups)
        }
        Action::Add { members } => {
            for new in members {
                let blocks =
                    tx.directory_entry(new.id)?.is_some_and(|entry| entry.blocks(author.participant));
                if blocks {
                    return Err(ServiceError::Blocked);
                }
                let comes_in = !before.members.contains_key(&new.id);
                if comes_in && !tx.count_added(new.id, author)?.allows_more() {
                    return Err(ServiceError::AddedTooOften);
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
