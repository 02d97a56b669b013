//! The messages a device keeps, and what those are called who wrote them.

use crate::harness::{Server, text};

#[tokio::test]
async fn kept_messages_are_listed_with_names_and_by_conversation() {
    let server = Server::start();
    let ada = server.register_profile(0, "Ada").await;
    let ben = server.register_profile(1, "Ben").await;
    let [ada, ben] = [&ada, &ben].map(|profile| profile.id().unwrap().to_string());
    let run = |arguments: &[&str]| server.json(&[arguments, &["--json"]].concat());
    let group =
        run(&["group", "create", "--profile", "Ada", "--name", "7b"])[0]["id"].as_str().unwrap().to_owned();
    run(&["group", "add", "--profile", "Ada", "--group", &group, &ben]);
    let send = |from: &str, to: &str, more: &[&str]| {
        let line = [&["send", "--profile", from, "--to", to], more].concat();
        run(&line)[0]["id"].as_str().unwrap().to_owned()
    };
    let first = send("Ada", &ben, &["Hallo"]);
    let task = send("Ada", &group, &["--task", "Tafel wischen"]);
    let got = server.run(&["receive", "--profile", "Ben"]);
    let got = text(&got.stdout);
    assert!(got.contains(&format!("Ada ({ada}): Hallo\n")), "{got}");
    assert!(
        got.contains(&format!("Ada ({ada}) in \"7b\" ({group}): [task {task}] Tafel wischen\n")),
        "{got}"
    );
    run(&["message", "done", "--profile", "Ben", &task]);
    let answer = send("Ben", &ada, &["Selber hallo"]);
    let events = run(&["receive", "--profile", "Ada"]);
    let said = events.iter().find(|event| event["text"] == "Selber hallo").unwrap();
    assert_eq!((&said["from_name"], &said["from"]), (&"Ben".into(), &ben.as_str().into()));
    let done = events.iter().find(|event| event["kind"] == "task-state").unwrap();
    assert_eq!((&done["group_name"], &done["group"]), (&"7b".into(), &group.as_str().into()));

    // What only says something of another message is not listed; the newest is last.
    let list = |profile: &str, more: &[&str]| {
        let lines = run(&[&["message", "list", "--profile", profile], more].concat());
        lines.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("Ada", &[]), [&first, &task, &answer].map(String::clone));
    assert_eq!(list("Ada", &["--limit", "2"]), [&task, &answer].map(String::clone));
    assert_eq!(list("Ada", &["--with", &group]).as_slice(), std::slice::from_ref(&task));
    assert_eq!(list("Ada", &["--with", &ben]), [first.clone(), answer.clone()]);
    assert_eq!(list("Ben", &["--with", &ada]), [first.clone(), answer.clone()]);
    let shown = text(&server.run(&["message", "list", "--profile", "Ben"]).stdout);
    let lines = [
        format!("{first}  text from Ada ({ada})\n"),
        format!("{task}  task from Ada ({ada}) in \"7b\" ({group}): Tafel wischen\n"),
        format!("{answer}  text from Ben ({ben}) to Ada ({ada})\n"),
    ];
    assert_eq!(shown, lines.concat());
    let shown = text(&server.run(&["message", "show", "--profile", "Ada", &task]).stdout);
    assert!(
        shown.contains(&format!("task from Ada ({ada}) in \"7b\" ({group}): Tafel wischen\n")),
        "{shown}"
    );
    assert!(shown.contains(&format!("done, says Ben ({ben})\n")), "{shown}");
    let members = text(&server.run(&["group", "members", "--profile", "Ben", "--group", &group]).stdout);
    assert!(members.contains(&format!("Ada ({ada})  moderator\n")), "{members}");
    assert!(members.contains(&format!("Ben ({ben})  member\n")), "{members}");
}

#[tokio::test]
async fn names_that_are_the_same_are_told_apart_by_the_id() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let mut written = Vec::new();
    for (number, folder) in [(1, "one"), (2, "two")] {
        let invite = server.invite();
        let joining = momedo_client::registration::Joining {
            invite,
            name: Some("Alex Kim"),
            device_name: "test",
            language: "en",
        };
        let keys = move || crate::harness::stored_keys(number);
        let path = server.profile(folder);
        let (profile, _) =
            momedo_testing::people::register_with(&path, &joining, keys, &|_| {}).await.unwrap();
        let to = ada.id().unwrap().to_string();
        server.json(&["send", "--profile", folder, "--to", &to, "Hallo", "--json"]);
        written.push(format!("Alex Kim ({}): Hallo", profile.id().unwrap()));
    }
    let got = text(&server.run(&["receive", "--profile", "ada"]).stdout);
    let mut lines: Vec<_> = got.lines().map(str::to_owned).collect();
    lines.sort();
    written.sort();
    assert_eq!(lines, written);
}
