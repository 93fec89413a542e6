//! Files: what is there, and all that would change it.

use crate::wasi::filesystem::preopens::get_directories;
use crate::wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

/// The first folder that was granted.
fn root() -> Result<Descriptor, String> {
    get_directories().into_iter().next().map(|(folder, _)| folder).ok_or_else(|| "no folder".to_owned())
}

fn told(result: Result<String, ErrorCode>) -> String {
    result.unwrap_or_else(|code| code.name().to_owned())
}

fn open_at(
    path: &str,
    open: OpenFlags,
    flags: DescriptorFlags,
) -> Result<Result<Descriptor, ErrorCode>, String> {
    Ok(root()?.open_at(PathFlags::SYMLINK_FOLLOW, path, open, flags))
}

pub fn names() -> Vec<String> {
    get_directories().into_iter().map(|(_, name)| name).collect()
}

/// What is in a file, by a stream and by offset, which must be the same.
pub fn open(path: &str) -> String {
    let read = |file: Descriptor| {
        let (at_once, _) = file.read(1000, 0)?;
        let stream = file.read_via_stream(0)?;
        let mut bytes = Vec::new();
        while let Ok(more) = stream.blocking_read(3) {
            bytes.extend(more);
        }
        assert_eq!(at_once, bytes);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match open_at(path, OpenFlags::empty(), DescriptorFlags::READ) {
        Ok(opened) => told(opened.and_then(read)),
        Err(nothing) => nothing,
    }
}

pub fn list(path: &str) -> String {
    let names = |folder: Descriptor| {
        let (entries, mut names) = (folder.read_directory()?, Vec::new());
        while let Some(entry) = entries.read_directory_entry()? {
            names.push(entry.name);
        }
        Ok(names.join(" "))
    };
    match open_at(path, OpenFlags::DIRECTORY, DescriptorFlags::READ) {
        Ok(opened) => told(opened.and_then(names)),
        Err(nothing) => nothing,
    }
}

pub fn stat(path: &str) -> String {
    let stat = |root: Descriptor| {
        let stat = root.stat_at(PathFlags::SYMLINK_FOLLOW, path)?;
        Ok(format!("{} {}", stat.size, stat.data_modification_timestamp.is_some()))
    };
    root().map_or_else(|nothing| nothing, |root| told(stat(root)))
}

/// Whatever it is that changes something; all refusals, or what was not refused.
pub fn change(path: &str) -> String {
    let Ok(root) = root() else { return "no folder".to_owned() };
    let (none, follow) = (OpenFlags::empty(), PathFlags::SYMLINK_FOLLOW);
    let (read, write) = (DescriptorFlags::READ, DescriptorFlags::WRITE);
    let Ok(file) = root.open_at(follow, path, none, read) else { return "no file".to_owned() };
    let tries: [(&str, Result<(), ErrorCode>); 14] = [
        ("open to write", root.open_at(follow, path, none, write).map(drop)),
        ("truncate", root.open_at(follow, path, OpenFlags::TRUNCATE, read).map(drop)),
        ("create", root.open_at(follow, "new", OpenFlags::CREATE, read).map(drop)),
        (
            "create anew",
            root.open_at(follow, "new", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, write).map(drop),
        ),
        ("write", file.write(b"x", 0).map(drop)),
        ("stream", file.write_via_stream(0).map(drop)),
        ("size", file.set_size(0)),
        ("folder", root.create_directory_at("new")),
        ("no folder", root.remove_directory_at("deep")),
        ("link", root.link_at(follow, path, &root, "new")),
        ("symlink", root.symlink_at("/etc/passwd", "new")),
        ("rename", root.rename_at(path, &root, "new")),
        ("unlink", root.unlink_file_at(path)),
        (
            "mutate",
            root.open_at(follow, ".", none, DescriptorFlags::MUTATE_DIRECTORY)
                .and_then(|root| root.create_directory_at("new")),
        ),
    ];
    let allowed: Vec<_> =
        tries.into_iter().filter(|(_, result)| *result != Err(ErrorCode::ReadOnly)).collect();
    format!("{allowed:?}")
}

/// Opens the same file again and again and lets none of them go.
pub fn hoard(path: &str) -> String {
    let mut held = Vec::new();
    while let Ok(Ok(file)) = open_at(path, OpenFlags::empty(), DescriptorFlags::READ) {
        held.push(file);
    }
    format!("held {}", held.len())
}
