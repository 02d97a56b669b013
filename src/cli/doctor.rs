//! `momedo doctor`: checks what `momedo serve` would use, and says what to do about what it finds.

use std::net::SocketAddr;

use clap::Args;
use momedo_protocol::time::{MADE_AFTER, OUTDATED_AFTER, UnixMillis};

use super::admin::sentence;
use super::{DataDir, SettingsArgs, output, words};
use crate::control::{self, ControlError};
use crate::server::running;
use crate::service::administration::{AdminRequest, AdminResponse};
use crate::settings::config::Config;
use crate::surroundings::clock::Clock;
use crate::surroundings::data_directory::{DataDirectory, DataDirectoryError};
use crate::surroundings::privacy;
use crate::tls;

/// Space a server should have before it starts, in bytes.
const WANTED_SPACE: usize = 64 * 1024 * 1024;

/// Check what a server needs.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print JSON, one check per line
    #[arg(long)]
    json: bool,
}

struct Finding {
    check: &'static str,
    trouble: Option<String>,
    note: String,
}

fn well(check: &'static str, note: impl Into<String>) -> Finding {
    Finding { check, trouble: None, note: note.into() }
}

fn ill(check: &'static str, trouble: impl Into<String>) -> Finding {
    Finding { check, trouble: Some(trouble.into()), note: String::new() }
}

impl Doctor {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let path = self.data.path()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let findings = runtime.block_on(examine(&path, &self.settings));
        // The names stay as they are for programs.
        let name = |finding: &Finding| words::of_owned(&format!("check.{}", finding.check));
        let width =
            findings.iter().map(|finding| name(finding).chars().count()).max().unwrap_or_default().max(12);
        let mut troubles = 0;
        for finding in &findings {
            troubles += usize::from(finding.trouble.is_some());
            let text = finding.trouble.as_deref().unwrap_or(&finding.note);
            if self.json {
                let ok = finding.trouble.is_none();
                output::json(&serde_json::json!({ "check": finding.check, "ok": ok, "text": text }))?;
            } else {
                let mark = if finding.trouble.is_some() { "!!" } else { "ok" };
                say!("{mark}  {:<width$} {text}", name(finding));
            }
        }
        anyhow::ensure!(troubles == 0, counted!("doctor.troubles", troubles, all = findings.len()));
        Ok(())
    }
}

async fn examine(path: &std::path::Path, settings: &SettingsArgs) -> Vec<Finding> {
    let mut findings = Vec::new();
    let config = match settings.load(path) {
        Ok(config) => {
            findings.push(well("settings", words!("doctor.settings-fine")));
            config
        }
        Err(error) => {
            findings.push(ill("settings", super::said(&error, super::spoken())));
            Config::default()
        }
    };
    findings.push(clock());
    let running = match control::ask(path, super::spoken(), &AdminRequest::Status).await {
        Ok(AdminResponse::Status(status)) => {
            findings.push(well("server", words!("doctor.runs", version = status.version)));
            findings.push(if status.storage_full {
                ill("disk", words!("doctor.disk-full"))
            } else {
                well("disk", words!("doctor.can-write"))
            });
            findings.push(match status.backups.trouble {
                Some(trouble) => ill("backups", words::told(&trouble)),
                None => well("backups", counted!("doctor.backups", status.backups.count)),
            });
            true
        }
        Err(ControlError::NotRunning(_)) => false,
        Ok(_) | Err(_) => {
            findings.push(ill("server", words!("doctor.other-version")));
            true
        }
    };
    if running {
        findings.extend(overview(path).await);
    }
    if !running {
        findings.push(well("server", words!("doctor.does-not-run")));
        findings.push(disk(path));
        findings.push(database(path));
        for address in &config.listen.addresses {
            findings.push(port(*address));
        }
    }
    findings.extend(privacy(path));
    findings.push(certificate(&config));
    findings
}

/// Whether others can read the keys. Looked at last: the server, or the look at the disk, has made private what can be.
fn privacy(path: &std::path::Path) -> Option<Finding> {
    let privacy = privacy::of_path(path).ok()?;
    Some(match privacy.is_private() {
        true => well("permissions", words!("doctor.private")),
        false => ill("permissions", words!("doctor.readable")),
    })
}

/// What stands on the list of a running server's overview and keeps it from working as it should: neighbours, listeners,
/// certificates, the clock. What only waits for somebody, such as people without a card, is no fault.
async fn overview(path: &std::path::Path) -> Vec<Finding> {
    const WAITS: [&str; 5] = ["nobody-there", "unregistered", "reports-open", "smoke-keys", "neighbour-asks"];
    // Said before, in this command's own words.
    const SAID: [&str; 2] = ["disk-full", "backups-fail"];
    let asked = control::ask(path, super::spoken(), &AdminRequest::Overview).await;
    let Ok(AdminResponse::Lines(lines)) = asked else { return Vec::new() };
    let tasks = lines.first().and_then(|line| line["tasks"].as_array()).cloned().unwrap_or_default();
    let mut findings: Vec<Finding> = tasks
        .iter()
        .filter(|task| {
            let what = task["what"].as_str().unwrap_or_default();
            !WAITS.contains(&what) && !SAID.contains(&what)
        })
        .map(|task| ill("overview", sentence(task)))
        .collect();
    if findings.is_empty() {
        findings.push(well("overview", words!("doctor.nothing-to-do")));
    }
    findings
}

fn clock() -> Finding {
    clock_at(Clock::system().now())
}

fn clock_at(now: UnixMillis) -> Finding {
    let shown = output::time(Some(now));
    if now < MADE_AFTER {
        return ill("clock", words!("doctor.clock-early", at = shown));
    }
    if now > OUTDATED_AFTER {
        return ill("clock", words!("doctor.clock-late", at = shown));
    }
    well("clock", words!("doctor.clock", at = shown))
}

fn disk(path: &std::path::Path) -> Finding {
    let existed = path.exists();
    let finding = match DataDirectory::lock(path) {
        Err(DataDirectoryError::Locked(_)) => {
            return ill("disk", words!("doctor.locked"));
        }
        Err(error) => return ill("disk", super::told(&error, super::spoken())),
        Ok(directory) => {
            let probe = directory.path().join("momedo.probe");
            // Written in full: that the space is there is the question.
            let written = std::fs::write(&probe, vec![0x5a; WANTED_SPACE]);
            let _: Result<_, _> = std::fs::remove_file(&probe);
            match written {
                Ok(()) => well("disk", words!("doctor.writable", path = path.display())),
                Err(error) => ill("disk", words!("doctor.no-room", path = path.display(), reason = error)),
            }
        }
    };
    if !existed {
        // Looking must not leave anything behind.
        let _: Result<_, _> = std::fs::remove_file(path.join("momedo.lock"));
        let _: Result<_, _> = std::fs::remove_dir(path);
    }
    finding
}

fn port(address: SocketAddr) -> Finding {
    match std::net::TcpListener::bind(address) {
        Ok(_) => well("port", words!("doctor.free", address = address)),
        // The server does without it, too.
        Err(error)
            if address.is_ipv6()
                && address.ip().is_unspecified()
                && error.kind() != std::io::ErrorKind::AddrInUse =>
        {
            let v4 = SocketAddr::from(([0, 0, 0, 0], address.port()));
            match std::net::TcpListener::bind(v4) {
                Ok(_) => well("port", words!("doctor.free-v4", address = v4)),
                Err(error) => ill("port", words!("doctor.port", address = v4, reason = error)),
            }
        }
        Err(error) => ill("port", words!("doctor.port", address = address, reason = error)),
    }
}

/// What the server would refuse to start with.
fn database(path: &std::path::Path) -> Finding {
    match running::examine(path) {
        Ok(None) => well("database", words!("doctor.no-database")),
        Ok(Some(schema)) => well("database", words!("doctor.database", schema = schema)),
        Err(error) => ill("database", super::told(&error, super::spoken())),
    }
}

fn certificate(config: &Config) -> Finding {
    match tls::examine(&config.tls) {
        Ok(None) => well("certificate", words!("doctor.no-certificate")),
        Ok(Some(found)) if found.ends_at <= Clock::system().now() => {
            ill("certificate", words!("doctor.expired", at = output::time(Some(found.ends_at))))
        }
        Ok(Some(found)) => well(
            "certificate",
            words!(
                "doctor.certificate",
                names = found.names.join(" "),
                at = output::time(Some(found.ends_at))
            ),
        ),
        Err(error) => ill("certificate", super::told(&error, super::spoken())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_name() {
        let source = include_str!("doctor.rs").split("#[cfg(test)]").next().unwrap();
        let checks = ["well(", "ill("].iter().flat_map(|call| source.split(*call).skip(1));
        let checks: Vec<&str> =
            checks.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next()).collect();
        assert!(checks.len() > 20, "{checks:?}");
        for check in checks {
            let key = format!("check.{check}");
            assert_ne!(words::of(&key), key, "{check}");
        }
    }

    #[test]
    fn a_clock_is_plausible_for_ten_years_and_is_shown_in_any_case() {
        let seen = |now| {
            let finding = clock_at(now);
            (finding.trouble.is_none(), finding.trouble.unwrap_or(finding.note))
        };
        for (now, is_well, year) in [
            (UnixMillis(0), false, "1970"),
            (MADE_AFTER, true, "2026"),
            (MADE_AFTER.plus_days(3_000), true, "2035"),
            // 2099.
            (UnixMillis(4_073_500_800_000), false, "2099"),
            (UnixMillis(u64::MAX), false, "–"),
        ] {
            let (found, text) = seen(now);
            assert_eq!(found, is_well, "{text}");
            assert!(text.contains(&format!("shows {year}")), "{text}");
        }
    }
}
