//! Bundles that come back to a server that has forgotten what was between: newer ones, signed from the known key on.
#![allow(clippy::unwrap_used, reason = "tests")]

use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::Base64Bytes;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::{Jws, Signer};
use momedo_protocol::key_bundle::{KeyBundle, KeyBundleError, KeyBundlePayload, MAX_FORGOTTEN_VERSIONS};
use momedo_protocol::ml_kem_key::MlKemPrivateKey;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::suite::Suite;
use momedo_protocol::time::UnixMillis;

struct Maker {
    keys: Vec<RsaPrivateKey>,
    encryption: RsaPrivateKey,
    ml_kem: Vec<u8>,
}

impl Maker {
    fn new() -> Self {
        let making: Vec<_> = (0..4).map(|_| std::thread::spawn(RsaPrivateKey::generate)).collect();
        let mut keys: Vec<_> = making.into_iter().map(|key| key.join().unwrap()).collect();
        let encryption = keys.pop().unwrap();
        Self { keys, encryption, ml_kem: MlKemPrivateKey::generate().public().bytes().to_vec() }
    }

    /// A bundle with the first of the keys named as signature key, signed by all of them.
    fn bundle(&self, id: u64, version: u64, keys: &[usize]) -> Jws {
        let signers: Vec<&dyn Signer> = keys.iter().map(|key| &self.keys[*key] as &dyn Signer).collect();
        KeyBundlePayload {
            id: ParticipantId::from_number(id).unwrap(),
            name: "Ada".into(),
            homes: vec![Fingerprint([1; 32])],
            version,
            issued_at: UnixMillis(version),
            expires_at: UnixMillis(u64::from(u32::MAX)),
            signature_key: Base64Bytes(self.keys[keys[0]].public().spki().to_vec()),
            rsa_key: Base64Bytes(self.encryption.public().spki().to_vec()),
            ml_kem_key: Base64Bytes(self.ml_kem.clone()),
            mceliece_key: None,
            suites: vec![Suite::Small],
        }
        .sign(&signers)
    }
}

fn versions(newest: &Jws, known: &Jws, changes: &[&Jws]) -> Result<Vec<u64>, KeyBundleError> {
    let changes: Vec<Jws> = changes.iter().map(|change| (*change).clone()).collect();
    let bundle = KeyBundle::verify(newest)?;
    let forgotten = bundle.may_come_back(newest, &KeyBundle::verify(known)?, &changes)?;
    Ok(forgotten.iter().map(|(bundle, _)| bundle.payload.version).collect())
}

#[test]
fn a_gap_is_no_fault_where_the_signatures_lead_from_the_known_key_to_the_newest() {
    let maker = Maker::new();
    let [first, second, third] =
        [maker.bundle(1, 1, &[0]), maker.bundle(1, 2, &[1, 0]), maker.bundle(1, 4, &[2, 1])];
    let newest = maker.bundle(1, 7, &[2]);
    assert_eq!(versions(&newest, &first, &[&second, &third]), Ok(vec![2, 4]));
    assert_eq!(versions(&newest, &second, &[&second, &third]), Ok(vec![4]), "what is known is passed over");
    assert_eq!(versions(&newest, &third, &[&second, &third]), Ok(Vec::new()));
    assert_eq!(
        versions(&third, &first, &[&second, &third]),
        Ok(vec![2]),
        "the newest changes the key itself"
    );
    assert_eq!(versions(&third, &second, &[]), Ok(Vec::new()));
}

#[test]
fn what_does_not_lead_there_is_refused() {
    let maker = Maker::new();
    let [first, second, third] =
        [maker.bundle(1, 1, &[0]), maker.bundle(1, 2, &[1, 0]), maker.bundle(1, 4, &[2, 1])];
    let newest = maker.bundle(1, 7, &[2]);
    let unsigned = Err(KeyBundleError::NotSignedByOldKey);
    assert_eq!(versions(&newest, &first, &[]), unsigned);
    assert_eq!(versions(&newest, &first, &[&third]), unsigned, "a step is missing");
    assert_eq!(
        versions(&maker.bundle(1, 7, &[1]), &first, &[&maker.bundle(1, 2, &[1])]),
        unsigned,
        "a reset"
    );
    assert!(versions(&newest, &first, &[&third, &second]).is_err(), "out of order");
    assert!(
        versions(&newest, &first, &[&maker.bundle(2, 2, &[1, 0]), &third]).is_err(),
        "somebody else's step"
    );
    assert!(
        versions(&newest, &first, &[&second, &third, &maker.bundle(1, 8, &[2, 2])]).is_err(),
        "a later step"
    );
    let version = Err(KeyBundleError::Version { expected: 8 });
    for older in [1, 7] {
        assert_eq!(versions(&maker.bundle(1, older, &[2]), &newest, &[]), version, "nothing goes back");
    }
    assert_eq!(versions(&maker.bundle(1, 8 + MAX_FORGOTTEN_VERSIONS, &[2]), &newest, &[]), version);
    assert!(versions(&maker.bundle(1, 7 + MAX_FORGOTTEN_VERSIONS, &[2]), &newest, &[]).is_ok());
    assert!(versions(&maker.bundle(2, 8, &[2]), &newest, &[]).is_err());
}
