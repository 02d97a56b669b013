//! One sentence for each refusal, whichever door it leaves by: API, admin page, command line, in the reader's language.

use momedo_client::ClientError;
use momedo_client::profile::Profile;
use momedo_protocol::id::ParticipantId;

use crate::harness::{Server, program, text};
use crate::visitor::{Visitor, set_up};

/// A reader of one language.
struct Reader<'a> {
    server: &'a Server,
    tag: &'static str,
    locale: &'static str,
    pages: Visitor<'a>,
}

impl<'a> Reader<'a> {
    fn new(server: &'a Server, tag: &'static str, locale: &'static str) -> Self {
        let mut pages = Visitor::admin(server);
        pages.headers.push(format!("Accept-Language: {tag}"));
        Self { server, tag, locale, pages }
    }

    /// What the command line says when it fails.
    fn command(&self, arguments: &[&str]) -> String {
        let mut command = program();
        command.env_remove("LC_ALL").env_remove("LC_MESSAGES").env("LANG", self.locale);
        let output = command.args(arguments).current_dir(self.server.folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        text(&output.stderr).trim_end().strip_prefix("momedo: ").unwrap().to_owned()
    }

    fn admin(&self, words: &[&str]) -> String {
        self.command(&[&["admin"], words, &["--data-dir", "data"]].concat())
    }

    /// What a page says after a form was sent to it.
    fn page(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.pages.submit(page, path, fields);
        let said = answer.body.split("role=\"alert\">").nth(1);
        let said = said.unwrap_or_else(|| panic!("{path} refuses nothing: {}", answer.body));
        said.split('<').next().unwrap().trim().replace("&#39;", "'").replace("&#34;", "\"")
    }
}

fn title<T: std::fmt::Debug>(refused: Result<T, ClientError>) -> (String, String) {
    match refused.unwrap_err() {
        ClientError::Refused(problem) => (problem.name().to_owned(), problem.title),
        other => panic!("{other}"),
    }
}

/// What each door says of the same refusal; their words, as the API has them.
async fn heard(reader: &mut Reader<'_>, ada: &Profile) -> Vec<(&'static str, Vec<String>)> {
    let mut session = ada.log_in(reader.tag).await.unwrap();
    let group = "7QK0M3ZD9XN4";
    let (word, said) = title(session.group_entries(group.parse().unwrap(), 0, None).await);
    assert_eq!(word, "unknown-group");
    let unknown_group = vec![
        said,
        reader.page("/admin/groups", &format!("/admin/groups/{group}/delete"), &[]),
        reader.admin(&["group", "delete", group]),
        reader.command(&["group", "join", "--profile", "ada", "--group", group]),
    ];
    let nobody = ParticipantId::random();
    let (word, said) = title(session.keys(nobody, 0).await);
    assert_eq!(word, "unknown-participant");
    let unknown_participant =
        vec![said, reader.command(&["send", "--profile", "ada", "--to", &nobody.to_string(), "wer da?"])];
    let class_exists = vec![
        reader.page("/admin/classes", "/admin/classes", &[("name", "7b")]),
        reader.admin(&["class", "create", "7b"]),
    ];
    let out_of_range = vec![
        reader.page("/admin/rules", "/admin/rules", &[("retention_days", "0")]),
        reader.admin(&["rules", "--retention-days", "0"]),
    ];
    vec![
        ("unknown-group", unknown_group),
        ("unknown-participant", unknown_participant),
        ("class-exists", class_exists),
        ("rule-out-of-range", out_of_range),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_says_the_same_of_a_refusal_in_the_readers_language() {
    let server = Server::start();
    set_up(&server);
    server.json(&["admin", "class", "create", "7b", "--data-dir", "data", "--json"]);
    let ada = server.register_profile(0, "ada").await;
    let german = heard(&mut Reader::new(&server, "de", "de_DE.UTF-8"), &ada).await;
    let english = heard(&mut Reader::new(&server, "en", "en_GB.UTF-8"), &ada).await;
    for (word, doors) in german.iter().chain(&english) {
        assert!(doors.iter().all(|said| *said == doors[0]), "{word}: {doors:#?}");
    }
    let of =
        |heard: &[(&str, Vec<String>)]| heard.iter().map(|(_, doors)| doors[0].clone()).collect::<Vec<_>>();
    let expected = [
        "Diese Gruppe gibt es nicht, oder Sie gehören nicht dazu.",
        "Diese ID gibt es hier nicht. Bitte Zeichen für Zeichen prüfen.",
        "Eine Klasse dieses Namens gibt es schon.",
        "Dieser Wert geht nicht: mail.retention_days, 1 bis 3650 Tage",
    ];
    assert_eq!(of(&german), expected);
    let expected = [
        "There is no such group, or you do not belong to it.",
        "Nobody has this ID here. Please check it letter by letter.",
        "There is a class or team of this name already.",
        "This value is out of its range: mail.retention_days, 1 to 3650 days",
    ];
    assert_eq!(of(&english), expected);
}

#[test]
fn the_command_line_says_the_same_beside_a_running_server_and_without_one() {
    let mut server = Server::start();
    set_up(&server);
    let data = server.data();
    let say = |server: &Server| {
        let reader = Reader { server, tag: "de", locale: "de_AT.UTF-8", pages: Visitor::new(server) };
        (
            reader.admin(&["group", "delete", "7QK0M3ZD9XN4"]),
            reader.admin(&["backup", "verify", "19700101-000000Z"]),
        )
    };
    let running = say(&server);
    assert_eq!(running.0, "Diese Gruppe gibt es nicht, oder Sie gehören nicht dazu.");
    assert_eq!(running.1, "Eine Sicherung namens 19700101-000000Z gibt es nicht; die Liste zeigt sie alle.");
    server.terminate();
    assert_eq!(say(&server), running, "{}", data.display());
}

#[test]
fn what_fails_on_this_device_is_told_in_the_readers_language() {
    let server = Server::start();
    let said = |tag, locale| {
        let reader = Reader { server: &server, tag, locale, pages: Visitor::new(&server) };
        reader.command(&["receive", "--profile", "nirgends"])
    };
    let (german, english) = (said("de", "de_DE.UTF-8"), said("en", "C.UTF-8"));
    assert!(german.starts_with("Das Profil nirgends lässt sich nicht verwenden: "), "{german}");
    assert!(english.starts_with("Cannot use the profile nirgends: "), "{english}");
}
