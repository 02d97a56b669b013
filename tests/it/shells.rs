//! The two shells of the one client, driven alike: the program with a profile in a folder, and the worker in a real browser.
//! Both take the command line's words and answer with its JSON.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::Server;

/// What a command came to: its lines, or the word of what went wrong.
pub(crate) type Outcome = Result<Vec<Value>, String>;

/// Somebody's side, in one of the shells.
pub(crate) enum Shell<'a> {
    /// The program, with a profile of this name.
    Program(&'a Server, String),
    /// The worker, in a browser with a profile of its own.
    Worker(Box<Browser>),
}

/// What asks the worker: opens it if need be, and runs a command.
const ASK: &str = r#"
    const [words, takesOver, done] = arguments;
    (async () => {
        if (globalThis.line === undefined) {
            const page = document.querySelector("script[type=module]").src;
            const { Line } = await import(page.replace("page.js", "line.js"));
            globalThis.told = [];
            globalThis.line = new Line({
                onTakenOver: () => (globalThis.takenOver = true),
                onBroken: (error) => (globalThis.broken = String(error)),
            });
            await globalThis.line.open("en", takesOver);
        }
        const steps = [];
        const lines = await globalThis.line.run(words, globalThis.files ?? {}, (kind, value) => {
            if (kind === "step") steps.push(value);
        });
        globalThis.files = {};
        return { lines, steps };
    })().then(done, (error) => {
        if (globalThis.line !== undefined && error.word === "open-elsewhere") globalThis.line = undefined;
        done({ error: error.word ?? "script", said: String(error) });
    });
"#;

impl<'a> Shell<'a> {
    /// The program.
    pub(crate) fn program(server: &'a Server, profile: &str) -> Self {
        Self::Program(server, profile.to_owned())
    }

    /// A worker in a browser that shows the server's page.
    pub(crate) async fn worker(server: &Server) -> Self {
        let browser = Browser::start("en", true).await;
        browser.open(&format!("https://{}/client/", server.address)).await;
        Self::Worker(Box::new(browser))
    }

    /// Runs a command of the command line, without its profile.
    pub(crate) async fn run(&self, words: &[&str]) -> Outcome {
        match self {
            Self::Program(server, profile) => {
                // The profile's option belongs to the last of the command's names.
                let names = words.iter().take_while(|word| !word.starts_with('-')).count();
                let names = names.min(if matches!(words[0], "send" | "receive") { 1 } else { 2 });
                let mut all = words[..names].to_vec();
                all.extend(["--profile", profile, "--json"]);
                all.extend(&words[names..]);
                let output = server.run(&all);
                let text = String::from_utf8(output.stdout).unwrap();
                let lines: Vec<Value> =
                    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                match output.status.success() {
                    true => Ok(lines),
                    false => Err(String::from_utf8(output.stderr).unwrap()),
                }
            }
            Self::Worker(browser) => {
                let arguments = vec![json!(words), json!(false)];
                let mut answer = browser.client.execute_async(ASK, arguments).await.unwrap();
                match answer["error"].as_str() {
                    Some(word) => Err(format!("{word}: {}", answer["said"])),
                    None => Ok(serde_json::from_value(answer["lines"].take()).unwrap()),
                }
            }
        }
    }

    /// Runs a command that answers with one line.
    pub(crate) async fn one(&self, words: &[&str]) -> Value {
        let lines = self.run(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert_eq!(lines.len(), 1, "{words:?}: {lines:?}");
        lines.into_iter().next().unwrap()
    }

    /// Registers with a new invite; the ID.
    pub(crate) async fn register(&self, server: &Server, name: &str) -> String {
        let invite = server.invite().to_string();
        let joined = self.one(&["user", "register", "--invite", &invite, "--name", name]).await;
        assert_eq!(joined["name"], name);
        joined["id"].as_str().unwrap().to_owned()
    }

    /// The texts that wait, in their order.
    pub(crate) async fn texts(&self) -> Vec<String> {
        let lines = self.run(&["receive"]).await.unwrap();
        for line in &lines {
            assert_eq!(line["verified"], true, "{line}");
        }
        lines.iter().map(|line| line["text"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
