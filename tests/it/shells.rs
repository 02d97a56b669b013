//! The two shells of the one client, driven alike: the program with a profile in a folder, and the worker in a real browser.
//! Both take the command line's words and answer with its JSON.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::browser::Browser;
use crate::harness::{Server, program};

/// What a command came to: its lines, or what went wrong.
pub(crate) type Outcome = Result<Vec<Value>, String>;

/// Somebody's side, in one of the shells.
pub(crate) enum Shell<'a> {
    /// The program, with a profile of this name.
    Program(&'a Server, String),
    /// The worker, in a browser with a profile of its own.
    Worker(Box<Browser>),
}

/// What every script begins with: `open` makes the worker's line unless there is one, `begin` runs a command in it, `next`
/// waits for its next line or its end.
const SCRIPT: &str = r#"
    const done = arguments[arguments.length - 1];
    const failed = (error) => done({ error: error.word ?? "script", said: String(error) });
    const open = async (takesOver) => {
        if (globalThis.line !== undefined) return;
        const page = document.querySelector("script[type=module]").src;
        const { Line } = await import(page.replace("page.js", "line.js"));
        const line = new Line({ onTakenOver: () => (globalThis.takenOver = true) });
        await line.open("en", takesOver);
        globalThis.line = line;
    };
    const begin = (words) => {
        const talk = { lines: [], steps: [], typed: [], ended: undefined, wake: () => {} };
        globalThis.talk = talk;
        const tell = (kind, value) => {
            talk[kind === "line" ? "lines" : "steps"].push(value);
            talk.wake();
        };
        const ask = async () => {
            while (talk.typed.length === 0) await new Promise((resolve) => (talk.type = resolve));
            return talk.typed.shift();
        };
        const end = (ended) => {
            talk.ended = ended;
            talk.wake();
        };
        line.run(words, globalThis.files ?? {}, tell, ask).then(
            () => end({}),
            (error) => end({ error: error.word ?? "script", said: String(error) }),
        );
    };
    const next = async () => {
        while (talk.lines.length === 0 && talk.ended === undefined)
            await new Promise((resolve) => (talk.wake = resolve));
        return talk.lines.length > 0 ? { line: talk.lines.shift() } : { ended: talk.ended };
    };
"#;

/// A command that is talked with while it runs.
pub(crate) enum Talk<'a> {
    Program { child: Child, input: ChildStdin, output: BufReader<ChildStdout> },
    Worker(&'a Browser),
}

async fn ask(browser: &Browser, script: &str, arguments: Vec<Value>) -> Value {
    browser.client.execute_async(&format!("{SCRIPT}{script}"), arguments).await.unwrap()
}

fn failure(answer: &Value) -> Option<String> {
    answer["error"].as_str().map(|word| format!("{word}: {}", answer["said"]))
}

/// Bytes of files that both sides can make: none of their pieces is like another.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251 + place / 65_536) as u8).collect()
}

impl Talk<'_> {
    /// The next line.
    pub(crate) async fn line(&mut self) -> Value {
        match self {
            Self::Program { output, .. } => {
                let mut line = String::new();
                output.read_line(&mut line).unwrap();
                serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line:?}"))
            }
            Self::Worker(browser) => {
                let mut answer = ask(browser, "next().then(done, failed);", Vec::new()).await;
                assert!(answer["line"].is_object(), "{answer}");
                answer["line"].take()
            }
        }
    }

    /// Types a line.
    pub(crate) async fn say(&mut self, line: &str) {
        match self {
            Self::Program { input, .. } => writeln!(input, "{line}").unwrap(),
            Self::Worker(browser) => {
                let say = "talk.typed.push(arguments[0]); talk.type?.(); done();";
                ask(browser, say, vec![json!(line)]).await;
            }
        }
    }

    /// The lines that are left, and how it ended.
    pub(crate) async fn end(self) -> Outcome {
        let mut lines = Vec::new();
        match self {
            Self::Program { child, input, output } => {
                drop(input);
                for line in output.lines() {
                    lines.push(serde_json::from_str(&line.unwrap()).unwrap());
                }
                let ended = child.wait_with_output().unwrap();
                match ended.status.success() {
                    true => Ok(lines),
                    false => Err(String::from_utf8(ended.stderr).unwrap()),
                }
            }
            Self::Worker(browser) => loop {
                let mut answer = ask(browser, "next().then(done, failed);", Vec::new()).await;
                if answer["line"].is_object() {
                    lines.push(answer["line"].take());
                    continue;
                }
                return failure(&answer["ended"]).map_or(Ok(lines), Err);
            },
        }
    }
}

impl<'a> Shell<'a> {
    /// The program.
    pub(crate) fn program(server: &'a Server, profile: &str) -> Self {
        Self::Program(server, profile.to_owned())
    }

    /// A worker in a browser that shows the server's page.
    pub(crate) async fn worker(server: &Server) -> Self {
        Self::worker_at(&server.address).await
    }

    /// A worker in a browser that shows the page of a server at this address.
    pub(crate) async fn worker_at(address: &str) -> Self {
        let shell = Self::Worker(Box::new(Browser::start("en", true).await));
        shell.go_to(address).await;
        shell
    }

    /// Shows the page at another address: there is another profile.
    pub(crate) async fn go_to(&self, address: &str) {
        self.browser().open(&format!("https://{address}/client/")).await;
    }

    /// The worker's browser.
    pub(crate) fn browser(&self) -> &Browser {
        match self {
            Self::Worker(browser) => browser,
            Self::Program(..) => panic!("the program has no browser"),
        }
    }

    /// The program's words for a command, with its profile.
    fn words<'w>(profile: &'w str, words: &[&'w str]) -> Vec<&'w str> {
        // The profile's option belongs to the last of the command's names.
        let names = words.iter().take_while(|word| !word.starts_with('-')).count();
        let names = names.min(if matches!(words[0], "send" | "receive") { 1 } else { 2 });
        let mut all = words[..names].to_vec();
        all.extend(["--profile", profile, "--json"]);
        all.extend(&words[names..]);
        all
    }

    /// Begins a command of the command line, without its profile.
    pub(crate) async fn begin(&self, words: &[&str]) -> Talk<'_> {
        match self {
            Self::Program(server, profile) => {
                let mut child = program()
                    .args(Self::words(profile, words))
                    .current_dir(server.folder.path())
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap();
                let input = child.stdin.take().unwrap();
                let output = BufReader::new(child.stdout.take().unwrap());
                Talk::Program { child, input, output }
            }
            Self::Worker(browser) => {
                let begin = "open(false).then(() => begin(arguments[0])).then(done, failed);";
                let answer = ask(browser, begin, vec![json!(words)]).await;
                assert_eq!(failure(&answer), None, "{words:?}");
                Talk::Worker(browser)
            }
        }
    }

    /// Runs a command of the command line, without its profile.
    pub(crate) async fn run(&self, words: &[&str]) -> Outcome {
        self.begin(words).await.end().await
    }

    /// Runs a command that answers with one line.
    pub(crate) async fn one(&self, words: &[&str]) -> Value {
        let lines = self.run(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert_eq!(lines.len(), 1, "{words:?}: {lines:?}");
        lines.into_iter().next().unwrap()
    }

    /// What took a while in the worker's last command.
    pub(crate) async fn steps(&self) -> Vec<String> {
        let steps = ask(self.browser(), "done(talk.steps);", Vec::new()).await;
        steps.as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap().to_owned()).collect()
    }

    /// Registers with a new invite, in the worker with new keys; the ID.
    pub(crate) async fn register(&self, server: &Server, name: &str) -> String {
        self.register_with(server, &server.invite().to_string(), name).await
    }

    /// The same with an invite.
    pub(crate) async fn register_with(&self, server: &Server, invite: &str, name: &str) -> String {
        if let Self::Program(_, profile) = self {
            return server.join(invite, profile, Some(name));
        }
        let joined = self.one(&["user", "register", "--invite", invite, "--name", name]).await;
        assert_eq!(joined["name"], name);
        joined["id"].as_str().unwrap().to_owned()
    }

    /// Puts a file of this length where a command finds it.
    pub(crate) async fn give_file(&self, name: &str, length: usize) {
        match self {
            Self::Program(server, _) => {
                std::fs::write(server.folder.path().join(name), content(length)).unwrap();
            }
            Self::Worker(browser) => {
                let make = "const [name, length] = arguments;
                    const bytes = new Uint8Array(length);
                    for (let place = 0; place < length; place += 1)
                        bytes[place] = (place % 251) + Math.floor(place / 65536);
                    globalThis.files = { ...globalThis.files, [name]: new File([bytes], name) };
                    done();";
                ask(browser, make, vec![json!(name), json!(length)]).await;
            }
        }
    }

    /// Whether a file of this length that [`Shell::give_file`] made was saved at a path, under a name.
    pub(crate) async fn has_saved(&self, path: &Value, name: &str, length: usize) -> bool {
        let expected: String =
            Sha256::digest(content(length)).iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Program(server, _) => {
                let path = server.folder.path().join(path.as_str().unwrap());
                let bytes = std::fs::read(&path).unwrap();
                path.ends_with(name) && bytes == content(length)
            }
            Self::Worker(browser) => {
                let read = "(async () => {
                        const file = await line.saved(arguments[0]);
                        const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
                        const hex = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0'));
                        return { name: file.name, digest: hex.join('') };
                    })().then(done, failed);";
                let saved = ask(browser, read, vec![path.clone()]).await;
                assert_eq!(failure(&saved), None, "{path}");
                saved["name"] == name && saved["digest"] == expected
            }
        }
    }

    /// In the browser's tab that is shown: opens the worker there though another tab has it.
    pub(crate) async fn take_over(&self) {
        let answer = ask(self.browser(), "open(true).then(done, failed);", Vec::new()).await;
        assert_eq!(failure(&answer), None);
    }

    /// Whether the worker of the tab that is shown heard that another one took over.
    pub(crate) async fn is_taken_over(&self) -> bool {
        ask(self.browser(), "done(globalThis.takenOver === true);", Vec::new()).await == true
    }

    /// What waits: messages, of which every one is verified.
    pub(crate) async fn receive(&self) -> Vec<Value> {
        let lines = self.run(&["receive"]).await.unwrap();
        for line in &lines {
            assert_eq!(line["verified"], true, "{line}");
        }
        lines
    }

    /// The texts that wait, in their order.
    pub(crate) async fn texts(&self) -> Vec<String> {
        let lines = self.receive().await;
        lines.iter().map(|line| line["text"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
