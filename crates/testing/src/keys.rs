//! Keys of people whose every part a test may look at, sign with and spoil.

use momedo_client::private_keys::PrivateKeys as ClientPrivateKeys;
use momedo_client::secrets;
use momedo_client_native::keys::{held, made};
use momedo_protocol::device_list::DeviceEntry;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::mceliece::{McEliecePrivateKey, McEliecePublicKey};
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::seal::PrivateKeys;
use zeroize::Zeroizing;

/// Every key of a participant with one device.
pub struct ParticipantKeys {
    /// Signs bundles, device lists and messages.
    pub signature_key: RsaPrivateKey,
    /// The first device's own keys.
    pub device: DeviceKeys,
    /// What the participant is sealed to.
    pub encryption: NewKeys,
}

/// A device's own keys: one to log in with, two to be sealed to.
pub struct DeviceKeys {
    /// Logs in.
    pub login: RsaPrivateKey,
    /// RSA and ML-KEM keys for what only this device may open.
    pub private: PrivateKeys,
}

/// Encryption keys with the public McEliece key, whose private half does not contain it.
pub struct NewKeys {
    /// The private keys.
    pub private: PrivateKeys,
    /// The public McEliece key.
    pub mceliece: McEliecePublicKey,
}

fn copy(key: &RsaPrivateKey) -> RsaPrivateKey {
    RsaPrivateKey::from_pkcs8(key.pkcs8()).expect("the bytes of a key are a key")
}

fn copy_ml_kem(key: &MlKemPrivateKey) -> MlKemPrivateKey {
    MlKemPrivateKey::from_seed(Zeroizing::new(*key.seed()))
}

impl ParticipantKeys {
    /// Makes all of them, on every core there is; a few seconds.
    pub fn generate() -> Self {
        std::thread::scope(|scope| {
            let device = scope.spawn(DeviceKeys::generate);
            let encryption = NewKeys::generate();
            let signature_key = RsaPrivateKey::generate();
            Self { signature_key, device: device.join().expect("making keys does not panic"), encryption }
        })
    }

    /// The same keys, as the client takes them.
    pub fn client(&self) -> secrets::ParticipantKeys {
        secrets::ParticipantKeys {
            signature_key: made(copy(&self.signature_key)),
            device: self.device.client(),
            encryption: self.encryption.client(),
        }
    }
}

impl DeviceKeys {
    /// Makes a device's keys; about a second.
    pub fn generate() -> Self {
        let private = |rsa| PrivateKeys { rsa, ml_kem: MlKemPrivateKey::generate(), mceliece: None };
        Self { login: RsaPrivateKey::generate(), private: private(RsaPrivateKey::generate()) }
    }

    /// The same keys, as the client takes them.
    pub fn client(&self) -> secrets::DeviceKeys {
        let PrivateKeys { rsa, ml_kem, .. } = &self.private;
        secrets::DeviceKeys::of(made(copy(&self.login)), made(copy(rsa)), copy_ml_kem(ml_kem))
    }

    /// The device as the device list names it.
    pub fn entry(&self, name: &str) -> DeviceEntry {
        DeviceEntry {
            name: name.to_owned(),
            login_key: Base64Bytes(self.login.public().spki().to_vec()),
            rsa_key: Base64Bytes(self.private.rsa.public().spki().to_vec()),
            ml_kem_key: Base64Bytes(self.private.ml_kem.public().bytes().to_vec()),
        }
    }
}

impl NewKeys {
    /// Makes encryption keys; a second or two.
    pub fn generate() -> Self {
        let (private, mceliece) = McEliecePrivateKey::generate();
        let (rsa, ml_kem) = (RsaPrivateKey::generate(), MlKemPrivateKey::generate());
        Self { private: PrivateKeys { rsa, ml_kem, mceliece: Some(private) }, mceliece }
    }

    /// The same keys, as the client takes them; with none of McEliece, for tests of the server alone, one is made.
    pub fn client(&self) -> secrets::NewKeys {
        let PrivateKeys { rsa, ml_kem, mceliece } = &self.private;
        let mceliece = mceliece.clone().unwrap_or_else(|| McEliecePrivateKey::generate().0);
        secrets::NewKeys::of(made(copy(rsa)), copy_ml_kem(ml_kem), mceliece, self.mceliece.clone())
    }
}

/// Private keys as the client takes them.
pub fn opening(keys: &PrivateKeys) -> ClientPrivateKeys {
    ClientPrivateKeys {
        rsa: held(copy(&keys.rsa)),
        ml_kem: copy_ml_kem(&keys.ml_kem),
        mceliece: keys.mceliece.clone(),
    }
}
