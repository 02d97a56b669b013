//! The caretaker case: a script reports a broken bulb to the caretaker.
//!
//! The building's software has a profile of its own, made once with
//! `momedo user register --invite LINK --profile building`. Then:
//!
//! ```text
//! cargo run --example bulb_notice -- building M8N22HT6 "room 12" "hall lamp 3"
//! ```
//!
//! Success means that the notice is on the server's disk; the caretaker's phone may be off.

use std::process::ExitCode;
use std::time::Duration;

use momedo_client::sending;

/// How long to try again while the server cannot be reached.
const WAIT: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [profile, caretaker, place, lamp] = arguments.as_slice() else {
        eprintln!("usage: bulb_notice PROFILE CARETAKER-ID PLACE LAMP");
        return ExitCode::from(2);
    };
    match report(profile, caretaker, place, lamp).await {
        Ok(()) => {
            println!("reported");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("not reported: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn report(
    profile: &str,
    caretaker: &str,
    place: &str,
    lamp: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let profile = momedo_client_native::profiles::open(profile.as_ref(), None)?;
    let caretaker = caretaker.parse()?;
    let text = format!("Bitte Leuchtmittel tauschen: {lamp}, {place}");
    sending::send_text(&profile, caretaker, &text, WAIT, "de", &|_| {}).await?;
    Ok(())
}
