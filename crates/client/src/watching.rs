//! What happens to a participant's own devices and recovery code, noticed by every device.
//!
//! Whoever holds one device can add others and make a recovery code, and the other devices follow, or nothing would
//! work. So each of them says it: what the server tells is compared with what this device did or knew, and never with
//! what a message says, because a thief's program need not send one. Where an admin locked a device out, whichever device
//! comes first makes every key anew.

use momedo_protocol::api::{DeviceJoined, DeviceState, JoinedHow, KeyBackupState};
use momedo_protocol::device_list::{DeviceEntry, DeviceListPayload};
use momedo_protocol::id::DeviceId;
use momedo_protocol::time::UnixMillis;

use crate::known_devices::{DEVICES, KEY_BACKUP, KnownBackup, KnownDevice, came_through, locked_out};
pub use crate::known_devices::{NEW_CODE, ended, joined_through, named};
use crate::profile::Profile;
use crate::session::Session;
use crate::{ClientError, device_lists, devices, held, inbox, now};

/// Setting with the devices that an admin locked out when this device last tried to make the keys anew for that, and
/// when.
const RENEWAL_TRIED: &str = "renewal-tried";

/// Setting with the locked out devices, and those that joined through them, that the person was last asked about, and
/// when.
const LOCK_OUT_ASKED: &str = "lock-out-asked";

/// How long after a renewal that failed another one is tried, in milliseconds: making keys is work.
const RENEWAL_PAUSE: u64 = 600_000;

/// The own devices, as they are listed and as the server knows them.
#[derive(Debug)]
pub struct Looked {
    pub(crate) list: DeviceListPayload,
    pub(crate) states: Vec<DeviceState>,
}

/// Compares devices and key backup with what was known, and has what is new shown with the next messages. Answers what
/// was seen; `None` at the second home.
///
/// # Errors
/// As [`ClientError`] says; [`ClientError::Protocol`] while another device made new keys that have not come yet.
pub async fn look(profile: &Profile, session: &mut Session) -> Result<Option<Looked>, ClientError> {
    // The second home knows of either only what it was told.
    if session.is_second {
        return Ok(None);
    }
    let backup = match session.key_backup().await {
        Ok(state) => Some(state),
        Err(error) if error.problem() == Some("no-key-backup") => None,
        Err(error) => return Err(error),
    };
    // The list need not be readable for the owner to hear of the words.
    profile.atomically(|| note_key_backup(profile, backup.as_ref()))?;
    let (list, states) = device_lists::list(profile, session).await?;
    Box::pin(held::learn_changes(profile, session)).await?;
    let state_of = |id: DeviceId| states.iter().find(|state| state.id == id);
    let active = list.devices.iter().filter(|entry| state_of(entry.id()).is_some());
    let active: Vec<_> =
        active.map(|entry| KnownDevice { id: entry.id(), name: entry.name.clone() }).collect();
    let joined = |id: DeviceId| state_of(id).and_then(|state| state.joined);
    profile.atomically(|| note_devices(profile, &active, joined))?;
    Ok(Some(Looked { list, states }))
}

/// What a device does about others that an admin locked out.
#[derive(Debug, PartialEq, Eq)]
enum LockOut {
    /// Nothing: none is, or it is the device itself.
    Nothing,
    /// Makes every key anew.
    Renew,
    /// Asks whose those are that joined through them, perhaps the device itself: they would get the new keys.
    Ask(Vec<DeviceId>),
}

fn judge(states: &[DeviceState], locked_out: &[DeviceId], own: DeviceId) -> LockOut {
    if locked_out.is_empty() || locked_out.contains(&own) {
        return LockOut::Nothing;
    }
    let joined = came_through(states, locked_out, None);
    // Whoever is left alone hands keys to nobody.
    if joined.is_empty() || states.iter().all(|state| state.id == own) {
        return LockOut::Renew;
    }
    LockOut::Ask(joined)
}

/// Has the person asked what is to become of devices that joined through locked out ones; once for the same devices,
/// and never often, whatever the server leaves out.
fn ask(
    profile: &Profile,
    list: &DeviceListPayload,
    locked_out: &[DeviceId],
    joined: &[DeviceId],
) -> Result<(), ClientError> {
    let asked: Option<(Vec<DeviceId>, Vec<DeviceId>, UnixMillis)> = profile.get(LOCK_OUT_ASKED)?;
    let is_known = asked.is_some_and(|(out, through, at)| {
        (out == locked_out && through == joined) || now().0.abs_diff(at.0) < RENEWAL_PAUSE
    });
    if is_known {
        return Ok(());
    }
    let revoke = locked_out.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let words = format!(
        "An admin locked out {}, through which these devices joined: {}. Your keys stay as they are until you say whose \
         those are, because whatever stays gets the new ones. On a device that you are sure of, name each as another one \
         to revoke, or with --keep if you added it yourself: momedo user revoke-device {revoke}",
        names(profile, list, locked_out)?,
        names(profile, list, joined)?,
    );
    profile.atomically(|| {
        inbox::put_alarm(profile, &words)?;
        profile.set(LOCK_OUT_ASKED, &(locked_out, joined, now()))
    })
}

/// Devices by the names they are listed with.
fn names(profile: &Profile, list: &DeviceListPayload, devices: &[DeviceId]) -> Result<String, ClientError> {
    let name = |id: &DeviceId| match list.devices.iter().find(|entry| entry.id() == *id) {
        Some(entry) if profile.device()? != *id => Ok(format!("{} ({id})", entry.name)),
        _ => named(profile, *id),
    };
    Ok(devices.iter().map(name).collect::<Result<Vec<_>, ClientError>>()?.join(", "))
}

/// Makes every key anew because an admin locked devices out that know the keys of before, unless others would get them
/// that joined through those: then the person is asked.
///
/// # Errors
/// As [`ClientError`] says; it is tried again after a while.
pub(crate) async fn finish_lock_out(
    profile: &Profile,
    session: &mut Session,
    looked: Looked,
) -> Result<(), ClientError> {
    let Looked { list, states } = looked;
    let locked_out = locked_out(&list, &states);
    match judge(&states, &locked_out, profile.device()?) {
        LockOut::Nothing => return Ok(()),
        LockOut::Ask(joined) => return ask(profile, &list, &locked_out, &joined),
        LockOut::Renew => {}
    }
    if !begin_renewal(profile, &list, &states, &locked_out)? {
        return Ok(());
    }
    devices::revoke_all(profile, session, (list, states), &locked_out, &|_| {}).await
}

/// Whether the keys may be made anew now. What is about to be signed is said first, and again when it becomes another
/// thing.
fn begin_renewal(
    profile: &Profile,
    list: &DeviceListPayload,
    states: &[DeviceState],
    locked_out: &[DeviceId],
) -> Result<bool, ClientError> {
    let tried: Option<(Vec<DeviceId>, UnixMillis)> = profile.get(RENEWAL_TRIED)?;
    // Whichever devices they are: a server that leaves out others each time must not have keys made on every run.
    if tried.as_ref().is_some_and(|(_, at)| now().0.abs_diff(at.0) < RENEWAL_PAUSE) {
        return Ok(false);
    }
    profile.atomically(|| {
        profile.set(RENEWAL_TRIED, &(locked_out, now()))?;
        if tried.is_some_and(|(ids, _)| ids == locked_out) {
            return Ok(());
        }
        let ids = list.devices.iter().map(DeviceEntry::id);
        let staying: Vec<_> = ids.filter(|id| states.iter().any(|state| state.id == *id)).collect();
        let words = format!(
            "Your server says that an admin locked out {}. So this device makes all your keys anew and signs a list of \
             your devices without them; the new keys go to: {}. If you did not expect that, ask your admin.",
            names(profile, list, locked_out)?,
            names(profile, list, &staying)?,
        );
        inbox::put_alarm(profile, &words)
    })?;
    Ok(true)
}

fn note_devices(
    profile: &Profile,
    active: &[KnownDevice],
    joined: impl Fn(DeviceId) -> Option<DeviceJoined>,
) -> Result<(), ClientError> {
    let own = profile.device()?;
    if let Some(known) = profile.get::<Vec<KnownDevice>>(DEVICES)? {
        let is_in = |list: &[KnownDevice], id: DeviceId| list.iter().any(|device| device.id == id);
        for device in active.iter().filter(|device| device.id != own && !is_in(&known, device.id)) {
            let how = joined(device.id).map(|joined| how(profile, &joined)).transpose()?;
            let KnownDevice { id, name } = device;
            let words = format!(
                "A device was added to yours: {name} ({id}){}. It reads your mail and writes as you. If it is not yours, \
                 revoke it: momedo user revoke-device {id}",
                how.unwrap_or_default(),
            );
            inbox::put_alarm(profile, &words)?;
        }
        for KnownDevice { id, name } in known.iter().filter(|device| !is_in(active, device.id)) {
            let words = format!("{name} ({id}) is no device of yours any more: it was revoked.");
            inbox::put_alarm(profile, &words)?;
        }
    }
    profile.set(DEVICES, &active)
}

/// How a device joined, in words that go after its name.
///
/// # Errors
/// [`ClientError::Profile`].
pub fn how(profile: &Profile, joined: &DeviceJoined) -> Result<String, ClientError> {
    let by = joined.by.map(|by| named(profile, by)).transpose()?;
    Ok(match (joined.how, by) {
        (JoinedHow::Registered, _) => String::new(),
        (JoinedHow::Linked, Some(by)) => format!(", by {by}"),
        (JoinedHow::Linked, None) => ", by another device".into(),
        (JoinedHow::Recovered, Some(by)) => format!(", with the recovery code that was made on {by}"),
        (JoinedHow::Recovered, None) => ", with the recovery code".into(),
    })
}

fn note_key_backup(profile: &Profile, state: Option<&KeyBackupState>) -> Result<(), ClientError> {
    let known = profile.get::<KnownBackup>(KEY_BACKUP)?.unwrap_or_default();
    let slot = state.and_then(|state| state.slot.as_ref());
    let seen = KnownBackup {
        lock: slot.map(|slot| slot.lock.clone()),
        ended: state.and_then(|state| state.ended.as_ref()).map(|end| end.at),
    };
    if seen == known {
        return Ok(());
    }
    let own = profile.device()?;
    let by_this = state.and_then(|state| state.ended.as_ref()).is_some_and(|end| end.by == Some(own));
    let words = match (slot, state) {
        (Some(slot), _) if known.lock.as_ref() != Some(&slot.lock) => {
            let by = slot.made_by.map(|by| named(profile, by)).transpose()?;
            let by = by.unwrap_or_else(|| "another device".into());
            let revoke = slot.made_by.map(|by| format!(": momedo user revoke-device {by}"));
            let what = match &known.lock {
                Some(_) => format!(
                    "Your recovery words were replaced by {by}. Those you wrote down open nothing any more, and whoever \
                     has the new ones can become you."
                ),
                None => format!(
                    "Recovery words for your keys were made by {by}. Whoever has them can become you."
                ),
            };
            Some(format!("{what} If that was not you, revoke that device{}", revoke.unwrap_or_default()))
        }
        (None, Some(state)) if seen.ended != known.ended && !by_this => ended(profile, state)?,
        (None, None) if known.lock.is_some() => Some(format!(
            "Your server has no key backup of yours any more, and does not say why: your recovery code opens nothing. \
             {NEW_CODE}"
        )),
        _ => None,
    };
    if let Some(words) = words {
        inbox::put_alarm(profile, &words)?;
    }
    profile.set(KEY_BACKUP, &seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: u64) -> DeviceId {
        DeviceId::from_number(number).unwrap()
    }

    fn state(id: u64, by: Option<u64>) -> DeviceState {
        DeviceState {
            id: device(id),
            online: false,
            waiting: 0,
            parked: false,
            joined: Some(DeviceJoined { at: UnixMillis(1), how: JoinedHow::Linked, by: by.map(device) }),
        }
    }

    #[test]
    fn what_a_locked_out_device_added_gets_no_new_keys_unasked() {
        let [stolen, tablet, added, another] = [1, 2, 3, 4];
        let states = [state(tablet, None), state(added, Some(stolen)), state(another, Some(added))];
        let through = || LockOut::Ask(vec![device(added), device(another)]);
        let judge = |states: &[DeviceState], out: &[u64], own: u64| {
            judge(states, &out.iter().copied().map(device).collect::<Vec<_>>(), device(own))
        };
        assert_eq!(judge(&states, &[stolen], tablet), through());
        // What was added through it does not renew by itself, or it would hand the keys to itself and its own.
        assert_eq!(judge(&states, &[stolen], added), through());
        assert_eq!(judge(&states, &[stolen], another), through());
        assert_eq!(judge(&states[..1], &[stolen], tablet), LockOut::Renew);
        // Who has no other device left is nobody but the owner, or has taken everything already.
        assert_eq!(judge(&states[1..2], &[stolen], added), LockOut::Renew);
        assert_eq!(judge(&states[..1], &[stolen, added], tablet), LockOut::Renew);
        assert_eq!(judge(&states, &[], tablet), LockOut::Nothing);
        assert_eq!(judge(&states[1..], &[tablet], tablet), LockOut::Nothing);
    }

    #[test]
    fn a_server_that_leaves_out_other_devices_each_time_has_keys_made_once_and_it_is_said() {
        let profile = crate::testing::profile(None);
        profile.set("id", &momedo_protocol::id::ParticipantId::random()).unwrap();
        profile.set("device", &device(1)).unwrap();
        let list = DeviceListPayload {
            id: profile.id().unwrap(),
            version: 1,
            issued_at: now(),
            devices: Vec::new(),
        };
        let states = [state(1, None)];
        let said = || profile.unshown().unwrap();
        assert!(begin_renewal(&profile, &list, &states, &[device(2)]).unwrap());
        assert!(!begin_renewal(&profile, &list, &states, &[device(3)]).unwrap());
        assert!(!begin_renewal(&profile, &list, &states, &[device(2), device(3)]).unwrap());
        assert_eq!(said().len(), 1);
        assert!(said()[0].2.contains(&device(2).to_string()), "{:?}", said());
        // Another try for the same is not said again.
        let before = |ids: &[DeviceId]| {
            profile.set(RENEWAL_TRIED, &(ids, UnixMillis(now().0 - RENEWAL_PAUSE))).unwrap();
        };
        before(&[device(2)]);
        assert!(begin_renewal(&profile, &list, &states, &[device(2)]).unwrap());
        assert_eq!(said().len(), 1);
        before(&[device(2)]);
        assert!(begin_renewal(&profile, &list, &states, &[device(3)]).unwrap());
        assert_eq!(said().len(), 2);
    }

    #[test]
    fn what_came_through_a_revoked_device_is_found_over_several_steps_and_never_the_own_one() {
        // The phone added the tablet and a stranger, which added another; the laptop came by the tablet.
        let [phone, tablet, stranger, another, laptop] = [1, 2, 3, 4, 5];
        let states = [
            state(another, Some(stranger)),
            state(phone, None),
            state(tablet, Some(phone)),
            state(stranger, Some(phone)),
            state(laptop, Some(tablet)),
            DeviceState { joined: None, ..state(6, None) },
        ];
        let through = |revoked: &[u64], own: u64| {
            let revoked: Vec<_> = revoked.iter().copied().map(device).collect();
            let mut found = joined_through(&states, &revoked, device(own));
            found.sort_unstable_by_key(|id| id.number());
            found
        };
        assert_eq!(through(&[phone], tablet), [device(stranger), device(another)]);
        assert_eq!(through(&[phone], laptop), [device(tablet), device(stranger), device(another)]);
        assert_eq!(through(&[phone, stranger], tablet), [device(another)]);
        assert_eq!(through(&[laptop], tablet), []);
        // Two that name each other end the search, too.
        let circle = [state(7, Some(8)), state(8, Some(7))];
        assert_eq!(joined_through(&circle, &[device(7)], device(1)), [device(8)]);
    }
}
