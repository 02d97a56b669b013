use proptest::prelude::*;

use super::*;

const QUOTA: Quota = Quota { queue_bytes: 1000, sender_bytes: 250 };
const HOME: Fingerprint = Fingerprint([9; 32]);
const THERE: Source = Source::There { neighbour: HOME, home: HOME, is_copy: false };
const COPY: Source = Source::There { neighbour: HOME, home: HOME, is_copy: true };

fn device(number: u8) -> DeviceId {
    DeviceId::from_number(u64::from(number)).unwrap()
}

fn holding(number: u8, all: u64, from_sender: u64) -> Queue {
    let queued = Queued { all, from_sender, ..Queued::default() };
    Queue { device: device(number), queued }
}

fn offer((kind, source, is_repeated): What) -> Offer {
    Offer { kind, source, size: 100, only: None, except: None, is_sealed: true, is_repeated }
}

fn addressee(queues: &[Queue]) -> Addressee<'_> {
    Addressee {
        is_erased: false,
        blocks: false,
        is_admitted: true,
        keys: Keys::Fit,
        queues,
        parked: &[],
        other_home: None,
        copy_waits: false,
    }
}

fn keep(taking: &[u8], missing: &[u8], copy_to: Option<Fingerprint>) -> Decision {
    let devices = |numbers: &[u8]| numbers.iter().copied().map(device).collect();
    Decision::Keep { takers: Takers { taking: devices(taking), missing: devices(missing) }, copy_to }
}

/// Kind, source, and whether somebody repeats it.
type What = (Kind, Source, bool);

const MESSAGE: What = (Kind::Message, Source::Here, true);
const POSTED: What = (Kind::Posting, Source::Here, false);
const TO_ONESELF: What = (Kind::Own, Source::Here, true);
const BROUGHT: What = (Kind::Message, THERE, true);
const BROUGHT_COPY: What = (Kind::Message, COPY, true);

const ALL: [What; 9] = [
    MESSAGE,
    (Kind::GroupKey, Source::Here, true),
    POSTED,
    TO_ONESELF,
    (Kind::Own, Source::Here, false),
    BROUGHT,
    (Kind::Posting, THERE, true),
    // Posted here by somebody of another server.
    (Kind::Posting, THERE, false),
    BROUGHT_COPY,
];

/// The same for all but the copy of the other home, which has decided already.
fn but_for_a_copy(decision: &Decision, copy: &Decision) -> [Decision; 9] {
    std::array::from_fn(|at| if ALL[at] == BROUGHT_COPY { copy.clone() } else { decision.clone() })
}

#[test]
fn what_nothing_speaks_against_goes_to_every_device_and_the_other_home() {
    let queues = [holding(1, 0, 0), holding(2, 900, 150)];
    let parked = [device(3)];
    for what in ALL {
        let to = Addressee { parked: &parked, other_home: Some(HOME), ..addressee(&queues) };
        let copy_to = (what != BROUGHT_COPY).then_some(HOME);
        assert_eq!(decide(&offer(what), &to, &QUOTA), keep(&[1, 2], &[3], copy_to), "{what:?}");
    }
}

#[test]
fn each_reason_against_it_counts_for_what_it_is_about() {
    use Refusal::*;
    let queues = [holding(1, 0, 0)];
    let usual = || addressee(&queues);
    let taken = keep(&[1], &[], None);
    let refused = Decision::Refuse;
    let with_blocks = |own: Decision, key: Decision| {
        [
            refused(Blocked),
            key,
            Decision::Drop,
            own.clone(),
            own,
            refused(Blocked),
            Decision::Drop,
            Decision::Drop,
            Decision::Drop,
        ]
    };
    let cases: [(&str, Addressee<'_>, [Decision; 9]); 6] = [
        ("erased", Addressee { is_erased: true, ..usual() }, std::array::from_fn(|_| refused(Erased))),
        ("blocks", Addressee { blocks: true, ..usual() }, with_blocks(taken.clone(), taken.clone())),
        (
            "blocks and has no device",
            Addressee { blocks: true, ..addressee(&[]) },
            with_blocks(keep(&[], &[], None), refused(NoDevice)),
        ),
        (
            "not admitted",
            Addressee { is_admitted: false, ..usual() },
            but_for_a_copy(&refused(NotAdmitted), &taken),
        ),
        (
            "stale keys",
            Addressee { keys: Keys::Stale, ..usual() },
            but_for_a_copy(&refused(StaleKeys), &taken),
        ),
        (
            "keys not yet known",
            Addressee { keys: Keys::NotYetKnown, ..usual() },
            but_for_a_copy(&refused(KeysNotYetKnown), &taken),
        ),
    ];
    for (name, to, expected) in cases {
        for (what, expected) in ALL.into_iter().zip(expected) {
            assert_eq!(decide(&offer(what), &to, &QUOTA), expected, "{name}: {what:?}");
        }
    }
}

#[test]
fn without_a_queue_that_takes_it_whoever_can_repeat_it_hears_of_it() {
    use QueueFull::*;
    let full = |reason| Decision::Refuse(Refusal::Full(reason));
    let none = Decision::Refuse(Refusal::NoDevice);
    // One full queue and one whose sender's share is full; only a parked device; no device.
    let queues = [holding(1, 1000, 0), holding(2, 250, 250)];
    let parked = [device(3)];
    let missed = |numbers| keep(&[], numbers, None);
    let repeated = [full(SenderShare), full(Queue), none.clone()];
    let not_repeated = [missed(&[1, 2]), missed(&[3]), missed(&[])];
    let to_oneself = [full(SenderShare), missed(&[3]), missed(&[])];
    let copy = [full(SenderShare), missed(&[3]), none];
    for what in ALL {
        let [with_full, with_parked, with_none] = match what {
            TO_ONESELF => to_oneself.clone(),
            BROUGHT_COPY => copy.clone(),
            (_, _, true) => repeated.clone(),
            (_, _, false) => not_repeated.clone(),
        };
        let offer = offer(what);
        assert_eq!(decide(&offer, &addressee(&queues), &QUOTA), with_full, "{what:?}: full");
        let to = Addressee { parked: &parked, ..addressee(&[]) };
        assert_eq!(decide(&offer, &to, &QUOTA), with_parked, "{what:?}: parked");
        assert_eq!(decide(&offer, &addressee(&[]), &QUOTA), with_none, "{what:?}: no device");
    }
}

#[test]
fn one_queue_that_takes_it_is_enough_and_the_others_hear_of_it() {
    let queues = [holding(1, 1000, 0), holding(2, 0, 0)];
    for what in ALL {
        assert_eq!(decide(&offer(what), &addressee(&queues), &QUOTA), keep(&[2], &[1], None), "{what:?}");
    }
}

#[test]
fn what_is_for_one_device_or_from_one_passes_the_others_by() {
    let queues = [holding(1, 0, 0), holding(2, 0, 0)];
    let parked = [device(3)];
    let to = Addressee { parked: &parked, ..addressee(&queues) };
    let only = |number| Offer { only: Some(device(number)), ..offer(BROUGHT_COPY) };
    assert_eq!(decide(&only(1), &to, &QUOTA), keep(&[1], &[], None));
    assert_eq!(decide(&only(3), &to, &QUOTA), keep(&[], &[3], None));
    let except = Offer { except: Some(device(2)), ..offer(TO_ONESELF) };
    assert_eq!(decide(&except, &to, &QUOTA), keep(&[1], &[3], None));
    // The only device there is sent it.
    let alone = [holding(2, 0, 0)];
    assert_eq!(decide(&except, &addressee(&alone), &QUOTA), keep(&[], &[], None));
    let copy = Offer { except: Some(device(2)), ..offer(BROUGHT_COPY) };
    assert_eq!(decide(&copy, &addressee(&alone), &QUOTA), keep(&[], &[], None));
}

#[test]
fn what_nobody_could_seal_is_missed_and_goes_nowhere_else() {
    let queues = [holding(1, 0, 0)];
    let to = Addressee { other_home: Some(HOME), copy_waits: true, ..addressee(&queues) };
    let offer = Offer { is_sealed: false, ..offer(POSTED) };
    assert_eq!(decide(&offer, &to, &QUOTA), keep(&[], &[1], None));
}

#[test]
fn what_has_the_same_id_arrives_at_the_other_home_first() {
    let queues = [holding(1, 0, 0)];
    let waits = Addressee { copy_waits: true, ..addressee(&queues) };
    let to = Addressee { other_home: Some(HOME), ..waits.clone() };
    let offer = offer(BROUGHT);
    assert_eq!(decide(&offer, &to, &QUOTA), Decision::Refuse(Refusal::CopyWaits));
    assert_eq!(decide(&offer, &waits, &QUOTA), keep(&[1], &[], None));
}

proptest! {
    /// Whatever is known of the recipient: nobody gets what they block or what does not fit, each device stands once, and
    /// what is kept is kept for somebody or missed by them.
    #[test]
    fn every_device_takes_it_or_misses_it_and_none_beyond_its_quota(
        what in proptest::sample::select(ALL.to_vec()),
        held in proptest::collection::vec((0u64..1200, 0u64..300), 0..5),
        parked in 0u8..3,
        size in 0u64..400,
        flags: [bool; 6],
        keys in proptest::sample::select(vec![Keys::Fit, Keys::NotYetKnown, Keys::Stale]),
    ) {
        let [is_erased, blocks, is_admitted, has_home, copy_waits, is_sealed] = flags;
        let queues: Vec<_> =
            held.iter().zip(1..).map(|((all, sender), number)| holding(number, *all, *sender)).collect();
        let parked: Vec<_> = (0..parked).map(|number| device(100 + number)).collect();
        let to = Addressee {
            is_erased, blocks, is_admitted, keys, queues: &queues, parked: &parked,
            other_home: has_home.then_some(HOME), copy_waits,
        };
        let offer = Offer { size, is_sealed, ..offer(what) };
        let (kind, source, _) = what;
        match decide(&offer, &to, &QUOTA) {
            Decision::Keep { takers, copy_to } => {
                prop_assert!(!is_erased);
                prop_assert!(!blocks || !matches!(kind, Kind::Message | Kind::Posting));
                prop_assert!(source == COPY || (is_admitted && keys == Keys::Fit));
                let mut all: Vec<_> = takers.taking.iter().chain(&takers.missing).copied().collect();
                all.sort_by_key(|device| device.number());
                let mut expected: Vec<_> =
                    queues.iter().map(|queue| queue.device).chain(parked.iter().copied()).collect();
                expected.sort_by_key(|device| device.number());
                prop_assert_eq!(all, expected);
                for queue in queues.iter().filter(|queue| takers.taking.contains(&queue.device)) {
                    prop_assert!(is_sealed && queue.queued.all + size <= QUOTA.queue_bytes);
                    prop_assert!(queue.queued.from_sender + size <= QUOTA.sender_bytes);
                }
                prop_assert!(copy_to.is_none() || (has_home && source != COPY && is_sealed && !copy_waits));
            }
            Decision::Drop => prop_assert!(blocks),
            Decision::Refuse(Refusal::Full(_)) => {
                let takes = |queue: &Queue| QUOTA.admit_from(source, queue.queued, size).is_ok();
                prop_assert!(!is_sealed || !queues.iter().any(takes));
            }
            Decision::Refuse(_) => {}
        }
    }
}
