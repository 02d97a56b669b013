//! Messages that live on, and what comes back of them.

use serde_json::json;

use super::Side;

pub(super) async fn an_announcement_is_seen_changed_and_taken_back(here: &Side<'_>, there: &Side<'_>) {
    let id = here.send(&there.id, &["--announcement", "Hitzefrei ab elf"]).await;
    assert_eq!(here.show(&id).await["not_seen"], json!([there.id]));
    let got = there.shell.receive().await;
    assert_eq!((&got[0]["kind"], &got[0]["text"]), (&json!("announcement"), &json!("Hitzefrei ab elf")));
    // Receipts are nothing to read.
    assert!(here.shell.receive().await.is_empty());
    assert_eq!(here.show(&id).await["seen"], json!([there.id]));

    here.say(&["edit", &id, "Hitzefrei ab zwölf"], there).await;
    assert_eq!(there.show(&id).await["text"], "Hitzefrei ab zwölf");
    there.shell.run(&["message", "edit", &id, "Kein Hitzefrei"]).await.unwrap_err();
    here.say(&["withdraw", &id], there).await;
    assert_eq!(there.show(&id).await["withdrawn"], true);
}

pub(super) async fn a_task_gets_done(here: &Side<'_>, there: &Side<'_>) {
    let id = here.send(&there.id, &["--task", "Tafel wischen"]).await;
    assert_eq!(there.shell.receive().await[0]["kind"], "task");
    here.shell.receive().await;
    there.say(&["accept", &id], here).await;
    there.say(&["done", &id], here).await;
    let shown = here.show(&id).await;
    assert_eq!((&shown["state"], &shown["by"]), (&json!("done"), &json!(there.id)));
    here.say(&["reopen", &id], there).await;
    let shown = there.show(&id).await;
    assert_eq!((&shown["state"], &shown["by"]), (&json!("open"), &json!(here.id)));
}

pub(super) async fn a_poll_is_voted_in_until_it_ends(here: &Side<'_>, there: &Side<'_>) {
    let id = here.send(&there.id, &["--poll", "Zoo", "--poll", "Museum", "--several", "Wohin?"]).await;
    assert_eq!(there.shell.receive().await[0]["body"]["options"], json!(["Zoo", "Museum"]));
    here.shell.receive().await;
    there.say(&["vote", &id, "1", "2"], here).await;
    there.say(&["vote", &id, "2"], here).await;
    let options = here.show(&id).await["options"].take();
    assert_eq!((&options[0]["chosen_by"], &options[1]["chosen_by"]), (&json!([]), &json!([there.id])));
    here.say(&["end-poll", &id], there).await;
    assert_eq!(there.show(&id).await["ended"], true);
    there.shell.run(&["message", "vote", &id, "1"]).await.unwrap_err();
}

pub(super) async fn an_answer_names_what_it_answers(here: &Side<'_>, there: &Side<'_>) {
    let id = here.send(&there.id, &["Wann?"]).await;
    assert_eq!(there.shell.texts().await, ["Wann?"]);
    let got = there.say(&["reply", &id, "Um acht"], here).await;
    assert_eq!((&got["kind"], &got["text"]), (&json!("reply"), &json!("Um acht")));
    assert_eq!(got["body"]["to"], json!({ "from": here.id, "id": id }));
}

pub(super) async fn receipts_go_to_whom_they_are_wanted_for(here: &Side<'_>, there: &Side<'_>) {
    assert_eq!(there.shell.one(&["user", "receipts"]).await, json!({ "receipts": "announcements" }));
    there.shell.one(&["user", "receipts", "all"]).await;
    let id = here.send(&there.id, &["Kommst du?"]).await;
    assert_eq!(there.shell.texts().await, ["Kommst du?"]);
    let events = here.shell.run(&["receive", "--events"]).await.unwrap();
    assert_eq!(events.iter().filter(|event| event["kind"] == "receipt").count(), 1, "{events:?}");
    assert_eq!(here.show(&id).await["seen"], json!([there.id]));
    there.shell.one(&["user", "receipts", "announcements"]).await;
}
