//! How long each admin page takes, over one kept connection on loopback without TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Runtime;

use crate::people::register;
use crate::subject::Subject;

/// Registered participants; as many again are only listed.
const REGISTERED: usize = 1_000;
const CLASSES: usize = 100;
const ROUNDS: usize = 21;

const PAGES: [&str; 18] = [
    "",
    "/participants",
    "/participants?page=20",
    "/participants?search=person+17",
    "/participants?class=7",
    "/participants/1500",
    "/groups",
    "/groups?search=class+4",
    "/groups/7",
    "/ozones",
    "/keys",
    "/listeners",
    "/certificates",
    "/rules",
    "/backup",
    "/log",
    "/log?search=person",
    "/account",
];

struct Line {
    stream: BufReader<TcpStream>,
    host: String,
    cookies: String,
}

impl Line {
    fn request(&mut self, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let (host, cookies) = (&self.host, &self.cookies);
        let kind = "application/x-www-form-urlencoded";
        let text = format!(
            "{method} /admin{path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
        let (mut head, mut line) = (String::new(), String::new());
        while self.stream.read_line(&mut line).unwrap() > 2 {
            head += &line;
            line.clear();
        }
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, String::from_utf8(body).unwrap())
    }

    fn take_cookie(&mut self, head: &str) {
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        self.cookies = format!("{}; {}", self.cookies, cookie.split(';').next().unwrap());
    }
}

pub(crate) fn pages(runtime: &Runtime) {
    const PASSWORD: &str = "Lampe im dritten Stock";
    let subject = Subject::start();
    runtime.block_on(register(&subject, REGISTERED));
    let mut list = String::from("Name;Klasse;Kennung\n");
    for number in 0..REGISTERED {
        list += &format!("Person {number};Class {};{number}\n", number % CLASSES);
    }
    subject.write("list.csv", &list);
    subject.write("password", PASSWORD);
    subject.admin(&["participant", "import", "list.csv"]);
    subject.admin(&["setup", "--name", "Load", "--password-file", "password"]);
    let port = subject.pages_port();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let host = format!("127.0.0.1:{port}");
    let mut line = Line { stream: BufReader::new(stream), host, cookies: String::new() };
    let (_, head, form) = line.request("GET", "", "");
    line.take_cookie(&head);
    let token = form.split("name=\"form\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let fields = format!("form={token}&user=admin&password={}", PASSWORD.replace(' ', "+"));
    let (status, head, _) = line.request("POST", "", &fields);
    assert_eq!(status, 303);
    line.take_cookie(&head);
    let mut slowest = Duration::ZERO;
    for page in PAGES {
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let begun = Instant::now();
                let (status, _, body) = line.request("GET", page, "");
                assert!(status == 200 && body.contains("</html>"), "{page}: {status}");
                begun.elapsed()
            })
            .collect();
        times.sort();
        let median = times[ROUNDS / 2];
        slowest = slowest.max(median);
        println!(
            "{}",
            json!({ "figure": "pages", "page": page, "median_ms": median.as_secs_f64() * 1000.0 })
        );
    }
    println!("{}", json!({ "figure": "pages", "slowest_median_ms": slowest.as_secs_f64() * 1000.0 }));
}
