//! Files: saved as they were, also over lines that are cut.

use serde_json::json;

use super::Side;
use crate::harness::Server;
use crate::line::Line;
use crate::shells::Shell;

/// Three pieces of what is sealed at once, and some more.
const LENGTH: usize = 250_000;

pub(super) async fn a_file_goes_along_and_is_saved(here: &Side<'_>, there: &Side<'_>) {
    for name in ["Plan.txt", "Anhang.txt"] {
        here.shell.give_file(name, LENGTH).await;
    }
    let more = ["--file", "Plan.txt", "--file", "Anhang.txt", "--place", "48.137,11.575", "der Plan"];
    here.send(&there.id, &more).await;
    let got = there.shell.run(&["receive", "--save-files", "dort"]).await.unwrap();
    let place = json!({ "latitude": 48.137, "longitude": 11.575 });
    assert_eq!((&got[0]["kind"], &got[0]["body"]["place"]), (&json!("file"), &place));
    let saved = got[0]["files"].as_array().unwrap();
    assert_eq!(saved.len(), 2, "{got:?}");
    for (file, name) in saved.iter().zip(["Plan.txt", "Anhang.txt"]) {
        assert!(there.shell.has_saved(&file["saved"], name, LENGTH).await, "{file}");
    }
    // Later, and only what is wanted.
    here.send(&there.id, &["--file", "Plan.txt"]).await;
    let got = there.shell.receive().await;
    let id = got[0]["files"][0]["id"].as_str().unwrap();
    let saved = there.shell.one(&["file", "save", id, "--to", "anderswo"]).await;
    assert!(there.shell.has_saved(&saved["saved"], "Plan.txt", LENGTH).await, "{saved}");
    let listed = there.shell.run(&["file", "list"]).await.unwrap();
    let listed = listed.iter().find(|file| file["id"] == id).unwrap();
    assert_eq!((&listed["saved"], &listed["size"]), (&saved["saved"], &json!(LENGTH)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_arrives_whole_in_a_browser_and_from_it_over_lines_that_are_cut() {
    let server = Server::start();
    let line = Line::to(&server.address);
    let (program, worker) = (Shell::program(&server, "ada"), Shell::worker_at(&line.address).await);
    let id = program.register_with(&server, &line.lead(server.invite()), "Ada").await;
    let ada = Side { shell: program, id };
    let id = worker.register_with(&server, &line.lead(server.invite()), "Ben").await;
    let ben = Side { shell: worker, id };
    let length = 4_000_000;
    for (here, there) in [(&ada, &ben), (&ben, &ada)] {
        here.shell.give_file("Film.bin", length).await;
        line.cut_every(600_000, 4);
        here.send(&there.id, &["--file", "Film.bin"]).await;
        assert_eq!(line.cuts_left(), 0, "the upload was to be cut");
        line.cut_every(600_000, 4);
        let got = there.shell.run(&["receive", "--save-files", "dort"]).await.unwrap();
        let file = &got[0]["files"][0];
        assert!(there.shell.has_saved(&file["saved"], "Film.bin", length).await, "{file}");
        assert_eq!(line.cuts_left(), 0, "the download was to be cut");
    }
}
