//! The log in a file, for a server whose standard error nobody reads: private, and bounded in size.
//!
//! A line that cannot be written is lost without a word: whoever could be told reads this file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file that is full makes room for a new one: some days of a busy server, and soon opened in any editor.
const MAX_BYTES: u64 = 2 * 1024 * 1024;

/// How many files there are at most, the one that is written to among them.
const FILES: u32 = 5;

/// `momedo.log` in the data directory, and `momedo.1.log` to `momedo.4.log`, the oldest with the highest number.
#[derive(Debug)]
pub struct LogFile {
    directory: PathBuf,
    max_bytes: u64,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

/// The log in a data directory.
pub fn path(directory: &Path) -> PathBuf {
    directory.join("momedo.log")
}

impl LogFile {
    /// The log of a data directory. Nothing is made before the first line.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), max_bytes: MAX_BYTES, open: Mutex::default() }
    }

    /// The file with this number; the first is the one that is written to.
    fn numbered(&self, number: u32) -> PathBuf {
        match number {
            0 => path(&self.directory),
            _ => self.directory.join(format!("momedo.{number}.log")),
        }
    }

    fn append(&self, open: &mut Option<Open>, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        let mut current = match open.take() {
            Some(current) => current,
            None => self.open()?,
        };
        // At least one line, however long.
        if current.bytes > 0 && current.bytes + length > self.max_bytes {
            // Closed first: Windows renames no open file.
            drop(current);
            self.rotate()?;
            current = self.open()?;
        }
        current.bytes += length;
        current.file.write_all(line)?;
        // After a failure it is opened anew, in case the folder was moved or there is room again.
        *open = Some(current);
        Ok(())
    }

    fn open(&self) -> io::Result<Open> {
        if !self.directory.is_dir() {
            super::data_directory::create_private_folder(&self.directory)?;
        }
        let mut options = File::options();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.numbered(0))?;
        let bytes = file.metadata()?.len();
        Ok(Open { file, bytes })
    }

    /// Gives each file the next number; the last one goes.
    fn rotate(&self) -> io::Result<()> {
        for number in (0..FILES - 1).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                // Somebody on Windows looks at an older one: the next takes its own place all the same, or goes no further.
                Err(error) if error.kind() != io::ErrorKind::NotFound && number == 0 => {
                    // Rather than growing for as long as they look, the log begins anew.
                    return File::options().write(true).truncate(true).open(self.numbered(0)).map(drop);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let _: io::Result<()> = self.append(&mut open, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(directory: &Path, max_bytes: u64) -> LogFile {
        LogFile { max_bytes, ..LogFile::new(directory) }
    }

    /// Writes a line at once, as the log does.
    fn write(mut log: &LogFile, line: &str) {
        log.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn read(directory: &Path, name: &str) -> String {
        fs::read_to_string(directory.join(name)).unwrap_or_default()
    }

    #[test]
    fn a_full_file_makes_room_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), 20);
        for number in 10..30 {
            write(&log, &format!("line {number}"));
        }
        let lines = |first: u32| format!("line {first}\nline {}\n", first + 1);
        let names = ["momedo.log", "momedo.1.log", "momedo.2.log", "momedo.3.log", "momedo.4.log"];
        for (name, first) in names.into_iter().zip([28, 26, 24, 22, 20]) {
            assert_eq!(read(folder.path(), name), lines(first), "{name}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), names.len());
    }

    #[test]
    fn what_was_written_before_a_restart_counts() {
        let folder = tempfile::tempdir().unwrap();
        write(&log(folder.path(), 20), "the first life");
        write(&log(folder.path(), 20), "the second");
        assert_eq!(read(folder.path(), "momedo.log"), "the second\n");
        assert_eq!(read(folder.path(), "momedo.1.log"), "the first life\n");
    }

    #[test]
    fn a_line_longer_than_a_file_stands_alone_in_one() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), 4);
        for line in ["a long one", "another one"] {
            write(&log, line);
        }
        assert_eq!(read(folder.path(), "momedo.1.log"), "a long one\n");
        assert_eq!(read(folder.path(), "momedo.log"), "another one\n");
    }

    #[test]
    fn a_line_that_cannot_be_written_fails_nothing_and_the_next_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::write(&data, "a file where the folder should be").unwrap();
        let log = LogFile::new(&data);
        write(&log, "lost");
        fs::remove_file(&data).unwrap();
        write(&log, "kept");
        assert_eq!(read(&data, "momedo.log"), "kept\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_fails_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join("momedo.log")).unwrap();
        let log = LogFile::new(folder.path());
        for _ in 0..3 {
            write(&log, "there is no room");
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        write(&LogFile::new(&data), "a line");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path(&data)), mode(&data)), (0o600, 0o700));
    }
}
