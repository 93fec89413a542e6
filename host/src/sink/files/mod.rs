//! Files in a folder, and markers that list them.
//!
//! Data files are in place before their entry is in the ledger, and may never be entered; what counts is what the
//! markers list. There is one marker for each entry with rows, written in the order of the entries:
//!
//! ```text
//! date=2026-11-21/<incarnation>-<epoch>-<thread>-<number>.csv.gz     data
//! _markers/sink.json                                                 whose folder it is
//! _markers/000000000000/00000000000000000012.json                    the files of entry 12
//! ```
//!
//! A marker is a function of its entry: whoever writes it, it says the same. So two appliers at once do no harm, and a
//! lost response is found out by writing once more.
//!
//! | module | what it does |
//! |---|---|
//! | `marker` | what the markers say |
//! | `markers` | where they are, written by put-if-absent |
//! | `applier` | ledger entries to markers |
//! | `inspect` | a folder as `sluicebox tables` and the audit see it |

mod applier;
mod inspect;
mod marker;
mod markers;

#[cfg(test)]
mod tests;

pub use self::applier::{FilesApplier, FilesSettings};
pub use self::inspect::{FolderView, inspect, ledger_of_mark};
pub use self::marker::{MarkedFile, Marker};
