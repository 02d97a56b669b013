//! Stored identities for the servers of tests: two RSA keys for each start took half of the whole suite's processor time.

use std::cell::Cell;
use std::path::Path;

use momedo::settings::config::Config;
use momedo::store::{Store, StoreOptions};
use momedo::surroundings::addresses;
use momedo::surroundings::clock::Clock;
use momedo::tls::{Identity, Names};
use momedo_testing::stored_keys;

thread_local! {
    /// Each test has a thread: its first server is always the same, its second another one.
    static NEXT: Cell<usize> = const { Cell::new(0) };
}

/// Makes the database of a server that has not started yet, with an identity in it. One that is there stays as it is.
pub(crate) fn put(data: &Path, clock: Clock) {
    if data.join("momedo.db").exists() {
        return;
    }
    let keys = stored_keys::identity(NEXT.replace(NEXT.get() + 1));
    let data = data.to_owned();
    // A runtime of its own: whoever starts a server may be within another one.
    let putting = std::thread::spawn(move || {
        let config = Config::load(&data.join("momedo.toml")).unwrap_or_default();
        let names = Names { dns: addresses::names(&config), ip: addresses::ip_addresses(&config) };
        let identity = serde_json::to_vec(&Identity::issue(&names, clock.now(), keys).unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Store::open(&data, clock, &StoreOptions::default(), Box::new(|_| {})).unwrap();
            store.write(move |tx| tx.set_setting(Identity::SETTING, &identity)).await.unwrap();
            store.close().await;
        });
    });
    putting.join().unwrap();
}
