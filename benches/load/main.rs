//! The load tool: drives a real server over TLS and prints one line of JSON per figure.
//!
//! `cargo bench --bench load -- --help` lists the figures. The server is this workspace's own release
//! build with a temporary data directory on loopback; rate limits are raised, which the first line says.
#![allow(clippy::unwrap_used, reason = "a tool for developers: a failure is its result")]

mod across;
mod attachment;
mod figures;
mod flood;
mod groups;
#[path = "../../tests/it/hostile_link.rs"]
mod hostile_link;
#[path = "../../tests/it/http2.rs"]
#[allow(dead_code, reason = "the tests read what the server says")]
mod http2;
mod keys;
#[path = "../../tests/it/line.rs"]
#[allow(dead_code, reason = "the tests make it fail in more ways")]
mod line;
mod malice;
mod pages;
mod people;
mod receiving;
mod second_home;
mod smoke;
mod subject;

use serde_json::json;

/// One figure: its name, what it is, and how it is taken.
type Figure = (&'static str, &'static str, fn(&tokio::runtime::Runtime));

const FIGURES: [Figure; 20] = [
    ("start", "start-up time, and memory of an idle server", figures::start),
    ("live", "live 1:1, 50 pairs, window 4: messages/s and server CPU", figures::live),
    ("latency", "live 1:1, one pair, window 1: p50 and p99", figures::latency),
    ("store", "store to offline recipients: messages/s", figures::store),
    ("drain", "drain what waits: messages/s", figures::drain),
    ("fan-out", "one sender to 30 and 1,000 online recipients: time to the last", figures::fan_out),
    ("groups", "a posting to 30 and 1,000 members: time to the last, deliveries/s", groups::posting),
    ("group-growth", "bytes that a posting to 30 members costs", groups::growth),
    ("new-key", "a new group key for 30, 300, 2,000 members (GROUP_MEMBERS changes that)", groups::new_key),
    ("attachment", "100 MB over a line that is cut ten times each way: time, memory", attachment::attachment),
    ("login", "log-ins/s and server CPU per log-in", figures::log_in),
    ("idle", "memory per idle authenticated stream (10,000; IDLE_STREAMS changes that)", figures::idle),
    ("pages", "admin pages with 2,000 people and 100 classes: median time of each", pages::pages),
    (
        "smoke",
        "the Smoke gateway with 10, 100 and 1,000 participants: messages/s and server CPU",
        smoke::smoke,
    ),
    (
        "across",
        "over one link between two servers beside inside one: messages/s, latency, idle bytes",
        across::across,
    ),
    (
        "flood",
        "a neighbour floods ten times over its contract, then without end: what others' messages notice",
        flood::flood,
    ),
    (
        "malice",
        "attacks at the default limits: what others' messages notice, and the memory it takes (MALICE names some)",
        malice::malice,
    ),
    (
        "second-home",
        "messages inside a server whose people have a second home: without it, with it, while it is away",
        second_home::second_home,
    ),
    (
        "receiving",
        "what a client takes for each message that waited, direct and of a group (RECEIVED_MESSAGES changes how many)",
        receiving::receiving,
    ),
    ("disk", "bytes written to disk per envelope, stored and acknowledged", figures::disk),
];

fn main() {
    // Cargo passes `--bench`; what remains are names of figures.
    let names: Vec<String> = std::env::args().skip(1).filter(|name| name != "--bench").collect();
    if names.iter().any(|name| name == "--help") {
        println!("cargo bench --bench load -- [FIGURE]...");
        FIGURES.iter().for_each(|(name, what, _)| println!("  {name:<12} {what}"));
        return;
    }
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    println!(
        "{}",
        json!({ "note": "rate limits, streams per device and connections per address are raised",
                "envelope_bytes": people::ENVELOPE_BYTES, "settings": subject::SETTINGS })
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for (name, _, take) in FIGURES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            take(&runtime);
        }
    }
}
