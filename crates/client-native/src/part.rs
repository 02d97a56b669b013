//! Saving a file whole or not at all, and over nobody else's.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use momedo_client::ClientError;
use momedo_client::file_name::{numbered, safe_name};
use momedo_client::platform::folder;
use momedo_protocol::encoding::encode_hex;
use momedo_protocol::random;

use crate::folder::unusable;

/// Most files of one name that are told apart by a number.
const MAX_SAME_NAMES: u32 = 1000;

/// A file that is not whole yet; it goes unless it gets its name.
pub(crate) struct Part {
    folder: PathBuf,
    path: PathBuf,
    file: File,
}

impl Part {
    pub(crate) fn new(folder: &Path) -> Result<Self, ClientError> {
        std::fs::create_dir_all(folder).map_err(|error| unusable(folder, error))?;
        let path = folder.join(format!(".momedo-{}.part", encode_hex(&random::bytes::<8>())));
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| unusable(&path, error))?;
        Ok(Self { folder: folder.to_owned(), path, file })
    }
}

impl folder::Part for Part {
    fn path(&self) -> &Path {
        &self.path
    }

    fn keep(self: Box<Self>, name: &str) -> Result<PathBuf, ClientError> {
        let failed = |error: io::Error| unusable(&self.path, error);
        self.file.sync_all().map_err(failed)?;
        let name = safe_name(name);
        for number in 1..=MAX_SAME_NAMES {
            let path = self.folder.join(numbered(&name, number));
            // A second name for the same file replaces nothing; some file systems know none, so they get a place
            // held by an empty file.
            match std::fs::hard_link(&self.path, &path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(_) => {}
            }
            match File::options().write(true).create_new(true).open(&path) {
                Ok(_) => return std::fs::rename(&self.path, &path).map(|()| path).map_err(failed),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unusable(&path, error)),
            }
        }
        Err(unusable(&self.folder.join(name), "there are too many files of this name"))
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Once renamed there is nothing to remove.
        let _: Result<_, _> = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use momedo_client::platform::folder::Part as _;

    use super::*;

    fn kept(folder: &Path, name: &str) -> Result<PathBuf, ClientError> {
        Box::new(Part::new(folder)?).keep(name)
    }

    #[test]
    fn so_many_files_may_have_one_name() {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..MAX_SAME_NAMES {
            File::create(folder.path().join(numbered(&safe_name("a.txt"), number))).unwrap();
        }
        kept(folder.path(), "a.txt").unwrap();
        let one_more = kept(folder.path(), "a.txt").unwrap_err();
        assert!(one_more.to_string().contains("too many files"), "{one_more}");
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        for (expected, text) in [("a.txt", "eins"), ("a (2).txt", "zwei"), ("a (3).txt", "drei")] {
            let mut part = Box::new(Part::new(folder.path()).unwrap());
            part.write_all(text.as_bytes()).unwrap();
            let path = part.keep("../a.txt").unwrap();
            assert!(path.ends_with(format!("_{expected}")), "{}", path.display());
            assert_eq!(std::fs::read_to_string(path).unwrap(), text);
        }
        drop(Part::new(folder.path()).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
