//! The addresses that set-up offers: all this machine has, each with who reaches it, and a way for a phone to try it.

use std::net::{IpAddr, SocketAddr};

use momedo_texts::{Language, fill};

use super::sheets;
use crate::settings::config::Config;
use crate::state::AppState;
use crate::surroundings::addresses;
use crate::surroundings::interfaces::{self, Kind};
use crate::texts;

/// Most addresses that are offered; whoever has more knows what they are doing.
const MAX_ADDRESSES: usize = 12;

/// An address that was found, to be chosen.
pub(super) struct Address {
    pub(super) value: String,
    pub(super) is_chosen: bool,
    /// What it belongs to and who reaches it.
    pub(super) reach: String,
    /// A page that a phone can open to try it, and the same as a QR code; empty where no phone can.
    pub(super) trial: String,
    pub(super) qr: String,
}

/// The addresses and names this server may be reached at, the likeliest first and chosen. Off the async threads: the
/// operating system is asked, and codes take some milliseconds each.
pub(super) async fn offered(language: Language, app: &AppState) -> Vec<Address> {
    let (config, running) = (app.config(), app.listeners.running());
    tokio::task::spawn_blocking(move || addresses(language, &config, &running)).await.unwrap_or_default()
}

fn addresses(language: Language, config: &Config, running: &[SocketAddr]) -> Vec<Address> {
    let port = running.first().map_or(4710, SocketAddr::port);
    let found = addresses::for_links(config, running);
    let preferred = found.rsplit_once(':').map_or(&*found, |(host, _)| host).trim_matches(['[', ']']);
    let mut all = by_address(language, running);
    if running.iter().any(|address| address.ip().is_unspecified()) {
        all.extend(by_name(language, config));
    }
    let place = match all.iter().position(|one| one.value == preferred) {
        Some(place) => place,
        None => {
            all.insert(0, Found { value: preferred.to_owned(), reach: String::new(), may_be_tried: true });
            0
        }
    };
    all[..=place].rotate_right(1);
    let path = if language == Language::German { "vertrauen" } else { "trust" };
    let address = |(index, found): (usize, Found)| {
        let host = if found.value.contains(':') { format!("[{}]", found.value) } else { found.value.clone() };
        let trial = if found.may_be_tried { format!("https://{host}:{port}/{path}") } else { String::new() };
        let qr = if trial.is_empty() { String::new() } else { sheets::qr(&trial) };
        Address { value: found.value, is_chosen: index == 0, reach: found.reach, trial, qr }
    };
    all.into_iter().take(MAX_ADDRESSES).enumerate().map(address).collect()
}

struct Found {
    value: String,
    reach: String,
    may_be_tried: bool,
}

/// Those of this machine that are listened to, but for those that change every day or lead nowhere.
fn by_address(language: Language, running: &[SocketAddr]) -> Vec<Found> {
    let listens_everywhere = running.iter().any(|address| address.ip().is_unspecified());
    let is_served = |ip: IpAddr| listens_everywhere || running.iter().any(|address| address.ip() == ip);
    let lasts = |ip: IpAddr| !interfaces::is_of_link(ip) && (ip.is_ipv4() || crate::tls::is_private(ip));
    let served = interfaces::all()
        .into_iter()
        .filter(|at| is_served(at.ip) && lasts(at.ip) && !(at.kind == Kind::Loopback && listens_everywhere));
    let found = served.map(|at| {
        let key = match at.kind {
            Kind::Network => "set-up.reach-network",
            Kind::Vpn => "set-up.reach-vpn",
            Kind::Virtual => "set-up.reach-virtual",
            Kind::Loopback => "set-up.reach-loopback",
        };
        let reach = fill(texts::of(language).get(key), &[("0", at.name)]);
        Found { value: at.ip.to_string(), reach, may_be_tried: at.kind <= Kind::Vpn }
    });
    found.collect()
}

/// The names of this machine.
fn by_name(language: Language, config: &Config) -> impl Iterator<Item = Found> {
    addresses::names(config).into_iter().filter(|name| name != "localhost").map(move |name| {
        let key = if name.ends_with(".local") { "set-up.reach-local" } else { "set-up.reach-name" };
        Found { value: name, reach: texts::of(language).get(key).to_owned(), may_be_tried: true }
    })
}
