use super::*;

const MIB: usize = 1024 * 1024;

fn memory() -> Arc<Memory> {
    Memory::new(Shares::of(64 * MIB))
}

fn address(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number])
}

fn somebody(number: u64) -> Option<ParticipantId> {
    ParticipantId::from_number(number)
}

#[test]
fn a_connection_a_participant_and_an_address_have_shares_of_the_budget() {
    let memory = memory();
    let mut held = Vec::new();
    let line = memory.line(address(1));
    held.push(line.hold(None, 2 * MIB).unwrap());
    assert!(line.hold(None, 1).is_err(), "a connection has its share");
    for _ in 0..2 {
        held.push(memory.line(address(1)).hold(somebody(1), 2 * MIB).unwrap());
    }
    assert!(memory.line(address(2)).hold(somebody(1), 1).is_err(), "a participant has their share");
    assert!(memory.line(address(2)).hold(somebody(2), 1).is_ok());
    for _ in 0..13 {
        held.push(memory.line(address(1)).hold(None, 2 * MIB).unwrap());
    }
    assert!(memory.line(address(1)).hold(None, 2 * MIB).is_err(), "an address has its share");
    assert_eq!(memory.held(), 32 * MIB, "nobody was cut for whoever wants as much");
    assert!(memory.line(address(2)).hold(None, 1).is_ok());
    drop(held);
    assert_eq!(memory.held(), 0);
    assert!(memory.lock().participants.is_empty() && memory.lock().addresses.is_empty());
}

#[test]
fn whoever_fills_the_share_of_an_address_is_cut_for_others_behind_it() {
    let memory = memory();
    let mut held = Vec::new();
    let lines: Vec<_> = (0..40).map(|_| memory.line(address(1))).collect();
    let cut = || lines.iter().filter(|line| *line.cut.borrow()).count();
    for line in &lines[..31] {
        held.push(line.hold(None, MIB).unwrap());
    }
    held.push(lines[39].hold(somebody(1), MIB).unwrap());
    assert_eq!(memory.held(), 32 * MIB, "full");
    let handshake = lines[31].hold_handshake(16 * 1024).unwrap();
    assert_eq!(cut(), 0, "a handshake costs nothing of the share");
    drop(handshake);
    held.push(lines[31].hold(None, 1024).unwrap());
    assert_eq!(cut(), 1);
    held.push(lines[32].hold(somebody(2), 2 * MIB).unwrap());
    assert_eq!(cut(), 3, "who pays goes before all who do not, however much it is");
    assert!(!*lines[39].cut.borrow() && !*lines[31].cut.borrow() && !*lines[32].cut.borrow());
    drop(held);
    assert_eq!(memory.held(), 0);
    assert!(memory.lock().participants.is_empty() && memory.lock().addresses.is_empty());
}

#[test]
fn many_addresses_of_one_network_are_cut_before_a_school_that_holds_more_than_each() {
    let memory = memory();
    let mut held = Vec::new();
    let school = memory.line(address(1));
    held.push(school.hold(None, 2 * MIB).unwrap());
    let lines: Vec<_> = (0..62u16)
        .map(|subnet| memory.line(std::net::Ipv6Addr::new(0x2001, 0xdb8, 1, subnet, 0, 0, 0, 1).into()))
        .collect();
    for line in &lines {
        held.push(line.hold(None, MIB).unwrap());
    }
    held.push(memory.line(address(2)).hold(somebody(1), 2 * MIB).unwrap());
    assert!(!*school.cut.borrow());
    assert_eq!(lines.iter().filter(|line| *line.cut.borrow()).count(), 2);
    // Who holds nothing yet is never cut for what is larger than all.
    let idle = memory.line(address(3));
    assert!(memory.line(address(4)).hold(None, 65 * MIB).is_err());
    assert!(!*idle.cut.borrow());
    drop(held);
    assert_eq!(memory.held(), 0);
}

#[test]
fn who_pays_is_not_cut_for_an_address_by_who_does_not() {
    let memory = memory();
    let mut held = Vec::new();
    for number in 1..=16 {
        held.push(memory.line(address(1)).hold(somebody(number), 2 * MIB).unwrap());
    }
    assert!(memory.line(address(1)).hold(None, 1).is_err());
    assert!(memory.line(address(1)).hold(somebody(99), 1).is_ok());
    drop(held);
    assert_eq!(memory.held(), 0);
}

#[test]
fn what_is_larger_than_a_share_passes_by_itself() {
    let line = memory().line(address(1));
    let whole = line.hold(somebody(1), 5 * MIB).unwrap();
    assert!(line.hold(somebody(1), 1).is_err());
    drop(whole);
    assert!(line.hold(somebody(1), 1).is_ok());
}

#[test]
fn a_body_that_comes_in_steps_may_be_larger_than_a_share_and_not_than_the_budget() {
    let memory = memory();
    let line = memory.line(address(1));
    let serving = line.serve();
    serving.paid_by(somebody(1).unwrap());
    for _ in 0..40 * 64 {
        serving.hold_body(16 * 1024).unwrap();
    }
    assert_eq!(memory.held(), 40 * MIB);
    assert!(line.hold(somebody(1), 1).is_err(), "nothing else passes beside it");
    for _ in 0..24 * 64 {
        serving.hold_body(16 * 1024).unwrap();
    }
    assert!(serving.hold_body(1).is_err(), "the budget is full");
    assert!(!*line.cut.borrow());
    serving.release_body();
    assert_eq!(memory.held(), 0);
    // Beside something else it has its share.
    let beside = line.hold(somebody(1), MIB).unwrap();
    serving.hold_body(MIB).unwrap();
    assert!(serving.hold_body(1).is_err());
    drop(beside);
    assert!(serving.hold_body(1).is_ok());
}

#[tokio::test]
async fn the_largest_holder_at_the_largest_address_goes_first() {
    let memory = memory();
    let innocent = memory.line(address(200));
    let kept = innocent.hold(somebody(9), MIB).unwrap();
    let mut held = Vec::new();
    let mut lines = Vec::new();
    for number in 0..62 {
        let line = memory.line(address(1 + number / 16));
        held.push(line.hold(None, MIB).unwrap());
        lines.push(line);
    }
    let large = memory.line(address(1));
    held.push(large.hold(None, MIB + 1).unwrap_or_else(|_| large.hold(None, MIB - 1).unwrap()));
    // The next who needs room gets it from the address with most.
    let next = memory.line(address(201));
    held.push(next.hold(somebody(3), 2 * MIB).unwrap());
    let cut = lines.iter().chain([&large]).filter(|line| *line.cut.borrow()).count();
    assert!((1..=2).contains(&cut), "{cut}");
    assert!(!*innocent.cut.borrow() && !*next.cut.borrow());
    assert!(memory.held() <= 64 * MIB);
    drop((kept, held));
    assert_eq!(memory.held(), 0);
}

#[test]
fn a_connection_is_idle_without_requests_and_stalled_while_its_reader_does_not_come_for_more() {
    let line = memory().line(address(1));
    let serving = line.serve();
    assert_eq!(line.idle(), Duration::ZERO);
    let answer = serving.hold_answer(10).unwrap();
    drop(serving);
    assert_eq!(line.idle(), Duration::ZERO, "its answer is on the way");
    assert_eq!(line.stalled(), Duration::ZERO);
    answer.given();
    std::thread::sleep(Duration::from_millis(2));
    assert!(line.stalled() > Duration::ZERO);
    answer.taken();
    assert_eq!(line.stalled(), Duration::ZERO);
    answer.given();
    drop(answer);
    assert_eq!(line.stalled(), Duration::ZERO);
    std::thread::sleep(Duration::from_millis(2));
    assert!(line.idle() > Duration::ZERO);
}
