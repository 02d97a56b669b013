//! Makes the test vectors in `vectors/`, which authors of other clients check their work with.
//!
//! `cargo run -p momedo-protocol --example make_vectors [FOLDER]`. RSA keys come from
//! `tests/fixtures/rsa_keys.pem`. Signatures, ciphertexts and the McEliece key are random, so every run
//! makes other vectors; committed ones stay as they are unless the protocol changes.

#[cfg(target_arch = "wasm32")]
fn main() {}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    native::run()
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::error::Error;
    use std::path::{Path, PathBuf};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hkdf::Hkdf;
    use momedo_protocol::countersignature::Countersignature;
    use momedo_protocol::cursor::Cursor;
    use momedo_protocol::device_link::{DeviceLink, LinkNonce, LinkOffer, LinkStep, commitment};
    use momedo_protocol::device_list::{DeviceEntry, DeviceListPayload};
    use momedo_protocol::digest::{Fingerprint, Sha512Digest};
    use momedo_protocol::encoding::{Base64Bytes, encode_base64, encode_hex};
    use momedo_protocol::envelope::{self, Ciphertexts, Header};
    use momedo_protocol::erasure::Erasure;
    use momedo_protocol::id::{DeviceId, ParticipantId};
    use momedo_protocol::invite::{InviteCode, InviteLink};
    use momedo_protocol::jws::{Jws, Signer};
    use momedo_protocol::key_backup::{RecoveryCode, RecoveryKeys};
    use momedo_protocol::key_bundle::{KeyBundle, KeyBundlePayload};
    use momedo_protocol::kind;
    use momedo_protocol::login::Login;
    use momedo_protocol::mceliece::{McEliecePrivateKey, McEliecePublicKey};
    use momedo_protocol::message::Message;
    use momedo_protocol::message_id::MessageId;
    use momedo_protocol::ml_kem_key::{MlKemPrivateKey, MlKemPublicKey};
    use momedo_protocol::possession::{PossessionChallenge, PossessionContext};
    use momedo_protocol::rsa_private_key::RsaPrivateKey;
    use momedo_protocol::seal::{self, PrivateKeys, RecipientKeys};
    use momedo_protocol::suite::Suite;
    use momedo_protocol::time::UnixMillis;
    use serde_json::{Map, Value, json};
    use sha2::{Digest, Sha512};
    use zeroize::Zeroizing;

    type Outcome<T> = Result<T, Box<dyn Error>>;

    /// 2026-09-21, an instant like any other.
    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

    /// What the keys of the fixture file are used for here, in its order.
    const RSA_KEYS: [&str; 9] = [
        "signature_key",
        "next_signature_key",
        "rsa_key",
        "login_key",
        "device_rsa_key",
        "second_login_key",
        "second_device_rsa_key",
        "identity_key",
        "sender_signature_key",
    ];

    /// Every key that stands in `keys.json`.
    struct Keys {
        rsa: Vec<RsaPrivateKey>,
        ml_kem: MlKemPrivateKey,
        device_ml_kem: MlKemPrivateKey,
        second_device_ml_kem: MlKemPrivateKey,
        mceliece: McEliecePrivateKey,
        mceliece_public: McEliecePublicKey,
    }

    /// The DER of every block of a PEM file.
    fn read_pem(file: &str, label: &str) -> Outcome<Vec<Vec<u8>>> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");
        let pem = std::fs::read_to_string(Path::new(folder).join(file))?;
        let begin = format!("-----BEGIN {label}-----");
        pem.split(&begin)
            .skip(1)
            .map(|block| {
                let base64 = block.split("-----END").next().unwrap_or_default();
                Ok(STANDARD.decode(base64.split_whitespace().collect::<String>())?)
            })
            .collect()
    }

    impl Keys {
        fn read() -> Outcome<Self> {
            let rsa = read_pem("rsa_keys.pem", "PRIVATE KEY")?
                .iter()
                .take(RSA_KEYS.len())
                .map(|der| Ok(RsaPrivateKey::from_pkcs8(der)?))
                .collect::<Outcome<Vec<_>>>()?;
            let seed = |first: u8| {
                let bytes: Vec<u8> = (0..64).map(|n| first + n).collect();
                MlKemPrivateKey::from_seed(Zeroizing::new(bytes.try_into().expect("64 bytes")))
            };
            let (mceliece, mceliece_public) = McEliecePrivateKey::generate();
            Ok(Self {
                rsa,
                ml_kem: seed(0),
                device_ml_kem: seed(64),
                second_device_ml_kem: seed(128),
                mceliece,
                mceliece_public,
            })
        }

        fn rsa(&self, name: &str) -> &RsaPrivateKey {
            let index = RSA_KEYS.iter().position(|known| *known == name);
            &self.rsa[index.expect("a name of RSA_KEYS")]
        }

        fn spki(&self, name: &str) -> Base64Bytes {
            Base64Bytes(self.rsa(name).public().spki().to_vec())
        }

        fn home(&self) -> Fingerprint {
            self.rsa("identity_key").public().fingerprint()
        }

        /// What opens envelopes of `suite`.
        fn private(&self, suite: Suite) -> Outcome<PrivateKeys> {
            Ok(PrivateKeys {
                rsa: RsaPrivateKey::from_pkcs8(self.rsa("rsa_key").pkcs8())?,
                ml_kem: MlKemPrivateKey::from_seed(Zeroizing::new(*self.ml_kem.seed())),
                mceliece: (suite == Suite::Full).then(|| self.mceliece.clone()),
            })
        }

        fn vectors(&self) -> Outcome<Value> {
            let mut rsa = Map::new();
            for (name, key) in RSA_KEYS.iter().zip(&self.rsa) {
                let value = json!({
                    "pkcs8": encode_base64(key.pkcs8()),
                    "spki": encode_base64(key.public().spki()),
                    "fingerprint": key.public().fingerprint(),
                });
                rsa.insert((*name).into(), value);
            }
            let ml_kem = |key: &MlKemPrivateKey| {
                json!({
                    "seed": encode_base64(key.seed()),
                    "public": encode_base64(key.public().bytes()),
                })
            };
            let small = read_pem("rsa_2048_public.pem", "PUBLIC KEY")?;
            let trailing = [self.rsa("rsa_key").public().spki(), &[0]].concat();
            Ok(json!({
                "about": "Private keys for the other files: RSA in PKCS #8 DER, ML-KEM-768 as the seed d, z, \
                          McEliece raw. Never use them for anything else.",
                "rsa": rsa,
                "ml_kem": {
                    "ml_kem_key": ml_kem(&self.ml_kem),
                    "device_ml_kem_key": ml_kem(&self.device_ml_kem),
                    "second_device_ml_kem_key": ml_kem(&self.second_device_ml_kem),
                },
                "mceliece": { "mceliece_key": {
                    "private": encode_base64(self.mceliece.bytes()),
                    "public_digest": self.mceliece_public.digest(),
                }},
                "refused_rsa": [
                    { "why": "2048 bits", "spki": encode_base64(&small[0]) },
                    { "why": "a byte after the key", "spki": encode_base64(&trailing) },
                ],
            }))
        }
    }

    fn anna() -> ParticipantId {
        "M8N22HT6".parse().expect("an ID")
    }

    fn ben() -> ParticipantId {
        "7QK0M3ZD".parse().expect("an ID")
    }

    fn message_id() -> MessageId {
        "01a0c4506c007b1f8a4c3e5d6f708192".parse().expect("a message ID")
    }

    pub(super) fn run() -> Outcome<()> {
        let folder = std::env::args_os()
            .nth(1)
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors"), PathBuf::from);
        let keys = Keys::read()?;
        let files = [
            ("keys.json", keys.vectors()?),
            ("names.json", names(&keys)),
            ("documents.json", documents(&keys)?),
            ("bundles.json", bundles(&keys)?),
            ("envelopes.json", envelopes(&keys)?),
            ("possession.json", possession(&keys)?),
            ("new_devices.json", new_devices(&keys)?),
        ];
        for (name, value) in files {
            let text = serde_json::to_string_pretty(&value)? + "\n";
            println!("{name}: {} bytes", text.len());
            std::fs::write(folder.join(name), text)?;
        }
        Ok(())
    }

    fn new_devices(keys: &Keys) -> Outcome<Value> {
        let hex_words = |bits: [u8; 16]| {
            let code = RecoveryCode::from_bytes(bits);
            json!({ "bits": encode_hex(&bits), "words": *code.words() })
        };
        let ascending: [u8; 16] = std::array::from_fn(|n| n as u8);
        let code = RecoveryCode::from_bytes(ascending);
        let recovery = RecoveryKeys::derive(&code, keys.home(), anna());
        let sealing = recovery.sealing_keys();
        let content = br#"{"any":"identity"}"#;
        let public = MlKemPublicKey::from_bytes(&sealing.ml_kem_key.0)?;
        let (ciphertext, shared) = public.encapsulate();
        let slot = sealing.seal_with(content, anna(), 7, &ciphertext, &shared)?;

        let link = DeviceLink {
            address: "schule.local:4710".into(),
            link: "7QK0M3ZD9XN4".parse()?,
            secret: Zeroizing::new(std::array::from_fn(|n| n as u8)),
            id: anna(),
            participant: keys.rsa("signature_key").public().fingerprint(),
            server: keys.home(),
        };
        let (challenge, opening) = ([0x0a; 32], [0x0b; 32]);
        let device = DeviceEntry {
            name: "Tablet".into(),
            login_key: keys.spki("second_login_key"),
            rsa_key: keys.spki("second_device_rsa_key"),
            ml_kem_key: Base64Bytes(keys.second_device_ml_kem.public().bytes().to_vec()),
        };
        let offer = serde_json::to_string(&LinkOffer { device, commitment: commitment(&opening) })?;
        let nonce = |nonce: [u8; 32]| serde_json::to_string(&LinkNonce { nonce: nonce.to_vec().into() });
        let steps = [
            (LinkStep::Offer, offer.clone()),
            (LinkStep::Challenge, nonce(challenge)?),
            (LinkStep::Opening, nonce(opening)?),
        ];
        let steps: Vec<Value> = steps
            .iter()
            .map(|(step, message)| {
                json!({
                    "step": step, "message": message,
                    "sealed": encode_base64(&link.seal(*step, message.as_bytes())),
                })
            })
            .collect();
        let erasure = Erasure {
            id: anna(),
            device: DeviceId::of_login_key(keys.rsa("login_key").public().spki()),
            nonce: Base64Bytes(vec![7; 32]),
            server: keys.home(),
        };
        Ok(json!({
            "about": "How a device comes to be, and how a participant goes: recovery codes and a slot of a key \
                      backup, a device link with its messages, an erasure by login_key of keys.json.",
            "recovery_codes": {
                "accepted": [
                    hex_words([0; 16]), hex_words([0x7f; 16]), hex_words([0xff; 16]), hex_words(ascending),
                    { "bits": encode_hex(&[0; 16]), "words": "1. ABANDON\n2. aban, aban aban aban aban aban aban \
                      aban aban aban About!" },
                ],
                "refused": [
                    "", "abandon", "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                     abandon abandon abandon", "abandon abandon abandon abandon abandon abandon abandon abandon \
                     abandon abandon abandon abo",
                ],
            },
            "key_backup": {
                "bits": encode_hex(&ascending),
                "server": keys.home(),
                "id": anna(),
                "fetch_secret": encode_base64(&recovery.fetch_secret[..]),
                "lock": sealing.lock,
                "seal_key": sealing.seal_key,
                "ml_kem_key": sealing.ml_kem_key,
                "version": 7,
                "content": std::str::from_utf8(content)?,
                "ciphertext": encode_base64(&ciphertext),
                "shared_secret": encode_base64(&shared[..]),
                "slot": encode_base64(&slot),
            },
            "device_link": {
                "text": link.to_string(),
                "address": link.address,
                "link": link.link,
                "secret": encode_base64(&link.secret[..]),
                "id": link.id,
                "participant": link.participant,
                "server": link.server,
                "steps": steps,
                "code": link.code(offer.as_bytes(), &challenge, &opening).to_string(),
            },
            "erasure": erasure.sign(keys.rsa("login_key")),
        }))
    }

    fn names(keys: &Keys) -> Value {
        let id = |text: &str| {
            let id: ParticipantId = text.parse().expect("an ID");
            json!({ "text": text, "number": id.number(), "shown": id })
        };
        let message_id = |text: &str| {
            let id: MessageId = text.parse().expect("a message ID");
            json!({ "text": text, "bytes": encode_base64(&id.0), "shown": id })
        };
        let cursor = |text: &str| {
            let cursor: Cursor = text.parse().expect("a cursor");
            json!({
                "text": text,
                "epoch": cursor.epoch.number(),
                "sequence": cursor.sequence,
                "shown": cursor,
            })
        };
        let code = |text: &str| {
            let code: InviteCode = text.parse().expect("an invite code");
            json!({ "text": text, "shown": code })
        };
        let server = keys.home();
        let link = |text: String| {
            let link: InviteLink = text.parse().expect("an invite link");
            json!({
                "text": text,
                "address": link.address,
                "code": link.code,
                "server": link.server,
                "shown": link.to_string(),
            })
        };
        let fingerprint = |name: &str| {
            let spki = keys.rsa(name).public().spki();
            let fingerprint = Fingerprint::of_spki(spki);
            json!({
                "spki": encode_base64(spki),
                "fingerprint": fingerprint,
                "grouped": fingerprint.grouped(),
                "words": fingerprint.words(),
            })
        };
        let device = |name: &str| {
            let spki = keys.rsa(name).public().spki();
            json!({ "login_key": encode_base64(spki), "id": DeviceId::of_login_key(spki) })
        };
        json!({
            "about": "Small values as text: what is read, what it means, how it is written, what is refused.",
            "ids": {
                "accepted": [
                    id("M8N22HT6"), id("m8n22ht6"), id("M8N2-2HT6"), id(" m8-n2 2h-t6 "),
                    id("00000000"), id("oOiIlL00"), id("ZZZZZZZZ"), id("00000001"),
                ],
                "refused": ["", "M8N22HT", "M8N22HT66", "M8N22HTU", "M8N22HT\u{c4}", "M8N22HT_", "M8N2.2HT6"],
            },
            "device_ids": [device("login_key"), device("second_login_key")],
            "message_ids": {
                "accepted": [
                    message_id("01a0c4506c007b1f8a4c3e5d6f708192"),
                    message_id("01A0C4506C007B1F8A4C3E5D6F708192"),
                    message_id("00000000000000000000000000000000"),
                ],
                "refused": [
                    "", "01a0c4506c007b1f8a4c3e5d6f70819", "01a0c4506c007b1f8a4c3e5d6f7081920",
                    "01a0c450-6c00-7b1f-8a4c-3e5d6f708192", "01a0c4506c007b1f8a4c3e5d6f70819g",
                ],
            },
            "cursors": {
                "accepted": [
                    cursor("7QK0M3ZD.42"), cursor("7qkom3zd.42"), cursor("7QK0M3ZD.0"),
                    cursor("7QK0M3ZD.9007199254740992"),
                ],
                "refused": [
                    "", "7QK0M3ZD", "7QK0M3ZD.", ".42", "7QK0M3Z.42", "7QK0M3ZD.-1", "7QK0M3ZD.1.2",
                    "7QK0M3ZD.9007199254740993", "42",
                ],
            },
            "invite_codes": {
                "accepted": [code("7QK0M3ZD9XN4"), code("7qko-m3zd-9xn4"), code("ZZZZZZZZZZZZ")],
                "refused": ["", "7QK0M3ZD9XN", "7QK0M3ZD9XN44", "7QK0M3ZD9XNU"],
            },
            "invite_links": {
                "accepted": [
                    link(format!("https://192.168.1.5:4710/i#7QK0M3ZD9XN4.{server}")),
                    link(format!("https://[fd00::1]:4710/i#7QK0M3ZD9XN4.{server}")),
                    link(format!("https://schule.example/i#7qko-m3zd-9xn4.{server}")),
                    link(format!("  https://[::1]/i#7QK0M3ZD9XN4.{}\n", server.to_string().to_uppercase())),
                ],
                "refused": [
                    "",
                    format!("http://schule.example:4710/i#7QK0M3ZD9XN4.{server}"),
                    format!("https://schule.example:4710/i?7QK0M3ZD9XN4.{server}"),
                    format!("https://schule.example:4710/i#{server}"),
                    format!("https://schule.example:4710/i#7QK0M3ZD9XN.{server}"),
                    "https://schule.example:4710/i#7QK0M3ZD9XN4.abcd",
                    format!("https:///i#7QK0M3ZD9XN4.{server}"),
                    format!("https://schule.example:70000/i#7QK0M3ZD9XN4.{server}"),
                    format!("https://a b/i#7QK0M3ZD9XN4.{server}"),
                ],
            },
            "fingerprints": [fingerprint("identity_key"), fingerprint("signature_key")],
            "base64url": {
                "accepted": [
                    { "text": "", "hex": "" },
                    { "text": "AA", "hex": "00" },
                    { "text": "-_8", "hex": "fbff" },
                ],
                "refused": ["AA==", "+/8", "A", "A A", "AB"],
            },
        })
    }

    fn bundle_payload(keys: &Keys) -> KeyBundlePayload {
        KeyBundlePayload {
            id: anna(),
            name: "Anna Müller".into(),
            homes: vec![keys.home()],
            version: 1,
            issued_at: NOW,
            expires_at: NOW.plus_days(365),
            signature_key: keys.spki("signature_key"),
            rsa_key: keys.spki("rsa_key"),
            ml_kem_key: Base64Bytes(keys.ml_kem.public().bytes().to_vec()),
            mceliece_key: Some(keys.mceliece_public.digest()),
            suites: Suite::ALL.to_vec(),
        }
    }

    /// The bundle after it, with another signature key.
    fn next_bundle_payload(keys: &Keys) -> KeyBundlePayload {
        KeyBundlePayload {
            version: 2,
            issued_at: NOW.plus_days(1),
            signature_key: keys.spki("next_signature_key"),
            ..bundle_payload(keys)
        }
    }

    fn device_entry(keys: &Keys, name: &str, prefix: &str, ml_kem: &MlKemPrivateKey) -> DeviceEntry {
        DeviceEntry {
            name: name.into(),
            login_key: keys.spki(&format!("{prefix}login_key")),
            rsa_key: keys.spki(&format!("{prefix}device_rsa_key")),
            ml_kem_key: Base64Bytes(ml_kem.public().bytes().to_vec()),
        }
    }

    /// Signs any header, also one that must be refused.
    fn sign_raw(header: &str, payload: &[u8], signer: &RsaPrivateKey) -> Value {
        let (protected, payload) = (encode_base64(header.as_bytes()), encode_base64(payload));
        let signature = encode_base64(&signer.sign(format!("{protected}.{payload}").as_bytes()));
        json!({ "payload": payload, "signatures": [{ "protected": protected, "signature": signature }] })
    }

    /// One document as a vector; `keys` are names in `keys.json`, one per signature.
    fn document(kind: &str, keys: &[&str], jws: &Jws) -> Outcome<Value> {
        Ok(json!({
            "kind": kind,
            "protected": format!(r#"{{"alg":"PS512","typ":"momedo-{kind}+jws"}}"#),
            "keys": keys,
            "payload": String::from_utf8(jws.unverified_payload()?)?,
            "jws": jws,
        }))
    }

    fn documents(keys: &Keys) -> Outcome<Value> {
        let (key, next_key) = (keys.rsa("signature_key"), keys.rsa("next_signature_key"));
        let payload = bundle_payload(keys);
        let bundle = payload.sign(&[key]);
        let next_bundle = next_bundle_payload(keys).sign(&[next_key, key]);
        let phone = device_entry(keys, "Handy", "", &keys.device_ml_kem);
        let tablet = device_entry(keys, "Tablet", "second_", &keys.second_device_ml_kem);
        let key_digests = [&phone, &tablet]
            .map(|entry| json!({ "name": entry.name, "id": entry.id(), "key_digest": entry.key_digest() }));
        let list = DeviceListPayload {
            id: anna(),
            version: 2,
            issued_at: NOW,
            devices: vec![phone.clone(), tablet],
        }
        .sign(key);
        let countersignature = Countersignature {
            id: anna(),
            fingerprint: key.public().fingerprint(),
            home: keys.home(),
            expires_at: payload.expires_at,
        }
        .sign(keys.rsa("identity_key"));
        let login = Login { device: phone.id(), nonce: Base64Bytes((0..32).collect()), server: keys.home() }
            .sign(keys.rsa("login_key"));
        let message: Jws = serde_json::from_slice(&message().sign(keys.rsa("sender_signature_key")))?;
        let exporter: Vec<u8> = (100..132).collect();
        let proof = keys.rsa("identity_key").sign(&[b"momedo identity proof v1", &exporter[..]].concat());
        Ok(json!({
            "about": "Signed documents; `keys` and `key` name RSA keys of keys.json, one per signature. \
                      PS512 signatures are random: verify these, do not compare yours with them.",
            "accepted": [
                document("key-bundle", &["signature_key"], &bundle)?,
                document("key-bundle", &["next_signature_key", "signature_key"], &next_bundle)?,
                document("device-list", &["signature_key"], &list)?,
                document("countersignature", &["identity_key"], &countersignature)?,
                document("login", &["login_key"], &login)?,
                document("message", &["sender_signature_key"], &message)?,
            ],
            "refused": refused_documents(keys, &login)?,
            "device_keys": key_digests,
            "identity_proof": {
                "exporter": encode_base64(&exporter),
                "key": "identity_key",
                "signature": encode_base64(&proof),
            },
        }))
    }

    /// Log-ins that no server may take.
    fn refused_documents(keys: &Keys, login: &Jws) -> Outcome<Value> {
        let key = keys.rsa("login_key");
        let payload = login.unverified_payload()?;
        let right = r#"{"alg":"PS512","typ":"momedo-login+jws"}"#;
        let with_header = |header: &str| sign_raw(header, &payload, key);
        let mut twice = serde_json::to_value(login)?;
        let signature = twice["signatures"][0].clone();
        twice["signatures"] = json!([signature, signature]);
        let mut unsigned = serde_json::to_value(login)?;
        unsigned["signatures"] = json!([]);
        let mut changed = serde_json::to_value(login)?;
        changed["payload"] =
            json!(encode_base64(String::from_utf8(payload.clone())?.replace("AAEC", "AAED").as_bytes()));
        let case =
            |why: &str, jws: Value| json!({ "why": why, "kind": "login", "key": "login_key", "jws": jws });
        let typ = r#""typ":"momedo-login+jws""#;
        Ok(json!([
            case("typ of another document", with_header(r#"{"alg":"PS512","typ":"momedo-message+jws"}"#)),
            case("another algorithm", with_header(&format!(r#"{{"alg":"PS256",{typ}}}"#))),
            case("no algorithm", with_header(&format!(r#"{{"alg":"none",{typ}}}"#))),
            case("the same header written differently", with_header(&format!(r#"{{{typ},"alg":"PS512"}}"#))),
            case("a space in the header", with_header(&format!(r#"{{"alg": "PS512",{typ}}}"#))),
            case("a key in the header", with_header(&format!(r#"{{"alg":"PS512","kid":"1",{typ}}}"#))),
            case(
                "an unknown field in the payload",
                sign_raw(
                    right,
                    String::from_utf8(payload.clone())?.replacen('{', "{\"more\":1,", 1).as_bytes(),
                    key,
                )
            ),
            case("the payload is no JSON", sign_raw(right, b"hello", key)),
            case("one signature too many", twice),
            case("another key's signature", sign_raw(right, &payload, keys.rsa("second_login_key"))),
            case("no signature", unsigned),
            case("a changed payload", changed),
        ]))
    }

    /// Two bundles that follow each other, and what is refused though its signatures are right.
    fn bundles(keys: &Keys) -> Outcome<Value> {
        let (key, next_key) = (keys.rsa("signature_key"), keys.rsa("next_signature_key"));
        let (first, next) = (bundle_payload(keys), next_bundle_payload(keys));
        let accepted = |payload: &KeyBundlePayload, signers: &[&dyn Signer]| -> Outcome<Value> {
            let jws = payload.sign(signers);
            let bundle = KeyBundle::verify(&jws)?;
            Ok(json!({ "jws": jws, "digest": bundle.digest, "fingerprint": bundle.fingerprint() }))
        };
        let alone = |why: &str, payload: KeyBundlePayload| {
            let jws = payload.sign(&[key]);
            json!({ "why": why, "after_version_1": false, "jws": jws })
        };
        let follows = |why: &str, jws: Jws| json!({ "why": why, "after_version_1": true, "jws": jws });
        let with = |change: &dyn Fn(&mut KeyBundlePayload)| {
            let mut payload = first.clone();
            change(&mut payload);
            payload
        };
        let refused = json!([
            alone("version 0", with(&|p| p.version = 0)),
            alone("no home", with(&|p| p.homes.clear())),
            alone("suite 1 without a McEliece key", with(&|p| p.mceliece_key = None)),
            alone("expires when it is issued", with(&|p| p.expires_at = p.issued_at)),
            alone("one key for signing and encrypting", with(&|p| p.rsa_key = p.signature_key.clone())),
            alone("a name of 81 characters", with(&|p| p.name = "a".repeat(81))),
            follows("the same version again", with(&|p| p.version = 1).sign(&[key])),
            follows("a version left out", with(&|p| p.version = 3).sign(&[key])),
            follows(
                "another participant",
                with(&|p| {
                    p.version = 2;
                    p.id = ben();
                })
                .sign(&[key])
            ),
            follows("a new signature key without the old one's signature", next.sign(&[next_key])),
            follows("signed by a key that was not the old one", next.sign(&[next_key, keys.rsa("rsa_key")])),
            follows("two signatures though the key is the same", with(&|p| p.version = 2).sign(&[key, key])),
        ]);
        Ok(json!({
            "about": "Key bundles: version 1, version 2 that follows it with a new signature key, and \
                      what is refused: by itself, or (after_version_1) because it may not follow version 1.",
            "first": accepted(&first, &[key])?,
            "next": accepted(&next, &[next_key, key])?,
            "refused": refused,
        }))
    }

    fn message() -> Message {
        Message {
            from: ben(),
            to: Some(anna()),
            group: None,
            id: message_id(),
            sent_at: NOW,
            conversation: None,
            log: None,
            kind: kind::TEXT.into(),
            body: "Lampe in Raum 12 kaputt 💡".into(),
        }
    }

    fn ciphertexts_json(ciphertexts: &Ciphertexts<'_>) -> Value {
        let mut all = Map::new();
        if let Some(mceliece) = ciphertexts.mceliece {
            all.insert("mceliece".into(), encode_base64(mceliece).into());
        }
        all.insert("ml_kem".into(), encode_base64(ciphertexts.ml_kem).into());
        all.insert("rsa".into(), encode_base64(ciphertexts.rsa).into());
        all.into()
    }

    /// The shared secrets of ciphertexts as JSON, and in the order they are derived from.
    fn recover(keys: &PrivateKeys, ciphertexts: &Ciphertexts<'_>) -> Outcome<(Value, Vec<u8>)> {
        let (mut all, mut material) = (Map::new(), Vec::new());
        if let (Some(key), Some(ciphertext)) = (&keys.mceliece, ciphertexts.mceliece) {
            let secret = key.decapsulate(ciphertext)?;
            all.insert("mceliece".into(), encode_base64(&*secret).into());
            material.extend_from_slice(&*secret);
        }
        let ml_kem = keys.ml_kem.decapsulate(ciphertexts.ml_kem)?;
        let rsa = keys.rsa.decrypt(ciphertexts.rsa)?;
        all.insert("ml_kem".into(), encode_base64(&*ml_kem).into());
        all.insert("rsa".into(), encode_base64(&*rsa).into());
        material.extend_from_slice(&*ml_kem);
        material.extend_from_slice(&*rsa);
        Ok((all.into(), material))
    }

    /// Inputs and output of the key derivation, worked out here and not by the crate.
    fn derivation(
        material: &[u8],
        ciphertexts: &Ciphertexts<'_>,
        digest: &Sha512Digest,
        info: &[u8],
    ) -> Value {
        let salt = Sha512::digest([ciphertexts.concatenated().as_slice(), &digest.0].concat());
        let mut key = [0; 32];
        Hkdf::<Sha512>::new(Some(&salt), material).expand(info, &mut key).expect("32 bytes are few");
        json!({
            "key_material": encode_base64(material),
            "salt": encode_base64(&salt),
            "info": encode_base64(info),
            "key": encode_base64(&key),
        })
    }

    fn envelopes(keys: &Keys) -> Outcome<Value> {
        let bundle = KeyBundle::verify(&bundle_payload(keys).sign(&[keys.rsa("signature_key")]))?;
        let inner = message().sign(keys.rsa("sender_signature_key"));
        let sealed = Suite::ALL
            .iter()
            .map(|suite| sealed_envelope(keys, &bundle, *suite, &inner))
            .collect::<Outcome<Vec<_>>>()?;
        let padding = [0, 1, 508, 509, 1020, 1021, 49_000].map(|inner_bytes: usize| {
            let padded_bytes = (inner_bytes + 4).next_power_of_two().max(512);
            json!({ "inner_bytes": inner_bytes, "padded_bytes": padded_bytes })
        });
        Ok(json!({
            "about": "Envelopes: taken apart (codec), refused, and sealed to ml_kem_key, rsa_key and \
                      mceliece_key of keys.json.",
            "codec": [codec(Suite::Full), codec(Suite::Small)],
            "refused": refused_envelopes(),
            "padding": padding,
            "sealed": sealed,
        }))
    }

    const PLAIN: ([u8; 156], [u8; 1088], [u8; 384]) = ([1; 156], [2; 1088], [3; 384]);

    fn plain_envelope(suite: Suite) -> (Header, Ciphertexts<'static>, Vec<u8>) {
        let header = Header {
            suite,
            message_id: message_id(),
            recipient_version: 258,
            recipient_digest: Sha512Digest([9; 64]),
        };
        let ciphertexts = Ciphertexts {
            mceliece: (suite == Suite::Full).then_some(&PLAIN.0[..]),
            ml_kem: &PLAIN.1,
            rsa: &PLAIN.2,
        };
        let mut bytes = envelope::encode_header(&header, &ciphertexts);
        bytes.extend([4; 528]);
        (header, ciphertexts, bytes)
    }

    fn codec(suite: Suite) -> Value {
        let (header, ciphertexts, bytes) = plain_envelope(suite);
        json!({
            "suite": suite,
            "message_id": header.message_id,
            "recipient_version": header.recipient_version,
            "recipient_digest": header.recipient_digest,
            "ciphertexts": ciphertexts_json(&ciphertexts),
            "header_bytes": bytes.len() - 528,
            "sealed": encode_base64(&[4; 528]),
            "envelope": encode_base64(&bytes),
        })
    }

    fn refused_envelopes() -> Value {
        let bytes = plain_envelope(Suite::Small).2;
        let case = |why: &str, change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = bytes.clone();
            change(&mut bytes);
            json!({ "why": why, "envelope": encode_base64(&bytes) })
        };
        json!([
            case("empty", &|b| b.clear()),
            case("version 2", &|b| b[0] = 2),
            case("suite 9", &|b| b[1] = 9),
            case("suite 1 without a McEliece ciphertext", &|b| b[1] = 1),
            case("an ML-KEM ciphertext of another length", &|b| b[87] ^= 1),
            case("cut within the header", &|b| b.truncate(600)),
            case("one byte less", &|b| b.truncate(b.len() - 1)),
            case("one byte more", &|b| b.push(4)),
            case("less than 512 padded bytes", &|b| b.truncate(b.len() - 256)),
        ])
    }

    fn sealed_envelope(keys: &Keys, bundle: &KeyBundle, suite: Suite, inner: &[u8]) -> Outcome<Value> {
        let recipient =
            RecipientKeys::of_bundle(bundle, Some(&keys.mceliece_public)).ok_or("another McEliece key")?;
        let bytes = seal::seal(suite, &recipient, message_id(), inner)?;
        let opened = envelope::decode(&bytes)?;
        let (secrets, material) = recover(&keys.private(suite)?, &opened.ciphertexts)?;
        let info = [&b"momedo message key v1"[..], &[suite.number()], &message_id().0].concat();
        Ok(json!({
            "suite": suite,
            "message_id": message_id(),
            "recipient_version": recipient.version,
            "recipient_digest": recipient.digest,
            "sender_key": "sender_signature_key",
            "inner": std::str::from_utf8(inner)?,
            "ciphertexts": ciphertexts_json(&opened.ciphertexts),
            "shared_secrets": secrets,
            "derivation": derivation(&material, &opened.ciphertexts, &recipient.digest, &info),
            "nonce": encode_hex(&[0; 12]),
            "header_bytes": opened.header_bytes.len(),
            "envelope": encode_base64(&bytes),
        }))
    }

    fn possession(keys: &Keys) -> Outcome<Value> {
        let bundle = KeyBundle::verify(&bundle_payload(keys).sign(&[keys.rsa("signature_key")]))?;
        let recipient =
            RecipientKeys::of_bundle(&bundle, Some(&keys.mceliece_public)).ok_or("another McEliece key")?;
        let context = PossessionContext { server: keys.home(), id: anna(), bundle_digest: bundle.digest };
        let challenges = Suite::ALL
            .iter()
            .map(|suite| {
                let (challenge, answer) = PossessionChallenge::make(*suite, &recipient, &context)?;
                let (secrets, material) = recover(&keys.private(*suite)?, &challenge.ciphertexts())?;
                let info = b"momedo key possession v1";
                Ok(json!({
                    "challenge": challenge,
                    "shared_secrets": secrets,
                    "derivation": derivation(&material, &challenge.ciphertexts(), &bundle.digest, info),
                    "answer": encode_base64(answer.bytes()),
                }))
            })
            .collect::<Outcome<Vec<_>>>()?;
        let signed = [&context.server.0[..], anna().to_string().as_bytes(), &bundle.digest.0].concat();
        Ok(json!({
            "about": "Possession challenges to ml_kem_key, rsa_key and mceliece_key of keys.json; the \
                      second is made as for a bundle without a McEliece key.",
            "server": context.server,
            "id": context.id,
            "bundle_digest": context.bundle_digest,
            "mac_input": encode_base64(&signed),
            "challenges": challenges,
        }))
    }
}
