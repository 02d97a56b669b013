//! What a profile keeps, and in which order it tells it, wherever it is kept.

use momedo_protocol::kind::{MessageReference, ReceiptKind};

use super::living::{KeptMessage, Mark};
use super::*;
use crate::keeping::Pages;
use crate::keeping::disk::Disk;
use crate::testing::{made_in, opened_in};

/// Runs a test with a profile in an SQLite file, and with one in pages.
pub(crate) fn with_each(test: impl Fn(&Profile)) {
    #[cfg(feature = "sqlite")]
    {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = crate::keeping::Sqlite::create(folder.path()).unwrap();
        test(&made_in(Box::new(sqlite), None).unwrap());
    }
    test(&made_in(pages(&empty()), None).unwrap());
}

fn empty() -> Disk {
    Disk::holding(Vec::new(), usize::MAX)
}

fn pages(disk: &Disk) -> Box<dyn Keep> {
    Box::new(Pages::open(disk.clone(), 1 << 20).unwrap())
}

fn somebody(number: u64) -> ParticipantId {
    ParticipantId::from_number(number).unwrap()
}

fn message(number: u8) -> MessageReference {
    MessageReference { from: somebody(u64::from(number % 2) + 1), id: MessageId([number; 16]) }
}

#[test]
fn a_profile_in_pages_is_made_opened_and_locked_as_one_in_a_file() {
    let disk = empty();
    assert!(matches!(opened_in(pages(&disk), None), Err(ClientError::Profile { .. })));
    let profile = made_in(pages(&disk), Some("Blätter")).unwrap();
    profile.set_secret("key", b"secret").unwrap();
    drop(profile);
    assert!(matches!(made_in(pages(&disk), None), Err(ClientError::Profile { .. })));
    assert!(matches!(opened_in(pages(&disk), None), Err(ClientError::Locked)));
    assert!(matches!(opened_in(pages(&disk), Some("x")), Err(ClientError::WrongPassphrase)));
    let profile = opened_in(pages(&disk), Some("Blätter")).unwrap();
    assert_eq!(profile.secret("key").unwrap()[..], b"secret"[..]);
    profile.discard();
    assert!(matches!(opened_in(pages(&disk), None), Err(ClientError::Profile { .. })));
    // One whose making was cut off is made anew.
    pages(&disk).make().unwrap();
    assert!(opened_in(pages(&disk), None).is_err());
    drop(made_in(pages(&disk), None).unwrap());
    assert!(opened_in(pages(&disk), None).is_ok());
}

#[test]
fn what_is_set_within_a_transaction_is_seen_and_taken_back() {
    with_each(|profile| {
        profile.set("a", &1).unwrap();
        let failed: Result<(), _> = profile.atomically(|| {
            profile.set("a", &2)?;
            profile.set_secret("b", b"2")?;
            assert_eq!(profile.get::<u8>("a")?, Some(2));
            assert!(profile.atomically(|| Ok(())).is_err(), "one at a time");
            Err(ClientError::TooLong)
        });
        assert!(matches!(failed, Err(ClientError::TooLong)));
        assert_eq!(profile.get::<u8>("a").unwrap(), Some(1));
        assert!(!profile.has_secret("b").unwrap());
        let together = profile.together().unwrap();
        profile.set("a", &3).unwrap();
        together.bring_to_disk().unwrap();
        assert_eq!(profile.get::<u8>("a").unwrap(), Some(3));
    });
}

#[test]
fn secrets_are_named_in_the_order_in_which_they_came() {
    with_each(|profile| {
        for name in ["k:z", "other", "k:a", "k:m"] {
            profile.set_secret(name, &[1; 500]).unwrap();
        }
        profile.set_secret("k:z", b"new").unwrap();
        assert_eq!(profile.secret_names("k:").unwrap(), ["k:z", "k:a", "k:m"]);
        profile.remove_secret("k:a").unwrap();
        profile.set_secret("k:a", b"again").unwrap();
        assert_eq!(profile.secret_names("k:").unwrap(), ["k:z", "k:m", "k:a"]);
        assert_eq!(profile.secret("k:z").unwrap()[..], b"new"[..]);
    });
}

#[test]
fn what_nobody_can_keep_is_unfit_and_not_the_profiles_fault() {
    with_each(|profile| {
        let beyond = UnixMillis(u64::MAX);
        let kept = profile.keep_unconfirmed(MessageId([1; 16]), somebody(1), "{}", beyond);
        assert!(matches!(kept, Err(ClientError::Unfit(_))));
        profile.put_outbox(MessageId([1; 16]), "{}").unwrap();
        let again = profile.put_outbox(MessageId([1; 16]), "{}");
        assert!(matches!(again, Err(ClientError::Unfit(_))));
    });
}

#[test]
fn what_was_taken_is_shown_once_in_the_order_it_came() {
    with_each(|profile| {
        for (sender, number, event) in [("z", 1, Some("one")), ("a", 2, None), ("a", 3, Some("three"))] {
            profile.put_inbox(sender, MessageId([number; 16]), event).unwrap();
        }
        profile.put_inbox("z", MessageId([1; 16]), Some("another")).unwrap();
        assert!(profile.is_known("a", MessageId([2; 16])).unwrap());
        assert!(!profile.is_known("z", MessageId([2; 16])).unwrap());
        let shown = |events: Vec<(String, String, String)>| {
            events.into_iter().map(|event| event.2).collect::<Vec<_>>()
        };
        assert_eq!(shown(profile.unshown().unwrap()), ["one", "three"]);
        let third = MessageId([3; 16]).to_string();
        assert_eq!(profile.count_try("a", &third).unwrap(), 1);
        assert_eq!(profile.count_try("a", &third).unwrap(), 2);
        assert!(profile.count_try("b", &third).is_err());
        assert_eq!(profile.tries().unwrap(), HashMap::from([("a".to_owned(), 2), ("z".to_owned(), 0)]));
        profile.mark_shown("z", &MessageId([1; 16]).to_string()).unwrap();
        assert_eq!(shown(profile.unshown().unwrap()), ["three"]);
    });
}

#[test]
fn signed_messages_are_found_by_their_id_until_they_are_old() {
    with_each(|profile| {
        let keep = |sender, number, at, before| {
            let id = MessageId([number; 16]);
            profile
                .keep_signed(somebody(sender), id, &[number; 300], UnixMillis(at), UnixMillis(before))
                .unwrap();
        };
        keep(2, 1, 10, 0);
        keep(1, 1, 11, 0);
        keep(1, 2, 12, 0);
        let senders = |number| -> Vec<_> {
            let found = profile.signed(MessageId([number; 16])).unwrap();
            found.into_iter().map(|(sender, message)| (sender, message[0])).collect()
        };
        assert_eq!(senders(1), [(somebody(2), 1), (somebody(1), 1)]);
        keep(3, 3, 20, 12);
        assert_eq!((senders(1), senders(2).len(), senders(3).len()), (vec![], 1, 1));
        // A clock that was set back: what it dated goes as well.
        keep(3, 4, 20, 12);
        keep(3, 5, 1, 0);
        assert_eq!((senders(2).len(), senders(5).len()), (1, 1));
        let undone: Result<(), _> = profile.atomically(|| {
            keep(3, 6, 20, 2);
            keep(3, 6, 20, 2);
            Err(ClientError::TooLong)
        });
        assert!(undone.is_err());
        assert_eq!(senders(5).len(), 1);
        keep(3, 6, 20, 2);
        assert_eq!((senders(2).len(), senders(5).len(), senders(6).len()), (1, 0, 1));
    });
}

#[test]
fn messages_live_on_and_only_what_is_later_takes_the_place_of_a_mark() {
    with_each(|profile| {
        for (number, kind) in [(1, "poll"), (2, "text"), (3, "poll"), (4, "poll")] {
            let conversation = if number == 3 { "other" } else { "one" }.to_owned();
            let body = (kind == "poll").then(|| "b".repeat(100 * usize::from(number)));
            let (reference, kind, audience) = (message(number), kind.to_owned(), None);
            let message = KeptMessage { reference, conversation, kind, body, audience, withdrawn: false };
            profile.keep_message(&message).unwrap();
            profile.keep_message(&KeptMessage { body: None, ..message }).unwrap();
        }
        let newest = |conversation, limit| -> Vec<_> {
            let found = profile.newest_messages(conversation, limit, |kind| kind == "poll").unwrap();
            found
                .iter()
                .map(|message| (message.reference.id.0[0], message.body.as_ref().map(String::len)))
                .collect()
        };
        assert_eq!(newest(None, 2), [(4, Some(400)), (3, Some(300))]);
        assert_eq!(newest(Some("one"), 9), [(4, Some(400)), (1, Some(100))]);
        profile.replace_body(&message(2), "nothing to replace").unwrap();
        assert_eq!(profile.kept_message(&message(2)).unwrap().unwrap().body, None);
        profile.replace_body(&message(4), "new").unwrap();
        profile.mark_withdrawn(&message(1)).unwrap();
        assert_eq!(newest(Some("one"), 9), [(4, Some(3)), (1, None)]);
        assert!(profile.kept_message(&message(1)).unwrap().unwrap().withdrawn);

        let mark = |who, value: &str, at| {
            let mark = Mark { who: somebody(who), mark: "vote".into(), value: value.into(), at };
            profile.put_mark(&message(1), &mark).unwrap();
        };
        mark(2, "first", 5);
        mark(1, "second", 9);
        mark(2, "earlier", 4);
        mark(2, "as late", 5);
        mark(1, "beyond all times", u64::MAX);
        let told: Vec<_> = profile.marks(&message(1)).unwrap().into_iter().map(|mark| mark.value).collect();
        assert_eq!(told, ["as late", "beyond all times"]);
    });
}

#[test]
fn a_receipt_that_a_message_was_read_says_more_than_that_it_arrived() {
    with_each(|profile| {
        let owe = |number, state| profile.owe_receipt(&message(number), "g", state).unwrap();
        owe(1, ReceiptKind::Read);
        owe(1, ReceiptKind::Delivered);
        owe(3, ReceiptKind::Delivered);
        owe(5, ReceiptKind::Delivered);
        owe(5, ReceiptKind::Read);
        owe(2, ReceiptKind::Delivered);
        let due = || profile.due_receipts().unwrap();
        let numbers: Vec<_> = due().iter().map(|due| due.reference.id.0[0]).collect();
        let mut senders = [somebody(1), somebody(2)];
        senders.sort_by_key(ToString::to_string);
        let expected = if senders[0] == somebody(1) { [2, 3, 1, 5] } else { [3, 1, 5, 2] };
        assert_eq!(numbers, expected);
        let arrived = due().into_iter().find(|due| due.reference == message(3)).unwrap();
        owe(3, ReceiptKind::Read);
        profile.settle_receipt(&arrived).unwrap();
        assert_eq!(due().len(), 4, "it was read meanwhile");
        due().iter().for_each(|due| profile.settle_receipt(due).unwrap());
        assert!(due().is_empty());
    });
}

#[test]
fn what_became_of_submissions_is_waited_for_ninety_days() {
    with_each(|profile| {
        let day = |days: u64| UnixMillis(days * 86_400_000);
        for (number, days) in [(3, 1), (1, 2), (2, 3)] {
            let id = MessageId([number; 16]);
            profile.keep_unconfirmed(id, somebody(1), &number.to_string(), day(days)).unwrap();
            profile.keep_beginning(id, "words", day(days)).unwrap();
        }
        assert!(profile.due_unconfirmed().unwrap().is_empty());
        profile.mark_unconfirmed_due().unwrap();
        assert_eq!(profile.due_unconfirmed().unwrap(), ["1", "2", "3"]);
        profile.settle_unconfirmed(MessageId([1; 16]), somebody(1)).unwrap();
        profile.forget_unconfirmed(MessageId([2; 16]), somebody(1)).unwrap();
        profile.keep_unconfirmed(MessageId([4; 16]), somebody(1), "4", day(92)).unwrap();
        profile.keep_beginning(MessageId([4; 16]), "more", day(92)).unwrap();
        profile.mark_unconfirmed_due().unwrap();
        assert_eq!(profile.due_unconfirmed().unwrap(), ["1", "4"]);
        let kept = |number| profile.beginning(MessageId([number; 16])).unwrap();
        assert_eq!((kept(3), kept(1).as_deref(), kept(4).as_deref()), (None, Some("words"), Some("more")));
        profile.forget_beginning(MessageId([1; 16])).unwrap();
        assert_eq!(kept(1), None);
    });
}

#[test]
fn a_key_kept_elsewhere_opens_what_it_sealed_and_no_other_does() {
    let (disk, key) = (empty(), |byte: u8| Lock::Key(Zeroizing::new([byte; 32])));
    let folder = || crate::testing::folder();
    let profile = Profile::create(pages(&disk), crate::testing::platform(), folder(), key(1)).unwrap();
    profile.set_secret("login-key", b"a private key").unwrap();
    drop(profile);
    let open = |lock: Lock<'_>| Profile::open(pages(&disk), crate::testing::platform(), folder(), lock);
    assert_eq!(open(key(1)).unwrap().secret("login-key").unwrap()[..], b"a private key"[..]);
    assert!(matches!(open(key(2)), Err(ClientError::WrongPassphrase)));
    assert!(matches!(open(Lock::Nothing), Err(ClientError::Locked)));
    assert!(!disk.seen().windows(13).any(|part| part == b"a private key"));
}
