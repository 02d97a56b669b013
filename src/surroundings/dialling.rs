//! Dialling addresses that somebody else named: what they come to is looked at before anything is sent there.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;

use crate::domain::dialling::{NotDialled, is_this_machine, may_dial, may_dial_named, may_reach, parts};
use crate::state::App;
use crate::surroundings::addresses;

/// What is dialled now.
#[derive(Debug, Clone, Default)]
pub struct Dialling {
    /// Addresses that an admin allowed by hand.
    also: Vec<IpAddr>,
    /// Where this server listens.
    own: Vec<SocketAddr>,
}

impl Dialling {
    /// As the settings and the listeners are now.
    pub fn of(app: &App) -> Self {
        let also = app.config().neighbours.dial_also.clone();
        Self { also, own: addresses::listened_on(&app.listeners.running()) }
    }

    /// Whether `host:port` may be dialled, as far as it can be said before a name is looked up.
    ///
    /// # Errors
    /// [`NotDialled`] says why not.
    pub fn check(&self, address: &str) -> Result<(), NotDialled> {
        may_dial_named(address, &self.also, &self.own)
    }

    /// Connects to the first address that `host:port` comes to and that may be dialled.
    ///
    /// # Errors
    /// What the operating system says, or [`NotDialled`].
    pub async fn connect(&self, address: &str) -> Result<TcpStream, Error> {
        let refused = |reason: NotDialled| Error::new(ErrorKind::InvalidInput, reason);
        self.check(address).map_err(refused)?;
        let (host, port) = parts(address).ok_or_else(|| refused(NotDialled::Port))?;
        let mut last = Error::new(ErrorKind::NotFound, "this name has no address");
        for found in tokio::net::lookup_host((host, port)).await? {
            // The very address that was looked at: a second look-up could come to another one.
            match may_dial(found, &self.also, &self.own) {
                Ok(()) => match TcpStream::connect(found).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                },
                Err(reason) => last = refused(reason),
            }
        }
        Err(last)
    }

    /// Connects to a `host:port` that an admin typed. An address is dialled as it stands; what DNS makes of a name is
    /// not the admin's word.
    ///
    /// # Errors
    /// As [`Dialling::connect`].
    pub async fn connect_typed(&self, address: &str) -> Result<TcpStream, Error> {
        let refused = |reason: NotDialled| Error::new(ErrorKind::InvalidInput, reason);
        let (host, port) = parts(address).ok_or_else(|| refused(NotDialled::Port))?;
        if host.parse::<IpAddr>().is_ok() || is_this_machine(host) {
            return TcpStream::connect((host, port)).await;
        }
        let mut last = Error::new(ErrorKind::NotFound, "this name has no address");
        for found in tokio::net::lookup_host((host, port)).await? {
            match may_reach(found.ip(), &self.also) {
                Ok(()) => match TcpStream::connect(found).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                },
                Err(reason) => last = refused(reason),
            }
        }
        Err(last)
    }
}
