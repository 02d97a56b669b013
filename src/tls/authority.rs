//! The local authority: made at first start, signs the leaf and the certificate that never changes.

use std::net::IpAddr;

use momedo_protocol::random;
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use momedo_protocol::time::{MADE_AFTER, UnixMillis};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

/// Days a leaf is valid: Apple's limit for certificates of private authorities is 825.
const LEAF_DAYS: i64 = 800;

/// Every leaf's dates lie on a grid of this many days from [`origin`], so that a clock that is a little
/// wrong changes nothing.
const LEAF_STEP_DAYS: i64 = 365;

/// Why certificates cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// rcgen refuses.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The stored keys are damaged.
    #[error("the stored identity is damaged: restore a backup")]
    Damaged,
}

/// The server's keys and certificates as they are stored: DER, one JSON object.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    #[serde(with = "as_base64")]
    authority_key: Vec<u8>,
    #[serde(with = "as_base64")]
    authority_certificate: Vec<u8>,
    /// What the authority's name constraints permit.
    permitted: Names,
    #[serde(with = "as_base64")]
    leaf_key: Vec<u8>,
    #[serde(with = "as_base64")]
    leaf_certificate: Vec<u8>,
    leaf_names: Names,
    leaf_window: LeafWindow,
    #[serde(with = "as_base64")]
    fixed_key: Vec<u8>,
    #[serde(with = "as_base64")]
    fixed_certificate: Vec<u8>,
    /// Whether leaf and authority have serial numbers of their own. Earlier ones followed from the key, so one
    /// issued anew had the number of the one before, and browsers that know both refuse it for good.
    #[serde(default)]
    own_serial_numbers: bool,
}

/// Bytes in the stored JSON.
mod as_base64 {
    use momedo_protocol::encoding::Base64Bytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        Base64Bytes(bytes.to_vec()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Base64Bytes::deserialize(deserializer).map(|bytes| bytes.0)
    }
}

/// Host names and addresses, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Names {
    /// Host names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub ip: Vec<IpAddr>,
}

impl Names {
    /// These and those, so that what an earlier certificate was issued for stays permitted.
    fn united(&self, other: &Names) -> Names {
        let mut both = Names {
            dns: self.dns.iter().chain(&other.dns).cloned().collect(),
            ip: self.ip.iter().chain(&other.ip).copied().collect(),
        };
        both.dns.sort();
        both.dns.dedup();
        both.ip.sort();
        both.ip.dedup();
        both
    }
}

/// Which step of the date grid a leaf belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeafWindow(i64);

/// 2025-01-01: before the first server ran, so no clock that is right is earlier.
fn origin() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(1_735_689_600)
}

impl LeafWindow {
    /// The newest window that began at least 30 days ago, so that clients whose clock lags accept it too. A
    /// clock before this program was made is wrong and counts as that day.
    pub fn at(now: UnixMillis) -> Self {
        let millis = i64::try_from(now.0.max(MADE_AFTER.0)).unwrap_or(i64::MAX);
        let days = (millis / 1000 - origin().unix_timestamp()) / 86_400 - 30;
        // 500 years: beyond it the clock is wrong, and dates would not fit certificates.
        Self((days / LEAF_STEP_DAYS).clamp(0, 500))
    }

    fn begins(self) -> OffsetDateTime {
        origin() + Duration::days(self.0 * LEAF_STEP_DAYS)
    }
}

impl Identity {
    /// The setting it is stored as, in JSON.
    pub const SETTING: &'static str = "identity";

    /// Makes a new identity: two RSA keys, so it takes a second or two.
    ///
    /// # Errors
    /// As [`AuthorityError`] says.
    pub fn generate(names: &Names, now: UnixMillis) -> Result<Self, AuthorityError> {
        let (authority_key, fixed_key) = std::thread::scope(|scope| {
            let other = scope.spawn(RsaPrivateKey::generate);
            (RsaPrivateKey::generate(), other.join())
        });
        let fixed_key = fixed_key.map_err(|_| AuthorityError::Damaged)?;
        Self::issue(names, now, [authority_key.pkcs8().to_vec(), fixed_key.pkcs8().to_vec()])
    }

    /// An identity with these RSA keys (PKCS #8, DER): the authority's, and that of the certificate that never changes.
    ///
    /// # Errors
    /// As [`AuthorityError`] says.
    pub fn issue(
        names: &Names,
        now: UnixMillis,
        [authority_key, fixed_key]: [Vec<u8>; 2],
    ) -> Result<Self, AuthorityError> {
        let leaf_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut identity = Self {
            authority_key,
            authority_certificate: Vec::new(),
            permitted: names.clone(),
            leaf_key: leaf_key.serialize_der(),
            leaf_certificate: Vec::new(),
            leaf_names: Names::default(),
            leaf_window: LeafWindow(0),
            fixed_key,
            fixed_certificate: Vec::new(),
            own_serial_numbers: true,
        };
        identity.issue_authority()?;
        identity.issue_leaf(names, LeafWindow::at(now))?;
        let key = rsa_key_pair(&identity.fixed_key)?;
        let mut parameters = leaf_parameters(names);
        parameters.not_before = origin();
        parameters.not_after = origin() + Duration::days(365 * 60);
        identity.fixed_certificate = identity.sign(&parameters, &key)?;
        Ok(identity)
    }

    /// The identity key, for signatures.
    ///
    /// # Errors
    /// [`AuthorityError::Damaged`].
    pub fn key(&self) -> Result<RsaPrivateKey, AuthorityError> {
        RsaPrivateKey::from_pkcs8(&self.authority_key).map_err(|_| AuthorityError::Damaged)
    }

    /// Issues a new leaf with the same key if names changed or another date window is the clock's; a clock
    /// that was wrong for a while does no lasting harm. True when something changed, so that it must be stored.
    ///
    /// # Errors
    /// As [`AuthorityError`] says.
    pub fn renew(&mut self, names: &Names, now: UnixMillis) -> Result<bool, AuthorityError> {
        let window = LeafWindow::at(now);
        if self.own_serial_numbers && self.leaf_names == *names && self.leaf_window == window {
            return Ok(false);
        }
        let covered = names.dns.iter().all(|name| self.permitted.dns.contains(name))
            && names.ip.iter().all(|ip| is_private(*ip) || self.permitted.ip.contains(ip));
        if !covered {
            // Same key, so the same identity; only devices that installed the certificate see a new one.
            tracing::info!("this server has new names: its authority's certificate is issued anew");
            self.permitted = self.permitted.united(names);
        }
        if !covered || !self.own_serial_numbers {
            self.issue_authority()?;
            self.own_serial_numbers = true;
        }
        self.issue_leaf(names, window)?;
        Ok(true)
    }

    fn issue_authority(&mut self) -> Result<(), AuthorityError> {
        let key = rsa_key_pair(&self.authority_key)?;
        let certificate = self.authority_parameters().self_signed(&key)?;
        self.authority_certificate = certificate.der().to_vec();
        Ok(())
    }

    fn issue_leaf(&mut self, names: &Names, window: LeafWindow) -> Result<(), AuthorityError> {
        let key = KeyPair::from_pkcs8_der_and_sign_algo(
            &PrivatePkcs8KeyDer::from(self.leaf_key.as_slice()),
            &rcgen::PKCS_ECDSA_P256_SHA256,
        )?;
        let mut parameters = leaf_parameters(names);
        parameters.not_before = window.begins();
        parameters.not_after = window.begins() + Duration::days(LEAF_DAYS);
        self.leaf_certificate = self.sign(&parameters, &key)?;
        self.leaf_names = names.clone();
        self.leaf_window = window;
        Ok(())
    }

    fn sign(&self, parameters: &CertificateParams, key: &KeyPair) -> Result<Vec<u8>, AuthorityError> {
        let authority_key = rsa_key_pair(&self.authority_key)?;
        let authority = self.authority_parameters();
        let issuer = Issuer::from_params(&authority, &authority_key);
        Ok(parameters.signed_by(key, &issuer)?.der().to_vec())
    }

    fn authority_parameters(&self) -> CertificateParams {
        let mut parameters = parameters("momedo server authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.not_before = origin();
        parameters.not_after = origin() + Duration::days(365 * 60);
        // Whoever installs this authority trusts it for this server and private networks, for nothing else.
        let names = self.permitted.dns.iter().cloned().map(GeneralSubtree::DnsName);
        let public = self.permitted.ip.iter().filter(|ip| !is_private(**ip)).map(|ip| {
            let bits = if ip.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*ip, bits))
        });
        let private = PRIVATE_NETWORKS
            .iter()
            .map(|(network, bits)| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*network, *bits)));
        parameters.name_constraints = Some(NameConstraints {
            permitted_subtrees: names.chain(public).chain(private).collect(),
            excluded_subtrees: Vec::new(),
        });
        parameters
    }

    /// The chain and key for clients that speak ALPN.
    pub fn leaf(&self) -> (Vec<CertificateDer<'static>>, Vec<u8>) {
        (self.chain(&self.leaf_certificate), self.leaf_key.clone())
    }

    /// The chain and key for clients without ALPN; never changes.
    pub fn fixed(&self) -> (Vec<CertificateDer<'static>>, Vec<u8>) {
        (self.chain(&self.fixed_certificate), self.fixed_key.clone())
    }

    /// The certificate of the authority itself.
    pub fn authority(&self) -> CertificateDer<'static> {
        self.authority_certificate.clone().into()
    }

    fn chain(&self, certificate: &[u8]) -> Vec<CertificateDer<'static>> {
        vec![certificate.to_vec().into(), self.authority_certificate.clone().into()]
    }
}

const fn v6(first: u16) -> IpAddr {
    IpAddr::V6(std::net::Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0))
}

const fn v4(a: u8, b: u8) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::new(a, b, 0, 0))
}

/// Loopback, private, shared and link-local networks (RFC 1918, 4193, 6598, 3927).
const PRIVATE_NETWORKS: [(IpAddr, u8); 9] = [
    (v4(127, 0), 8),
    (v4(10, 0), 8),
    (v4(172, 16), 12),
    (v4(192, 168), 16),
    (v4(100, 64), 10),
    (v4(169, 254), 16),
    (IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), 128),
    (v6(0xfc00), 7),
    (v6(0xfe80), 10),
];

/// Whether an address is loopback, private, shared or link-local.
pub(crate) fn is_private(address: IpAddr) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    PRIVATE_NETWORKS.iter().any(|(network, prefix)| {
        network.is_ipv4() == address.is_ipv4()
            && (bits(*network) ^ bits(address)).leading_zeros() >= u32::from(*prefix)
    })
}

pub(super) fn rsa_key_pair(pkcs8: &[u8]) -> Result<KeyPair, AuthorityError> {
    let der = PrivatePkcs8KeyDer::from(pkcs8);
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA512)?)
}

/// What every certificate begins with: a name, and a random serial number (RFC 5280, 4.1.2.2), since rcgen's own
/// follows from the key and comes again with it.
pub(super) fn parameters(common_name: &str) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    let mut serial = random::bytes::<16>();
    // Positive, and of one length.
    serial[0] = serial[0] & 0x3f | 0x40;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    parameters
}

fn leaf_parameters(names: &Names) -> CertificateParams {
    let mut parameters = parameters("momedo server");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    let dns = names.dns.iter().filter_map(|name| name.clone().try_into().ok().map(SanType::DnsName));
    parameters.subject_alt_names = dns.chain(names.ip.iter().copied().map(SanType::IpAddress)).collect();
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Names {
        Names { dns: vec![name.to_owned()], ip: Vec::new() }
    }

    /// An identity with stored keys.
    fn identity() -> Identity {
        let keys = std::array::from_fn(|index| momedo_testing::stored_keys::pkcs8()[index].clone());
        Identity::issue(&named("chat.wald.example"), MADE_AFTER, keys).unwrap()
    }

    /// Serial numbers of leaf, authority and the certificate that never changes.
    fn serial_numbers(identity: &Identity) -> [Vec<u8>; 3] {
        [&identity.leaf_certificate, &identity.authority_certificate, &identity.fixed_certificate].map(
            |der| {
                let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
                certificate.raw_serial().to_vec()
            },
        )
    }

    #[test]
    fn what_is_issued_anew_has_another_serial_number() {
        let mut identity = identity();
        let [leaf, authority, fixed] = serial_numbers(&identity);
        assert!(identity.renew(&named("schule.wald.example"), MADE_AFTER).unwrap());
        let [new_leaf, new_authority, same] = serial_numbers(&identity);
        assert_ne!(leaf, new_leaf);
        assert_ne!(authority, new_authority);
        assert_eq!(fixed, same);
        assert!([leaf, authority, fixed].iter().all(|serial| serial.len() == 16 && serial[0] & 0xc0 == 0x40));
    }

    #[test]
    fn an_identity_from_before_is_mended_by_one_reissue() {
        let old = identity();
        let mut json = serde_json::to_value(&old).unwrap();
        json.as_object_mut().unwrap().remove("own_serial_numbers");
        let mut identity: Identity = serde_json::from_value(json).unwrap();
        let names = named("chat.wald.example");
        assert!(identity.renew(&names, MADE_AFTER).unwrap());
        let ([leaf, authority, fixed], before) = (serial_numbers(&identity), serial_numbers(&old));
        assert!(leaf != before[0] && authority != before[1] && fixed == before[2]);
        assert!(!identity.renew(&names, MADE_AFTER).unwrap());
    }

    #[test]
    fn windows_follow_the_calendar_and_begin_with_this_program() {
        let at = |days: i64| {
            let seconds = origin().unix_timestamp() + days * 86_400;
            LeafWindow::at(UnixMillis(u64::try_from(seconds * 1000).unwrap()))
        };
        assert_eq!(LeafWindow::at(UnixMillis(0)), LeafWindow::at(MADE_AFTER));
        assert_eq!(at(759), LeafWindow(1));
        assert_eq!(at(760), LeafWindow(2));
        // A leaf is renewed more than a year before it ends.
        const { assert!(LEAF_DAYS - (LEAF_STEP_DAYS + 30) > 365) };
        assert_eq!(LeafWindow::at(UnixMillis(u64::MAX)), LeafWindow(500));
    }

    #[test]
    fn private_networks_are_recognised() {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.178.1",
            "100.64.0.9",
            "::1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(is_private(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::2"] {
            assert!(!is_private(ip.parse().unwrap()), "{ip}");
        }
    }
}
