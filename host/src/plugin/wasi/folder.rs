//! A folder that was granted, to be read. The kernel holds paths inside it (`openat2` with `RESOLVE_BENEATH`): neither
//! `..` nor an absolute path nor a symbolic link leads out, however the folder changes meanwhile.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

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
        let root = File { descriptor: root, _open: Arc::default() };
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
    /// Counts as long as it lives.
    _open: Arc<()>,
}

/// The files that one instance has open.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(Arc<()>);

/// The process has few: a thousand, where nobody gave it more.
const MOST_OPEN: usize = 32;

impl Node {
    /// What `path` names, seen from here. Devices, pipes and sockets are not permitted.
    pub fn open(&self, path: &str, follow: bool, among: &OpenFiles) -> Result<Self, Errno> {
        if Arc::strong_count(&among.0) > MOST_OPEN {
            return Err(Errno::MFILE);
        }
        // Without blocking: a pipe would wait for somebody to write to it.
        let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        if !follow {
            flags |= OFlags::NOFOLLOW;
        }
        let descriptor = self.beneath(path, flags)?;
        let is_folder = match file_type(&rustix::fs::fstat(&descriptor)?) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return Err(Errno::PERM),
        };
        Ok(Self { file: Arc::new(File { descriptor, _open: among.0.clone() }), is_folder })
    }

    pub fn descriptor(&self) -> &OwnedFd {
        &self.file.descriptor
    }

    pub fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::fstat(self.descriptor())
    }

    pub fn stat_at(&self, path: &str, follow: bool) -> Result<Stat, Errno> {
        let flags = if follow { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW };
        rustix::fs::fstat(self.beneath(path, flags)?)
    }

    /// Where a symbolic link points to.
    pub fn link_at(&self, path: &str) -> Result<String, Errno> {
        let link = self.beneath(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = rustix::fs::readlinkat(link, "", Vec::new())?;
        target.into_string().map_err(|_| Errno::ILSEQ)
    }

    fn beneath(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(
                self.descriptor(),
                path,
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                resolve,
            ) {
                // Something was renamed at that moment: whether `..` still leads inside was not clear.
                Err(Errno::AGAIN | Errno::INTR) => {}
                opened => return opened,
            }
        }
    }
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
        assert_eq!(folder.open("pipe", true, &open).unwrap_err(), Errno::PERM);
        assert_eq!(folder.open("none", true, &open).unwrap_err(), Errno::NOENT);
        assert_eq!(folder.open("", true, &open).unwrap_err(), Errno::NOENT);
        assert_eq!(folder.open("a\0b", true, &open).unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn open_files_are_bounded() {
        let place = tempfile::tempdir().unwrap();
        let (folder, open) = (Folder::open("/".to_owned(), place.path()).unwrap().node, OpenFiles::default());
        let mut held: Vec<Node> = (0..MOST_OPEN).map(|_| folder.open(".", true, &open).unwrap()).collect();
        assert_eq!(folder.open(".", true, &open).unwrap_err(), Errno::MFILE);
        held.pop();
        assert!(folder.open(".", true, &open).is_ok());
    }

    #[test]
    fn what_is_no_folder_is_not_granted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Folder::open("/".to_owned(), file.path()).is_err());
        assert!(Folder::open("/".to_owned(), Path::new("/no/such/folder")).is_err());
    }
}
