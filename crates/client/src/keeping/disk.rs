//! A disk for tests.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

/// A disk that loses its power at the given operation; clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// As programs see it.
    seen: Vec<u8>,
    /// As it was when everything was brought to the disk last.
    brought: Vec<u8>,
    /// What came since then.
    since: Vec<Change>,
    /// Operations until the power is cut.
    left: usize,
    /// Operations so far.
    done: usize,
    /// Whether one was too many.
    was_cut: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl Change {
    fn apply(&self, disk: &mut Vec<u8>) {
        match self {
            Self::Length(length) => disk.resize(*length, 0),
            Self::Write(at, bytes) => {
                // A disk that lost a change of its length has room nonetheless, or cuts what does not fit.
                if disk.len() < at + bytes.len() {
                    disk.resize(at + bytes.len(), 0);
                }
                disk[*at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

impl Disk {
    pub(crate) fn holding(bytes: Vec<u8>, left: usize) -> Self {
        let state =
            State { seen: bytes.clone(), brought: bytes, since: Vec::new(), left, done: 0, was_cut: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// What programs see.
    pub(crate) fn seen(&self) -> Vec<u8> {
        self.0.lock().unwrap().seen.clone()
    }

    pub(super) fn was_cut(&self) -> bool {
        self.0.lock().unwrap().was_cut
    }

    fn change(&self, run: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.done >= state.left {
            state.was_cut = true;
            return Err(io::Error::other("the power was cut"));
        }
        state.done += 1;
        run(&mut state);
        Ok(())
    }

    /// What the disk may hold after the cut: everything that came, nothing since it was brought there, or some of it:
    /// every other change, from the first or the second on, any, or a torn last one.
    pub(super) fn remains(&self) -> Vec<Vec<u8>> {
        let state = self.0.lock().unwrap();
        let with = |is_kept: &dyn Fn(usize) -> bool| {
            let mut disk = state.brought.clone();
            let kept = state.since.iter().enumerate().filter(|(number, _)| is_kept(*number));
            kept.for_each(|(_, change)| change.apply(&mut disk));
            disk
        };
        let mut remains: Vec<Vec<u8>> = vec![
            with(&|_| true),
            with(&|_| false),
            with(&|number| number % 2 == 0),
            with(&|number| number % 2 == 1),
            with(&|number| number + 1 == state.since.len()),
        ];
        for seed in 1..8_usize {
            remains.push(with(&|number| (seed * (number + 3) * 0x9E37_79B9) >> 20 & 1 == 1));
        }
        if let Some(Change::Write(at, bytes)) = state.since.last() {
            let mut torn = with(&|number| number + 1 < state.since.len());
            Change::Write(*at, bytes[..bytes.len() / 2].to_vec()).apply(&mut torn);
            remains.push(torn);
        }
        remains.dedup();
        remains
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let read = state.seen.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(read);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let change = Change::Length(usize::try_from(len).map_err(io::Error::other)?);
        self.change(|state| {
            change.apply(&mut state.seen);
            state.since.push(change);
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(|state| {
            state.brought.clone_from(&state.seen);
            state.since.clear();
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let change = Change::Write(usize::try_from(offset).map_err(io::Error::other)?, data.to_vec());
        self.change(|state| {
            change.apply(&mut state.seen);
            state.since.push(change);
        })
    }
}
