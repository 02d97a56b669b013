//! What the server holds about somebody: all of it is handed out, and all of it is erased.

use std::io::{Cursor, Read};

use momedo::store::personal::{Holds, tables};
use momedo_client::ClientError;
use momedo_client::connection::Payload;
use momedo_client::session::Session;
use momedo_protocol::api;
use momedo_protocol::encoding::{Base64Bytes, encode_base64};
use momedo_protocol::erasure::Erasure;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::key_backup::{RecoveryCode, RecoveryKeys};
use momedo_protocol::kind;
use momedo_protocol::message::Message;
use momedo_protocol::message_id::MessageId;
use momedo_protocol::stream::ServerFrame;
use rusqlite::Connection;
use serde_json::Value;

use crate::harness::{PATIENCE, Person, Server, refused};
use crate::key_backup::holds;
use crate::raw::Raw;
use crate::visitor::{Visitor, set_up};

const NAME: &str = "Zyxwvuta Qponmlkj";
const KEY: &str = "S-4711-wxyz";

fn unzip(bytes: Vec<u8>) -> impl FnMut(&str) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    move |name| {
        let mut content = Vec::new();
        archive.by_name(name).ok()?.read_to_end(&mut content).unwrap();
        Some(content)
    }
}

async fn exported(session: &mut Session) -> Result<Vec<u8>, ClientError> {
    let mut zip = Vec::new();
    momedo_client::personal::export(session, &mut zip).await?;
    Ok(zip)
}

async fn call<T: serde::Serialize>(server: &Server, person: &Person, method: &str, path: &str, body: &T) {
    let body = Payload::Json(serde_json::to_vec(body).unwrap());
    Raw::new(server).call(method, path, Some(person.session.token()), body).await.unwrap();
}

/// Has a message reported that `writer` sent to `reporter`.
pub(crate) async fn report(server: &Server, writer: &Person, reporter: &Person) {
    let message = Message {
        from: writer.id(),
        to: Some(reporter.id()),
        group: None,
        id: MessageId::new(momedo_client::now()),
        sent_at: momedo_client::now(),
        conversation: None,
        log: None,
        kind: kind::TEXT.into(),
        body: "text".into(),
    };
    let inner = message.sign(&writer.keys.signature_key);
    let message = serde_json::from_slice(&inner).unwrap();
    call(server, reporter, "POST", "/reports", &api::ReportRequest { message, reason: "x".into() }).await;
}

/// Registers the person of a class list who has something in every table, and somebody to talk with.
async fn a_person_in_every_table(server: &Server) -> (Person, Person) {
    for list in
        [format!("Name;Klasse;Kennung\nVorher;9z;{KEY}\n"), format!("Name;Klasse;Kennung\n{NAME};9z;{KEY}\n")]
    {
        std::fs::write(server.folder.path().join("list.csv"), list).unwrap();
        server.json(&["admin", "participant", "import", "list.csv", "--data-dir", "data", "--json"]);
    }
    let mut ben = server.register(1).await;
    let line = ["admin", "participant", "invite", "#1", "--data-dir", "data", "--json"];
    let link = server.json(&line)[0]["link"].as_str().unwrap().parse().unwrap();
    let mut ada = server.register_with(0, link, None).await;
    assert_eq!(ada.bundle.payload.name, NAME);
    ben.submit(&ada.bundle, 512).await.unwrap();
    let page = ada.waiting().await;
    ada.session.acknowledge(page.cursor).await.unwrap();
    ben.submit(&ada.bundle, 512).await.unwrap();
    ada.submit(&ben.bundle, 512).await.unwrap();
    ben.submit(&ada.bundle, 1024).await.unwrap();
    let keys = RecoveryKeys::derive(&RecoveryCode::random(), server.server_address().fingerprint, ada.id());
    let slot = Base64Bytes(keys.sealing_keys().seal(b"{}", ada.id(), 1).unwrap());
    let lock = keys.sealing_keys().lock.clone();
    call(
        server,
        &ada,
        "PUT",
        "/me/key-backup",
        &api::KeyBackupRequest { version: 1, lock, slot, renews: false },
    )
    .await;
    for (who, whom) in [(&ada, ParticipantId::random()), (&ben, ada.id())] {
        call(server, who, "PUT", &format!("/me/blocks/{whom}"), &Value::Null).await;
    }
    report(server, &ben, &ada).await;
    report(server, &ada, &ben).await;
    // One attachment of each, announced; Ada may fetch Ben's.
    let (own, bens) = ("0a".repeat(16), "0b".repeat(16));
    for (who, id) in [(&ada, &own), (&ben, &bens)] {
        call(server, who, "POST", "/blobs", &serde_json::json!({ "id": id, "size": 1000 })).await;
    }
    // What stands there only for minutes.
    let database = Connection::open(server.data().join("momedo.db")).unwrap();
    let sql =
        "INSERT INTO reservations SELECT ?1, code_hash, zeroblob(32), 1 FROM invites WHERE spent_by = ?1";
    assert_eq!(database.execute(sql, [ada.id().number()]).unwrap(), 1);
    // A group of Ada's own, and one she left.
    let (id, other) = (ada.id().number(), ben.id().number());
    database
        .execute_batch(&format!(
            "INSERT INTO groups (id, name, number, state, open, created_at, made_by, by_members, sort_key)
                 VALUES (1, 'Alleine', 1, '{{}}', 0, 0, NULL, 0, x''),
                        (2, 'Andere', 1, '{{}}', 0, 0, {id}, 1, x'');
             INSERT INTO group_entries (group_id, number, entry) VALUES (1, 1, '{}'), (2, 1, 'x');
             INSERT INTO group_members (group_id, participant, member, suspended, added_by)
                 VALUES (1, {id}, '{}', 0, NULL), (2, {other}, '{{}}', 0, {id});
             INSERT INTO group_authors (group_id, participant, entries) VALUES (2, {id}, 1);
             INSERT INTO former_group_members (group_id, participant, until) VALUES (2, {id}, 1);
             INSERT INTO slots (body, participant, slot) SELECT max(id), {id}, x'01' FROM bodies;
             INSERT INTO outbox_bodies (id, envelope) VALUES (1, x'00');
             INSERT INTO outbox (message_id, sender, recipient, home, via, accepted_tick, size, body, blobs)
                 VALUES (zeroblob(16), {id}, {other}, zeroblob(32), zeroblob(32), 1, 1, 1, x'');
             INSERT INTO second_homes (participant, other, is_first, ends, changed, told) VALUES ({id}, zeroblob(32), 1, 0, 1, 1);
             INSERT INTO servers_told (participant, server, told_at) VALUES ({id}, zeroblob(32), 1);
             INSERT INTO forgotten_keys (participant, version) VALUES ({id}, 1);
             INSERT INTO posted_elsewhere (message_id, sender, group_id, posted_tick) VALUES (zeroblob(16), {id}, 3, 1);
             INSERT INTO blob_holds (blob, device) VALUES (x'{bens}', {});",
            ada.id(),
            ada.id(),
            ada.session.device.number()
        ))
        .unwrap();
    let mceliece = "UPDATE mceliece_keys SET uploader = ?1";
    assert_eq!(database.execute(mceliece, [ada.id().number()]).unwrap(), 1);
    (ada, ben)
}

#[tokio::test]
async fn an_export_has_every_table_and_is_readable() {
    let server = Server::start();
    let (mut ada, ben) = a_person_in_every_table(&server).await;
    let mut file = unzip(exported(&mut ada.session).await.unwrap());
    let data: Value = serde_json::from_slice(&file("data.json").unwrap()).unwrap();
    assert_eq!(data["id"], ada.id().to_string());
    for table in tables() {
        let rows = data["tables"][table.name].as_array();
        match table.holds {
            Holds::Personal { .. } => {
                let rows = rows.unwrap_or_else(|| panic!("{} is not in the export", table.name));
                assert!(!rows.is_empty(), "{} is empty: fill it in this test", table.name);
                for (column, _) in table.columns {
                    assert!(rows[0].as_object().unwrap().contains_key(*column), "{}.{column}", table.name);
                }
            }
            Holds::Impersonal(_) => assert!(rows.is_none(), "{}", table.name),
        }
    }
    // Waiting mail and keys are there byte for byte.
    let bodies = data["tables"]["bodies"].as_array().unwrap();
    assert_eq!(bodies.len(), 3);
    for body in bodies {
        let envelope = file(body["envelope"].as_str().unwrap()).unwrap();
        assert!(momedo_protocol::envelope::decode(&envelope).is_ok());
    }
    let key = data["tables"]["mceliece_keys"][0]["key"].as_str().unwrap();
    assert_eq!(file(key).unwrap(), ada.keys.encryption.mceliece.bytes());
    // Others are not given away: who reported or blocks, and who else was on the list.
    assert_eq!(data["tables"]["reports"].as_array().unwrap().len(), 1);
    assert_eq!(data["tables"]["reports"][0]["sender"], ben.id().to_string());
    assert_eq!(data["tables"]["blocks"].as_array().unwrap().len(), 1);
    assert!(
        data["tables"]["imports"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| { row["before"].as_str().unwrap().contains("Vorher") })
    );
    let page = String::from_utf8(file("index.html").unwrap()).unwrap();
    assert!(page.contains("<html lang=\"en\">") && page.contains(NAME) && page.contains("Waiting messages"));
    // Whose keys were forgotten is not let in.
    let database = rusqlite::Connection::open(server.data().join("momedo.db")).unwrap();
    database.execute("DELETE FROM forgotten_keys", []).unwrap();
    let mut german = momedo_testing::people::log_in(
        momedo_client_native::connection(server.server_address(), "de"),
        ada.session.device,
        &ada.keys.device.login,
    )
    .await
    .unwrap();
    let page = unzip(exported(&mut german).await.unwrap())("index.html").unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("<html lang=\"de\">") && page.contains("Wartende Nachrichten"));
}

/// Everything an ID may look like in a database: text, in a signed document, a number of six bytes.
fn traces(id: ParticipantId) -> Vec<Vec<u8>> {
    let text = id.to_string();
    let mut traces = vec![text.clone().into_bytes(), id.number().to_be_bytes()[2..].to_vec()];
    for before in 0..3 {
        let encoded = encode_base64(format!("{}{text}", "x".repeat(before)).as_bytes());
        traces.push(encoded.as_bytes()[before + 1..encoded.len() - 2].to_vec());
    }
    traces
}

fn traces_in(server: &Server, id: ParticipantId) -> Vec<String> {
    let file = std::fs::read(server.data().join("momedo.db")).unwrap();
    let mut wanted: Vec<(String, Vec<u8>)> = [NAME, &NAME.to_lowercase(), KEY]
        .iter()
        .map(|text| ((*text).into(), text.as_bytes().to_vec()))
        .collect();
    wanted.extend(traces(id).into_iter().enumerate().map(|(n, bytes)| (format!("ID as {n}"), bytes)));
    wanted.into_iter().filter(|(_, bytes)| holds(&file, bytes)).map(|(name, _)| name).collect()
}

async fn proof(server: &Server, person: &Person) -> Erasure {
    let body = Payload::Json(
        serde_json::to_vec(&api::LoginChallengeRequest { device: person.session.device }).unwrap(),
    );
    let answer = Raw::new(server).call("POST", "/sessions/challenge", None, body).await.unwrap();
    let challenge: api::LoginChallenge = serde_json::from_value(answer).unwrap();
    Erasure {
        id: person.id(),
        device: person.session.device,
        nonce: challenge.nonce,
        server: server.server_address().fingerprint,
    }
}

#[tokio::test]
async fn erasing_oneself_leaves_nothing_but_the_id_and_takes_more_than_a_token() {
    let mut server = Server::start();
    let (mut ada, mut ben) = a_person_in_every_table(&server).await;
    assert!(exported(&mut ada.session).await.is_ok());
    let token = ada.session.token().to_owned();
    let erase = async |server: &Server, token: &str, erasure: momedo_protocol::jws::Jws| {
        let body = Payload::Json(serde_json::to_vec(&api::EraseRequest { erasure }).unwrap());
        Raw::new(server).call("DELETE", "/me", Some(token), body).await
    };
    let login = &ada.keys.device.login;
    let right = proof(&server, &ada).await;
    // A token alone, another key, another person, another server, an invented nonce.
    let wrong = [
        right.sign(&ben.keys.device.login),
        Erasure { id: ben.id(), ..proof(&server, &ada).await }.sign(login),
        Erasure { server: momedo_protocol::digest::Fingerprint([1; 32]), ..proof(&server, &ada).await }
            .sign(login),
        Erasure { nonce: Base64Bytes(vec![0; 32]), ..proof(&server, &ada).await }.sign(login),
    ];
    for erasure in wrong {
        assert_eq!(refused(erase(&server, &token, erasure).await), "login-refused");
    }
    // Somebody else's token with Ada's proof.
    assert_eq!(refused(erase(&server, ben.session.token(), right.sign(login)).await), "login-refused");
    let erasure = proof(&server, &ada).await.sign(login);
    erase(&server, &token, erasure.clone()).await.unwrap();
    assert_eq!(refused(erase(&server, &token, erasure).await), "not-logged-in");
    assert_eq!(
        refused(momedo_testing::people::log_in(server.connect(), ada.session.device, login).await.map(drop)),
        "login-refused"
    );
    assert_eq!(refused(ben.session.keys(ada.id(), 0).await), "unknown-participant");
    assert_eq!(refused(ben.submit(&ada.bundle, 512).await), "unknown-participant");
    // What Ada sent and Ben had not fetched is gone, and Ben is told that he missed something.
    let page = ben.waiting().await;
    assert!(page.messages.is_empty());
    assert_eq!(page.missed, 1);
    // The key that Ben's bundle names, too, is still there.
    let digest = ben.bundle.payload.mceliece_key.unwrap();
    assert!(ben.session.mceliece_key(&digest).await.is_ok());
    let (ended, _) = server.terminate();
    assert!(ended.success());
    assert_eq!(traces_in(&server, ada.id()), Vec::<String>::new());
    let database = Connection::open(server.data().join("momedo.db")).unwrap();
    let row: (String, String) = database
        .query_row("SELECT state, name FROM participants WHERE id = ?1", [ada.id().number()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(row, ("erased".into(), String::new()));
    let told: (bool, bool) = database
        .query_row("SELECT ends, told < changed FROM second_homes", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(told, (true, true), "the second home has to hear of it; then this goes, too");
    // Two registered. Their entries stay, without an ID, and nobody knows any more which were Ada's.
    let left = |sql: &str| database.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
    assert_eq!(left("SELECT count(*) FROM key_log"), 2);
    assert_eq!(left("SELECT count(*) FROM key_log_subjects"), 1);
    let groups: Vec<u64> = database
        .prepare("SELECT id FROM groups")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(groups, [2], "a group that nobody else is in goes");
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let dangling: u64 =
        database.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0)).unwrap();
    assert_eq!(dangling, 0);
}

#[tokio::test]
async fn mail_of_others_waits_on_when_somebody_between_is_erased() {
    let server = Server::start();
    let (mut ada, ben, mut carl) =
        (server.register(0).await, server.register(1).await, server.register(2).await);
    carl.submit(&ben.bundle, 512).await.unwrap();
    ada.submit(&ben.bundle, 512).await.unwrap();
    carl.submit(&ben.bundle, 512).await.unwrap();
    ada.submit(&ben.bundle, 512).await.unwrap();
    ada.session.erase(&ada.keys.device.client().login.key).await.unwrap();
    carl.submit(&ben.bundle, 512).await.unwrap();
    // A stream starts after what was removed last, and must not pass over what waits before.
    let token = ben.session.token().to_owned();
    let mut stream =
        momedo_client_native::stream::Stream::open(&server.server_address(), &token, None, 8).await.unwrap();
    let mut places = Vec::new();
    while places.len() < 3 {
        let frame = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap();
        if let Some(ServerFrame::Deliver { from, cursor, .. }) = frame {
            assert_eq!(from, carl.id());
            places.push(cursor.sequence);
        }
    }
    assert_eq!(places, [1, 3, 5], "no number is given twice");
}

#[test]
fn an_admin_sees_what_goes_hands_it_out_and_erases_it() {
    let mut server = Server::start();
    set_up(&server);
    let add = ["admin", "participant", "add", NAME, "--key", KEY, "--data-dir", "data", "--json"];
    let link = server.json(&add)[0]["link"].as_str().unwrap().to_owned();
    let id: ParticipantId = server.join(&link, "ada", None).parse().unwrap();
    let text = id.to_string();
    let who = text.as_str();
    let mut admin = Visitor::admin(&server);
    let preview = admin.get("/admin/participants/1/delete").body;
    assert!(preview.contains("Device list") && preview.contains("Public keys"), "{preview}");
    let line = ["admin", "participant", "delete", who, "--preview", "--data-dir", "data", "--json"];
    let held = server.json(&line).remove(0)["held"].as_array().unwrap().clone();
    assert!(held.iter().any(|held| held["table"] == "device_lists" && held["rows"] == 1), "{held:?}");
    let download = admin.submit("/admin/participants/1", "/admin/participants/1/export", &[]);
    assert_eq!((download.status, download.header("content-type")), (200, Some("application/zip")));
    let name = format!("attachment; filename=\"momedo-{id}.zip\"");
    assert_eq!(download.header("content-disposition"), Some(name.as_str()));
    let line = ["admin", "participant", "export", who, "--to", "ada.zip", "--data-dir", "data", "--json"];
    server.json(&line);
    let mut file = unzip(std::fs::read(server.profile("ada.zip")).unwrap());
    assert!(String::from_utf8(file("index.html").unwrap()).unwrap().contains("Schule am Wald"));
    assert!(server.failure(&line).contains("there already"));
    let exports =
        server.json(&["admin", "log", "--search", "person-exported", "--data-dir", "data", "--json"]);
    assert_eq!(exports.len(), 2);
    // Their own way to it.
    let own = server.json(&["user", "export", "--profile", "ada", "--json"]).remove(0);
    assert_eq!(own["file"], format!("momedo-{id}.zip"));
    assert!(
        unzip(std::fs::read(server.profile(&format!("momedo-{id}.zip"))).unwrap())("data.json").is_some()
    );
    let wrong = server.failure(&["user", "erase", "--profile", "ada", "--confirm", "M8N22HT6"]);
    assert!(wrong.contains("nothing was erased"), "{wrong}");
    let gone = admin.submit("/admin/participants/1/delete", "/admin/participants/1/delete", &[]);
    assert_eq!(gone.status, 303);
    let log = server.json(&["admin", "log", "--search", "person-deleted", "--data-dir", "data", "--json"]);
    assert_eq!(log[0]["subject"], "#1");
    server.terminate();
    assert_eq!(traces_in(&server, id), Vec::<String>::new());
}

#[test]
fn somebody_erases_themselves_from_the_command_line() {
    let server = Server::start();
    let link = server.invite().to_string();
    let id = &*server.join(&link, "ada", None);
    let erased = server.json(&["user", "erase", "--profile", "ada", "--confirm", id, "--json"]).remove(0);
    assert_eq!(erased["status"], "erased");
    assert!(server.failure(&["receive", "--profile", "ada"]).contains("log-in"));
    assert_eq!(server.status()["participants"], 0);
}
