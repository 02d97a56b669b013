//! Starting with the computer: switched on and off on the command line and on the page, for one user alone.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Server, program, text};
use crate::visitor::{Visitor, set_up};

fn command(variable: &str, value: &Path, data: &str, act: &str) -> Value {
    let mut command = program();
    command.env_remove("XDG_CONFIG_HOME").env(variable, value);
    let output = command.args(["admin", "autostart", act, "--json", "--data-dir", data]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn it_is_switched_on_shown_and_switched_off_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("with a space");
    let entry = config.join("autostart/momedo.desktop");
    let data = "/srv/my school/100% $x";
    let state = |act: &str| command("XDG_CONFIG_HOME", &config, data, act);
    assert_eq!(state("status")["state"], "off");
    let on = state("on");
    assert_eq!((on["state"].as_str(), on["file"].as_str()), (Some("on"), entry.to_str()));
    let written = std::fs::read_to_string(&entry).unwrap();
    let exec =
        format!("Exec=\"{}\" serve --data-dir \"/srv/my school/100%% \\\\$x\"", env!("CARGO_BIN_EXE_momedo"));
    assert!(written.lines().any(|line| line == exec), "{written}");
    assert_eq!(state("status")["state"], "on");
    // Another data folder is not what starts.
    assert_eq!(command("XDG_CONFIG_HOME", &config, "/elsewhere", "status")["state"], "other");
    assert_eq!(state("off")["state"], "off");
    assert_eq!(std::fs::read_dir(config.join("autostart")).unwrap().count(), 0);
    assert_eq!(state("off")["state"], "off");
    // Without a folder for settings it is the one in the home folder.
    let home = folder.path().join("home");
    assert_eq!(command("HOME", &home, data, "on")["state"], "on");
    assert!(home.join(".config/autostart/momedo.desktop").exists());
}

#[test]
fn the_page_switches_it_for_whoever_runs_the_server() {
    let mut server = Server::unstarted();
    let config: PathBuf = server.profile("config");
    server.environment = vec![("XDG_CONFIG_HOME", config.clone())];
    server.launch();
    set_up(&server);
    let mut admin = Visitor::admin(&server);
    let entry = config.join("autostart/momedo.desktop");
    assert!(admin.get("/admin").body.contains("Switched off"));
    assert_eq!(admin.submit("/admin", "/admin/autostart", &[("on", "1")]).status, 303);
    assert!(entry.exists() && admin.get("/admin").body.contains("Switched on"));
    assert_eq!(admin.post("/admin/autostart", &[("on", "0")]).status, 403);
    assert_eq!(admin.submit("/admin", "/admin/autostart", &[("on", "0")]).status, 303);
    assert!(!entry.exists());
    let log = admin.get("/admin/log.csv").body;
    let told = |what: &str| log.contains(&format!("starting with the computer switched {what}"));
    assert!(told("on") && told("off"), "{log}");
}
