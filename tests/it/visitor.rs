//! A browser's requests without a browser: forms, cookies and headers as a test wants them.

use std::collections::BTreeMap;
use std::io::Write;

use crate::door::{read_to_end, tls};
use crate::harness::Server;

pub(crate) const PASSWORD: &str = "Lampe im dritten Stock";

/// Somebody with a cookie jar.
pub(crate) struct Visitor<'a> {
    server: &'a Server,
    pub(crate) cookies: BTreeMap<String, String>,
    /// Replaces the Host header.
    pub(crate) host: Option<String>,
    /// Further header lines.
    pub(crate) headers: Vec<String>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let rest = self.body.split(&start).nth(1).unwrap_or_else(|| panic!("no field {name}: {}", self.body));
        rest.split('"').next().unwrap().to_owned()
    }

    /// What a form sends as it stands there: its inputs and what is selected in its lists.
    pub(crate) fn form(&self, id: &str) -> Vec<(String, String)> {
        let form = self.body.split(&format!("<form id=\"{id}\"")).nth(1).expect("a form of this name");
        let form = form.split("</form>").next().unwrap();
        let attribute = |tag: &str, name: &str| {
            let rest = tag.split(&format!(" {name}=\"")).nth(1)?;
            let escaped = rest.split('"').next().unwrap();
            let signs = [("&#38;", "&"), ("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">")];
            Some(signs.iter().rev().fold(escaped.to_owned(), |text, (code, sign)| text.replace(code, sign)))
        };
        let mut fields = Vec::new();
        for (index, _) in form.match_indices('<') {
            let rest = &form[index..];
            let tag = rest.split('>').next().unwrap();
            let Some(name) = attribute(tag, "name") else { continue };
            if tag.starts_with("<select") {
                let options = rest.split("</select>").next().unwrap();
                let selected = options.split("<option").find(|option| option.contains(" selected"));
                fields
                    .push((name, selected.and_then(|option| attribute(option, "value")).unwrap_or_default()));
            } else if tag.starts_with("<input") && (!tag.contains("checkbox") || tag.contains(" checked")) {
                fields.push((name, attribute(tag, "value").unwrap_or_default()));
            }
        }
        fields
    }
}

pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Sets a server up from the command line.
pub(crate) fn set_up(server: &Server) {
    std::fs::write(server.folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    let arguments = ["admin", "setup", "--data-dir", "data", "--name", "Schule am Wald"];
    server.json(&[&arguments[..], &["--password-file", "password", "--json"]].concat());
}

impl<'a> Visitor<'a> {
    pub(crate) fn new(server: &'a Server) -> Self {
        Self { server, cookies: BTreeMap::new(), host: None, headers: Vec::new() }
    }

    /// An admin, logged in.
    pub(crate) fn admin(server: &'a Server) -> Self {
        Self::logged_in(server, "admin", PASSWORD)
    }

    pub(crate) fn logged_in(server: &'a Server, user: &str, password: &str) -> Self {
        let mut visitor = Self::new(server);
        let answer = visitor.log_in(user, password);
        assert_eq!(answer.status, 303, "{}", answer.body);
        visitor
    }

    pub(crate) fn log_in(&mut self, user: &str, password: &str) -> Answer {
        let form = self.get("/admin").field("form");
        self.post("/admin", &[("form", &form), ("user", user), ("password", password), ("next", "/admin")])
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, "", "")
    }

    /// Posts a form, being sure of what it does.
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_unsure(path, &[fields, &[("sure", "1")]].concat())
    }

    /// Posts a form as its page does, which may be asked about.
    pub(crate) fn post_unsure(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.request("POST", path, "application/x-www-form-urlencoded", encode(fields))
    }

    /// Follows where an answer leads.
    pub(crate) fn follow(&mut self, answer: &Answer) -> Answer {
        assert_eq!(answer.status, 303, "{}", answer.body);
        let to = answer.header("location").unwrap().to_owned();
        self.get(&to)
    }

    /// Posts what a form of a page holds.
    pub(crate) fn post_form(&mut self, path: &str, fields: &[(String, String)]) -> Answer {
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post(path, &fields)
    }

    /// Posts a form with the token of the page `page`.
    pub(crate) fn submit(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.get(page).field("csrf");
        self.post(path, &[&[("csrf", token.as_str())], fields].concat())
    }

    /// Uploads one file.
    pub(crate) fn upload(&mut self, page: &str, path: &str, name: &str, file: impl AsRef<[u8]>) -> Answer {
        let token = self.get(page).field("csrf");
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{token}\r\n--b\r\n\
             Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
        );
        let body = [head.as_bytes(), file.as_ref(), b"\r\n--b--\r\n"].concat();
        self.request("POST", path, "multipart/form-data; boundary=b", &body)
    }

    /// Uploads a backup with its passphrase.
    pub(crate) fn upload_backup(&mut self, passphrase: &str, file: &[u8]) -> Answer {
        let token = self.get("/admin/backup").field("csrf");
        let fields = [("csrf", token.as_str()), ("passphrase", passphrase)];
        self.upload_after(&fields, "/admin/backup/restore/upload", file)
    }

    /// Uploads one file after some fields.
    pub(crate) fn upload_after(&mut self, fields: &[(&str, &str)], path: &str, file: &[u8]) -> Answer {
        let head: String = fields
            .iter()
            .map(|(name, value)| {
                format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            })
            .collect();
        let head = head + "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
        let body = [head.as_bytes(), file, b"\r\n--b--\r\n"].concat();
        self.request("POST", path, "multipart/form-data; boundary=b", &body)
    }

    pub(crate) fn request(&mut self, method: &str, path: &str, kind: &str, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let host = self.host.clone().unwrap_or_else(|| self.server.address.clone());
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: {}\r\n\
             Content-Length: {}\r\n",
            cookies.join("; "),
            body.len()
        );
        if !kind.is_empty() {
            head += &format!("Content-Type: {kind}\r\n");
        }
        for line in &self.headers {
            head += &format!("{line}\r\n");
        }
        let mut stream = tls(self.server);
        stream.write_all(&[format!("{head}\r\n").as_bytes(), body].concat()).unwrap();
        let text = read_to_end(&mut stream);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {text}"));
        let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
        for line in head.lines().filter(|line| line.to_ascii_lowercase().starts_with("set-cookie:")) {
            let pair = line[11..].split(';').next().unwrap();
            if let Some((name, value)) = pair.trim().split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}
