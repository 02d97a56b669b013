//! Permission is a type: a use case for admins takes an [`Admin`], and nobody can make one without having
//! been let in.

use crate::domain::role::AccountRole;

/// Proof that an admin acts: logged in on the admin pages, or at the machine itself.
#[derive(Debug, Clone)]
pub struct Admin {
    account: String,
}

/// Proof that somebody with an account acts: an admin, or the lead of some classes.
#[derive(Debug, Clone)]
pub struct Staff {
    account: String,
    /// `None`: an admin, who looks after everybody.
    classes: Option<Vec<i64>>,
}

/// Proof that somebody acts who typed their password, and their one-time password if they have one, in the last five
/// minutes, or who is at the machine itself. Use cases that let somebody in, hand data or keys out, open this server to
/// another one, or cannot be undone on the pages take it instead of the plain proof: a stolen session alone has none.
#[derive(Debug, Clone)]
pub struct RecentlyConfirmed<P = Admin>(P);

impl<P> std::ops::Deref for RecentlyConfirmed<P> {
    type Target = P;
    fn deref(&self) -> &P {
        &self.0
    }
}

/// What the log calls whoever holds the data directory or its control socket.
const AT_THE_MACHINE: &str = "momedo admin";

/// What the log calls whoever has the set-up code, while there is no account.
const WITH_SET_UP_CODE: &str = "set-up";

/// Whether the log has this name for somebody without an account.
pub(super) fn is_reserved(name: &str) -> bool {
    [AT_THE_MACHINE, WITH_SET_UP_CODE].contains(&name)
}

impl RecentlyConfirmed {
    /// Whoever holds the data directory or its control socket.
    pub(crate) fn at_the_machine() -> Self {
        Self(Admin::at_the_machine())
    }

    /// For the set-up alone, once the code was right and there is no account.
    pub(super) fn with_set_up_code() -> Self {
        Self(Admin { account: WITH_SET_UP_CODE.into() })
    }
}

impl RecentlyConfirmed<Staff> {
    /// For the accounts alone, once they know that it is so.
    pub(super) fn proved(staff: Staff) -> Self {
        Self(staff)
    }

    /// The same for an admin's rights, if it is an admin.
    pub fn admin(&self) -> Option<RecentlyConfirmed> {
        self.0.admin().map(RecentlyConfirmed)
    }
}

impl Admin {
    /// Whoever holds the data directory or its control socket; they could change the file itself.
    pub(crate) fn at_the_machine() -> Self {
        Self { account: AT_THE_MACHINE.into() }
    }

    /// The account, for the log.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// An admin may do what any staff may.
    pub fn staff(&self) -> Staff {
        Staff { account: self.account.clone(), classes: None }
    }
}

impl Staff {
    /// For the log-in alone, once password and one-time password were right.
    pub(super) fn authenticated(account: String, role: AccountRole, classes: Vec<i64>) -> Self {
        let classes = match role {
            AccountRole::Admin => None,
            AccountRole::ClassLead => Some(classes),
        };
        Self { account, classes }
    }

    /// The account, for the log.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The admin's rights, if it is an admin.
    pub fn admin(&self) -> Option<Admin> {
        self.classes.is_none().then(|| Admin { account: self.account.clone() })
    }

    /// The classes looked after; `None`: all people, whether in a class or not.
    pub fn classes(&self) -> Option<&[i64]> {
        self.classes.as_deref()
    }
}
