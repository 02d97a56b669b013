//! A real browser, driven through WebDriver: chromium and chromedriver as Debian has them.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use base64::Engine as _;
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};

use crate::harness::PATIENCE;

/// Said by every test that needs what is missing.
const NEEDS: &str = "the browser tests need chromium, chromium-driver and npm (Debian: apt-get install \
                     chromium chromium-driver npm)";

/// A browser with a profile of its own; gone when dropped.
pub(crate) struct Browser {
    pub(crate) client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let group = format!("-{}", self.driver.id());
        let _: Result<_, _> = Command::new("kill").args(["-9", "--", &group]).status();
        let _: Result<_, _> = self.driver.wait();
    }
}

impl Browser {
    /// Starts one that asks for pages in `language`.
    pub(crate) async fn start(language: &str, with_javascript: bool) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            // With its browsers in one group, which is ended as a whole.
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{NEEDS}; chromedriver: {error}"));
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().unwrap_or_else(|| panic!("{NEEDS}; chromedriver ended")).unwrap();
            if let Some(rest) = line.split("started successfully on port ").nth(1) {
                break rest.trim_end_matches('.').to_owned();
            }
        };
        // Whatever it says later must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut arguments = vec![
            "--headless".to_owned(),
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-quic".into(),
            "--no-first-run".into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        arguments.push(format!("--accept-lang={language}"));
        let mut preferences = json!({ "intl.accept_languages": language });
        if !with_javascript {
            preferences["profile.managed_default_content_settings.javascript"] = 2.into();
        }
        let capabilities = json!({
            "browserName": "chrome", "acceptInsecureCerts": true,
            // Keys are made by some scripts.
            "timeouts": { "script": 120_000 },
            "goog:chromeOptions": { "args": arguments, "prefs": preferences },
        });
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap_or_else(|error| panic!("{NEEDS}; chromium: {error}"));
        Self { client, driver, _profile: profile }
    }

    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Ends every session of this browser.
    pub(crate) async fn forget_cookies(&self) {
        self.client.delete_all_cookies().await.unwrap();
    }

    /// Waits for an element.
    pub(crate) async fn find(&self, css: &str) -> Element {
        let waited = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        match waited {
            Ok(element) => element,
            Err(error) => panic!("{css}: {error}\n{}", self.client.source().await.unwrap_or_default()),
        }
    }

    pub(crate) async fn type_into(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Clicks, and waits until the page it leads to is there.
    pub(crate) async fn click(&self, css: &str) {
        let old = self.find("html").await;
        let deadline = std::time::Instant::now() + PATIENCE;
        while let Err(error) = self.find(css).await.click().await {
            // A page that follows what happens may have replaced it between the two.
            assert!(error.is_stale_element_reference(), "{css}: {error}");
            assert!(std::time::Instant::now() < deadline, "{css} stays for no click");
        }
        // The old document is gone once its root cannot be asked any more.
        while old.tag_name().await.is_ok() {
            assert!(std::time::Instant::now() < deadline, "{css} led nowhere");
            tokio::task::yield_now().await;
        }
        self.find("main").await;
        // A page that is still arriving has its first rows and not its last.
        let state = async || self.client.execute("return document.readyState", Vec::new()).await.unwrap();
        while state().await != "complete" {
            assert!(std::time::Instant::now() < deadline, "the page after {css} never ends");
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn text(&self, css: &str) -> String {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            // A page that follows changes may replace a part of itself in between.
            match self.find(css).await.text().await {
                Ok(text) => return text,
                Err(error) => assert!(std::time::Instant::now() < deadline, "{css}: {error}"),
            }
        }
    }

    pub(crate) async fn count(&self, css: &str) -> usize {
        self.client.find_all(Locator::Css(css)).await.unwrap().len()
    }

    /// Violations of WCAG 2.2 A and AA on the page that is open.
    pub(crate) async fn violations(&self) -> Vec<String> {
        static AXE: OnceLock<String> = OnceLock::new();
        let axe = AXE.get_or_init(|| std::fs::read_to_string(axe()).unwrap());
        self.client.execute(axe, Vec::new()).await.unwrap();
        let run = "const done = arguments[arguments.length - 1];
            axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })
               .then((result) => done(result.violations.map((one) =>
                   one.id + ': ' + one.nodes.map((node) => node.html + ' ' + node.failureSummary).join(' | '))))
               .catch((error) => done(['axe: ' + error]));";
        let found = self.client.execute_async(run, Vec::new()).await.unwrap();
        found.as_array().unwrap().iter().map(Value::to_string).collect()
    }

    /// Shows pages as on a screen of this size with this colour scheme.
    pub(crate) async fn emulate(&self, width: u32, height: u32, scheme: &str) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.client.issue_cmd(DevTools { command: command.into(), parameters }).await.unwrap()
    }

    /// Lets pages of this origin keep so many bytes, or as many as the browser likes.
    pub(crate) async fn allow_bytes(&self, origin: &str, most: Option<u64>) {
        let mut parameters = json!({ "origin": origin });
        if let Some(most) = most {
            parameters["quotaSize"] = most.into();
        }
        self.devtools("Storage.overrideQuotaForOrigin", parameters).await;
    }

    /// Saves what is downloaded in this folder.
    pub(crate) async fn download_to(&self, folder: &Path) {
        let parameters = json!({ "behavior": "allow", "downloadPath": folder });
        self.devtools("Browser.setDownloadBehavior", parameters).await;
    }

    /// Pictures of these parts of the page as they are printed on A4, as fine as a printer of 384 dots per inch; and where a folder is
    /// given, the sheets as PDF.
    pub(crate) async fn printed(&self, css: &str, folder: Option<&Path>) -> Vec<Vec<u8>> {
        if let Some(folder) = folder {
            let pdf = self.devtools("Page.printToPDF", json!({ "preferCSSPageSize": true })).await;
            let pdf =
                base64::engine::general_purpose::STANDARD.decode(pdf["data"].as_str().unwrap()).unwrap();
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("printed.pdf"), pdf).unwrap();
        }
        self.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
        // What is between margins of 10 mm.
        let metrics = json!({ "width": 718, "height": 1047, "deviceScaleFactor": 4, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let cut = "return [...document.querySelectorAll(arguments[0])].map((part) => part.closest('section'))
            .filter((card) => card.scrollHeight > card.clientHeight).length";
        let cut = self.client.execute(cut, vec![css.into()]).await.unwrap();
        assert_eq!(cut, 0, "what stands on a card is printed on it");
        let places = "return [...document.querySelectorAll(arguments[0])].map((part) => {
            const { x, y, width, height } = part.getBoundingClientRect();
            return { x: x + scrollX, y: y + scrollY, width, height, scale: 1 };
        })";
        let places = self.client.execute(places, vec![css.into()]).await.unwrap();
        let mut pictures = Vec::new();
        for place in places.as_array().unwrap() {
            let wanted = json!({ "format": "png", "clip": place, "captureBeyondViewport": true });
            let picture = self.devtools("Page.captureScreenshot", wanted).await;
            pictures.push(
                base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().unwrap()).unwrap(),
            );
        }
        self.devtools("Emulation.setEmulatedMedia", json!({ "media": "" })).await;
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
        pictures
    }

    pub(crate) async fn screenshot(&self, path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, self.client.screenshot().await.unwrap()).unwrap();
    }
}

/// axe-core, fetched as `tests/browser/package-lock.json` pins it if it is not there yet.
fn axe() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let file = folder.join("node_modules/axe-core/axe.min.js");
    if !file.exists() {
        let fetched =
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).output();
        let fetched = fetched.unwrap_or_else(|error| panic!("{NEEDS}; npm: {error}"));
        assert!(fetched.status.success(), "{NEEDS}; npm ci: {}", String::from_utf8_lossy(&fetched.stderr));
    }
    file
}

/// A command of the DevTools protocol, which chromedriver passes on.
#[derive(Debug)]
struct DevTools {
    command: String,
    parameters: Value,
}

impl fantoccini::wd::WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (http::Method::POST, Some(body.to_string()))
    }
}
