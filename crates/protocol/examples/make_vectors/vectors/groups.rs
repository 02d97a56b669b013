//! A group's chain, its key, its link, and a message of each form.

use hkdf::Hkdf;
use momedo_protocol::encoding::{Base64Bytes, encode_base64, encode_hex};
use momedo_protocol::group::GroupId;
use momedo_protocol::group::entry::{
    Access, Action, Encryption, GroupEntry, GroupEntryPayload, GroupRole, NewMember, Posting, Settings,
};
use momedo_protocol::group::envelope::{GroupHeader, GroupSuite, seal_with};
use momedo_protocol::group::key::GroupKey;
use momedo_protocol::group::link::GroupLink;
use momedo_protocol::group::state::GroupState;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::jws::{Jws, Signer};
use momedo_protocol::kind;
use momedo_protocol::message::{GroupContext, Message};
use momedo_protocol::rsa_private_key::RsaPrivateKey;
use serde_json::{Value, json};
use sha2::Sha512;

use super::Result;
use super::fixtures::{Keys, NOW, anna, ben, message_id};

struct Chain {
    state: Option<GroupState>,
    entries: Vec<Jws>,
    after: Vec<Value>,
}

impl Chain {
    fn word(&self, author: ParticipantId, key: &RsaPrivateKey, action: Action) -> Jws {
        let state = self.state.as_ref();
        GroupEntryPayload {
            group: state.map(|state| state.group),
            number: state.map_or(1, |state| state.number + 1),
            previous: state.map(|state| state.head),
            author,
            key: Base64Bytes(key.public().spki().to_vec()),
            made_at: NOW,
            action,
        }
        .sign(key)
    }

    fn append(&mut self, author: ParticipantId, key: &RsaPrivateKey, action: Action) -> Result<()> {
        let jws = self.word(author, key, action);
        let entry = GroupEntry::read(&jws)?;
        match &mut self.state {
            None => self.state = Some(GroupState::create(&entry)?),
            Some(state) => state.apply(&entry)?,
        }
        let state = self.state.as_ref().ok_or("no group")?;
        self.after.push(json!({
            "number": state.number,
            "head": state.head,
            "epoch": state.epoch,
            "needs_epoch": state.needs_epoch,
            "members": state.members,
        }));
        self.entries.push(jws);
        Ok(())
    }
}

pub(super) fn groups(keys: &Keys) -> Result<Value> {
    // The first three keys of the file, whatever they are for elsewhere.
    let [anna_key, ben_key, home] =
        ["signature_key", "next_signature_key", "rsa_key"].map(|name| keys.rsa(name));
    let (anna, ben) = (anna(), ben());
    let home = home.public().fingerprint();
    let settings = Settings { name: "Klasse 7b".into(), posting: Posting::Everyone, access: Access::Closed };
    let mut chain = Chain { state: None, entries: Vec::new(), after: Vec::new() };
    let create = Action::Create {
        settings: settings.clone(),
        encryption: Encryption::Symmetric,
        home,
        version: 1,
        salt: Base64Bytes((0..16).collect()),
    };
    chain.append(anna, anna_key, create)?;
    let new_ben = NewMember {
        id: ben,
        fingerprint: ben_key.public().fingerprint(),
        version: 1,
        home: None,
        role: GroupRole::Member,
    };
    chain.append(anna, anna_key, Action::Add { members: vec![new_ben.clone()] })?;
    let key = GroupKey::from_bytes(&[0x11; 32]).ok_or("32 bytes")?;
    chain.append(ben, ben_key, Action::Epoch { epoch: 1, commitment: key.commitment() })?;
    let at_the_message = chain.state.clone().ok_or("no group")?;
    chain.append(anna, anna_key, Action::Remove { members: vec![ben] })?;

    let state = chain.state.clone().ok_or("no group")?;
    let refused = [
        ("by somebody who was removed", chain.word(ben, ben_key, Action::Leave {})),
        ("by a member with another key", chain.word(anna, ben_key, Action::Archive {})),
        (
            "an epoch left out",
            chain.word(anna, anna_key, Action::Epoch { epoch: 3, commitment: key.commitment() }),
        ),
        (
            "a group without a moderator",
            chain.word(anna, anna_key, Action::Role { member: anna, role: GroupRole::Member }),
        ),
        (
            "created twice",
            chain.word(
                anna,
                anna_key,
                Action::Create {
                    settings,
                    encryption: Encryption::Symmetric,
                    home,
                    version: 1,
                    salt: Base64Bytes(vec![0; 16]),
                },
            ),
        ),
    ]
    .map(|(why, entry)| json!({ "why": why, "entry": entry }));

    let link: GroupLink = format!("momedo:group#{}.{}", state.group, encode_base64(&[0x22; 32])).parse()?;
    let fingerprint = ben_key.public().fingerprint();
    Ok(json!({
        "id": { "group": state.group, "id": GroupId::of(&state.group) },
        "chain": { "entries": chain.entries, "after": chain.after },
        "refused_after_the_chain": refused,
        "group_key": { "key": encode_base64(key.bytes()), "commitment": key.commitment() },
        "link": {
            "link": link.to_string(),
            "public_key": encode_base64(&link.public_key()),
            "id": ben,
            "fingerprint": fingerprint,
            "proof": encode_base64(&link.prove(ben, &fingerprint)),
        },
        "sealed": [
            message(&at_the_message, GroupSuite::GroupKey, &key, ben, ben_key)?,
            message(&at_the_message, GroupSuite::ContentKey, &key, ben, ben_key)?,
        ],
    }))
}

fn message(
    state: &GroupState,
    suite: GroupSuite,
    key: &GroupKey,
    sender: ParticipantId,
    signer: &dyn Signer,
) -> Result<Value> {
    let id = message_id();
    let epoch = if suite == GroupSuite::GroupKey { 1 } else { 0 };
    let message = Message {
        from: sender,
        to: None,
        group: Some(GroupContext { id: state.group, number: state.number, head: state.head, epoch }),
        id,
        sent_at: NOW,
        conversation: None,
        log: None,
        kind: kind::TEXT.into(),
        body: "Wandertag morgen".into(),
    };
    let inner = message.sign(signer);
    let header = GroupHeader { suite, message_id: id, group: state.group, epoch, salt: [0x33; 32] };
    let info = [
        &b"momedo group message key v1"[..],
        &[suite.number()],
        &state.group.0,
        &epoch.to_be_bytes(),
        sender.to_string().as_bytes(),
        &id.0,
    ]
    .concat();
    let mut derived = [0; 64];
    Hkdf::<Sha512>::new(Some(&header.salt), key.bytes())
        .expand(&info, &mut derived)
        .map_err(|_| "64 bytes are a valid length")?;
    Ok(json!({
        "suite": suite.number(),
        "sender": sender,
        "key": encode_base64(key.bytes()),
        "salt": encode_base64(&header.salt),
        "epoch": epoch,
        "info_hex": encode_hex(&info),
        "derived_key": encode_base64(&derived[..32]),
        "commitment": encode_base64(&derived[32..]),
        "inner": String::from_utf8(inner.clone())?,
        "envelope": encode_base64(&seal_with(&header, key, sender, &inner)?),
    }))
}
