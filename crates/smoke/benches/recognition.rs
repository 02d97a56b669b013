//! What it costs to find out what a Smoke frame is, by the number of participants.
//!
//! `cargo bench -p momedo-smoke --bench recognition` prints one line of JSON per case. Payloads are as large as a chat message's
//! of the original app (960 bytes); there are two named ozones, and everybody is connected.
#![allow(clippy::unwrap_used, reason = "a tool for developers: a failure is its result")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use momedo_smoke::directory::{Directory, Ozone, Participant};
use momedo_smoke::key_stream::{KeyStream, STREAM_BYTES};
use momedo_smoke::mac::MacKey;
use momedo_smoke::recognition::{Hints, LiveIdentity, Price, Recognised, Search};
use momedo_smoke::smoke_id::SmokeId;
use momedo_smoke::{offline_copy, random};
use serde_json::json;

const NOW: u64 = 1_795_289_908_000;

/// How long each case is repeated.
const TIME: Duration = Duration::from_secs(1);

/// Somebody with an ID of random digits; deriving the keys is not what is measured.
fn participant(number: i64) -> Participant {
    let id: String = random::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
    let id: SmokeId = id.parse().unwrap();
    Participant::new(number, id, KeyStream::from_bytes(&random::<STREAM_BYTES>()))
}

/// What this thread used of a processor, so that a busy machine changes little; where the system says.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

fn case(participants: usize, name: &str, blocks: u64, mut work: impl FnMut() -> Option<Recognised>) {
    let (begun, cpu, mut count) = (Instant::now(), cpu_time(), 0u32);
    while begun.elapsed() < TIME {
        black_box(work());
        count += 1;
    }
    let used = cpu_time().zip(cpu).map_or(begun.elapsed(), |(after, before)| after - before);
    let microseconds = used.as_secs_f64() * 1e6 / f64::from(count);
    println!(
        "{}",
        json!({ "participants": participants, "case": name, "microseconds": (microseconds * 10.0).round() / 10.0,
                "nanoseconds_per_block": (microseconds * 1000.0 / blocks as f64).round() })
    );
}

fn main() {
    for count in [10, 100, 1_000] {
        let participants: Vec<Participant> = (0..count).map(participant).collect();
        let live: Vec<LiveIdentity> =
            participants.iter().map(|one| LiveIdentity::new(one.identity)).collect();
        let ozones = ["one", "two"].map(|name| Ozone { stream: KeyStream::of_ozone(name) });
        let directory = Directory::new(ozones.into(), participants);
        let body = random::<896>();
        let last = directory.participants().last().unwrap();
        let direct = MacKey::new(&last.identity).tag(&body);
        let state = directory.ozones()[1].stream.mac().start(&body);
        let copy = offline_copy::copy_tag(&state, &last.id, offline_copy::minute(NOW));
        let unknown = random::<64>();
        // Somebody who writes to twenty people, this one last.
        let mut hints = Hints::default();
        for one in directory.participants().iter().rev().take(20) {
            hints.note(one.identity);
        }
        let none = Hints::default();
        let people = directory.participants().len();
        for (name, tag) in [("direct message", &direct), ("offline copy", &copy), ("unknown", &unknown)] {
            let quick = || {
                let search = Search::new(&directory, &hints, (&body, tag), NOW);
                search.quick(&hints)
            };
            let full = || {
                let search = Search::new(&directory, &none, (&body, tag), NOW);
                search.quick(&none).or_else(|| search.full(&live))
            };
            let price = Price::of(&directory, &hints, live.len(), body.len() + 64);
            case(people, &format!("{name}, hinted"), price.quick, quick);
            case(people, &format!("{name}, full search"), price.full, full);
        }
    }
}
