//! Keys: compared, made anew, and followed in the server's log.

use serde_json::json;

use super::Side;

pub(super) async fn fingerprints_are_compared_and_keys_made_anew(here: &Side<'_>, there: &Side<'_>) {
    let own = there.shell.one(&["keys", "show"]).await;
    let fingerprint = own["fingerprint"].as_str().unwrap();
    let shown = here.shell.one(&["keys", "show", &there.id]).await;
    assert_eq!((&shown["fingerprint"], &shown["name"]), (&own["fingerprint"], &own["name"]));
    assert_eq!((&own["trust"], &shown["trust"]), (&json!("own"), &json!("first-use")));
    let others = here.shell.one(&["keys", "show"]).await;
    let others = others["fingerprint"].as_str().unwrap();
    here.shell.run(&["keys", "verify", &there.id, others]).await.unwrap_err();
    let told = [&fingerprint[..32], &fingerprint[32..]];
    let verified = here.shell.one(&["keys", "verify", &there.id, told[0], told[1]]).await;
    assert_eq!(verified, json!({ "id": there.id, "trust": "compared" }));

    let rotated = there.shell.one(&["keys", "rotate"]).await;
    assert_eq!(rotated["version"].as_u64(), own["version"].as_u64().map(|version| version + 1));
    assert_eq!(rotated["fingerprint"], fingerprint);
    here.send(&there.id, &["mit neuen Schlüsseln"]).await;
    assert_eq!(there.shell.texts().await, ["mit neuen Schlüsseln"]);
    there.send(&here.id, &["angekommen"]).await;
    assert_eq!(here.shell.receive().await[0]["trust"], "compared");
}

pub(super) async fn both_follow_one_log(here: &Side<'_>, there: &Side<'_>) {
    let log = here.shell.one(&["keys", "log"]).await;
    assert_eq!(log["alarms"], json!([]));
    let number = log["number"].to_string();
    let theirs = there.shell.one(&["keys", "log", "--at", &number]).await;
    assert_eq!((&theirs["hash"], &theirs["server"]), (&log["hash"], &log["server"]));
}
