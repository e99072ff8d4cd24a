//! What lies in the files that count.
//!
//! **Owns** finding and reading them, within bounds. **Must not know** what lay there before. **Enter at** [`find`],
//! then [`read`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use skerry_proto::id::BundleHash;

use super::scope::Scope;

/// BOUND: many times the folders of a project without its packages, and an eighth of the watches that older systems
/// grant to everything that a user runs (8192).
pub(super) const MAX_FOLDERS: usize = 1024;
/// BOUND: files of the trees; more are not a worker's project, and all are read at each change.
pub(super) const MAX_FILES: usize = 4096;
/// BOUND: a source is far shorter. A longer file, such as a component, is told by its length and time. That suffices:
/// what a build itself wrote is looked at after it, so a new time means that somebody wrote since.
const MAX_READ_BYTES: u64 = 1 << 20;

/// What the files that exist hold.
pub(super) type Contents = BTreeMap<PathBuf, Content>;

/// What tells whether one file changed. Not only its time, which moves when a build command writes the same again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Short(BundleHash),
    Long { bytes: u64, modified: Option<SystemTime> },
}

/// The files that count.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) files: BTreeSet<PathBuf>,
    /// Whether no bound was reached. What lies nearest to the top of a tree is found first.
    pub(super) is_whole: bool,
}

/// Finds the files that count. Each folder in which one may appear is told to `enter` before it is looked into, so that
/// nothing appears unseen between the two.
pub(super) fn find(scope: &Scope, mut enter: impl FnMut(&Path)) -> Found {
    let mut found = Found { files: scope.files.clone(), is_whole: true };
    // Folders rather than files, because editors replace files.
    let holding: BTreeSet<&Path> = scope.files.iter().filter_map(|file| existing(file.parent()?)).collect();
    holding.into_iter().for_each(&mut enter);
    let mut waiting: VecDeque<PathBuf> = scope.trees.iter().cloned().collect();
    let mut known: BTreeSet<PathBuf> = BTreeSet::new();
    while let Some(folder) = waiting.pop_front() {
        if known.contains(&folder) {
            continue;
        }
        if known.len() >= MAX_FOLDERS || found.files.len() - scope.files.len() >= MAX_FILES {
            found.is_whole = false;
            break;
        }
        if let Some(there) = existing(&folder) {
            enter(there);
        }
        for (path, is_folder) in entries(&folder).into_iter().filter(|(path, _)| scope.counts(path)) {
            if is_folder {
                waiting.push_back(path);
            } else {
                found.files.insert(path);
            }
        }
        if folder.is_file() {
            // A project file may name a file where it could name a folder.
            found.files.insert(folder.clone());
        }
        known.insert(folder);
    }
    found
}

/// Reads them. Our own output is left out: it grows with each line that tells of a build.
pub(super) fn read(files: &BTreeSet<PathBuf>) -> Contents {
    let output = own_output();
    files.iter().filter_map(|path| Some((path.clone(), content(path, &output)?))).collect()
}

/// The folder itself or, while it does not exist, the one above it in which it would appear.
fn existing(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|above| above.is_dir())
}

/// What lies in a folder, and whether it is a folder; always in the same order. A link to a folder is none, so that no
/// circle is walked.
fn entries(folder: &Path) -> Vec<(PathBuf, bool)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let kinds = entries.take(MAX_FILES).filter_map(Result::ok);
    let mut found: Vec<_> =
        kinds.map(|entry| (entry.path(), entry.file_type().is_ok_and(|kind| kind.is_dir()))).collect();
    found.sort();
    found
}

/// `None` where there is no file. A pipe is none either: reading it would not end.
fn content(path: &Path, output: &[(u64, u64)]) -> Option<Content> {
    let found = std::fs::metadata(path).ok()?;
    if !found.is_file() || output.contains(&(found.dev(), found.ino())) {
        return None;
    }
    if found.len() > MAX_READ_BYTES {
        return Some(Content::Long { bytes: found.len(), modified: found.modified().ok() });
    }
    Some(Content::Short(BundleHash::of(&std::fs::read(path).ok()?)))
}

/// Device and inode of what we print to, as in `skerry dev > out.txt`.
fn own_output() -> Vec<(u64, u64)> {
    let streams = [std::io::stdout().as_fd().try_clone_to_owned(), std::io::stderr().as_fd().try_clone_to_owned()];
    let files = streams.into_iter().filter_map(Result::ok).map(std::fs::File::from);
    files.filter_map(|file| file.metadata().ok()).map(|found| (found.dev(), found.ino())).collect()
}
