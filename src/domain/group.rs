//! What a group's home allows beside the chain's own rules: nobody uses up what somebody else needs.
//!
//! What one person does counts against that person, and against nobody it is done to.

use momedo_protocol::group::state::MAX_GROUP_ENTRIES;

/// Groups one participant may make or join; somebody who teaches every class has a few dozen. Groups that others added
/// them to do not count: else a stranger could use it up.
pub const MAX_OWN_GROUPS: u64 = 500;

/// Groups that one person may have added somebody to, as long as they stay in them: more than a teacher needs for years
/// of a class, and few enough to leave by hand. Others add them all the same.
pub const MAX_ADDED_BY_ONE: u64 = 50;

/// The same for everybody of another home together, which can make up as many of its own as it likes.
pub const MAX_ADDED_OVER_ONE_HOME: u64 = 200;

/// Open groups made by one participant that a list of open groups shows, so that nobody's push out all others'.
pub const MAX_LISTED_OF_ONE: u32 = 20;

/// Entries of a chain that one member may write without being a moderator: keys made and handed on, joining again.
pub const MAX_ENTRIES_PER_MEMBER: u32 = 1_000;

/// Entries that all members together may write who are no moderators: the other half of a chain is the moderators'.
pub const MAX_ENTRIES_OF_MEMBERS: u32 = MAX_GROUP_ENTRIES / 2;

/// Members that what is said to a group, or who is added to it, may concern for each submission it counts as.
pub const MEMBERS_PER_SUBMISSION: u64 = 50;

/// How many submissions something counts as that concerns so many members; known, and taken, before any work.
pub fn cost(members: u64) -> u32 {
    u32::try_from(members / MEMBERS_PER_SUBMISSION).unwrap_or(u32::MAX).saturating_add(1)
}

/// How much of somebody's list of groups those who add them have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Added {
    /// Groups they are in because this person added them.
    pub by_adder: u64,
    /// Groups they are in because somebody of the adder's home did; 0 for this server's own participants.
    pub over_home: u64,
}

impl Added {
    /// Whether the same person may add them to one more.
    pub fn allows_more(self) -> bool {
        self.by_adder < MAX_ADDED_BY_ONE && self.over_home < MAX_ADDED_OVER_ONE_HOME
    }
}

/// How much of a chain was written by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainUse {
    /// By the author of the next entry.
    pub by_author: u32,
    /// By all members who were no moderators.
    pub by_members: u32,
}

impl ChainUse {
    /// Whether somebody who is no moderator may write one more. Not asked where an entry only takes somebody out:
    /// leaving is always possible.
    pub fn allows_more(self) -> bool {
        self.by_author < MAX_ENTRIES_PER_MEMBER && self.by_members < MAX_ENTRIES_OF_MEMBERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_adder_and_one_home_have_their_shares_and_no_more() {
        for (by_adder, over_home, allowed) in [
            (0, 0, true),
            (MAX_ADDED_BY_ONE - 1, 0, true),
            (MAX_ADDED_BY_ONE, 0, false),
            (0, MAX_ADDED_OVER_ONE_HOME - 1, true),
            (0, MAX_ADDED_OVER_ONE_HOME, false),
        ] {
            assert_eq!(Added { by_adder, over_home }.allows_more(), allowed, "{by_adder}, {over_home}");
        }
    }

    #[test]
    fn no_member_and_not_all_of_them_use_up_a_chain() {
        for (by_author, by_members, allowed) in [
            (0, 0, true),
            (MAX_ENTRIES_PER_MEMBER - 1, MAX_ENTRIES_PER_MEMBER - 1, true),
            (MAX_ENTRIES_PER_MEMBER, MAX_ENTRIES_PER_MEMBER, false),
            (0, MAX_ENTRIES_OF_MEMBERS - 1, true),
            (0, MAX_ENTRIES_OF_MEMBERS, false),
        ] {
            assert_eq!(
                ChainUse { by_author, by_members }.allows_more(),
                allowed,
                "{by_author}, {by_members}"
            );
        }
    }

    #[test]
    fn what_concerns_many_costs_more() {
        assert_eq!([0, 1, 49, 50, 99, 100, 2000].map(cost), [1, 1, 1, 2, 2, 3, 41]);
    }
}
