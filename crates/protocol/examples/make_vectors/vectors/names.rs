//! Small values as text.

use momedo_protocol::cursor::Cursor;
use momedo_protocol::digest::Fingerprint;
use momedo_protocol::encoding::encode_base64;
use momedo_protocol::id::{DeviceId, ParticipantId};
use momedo_protocol::invite::{InviteCode, InviteLink};
use momedo_protocol::message_id::MessageId;
use serde_json::{Value, json};

use super::fixtures::Keys;

pub(super) fn names(keys: &Keys) -> Value {
    let id = |text: &str| {
        let id: ParticipantId = text.parse().expect("an ID");
        json!({ "text": text, "number": id.number(), "shown": id })
    };
    let message_id = |text: &str| {
        let id: MessageId = text.parse().expect("a message ID");
        json!({ "text": text, "bytes": encode_base64(&id.0), "shown": id })
    };
    let cursor = |text: &str| {
        let cursor: Cursor = text.parse().expect("a cursor");
        json!({
            "text": text,
            "epoch": cursor.epoch.number(),
            "sequence": cursor.sequence,
            "shown": cursor,
        })
    };
    let code = |text: &str| {
        let code: InviteCode = text.parse().expect("an invite code");
        json!({ "text": text, "shown": code })
    };
    let server = keys.home();
    let link = |text: String| {
        let link: InviteLink = text.parse().expect("an invite link");
        json!({
            "text": text,
            "address": link.address,
            "code": link.code,
            "server": link.server,
            "shown": link.to_string(),
        })
    };
    let fingerprint = |name: &str| {
        let spki = keys.rsa(name).public().spki();
        let fingerprint = Fingerprint::of_spki(spki);
        json!({
            "spki": encode_base64(spki),
            "fingerprint": fingerprint,
            "grouped": fingerprint.grouped(),
            "words": fingerprint.words(),
        })
    };
    let device = |name: &str| {
        let spki = keys.rsa(name).public().spki();
        json!({ "login_key": encode_base64(spki), "id": DeviceId::of_login_key(spki) })
    };
    json!({
        "about": "Small values as text: what is read, what it means, how it is written, what is refused.",
        "ids": {
            "accepted": [
                id("M8N22HT6"), id("m8n22ht6"), id("M8N2-2HT6"), id(" m8-n2 2h-t6 "),
                id("00000000"), id("oOiIlL00"), id("ZZZZZZZZ"), id("00000001"),
            ],
            "refused": ["", "M8N22HT", "M8N22HT66", "M8N22HTU", "M8N22HT\u{c4}", "M8N22HT_", "M8N2.2HT6"],
        },
        "device_ids": [device("login_key"), device("second_login_key")],
        "message_ids": {
            "accepted": [
                message_id("01a0c4506c007b1f8a4c3e5d6f708192"),
                message_id("01A0C4506C007B1F8A4C3E5D6F708192"),
                message_id("00000000000000000000000000000000"),
            ],
            "refused": [
                "", "01a0c4506c007b1f8a4c3e5d6f70819", "01a0c4506c007b1f8a4c3e5d6f7081920",
                "01a0c450-6c00-7b1f-8a4c-3e5d6f708192", "01a0c4506c007b1f8a4c3e5d6f70819g",
            ],
        },
        "cursors": {
            "accepted": [
                cursor("7QK0M3ZD.42"), cursor("7qkom3zd.42"), cursor("7QK0M3ZD.0"),
                cursor("7QK0M3ZD.9007199254740992"),
            ],
            "refused": [
                "", "7QK0M3ZD", "7QK0M3ZD.", ".42", "7QK0M3Z.42", "7QK0M3ZD.-1", "7QK0M3ZD.1.2",
                "7QK0M3ZD.9007199254740993", "42",
            ],
        },
        "invite_codes": {
            "accepted": [code("7QK0M3ZD9XN4"), code("7qko-m3zd-9xn4"), code("ZZZZZZZZZZZZ")],
            "refused": ["", "7QK0M3ZD9XN", "7QK0M3ZD9XN44", "7QK0M3ZD9XNU"],
        },
        "invite_links": {
            "accepted": [
                link(format!("https://192.168.1.5:4710/i#7QK0M3ZD9XN4.{server}")),
                link(format!("https://[fd00::1]:4710/i#7QK0M3ZD9XN4.{server}")),
                link(format!("https://schule.example/i#7qko-m3zd-9xn4.{server}")),
                link(format!("  https://[::1]/i#7QK0M3ZD9XN4.{}\n", server.to_string().to_uppercase())),
            ],
            "refused": [
                "",
                format!("http://schule.example:4710/i#7QK0M3ZD9XN4.{server}"),
                format!("https://schule.example:4710/i?7QK0M3ZD9XN4.{server}"),
                format!("https://schule.example:4710/i#{server}"),
                format!("https://schule.example:4710/i#7QK0M3ZD9XN.{server}"),
                "https://schule.example:4710/i#7QK0M3ZD9XN4.abcd",
                format!("https:///i#7QK0M3ZD9XN4.{server}"),
                format!("https://schule.example:70000/i#7QK0M3ZD9XN4.{server}"),
                format!("https://a b/i#7QK0M3ZD9XN4.{server}"),
            ],
        },
        "fingerprints": [fingerprint("identity_key"), fingerprint("signature_key")],
        "base64url": {
            "accepted": [
                { "text": "", "hex": "" },
                { "text": "AA", "hex": "00" },
                { "text": "-_8", "hex": "fbff" },
            ],
            "refused": ["AA==", "+/8", "A", "A A", "AB"],
        },
    })
}
