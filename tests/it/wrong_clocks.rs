//! Clocks that are wrong: nobody is taken for an attacker because of one, and it is said whose clock to look at.

use momedo::clock::Clock;
use momedo_protocol::time::UnixMillis;

use crate::harness::{Inside, Server, text};

const DAYS: u64 = 86_400_000;

fn year(at: u64) -> String {
    let seconds = i64::try_from(at / 1000).unwrap();
    time::OffsetDateTime::from_unix_timestamp(seconds).unwrap().year().to_string()
}

async fn ahead_by(days: u64) -> (Inside, String) {
    let clock = Clock::manual();
    let now = momedo_client::now().0 + days * DAYS;
    clock.set_wall(UnixMillis(now));
    (Inside::start_with_clock(clock).await, year(now))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_clock_is_years_ahead_serves_its_people_and_they_hear_of_the_clocks() {
    let (inside, there) = ahead_by(1_200).await;
    let (server, here) = (&inside.server, year(momedo_client::now().0));
    let told = |arguments: &[&str]| {
        let output = server.run(arguments);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        for part in ["clock", &here, &there] {
            assert!(said.contains(part), "{part} in {said}");
        }
        text(&output.stdout)
    };
    for name in ["ada", "ben"] {
        let link = server.invite().to_string();
        told(&["user", "register", "--profile", name, "--name", name, "--invite", &link]);
    }
    let ben: serde_json::Value =
        serde_json::from_str(&told(&["keys", "show", "--profile", "ben", "--json"])).unwrap_or_default();
    let ben = ben["id"].as_str().map(str::to_owned);
    let ben = ben.unwrap_or_else(|| {
        let profile = momedo_client::profile::Profile::open(&server.profile("ben"), None).unwrap();
        profile.id().unwrap().to_string()
    });
    told(&["send", "--profile", "ada", "--to", &ben, "trotzdem"]);
    let got = told(&["receive", "--profile", "ben", "--json"]);
    assert!(got.contains("trotzdem"), "{got}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_right_is_not_spoken_of() {
    let (inside, _) = ahead_by(1).await;
    let link = inside.server.invite().to_string();
    let output = inside.server.run(&["user", "register", "--profile", "ada", "--invite", &link]);
    assert!(output.status.success());
    assert!(!text(&output.stderr).contains("clock"), "{}", text(&output.stderr));
}

#[test]
fn the_doctor_shows_the_clock_and_finds_one_that_is_decades_off() {
    let server = Server::start();
    let line = server
        .json(&["doctor", "--data-dir", "data", "--json"])
        .into_iter()
        .find(|line| line["check"] == "clock")
        .unwrap();
    let shown = line["text"].as_str().unwrap();
    assert!(line["ok"] == true && shown.contains(&year(momedo_client::now().0)), "{shown}");
}
