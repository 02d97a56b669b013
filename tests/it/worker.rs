//! What the client's worker in a browser keeps, and that one tab at a time has it.

use std::time::Instant;

use momedo_client::sending::{Destination, Draft, send};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::{PATIENCE, Server};
use crate::shells::Shell;

/// The worker's browser.
fn browser<'a>(shell: &'a Shell<'_>) -> &'a Browser {
    match shell {
        Shell::Worker(browser) => browser,
        Shell::Program(..) => panic!("it is no browser"),
    }
}

/// What a script of the page resolves to.
async fn script(browser: &Browser, body: &str) -> Value {
    let script = format!(
        "const done = arguments[arguments.length - 1]; (async () => {{ {body} }})().then(done, (e) => done({{ error: String(e) }}));"
    );
    browser.client.execute_async(&script, vec![]).await.unwrap()
}

async fn reload(shell: &Shell<'_>, server: &Server) {
    let browser = browser(shell);
    browser.open("about:blank").await;
    browser.open(&format!("https://{}/client/", server.address)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_browser_keeps_outlasts_reloads_and_is_of_no_use_to_whoever_copies_its_file() {
    let server = Server::start();
    let (ada, ben) = (Shell::program(&server, "ada"), Shell::worker(&server).await);
    let ada_id = ada.register(&server, "Ada").await;
    let ben_id = ben.register(&server, "Ben").await;
    ada.one(&["send", "--to", &ben_id, "eins"]).await;
    reload(&ben, &server).await;
    assert_eq!(ben.one(&["keys", "show"]).await["id"], ben_id.as_str());
    assert_eq!(ben.texts().await, ["eins"]);
    reload(&ben, &server).await;
    assert!(ben.texts().await.is_empty(), "it came twice");
    assert_eq!(ben.one(&["send", "--to", &ada_id, "zwei"]).await["status"], "accepted");
    assert_eq!(ada.texts().await, ["zwei"]);
    // Nobody joins twice with one browser.
    let invite = server.invite().to_string();
    let again = ben.run(&["user", "register", "--invite", &invite]).await.unwrap_err();
    assert!(again.contains("joined with this browser already"), "{again}");

    // The file itself: once no worker has it.
    let found = script(
        browser(&ben),
        r#"
        globalThis.line.kill();
        const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("momedo");
        const bytes = new Uint8Array(await (await (await root.getFileHandle("profile")).getFile()).arrayBuffer());
        const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
        // An RSA key in PKCS #8 begins so, plain or in base64 of JSON.
        const names = ["\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x04\x82", "MIIG", "login-key"];
        return names.map((name) => text.includes(name));
        "#,
    )
    .await;
    assert_eq!(found, json!([false, false, true]), "a private key stands in the file");
    assert!(browser(&ben).violations().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tab_at_a_time_has_the_profile_and_another_can_take_it_over() {
    let server = Server::start();
    let ben = Shell::worker(&server).await;
    let ben_id = ben.register(&server, "Ben").await;
    let client = &browser(&ben).client;
    let first = client.window().await.unwrap();
    let second = client.new_window(true).await.unwrap().handle;
    client.switch_to_window(second.clone()).await.unwrap();
    browser(&ben).open(&format!("https://{}/client/", server.address)).await;
    let refused = script(
        browser(&ben),
        r#"
        const page = document.querySelector("script[type=module]").src;
        const { Line } = await import(page.replace("page.js", "line.js"));
        const line = new Line();
        const refused = await line.open("en").catch((error) => `${error.word}: ${error.message}`);
        line.kill();
        return refused;
        "#,
    )
    .await;
    let refused = refused.as_str().unwrap_or_default();
    assert!(refused.starts_with("open-elsewhere") && refused.contains("another tab"), "{refused}");

    let taken = script(
        browser(&ben),
        r#"
        const page = document.querySelector("script[type=module]").src;
        const { Line } = await import(page.replace("page.js", "line.js"));
        globalThis.line = new Line();
        await globalThis.line.open("en", true);
        return (await globalThis.line.run(["keys", "show"]))[0];
        "#,
    )
    .await;
    assert_eq!(taken["id"], ben_id.as_str(), "{taken}");
    client.switch_to_window(first).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while script(browser(&ben), "return globalThis.takenOver === true;").await != json!(true) {
        assert!(Instant::now() < deadline, "the first tab does not hear of it");
    }
    let refused = ben.run(&["keys", "show"]).await.unwrap_err();
    assert!(refused.starts_with("taken-over"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_at_any_moment_loses_nothing_and_shows_nothing_twice() {
    let server = Server::start();
    let (ada, ben) = (Shell::program(&server, "ada"), Shell::worker(&server).await);
    let ada_id = ada.register(&server, "Ada").await;
    let ben_id = ben.register(&server, "Ben").await;
    let (mut shown, mut sent) = (Vec::new(), Vec::new());
    for round in 0..12 {
        ada.one(&["send", "--to", &ben_id, &format!("an Ben {round}")]).await;
        // The worker ends so many milliseconds after it began to receive and to send; what it told of counts.
        let told = script(
            browser(&ben),
            &format!(
                r#"
                const page = document.querySelector("script[type=module]").src;
                const {{ Line }} = await import(page.replace("page.js", "line.js"));
                globalThis.line?.kill();
                const line = (globalThis.line = new Line());
                await line.open("en", true);
                const told = [];
                const work = (async () => {{
                    await line.run(["receive"], {{}}, (kind, value) => kind === "line" && told.push(value.text));
                    const [sent] = await line.run(["send", "--to", {ada_id:?}, "an Ada {round}"]);
                    told.push(`sent ${{sent.status}}`);
                }})().catch(() => {{}});
                await Promise.race([work, new Promise((end) => setTimeout(end, {}))]);
                line.kill();
                globalThis.line = undefined;
                return told;
                "#,
                round * 25
            ),
        )
        .await;
        for text in told.as_array().unwrap_or_else(|| panic!("{told}")) {
            match text.as_str().unwrap() {
                "sent accepted" => sent.push(format!("an Ada {round}")),
                text => shown.push(text.to_owned()),
            }
        }
    }
    shown.extend(ben.texts().await);
    let expected: Vec<_> = (0..12).map(|round| format!("an Ben {round}")).collect();
    // What was told in the moment of its death may be told once more, and nothing is lost.
    let mut once = shown.clone();
    once.sort_by_key(|text| expected.iter().position(|other| other == text));
    once.dedup();
    assert_eq!(once, expected);
    // What a killed worker left unanswered goes with the next message; nothing arrives twice.
    ben.one(&["send", "--to", &ada_id, "zuletzt"]).await;
    let got = ada.texts().await;
    let mut different = got.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), got.len(), "something arrived twice: {got:?}");
    for text in &sent {
        assert!(got.contains(text), "{text} was accepted and is lost: {got:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_is_told_from_the_one_that_was_invited_to_and_nothing_is_kept() {
    let server = Server::start();
    let ben = Shell::worker(&server).await;
    let invite = server.invite().to_string();
    let (before, fingerprint) = invite.rsplit_once('.').unwrap();
    let other = format!("{before}.{}", if fingerprint.starts_with("00") { "11" } else { "00" }.repeat(32));
    let refused = ben.run(&["user", "register", "--invite", &other, "--name", "Ben"]).await.unwrap_err();
    assert!(refused.starts_with("wrong-server"), "{refused}");
    // The invite is not used up, and the browser is free.
    ben.one(&["user", "register", "--invite", &invite, "--name", "Ben"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_without_room_says_so_and_takes_all_of_it_later() {
    const MESSAGES: usize = 30;
    let server = Server::start();
    let ada = server.register_profile(0, "ada").await;
    let ben = Shell::worker(&server).await;
    let ben_id = ben.register(&server, "Ben").await;
    let to = Destination::Participant(ben_id.parse().unwrap());
    for number in 0..MESSAGES {
        let text = format!("{number} {}", "ä".repeat(10_000));
        send(&ada, to, &Draft::text(&text), PATIENCE, "en", &|_| {}).await.unwrap();
    }
    let origin = format!("https://{}", server.address);
    let used = script(browser(&ben), "return (await navigator.storage.estimate()).usage;").await;
    browser(&ben).allow_bytes(&origin, Some(used.as_u64().unwrap() + 1)).await;
    let refused = ben.run(&["receive"]).await.unwrap_err();
    assert!(refused.starts_with("profile") && refused.contains("no room"), "{refused}");
    // What was there before is, and nothing of the rest is lost.
    assert_eq!(ben.one(&["keys", "show"]).await["id"], ben_id.as_str());
    browser(&ben).allow_bytes(&origin, None).await;
    let got = ben.texts().await;
    let numbers: Vec<_> = got.iter().map(|text| text.split(' ').next().unwrap().to_owned()).collect();
    let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
    assert!(expected.ends_with(&numbers), "{numbers:?}");
    assert!(ben.texts().await.is_empty());
}
