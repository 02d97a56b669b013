//! People with a profile for the command line whose keys are stored ones, for tests of what comes after registering: making
//! three RSA keys and one of McEliece takes longer than most of those tests.

use std::cell::Cell;

use momedo_client::registration::Joining;

use crate::harness::{Server, stored_keys};

thread_local! {
    /// Each test has a thread. Counted down, since tests number those who register otherwise upwards.
    static NEXT: Cell<usize> = const { Cell::new(8) };
}

impl Server {
    /// Registers somebody with a profile of this name as `momedo user register` would; their ID.
    pub(crate) fn join(&self, invite: &str, profile: &str, name: Option<&str>) -> String {
        let number = NEXT.get().checked_sub(1).expect("a test joins eight people at most");
        NEXT.set(number);
        let path = self.profile(profile);
        let invite = invite.parse().unwrap();
        // A runtime of its own: whoever joins may be within another one.
        std::thread::scope(|scope| {
            let joining = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let joining = Joining { invite, name, device_name: "test", language: "en" };
                let keys = move || stored_keys(number);
                runtime
                    .block_on(momedo_testing::people::register_with(&path, &joining, keys, &|_| {}))
                    .unwrap()
                    .1
                    .id
            });
            joining.join().unwrap().to_string()
        })
    }
}
