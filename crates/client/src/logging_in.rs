//! Logging in: at the first home, or at the second while the first does not answer.

use std::time::Duration;

use momedo_protocol::api::homes::Home;
use momedo_protocol::digest::Fingerprint;

use crate::connection::{Connection, ServerAddress};
use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, addresses, handing_back, held};

/// Setting with the other home.
pub(crate) const SECOND: &str = "second-home";

/// Setting that says whether another home is wanted when one is offered.
pub(crate) const WANTED: &str = "second-home-wanted";

/// How long the first home may take before the second is asked.
const PATIENCE: Duration = Duration::from_secs(4);

impl Profile {
    /// The other home, if there is one.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn second_home(&self) -> Result<Option<Home>, ClientError> {
        self.get(SECOND)
    }

    /// Whether a second home is wanted when one is offered; it is, unless the participant said no.
    ///
    /// # Errors
    /// [`ClientError::Profile`].
    pub fn wants_second_home(&self) -> Result<bool, ClientError> {
        Ok(self.get(WANTED)?.unwrap_or(true))
    }

    /// The servers that the own bundle names from now on.
    pub(crate) fn homes(&self) -> Result<Vec<Fingerprint>, ClientError> {
        let mut homes = vec![self.server()?.fingerprint];
        homes.extend(self.second_home()?.map(|home| home.server));
        Ok(homes)
    }

    /// Logs this profile's device in: at the first home, or at the second while the first does not answer.
    ///
    /// # Errors
    /// As [`ClientError`] says, of the first home.
    pub async fn log_in(&self, language: &str) -> Result<Session, ClientError> {
        let mut session = Box::pin(self.log_in_anywhere(language)).await?;
        // In a box of its own: what is handed back may log in anew.
        handing_back::finish(self, &mut session).await?;
        Ok(session)
    }

    async fn log_in_anywhere(&self, language: &str) -> Result<Session, ClientError> {
        let error = match self.log_in_where_known(language).await {
            Err(error @ (ClientError::Unreachable { .. } | ClientError::WrongServer { .. })) => error,
            result => return result,
        };
        let Some(found) = addresses::find_again(self).await? else { return Err(error) };
        self.log_in_at(found, language).await.map_err(|_| error)
    }

    async fn log_in_where_known(&self, language: &str) -> Result<Session, ClientError> {
        let Some(second) = self.second_home()? else { return self.log_in_at(self.server()?, language).await };
        let first = self.platform.within(PATIENCE, self.log_in_at(self.server()?, language)).await;
        let error = match first {
            Some(Err(error)) if error.is_temporary() || matches!(error, ClientError::WrongServer { .. }) => {
                error
            }
            Some(result) => return result,
            None => ClientError::Unreachable {
                addresses: self.server()?.addresses.join(", "),
                reason: "no answer in time".into(),
            },
        };
        self.log_in_at_second(&second, language).await.map_err(|_| error)
    }

    async fn log_in_at(&self, server: ServerAddress, language: &str) -> Result<Session, ClientError> {
        let fingerprint = server.fingerprint;
        let is_first = fingerprint == self.server()?.fingerprint;
        let held = |epoch| held::held(self, fingerprint, epoch);
        let connection = Connection::new(&self.platform, server, language);
        let login_key = self.login_key().await?;
        let mut session = Session::log_in_with(connection, self.device()?, &login_key, held).await?;
        self.tell_of_clocks(session.connection().clocks());
        if is_first && let Some(works) = session.connection().address().map(str::to_owned) {
            addresses::learn(self, &works, &session.addresses)?;
        }
        Ok(session)
    }

    async fn log_in_at_second(&self, home: &Home, language: &str) -> Result<Session, ClientError> {
        let server = ServerAddress { addresses: home.addresses.clone(), fingerprint: home.server };
        let mut session = self.log_in_at(server, language).await?;
        session.is_second = true;
        Ok(session)
    }
}

/// A session with the second home beside one with the first, if there is one and it answers.
pub(crate) async fn second(profile: &Profile, session: &mut Session) -> Option<Session> {
    let second = profile.second_home().ok().flatten()?;
    let language = session.connection().language();
    let logging_in = profile.log_in_at_second(&second, language);
    profile.platform.within(PATIENCE, logging_in).await?.ok()
}
