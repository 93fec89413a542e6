//! A folder that was granted, to be read. The kernel holds paths inside it (`openat2` with `RESOLVE_BENEATH`): neither
//! `..` nor an absolute path nor a symbolic link leads out, however the folder changes meanwhile.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// A folder under the name by which the plugin knows it.
pub struct Folder {
    pub(super) guest: String,
    pub(super) node: Node,
}

impl Folder {
    pub fn open(guest: String, folder: &Path) -> Result<Self, String> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(folder, flags, Mode::empty()).map_err(|error| error.to_string())?;
        let root = File { descriptor: root, _place: None };
        let node = Node { file: Arc::new(root), is_folder: true };
        match node.stat_at(".", true) {
            Ok(_) => Ok(Self { guest, node }),
            Err(Errno::NOSYS) => Err("this takes Linux 5.6 or later (openat2)".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A regular file or a folder inside a [`Folder`], open for reading.
#[derive(Debug, Clone)]
pub(super) struct Node {
    file: Arc<File>,
    pub is_folder: bool,
}

#[derive(Debug)]
struct File {
    descriptor: OwnedFd,
    /// None for the folder itself.
    _place: Option<Place>,
}

/// The files that one instance has open, among those of all.
#[derive(Debug)]
pub(super) struct OpenFiles {
    own: Arc<()>,
    all: &'static AtomicUsize,
}

/// Of all instances.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Files that one instance may have open.
const MOST_OPEN: usize = 32;
/// Files that all may have open. The process has a thousand, where nobody gave it more, and needs some itself.
const MOST_OPEN_OF_ALL: usize = 512;

impl Default for OpenFiles {
    fn default() -> Self {
        Self { own: Arc::default(), all: &OPEN }
    }
}

impl OpenFiles {
    fn place(&self) -> Result<Place, Errno> {
        // Given back when it is dropped, here as well.
        let place = Place { _own: self.own.clone(), all: self.all };
        let of_all = self.all.fetch_add(1, Ordering::Relaxed);
        // Besides the instance's own count and this place.
        let of_instance = Arc::strong_count(&self.own) - 2;
        if of_all >= MOST_OPEN_OF_ALL || of_instance >= MOST_OPEN {
            return Err(Errno::MFILE);
        }
        Ok(place)
    }
}

/// Counts as long as it lives.
#[derive(Debug)]
struct Place {
    _own: Arc<()>,
    all: &'static AtomicUsize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How often a path is looked up that something happens to meanwhile.
const MOST_TRIES: usize = 16;

impl Node {
    /// What `path` names, seen from here. Devices, pipes and sockets are not permitted, nor opened: opening one may do
    /// something already.
    pub fn open(&self, path: &str, follow: bool, among: &OpenFiles) -> Result<Self, Errno> {
        let place = among.place()?;
        let found = self.find(path, follow)?;
        let is_folder = match file_type(&rustix::fs::fstat(&found)?) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            FileType::Symlink => return Err(Errno::LOOP),
            _ => return Err(Errno::PERM),
        };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // The very file that was looked at, whatever the path names by now.
        let found = format!("/proc/self/fd/{}", found.as_raw_fd());
        let descriptor = rustix::io::retry_on_intr(|| rustix::fs::open(&found, flags, Mode::empty()))?;
        Ok(Self { file: Arc::new(File { descriptor, _place: Some(place) }), is_folder })
    }

    pub fn descriptor(&self) -> &OwnedFd {
        &self.file.descriptor
    }

    pub fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::fstat(self.descriptor())
    }

    pub fn stat_at(&self, path: &str, follow: bool) -> Result<Stat, Errno> {
        rustix::fs::fstat(self.find(path, follow)?)
    }

    /// Where a symbolic link points to.
    pub fn link_at(&self, path: &str) -> Result<String, Errno> {
        let link = self.find(path, false)?;
        let target = rustix::fs::readlinkat(link, "", Vec::new())?;
        target.into_string().map_err(|_| Errno::ILSEQ)
    }

    /// A descriptor that stands for a place, and opens nothing.
    fn find(&self, path: &str, follow: bool) -> Result<OwnedFd, Errno> {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        tried(|| rustix::fs::openat2(self.descriptor(), path, flags, Mode::empty(), resolve))
    }
}

/// Again where something was renamed at that moment, so that it was not clear whether `..` still led inside.
fn tried<T>(mut find: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 1..MOST_TRIES {
        match find() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            found => return found,
        }
    }
    find()
}

pub(super) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_path_leads_out() {
        let place = tempfile::tempdir().unwrap();
        let inside = place.path().join("inside");
        fs::create_dir_all(inside.join("deep")).unwrap();
        fs::write(place.path().join("secret"), "s").unwrap();
        fs::write(inside.join("file"), "f").unwrap();
        symlink("../secret", inside.join("relative")).unwrap();
        symlink(place.path().join("secret"), inside.join("absolute")).unwrap();
        symlink("..", inside.join("up")).unwrap();
        symlink("/proc/self/root", inside.join("magic")).unwrap();
        symlink("../file", inside.join("deep/within")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, inside.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(inside.join("socket")).unwrap();
        let folder = Folder::open("/".to_owned(), &inside).unwrap().node;
        let open = OpenFiles::default();

        for allowed in ["file", "./file", "deep/../file", "deep/within", "deep/./within"] {
            assert!(!folder.open(allowed, true, &open).unwrap().is_folder, "{allowed}");
            assert_eq!(folder.stat_at(allowed, true).unwrap().st_size, 1, "{allowed}");
        }
        assert!(folder.open("deep", true, &open).unwrap().is_folder);
        let absolute = inside.join("file").display().to_string();
        for out in [
            "..",
            "../secret",
            "deep/../../secret",
            "relative",
            "absolute",
            "up/secret",
            "magic/etc",
            &absolute,
        ] {
            assert_eq!(folder.open(out, true, &open).unwrap_err(), Errno::XDEV, "{out}");
            assert_eq!(folder.stat_at(out, true).unwrap_err(), Errno::XDEV, "{out}");
        }
        // Not from a folder inside it either.
        let deep = folder.open("deep", true, &open).unwrap();
        assert_eq!(deep.open("../file", true, &open).unwrap_err(), Errno::XDEV);
        assert_eq!(folder.open("relative", false, &open).unwrap_err(), Errno::LOOP);
        assert_eq!(folder.link_at("relative").unwrap(), "../secret");
        for device in ["pipe", "socket"] {
            // To open a socket fails by itself, with another error.
            assert_eq!(folder.open(device, true, &open).unwrap_err(), Errno::PERM, "{device}");
        }
        assert_eq!(folder.open("none", true, &open).unwrap_err(), Errno::NOENT);
        assert_eq!(folder.open("", true, &open).unwrap_err(), Errno::NOENT);
        assert_eq!(folder.open("a\0b", true, &open).unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn open_files_are_bounded() {
        static ALL: AtomicUsize = AtomicUsize::new(MOST_OPEN_OF_ALL - 2);
        let place = tempfile::tempdir().unwrap();
        let (folder, open) = (Folder::open("/".to_owned(), place.path()).unwrap().node, OpenFiles::default());
        let mut held: Vec<Node> = (0..MOST_OPEN).map(|_| folder.open(".", true, &open).unwrap()).collect();
        assert_eq!(folder.open(".", true, &open).unwrap_err(), Errno::MFILE);
        held.pop();
        assert!(folder.open(".", true, &open).is_ok());

        let instance = || OpenFiles { all: &ALL, ..OpenFiles::default() };
        let (one, other) = (instance(), instance());
        let held = (folder.open(".", true, &one).unwrap(), folder.open(".", true, &other).unwrap());
        for _ in 0..2 {
            assert_eq!(folder.open(".", true, &one).unwrap_err(), Errno::MFILE);
        }
        drop(held);
        assert_eq!(folder.open("none", true, &one).unwrap_err(), Errno::NOENT);
        assert_eq!(ALL.load(Ordering::Relaxed), MOST_OPEN_OF_ALL - 2);
    }

    #[test]
    fn a_folder_that_keeps_changing_is_given_up() {
        let mut tries = 0;
        let found: Result<(), Errno> = tried(|| {
            tries += 1;
            Err(Errno::AGAIN)
        });
        assert_eq!((found, tries), (Err(Errno::AGAIN), MOST_TRIES));
        assert_eq!(tried(|| Err::<(), _>(Errno::NOENT)), Err(Errno::NOENT));
    }

    #[test]
    fn what_is_no_folder_is_not_granted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Folder::open("/".to_owned(), file.path()).is_err());
        assert!(Folder::open("/".to_owned(), Path::new("/no/such/folder")).is_err());
    }
}
