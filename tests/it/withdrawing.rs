//! Taking a message back that came with files: the server keeps them for nobody any more, and others lose nothing.

use std::path::PathBuf;
use std::time::Duration;

use momedo_client::blobs::{self, Metadata};
use momedo_client::profile::Profile;
use momedo_client::receiving::{self, Received, Saving};
use momedo_client::sending::{Destination, Draft, send};
use momedo_protocol::blob::FileReference;
use momedo_protocol::kind::{Attachments, Content, Withdrawal};
use momedo_protocol::message_id::MessageId;
use serde_json::{Value, json};

use crate::blobs::{stored, wait_until_gone};
use crate::harness::Server;
use crate::line::{Fault, Line};

const WAIT: Duration = Duration::from_secs(10);

fn write_file(server: &Server) -> PathBuf {
    let path = server.folder.path().join("plan.pdf");
    std::fs::write(&path, b"geheim").unwrap();
    path
}

fn id_of(profile: &Profile) -> String {
    profile.id().unwrap().to_string()
}

async fn attach(server: &Server, profile: &Profile) -> Vec<FileReference> {
    let paths = [write_file(server)];
    blobs::attach(profile, &paths, Metadata::Strip, WAIT, "en", &|_| {}).await.unwrap()
}

fn with_files(files: &[FileReference]) -> Draft {
    let text = "hier".to_owned();
    Draft::of(&Content::File(Attachments { text, files: files.to_vec(), place: None }))
}

fn withdrawal(message: MessageId) -> Draft {
    Draft::of(&Content::Withdraw(Withdrawal { message }))
}

/// Receives, and saves files in a folder of the profile's name if asked to.
async fn receive(server: &Server, profile: &Profile, folder: Option<&str>) -> Vec<Received> {
    let mut session = profile.log_in("en").await.unwrap();
    let folder = folder.map(|name| server.folder.path().join(name));
    let saving = folder.as_deref().map(|folder| Saving { folder, wait: WAIT, progress: &|_| {} });
    let mut shown = Vec::new();
    let mut show = |received: &Received| {
        shown.push(received.clone());
        Ok(())
    };
    let wait = Duration::ZERO;
    receiving::receive_files(profile, &mut session, wait, saving.as_ref(), &mut show).await.unwrap();
    shown
}

#[tokio::test]
async fn the_files_of_a_message_that_was_taken_back_are_erased_and_saved_ones_stay() {
    let server = Server::start();
    for (number, name) in ["ada", "ben", "carl"].into_iter().enumerate() {
        server.register_profile(number, name).await;
    }
    let run = |arguments: &[&str]| -> Vec<Value> { server.json(&[arguments, &["--json"]].concat()) };
    let id = |name: &str| run(&["keys", "show", "--profile", name])[0]["id"].as_str().unwrap().to_owned();
    let group = run(&["group", "create", "--profile", "ada", "--name", "4b"])[0]["id"].clone();
    let group = group.as_str().unwrap();
    run(&["group", "add", "--profile", "ada", "--group", group, &id("ben"), &id("carl")]);
    write_file(&server);
    let sent =
        run(&["send", "--profile", "ada", "--to", group, "--file", "plan.pdf", "--announcement", "da"]);
    let message = sent[0]["id"].as_str().unwrap();
    let got = run(&["receive", "--profile", "ben", "--save-files", "da"]).remove(0);
    let saved = server.folder.path().join(got["files"][0]["saved"].as_str().unwrap());
    let file = run(&["receive", "--profile", "carl"])[0]["files"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(stored(&server).len(), 1, "Carl may still fetch it");
    run(&["message", "withdraw", "--profile", "ada", message]);
    wait_until_gone(&server);
    assert!(run(&["file", "list", "--profile", "ada"]).is_empty());
    let save = ["file", "save", "--profile", "carl", &file, "--to", "dort"];
    assert!(server.failure(&save).contains("not here"));
    assert_eq!(run(&["receive", "--profile", "carl"])[0]["kind"], "withdraw");
    assert!(run(&["file", "list", "--profile", "carl"]).is_empty());
    assert!(server.failure(&save).contains("No file"));
    // Whoever has saved it has it.
    assert_eq!(run(&["receive", "--profile", "ben"])[0]["kind"], "withdraw");
    assert_eq!(std::fs::read(saved).unwrap(), b"geheim");
    assert_eq!(run(&["file", "list", "--profile", "ben"])[0]["id"], json!(file));
}

#[tokio::test]
async fn recipients_let_go_of_files_that_the_sender_could_not_erase() {
    let server = Server::start();
    let line = Line::to(&server.address);
    let ada = server.register_profile_over(&line, 0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let carl = server.register_profile(2, "carl").await;
    let files = attach(&server, &ada).await;
    let mut sent = Vec::new();
    for other in [&ben, &carl] {
        let to = Destination::Participant(other.id().unwrap());
        sent.push((to, send(&ada, to, &with_files(&files), WAIT, "en", &|_| {}).await.unwrap().id));
    }
    // Ben has the message already, Carl gets it together with the withdrawal.
    assert_eq!(receive(&server, &ben, None).await[0].files.len(), 1);
    for (to, message) in sent {
        let count = server.counter("ozone_envelopes");
        let before = count();
        line.fail_when(Fault::Breaks, move || count() > before);
        send(&ada, to, &withdrawal(message), Duration::ZERO, "en", &|_| {}).await.unwrap_err();
        assert!(line.mend(), "the answer was to be lost");
    }
    assert_eq!(stored(&server).len(), 1);
    assert_eq!(receive(&server, &ben, None).await[0].kind, "withdraw");
    assert_eq!(stored(&server).len(), 1, "Carl has not seen it yet");
    let got = receive(&server, &carl, Some("carl")).await;
    let kinds: Vec<_> = got.iter().map(|received| received.kind.as_str()).collect();
    assert_eq!(kinds, ["withdraw"], "what was taken back before anybody saw it is shown to nobody");
    wait_until_gone(&server);
}

#[tokio::test]
async fn nobody_loses_a_file_because_others_named_it_and_took_that_back() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let eve = server.register_profile(2, "eve").await;
    let files = attach(&server, &ada).await;
    for other in [&ben, &eve] {
        let to = Destination::Participant(other.id().unwrap());
        send(&ada, to, &with_files(&files), WAIT, "en", &|_| {}).await.unwrap();
    }
    // Eve has the key and names the file as if it were hers, to Ben and to Ada, whose file it is.
    let claim = Draft { files: Vec::new(), ..with_files(&files) };
    for victim in [&ben, &ada] {
        let to = Destination::Participant(victim.id().unwrap());
        let sent = send(&eve, to, &claim, WAIT, "en", &|_| {}).await.unwrap();
        if id_of(victim) == id_of(&ada) {
            // Ada even saves it: that is no reason for the server to erase what others wait for.
            let got = receive(&server, &ada, Some("ada-files")).await;
            assert!(got[0].files[0].saved.is_some(), "{got:?}");
        }
        send(&eve, to, &withdrawal(sent.id), WAIT, "en", &|_| {}).await.unwrap();
        receive(&server, victim, None).await;
    }
    assert_eq!(stored(&server).len(), 1);
    let mut session = ben.log_in("en").await.unwrap();
    let folder = server.folder.path().join("ben-files");
    let saved = blobs::save(&ben, &mut session, files[0].blob, None, &folder, WAIT, &|_| {}).await.unwrap();
    assert_eq!(std::fs::read(saved).unwrap(), b"geheim");
}

#[tokio::test]
async fn a_file_of_two_messages_goes_with_the_second() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = server.register_profile(1, "ben").await;
    let files = attach(&server, &ada).await;
    let to = Destination::Participant(ben.id().unwrap());
    let first = send(&ada, to, &with_files(&files), WAIT, "en", &|_| {}).await.unwrap().id;
    let second = send(&ada, to, &with_files(&files), WAIT, "en", &|_| {}).await.unwrap().id;
    assert_eq!(receive(&server, &ben, None).await.len(), 2);
    send(&ada, to, &withdrawal(first), WAIT, "en", &|_| {}).await.unwrap();
    receive(&server, &ben, None).await;
    assert_eq!(stored(&server).len(), 1);
    assert_eq!(ben.files().unwrap().len(), 1);
    send(&ada, to, &withdrawal(second), WAIT, "en", &|_| {}).await.unwrap();
    wait_until_gone(&server);
    receive(&server, &ben, None).await;
    assert!(ben.files().unwrap().is_empty());
}
