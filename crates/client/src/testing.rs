//! What the client runs on in its own tests: keys and files in memory or in temporary folders, and no line to anybody.

use std::any::Any;
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use momedo_protocol::jws::Signer;
use momedo_protocol::mceliece::McEliecePrivateKey;
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_key::RsaPublicKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::SharedSecret;
use zeroize::Zeroizing;

use crate::ClientError;
use crate::keeping::{Keep, Pages};
use crate::platform::folder::{Files, Folder, Opened, Part, Scratch};
use crate::platform::keys::{self, KeyUse, PrivateKey, RsaKeys};
use crate::platform::line::{Line, Lines, ServerAddress};
use crate::platform::{Platform, work::Work};
use crate::profile::Profile;
use crate::secrets::{MadeKey, NewKeys};

struct Nobody;

impl Lines for Nobody {
    fn line(&self, _: &ServerAddress, _: &str) -> Box<dyn Line> {
        panic!("a test of the client alone asks no server")
    }
}

#[derive(Debug)]
struct Key(RsaPrivateKey);

impl keys::RsaPrivateKey for Key {
    fn public(&self) -> &RsaPublicKey {
        self.0.public()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, ClientError>> {
        async move { Ok(self.0.sign(message)) }.boxed()
    }

    fn decrypt<'a>(&'a self, ciphertext: &'a [u8]) -> BoxFuture<'a, Option<SharedSecret>> {
        async move { self.0.decrypt(ciphertext).ok() }.boxed()
    }
}

impl RsaKeys for Nobody {
    fn make(&self, _: KeyUse) -> BoxFuture<'static, Result<Zeroizing<Vec<u8>>, ClientError>> {
        async { Ok(Zeroizing::new(RsaPrivateKey::generate().pkcs8().to_vec())) }.boxed()
    }

    fn load(
        &self,
        pkcs8: Zeroizing<Vec<u8>>,
        _: KeyUse,
    ) -> BoxFuture<'static, Result<PrivateKey, ClientError>> {
        let key = RsaPrivateKey::from_pkcs8(&pkcs8).map_err(|error| ClientError::Protocol(error.to_string()));
        async move { key.map(|key| Arc::new(Key(key)) as PrivateKey) }.boxed()
    }
}

impl Work for Nobody {
    fn side_by_side(&self, jobs: Vec<BoxFuture<'static, ()>>) -> BoxFuture<'static, ()> {
        join_all(jobs).map(drop).boxed()
    }

    fn wait(&self, _: Duration) -> BoxFuture<'static, ()> {
        panic!("a test of the client alone waits for nothing")
    }
}

/// A part in memory, which is written where it is kept.
struct InMemory {
    folder: PathBuf,
    bytes: Vec<u8>,
}

impl std::io::Write for InMemory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Part for InMemory {
    fn path(&self) -> &Path {
        &self.folder
    }

    fn keep(self: Box<Self>, name: &str) -> Result<PathBuf, ClientError> {
        let path = self.folder.join(name);
        std::fs::write(&path, &self.bytes).unwrap();
        Ok(path)
    }
}

impl Files for Nobody {
    fn open<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Opened, ClientError>> {
        let file = File::open(path).unwrap();
        let length = file.metadata().unwrap().len();
        async move { Ok(Opened { bytes: Box::new(file), length }) }.boxed()
    }

    fn begin<'a>(&'a self, folder: &'a Path) -> BoxFuture<'a, Result<Box<dyn Part>, ClientError>> {
        let part = InMemory { folder: folder.to_owned(), bytes: Vec::new() };
        async move { Ok(Box::new(part) as Box<dyn Part>) }.boxed()
    }

    fn has<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, bool> {
        async move { path.is_file() }.boxed()
    }

    fn is_same(&self, one: &Path, other: &Path) -> bool {
        one == other
    }
}

impl Folder for Nobody {
    fn path(&self) -> &Path {
        Path::new("a test's profile")
    }

    fn scratch(&self) -> BoxFuture<'_, Result<Box<dyn Scratch>, ClientError>> {
        async { Ok(Box::new(Cursor::new(Vec::new())) as Box<dyn Scratch>) }.boxed()
    }

    fn turn(&self) -> BoxFuture<'_, Box<dyn Any + Send + Sync>> {
        async { Box::new(()) as Box<dyn Any + Send + Sync> }.boxed()
    }
}

/// What a test's client runs on.
pub(crate) fn platform() -> Platform {
    Platform {
        lines: Arc::new(Nobody),
        rsa: Arc::new(Nobody),
        work: Arc::new(Nobody),
        files: Arc::new(Nobody),
    }
}

/// Where a test's profile is.
pub(crate) fn folder() -> Arc<dyn Folder> {
    Arc::new(Nobody)
}

/// A new profile in what keeps rows.
pub(crate) fn made_in(keep: Box<dyn Keep>, passphrase: Option<&str>) -> Result<Profile, ClientError> {
    Profile::create(keep, platform(), Arc::new(Nobody), passphrase.into())
}

/// The profile in what keeps rows.
pub(crate) fn opened_in(keep: Box<dyn Keep>, passphrase: Option<&str>) -> Result<Profile, ClientError> {
    Profile::open(keep, platform(), Arc::new(Nobody), passphrase.into())
}

/// A new profile in memory.
pub(crate) fn profile(passphrase: Option<&str>) -> Profile {
    let disk = crate::keeping::disk::Disk::holding(Vec::new(), usize::MAX);
    made_in(Box::new(Pages::open(disk, 1 << 20).unwrap()), passphrase).unwrap()
}

/// A key that signs or opens.
pub(crate) fn rsa_key() -> MadeKey {
    let key = RsaPrivateKey::generate();
    let pkcs8 = Zeroizing::new(key.pkcs8().to_vec());
    MadeKey { key: Arc::new(Key(key)), pkcs8 }
}

/// Encryption keys.
pub(crate) fn new_keys() -> NewKeys {
    let (private, public) = McEliecePrivateKey::generate();
    NewKeys::of(rsa_key(), MlKemPrivateKey::generate(), private, public)
}
