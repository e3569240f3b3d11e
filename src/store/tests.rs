use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

#[test]
fn is_created_for_this_user_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("a/state");
    let state = StateDir::open(&path).unwrap();
    assert_eq!(state.path(), path);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn belongs_to_one_process() {
    let dir = TempDir::new().unwrap();
    let first = StateDir::open(dir.path()).unwrap();
    let error = StateDir::open(dir.path()).unwrap_err();
    let expected = format!(
        "state directory {} is in use by process {}; stop that process, or give this one another directory with --state",
        dir.path().display(),
        std::process::id()
    );
    assert_eq!(error.to_string(), expected);
    drop(first);
    StateDir::open(dir.path()).unwrap();
}

#[test]
fn a_lock_file_left_by_a_crash_is_taken_over() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("lock"), "4000000000 and more than the next one will write").unwrap();
    let _state = StateDir::open(dir.path()).unwrap();
    let pid = std::fs::read_to_string(dir.path().join("lock")).unwrap();
    assert_eq!(pid, format!("{}\n", std::process::id()));
}

#[test]
fn a_path_that_is_a_file_is_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "").unwrap();
    let error = StateDir::open(&path).unwrap_err().to_string();
    assert_eq!(error, format!("cannot create {}", path.display()));
}
