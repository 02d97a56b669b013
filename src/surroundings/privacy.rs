//! Whether what is made on a disk can be kept from others.
//!
//! File systems of sticks (FAT, exFAT) and some network folders know no permissions: they take a mode and forget it, or
//! refuse it. What cannot be private there is made all the same, and whoever may be harmed is told; only where there are
//! permissions is it a fault not to be able to set them.

use std::fs::File;
use std::io;
use std::path::Path;

/// Whether others can read something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Nobody but its owner can, as far as the system tells.
    Private,
    /// The disk knows no permissions, or not these.
    Open,
}

impl Privacy {
    /// Whether nobody but its owner can read it.
    pub fn is_private(self) -> bool {
        self == Self::Private
    }
}

/// How far a file is private.
///
/// # Errors
/// What the operating system says.
#[cfg(unix)]
pub fn of_file(file: &File) -> io::Result<Privacy> {
    use std::os::unix::fs::MetadataExt;
    Ok(of_mode(file.metadata()?.mode()))
}

/// How far a file or folder is private.
///
/// # Errors
/// What the operating system says.
#[cfg(unix)]
pub fn of_path(path: &Path) -> io::Result<Privacy> {
    Disk.mode(path).map(of_mode)
}

/// Makes a folder private if its disk knows permissions.
///
/// # Errors
/// What the operating system says, where it does.
#[cfg(unix)]
pub(super) fn make_folder_private(path: &Path) -> io::Result<Privacy> {
    make_private(&Disk, path)
}

/// On Windows permissions are inherited, and the platform's place is private to its owner already.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn of_file(_: &File) -> io::Result<Privacy> {
    Ok(Privacy::Private)
}

/// As [`of_file`].
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn of_path(_: &Path) -> io::Result<Privacy> {
    Ok(Privacy::Private)
}

#[cfg(not(unix))]
pub(super) fn make_folder_private(_: &Path) -> io::Result<Privacy> {
    Ok(Privacy::Private)
}

#[cfg(unix)]
fn of_mode(mode: u32) -> Privacy {
    if mode & 0o077 == 0 { Privacy::Private } else { Privacy::Open }
}

/// What a disk is asked, so that tests need none that knows no permissions.
#[cfg(unix)]
trait Permissions {
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;
    fn mode(&self, path: &Path) -> io::Result<u32>;
    /// Makes a private file in a folder, removes it, and says which mode it had.
    fn mode_of_new_file(&self, folder: &Path) -> io::Result<u32>;
}

#[cfg(unix)]
fn make_private(disk: &impl Permissions, folder: &Path) -> io::Result<Privacy> {
    let set = disk.set_mode(folder, 0o700);
    let privacy = of_mode(disk.mode(folder)?);
    match set {
        // A stick that was mounted for one person alone may refuse every mode and is private.
        _ if privacy.is_private() => Ok(Privacy::Private),
        Ok(()) => Ok(privacy),
        Err(error) => match error.kind() {
            io::ErrorKind::Unsupported => Ok(privacy),
            // What belongs to somebody else is refused by the same name, but there a new file keeps its mode.
            io::ErrorKind::PermissionDenied if !of_mode(disk.mode_of_new_file(folder)?).is_private() => {
                Ok(privacy)
            }
            _ => Err(error),
        },
    }
}

/// The disk itself.
#[cfg(unix)]
struct Disk;

#[cfg(unix)]
impl Permissions for Disk {
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        use std::os::unix::fs::MetadataExt;
        Ok(std::fs::metadata(path)?.mode())
    }

    fn mode_of_new_file(&self, folder: &Path) -> io::Result<u32> {
        let path = folder.join("momedo.probe");
        // Left behind by a crash in between.
        let _: io::Result<()> = std::fs::remove_file(&path);
        let file = super::data_directory::create_private_file(&path)?;
        let mode = self.mode(&path);
        drop(file);
        std::fs::remove_file(&path)?;
        mode
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A disk that answers a change of mode so, and then shows these modes.
    struct Shown {
        set: Option<io::ErrorKind>,
        folder: u32,
        new_file: u32,
    }

    impl Permissions for Shown {
        fn set_mode(&self, _: &Path, _: u32) -> io::Result<()> {
            self.set.map_or(Ok(()), |kind| Err(kind.into()))
        }

        fn mode(&self, _: &Path) -> io::Result<u32> {
            Ok(self.folder)
        }

        fn mode_of_new_file(&self, _: &Path) -> io::Result<u32> {
            Ok(self.new_file)
        }
    }

    #[test]
    fn a_disk_without_permissions_is_said_and_a_folder_of_somebody_elses_refused() {
        use io::ErrorKind::{PermissionDenied, StorageFull, Unsupported};
        let (open, private) = (Ok(Privacy::Open), Ok(Privacy::Private));
        for (set, folder, new_file, expected, what) in [
            (None, 0o40700, 0o100600, private, "a usual disk"),
            (None, 0o40755, 0o100755, open, "exFAT, which takes a mode and forgets it"),
            (Some(PermissionDenied), 0o40777, 0o100777, open, "FAT that belongs to root, open to all"),
            (Some(PermissionDenied), 0o40700, 0o100700, private, "FAT mounted for one person"),
            (Some(Unsupported), 0o40755, 0o100755, open, "a network folder"),
            (Some(PermissionDenied), 0o40775, 0o100600, Err(PermissionDenied), "somebody else's folder"),
            (Some(StorageFull), 0o40755, 0o100600, Err(StorageFull), "a disk that is full"),
        ] {
            let made = make_private(&Shown { set, folder, new_file }, Path::new("data"));
            assert_eq!(made.map_err(|error| error.kind()), expected, "{what}");
        }
    }

    #[test]
    fn what_is_read_back_is_what_the_disk_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::create_dir(&path).unwrap();
        Disk.set_mode(&path, 0o755).unwrap();
        assert_eq!(of_path(&path).unwrap(), Privacy::Open);
        assert_eq!(make_private(&Disk, &path).unwrap(), Privacy::Private);
        assert_eq!(of_path(&path).unwrap(), Privacy::Private);
        assert_eq!(Disk.mode_of_new_file(&path).unwrap() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0, "nothing is left behind");
        let file = File::create(path.join("key")).unwrap();
        Disk.set_mode(&path.join("key"), 0o644).unwrap();
        assert_eq!(of_file(&file).unwrap(), Privacy::Open);
    }
}
