//! Links, codes and IDs, as people type and paste them: what is read is shown as something that reads the same. How to run
//! it: see `smoke_codec`.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use momedo_protocol::cursor::Cursor;
use momedo_protocol::device_link::{DeviceLink, LinkCode};
use momedo_protocol::group::GroupId;
use momedo_protocol::group::link::GroupLink;
use momedo_protocol::id::ParticipantId;
use momedo_protocol::invite::{InviteCode, InviteLink, ServerLink};
use momedo_protocol::key_backup::RecoveryCode;
use momedo_protocol::key_log::LogView;
use momedo_protocol::link::PairingLink;

fn read<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let shown = value.to_string();
        let again = shown.parse::<T>().ok().expect("what is shown can be read");
        assert_eq!(again.to_string(), shown);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    read::<InviteLink>(text);
    read::<InviteCode>(text);
    read::<ServerLink>(text);
    read::<GroupLink>(text);
    read::<GroupId>(text);
    read::<ParticipantId>(text);
    read::<PairingLink>(text);
    read::<DeviceLink>(text);
    read::<LinkCode>(text);
    read::<Cursor>(text);
    read::<LogView>(text);
    let _ = text.parse::<RecoveryCode>();
});
