//! Kinds of messages on the command line: announcements, tasks, polls, replies, changes, receipts.

use momedo_client::sending::{Destination, Draft, send};
use serde_json::{Value, json};

use crate::harness::Server;

/// A server with Ada, Ben and Carl in a group that Ada moderates.
struct School {
    server: Server,
    group: String,
}

impl School {
    async fn start() -> Self {
        let server = Server::start();
        for (number, name) in ["ada", "ben", "carl"].into_iter().enumerate() {
            server.register_profile(number, name).await;
        }
        let mut school = Self { server, group: String::new() };
        let made = school.run(&["group", "create", "--profile", "ada", "--name", "Schule"]);
        school.group = made[0]["id"].as_str().unwrap().to_owned();
        let (ben, carl) = (school.id("ben"), school.id("carl"));
        school.run(&["group", "add", "--profile", "ada", "--group", &school.group, &ben, &carl]);
        school
    }

    fn run(&self, arguments: &[&str]) -> Vec<Value> {
        self.server.json(&[arguments, &["--json"]].concat())
    }

    fn id(&self, name: &str) -> String {
        momedo_client_native::profiles::open(&self.server.profile(name), None)
            .unwrap()
            .id()
            .unwrap()
            .to_string()
    }

    fn send(&self, from: &str, to: &str, more: &[&str]) -> String {
        let sent = self.run(&[&["send", "--profile", from, "--to", to], more].concat());
        sent[0]["id"].as_str().unwrap().to_owned()
    }

    fn receive(&self, profile: &str) -> Vec<Value> {
        self.run(&["receive", "--profile", profile])
    }

    fn show(&self, profile: &str, message: &str) -> Value {
        self.run(&["message", "show", "--profile", profile, message]).remove(0)
    }
}

#[tokio::test]
async fn an_announcement_tells_its_author_who_has_seen_it_and_who_has_not() {
    let school = School::start().await;
    let id = school.send("ada", &school.group, &["--announcement", "Hitzefrei ab elf"]);
    let before = school.show("ada", &id);
    assert_eq!(before["seen"], json!([]));
    assert_eq!(before["not_seen"].as_array().unwrap().len(), 2);
    let got = school.receive("ben");
    assert_eq!((&got[0]["kind"], &got[0]["text"]), (&json!("announcement"), &json!("Hitzefrei ab elf")));
    assert_eq!(got[0]["verified"], json!(true));
    // Receipts are nothing to read.
    assert!(school.receive("ada").is_empty());
    let after = school.show("ada", &id);
    assert_eq!(after["seen"], json!([school.id("ben")]));
    assert_eq!(after["not_seen"], json!([school.id("carl")]));
    // Who switched receipts off is not told on.
    school.run(&["user", "receipts", "--profile", "carl", "off"]);
    assert_eq!(school.receive("carl").len(), 1);
    assert!(school.receive("ada").is_empty());
    assert_eq!(school.show("ada", &id)["seen"], json!([school.id("ben")]));
}

#[tokio::test]
async fn a_read_text_is_told_to_its_sender_and_a_text_to_a_group_is_not() {
    let school = School::start().await;
    school.run(&["user", "receipts", "--profile", "ben", "all"]);
    let direct = school.send("ada", &school.id("ben"), &["Kommst du?"]);
    let posted = school.send("ada", &school.group, &["Hallo alle"]);
    assert_eq!(school.receive("ben").len(), 2);
    let events = school.run(&["receive", "--profile", "ada", "--events"]);
    let receipts: Vec<_> = events.iter().filter(|event| event["kind"] == "receipt").collect();
    assert_eq!(receipts.len(), 1, "{events:?}");
    assert_eq!(school.show("ada", &direct)["seen"], json!([school.id("ben")]));
    assert_eq!(school.show("ada", &posted)["seen"], json!([]));
    // Nobody asked for it: only announcements are told unless somebody chooses otherwise.
    let unasked = school.send("ada", &school.id("carl"), &["Und du?"]);
    assert_eq!(school.receive("carl").len(), 2);
    school.receive("ada");
    assert_eq!(school.show("ada", &unasked)["seen"], json!([]));
}

#[tokio::test]
async fn what_is_on_a_device_and_not_read_yet_is_told_as_that_if_its_owner_wants() {
    let school = School::start().await;
    school.run(&["user", "receipts", "--profile", "ben", "all"]);
    let mut sent = Vec::new();
    for name in ["ben", "carl"] {
        sent.push(school.send("ada", &school.id(name), &["Kommst du?"]));
        school.send("ada", &school.group, &["Hallo alle"]);
        // Nobody reads what it prints.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut receiving = crate::harness::program();
        receiving.args(["receive", "--profile", name]).stdout(writer);
        let output = receiving.current_dir(school.server.folder.path()).output().unwrap();
        assert!(!output.status.success());
    }
    let events = school.run(&["receive", "--profile", "ada", "--events"]);
    let receipts: Vec<_> = events.iter().filter(|event| event["kind"] == "receipt").collect();
    assert_eq!(receipts.len(), 1, "{events:?}");
    assert_eq!(receipts[0]["body"]["messages"], json!([sent[0]]));
    let shown = |message: &str| school.show("ada", message);
    let ben = json!([school.id("ben")]);
    assert_eq!((&shown(&sent[0])["arrived"], &shown(&sent[0])["seen"]), (&ben, &json!([])));
    assert_eq!((&shown(&sent[1])["arrived"], &shown(&sent[1])["seen"]), (&json!([]), &json!([])));
    // Now he reads it; another device of his that is late changes nothing.
    assert_eq!(school.receive("ben").len(), 3);
    let late = Draft {
        kind: "receipt".into(),
        body: json!({ "messages": [sent[0]], "state": "delivered" }),
        own_copy: false,
        files: Vec::new(),
    };
    let profile = momedo_client_native::profiles::open(&school.server.profile("ben"), None).unwrap();
    let ada = Destination::Participant(school.id("ada").parse().unwrap());
    send(&profile, ada, &late, std::time::Duration::from_secs(10), "en", &|_| {}).await.unwrap();
    school.receive("ada");
    assert_eq!((&shown(&sent[0])["arrived"], &shown(&sent[0])["seen"]), (&ben, &ben));
}

#[tokio::test]
async fn a_task_is_accepted_and_done_and_everybody_sees_it() {
    let school = School::start().await;
    let id = school.send("ada", &school.group, &["--task", "Lampe in Raum 12"]);
    assert_eq!(school.show("ada", &id)["state"], json!("open"));
    assert_eq!(school.receive("ben")[0]["kind"], json!("task"));
    school.run(&["message", "accept", "--profile", "ben", &id]);
    assert_eq!(school.receive("ada")[0]["kind"], json!("task-state"));
    let state = school.show("ada", &id);
    assert_eq!((&state["state"], &state["by"]), (&json!("accepted"), &json!(school.id("ben"))));
    school.run(&["message", "done", "--profile", "ben", &id]);
    school.receive("carl");
    assert_eq!(school.show("carl", &id)["state"], json!("done"));
    assert_eq!(school.show("ben", &id)["state"], json!("done"));
    // Not every message is a task, and not every ID a message.
    let text = school.send("ada", &school.group, &["danke"]);
    assert!(school.server.failure(&["message", "done", "--profile", "ada", &text]).contains("no task"));
    let unknown = "00000000000000000000000000000000";
    assert!(school.server.failure(&["message", "show", "--profile", "ada", unknown]).contains("No message"));
}

#[tokio::test]
async fn votes_are_counted_changed_and_taken_back() {
    let school = School::start().await;
    let poll = ["--poll", "Montag", "--poll", "Dienstag", "Wann ist Konferenz?"];
    let id = school.send("ada", &school.group, &poll);
    let (ben, carl) = (school.id("ben"), school.id("carl"));
    let counts = |profile: &str| -> Vec<Value> {
        let options = school.show(profile, &id)["options"].clone();
        options.as_array().unwrap().iter().map(|option| option["chosen_by"].clone()).collect()
    };
    for profile in ["ben", "carl"] {
        assert_eq!(school.receive(profile)[0]["text"], json!("Wann ist Konferenz?"));
        school.run(&["message", "vote", "--profile", profile, &id, "2"]);
    }
    school.receive("ada");
    let both = counts("ada")[1].as_array().unwrap().clone();
    assert!(both.contains(&json!(ben)) && both.contains(&json!(carl)), "{both:?}");
    school.run(&["message", "vote", "--profile", "ben", &id, "1"]);
    school.run(&["message", "vote", "--profile", "carl", &id]);
    school.receive("ada");
    assert_eq!(counts("ada"), [json!([ben]), json!([])]);
    for choices in [&["3"][..], &["1", "2"], &["0"]] {
        let command = [&["message", "vote", "--profile", "ben", &id][..], choices].concat();
        assert!(school.server.failure(&command).contains("no such answers"));
    }
    // Authors hear who has seen a poll, as with announcements.
    assert_eq!(school.show("ada", &id)["seen"].as_array().unwrap().len(), 2);
    assert!(school.server.failure(&["message", "end-poll", "--profile", "ben", &id]).contains("your own"));
    school.run(&["message", "end-poll", "--profile", "ada", &id]);
    // Carl has not heard of the end and votes; that comes too late for everybody.
    school.run(&["message", "vote", "--profile", "carl", &id, "2"]);
    assert!(school.receive("ben").iter().any(|line| line["kind"] == "poll-end"));
    assert!(school.server.failure(&["message", "vote", "--profile", "ben", &id, "2"]).contains("has ended"));
    school.receive("ada");
    for profile in ["ada", "ben"] {
        assert_eq!(counts(profile), [json!([ben]), json!([])], "{profile}");
        assert_eq!(school.show(profile, &id)["ended"], json!(true), "{profile}");
    }
    let one = ["send", "--profile", "ada", "--to", &school.group, "--poll", "allein", "?"];
    assert!(school.server.failure(&one).contains("2 to 20"));
}

#[tokio::test]
async fn messages_are_answered_changed_and_taken_back_by_their_authors_alone() {
    let school = School::start().await;
    let id = school.send("ada", &school.group, &["--announcement", "Ausflug am Mntag"]);
    assert_eq!(school.receive("ben").len(), 1);
    school.run(&["message", "reply", "--profile", "ben", &id, "Montag?"]);
    let reply = school.receive("ada").remove(0);
    assert_eq!((&reply["kind"], &reply["text"]), (&json!("reply"), &json!("Montag?")));
    assert_eq!(reply["body"]["to"], json!({ "from": school.id("ada"), "id": id }));
    assert!(school.server.failure(&["message", "edit", "--profile", "ben", &id, "x"]).contains("your own"));
    assert!(school.server.failure(&["message", "withdraw", "--profile", "ben", &id]).contains("your own"));
    school.run(&["message", "edit", "--profile", "ada", &id, "Ausflug am Montag"]);
    let edit = school.receive("ben").remove(0);
    assert_eq!((&edit["kind"], &edit["body"]["message"]), (&json!("edit"), &json!(id)));
    for profile in ["ada", "ben"] {
        assert_eq!(school.show(profile, &id)["text"], json!("Ausflug am Montag"), "{profile}");
    }
    school.run(&["message", "withdraw", "--profile", "ada", &id]);
    assert_eq!(school.receive("ben")[0]["kind"], json!("withdraw"));
    let shown = school.show("ben", &id);
    assert_eq!((&shown["withdrawn"], &shown["text"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn what_others_say_about_a_message_of_another_conversation_changes_nothing() {
    let school = School::start().await;
    let id = school.send("ada", &school.id("ben"), &["--task", "Nur für Ben"]);
    let ada = school.id("ada").parse().unwrap();
    // Carl never got it; he makes the claim up from its ID.
    let carl = momedo_client_native::profiles::open(&school.server.profile("carl"), None).unwrap();
    let task = json!({ "task": { "from": ada, "id": id }, "state": "done" });
    let draft = Draft { kind: "task-state".into(), body: task, own_copy: true, files: Vec::new() };
    let wait = std::time::Duration::from_secs(10);
    send(&carl, Destination::Participant(ada), &draft, wait, "en", &|_| {}).await.unwrap();
    let edit = Draft {
        kind: "edit".into(),
        body: json!({ "message": id, "text": "nie" }),
        own_copy: true,
        files: Vec::new(),
    };
    send(&carl, Destination::Participant(ada), &edit, wait, "en", &|_| {}).await.unwrap();
    assert_eq!(school.receive("ada").len(), 2);
    let shown = school.show("ada", &id);
    assert_eq!((&shown["state"], &shown["text"]), (&json!("open"), &json!("Nur für Ben")));
}

#[tokio::test]
async fn an_unknown_kind_is_shown_as_such_and_never_dropped() {
    let school = School::start().await;
    let ada = momedo_client_native::profiles::open(&school.server.profile("ada"), None).unwrap();
    let to = Destination::Participant(school.id("ben").parse().unwrap());
    let wait = std::time::Duration::from_secs(10);
    let draft = Draft { kind: "hologram".into(), body: json!({ "w": 3 }), own_copy: true, files: Vec::new() };
    send(&ada, to, &draft, wait, "en", &|_| {}).await.unwrap();
    // Also a kind that is known with a body that is not.
    let draft = Draft { kind: "poll".into(), body: json!("?"), own_copy: true, files: Vec::new() };
    send(&ada, to, &draft, wait, "en", &|_| {}).await.unwrap();
    let got = school.receive("ben");
    assert_eq!((&got[0]["kind"], &got[0]["body"]), (&json!("hologram"), &json!({ "w": 3 })));
    assert_eq!((&got[1]["kind"], &got[1]["text"]), (&json!("poll"), &Value::Null));
}
