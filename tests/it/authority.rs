//! A public authority on loopback: the part of RFC 8555 that a client needs, believing nothing. It checks
//! every signature and nonce, and names by really connecting to where they are said to lead.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use momedo_protocol::encoding::encode_hex;
use momedo_protocol::random;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, IsCa, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// What the authority does wrong, or refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Everything is as it should be.
    Good,
    /// Too many orders.
    RateLimited,
    /// Issues for a key that is not the one asked for.
    WrongKey,
    /// Issues for another name.
    WrongName,
    /// Issues what is no certificate.
    Garbage,
    /// Forgot every account.
    Forgetful,
}

/// The authority; it ends with the test.
pub(crate) struct Authority {
    pub(crate) directory: String,
    /// Trusted by whoever is to reach it.
    pub(crate) root_file: PathBuf,
    root: CertificateDer<'static>,
    state: Arc<Mutex<State>>,
}

struct State {
    base: String,
    mood: Mood,
    /// Where every name leads.
    target: String,
    lifetime: Duration,
    nonces: HashSet<String>,
    /// Public keys (X9.62) by account URL.
    accounts: HashMap<String, (Vec<u8>, String)>,
    contacts: Vec<Value>,
    orders: HashMap<String, Order>,
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// How often each path was asked for.
    seen: Vec<String>,
}

struct Order {
    names: Vec<String>,
    tokens: Vec<String>,
    valid: Vec<bool>,
    error: Option<Value>,
    chain: Option<String>,
}

impl Authority {
    /// Starts one whose names all lead to `target`, `host:port`.
    pub(crate) fn start(folder: &Path, target: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let root_file = folder.join("authority.pem");
        std::fs::write(&root_file, issuer.pem()).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        let root = issuer.der().clone();
        let state = Arc::new(Mutex::new(State {
            base: base.clone(),
            mood: Mood::Good,
            target: target.to_owned(),
            lifetime: Duration::from_secs(90 * 86_400),
            nonces: HashSet::new(),
            accounts: HashMap::new(),
            contacts: Vec::new(),
            orders: HashMap::new(),
            issuer,
            seen: Vec::new(),
        }));
        let (shared, config) = (state.clone(), Arc::new(config));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, config) = (shared.clone(), config.clone());
                thread::spawn(move || serve(&shared, config, stream.unwrap()));
            }
        });
        Self { directory: format!("{base}/directory"), root_file, root, state }
    }

    pub(crate) fn is(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// Where names lead from now on.
    pub(crate) fn leads_to(&self, target: &str) {
        self.state.lock().unwrap().target = target.to_owned();
    }

    /// How long certificates hold from now on.
    pub(crate) fn issues_for(&self, lifetime: Duration) {
        self.state.lock().unwrap().lifetime = lifetime;
    }

    /// How many accounts there are.
    pub(crate) fn accounts(&self) -> usize {
        self.state.lock().unwrap().accounts.len()
    }

    /// What accounts gave as their contact.
    pub(crate) fn contacts(&self) -> Vec<Value> {
        self.state.lock().unwrap().contacts.clone()
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().seen.len()
    }

    /// Whether a client that trusts only this authority takes what `address` shows for `name`.
    pub(crate) fn vouches(&self, address: &str, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tcp = TcpStream::connect(address).unwrap();
        while connection.is_handshaking() {
            if connection.complete_io(&mut tcp).is_err() {
                return false;
            }
        }
        true
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// One request, one answer.
fn serve(state: &Mutex<State>, config: Arc<ServerConfig>, tcp: TcpStream) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    let (head, body) = loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
        }
        let text = String::from_utf8(read.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut state = state.lock().unwrap();
    state.seen.push(path.to_owned());
    let answer = state.answer(method, path, &head, &body).unwrap_or_else(|problem| problem);
    let nonce = state.nonce();
    drop(state);
    let Answer { status, location, retry_after, kind, body } = answer;
    let mut head = format!(
        "HTTP/1.1 {status} x\r\nReplay-Nonce: {nonce}\r\nContent-Type: {kind}\r\nConnection: close\r\n\
         Content-Length: {}\r\n",
        body.len()
    );
    for (name, value) in [("Location", location), ("Retry-After", retry_after)] {
        if let Some(value) = value {
            head += &format!("{name}: {value}\r\n");
        }
    }
    let body = if method == "HEAD" { String::new() } else { body };
    // Whoever asked may have been stopped.
    let _: Result<_, _> = stream.write_all(format!("{head}\r\n{body}").as_bytes());
    stream.conn.send_close_notify();
    let _: Result<_, _> = stream.flush();
}

struct Answer {
    status: u16,
    location: Option<String>,
    retry_after: Option<String>,
    kind: &'static str,
    body: String,
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer { status, location: None, retry_after: None, kind: "application/json", body: body.to_string() }
}

fn problem(status: u16, kind: &str, detail: &str) -> Answer {
    let body = json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail });
    Answer { kind: "application/problem+json", ..answer(status, &body) }
}

/// A request whose signature and nonce were right.
struct Signed {
    payload: Value,
    /// The key's thumbprint (RFC 7638).
    thumbprint: String,
    key: Vec<u8>,
    account: Option<String>,
}

impl State {
    fn nonce(&mut self) -> String {
        let nonce = encode_hex(&random::bytes::<12>());
        self.nonces.insert(nonce.clone());
        nonce
    }

    fn answer(&mut self, method: &str, path: &str, head: &str, body: &str) -> Result<Answer, Answer> {
        let base = self.base.clone();
        if (method, path) == ("GET", "/directory") {
            return Ok(answer(
                200,
                &json!({
                    "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"),
                    "newOrder": format!("{base}/order"), "revokeCert": format!("{base}/revoke"),
                    "keyChange": format!("{base}/key"),
                }),
            ));
        }
        if (method, path) == ("HEAD", "/nonce") {
            return Ok(answer(200, &json!({})));
        }
        if method != "POST" || !head.to_ascii_lowercase().contains("content-type: application/jose+json") {
            return Err(problem(405, "malformed", "only signed requests are taken"));
        }
        let signed = self.verify(&format!("{base}{path}"), body)?;
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts[..] {
            ["account"] => self.account(signed),
            ["order"] => self.order(&signed),
            ["order", id] => self.order_state(id),
            ["authorization", id, index] => self.authorization(id, index),
            ["challenge", id, index, kind] => self.challenge(&signed, id, index, kind),
            ["finalize", id] => self.finalize(&signed, id),
            ["certificate", id] => {
                let chain = self.orders.get(id).and_then(|order| order.chain.clone());
                let body = chain.ok_or_else(|| problem(404, "malformed", "there is no certificate"))?;
                Ok(Answer { kind: "application/pem-certificate-chain", body, ..answer(200, &json!({})) })
            }
            _ => Err(problem(404, "malformed", "there is nothing here")),
        }
    }

    /// Checks a JWS as RFC 8555, section 6, has it.
    fn verify(&mut self, url: &str, body: &str) -> Result<Signed, Answer> {
        let malformed = |what: &str| problem(400, "malformed", what);
        let jws: Value = serde_json::from_str(body).map_err(|_| malformed("no JSON"))?;
        let part = |name: &str| jws[name].as_str().unwrap_or_default().to_owned();
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed("no base64url"));
        let header: Value =
            serde_json::from_slice(&decode(&part("protected"))?).map_err(|_| malformed("no header"))?;
        let nonce = header["nonce"].as_str().unwrap_or_default();
        if !self.nonces.remove(nonce) {
            return Err(problem(400, "badNonce", "this nonce is unknown or used up"));
        }
        if header["url"] != url || header["alg"] != "ES256" {
            return Err(problem(401, "unauthorized", "signed for another address"));
        }
        let coordinates = |jwk: &Value| -> Result<(Vec<u8>, String), Answer> {
            let text = |name: &str| jwk[name].as_str().unwrap_or_default().to_owned();
            let key = [vec![4], decode(&text("x"))?, decode(&text("y"))?].concat();
            let canonical =
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text("x"), text("y"));
            Ok((key, URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))))
        };
        let account = header["kid"].as_str().map(str::to_owned);
        let (key, thumbprint) = match &account {
            Some(account) if self.mood != Mood::Forgetful => self.accounts.get(account).cloned(),
            Some(_) => None,
            None => Some(coordinates(&header["jwk"])?),
        }
        .ok_or_else(|| problem(400, "accountDoesNotExist", "nobody of that name has an account"))?;
        let signed = format!("{}.{}", part("protected"), part("payload"));
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key)
            .verify(signed.as_bytes(), &decode(&part("signature"))?)
            .map_err(|_| problem(401, "unauthorized", "the signature is wrong"))?;
        let payload = decode(&part("payload"))?;
        let payload =
            if payload.is_empty() { Value::Null } else { serde_json::from_slice(&payload).unwrap() };
        Ok(Signed { payload, thumbprint, key, account })
    }

    fn account(&mut self, signed: Signed) -> Result<Answer, Answer> {
        if signed.account.is_some() || signed.payload["termsOfServiceAgreed"] != true {
            return Err(problem(403, "userActionRequired", "the terms were not agreed to"));
        }
        let location = format!("{}/account/{}", self.base, self.accounts.len() + 1);
        self.accounts.insert(location.clone(), (signed.key, signed.thumbprint));
        self.contacts.push(signed.payload["contact"].clone());
        Ok(Answer { location: Some(location), ..answer(201, &json!({ "status": "valid" })) })
    }

    fn order(&mut self, signed: &Signed) -> Result<Answer, Answer> {
        if self.mood == Mood::RateLimited {
            let limited = problem(429, "rateLimited", "too many certificates for this name");
            return Err(Answer { retry_after: Some("90000".into()), ..limited });
        }
        let names: Vec<String> = signed.payload["identifiers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|identifier| {
                assert_eq!(identifier["type"], "dns");
                identifier["value"].as_str().unwrap().to_owned()
            })
            .collect();
        let id = encode_hex(&random::bytes::<6>());
        let tokens = names.iter().map(|_| encode_hex(&random::bytes::<16>())).collect();
        let valid = vec![false; names.len()];
        self.orders.insert(id.clone(), Order { names, tokens, valid, error: None, chain: None });
        let location = format!("{}/order/{id}", self.base);
        Ok(Answer { status: 201, location: Some(location), ..self.order_state(&id)? })
    }

    fn order_state(&self, id: &str) -> Result<Answer, Answer> {
        let order = self.orders.get(id).ok_or_else(|| problem(404, "malformed", "no such order"))?;
        let base = &self.base;
        let status = match order {
            Order { error: Some(_), .. } => "invalid",
            Order { chain: Some(_), .. } => "valid",
            Order { valid, .. } if valid.iter().all(|valid| *valid) => "ready",
            _ => "pending",
        };
        let identifiers: Vec<Value> =
            order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let authorizations: Vec<String> =
            (0..order.names.len()).map(|index| format!("{base}/authorization/{id}/{index}")).collect();
        let mut state = json!({
            "status": status, "identifiers": identifiers, "authorizations": authorizations,
            "finalize": format!("{base}/finalize/{id}"),
        });
        if order.chain.is_some() {
            state["certificate"] = format!("{base}/certificate/{id}").into();
        }
        Ok(answer(200, &state))
    }

    fn challenge_json(&self, id: &str, index: usize, kind: &str) -> Value {
        let order = &self.orders[id];
        let status = match (&order.error, order.valid[index]) {
            (Some(_), _) => "invalid",
            (None, true) => "valid",
            (None, false) => "pending",
        };
        let mut challenge = json!({
            "type": kind, "url": format!("{}/challenge/{id}/{index}/{kind}", self.base),
            "token": order.tokens[index], "status": status,
        });
        if let Some(error) = &order.error {
            challenge["error"] = error.clone();
        }
        challenge
    }

    fn authorization(&self, id: &str, index: &str) -> Result<Answer, Answer> {
        let index: usize = index.parse().unwrap();
        let order = self.orders.get(id).ok_or_else(|| problem(404, "malformed", "no such order"))?;
        let challenges = ["http-01", "tls-alpn-01"].map(|kind| self.challenge_json(id, index, kind));
        Ok(answer(
            200,
            &json!({
                "identifier": { "type": "dns", "value": order.names[index] },
                "status": challenges[0]["status"], "challenges": challenges,
            }),
        ))
    }

    fn challenge(&mut self, signed: &Signed, id: &str, index: &str, kind: &str) -> Result<Answer, Answer> {
        let index: usize = index.parse().unwrap();
        let order = self.orders.get(id).ok_or_else(|| problem(404, "malformed", "no such order"))?;
        let (name, token) = (order.names[index].clone(), order.tokens[index].clone());
        let expected = format!("{token}.{}", signed.thumbprint);
        let checked = match kind {
            "http-01" => check_http(&self.target, &name, &token, &expected),
            _ => check_tls(&self.target, &name, &expected),
        };
        let order = self.orders.get_mut(id).unwrap();
        match checked {
            Ok(()) => order.valid[index] = true,
            Err(reason) => {
                let kind = "urn:ietf:params:acme:error:unauthorized";
                order.error = Some(json!({ "type": kind, "detail": reason, "status": 403 }));
            }
        }
        // As real ones do: the outcome is learned by polling.
        let mut shown = self.challenge_json(id, index, kind);
        shown.as_object_mut().unwrap().remove("error");
        shown["status"] = "processing".into();
        Ok(answer(200, &shown))
    }

    fn finalize(&mut self, signed: &Signed, id: &str) -> Result<Answer, Answer> {
        let order = self.orders.get(id).ok_or_else(|| problem(404, "malformed", "no such order"))?;
        if !order.valid.iter().all(|valid| *valid) {
            return Err(problem(403, "orderNotReady", "not every name was checked"));
        }
        let csr = URL_SAFE_NO_PAD.decode(signed.payload["csr"].as_str().unwrap()).unwrap();
        let mut csr = CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
        let asked: HashSet<String> = csr
            .params
            .subject_alt_names
            .iter()
            .map(|name| match name {
                rcgen::SanType::DnsName(name) => name.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        if asked != order.names.iter().cloned().collect() {
            return Err(problem(403, "badCSR", "the names are not those of the order"));
        }
        let begins = SystemTime::now() - Duration::from_secs(3600);
        csr.params.not_before = begins.into();
        csr.params.not_after = (begins + self.lifetime).into();
        let other = KeyPair::generate().unwrap();
        let chain = match self.mood {
            Mood::Garbage => "no certificate\n".to_owned(),
            Mood::WrongKey => csr.params.signed_by(&other, &self.issuer).unwrap().pem(),
            Mood::WrongName => {
                csr.params.subject_alt_names =
                    vec![rcgen::SanType::DnsName("other.example".try_into().unwrap())];
                csr.signed_by(&self.issuer).unwrap().pem()
            }
            _ => csr.signed_by(&self.issuer).unwrap().pem() + &self.issuer.pem(),
        };
        self.orders.get_mut(id).unwrap().chain = Some(chain);
        self.order_state(id)
    }
}

fn check_http(target: &str, name: &str, token: &str, expected: &str) -> Result<(), String> {
    let path = format!("/.well-known/acme-challenge/{token}");
    let mut tcp = TcpStream::connect(target).map_err(|error| format!("{target}: {error}"))?;
    tcp.write_all(format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut text = String::new();
    tcp.read_to_string(&mut text).map_err(|error| error.to_string())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    if head.starts_with("HTTP/1.1 200 ") && body.trim_end() == expected {
        return Ok(());
    }
    Err(format!("{path} answers {}", head.lines().next().unwrap_or_default()))
}

/// As RFC 8737, section 3, has it.
fn check_tls(target: &str, name: &str, expected: &str) -> Result<(), String> {
    let config = momedo_testing::client_config(rustls::DEFAULT_VERSIONS, &[b"acme-tls/1"]).unwrap();
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), server).unwrap();
    let mut tcp = TcpStream::connect(target).map_err(|error| format!("{target}: {error}"))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut tcp).map_err(|error| error.to_string())?;
    }
    if connection.alpn_protocol() != Some(b"acme-tls/1") {
        return Err("another protocol was chosen".into());
    }
    let certificate = connection.peer_certificates().unwrap()[0].clone();
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).map_err(|error| error.to_string())?;
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    if names.value.general_names != [x509_parser::extensions::GeneralName::DNSName(name)] {
        return Err("the certificate is for other names".into());
    }
    let identifier = x509_parser::oid_registry::asn1_rs::oid!(1.3.6.1.5.5.7.1.31);
    let extension = parsed.get_extension_unique(&identifier).unwrap().ok_or("no acmeIdentifier")?;
    let wanted = [&[4, 32], digest(&SHA256, expected.as_bytes()).as_ref()].concat();
    if !extension.critical || extension.value != wanted {
        return Err("the acmeIdentifier is not the one".into());
    }
    Ok(())
}
