//! Runs a test once more in a network namespace of its own, where multicast reaches nobody else. Nothing ever leaves.

use std::process::Command;

/// Said by every test that needs what is missing.
const NEEDS: &str = "the tests of servers nearby need a network of their own: unshare (Debian: util-linux), ip (Debian: \
                     iproute2), and a kernel with veth that lets this user make namespaces; set \
                     MOMEDO_TEST_WITHOUT_OWN_NETWORK=1 to leave them out";

/// Tells the test that it is inside.
const INSIDE: &str = "MOMEDO_TEST_IN_OWN_NETWORK";

/// Set by whoever knows that this machine lets nobody make namespaces, and says so.
const WITHOUT: &str = "MOMEDO_TEST_WITHOUT_OWN_NETWORK";

/// Addresses of this machine in its own network, and one that the whole world could reach.
pub(crate) const NEAR: [&str; 2] = ["192.168.77.1", "192.168.77.2"];
pub(crate) const FAR: &str = "203.0.113.7";

/// Whether this is inside. Outside, runs the test with this path inside, and fails if it does.
pub(crate) fn is_inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        ip("link add lan0 type veth peer name lan1");
        for end in ["lan0", "lan1"] {
            ip(&format!("link set {end} multicast on up"));
        }
        for address in NEAR.iter().chain([&FAR]) {
            ip(&format!("address add {address}/24 dev lan0"));
        }
        return true;
    }
    if std::env::var_os(WITHOUT).is_some() {
        eprintln!("NOT TESTED: {test}, because {WITHOUT} is set");
        return false;
    }
    let inside = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap_or_else(|error| panic!("{NEEDS}; unshare: {error}"));
    let said =
        [inside.stdout, inside.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(!said.contains("unshare: "), "{NEEDS}; {said}");
    // A path that fits no test would pass.
    assert!(inside.status.success() && said.contains("1 passed"), "{said}");
    false
}

pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.unwrap_or_else(|error| panic!("{NEEDS}; ip: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{NEEDS}; ip {arguments}: {said}");
}

/// UDP sockets that are open in this network, by their local address as the kernel writes it.
pub(crate) fn udp_sockets() -> Vec<String> {
    let tables =
        ["/proc/self/net/udp", "/proc/self/net/udp6"].map(|path| std::fs::read_to_string(path).unwrap());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    rows.map(|row| row.split_whitespace().nth(1).unwrap().to_owned()).collect()
}
