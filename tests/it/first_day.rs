//! A teacher's first day with the pages, from an empty folder to a server restored on another machine, in a real browser,
//! counted in clicks: `cargo test --test it first_day:: -- --nocapture` prints them. Fields are reached with the tabulator,
//! choosing a file counts two clicks, choosing from a list two.

use std::cell::RefCell;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use momedo::service::accounts::one_time_password;

use crate::admin_pages::{look, screenshots};
use crate::browser::Browser;
use crate::harness::{PATIENCE, Server};
use crate::qr;
use crate::visitor::PASSWORD;

const LEAD_PASSWORD: &str = "Tafel neben der Heizung";
const SECOND_PASSWORD: &str = "Schwamm hinter der Tür";
const FILE_PASSWORD: &str = "Sonne über dem Schulhof";

/// Family and given names as schools have them.
const PUPILS: [(&str, &str); 28] = [
    ("Ahrens", "Mia"),
    ("Älbler", "Jonas"),
    ("Ben Youssef", "Lina"),
    ("Çelik", "Deniz"),
    ("Demirci", "Elif"),
    ("Đorđević", "Luka"),
    ("Eßer", "Finn"),
    ("Fröhlich", "Ida"),
    ("Groß", "Paul"),
    ("Haße-Müller", "Charlotte Sophie"),
    ("Ivanova", "Dascha"),
    ("Jäger", "Björn"),
    ("Kaya", "Cem"),
    ("Kaya", "Ela"),
    ("Łukasik", "Zuzanna"),
    ("Meyer", "Emil"),
    ("Müßig", "Greta"),
    ("Nguyen", "Minh Anh"),
    ("Özdemir", "Yusuf"),
    ("O’Neill", "Aoife"),
    ("Petersen", "Anton"),
    ("Rößler", "Frida"),
    ("Sánchez", "Mateo"),
    ("Schulze", "Marie"),
    ("Šimić", "Ana"),
    ("van der Berg", "Jan"),
    ("von Waldmann", "Tilda"),
    ("Zöllner", "Max"),
];

fn rows(row: impl Fn(usize, &str, &str) -> String) -> String {
    PUPILS.iter().enumerate().map(|(index, (family, given))| row(index + 1, family, given)).collect()
}

/// A sheet as Excel writes it, with the columns Schüler, Vorname, alte Klasse, Klasse.
fn workbook() -> Vec<u8> {
    let cell = |text: &str| format!("<c t=\"inlineStr\"><is><t>{text}</t></is></c>");
    let line = |cells: [&str; 4]| format!("<row>{}</row>", cells.map(cell).concat());
    let sheet = format!(
        "<worksheet xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>{}{}</sheetData></worksheet>",
        line(["Nachname", "Vorname", "Klasse 2025/26", "Klasse 2026/27"]),
        rows(|_, family, given| line([family, given, "6b", "7b"])),
    );
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let parts = [
        (
            "[Content_Types].xml",
            "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"><Default Extension=\"xml\" ContentType=\"application/xml\"/><Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/><Override PartName=\"/xl/workbook.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml\"/></Types>",
        ),
        (
            "_rels/.rels",
            "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>",
        ),
        (
            "xl/workbook.xml",
            "<workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"><sheets><sheet name=\"Klasse 7b\" sheetId=\"1\" r:id=\"r1\"/></sheets></workbook>",
        ),
        (
            "xl/_rels/workbook.xml.rels",
            "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"r1\" Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>",
        ),
        ("xl/worksheets/sheet1.xml", &sheet),
    ];
    for (name, content) in parts {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The same 28 as five programs write them. The workbook's class is ambiguous, so it comes first, to be corrected.
fn lists() -> [(&'static str, Vec<u8>); 5] {
    let untis =
        rows(|number, family, given| format!("{number}\t{family}{given}\t{family}\t{given}\tw\t7b\r\n"));
    let untis = format!("id\tname\tlongName\tforeName\tgender\tklasse.name\r\n{untis}");
    let schild = rows(|number, family, given| format!("{family}|{given}|07B|{number:05}|12.03.2013\r\n"));
    let schild = format!("Nachname|Vorname|Klasse|Interne ID-Nummer|Geburtsdatum\r\n{schild}");
    let asv = rows(|_, family, given| format!("\"{family}\";\"{given}\";\"{given}\";\"7b\";\"\"\r\n"));
    let asv =
        format!("\"Familienname\";\"Vornamen\";\"Rufname\";\"Klasse\";\"Ausbildungsrichtung\"\r\n{asv}");
    let iserv = rows(|_, family, given| format!("\"{given}\",\"{family}\",\"7b\",\"\"\n"));
    let iserv = format!("Vorname,Nachname,Klasse/Information,Importid\n{iserv}");
    let utf16: Vec<u8> =
        [0xfeff].into_iter().chain(untis.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    [
        ("excel.xlsx", workbook()),
        ("webuntis.csv", utf16),
        ("schild.txt", schild.into_bytes()),
        ("asv.csv", asv.into_bytes()),
        ("iserv.csv", iserv.into_bytes()),
    ]
}

/// A browser whose clicks are counted.
struct Day {
    browser: Browser,
    clicks: RefCell<Vec<(String, usize)>>,
    folder: Option<PathBuf>,
    faults: RefCell<Vec<String>>,
}

impl Day {
    async fn begin(language: &'static str) -> Self {
        let browser = Browser::start(language, true).await;
        browser.emulate(1280, 800, "light").await;
        let folder = screenshots().map(|folder| folder.join(format!("first-day-{}", &language[..2])));
        Self { browser, clicks: RefCell::default(), folder, faults: RefCell::default() }
    }

    /// Begins to count for this.
    fn part(&self, name: &str) {
        self.clicks.borrow_mut().push((name.into(), 0));
    }

    fn count(&self, clicks: usize) {
        self.clicks.borrow_mut().last_mut().unwrap().1 += clicks;
    }

    async fn click(&self, css: &str) {
        self.count(1);
        self.browser.click(css).await;
    }

    /// A click that leads nowhere: unfolding, ticking.
    async fn touch(&self, css: &str) {
        self.count(1);
        self.browser.find(css).await.click().await.unwrap();
    }

    async fn choose(&self, css: &str, value: &str) {
        self.count(2);
        self.browser.find(css).await.select_by_value(value).await.unwrap();
    }

    async fn choose_file(&self, css: &str, path: &std::path::Path) {
        self.count(2);
        self.browser.find(css).await.send_keys(path.to_str().unwrap()).await.unwrap();
    }

    async fn types(&self, fields: &[(&str, &str)]) {
        for (css, text) in fields {
            self.browser.type_into(css, text).await;
        }
    }

    /// Where pictures are wanted, the page is looked at in every width and colour scheme.
    async fn look(&self, name: &str) {
        if let Some(folder) = &self.folder {
            let mut found = Vec::new();
            look(&self.browser, name, Some(folder), &mut found).await;
            self.browser.emulate(1280, 800, "light").await;
            self.faults.borrow_mut().extend(found);
        }
    }

    async fn log_out(&self) {
        self.click(".tools form button").await;
    }

    async fn log_in(&self, user: &str, password: &str) {
        self.types(&[("#user", user), ("#password", password)]).await;
        self.click("#login button").await;
    }
}

fn set_up_link(server: &Server) -> String {
    let code =
        server.log().split("enter the code ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    format!("https://{}/admin/setup?code={code}", server.address)
}

async fn set_up(day: &Day, server: &Server) {
    day.part("set-up");
    // The double-click opens it.
    day.count(1);
    day.browser.open(&set_up_link(server)).await;
    assert_eq!(day.browser.count("nav").await, 0, "there is nothing to go to yet");
    day.look("01-account").await;
    day.types(&[("#password", PASSWORD), ("#repeated", PASSWORD)]).await;
    day.click("#setup button").await;
    assert_eq!(day.browser.count("nav").await, 0);
    day.look("02-server").await;
    day.types(&[("#name", "Gesamtschule am Wald")]).await;
    day.click("main form button").await;
    day.look("03-class").await;
    day.click("main a[href='/admin/import']").await;
}

async fn import(day: &Day, server: &Server) {
    day.part("list of 28, mapping corrected");
    for (index, (name, bytes)) in lists().into_iter().enumerate() {
        let path = server.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        if index == 1 {
            day.part("the same list as four other programs write it, looked at");
        }
        day.browser.open(&format!("https://{}/admin/import", server.address)).await;
        day.choose_file("#file", &path).await;
        day.click("#import button").await;
        day.look(&format!("04-preview-{}", name.split('.').next().unwrap())).await;
        if index > 0 {
            // Whatever wrote it: the same people, nothing to be done.
            assert_eq!(day.browser.count("tr.faulty").await, 0, "{name}");
            let results = day.browser.client.execute(
                "return [...document.querySelectorAll('table.planned tbody td:last-child')].map((cell) => cell.textContent)",
                Vec::new(),
            );
            let results = results.await.unwrap();
            let results: Vec<&str> =
                results.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
            assert_eq!(results.len(), 28, "{name}");
            let first = results[0];
            assert!(results.iter().all(|one| *one == first), "{name}: {results:?}");
            continue;
        }
        // Last year's class was taken for the class: the columns are told apart by hand.
        day.choose("tbody tr:nth-child(3) select[name=column]", "").await;
        day.choose("tbody tr:nth-child(4) select[name=column]", "class").await;
        day.click("#confirm button").await;
        if day.browser.count("#confirm").await == 1 {
            day.look("05-preview-corrected").await;
            day.click("#confirm button").await;
        }
        day.look("06-imported").await;
    }
    let people = server.json(&["admin", "participant", "list", "--data-dir", "data", "--json"]);
    assert_eq!(people.len(), 28);
    assert!(people.iter().all(|one| one["classes"] == "7b"), "{people:?}");
    let first: Vec<&str> = people.iter().take(4).map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(first, ["Mia Ahrens", "Jonas Älbler", "Lina Ben Youssef", "Jan van der Berg"]);
}

/// Prints the cards, and reads all codes off the sheets.
async fn cards(day: &Day, server: &Server) -> Vec<String> {
    day.part("cards of the class, printed");
    day.browser.open(&format!("https://{}/admin", server.address)).await;
    day.look("07-overview").await;
    day.click("nav a[href='/admin/classes']").await;
    day.look("08-classes").await;
    day.click("form[action='/admin/sheets'] button").await;
    assert_eq!(day.browser.count("section.invite").await, 28);
    day.look("09-cards").await;
    day.count(1);
    let codes = day.browser.printed("section.invite .qr", day.folder.as_deref()).await;
    day.browser.emulate(1280, 800, "light").await;
    let links: Vec<String> = codes.iter().flat_map(|code| qr::read(code)).collect();
    assert_eq!(links.len(), 28, "every code on the sheets can be read");
    assert!(links.iter().all(|link| link.starts_with(&format!("https://{}/i#", server.address))));
    links
}

async fn person(day: &Day, server: &Server, name: &str) {
    day.browser.open(&format!("https://{}/admin", server.address)).await;
    day.click("nav a[href='/admin/participants']").await;
    day.types(&[("#search", name)]).await;
    day.click("form[role=search] button").await;
    day.click("tbody th a").await;
}

async fn pupil_moves(day: &Day, server: &Server) {
    day.part("a pupil moves to another class");
    server.json(&["admin", "class", "create", "7c", "--data-dir", "data", "--json"]);
    person(day, server, "ozdemir").await;
    day.look("10-person").await;
    let other = "document.querySelector('#class option').value";
    let other = day.browser.client.execute(&format!("return {other}"), Vec::new()).await.unwrap();
    day.choose("#class", other.as_str().unwrap()).await;
    day.click("#class-form button[value=move]").await;
    let rows =
        server.json(&["admin", "participant", "list", "--search", "Özdemir", "--data-dir", "data", "--json"]);
    assert_eq!(rows[0]["classes"], "7c");
}

async fn lost_phone(day: &Day, server: &Server, whose: &str) {
    day.part("a lost phone is locked");
    person(day, server, whose).await;
    day.click("form[action$=revoke-device] button").await;
    day.look("11-asked").await;
    day.click("#asking button").await;
    assert_eq!(day.browser.count("form[action$=revoke-device]").await, 0);
}

async fn account(day: &Day, server: &Server, name: &str, password: &str, lead_of: Option<&str>) {
    day.browser.open(&format!("https://{}/admin", server.address)).await;
    day.click(".tools a[href='/admin/account']").await;
    day.touch("main details:last-of-type summary").await;
    day.types(&[("#new-name", name), ("#new-password", password)]).await;
    match lead_of {
        Some(_) => day.touch("input[name=class]").await,
        None => day.choose("#new-role", "admin").await,
    }
    day.click("form[action='/admin/accounts'] button").await;
    assert!(
        day.browser.count(".notice:not(.error)").await > 0,
        "{}",
        day.browser.client.source().await.unwrap()
    );
}

async fn report(day: &Day, server: &Server) {
    day.part("a lead's account");
    account(day, server, "Grete Sommer", LEAD_PASSWORD, Some("7b")).await;
    day.look("12-account").await;
    day.log_out().await;
    day.part("the lead handles a report");
    day.log_in("Grete Sommer", LEAD_PASSWORD).await;
    day.click("nav a[href='/admin/reports']").await;
    assert_eq!(day.browser.count("section.report").await, 1);
    day.types(&[("textarea[name=note]", "Mit beiden gesprochen.")]).await;
    day.click("form.note button").await;
    day.look("13-report").await;
    day.click("section.report form[action='/admin/reports'] button").await;
    assert_eq!(day.browser.text("section.report textarea").await, "Mit beiden gesprochen.");
    day.log_out().await;
}

async fn second_admin(day: &Day, server: &Server) {
    day.part("a second admin, with one-time passwords");
    day.log_in("admin", PASSWORD).await;
    account(day, server, "Kim Berger", SECOND_PASSWORD, None).await;
    day.log_out().await;
    day.log_in("Kim Berger", SECOND_PASSWORD).await;
    day.click(".tools a[href='/admin/account']").await;
    day.touch("main details summary").await;
    let secret = day.browser.find("input[name=secret]").await.attr("value").await.unwrap().unwrap();
    let bytes: Vec<u8> =
        (0..secret.len()).step_by(2).map(|at| u8::from_str_radix(&secret[at..at + 2], 16).unwrap()).collect();
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 30;
    day.types(&[("#one_time", &one_time_password(&bytes, now()))]).await;
    day.click("form[action$=one-time-passwords] button").await;
    assert_eq!(day.browser.count(".codes li").await, 8);
    day.look("14-recovery-codes").await;
    let code = day.browser.text(".codes li code").await;
    day.log_out().await;
    day.log_in("Kim Berger", SECOND_PASSWORD).await;
    day.look("15-one-time").await;
    // The phone is at home: a recovery code does.
    day.types(&[("#one_time", &code)]).await;
    day.click("#login button").await;
    assert!(day.browser.count("nav a[aria-current]").await == 1);
}

/// A backup on a stick.
async fn backup(day: &Day, server: &Server) -> PathBuf {
    day.part("a backup on a stick");
    let stick = server.folder.path().join("stick");
    std::fs::create_dir(&stick).unwrap();
    day.browser.download_to(&stick).await;
    day.browser.open(&format!("https://{}/admin", server.address)).await;
    day.click("nav a[href='/admin/backup']").await;
    day.click("#make button").await;
    day.look("16-backup").await;
    day.types(&[("#passphrase", FILE_PASSWORD), ("#repeated", FILE_PASSWORD)]).await;
    day.touch("form[action='/admin/backup/download'] button").await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let files = std::fs::read_dir(&stick).unwrap().map(|entry| entry.unwrap().path());
        let whole = files.filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("momedo-") && !name.ends_with(".crdownload")
        });
        if let Some(path) = whole.last() {
            return path;
        }
        assert!(Instant::now() < deadline, "nothing was downloaded");
        tokio::task::yield_now().await;
    }
}

async fn restore(day: &Day, file: &std::path::Path) {
    day.part("restored on another machine");
    let other = Server::start();
    day.count(1);
    day.browser.open(&set_up_link(&other)).await;
    day.click("main a[href^='/admin/setup/restore']").await;
    day.look("17-restore").await;
    day.types(&[("#passphrase", FILE_PASSWORD)]).await;
    day.choose_file("#file", file).await;
    day.click("#restore button").await;
    day.look("18-restore-sure").await;
    day.click("#confirm button").await;
    let deadline = Instant::now() + PATIENCE;
    while other.log().matches("serving").count() < 2 {
        assert!(Instant::now() < deadline, "the server did not come back");
        tokio::task::yield_now().await;
    }
    day.browser.open(&format!("https://{}/admin", other.address)).await;
    day.log_in("admin", PASSWORD).await;
    assert_eq!(day.browser.text(".server").await, "Gesamtschule am Wald");
    let people = other.json(&["admin", "participant", "list", "--data-dir", "data", "--json"]);
    assert_eq!(people.len(), 28);
}

/// Two pupils use their cards, and one shows the staff what the other wrote; the writer's name.
fn insult(server: &Server, links: &[String]) -> String {
    let join = |profile: &str, link: &str| {
        let register = ["user", "register", "--profile", profile, "--invite", link, "--json"];
        let made = server.json(&register).remove(0);
        ["name", "id"].map(|field| made[field].as_str().unwrap().to_owned())
    };
    let ([writer, _], [_, reader]) = (join("writer", &links[0]), join("reader", &links[1]));
    server.json(&["send", "--profile", "writer", "--to", &reader, "Du bist doof", "--json"]);
    let received = server.json(&["receive", "--profile", "reader", "--json"]).remove(0);
    let id = received["id"].as_str().unwrap();
    server.json(&["message", "report", "--profile", "reader", id, "--reason", "Beleidigung", "--json"]);
    writer
}

async fn story(language: &'static str) {
    let server = Server::start();
    let day = Day::begin(language).await;
    set_up(&day, &server).await;
    import(&day, &server).await;
    let links = cards(&day, &server).await;
    let writer = insult(&server, &links);
    pupil_moves(&day, &server).await;
    lost_phone(&day, &server, &writer).await;
    report(&day, &server).await;
    second_admin(&day, &server).await;
    let file = backup(&day, &server).await;
    restore(&day, &file).await;
    let clicks = day.clicks.borrow();
    for (part, clicks) in clicks.iter() {
        println!("{clicks:>4}  {part}");
    }
    let all: usize = clicks.iter().map(|(_, clicks)| clicks).sum();
    println!("{all:>4}  in all ({language})");
    let faults = day.faults.borrow();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_day_from_an_empty_folder_to_another_machine() {
    story("de-DE,de").await;
    // Pictures are taken in both languages.
    if screenshots().is_some() {
        story("en-GB,en").await;
    }
}
