//! Starting with the computer: a file or registry value of whoever runs the server, so that it begins when they
//! log in. Nothing else is touched, and switching off removes it.
//!
//! On Linux it is an XDG autostart file and not a systemd user unit: every desktop has it, shows it among its
//! start programs, and passes over it once the program is gone (`TryExec`). A server that systemd itself starts
//! needs none of this and says so.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Autostart {
    /// The server starts with the computer.
    On {
        /// What says so.
        file: String,
    },
    /// Something starts, but another program or another data folder: switching on again puts it right.
    Other {
        /// What says so.
        file: String,
    },
    /// It does not.
    Off,
    /// A service manager starts the server, and nobody has to log in for it.
    Service,
    /// This account has no place for it.
    Unavailable,
}

/// Where the entry stands, and what it says.
struct Entry {
    place: Place,
    contents: String,
}

enum Place {
    File(PathBuf),
    Registry,
}

/// The registry key of programs that start when their user logs in, and our value in it.
#[cfg(windows)]
const RUN: (&str, &str) = (r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run", "momedo");

/// How starting this program with the data folder `data` stands for whoever runs it.
///
/// # Errors
/// What the operating system says.
pub fn status(data: &Path) -> io::Result<Autostart> {
    if is_service() {
        return Ok(Autostart::Service);
    }
    let Some(entry) = entry(data)? else { return Ok(Autostart::Unavailable) };
    let (found, file) = match &entry.place {
        Place::File(path) => (read(path)?, path.display().to_string()),
        Place::Registry => registry::read()?,
    };
    Ok(match found {
        None => Autostart::Off,
        Some(contents) if contents == entry.contents => Autostart::On { file },
        Some(_) => Autostart::Other { file },
    })
}

/// Switches it on or off; how it stands then.
///
/// # Errors
/// What the operating system says; [`io::ErrorKind::Unsupported`] where there is nothing to switch.
pub fn switch(data: &Path, on: bool) -> io::Result<Autostart> {
    if is_service() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "a service manager starts this server"));
    }
    let Some(entry) = entry(data)? else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "this account has no home folder"));
    };
    match (&entry.place, on) {
        (Place::File(path), true) => write(path, &entry.contents)?,
        (Place::File(path), false) => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
        (Place::Registry, true) => registry::write(&entry.contents)?,
        (Place::Registry, false) => registry::remove()?,
    }
    status(data)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, contents: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, contents)
}

fn variable(name: &str) -> Option<PathBuf> {
    // A relative one counts for nothing (XDG base directories).
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The entry for this platform; none where the environment names no home.
fn entry(data: &Path) -> io::Result<Option<Entry>> {
    let program = std::env::current_exe()?;
    let data = std::path::absolute(data)?;
    let text = |path: &Path| {
        let lossless = path.to_str().map(str::to_owned).filter(|text| !text.contains(char::is_control));
        lossless.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a path has characters that no entry can hold")
        })
    };
    let (program, data) = (text(&program)?, text(&data)?);
    if cfg!(windows) {
        return Ok(Some(Entry { place: Place::Registry, contents: windows_command(&program, &data) }));
    }
    let home = variable("HOME");
    if cfg!(target_os = "macos") {
        let place = home.map(|home| home.join("Library/LaunchAgents/momedo.plist"));
        let contents = launch_agent(&program, &data);
        return Ok(place.map(|place| Entry { place: Place::File(place), contents }));
    }
    let config = variable("XDG_CONFIG_HOME").or_else(|| home.map(|home| home.join(".config")));
    let place = config.map(|config| config.join("autostart/momedo.desktop"));
    let contents = desktop_entry(&program, &data);
    Ok(place.map(|place| Entry { place: Place::File(place), contents }))
}

/// Whether systemd runs this process as a system service.
fn is_service() -> bool {
    cfg!(target_os = "linux")
        && std::fs::read_to_string("/proc/self/cgroup").is_ok_and(|text| is_system_service(&text))
}

fn is_system_service(cgroup: &str) -> bool {
    cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2)).any(|path| {
        path.starts_with("/system.slice/") && path.split('/').any(|part| part.ends_with(".service"))
    })
}

/// A desktop entry (freedesktop.org). The server starts without opening a browser.
fn desktop_entry(program: &str, data: &str) -> String {
    // First as a value is escaped, then as an argument is quoted, then the field codes.
    let argument = |text: &str| {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '`' | '$' => quoted.extend(["\\\\", &c.to_string()]),
                '\\' => quoted.push_str("\\\\\\\\"),
                '%' => quoted.push_str("%%"),
                c => quoted.push(c),
            }
        }
        quoted + "\""
    };
    format!(
        "[Desktop Entry]\nType=Application\nName=momedo\nComment=Messenger server\nTryExec={}\n\
         Exec={} serve --data-dir {}\nTerminal=false\n",
        program.replace('\\', "\\\\"),
        argument(program),
        argument(data)
    )
}

/// A launch agent (launchd.plist).
fn launch_agent(program: &str, data: &str) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\"><dict>\n<key>Label</key><string>momedo</string>\n\
         <key>ProgramArguments</key><array><string>{}</string><string>serve</string>\
         <string>--data-dir</string><string>{}</string></array>\n\
         <key>RunAtLoad</key><true/>\n</dict></plist>\n",
        escape(program),
        escape(data)
    )
}

/// A command line as Windows programs take it apart. File names have no quotation marks there.
fn windows_command(program: &str, data: &str) -> String {
    // A backslash before the closing mark would be taken for an escaped one.
    let data = match data.ends_with('\\') {
        true => format!("{data}\\"),
        false => data.to_owned(),
    };
    format!("\"{program}\" serve --data-dir \"{data}\"")
}

/// The registry, through the system's own tool: a few lines against a library.
#[cfg(windows)]
mod registry {
    use std::io;
    use std::process::{Command, Output};

    use super::RUN;

    fn reg(arguments: &[&str]) -> io::Result<Output> {
        // By its whole path: a program of that name in the current folder must not be taken for it.
        let system = std::env::var_os("SystemRoot").unwrap_or_else(|| r"C:\Windows".into());
        Command::new(std::path::Path::new(&system).join(r"System32\reg.exe")).args(arguments).output()
    }

    pub(super) fn read() -> io::Result<(Option<String>, String)> {
        let (key, value) = RUN;
        let output = reg(&["query", key, "/v", value])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found =
            text.lines().find_map(|line| line.split_once("REG_SZ").map(|(_, rest)| rest.trim().to_owned()));
        Ok((found.filter(|_| output.status.success()), format!("{key}\\{value}")))
    }

    pub(super) fn write(contents: &str) -> io::Result<()> {
        let (key, value) = RUN;
        check(reg(&["add", key, "/v", value, "/t", "REG_SZ", "/d", contents, "/f"])?)
    }

    pub(super) fn remove() -> io::Result<()> {
        let (key, value) = RUN;
        match read()? {
            (Some(_), _) => check(reg(&["delete", key, "/v", value, "/f"])?),
            (None, _) => Ok(()),
        }
    }

    fn check(output: Output) -> io::Result<()> {
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

#[cfg(not(windows))]
mod registry {
    use std::io;

    pub(super) fn read() -> io::Result<(Option<String>, String)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn write(_: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn remove() -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_as_each_system_reads_them() {
        let entry = desktop_entry("/opt/mo medo/momedo", "/home/a$b\"c`d\\e 100%");
        assert!(entry.contains("\nTryExec=/opt/mo medo/momedo\n"), "{entry}");
        assert!(
            entry.contains(
                "\nExec=\"/opt/mo medo/momedo\" serve --data-dir \"/home/a\\\\$b\\\\\"c\\\\`d\\\\\\\\e 100%%\"\n"
            ),
            "{entry}"
        );
        let agent = launch_agent("/Applications/mo medo", "/Users/a&b<c");
        assert!(agent.contains("<string>/Applications/mo medo</string><string>serve</string>"), "{agent}");
        assert!(agent.contains("<string>/Users/a&amp;b&lt;c</string>"), "{agent}");
        assert_eq!(
            windows_command(r"C:\Program Files\momedo.exe", r"D:\"),
            r#""C:\Program Files\momedo.exe" serve --data-dir "D:\\""#
        );
    }

    #[test]
    fn a_system_service_is_told_from_a_desktop() {
        assert!(is_system_service("0::/system.slice/momedo.service\n"));
        for desktop in [
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-momedo-1.scope\n",
            "0::/\n",
            "0::/system.slice/docker-0123.scope\n",
            "",
        ] {
            assert!(!is_system_service(desktop), "{desktop}");
        }
    }
}
