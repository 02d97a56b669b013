//! Addresses that others name: nobody makes this server knock at doors that only it can reach.

use std::net::TcpListener;

use momedo_protocol::id::ParticipantId;
use momedo_protocol::invite::InviteCode;
use momedo_protocol::link::{Find, Frame, PairingLink, Standing};

use crate::harness::{Server, rsa_key};
use crate::hostile::Hostile;
use crate::neighbours::{failure, id, invite, neighbour, state, until};

/// A server as it is without a word in its settings.
fn careful() -> Server {
    Server::start_with("[neighbours]\ndial_also = []\n")
}

/// Places that lead to this machine, or no farther than its cable; something listens at the first.
fn near_places() -> (TcpListener, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let hosts = [
        "127.0.0.1",
        "127.1.2.3",
        "localhost",
        "evil.localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "169.254.169.254",
        "[fe80::1]",
        "224.0.0.251",
        "2130706433",
    ];
    (listener, hosts.iter().map(|host| format!("{host}:{port}")).collect())
}

#[test]
fn a_pairing_link_to_this_machine_is_not_followed() {
    let server = careful();
    let (listener, mut places) = near_places();
    places.extend(["192.168.1.1:22".to_owned(), "schule.example:25".to_owned(), server.address.clone()]);
    for address in places {
        let link =
            PairingLink { address, code: InviteCode::random(), server: rsa_key(11).public().fingerprint() };
        let said = failure(&server, &["add", &link.to_string()]);
        assert!(said.contains("does not dial"), "{}: {said}", link.address);
    }
    assert!(listener.accept().is_err(), "somebody was dialled");
    assert!(neighbour(&server, &["list"]).is_empty());
    // An admin who means this very address says so in the settings.
    let other = Server::start();
    let willing = Server::start();
    neighbour(&willing, &["add", &invite(&other)]);
    assert_eq!(state(&other, &id(&willing)), "waiting-for-us");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_neighbour_names_no_place_of_this_machine_as_its_own() {
    let server = careful();
    let (listener, places) = near_places();
    let link: PairingLink = invite(&server).parse().unwrap();
    let mut hostile = Hostile::dial(&server).await;
    // No more are read of one greeting.
    hostile.greet_from(places[..4].to_vec()).await;
    hostile.send(&Frame::Pair { code: Some(link.code) }).await;
    let own = hostile.id().to_string();
    until("it asks", || state(&server, &own) == "waiting-for-us");
    neighbour(&server, &["confirm", &own]);
    for places in places[4..].chunks(4) {
        let mut again = Hostile::dial(&server).await;
        again.greet_from(places.to_vec()).await;
        again.send(&Frame::Standing(Standing::Confirmed)).await;
        // Whatever is answered was read after the greeting.
        again.send(&Frame::Find(Find { query: 1, id: ParticipantId::random(), hops: 0 })).await;
        assert!(matches!(again.next().await, Some(Frame::Found(_))));
        hostile = again;
    }
    drop(hostile);
    until("it is gone", || state(&server, &own) == "unreachable");
    let row = neighbour(&server, &["list"]).remove(0);
    assert!(row["address"].is_null(), "{row}");
    assert!(listener.accept().is_err(), "somebody was dialled");
}
