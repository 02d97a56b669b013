//! The page Neighbours in a real browser: two fresh servers pair, and every state is looked at.

use std::time::Instant;

use fantoccini::Locator;
use momedo::domain::neighbour::{Asking, Contract, Decision};
use momedo::links::{DialledBy, Trouble};
use momedo::live::nearby::Found;
use momedo::store::{NeighbourRow, StoreError};
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::link::Standing;
use momedo_protocol::time::UnixMillis;

use crate::admin_pages::{look, screenshots};
use crate::browser::Browser;
use crate::harness::{Inside, PATIENCE, Server};
use crate::visitor::{PASSWORD, set_up};

/// Somebody at the page Neighbours of their server, counting clicks.
struct Admin {
    browser: Browser,
    page: String,
    clicks: usize,
}

impl Admin {
    async fn at(server: &Server, with_javascript: bool) -> Self {
        set_up(server);
        let browser = Browser::start("de-DE,de", with_javascript).await;
        let page = format!("https://{}/admin/neighbours", server.address);
        browser.open(&page).await;
        browser.type_into("#password", PASSWORD).await;
        browser.click("#login button").await;
        browser.open(&page).await;
        Self { browser, page, clicks: 0 }
    }

    async fn click(&mut self, css: &str) {
        self.clicks += 1;
        self.browser.click(css).await;
    }

    /// Waits for an element with this text; where no script runs, by asking for the page again.
    async fn sees(&mut self, xpath: &str, with_javascript: bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if !self.browser.client.find_all(Locator::XPath(xpath)).await.unwrap().is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "never seen: {xpath}\n{}",
                self.browser.client.source().await.unwrap()
            );
            if !with_javascript {
                self.clicks += 1;
                self.browser.open(&self.page).await;
            }
        }
    }
}

const CONNECTED: &str =
    "//section[contains(@class, 'neighbour')]//*[contains(@class, 'state')][text()='verbunden']";

/// From "make a link" on one page to `connected` on both.
async fn pairing(with_javascript: bool) {
    let servers = [Server::start(), Server::start()];
    let mut school = Admin::at(&servers[0], with_javascript).await;
    let mut town = Admin::at(&servers[1], with_javascript).await;
    let begun = Instant::now();
    school.click("#invite").await;
    assert_eq!(school.browser.count(".qr svg").await, 1);
    if with_javascript {
        school.clicks += 1;
        school.browser.find("[data-copy]").await.click().await.unwrap();
    }
    let link = school.browser.text("#link-text").await;
    assert!(link.starts_with(&format!("https://{}/n#", servers[0].address)), "{link}");
    town.clicks += 1;
    town.browser.find("#pasted").await.click().await.unwrap();
    town.browser.type_into("#pasted", &link).await;
    town.click("#add button").await;
    let confirm = "//button[@value='confirm']";
    school.sees(confirm, with_javascript).await;
    // Both see the other's words.
    for (here, there) in [(&school, &servers[1]), (&town, &servers[0])] {
        let words = there.status()["words"].as_str().unwrap().to_owned();
        assert_eq!(here.browser.text(".neighbour .words").await, words);
    }
    school.click("button[value=confirm]").await;
    town.sees(CONNECTED, with_javascript).await;
    school.sees(CONNECTED, with_javascript).await;
    let (clicks, seconds) = (school.clicks + town.clicks, begun.elapsed().as_secs_f64());
    println!("pairing: {clicks} clicks, {seconds:.1} s, scripts: {with_javascript}");
    if with_javascript {
        assert_eq!(clicks, 5, "docs/first-steps.md says five");
    }
}

#[tokio::test]
async fn two_fresh_servers_pair_in_the_browser() {
    pairing(true).await;
}

#[tokio::test]
async fn two_fresh_servers_pair_without_javascript() {
    pairing(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_of_a_neighbour_can_be_read() {
    let here = Inside::start().await;
    set_up(&here.server);
    let links = &here.app.links;
    let row = |byte: u8, name: &str| NeighbourRow {
        id: Fingerprint([byte; 32]),
        name: name.into(),
        // Nobody is dialled who has no address.
        addresses: Vec::new(),
        ours: true,
        theirs: true,
        decision: Decision::Active,
        asking: None,
        contract: Contract::default(),
        added_at: here.clock.now(),
        asked: None,
    };
    let tick = here.app.store.tick();
    let rows = [
        NeighbourRow { ours: false, asked: Some(tick), ..row(1, "Rathaus") },
        NeighbourRow { theirs: false, asking: Some(Asking::Nearby), ..row(2, "Stadtbücherei") },
        row(3, "Grundschule am Bach"),
        row(4, "Berufliches Schulzentrum für Gesundheit und Sozialpflege im Landkreis"),
        row(5, "Musikschule"),
        NeighbourRow { decision: Decision::Paused, ..row(6, "Jugendzentrum") },
        NeighbourRow { decision: Decision::Blocked, ..row(7, "Unbekannt") },
    ];
    let save =
        move |tx: &mut momedo::store::WriteTx<'_>| rows.iter().try_for_each(|row| tx.save_neighbour(row));
    here.app.store.write::<_, StoreError>(save).await.unwrap();
    // Somebody of the lost school, for whom this server stands in, and somebody of here whose other home the third is.
    let (theirs, ours) = (ParticipantId::random(), ParticipantId::random());
    let now = here.clock.now();
    let keep = move |tx: &mut momedo::store::WriteTx<'_>| {
        tx.insert_participant(theirs, "Tarek", now)?;
        tx.set_other_home(theirs, Fingerprint([4; 32]), false)?;
        tx.insert_participant(ours, "Olga", now)?;
        tx.set_other_home(ours, Fingerprint([3; 32]), true)
    };
    here.app.store.write::<_, StoreError>(keep).await.unwrap();
    links.set_says_first(Fingerprint([3; 32]), true);
    let _connected = links.begin(Fingerprint([3; 32]), DialledBy::Them).unwrap();
    links.note_peer(Fingerprint([3; 32]), Standing::Confirmed);
    let next = Some(UnixMillis(here.clock.now().0 + 60_000));
    let silent = Trouble::Unreachable("schulzentrum.example:4710: Connection refused (os error 111)".into());
    links.note_trouble(Fingerprint([4; 32]), silent, next);
    links.note_trouble(Fingerprint([5; 32]), Trouble::WrongIdentity, next);
    let browser = Browser::start("de-DE,de", true).await;
    let page = format!("https://{}/admin/neighbours", here.server.address);
    browser.open(&page).await;
    browser.type_into("#password", PASSWORD).await;
    browser.click("#login button").await;
    let (folder, mut violations) = (screenshots(), Vec::new());
    browser.open(&page).await;
    look(&browser, "neighbours-states", folder.as_deref(), &mut violations).await;
    let states = browser.client.find_all(Locator::Css(".neighbour .state")).await.unwrap();
    let mut read = Vec::new();
    for state in states {
        read.push(state.text().await.unwrap());
    }
    read.sort();
    let expected = ["Pause", "falscher", "gesperrt", "nicht erreichbar", "verbunden", "wartet", "wartet"];
    assert!(read.iter().zip(expected).all(|(read, word)| read.contains(word)), "{read:?}");

    for button in ["take-over", "accept-take-over"] {
        let css = format!("button[formaction='/admin/neighbours/{button}']");
        assert_eq!(browser.count(&css).await, 1, "{button}");
        browser.click(&css).await;
        assert_eq!(browser.count(&css).await, 0, "{button}");
    }
    let home = |id| here.app.store.read(move |tx| tx.find_other_home(id));
    let homes = (home(theirs).await.unwrap().unwrap(), home(ours).await.unwrap().unwrap());
    assert_eq!((homes.0.is_first, homes.1.is_first), (true, false));

    here.app.nearby.set_looking(true);
    for (byte, name) in [(8, "Gymnasium <b>Nord</b>"), (9, "Kita Regenbogen")] {
        let id = Fingerprint([byte; 32]).to_string();
        let found = Found::heard(&id, name, 4710, [[192, 168, 77, byte].into()]).unwrap();
        here.app.nearby.note(name, found);
    }
    // A neighbour is nobody to ask.
    let known =
        Found::heard(&Fingerprint([3; 32]).to_string(), "x", 4710, [[192, 168, 77, 3].into()]).unwrap();
    here.app.nearby.note("x", known);
    browser.open(&page).await;
    assert_eq!(browser.count(".found").await, 2);
    assert_eq!(browser.text(".found h3").await, "Gymnasium <b>Nord</b>");
    browser.click("#invite").await;
    look(&browser, "neighbours-nearby", folder.as_deref(), &mut violations).await;
    // The page follows by itself.
    browser.open(&page).await;
    here.app.nearby.forget("Kita Regenbogen");
    let deadline = Instant::now() + PATIENCE;
    while browser.count(".found").await != 1 {
        assert!(Instant::now() < deadline, "the page does not follow");
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}
