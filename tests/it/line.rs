//! A line to the server that fails at a chosen moment, which a test cannot do at either end. The load tool uses it, too.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use momedo_protocol::invite::InviteLink;

/// How a line fails. From the chosen moment on no answer passes; the request before it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks; the next one works.
    BreaksOnce,
    /// The connection breaks, and every one after it.
    Breaks,
    /// The connection stays open, and every one after it, and nothing is answered.
    Silent,
}

/// A slow line: every piece of at most 16 KiB waits, and then takes as long as its bytes do, both ways.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slow {
    pub(crate) delay: Duration,
    pub(crate) bytes_per_second: u32,
}

impl Slow {
    fn time(self, bytes: usize) -> Duration {
        self.delay + Duration::from_secs_f64(bytes as f64 / f64::from(self.bytes_per_second))
    }
}

/// Which way bytes go, seen from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the server.
    Up,
    /// From the server.
    Down,
}

/// Asked with the number of requests so far whenever an answer is about to pass.
type Moment = Box<dyn Fn(usize) -> bool + Send>;

#[derive(Default)]
struct State {
    planned: Option<(Fault, Moment)>,
    fails: Option<Fault>,
    has_failed: bool,
    requests: usize,
    cut: Option<Cut>,
    /// Nothing more passes this way once so many bytes have; the connection stays open and takes no more.
    held: Option<(Way, usize)>,
    /// Connections break, and every one after them, once so many more bytes have come from the server.
    breaks_after: Option<usize>,
    /// Bytes that came from the server.
    down: usize,
    /// Connections that nobody answers: they stay open for as long as they are kept here.
    unanswered: Vec<TcpStream>,
    slow: Option<Slow>,
    overtaking: Option<Overtaking>,
    /// Connections so far, which is the number of the next one.
    connections: u64,
}

/// The last bytes of one connection to the server arrive after the first ones of a newer connection.
struct Overtaking {
    /// Connections with lower numbers are the old ones.
    newer: u64,
    /// Bytes of a newer one that go ahead.
    ahead: usize,
    /// What the old ones brought, and where it belongs.
    late: Vec<(TcpStream, Vec<u8>)>,
}

/// Breaks connections by what passes, whichever way.
struct Cut {
    every: usize,
    left: usize,
    passed: usize,
}

/// What becomes of some bytes.
enum Fate {
    /// They pass after this time.
    Pass(Duration),
    Vanish,
    Break,
    Hold,
    /// They and what follows at once come late; to whoever sent them the connection breaks.
    Late,
}

/// A connection has no more to say for now when it was silent for so long, or has said so much.
const GATHERED_AFTER: Duration = Duration::from_millis(50);
const GATHERED_BYTES: usize = 256 * 1024;

/// A small TCP proxy on a port of its own; it lives as long as the test program.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

impl Line {
    /// A line that works, to the server with this address.
    pub(crate) fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, server) = (state.clone(), server.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                connect(client.unwrap(), &server, &shared);
            }
        });
        Self { address, state }
    }

    /// The same invite, leading over this line, and with it the profile made with it.
    pub(crate) fn lead(&self, invite: InviteLink) -> String {
        InviteLink { address: self.address.clone(), ..invite }.to_string()
    }

    /// Fails when the first answer is about to pass for which `moment` is true.
    pub(crate) fn fail_when(&self, fault: Fault, moment: impl Fn() -> bool + Send + 'static) {
        self.plan(fault, Box::new(move |_| moment()));
    }

    /// Fails instead of passing the answer to the request with this number, counted from now. The end of
    /// the handshake counts as the first, the connection's end as the last; a request of more than 16 KiB
    /// counts as several.
    pub(crate) fn fail_at(&self, fault: Fault, request: usize) {
        self.plan(fault, Box::new(move |requests| requests >= request));
    }

    /// Breaks the connection each time so many bytes have passed, so often; then it works.
    pub(crate) fn cut_every(&self, bytes: usize, times: usize) {
        self.state.lock().unwrap().cut = Some(Cut { every: bytes, left: times, passed: 0 });
    }

    /// Takes nothing more one way once so many bytes have passed, counted from now. The connection stays open.
    pub(crate) fn hold_after(&self, way: Way, bytes: usize) {
        self.state.lock().unwrap().held = Some((way, bytes));
    }

    /// Breaks the connection, and every one after it, once so many bytes have come from the server, counted from now.
    pub(crate) fn break_after(&self, bytes: usize) {
        self.state.lock().unwrap().breaks_after = Some(bytes);
    }

    /// Is slow until it is mended.
    pub(crate) fn slow_down(&self, slow: Slow) {
        self.state.lock().unwrap().slow = Some(slow);
    }

    /// Breaks the connections there are towards the client, and lets what they brought last arrive at the server when
    /// `ahead` bytes of a newer connection have. TCP keeps the order within a connection; between two there is none.
    pub(crate) fn overtake(&self, ahead: usize) {
        let mut state = self.state.lock().unwrap();
        state.overtaking = Some(Overtaking { newer: state.connections, ahead, late: Vec::new() });
    }

    /// How many bytes have come from the server since the line was made or mended.
    pub(crate) fn down(&self) -> usize {
        self.state.lock().unwrap().down
    }

    /// Whether it has failed since it was told to.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.lock().unwrap().has_failed
    }

    /// How many cuts are still to come.
    pub(crate) fn cuts_left(&self) -> usize {
        self.state.lock().unwrap().cut.as_ref().map_or(0, |cut| cut.left)
    }

    fn plan(&self, fault: Fault, moment: Moment) {
        let mut state = self.state.lock().unwrap();
        state.requests = 0;
        state.planned = Some((fault, moment));
    }

    /// Works again; true when it has failed since it was told to.
    pub(crate) fn mend(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let connections = state.connections;
        let before = std::mem::replace(&mut *state, State { connections, ..State::default() });
        before.has_failed
    }
}

impl State {
    /// Whether the connection breaks with these bytes.
    fn is_cut(&mut self, bytes: usize) -> bool {
        let Some(cut) = self.cut.as_mut().filter(|cut| cut.left > 0) else { return false };
        cut.passed += bytes;
        if cut.passed < cut.every {
            return false;
        }
        cut.passed = 0;
        cut.left -= 1;
        true
    }

    /// Whether these bytes may still pass.
    fn is_held(&mut self, way: Way, bytes: usize) -> bool {
        let Some((_, left)) = self.held.as_mut().filter(|(held, _)| *held == way) else { return false };
        match left.checked_sub(bytes) {
            Some(rest) => *left = rest,
            None => {
                *left = 0;
                return true;
            }
        }
        false
    }

    fn pass(&self, bytes: usize) -> Fate {
        Fate::Pass(self.slow.map_or(Duration::ZERO, |slow| slow.time(bytes)))
    }

    /// What becomes of what the client sends.
    fn fate_up(&mut self, number: u64, bytes: usize) -> Fate {
        if self.is_cut(bytes) {
            return Fate::Break;
        }
        if self.is_held(Way::Up, bytes) {
            return Fate::Hold;
        }
        if let Some(overtaking) = &mut self.overtaking {
            if number < overtaking.newer {
                return Fate::Late;
            }
            if overtaking.ahead == 0 && !overtaking.late.is_empty() {
                for (mut server, late) in overtaking.late.drain(..) {
                    // By now the server may have hung up.
                    let _: Result<_, _> = server.write_all(&late);
                }
                (self.has_failed, self.overtaking) = (true, None);
            } else {
                overtaking.ahead = overtaking.ahead.saturating_sub(bytes);
            }
        }
        self.pass(bytes)
    }

    /// What becomes of what the server sends.
    fn fate_down(&mut self, number: u64, bytes: usize) -> Fate {
        if self.is_cut(bytes) {
            return Fate::Break;
        }
        if self.overtaking.as_ref().is_some_and(|overtaking| number < overtaking.newer) {
            return Fate::Vanish;
        }
        if self.is_held(Way::Down, bytes) {
            return Fate::Hold;
        }
        if let Some(left) = self.breaks_after.as_mut() {
            *left = left.saturating_sub(bytes);
            if *left == 0 {
                self.breaks_after = None;
                (self.has_failed, self.fails) = (true, Some(Fault::Breaks));
            }
        }
        let fate = self.fate(bytes);
        self.down += bytes;
        fate
    }

    /// What becomes of an answer.
    fn fate(&mut self, bytes: usize) -> Fate {
        if let Some((fault, _)) = self.planned.take_if(|(_, moment)| moment(self.requests)) {
            self.has_failed = true;
            if fault == Fault::BreaksOnce {
                return Fate::Break;
            }
            self.fails = Some(fault);
        }
        match self.fails {
            None => self.pass(bytes),
            Some(Fault::Silent) => Fate::Vanish,
            Some(_) => Fate::Break,
        }
    }
}

fn connect(client: TcpStream, server: &str, state: &Arc<Mutex<State>>) {
    let mut shared = state.lock().unwrap();
    match shared.fails {
        None => {}
        Some(Fault::Silent) => return shared.unanswered.push(client),
        Some(_) => return,
    }
    let number = shared.connections;
    shared.connections += 1;
    drop(shared);
    // A server that is not there breaks the line too.
    let Ok(server) = TcpStream::connect(server) else { return };
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (asking, answering) = (state.clone(), state.clone());
    std::thread::spawn(move || {
        let mut records = Records::default();
        let fate = |bytes: &[u8]| {
            let mut state = asking.lock().unwrap();
            state.requests += records.count(bytes);
            state.fate_up(number, bytes.len())
        };
        copy(from, to, fate, |server, late| {
            if let Some(overtaking) = &mut asking.lock().unwrap().overtaking {
                overtaking.late.push((server, late));
            }
        });
    });
    std::thread::spawn(move || {
        let fate = |bytes: &[u8]| answering.lock().unwrap().fate_down(number, bytes.len());
        copy(server, client, fate, |_, _| {});
    });
}

/// Copies until one end closes or the line breaks; then neither end hears more of the other. What comes late is kept,
/// with where it goes, before its sender hears that the line is broken.
fn copy(
    mut from: TcpStream,
    mut to: TcpStream,
    mut fate: impl FnMut(&[u8]) -> Fate,
    keep: impl FnOnce(TcpStream, Vec<u8>),
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..count];
        match fate(bytes) {
            Fate::Pass(after) => {
                std::thread::sleep(after);
                if to.write_all(bytes).is_err() {
                    break;
                }
            }
            Fate::Vanish => {}
            // Nobody reads on, and nobody hangs up, for as long as the test program lives.
            Fate::Hold => loop {
                std::thread::park();
            },
            Fate::Late => {
                let mut late = bytes.to_vec();
                from.set_read_timeout(Some(GATHERED_AFTER)).unwrap();
                while late.len() < GATHERED_BYTES
                    && let Ok(count @ 1..) = from.read(&mut buffer)
                {
                    late.extend_from_slice(&buffer[..count]);
                }
                keep(to, late);
                let _: Result<_, _> = from.shutdown(Shutdown::Both);
                return;
            }
            Fate::Break => break,
        }
    }
    let _: Result<_, _> = from.shutdown(Shutdown::Both);
    let _: Result<_, _> = to.shutdown(Shutdown::Both);
}

/// Counts TLS records with application data; that much shows without any key.
#[derive(Default)]
struct Records {
    header: Vec<u8>,
    rest: usize,
}

impl Records {
    fn count(&mut self, bytes: &[u8]) -> usize {
        let mut found = 0;
        for byte in bytes {
            if self.rest > 0 {
                self.rest -= 1;
                continue;
            }
            self.header.push(*byte);
            if let [kind, _, _, high, low] = self.header[..] {
                found += usize::from(kind == 23);
                self.rest = usize::from(u16::from_be_bytes([high, low]));
                self.header.clear();
            }
        }
        found
    }
}
