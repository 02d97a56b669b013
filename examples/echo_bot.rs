//! A bot that sends every text back to whoever wrote it.
//!
//! Make its profile once with `momedo user register --invite LINK --profile echo`, then:
//!
//! ```text
//! cargo run --example echo_bot -- echo
//! ```
//!
//! It answers only messages whose signature fits, never its own, and goes on when the server restarts. A
//! message counts as received once the bot has it; one that is killed in between answers once less.

use std::process::ExitCode;
use std::time::Duration;

use momedo_client::receiving::{self, Received};
use momedo_client::{ClientError, sending};

/// How long one look waits for something to arrive.
const LOOK: Duration = Duration::from_secs(50);

/// Pause after the server could not be reached.
const PAUSE: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: echo_bot PROFILE");
        return ExitCode::from(2);
    };
    loop {
        match serve(path.as_ref()).await {
            Err(error) if error.is_temporary() || error.problem() == Some("not-logged-in") => {
                eprintln!("trying again: {error}");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                eprintln!("stopped: {error}");
                return ExitCode::FAILURE;
            }
            Ok(never) => match never {},
        }
    }
}

async fn serve(path: &std::path::Path) -> Result<std::convert::Infallible, ClientError> {
    let profile = momedo_client_native::profiles::open(path, None)?;
    let own = profile.id()?;
    let mut session = profile.log_in("en").await?;
    println!("echoing as {own}");
    loop {
        let mut questions: Vec<Received> = Vec::new();
        receiving::receive(&profile, &mut session, LOOK, &mut |received| {
            questions.push(received.clone());
            Ok(())
        })
        .await?;
        for question in questions {
            if !question.verified || question.from == own {
                continue;
            }
            if let Some(text) = &question.text {
                sending::send_text(&profile, question.from, text, PAUSE * 5, "en", &|_| {}).await?;
            }
        }
    }
}
