//! Damaged files, out of the way: the newest of them, for a person to look at, as long as there is room.

use super::prune::unix_millis;
use super::store::StoreError;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

/// What SQLite has beside a file.
pub const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// A path with something more at its end.
pub fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Moves a damaged file and what belongs to it out of the way; one that was moved before is deleted.
pub fn move_aside(path: &Path, damage: &StoreError, saved: usize) {
    let to = with_end(path, &format!(".damaged-{}", unix_millis(SystemTime::now()) / 1000));
    let moved = fs::rename(path, &to);
    for end in BESIDE {
        // Not always there.
        let _ = fs::rename(with_end(path, end), with_end(&to, end));
    }
    let file = path.display();
    match moved {
        Ok(()) => {
            log::error!(file:%, moved_to:% = to.display(), positions_saved = saved;
                "the journal is damaged ({damage}); it was moved aside: ledgers that are not in the new one are not kept \
                 any more, and a source whose position was not saved begins at its `start_ledger`; check the disk");
            remove(path, "a newer one was moved aside", |file| !name_of(file).starts_with(&name_of(&to)));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => log::error!(file:%, positions_saved = saved;
            "the journal is begun anew ({damage}): ledgers before now are not kept any more"),
        Err(error) => log::error!(file:%; "the journal is damaged ({damage}) and cannot be moved aside: {error}"),
    }
}

/// Bytes of what is aside.
pub fn size(path: &Path) -> u64 {
    files(path).iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

/// Deletes those of them that are `unwanted`.
pub fn remove(path: &Path, why: &str, unwanted: impl Fn(&Path) -> bool) {
    for file in files(path).into_iter().filter(|file| unwanted(file)) {
        match fs::remove_file(&file) {
            Ok(()) => log::warn!(file:% = file.display(); "an old damaged journal is deleted: {why}"),
            Err(error) => log::warn!(file:% = file.display(); "an old damaged journal cannot be deleted: {error}"),
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn files(path: &Path) -> Vec<PathBuf> {
    let prefix = format!("{}.damaged-", name_of(path));
    let entries = path.parent().and_then(|directory| fs::read_dir(directory).ok());
    let files = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|file| name_of(file).starts_with(&prefix)).collect()
}
