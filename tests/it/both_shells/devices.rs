//! A second device in the other shell, and an identity that comes back in it.

use serde_json::{Value, json};

use super::Side;
use crate::harness::Server;
use crate::line::Line;
use crate::shells::Shell;

/// Links `new` by the link that `old` shows, typing `typed` or the right code; what both came to.
async fn link(
    old: &Shell<'_>,
    new: &Shell<'_>,
    typed: Option<&str>,
    lead: impl Fn(String) -> String,
) -> [Result<Value, String>; 2] {
    let mut showing = old.begin(&["user", "link-device"]).await;
    let link = lead(showing.line().await["link"].as_str().unwrap().to_owned());
    let mut joining = new.begin(&["user", "add-device", "--link", &link, "--device-name", "Tablet"]).await;
    let code = joining.line().await["code"].take();
    let candidate = showing.line().await;
    assert_eq!((&candidate["code"], &candidate["name"]), (&code, &json!("Tablet")));
    showing.say(typed.unwrap_or(code.as_str().unwrap())).await;
    let last = |ended: Result<Vec<Value>, String>| ended.map(|mut lines| lines.pop().unwrap());
    [last(showing.end().await), last(joining.end().await)]
}

/// Both devices of somebody read what comes.
async fn reach(from: &Shell<'_>, id: &str, devices: [&Shell<'_>; 2]) {
    assert_eq!(from.one(&["send", "--to", id, "an beide"]).await["status"], "accepted");
    for device in devices {
        assert_eq!(device.texts().await, ["an beide"]);
    }
}

/// The words and the server's link of a new key backup.
async fn back_up(shell: &Shell<'_>) -> (String, String) {
    assert_eq!(shell.one(&["user", "backup-keys", "--state"]).await, json!({ "key_backup": null }));
    let made = shell.one(&["user", "backup-keys"]).await;
    let state = shell.one(&["user", "backup-keys", "--state"]).await;
    assert_eq!((&state["key_backup"]["version"], &state["ended"]), (&json!(1), &Value::Null));
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    assert_eq!(text("words").split(' ').count(), 12);
    (text("words"), text("server"))
}

/// Gets an identity back and revokes every other device.
async fn recover(shell: &Shell<'_>, id: &str, server: &str, words: &str) -> Value {
    let command = ["user", "recover", "--server", server, "--id", id, "--revoke-others"];
    let mut recovering = shell.begin(&command).await;
    recovering.say(words).await;
    recovering.end().await.unwrap().pop().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_linked_and_an_identity_recovered_from_shell_to_shell() {
    let server = Server::start();
    let as_it_is = |link: String| link;
    let (ada, carl) = (Shell::program(&server, "ada"), Shell::program(&server, "carl"));
    let id = ada.register(&server, "Ada").await;
    let carl_id = carl.register(&server, "Carl").await;
    let browser = Shell::worker(&server).await;

    // The program shows a link, and the browser joins. With a wrong code nothing is handed over, and it can try again.
    let [refused, ended] = link(&ada, &browser, Some("000 000"), as_it_is).await;
    assert!(refused.unwrap_err().contains("nothing was handed over") && ended.is_err());
    assert_eq!(ada.run(&["user", "devices"]).await.unwrap().len(), 1);
    let [linked, joined] = link(&ada, &browser, None, as_it_is).await;
    let (linked, joined) = (linked.unwrap(), joined.unwrap());
    assert_eq!((&linked["status"], &joined["id"]), (&json!("linked"), &json!(id)));
    assert_eq!(linked["device"], joined["device"]);
    reach(&carl, &id, [&ada, &browser]).await;

    // The other way round; then the browser revokes what it let in.
    let tablet = Shell::program(&server, "tablet");
    let [linked, joined] = link(&browser, &tablet, None, as_it_is).await;
    assert_eq!(joined.unwrap()["id"], id);
    reach(&carl, &id, [&tablet, &browser]).await;
    // The program hears of it unasked.
    let got = ada.receive().await;
    let kinds: Vec<_> = got.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["text", "alarm"], "{got:?}");
    let device = linked.unwrap()["device"].as_str().unwrap().to_owned();
    let revoked = browser.one(&["user", "revoke-device", &device]).await;
    assert_eq!(revoked, json!({ "device": device, "status": "revoked" }));
    tablet.run(&["receive"]).await.unwrap_err();
    let devices = browser.run(&["user", "devices"]).await.unwrap();
    assert_eq!(devices.iter().filter(|line| line["this"] == true).count(), 1, "{devices:?}");
    assert_eq!(devices.len(), 2, "{devices:?}");

    // The browser writes twelve words down, and the program comes back with them: every other device is revoked.
    let (words, link_of_server) = back_up(&browser).await;
    let back = Shell::program(&server, "back");
    let recovered = recover(&back, &id, &link_of_server, &words).await;
    let others = recovered["others"].as_array().unwrap();
    assert!(others.len() == 2 && others.iter().all(|other| other["revoked"] == true), "{recovered}");
    browser.run(&["receive"]).await.unwrap_err();

    // The other way round, in a browser that has no profile for this address yet.
    let line = Line::to(&server.address);
    browser.go_to(&line.address).await;
    let made = back.one(&["user", "backup-keys"]).await;
    let words = made["words"].as_str().unwrap();
    let recovered = recover(&browser, &id, &line.lead(server.invite()), words).await;
    assert_eq!((&recovered["id"], &recovered["name"]), (&json!(id), &json!("Ada")));
    back.run(&["receive"]).await.unwrap_err();
    let (ada, carl) = (Side { shell: browser, id }, Side { shell: carl, id: carl_id });
    // Whoever writes to her hears of her new devices unasked, once.
    ada.send(&carl.id, &["wieder da"]).await;
    let got = carl.shell.receive().await;
    assert_eq!(got[0]["text"], "wieder da");
    assert!(got[1..].iter().all(|line| line["kind"] == "device-added"), "{got:?}");
    // And she of what became of her words.
    let got = ada.shell.receive().await;
    assert!(!got.is_empty() && got.iter().all(|line| line["kind"] == "alarm"), "{got:?}");
    for (here, there) in [(&ada, &carl), (&carl, &ada)] {
        super::messages::texts_wait_and_come_once(here, there).await;
    }
    let erased = ada.shell.one(&["user", "erase", "--confirm", &ada.id]).await;
    assert_eq!(erased, json!({ "id": ada.id, "status": "erased" }));
    ada.shell.run(&["receive"]).await.unwrap_err();
}
