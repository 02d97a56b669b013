//! Rules changed while the server runs: what they take, and from when they hold.

use axum::http::Method;
use momedo_protocol::blob::BlobId;
use serde_json::json;

use super::*;
use crate::service::people;
use crate::settings::{Origin, Value};
use crate::testing::{Server, refused, word};

const MIB: u64 = 1024 * 1024;

fn machine() -> RecentlyConfirmed {
    RecentlyConfirmed::at_the_machine()
}

async fn set(server: &Server, rules: Rules) -> Result<(), ServiceError> {
    change(server.app(), &machine(), rules).await
}

async fn log(server: &Server) -> Vec<String> {
    let rows = audit::list(server.app(), &machine(), String::new(), Vec::new(), None, 10).await.unwrap();
    rows.into_iter().map(|row| format!("{} {}", row.action, row.subject)).collect()
}

#[tokio::test]
async fn a_rule_holds_from_the_moment_it_is_changed() {
    let server = Server::open("").await;
    let (ada, ben) = (server.register("Ada").await, server.register("Ben").await);
    let large = json!({ "id": BlobId::random(), "size": 2 * MIB });
    let announce = async || server.call(&ada, Method::POST, "/blobs", large.clone()).await;
    assert!(announce().await.0.is_success());
    set(&server, Rules { file_mib: Some(1), messages_per_minute: Some(1), ..Rules::default() })
        .await
        .unwrap();
    let other = json!({ "id": BlobId::random(), "size": 2 * MIB });
    assert_eq!(word(&server.call(&ada, Method::POST, "/blobs", other).await), "blob-too-large");
    for expected in ["", "", "too-often"] {
        assert_eq!(word(&server.send(&ada, &ben).await), expected);
    }
    set(&server, Rules { messages_per_minute: Some(60), ..Rules::default() }).await.unwrap();
    server.advance(std::time::Duration::from_secs(1));
    assert!(server.send(&ada, &ben).await.0.is_success());
}

#[tokio::test]
async fn a_shorter_life_of_cards_is_that_of_new_cards() {
    let server = Server::open("").await;
    let (app, staff) = (server.app(), machine().staff());
    let (ada, ben) = (server.add_person("Ada").await, server.add_person("Ben").await);
    let card = async |who| people::invite(app, &staff, vec![who]).await.unwrap()[0].expires_at;
    let now = app.clock.now();
    assert_eq!(card(ada).await, now.plus_days(30));
    set(&server, Rules { invite_days: Some(1), ..Rules::default() }).await.unwrap();
    assert_eq!(card(ben).await, now.plus_days(1));
    server.advance(std::time::Duration::from_secs(2 * 24 * 3600));
    assert_eq!(people::open_cards(app, &staff, vec![ada, ben]).await.unwrap(), 1);
}

#[tokio::test]
async fn what_stands_in_the_file_is_changed_there_alone() {
    let server = Server::open("[mail]\nretention_days = 10\n").await;
    let both = Rules { retention_days: Some(20), file_days: Some(3), ..Rules::default() };
    assert_eq!(refused(set(&server, both).await), "rule-fixed");
    let config = server.app().config();
    assert_eq!(
        (config.mail.retention_days, config.blobs.retention_days),
        (10, Config::default().blobs.retention_days)
    );
    assert!(log(&server).await.is_empty());
    set(&server, Rules { file_days: Some(3), ..Rules::default() }).await.unwrap();
    assert_eq!(server.app().config().blobs.retention_days, 3);
}

#[tokio::test]
async fn of_rules_one_of_which_cannot_be_none_holds() {
    let server = Server::open("[mail]\nmax_queue_bytes = 20000\n").await;
    for (rules, expected) in [
        (Rules { file_days: Some(3), retention_days: Some(0), ..Rules::default() }, "rule-out-of-range"),
        (
            Rules { file_days: Some(3), sender_share_percent: Some(20), ..Rules::default() },
            "rule-out-of-range",
        ),
        (Rules { file_days: Some(3), name: Some("\u{7}".into()), ..Rules::default() }, "unacceptable-name"),
        (
            Rules { file_days: Some(3), addresses: Some(vec!["0.0.0.0".into()]), ..Rules::default() },
            "not-a-host",
        ),
    ] {
        assert_eq!(refused(set(&server, rules).await), expected);
        assert_ne!(server.app().config().blobs.retention_days, 3, "{expected}");
    }
    assert_eq!(kept(&server.app().store).await.unwrap(), Rules::default());
    assert!(log(&server).await.is_empty());
}

#[tokio::test]
async fn rules_are_kept_and_the_log_says_which() {
    let server = Server::open("").await;
    set(&server, Rules { retention_days: Some(7), ..Rules::default() }).await.unwrap();
    let addresses = Some(vec!["https://Schule-Möhnesee.de:4711/".into()]);
    set(&server, Rules { file_days: Some(3), addresses, ..Rules::default() }).await.unwrap();
    let kept = kept(&server.app().store).await.unwrap();
    assert_eq!((kept.retention_days, kept.file_days, kept.link_port), (Some(7), Some(3), Some(4711)));
    assert_eq!(kept.addresses.as_deref(), Some(&["xn--schule-mhnesee-2pb.de".to_owned()][..]));
    let lines = log(&server).await;
    assert_eq!(lines.last().map(String::as_str), Some("rules-changed retention_days=7"));
    assert!(lines[0].contains("file_days=3") && !lines[0].contains("retention_days"), "{lines:?}");
}

#[test]
fn every_range_holds_on_both_sides() {
    let mut numbers = 0;
    for (setting, rule) in settings::changeable() {
        let Some(range) = setting.kind.rule_range() else { continue };
        numbers += 1;
        for (value, fits) in [
            (0, range.or_zero),
            (range.least - 1, range.or_zero && range.least == 1),
            (range.least, true),
            (range.most, true),
            (range.most + 1, false),
        ] {
            let mut rules = Rules::default();
            assert!(rule.set(&mut rules, &Value::Number(value)));
            let checked = rules.check(&Config::default());
            assert_eq!(checked.is_ok(), fits, "{} = {value}", rule.name);
            if let Err(error) = checked {
                let said = error.to_string();
                assert!(said.contains(setting.name) && said.contains(&range.to_string()), "{said}");
            }
        }
    }
    assert_eq!(numbers, 12);
}

#[test]
fn the_ranges_of_the_pages_are_what_schools_were_told() {
    for (name, first, most) in [
        ("retention_days", 1, 3650),
        ("queue_mib", 1, 10_240),
        ("sender_share_percent", 1, 100),
        ("sender_mib", 1, 1_048_576),
        ("file_mib", 1, 10_240),
        ("person_files_mib", 1, 1_048_576),
        ("server_files_mib", 0, 104_857_600),
        ("file_days", 1, 3650),
        ("invite_days", 1, 365),
        ("messages_per_minute", 1, 100_000_000),
        ("backup_every_hours", 0, 8760),
        ("backup_keep", 1, 365),
    ] {
        let (setting, _) = settings::changeable().find(|(_, rule)| rule.name == name).unwrap();
        let range = setting.kind.rule_range().unwrap();
        assert_eq!((range.first(), range.most), (first, most), "{name}");
    }
}

#[test]
fn a_share_that_no_message_fits_into_is_noticed_when_it_is_changed_alone() {
    let mut config = Config::default();
    config.mail.max_queue_bytes = 20_000;
    let rules = Rules { sender_share_percent: Some(20), ..Rules::default() };
    assert!(rules.leaves_no_room(&rules.over(&config)));
    let rules = Rules { sender_share_percent: Some(21), ..Rules::default() };
    assert!(!rules.leaves_no_room(&rules.over(&config)));
    let rules = Rules { name: Some("Rathaus".into()), ..Rules::default() };
    assert!(!rules.leaves_no_room(&rules.over(&config)));
}

#[test]
fn rules_are_kept_as_they_were_always_kept() {
    let kept = r#"{"name":"Rathaus","addresses":["a.example"],"link_port":4710,"retention_days":7,"queue_mib":3,
        "sender_mib":null,"one_time_passwords":true,"messages_per_minute":9,"smoke_share_ids":false,"later":1}"#;
    let rules: Rules = serde_json::from_str(kept).unwrap();
    let config = rules.over(&Config::default());
    assert_eq!((config.server.name.as_str(), config.mail.retention_days), ("Rathaus", 7));
    assert_eq!((config.mail.max_queue_bytes, config.rates.messages.burst), (3 * MIB, 18));
    assert_eq!(config.mail.max_sender_bytes, Config::default().mail.max_sender_bytes);
    assert!(config.rules.one_time_passwords && !config.smoke.share_ids && config.smoke.shared_port);
    let mut merged = Rules { name: Some("Schule".into()), file_days: Some(2), ..Rules::default() };
    merged.merge(&rules);
    assert_eq!((merged.name.as_deref(), merged.file_days), (Some("Rathaus"), Some(2)));
    assert_eq!(merged.link_port, Some(4710));
}

#[test]
fn attachments_keep_to_the_rules_unless_the_file_says_otherwise() {
    let rules = Rules {
        file_mib: Some(3),
        person_files_mib: Some(4),
        server_files_mib: Some(5),
        file_days: Some(6),
        ..Rules::default()
    };
    let blobs = rules.over(&Config::default()).blobs;
    assert_eq!((blobs.max_blob_bytes, blobs.max_participant_bytes), (3 * MIB, 4 * MIB));
    assert_eq!((blobs.max_server_bytes, blobs.retention_days), (5 * MIB, 6));
    let mut config = Config::default();
    use names::blobs::{max_blob_bytes, max_participant_bytes, max_server_bytes, retention_days};
    for name in [max_blob_bytes, max_participant_bytes, max_server_bytes, retention_days] {
        config.origins.note(name, Origin::File);
    }
    assert_eq!(rules.over(&config).blobs, config.blobs);
    assert!(matches!(rules.check(&config), Err(AdminError::RuleFixed(_))));
}
