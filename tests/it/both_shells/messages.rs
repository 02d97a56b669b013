//! Texts, and whose are not wanted.

use serde_json::json;

use super::Side;
use crate::harness::PATIENCE;

pub(super) async fn texts_wait_and_come_once(here: &Side<'_>, there: &Side<'_>) {
    // The other side is away meanwhile. What looks like an option is none after the dashes.
    let texts = ["Hallo", "--task", "bis morgen ☂"];
    for text in texts {
        here.send(&there.id, &["--", text]).await;
    }
    let got = there.shell.receive().await;
    for (line, text) in got.iter().zip(texts) {
        assert_eq!(
            (&line["text"], &line["from"], &line["kind"]),
            (&json!(text), &json!(here.id), &json!("text"))
        );
    }
    assert_eq!(got.len(), texts.len(), "{got:?}");
    assert!(there.shell.texts().await.is_empty() && here.shell.texts().await.is_empty());
    let listed = here.shell.run(&["message", "list", "--with", &there.id, "--limit", "3"]).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|line| &line["id"]).collect();
    assert_eq!(listed, got.iter().map(|line| &line["id"]).collect::<Vec<_>>());
}

pub(super) async fn whoever_is_blocked_is_refused_until_they_are_not(here: &Side<'_>, there: &Side<'_>) {
    let blocked = here.shell.one(&["user", "block", &there.id]).await;
    assert_eq!(blocked, json!({ "blocked": true, "id": there.id }));
    there.shell.run(&["send", "--to", &here.id, "Hallo?"]).await.unwrap_err();
    assert_eq!(here.shell.one(&["user", "blocked"]).await["id"], there.id);
    let unblocked = here.shell.one(&["user", "unblock", &there.id]).await;
    assert_eq!(unblocked, json!({ "blocked": false, "id": there.id }));
    assert!(here.shell.run(&["user", "blocked"]).await.unwrap().is_empty());
    there.send(&here.id, &["wieder gut"]).await;
    assert_eq!(here.shell.texts().await, ["wieder gut"]);
}

pub(super) async fn what_was_received_can_be_reported(here: &Side<'_>, there: &Side<'_>) {
    let id = there.send(&here.id, &["du Doofe"]).await;
    assert_eq!(here.shell.texts().await, ["du Doofe"]);
    let report = ["message", "report", &id, "--reason", "beleidigt mich"];
    let reported = here.shell.one(&report).await;
    assert!(reported["report"].is_u64(), "{reported}");
    assert_eq!(here.shell.one(&report).await, reported, "the same again is the same report");
}

pub(super) async fn words_that_make_no_sense_are_refused(worker: &Side<'_>) {
    let refused = async |words: &[&str]| worker.shell.run(words).await.unwrap_err();
    for words in [
        &["sing"][..],
        &["user", "sing"],
        &["send", "--to", &worker.id],
        &["send", "--to", "nobody", "x"],
        &["send", "--to", &worker.id, "--several", "x"],
        &["send", "--to", &worker.id, "--task", "--announcement", "x"],
        &["send", "--to", &worker.id, "--loudly", "x"],
        &["receive", "all"],
        &["group", "join"],
        &["user", "backup-keys", "--state", "--delete"],
    ] {
        let said = refused(words).await;
        assert!(said.starts_with("not-possible: "), "{words:?}: {said}");
    }
    let other = refused(&["user", "erase", "--confirm", "M8N22HT6"]).await;
    assert!(other.starts_with("not-erased: ") && other.contains("nothing was erased"), "{other}");
    assert!(refused(&["keys", "verify", &worker.id, "abc"]).await.starts_with("not-a-fingerprint: "));
    assert!(refused(&["send", "--to", &worker.id, "--poll", "Ja", "?"]).await.starts_with("no-poll: "));
    assert!(refused(&["send", "--to", &worker.id, "--file", "none", "?"]).await.starts_with("file: "));
    assert!(refused(&["keys", "log", "--at", "1000000"]).await.starts_with("beyond-log: "));
}

pub(super) async fn another_tab_takes_over_while_a_command_runs(worker: &Side<'_>) {
    let browser = worker.shell.browser();
    let first = browser.client.window().await.unwrap();
    let address = browser.client.current_url().await.unwrap();
    let waiting = worker.shell.begin(&["receive", "--wait", "50"]).await;
    let second = browser.client.new_window(true).await.unwrap();
    browser.client.switch_to_window(second.handle).await.unwrap();
    browser.open(address.as_str()).await;
    worker.shell.take_over().await;
    assert_eq!(worker.shell.one(&["keys", "show"]).await["id"], worker.id);
    browser.client.switch_to_window(first).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, waiting.end()).await.unwrap();
    assert!(ended.unwrap_err().starts_with("taken-over: "));
    assert!(worker.shell.is_taken_over().await);
}
