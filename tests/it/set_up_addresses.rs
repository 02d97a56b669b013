//! Which of a machine's addresses set-up offers, and which one links carry: in a network of its own, with the addresses that
//! containers and a VPN bring along.

use crate::harness::Server;
use crate::own_network::{FAR, NEAR, ip, is_inside};
use crate::visitor::{Visitor, set_up};

#[test]
fn addresses_that_no_phone_reaches_come_last_and_stand_on_no_card() {
    if !is_inside("set_up_addresses::addresses_that_no_phone_reaches_come_last_and_stand_on_no_card") {
        return;
    }

    ip("link add docker0 type veth peer name tun0");
    ip("address add 172.17.0.1/16 dev docker0");
    ip("address add 10.8.0.2/24 dev tun0");
    for link in ["docker0", "tun0", "lan0", "lan1"] {
        ip(&format!("link set {link} up"));
    }
    let mut server = Server::unstarted();
    server.address = "0.0.0.0:0".into();
    server.launch();
    set_up(&server);
    let mut admin = Visitor::admin(&server);
    let page = admin.get("/admin/setup/server").body;
    let offered: Vec<String> = page
        .split("name=\"address\" value=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .filter(|value| value.parse::<std::net::IpAddr>().is_ok())
        .collect();
    assert_eq!(offered, [NEAR[0], FAR, NEAR[1], "10.8.0.2", "172.17.0.1"]);
    let reach = |address: &str| {
        let rest = page.split(&format!("value=\"{address}\"")).nth(1).unwrap();
        rest.split("reach\">").nth(1).unwrap().split('<').next().unwrap().to_owned()
    };
    assert!(reach(NEAR[0]).starts_with("Network at lan0."), "{}", reach(NEAR[0]));
    assert!(reach("10.8.0.2").contains("in the VPN") && reach("172.17.0.1").contains("No other device"));
    // A phone tries the first; nothing leads to a container.
    let port = server.address.rsplit_once(':').unwrap().1;
    assert!(page.contains(&format!("https://{}:{port}/trust", NEAR[0])), "{page}");
    assert!(!page.contains(&format!("https://172.17.0.1:{port}/trust")));
    assert!(page.contains(&format!("value=\"{}\" checked", NEAR[0])), "{page}");
    let link = server.invite().to_string();
    assert!(link.starts_with(&format!("https://{}:{port}/i#", NEAR[0])), "{link}");
}
