//! Files. There are none, but for folders that the step was granted, which are there to be read.

use std::sync::Arc;

use rustix::io::Errno;
use wasmtime::component::{LinkerInstance, Resource};
use wasmtime::{Result, StoreContextMut};

use super::super::guest::Guest;
use super::file_types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, MetadataHash,
    OpenFlags, PathFlags,
};
use super::folder::Node;
use super::held::Reservation;
use super::streams::{MOST_READ, StreamError};
use super::{Wasi, refused, resources};

type Context<'a> = StoreContextMut<'a, Guest>;
type Handle = Resource<()>;
/// What a function gives that may fail.
type Answer<T> = Result<(Result<T, ErrorCode>,)>;

/// Entries that a folder may have to be listed.
const MOST_ENTRIES: usize = 16 << 10;

/// Everything that would change something.
const CHANGES: [&str; 12] = [
    "append-via-stream",
    "create-directory-at",
    "link-at",
    "remove-directory-at",
    "rename-at",
    "set-size",
    "set-times",
    "set-times-at",
    "symlink-at",
    "unlink-file-at",
    "write",
    "write-via-stream",
];

struct Listing {
    entries: std::vec::IntoIter<DirectoryEntry>,
    _held: Reservation,
}

/// A file that is read from some place on.
pub(super) struct FileStream {
    node: Node,
    offset: u64,
}

impl FileStream {
    pub fn read(&mut self, length: usize) -> Result<Vec<u8>, StreamError> {
        let bytes = read_at(&self.node, length, self.offset).map_err(|_| StreamError::failed())?;
        if bytes.is_empty() && length > 0 {
            return Err(StreamError::Closed);
        }
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }
}

fn read_at(node: &Node, length: usize, offset: u64) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; length];
    let read = rustix::io::retry_on_intr(|| rustix::io::pread(node.descriptor(), &mut bytes, offset))?;
    bytes.truncate(read);
    Ok(bytes)
}

/// In the order of the names, so that the same folder is listed in the same way.
fn entries(node: &Node, held: &mut Reservation) -> Result<Vec<DirectoryEntry>, Errno> {
    let mut entries = Vec::new();
    for entry in rustix::fs::Dir::read_from(node.descriptor())? {
        let entry = entry?;
        let name = entry.file_name().to_str().map_err(|_| Errno::ILSEQ)?;
        if matches!(name, "." | "..") {
            continue;
        }
        if entries.len() == MOST_ENTRIES || !held.grow(name.len() + 64) {
            return Err(Errno::OVERFLOW);
        }
        entries.push(DirectoryEntry { of: entry.file_type().into(), name: name.to_owned() });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

impl Wasi {
    fn node(&mut self, handle: &Handle) -> Result<Node> {
        Ok(self.handles.get::<Node>(handle)?.clone())
    }

    fn open_at(&mut self, folder: &Handle, follow: bool, path: &str, flags: OpenFlags) -> Answer<Handle> {
        let opened = match self.node(folder)?.open(path, follow, &self.files) {
            Ok(opened) => opened,
            Err(error) => return Ok((Err(error.into()),)),
        };
        if flags.contains(OpenFlags::DIRECTORY) && !opened.is_folder {
            return Ok((Err(ErrorCode::NotDirectory),));
        }
        Ok((Ok(self.handles.add(opened)?),))
    }
}

pub(super) fn preopens(preopens: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    preopens.func_wrap("get-directories", |mut context: Context<'_>, (): ()| {
        let wasi = &mut context.data_mut().wasi;
        let grants = Arc::clone(&wasi.grants);
        let folders = grants.folders.iter();
        let folders =
            folders.map(|folder| Ok((wasi.handles.add(folder.node.clone())?, folder.guest.clone())));
        Ok((folders.collect::<Result<Vec<(Handle, String)>>>()?,))
    })
}

pub(super) fn types(types: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    resources(types, &["descriptor", "directory-entry-stream"])?;
    for name in CHANGES {
        refused(types, &format!("[method]descriptor.{name}"), "read-only")?;
    }
    reading(types)?;
    looking(types)?;
    types.func_wrap("filesystem-error-code", |_, (_,): (Handle,)| Ok((None::<ErrorCode>,)))
}

fn reading(types: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    types.func_wrap(
        "[method]descriptor.open-at",
        |mut context: Context<'_>,
         (folder, path_flags, path, open, flags): (Handle, PathFlags, String, OpenFlags, DescriptorFlags)|
         -> Answer<Handle> {
            let changes = [OpenFlags::CREATE, OpenFlags::TRUNCATE, OpenFlags::EXCLUSIVE];
            if flags.contains(DescriptorFlags::WRITE)
                || changes.into_iter().any(|change| open.contains(change))
            {
                return Ok((Err(ErrorCode::ReadOnly),));
            }
            let follow = path_flags.contains(PathFlags::SYMLINK_FOLLOW);
            context.data_mut().wasi.open_at(&folder, follow, &path, open)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read",
        |mut context: Context<'_>, (file, length, offset): (Handle, u64, u64)| -> Answer<(Vec<u8>, bool)> {
            let node = context.data_mut().wasi.node(&file)?;
            let read = read_at(&node, length.min(MOST_READ) as usize, offset).map_err(ErrorCode::from);
            Ok((read.map(|bytes| {
                let ends = bytes.is_empty() && length > 0;
                (bytes, ends)
            }),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut context: Context<'_>, (file, offset): (Handle, u64)| -> Answer<Handle> {
            let wasi = &mut context.data_mut().wasi;
            let node = wasi.node(&file)?;
            if node.is_folder {
                return Ok((Err(ErrorCode::IsDirectory),));
            }
            Ok((Ok(wasi.handles.add(FileStream { node, offset })?),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read-directory",
        |mut context: Context<'_>, (folder,): (Handle,)| -> Answer<Handle> {
            let wasi = &mut context.data_mut().wasi;
            let mut held = wasi.held.reserve();
            match entries(&wasi.node(&folder)?, &mut held) {
                Ok(entries) => {
                    let entries = Listing { entries: entries.into_iter(), _held: held };
                    Ok((Ok(wasi.handles.add(entries)?),))
                }
                Err(error) => Ok((Err(error.into()),)),
            }
        },
    )?;
    types.func_wrap(
        "[method]directory-entry-stream.read-directory-entry",
        |mut context: Context<'_>, (stream,): (Handle,)| -> Answer<Option<DirectoryEntry>> {
            let handles = &mut context.data_mut().wasi.handles;
            Ok((Ok(handles.get::<Listing>(&stream)?.entries.next()),))
        },
    )
}

fn looking(types: &mut LinkerInstance<'_, Guest>) -> Result<()> {
    types.func_wrap("[method]descriptor.get-flags", |_, (_,): (Handle,)| -> Answer<DescriptorFlags> {
        Ok((Ok(DescriptorFlags::READ),))
    })?;
    types.func_wrap(
        "[method]descriptor.get-type",
        |mut context: Context<'_>, (node,): (Handle,)| -> Answer<DescriptorType> {
            let node = context.data_mut().wasi.node(&node)?;
            Ok((Ok(if node.is_folder { DescriptorType::Directory } else { DescriptorType::RegularFile }),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.stat",
        |mut context: Context<'_>, (node,): (Handle,)| -> Answer<DescriptorStat> {
            let stat = context.data_mut().wasi.node(&node)?.stat();
            Ok((stat.map(DescriptorStat::from).map_err(ErrorCode::from),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.stat-at",
        |mut context: Context<'_>,
         (folder, flags, path): (Handle, PathFlags, String)|
         -> Answer<DescriptorStat> {
            let follow = flags.contains(PathFlags::SYMLINK_FOLLOW);
            let stat = context.data_mut().wasi.node(&folder)?.stat_at(&path, follow);
            Ok((stat.map(DescriptorStat::from).map_err(ErrorCode::from),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.readlink-at",
        |mut context: Context<'_>, (folder, path): (Handle, String)| -> Answer<String> {
            Ok((context.data_mut().wasi.node(&folder)?.link_at(&path).map_err(ErrorCode::from),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.metadata-hash",
        |mut context: Context<'_>, (node,): (Handle,)| -> Answer<MetadataHash> {
            let stat = context.data_mut().wasi.node(&node)?.stat();
            Ok((stat.map(MetadataHash::from).map_err(ErrorCode::from),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.metadata-hash-at",
        |mut context: Context<'_>,
         (folder, flags, path): (Handle, PathFlags, String)|
         -> Answer<MetadataHash> {
            let follow = flags.contains(PathFlags::SYMLINK_FOLLOW);
            let stat = context.data_mut().wasi.node(&folder)?.stat_at(&path, follow);
            Ok((stat.map(MetadataHash::from).map_err(ErrorCode::from),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.is-same-object",
        |mut context: Context<'_>, (one, other): (Handle, Handle)| {
            let wasi = &mut context.data_mut().wasi;
            let (one, other) = (wasi.node(&one)?.stat(), wasi.node(&other)?.stat());
            Ok((matches!((one, other), (Ok(one), Ok(other))
                if MetadataHash::from(one) == MetadataHash::from(other)),))
        },
    )?;
    // There is nothing to do for these.
    types.func_wrap("[method]descriptor.advise", |_, _: (Handle, u64, u64, Advice)| -> Answer<()> {
        Ok((Ok(()),))
    })?;
    for name in ["sync", "sync-data"] {
        let name = format!("[method]descriptor.{name}");
        types.func_wrap(&name, |_, (_,): (Handle,)| -> Answer<()> { Ok((Ok(()),)) })?;
    }
    Ok(())
}
