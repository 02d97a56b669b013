//! Figures of the client in a browser, printed: `cargo test --test it worker_figures:: -- --ignored --nocapture`. The worker's
//! code is the same in every profile; the server's is not, so figures that count are taken with `--release`.

use std::time::Duration;

use momedo_client::sending::{Destination, Draft, send};
use serde_json::Value;

use crate::harness::Server;
use crate::shells::Shell;

/// Turns of what is measured several times.
const TURNS: usize = 10;

/// Messages that wait; a device logs in 512 times a minute at most, and each takes one log-in to send.
const MESSAGES: usize = 400;

fn median(mut times: Vec<f64>) -> (f64, f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0], times[times.len() - 1])
}

/// Milliseconds that a script says something took.
async fn timed(shell: &Shell<'_>, body: &str) -> f64 {
    let Shell::Worker(browser) = shell else { panic!("it is no browser") };
    let script = format!(
        r#"
        const done = arguments[arguments.length - 1];
        (async () => {{
            const page = document.querySelector("script[type=module]").src;
            const {{ Line }} = await import(page.replace("page.js", "line.js"));
            {body}
        }})().then(done, (error) => done(String(error)));
        "#
    );
    let answer: Value = browser.client.execute_async(&script, vec![]).await.unwrap();
    answer.as_f64().unwrap_or_else(|| panic!("{answer}"))
}

async fn fresh(server: &Server) -> Shell<'_> {
    Shell::worker(server).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn from_an_invite_to_registered() {
    let server = Server::start();
    let mut times = Vec::new();
    for turn in 0..TURNS {
        let shell = fresh(&server).await;
        let invite = server.invite().to_string();
        let body = format!(
            r#"
            const begun = performance.now();
            globalThis.line = new Line();
            await globalThis.line.open("en");
            await globalThis.line.run(["user", "register", "--invite", {invite:?}, "--name", "Nr. {turn}"]);
            return performance.now() - begun;
            "#
        );
        times.push(timed(&shell, &body).await);
    }
    let (median, least, most) = median(times);
    println!("from an invite to registered: median {median:.0} ms of {TURNS} ({least:.0} to {most:.0})");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn mail_that_waited_and_a_warm_start() {
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = fresh(&server).await;
    let ben_id = ben.register(&server, "Ben").await;
    let to = Destination::Participant(ben_id.parse().unwrap());
    let say = async |text: &str| {
        send(&ada, to, &Draft::text(text), Duration::from_secs(60), "en", &|_| {}).await.unwrap();
    };
    let receive = r#"
        const begun = performance.now();
        await globalThis.line.run(["receive"]);
        return performance.now() - begun;
    "#;
    let mut ones = Vec::new();
    for turn in 0..TURNS {
        say(&format!("eins {turn}")).await;
        ones.push(timed(&ben, receive).await);
    }
    let nothing = timed(&ben, receive).await;
    let (median_one, least, most) = median(ones);
    println!(
        "receiving one message: median {median_one:.0} ms ({least:.0} to {most:.0}); with none waiting {nothing:.0} ms"
    );
    for number in 0..MESSAGES {
        say(&format!("Nachricht {number}")).await;
    }
    let all = timed(&ben, receive).await;
    println!("{MESSAGES} that waited: {all:.0} ms, {:.1} ms each", all / MESSAGES as f64);
    let mut starts = Vec::new();
    for _ in 0..TURNS {
        let body = r#"
            globalThis.line.kill();
            const begun = performance.now();
            globalThis.line = new Line();
            await globalThis.line.open("en");
            await globalThis.line.run(["keys", "show"]);
            return performance.now() - begun;
        "#;
        starts.push(timed(&ben, body).await);
    }
    let (median_start, least, most) = median(starts);
    println!(
        "a warm start with {} messages taken: median {median_start:.0} ms ({least:.0} to {most:.0})",
        MESSAGES + TURNS
    );
}
