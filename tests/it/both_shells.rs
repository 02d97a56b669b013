//! What both shells of the client do alike, and that they understand each other.

use crate::harness::Server;
use crate::shells::Shell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_and_the_command_line_write_to_each_other() {
    let server = Server::start();
    let (ada, ben) = (Shell::program(&server, "ada"), Shell::worker(&server).await);
    let ada_id = ada.register(&server, "Ada").await;
    let ben_id = ben.register(&server, "Ben").await;

    let sent = ada.one(&["send", "--to", &ben_id, "Hallo Ben"]).await;
    assert_eq!(sent["status"], "accepted");
    assert_eq!(ben.texts().await, ["Hallo Ben"]);
    assert_eq!(ben.one(&["send", "--to", &ada_id, "Hallo Ada ☂"]).await["status"], "accepted");
    assert_eq!(ada.texts().await, ["Hallo Ada ☂"]);
    // Nothing comes twice.
    assert!(ben.texts().await.is_empty() && ada.texts().await.is_empty());
}
