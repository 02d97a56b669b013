//! Asks the running server, or opens the data where none runs.

use std::path::PathBuf;

use super::Common;
use crate::cli::{SettingsArgs, spoken};
use crate::control::{self, ControlError};
use crate::server::running::{self, StartError};
use crate::service::administration::{self, AdminRequest, AdminResponse};
use crate::surroundings::clock::Clock;

impl Common {
    /// The data folder, which must be there.
    pub(in crate::cli) fn directory(&self) -> anyhow::Result<PathBuf> {
        let path = self.data.path()?;
        anyhow::ensure!(path.is_dir(), words!("admin.no-folder", path = path.display()));
        Ok(path)
    }

    pub(in crate::cli) fn ask(&self, request: AdminRequest) -> anyhow::Result<AdminResponse> {
        self.ask_with(request, &SettingsArgs::default())
    }

    /// Asks; where no server runs, with the settings as this start would take them.
    pub(in crate::cli) fn ask_with(
        &self,
        request: AdminRequest,
        settings: &SettingsArgs,
    ) -> anyhow::Result<AdminResponse> {
        let path = match request {
            // Setting up a server that never ran makes its folder.
            AdminRequest::SetUp { .. } => self.data.path()?,
            _ => self.directory()?,
        };
        let language = spoken();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(async {
            match control::ask(&path, language, &request).await {
                Err(ControlError::NotRunning(_)) => {}
                answer => return Ok(answer?),
            }
            let config = settings.load(&path)?;
            match running::open(&path, config, Clock::system()).await {
                Ok(opened) => {
                    let response = administration::execute(&opened.app, request).await;
                    opened.app.store.close().await;
                    Ok(response?)
                }
                // It started or is just starting: its socket answers now or in a moment.
                Err(StartError::Directory(
                    crate::surroundings::data_directory::DataDirectoryError::Locked(_),
                )) => {
                    for _ in 0..50 {
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                        match control::ask(&path, language, &request).await {
                            Err(ControlError::NotRunning(_)) => {}
                            answer => return Ok(answer?),
                        }
                    }
                    anyhow::bail!(words!("admin.no-answer", path = path.display()))
                }
                Err(error) => Err(error.into()),
            }
        })
    }
}
