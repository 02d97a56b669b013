//! What both shells of the client do alike, and that they understand each other: scenarios that are written once and played
//! with the program on one side and a worker in a real browser on the other, then the other way round.

mod devices;
mod files;
mod groups;
mod keys;
mod kinds;
mod messages;

use serde_json::{Value, json};

use crate::harness::Server;
use crate::shells::Shell;

/// Somebody who has joined.
pub(crate) struct Side<'a> {
    pub(crate) shell: Shell<'a>,
    pub(crate) id: String,
}

impl Side<'_> {
    /// The message that was sent, by its ID.
    async fn send(&self, to: &str, more: &[&str]) -> String {
        let sent = self.shell.one(&[&["send", "--to", to], more].concat()).await;
        assert_eq!(sent["status"], "accepted", "{sent}");
        sent["id"].as_str().unwrap().to_owned()
    }

    async fn show(&self, message: &str) -> Value {
        self.shell.one(&["message", "show", message]).await
    }

    /// Says something about a message, and is heard.
    async fn say(&self, words: &[&str], other: &Side<'_>) -> Value {
        let said = self.shell.one(&[&["message"], words].concat()).await;
        assert_eq!(said["status"], "accepted", "{said}");
        let got = other.shell.receive().await;
        assert!(got.len() == 1 && got[0]["id"] == said["id"] && got[0]["from"] == self.id, "{got:?}");
        got.into_iter().next().unwrap()
    }
}

/// The program and a worker, with somebody each.
async fn both(server: &Server) -> [Side<'_>; 2] {
    let (program, worker) = (Shell::program(server, "ada"), Shell::worker(server).await);
    let ada = program.register(server, "Ada").await;
    let ben = worker.register(server, "Ben").await;
    // It takes seconds, and says so.
    assert_eq!(worker.steps().await, ["making-keys", "sending-key"]);
    [Side { shell: program, id: ada }, Side { shell: worker, id: ben }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_and_the_command_line_write_to_each_other() {
    let server = Server::start();
    let [ada, ben] = both(&server).await;
    for (here, there) in [(&ada, &ben), (&ben, &ada)] {
        messages::texts_wait_and_come_once(here, there).await;
        messages::whoever_is_blocked_is_refused_until_they_are_not(here, there).await;
        messages::what_was_received_can_be_reported(here, there).await;
        kinds::an_announcement_is_seen_changed_and_taken_back(here, there).await;
        kinds::a_task_gets_done(here, there).await;
        kinds::a_poll_is_voted_in_until_it_ends(here, there).await;
        kinds::an_answer_names_what_it_answers(here, there).await;
        kinds::receipts_go_to_whom_they_are_wanted_for(here, there).await;
    }
    messages::words_that_make_no_sense_are_refused(&ben).await;
    messages::another_tab_takes_over_while_a_command_runs(&ben).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_files_and_keys_are_the_same_in_a_browser_and_on_the_command_line() {
    let server = Server::start();
    let [ada, ben] = both(&server).await;
    for (here, there) in [(&ada, &ben), (&ben, &ada)] {
        groups::a_group_of_both(here, there, "symmetric").await;
        groups::a_group_of_both(here, there, "asymmetric").await;
        files::a_file_goes_along_and_is_saved(here, there).await;
        keys::fingerprints_are_compared_and_keys_made_anew(here, there).await;
    }
    keys::both_follow_one_log(&ada, &ben).await;
    let homes = json!({ "second": null, "wanted": true });
    for side in [&ada, &ben] {
        let shown = side.shell.one(&["user", "homes"]).await;
        assert_eq!((&shown["second"], &shown["wanted"]), (&homes["second"], &homes["wanted"]), "{shown}");
    }
}
