//! The command line, one file per command.
//!
//! With `--json`, standard output holds only JSON, one compact object per line; progress and notes go to
//! standard error, and nothing is ever asked.

/// Prints a line on standard output, as `println!` does, and returns when it takes nothing more: `println!` panics.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::output::line(format_args!($($text)*))? };
}

/// Writes a line to standard error, as `eprintln!` does, and never fails: `eprintln!` panics.
macro_rules! note {
    ($($text:tt)*) => { $crate::cli::output::note(format_args!($($text)*)) };
}

#[macro_use]
mod words;

mod admin;
mod backup;
mod config;
mod doctor;
mod file;
mod finding;
mod group;
mod help;
mod joining;
mod keys;
mod manners;
mod message;
mod misuse;
mod naming;
mod output;
mod qr_code;
mod receive;
mod secret_file;
mod send;
mod serve;
mod user;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use momedo_client::ClientError;
use momedo_client::commands::{CommandError, Reader};
use momedo_texts::Language;

use crate::control::ControlError;
use crate::server::running::StartError;
use crate::service::ServiceError;
use crate::service::backup::BackupError;

use crate::settings::config::Config as ServerSettings;

/// A messenger server for schools and towns: one program, one file, end-to-end encryption.
///
/// Without a command it runs the server.
#[derive(Debug, Parser)]
#[command(name = "momedo", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Serve),
    /// Administer the server, whether it runs or not
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Register, and manage your devices
    #[command(subcommand)]
    User(user::User),
    /// Send a message
    Send(send::Send),
    /// Receive messages
    Receive(receive::Receive),
    /// See what became of a message, answer it, change it, vote
    #[command(subcommand)]
    Message(message::Message),
    /// List and save files that came along with messages
    #[command(subcommand)]
    File(file::File),
    /// Make groups, and change who belongs to them
    #[command(subcommand)]
    Group(group::Group),
    /// Show and compare fingerprints
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Show the settings, and where each came from
    #[command(subcommand)]
    Config(config::Config),
    /// Check what a server needs: port, disk, clock, certificate
    Doctor(doctor::Doctor),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff): momedo man | man -l -
    Man,
}

/// Where the server's data is.
#[derive(Debug, Clone, Args)]
struct DataDir {
    /// Folder for the server's data; without it, momedo-data beside the program, or the platform's place
    #[arg(long, env = "MOMEDO_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

impl DataDir {
    fn path(&self) -> anyhow::Result<PathBuf> {
        match &self.data_dir {
            Some(path) => Ok(path.clone()),
            None => crate::surroundings::data_directory::default_path().map_err(anyhow::Error::msg),
        }
    }
}

/// What a start is told that lies over, or names, momedo.toml.
#[derive(Debug, Clone, Default, Args)]
struct SettingsArgs {
    /// Address and port to listen on; may be given more than once; port 0 takes a free one
    #[arg(long, env = "MOMEDO_LISTEN", value_name = "ADDRESS:PORT", value_delimiter = ',')]
    listen: Vec<SocketAddr>,
    /// Settings file; without it, momedo.toml in the data folder if there is one
    #[arg(long, env = "MOMEDO_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl SettingsArgs {
    /// The settings of a data folder, as a start takes them.
    fn load(&self, data: &Path) -> anyhow::Result<ServerSettings> {
        let beside = data.join("momedo.toml");
        if let Some(file) = &self.config {
            anyhow::ensure!(file.exists(), words!("settings.no-file", path = file.display()));
        }
        let mut settings = ServerSettings::load(self.config.as_deref().unwrap_or(&beside))?;
        if !self.listen.is_empty() {
            settings.listen_at(self.listen.clone());
        }
        Ok(settings)
    }
}

/// Whose profile a command works with.
#[derive(Debug, Clone, Args)]
struct ProfileArgs {
    /// Folder with your profile
    #[arg(long, env = "MOMEDO_PROFILE", value_name = "FOLDER")]
    profile: PathBuf,
    /// File with the profile's passphrase
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl ProfileArgs {
    fn passphrase(&self) -> anyhow::Result<Option<String>> {
        let Some(file) = &self.passphrase_file else { return Ok(None) };
        Ok(Some(secret_file::read(file, secret_file::Secret::Passphrase)?.as_written().to_owned()))
    }

    /// Where a profile is to be made.
    fn place(&self) -> anyhow::Result<momedo_client_native::profiles::Place> {
        Ok(momedo_client_native::profiles::Place::new(&self.profile, self.passphrase()?.as_deref()))
    }

    fn open(&self) -> anyhow::Result<momedo_client::profile::Profile> {
        let passphrase = self.passphrase()?;
        let mut profile = momedo_client_native::profiles::open(&self.profile, passphrase.as_deref())?;
        profile.watch_clocks(output::progress);
        profile.set_finder(Arc::new(finding::LocalNetwork));
        Ok(profile)
    }
}

/// Runs the program; everything that goes wrong becomes one line on standard error.
pub fn main() -> ExitCode {
    // Misuse exits with 2, as promised.
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    // A double-click is what comes without arguments; the environment counts then too.
    let double_click = || Cli::parse_from(["momedo", "serve", "--open"]).command;
    let Some(command) = cli.command.or_else(double_click) else { return ExitCode::FAILURE };
    let result = match command {
        Command::Serve(command) => command.run(),
        Command::Admin(command) => command.run(),
        Command::User(command) => command.run(),
        Command::Send(command) => command.run(),
        Command::Receive(command) => command.run(),
        Command::Message(command) => command.run(),
        Command::File(command) => command.run(),
        Command::Group(command) => command.run(),
        Command::Keys(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Doctor(command) => command.run(),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut localized(Cli::command()), "momedo", &mut script);
            output::bytes(&script).map_err(anyhow::Error::from)
        }
        Command::Man => {
            let mut page = Vec::new();
            let man = clap_mangen::Man::new(localized(Cli::command().disable_help_subcommand(true)));
            let rendered = man.render(&mut page);
            rendered.map_err(anyhow::Error::from).and_then(|()| Ok(output::bytes(&page)?))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error)
            if error.downcast_ref::<output::OutputError>().is_some_and(|error| error.is_reader_gone()) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            note!("momedo: {}", said(&error, spoken()));
            ExitCode::FAILURE
        }
    }
}

/// A runtime for a client's command: one thread is plenty.
fn client_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The language of whoever reads this, from the environment as POSIX orders it.
fn spoken() -> Language {
    let value = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    Language::of_tag(&value.unwrap_or_default())
}

/// The tag of the language error texts are asked for in.
fn language() -> String {
    spoken().tag().into()
}

/// Whoever reads what a client's command says.
fn reader(language: &str) -> Reader<'_> {
    Reader { language, progress: &output::progress }
}

/// A command with its help in the language of whoever reads it.
fn localized(command: clap::Command) -> clap::Command {
    match spoken() {
        Language::German => help::in_german(command),
        Language::English => command,
    }
}

/// What was typed, or the code to exit with: help was wanted, or the line makes no sense.
fn parse() -> Result<Cli, ExitCode> {
    if spoken() == Language::English {
        return Ok(Cli::parse());
    }
    let mut command = localized(Cli::command());
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let parsed = parsed
        .and_then(|matches| Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command)));
    parsed.map_err(|error| match misuse::in_german(&error) {
        Some(text) => {
            note!("{text}");
            ExitCode::from(2)
        }
        None => error.exit(),
    })
}

/// What went wrong, in one line: refusals as API and pages tell them, in the reader's language.
fn said(error: &anyhow::Error, language: Language) -> String {
    error.chain().map(|cause| told(cause, language)).collect::<Vec<_>>().join(": ")
}

/// One cause of a failure, in the reader's language; what the operating system says stays as it is.
fn told(cause: &(dyn std::error::Error + 'static), language: Language) -> String {
    let service = cause.downcast_ref().map(|error: &ServiceError| error.said_in_full(language));
    let backup = || cause.downcast_ref().map(|error: &BackupError| error.said_in_full(language));
    let client = || cause.downcast_ref().map(|error: &ClientError| error.said(language));
    let command = || cause.downcast_ref().map(|error: &CommandError| error.said(language));
    let control = || cause.downcast_ref().map(|error: &ControlError| error.said(language));
    let start = || match cause.downcast_ref() {
        Some(StartError::Service(error)) => Some(error.said_in_full(language)),
        _ => None,
    };
    let typed = service.or_else(backup).or_else(control).or_else(client).or_else(command).or_else(start);
    words::told_in(&typed.unwrap_or_else(|| cause.to_string()), language)
}
