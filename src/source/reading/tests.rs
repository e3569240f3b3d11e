use std::fs::{create_dir_all, rename, write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn paths(reading: &Reading) -> Vec<&str> {
    reading.files.keys().map(|path| &**path).collect()
}

#[test]
fn reads_the_files_of_all_folders_and_nothing_hidden() {
    let dir = TempDir::new().unwrap();
    for path in ["b.yaml", "a.yml", "c.json", "deep/er/d.yaml", "README.md", ".git/x.yaml", ".#b.yaml", "e.yaml~"] {
        let path = dir.path().join(path);
        create_dir_all(path.parent().unwrap()).unwrap();
        write(path, "a: 1").unwrap();
    }
    let reading = read_directory(dir.path()).unwrap();
    assert_eq!(paths(&reading), ["a.yml", "b.yaml", "c.json", "deep/er/d.yaml"]);
    assert_eq!(reading.errors, BTreeMap::new());
}

#[test]
fn a_configmap_mount_is_read_once() {
    let dir = TempDir::new().unwrap();
    create_dir_all(dir.path().join("..2026_1")).unwrap();
    write(dir.path().join("..2026_1/r.yaml"), "a: 1").unwrap();
    symlink("..2026_1", dir.path().join("..data")).unwrap();
    symlink("..data/r.yaml", dir.path().join("r.yaml")).unwrap();
    let scan = scan(dir.path(), &Reading::default(), None, Duration::ZERO);
    assert_eq!(paths(scan.reading.as_ref().unwrap()), ["r.yaml"]);
    assert!(scan.directories.keys().any(|path| path.ends_with("..2026_1")), "where the link leads is watched");
}

#[test]
fn symbolic_link_loops_end_and_a_folder_keeps_its_own_path() {
    let dir = TempDir::new().unwrap();
    create_dir_all(dir.path().join("real/sub")).unwrap();
    write(dir.path().join("real/sub/r.yaml"), "a: 1").unwrap();
    symlink("..", dir.path().join("real/sub/up")).unwrap();
    symlink("real", dir.path().join("alias")).unwrap();
    symlink("real/sub/r.yaml", dir.path().join("link.yaml")).unwrap();
    symlink("self", dir.path().join("self")).unwrap();
    let reading = read_directory(dir.path()).unwrap();
    assert_eq!(paths(&reading), ["link.yaml", "real/sub/r.yaml"]);
    assert!(matches!(reading.errors["self"], FileError::Unreadable(_)), "{:?}", reading.errors);
    assert_eq!(reading.errors.len(), 1);
}

#[test]
fn trouble_with_one_file_is_its_own() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    write(at("good.yaml"), "a: 1").unwrap();
    write(at("latin.yaml"), b"name: caf\xe9").unwrap();
    write(at("empty.yaml"), " \n").unwrap();
    File::create(at("large.yaml")).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    write(at("limit.yaml"), " ".repeat(usize::try_from(MAX_FILE_BYTES).unwrap() - 1) + "a").unwrap();
    symlink("nowhere", at("dangling.yaml")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.yaml")).unwrap();
    write(dir.path().join(OsStr::from_bytes(b"n\xe9.yaml")), "a: 1").unwrap();

    let reading = read_directory(dir.path()).unwrap();
    assert_eq!(paths(&reading), ["good.yaml", "limit.yaml"]);
    let expected = [
        ("dangling.yaml", FileError::Vanished),
        ("empty.yaml", FileError::Empty),
        ("large.yaml", FileError::TooLarge),
        ("latin.yaml", FileError::NotUtf8 { offset: 9 }),
        ("n\u{fffd}.yaml", FileError::NameNotUtf8),
        ("socket.yaml", FileError::NotAFile),
    ];
    assert_eq!(reading.errors, expected.map(|(path, error)| (path.into(), error)).into());
}

#[test]
fn a_file_below_an_unreadable_folder_is_not_deleted() {
    let reading = Reading { errors: [("a/b".into(), FileError::Vanished)].into(), ..Reading::default() };
    assert_eq!(reading.error_of("a/b/c/r.yaml"), Some(&FileError::Vanished));
    assert_eq!(reading.error_of("a/b"), Some(&FileError::Vanished));
    assert_eq!(reading.error_of("a/bc/r.yaml"), None);
}

#[test]
fn a_broken_link_to_a_folder_is_an_error() {
    let dir = TempDir::new().unwrap();
    symlink("/nowhere/at/all", dir.path().join("mounted")).unwrap();
    let reading = read_directory(dir.path()).unwrap();
    assert_eq!(reading.error_of("mounted/r.yaml"), Some(&FileError::Vanished));
}

#[test]
fn a_missing_root_fails_the_reading() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("a/b/c");
    let error = read_directory(&root).unwrap_err();
    assert_eq!(error.root, root);
    assert!(error.to_string().contains("No such file"), "{error}");
    let scan = scan(&root, &Reading::default(), None, Duration::ZERO);
    assert_eq!(scan.directories.keys().collect::<Vec<_>>(), [dir.path()], "watched where it may appear");
}

#[test]
fn a_root_may_be_a_file_of_any_name() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().join("rollout.conf");
    write(&root, "a: 1").unwrap();
    assert_eq!(paths(&read_directory(&root).unwrap()), ["rollout.conf"]);
}

#[test]
fn unchanged_text_is_the_same_text() {
    let dir = TempDir::new().unwrap();
    write(dir.path().join("same.yaml"), "a: 1").unwrap();
    write(dir.path().join("other.yaml"), "a: 1").unwrap();
    let first = read_directory(dir.path()).unwrap();
    write(dir.path().join("other.yaml"), "a: 2").unwrap();
    write(dir.path().join("new"), "a: 1").unwrap();
    rename(dir.path().join("new"), dir.path().join("same.yaml")).unwrap();
    let second = scan(dir.path(), &first, None, Duration::ZERO).reading.unwrap();
    assert!(Arc::ptr_eq(&first.files["same.yaml"], &second.files["same.yaml"]));
    assert_eq!(&*second.files["other.yaml"], "a: 2");
}

#[test]
fn paths_are_shown_as_typed() {
    let dir = TempDir::new().unwrap();
    create_dir_all(dir.path().join("conf/sub")).unwrap();
    write(dir.path().join("conf/sub/r.yaml"), "a: 1").unwrap();
    write(dir.path().join("one.txt"), "a: 1").unwrap();
    let typed = |path: &str| PathBuf::from(format!("{}/{path}", dir.path().display()));
    let reading = read_paths(&[typed("conf/"), typed("one.txt"), typed("missing.yaml")]);
    let shown = |path| typed(path).to_str().unwrap().to_owned();
    assert_eq!(paths(&reading), [shown("conf/sub/r.yaml"), shown("one.txt")]);
    assert_eq!(reading.errors, [(shown("missing.yaml").into(), FileError::Missing)].into());
}

/// A file that was not opened gives the text of before, so that is made to tell.
#[test]
fn a_file_left_alone_is_not_opened_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("r.yaml");
    write(&path, "a: 1").unwrap();
    let mut before = scan(dir.path(), &Reading::default(), None, Duration::ZERO);
    let told: Arc<str> = "of before".into();
    before.reading.as_mut().unwrap().files.insert("r.yaml".into(), Arc::clone(&told));
    let (_, _, [written, ..]) = before.stamps["r.yaml"];
    let text = |before: &Scan| {
        let scan = scan(dir.path(), &Reading::default(), Some(before), Duration::ZERO);
        Arc::clone(&scan.reading.unwrap().files["r.yaml"])
    };
    before.begun = Duration::from_secs(written.try_into().unwrap());
    assert_eq!(&*text(&before), "a: 1", "it may have been written again within the same tick");
    before.begun += PROOF;
    assert!(Arc::ptr_eq(&text(&before), &told));
    write(&path, "a: 23").unwrap();
    assert_eq!(&*text(&before), "a: 23", "its stamp is another");
}

/// What happens to a tree between two looks. Entries are of `conf`, or of one of its folders.
#[derive(Debug, Clone)]
enum Deed {
    Write(usize, u8),
    Replace(usize, u8),
    Remove(usize),
    MakeFolder(usize),
    RemoveFolder(usize),
    MoveFolder(usize, usize),
    Link(usize, usize),
}

const NAMES: [&str; 8] = ["a.yaml", "b.json", "c.txt", ".d.yaml", "f/a.yaml", "f/b.yaml", "g/a.yml", "g/h.yaml"];
const FOLDERS: [&str; 3] = ["f", "g", "a.yaml"];

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let (name, folder) = (0..NAMES.len(), 0..FOLDERS.len());
    let deed = prop_oneof![
        6 => (name.clone(), 0..4_u8).prop_map(|(at, text)| Deed::Write(at, text)),
        6 => (name.clone(), 0..4_u8).prop_map(|(at, text)| Deed::Replace(at, text)),
        3 => name.clone().prop_map(Deed::Remove),
        1 => folder.clone().prop_map(Deed::MakeFolder),
        1 => folder.clone().prop_map(Deed::RemoveFolder),
        1 => (folder.clone(), folder).prop_map(|(a, b)| Deed::MoveFolder(a, b)),
        1 => (name.clone(), name).prop_map(|(at, to)| Deed::Link(at, to)),
    ];
    prop::collection::vec(deed, 1..5)
}

/// Does it, if that can be done; gives the entries that an event would name.
fn perform(root: &Path, deed: &Deed) -> Vec<PathBuf> {
    let (at, folder) = (|index: usize| root.join(NAMES[index]), |index: usize| root.join(FOLDERS[index]));
    let text = |dice: u8| ["", "a: 1", "b: 22", "\u{e9}: 333"][usize::from(dice)];
    match deed {
        Deed::Write(index, dice) => {
            let _ = write(at(*index), text(*dice));
            // Through a link it is the file itself that is written, and named.
            at(*index).canonicalize().into_iter().chain([at(*index)]).collect()
        }
        Deed::Replace(index, dice) => {
            let new = root.join("new");
            write(&new, text(*dice)).unwrap();
            if rename(&new, at(*index)).is_err() {
                std::fs::remove_file(&new).unwrap();
            }
            vec![new, at(*index)]
        }
        Deed::Remove(index) => {
            let _ = std::fs::remove_file(at(*index));
            vec![at(*index)]
        }
        Deed::MakeFolder(index) => {
            let _ = std::fs::create_dir(folder(*index));
            vec![folder(*index)]
        }
        Deed::RemoveFolder(index) => {
            let _ = std::fs::remove_dir_all(folder(*index));
            vec![folder(*index)]
        }
        Deed::MoveFolder(from, to) => {
            let _ = rename(folder(*from), folder(*to));
            vec![folder(*from), folder(*to)]
        }
        Deed::Link(index, to) => {
            let _ = std::os::unix::fs::symlink(at(*to), at(*index));
            vec![at(*index)]
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A look at what was hinted at sees what a look at everything does, or says that it does not.
    #[test]
    fn a_look_at_the_changes_is_a_look_at_all(steps in prop::collection::vec(deeds(), 1..12)) {
        let dir = TempDir::new().unwrap();
        let root = dir.path().canonicalize().unwrap().join("conf");
        std::fs::create_dir(&root).unwrap();
        let nothing = Reading::default();
        let mut before = scan(&root, &nothing, None, Duration::ZERO);
        for deeds in steps {
            let hinted: BTreeSet<PathBuf> = deeds.iter().flat_map(|deed| perform(&root, deed)).collect();
            let whole = scan(&root, &nothing, None, Duration::ZERO);
            if let Some(part) = rescan(&root, &nothing, &before, &hinted, Duration::ZERO) {
                prop_assert_eq!(&part, &whole);
                prop_assert!(before.directories.is_empty() || Arc::ptr_eq(&part.directories, &before.directories));
            }
            before = whole;
        }
    }
}

#[test]
fn an_edit_of_a_file_is_looked_at_alone() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().canonicalize().unwrap();
    write(root.join("a.yaml"), "a: 1").unwrap();
    write(root.join("b.yaml"), "b: 1").unwrap();
    let before = scan(&root, &Reading::default(), None, Duration::ZERO);
    write(root.join("a.yaml"), "a: 2").unwrap();
    write(root.join("b.yaml"), "b: 2").unwrap();
    let part = rescan(&root, &Reading::default(), &before, &[root.join("a.yaml")].into(), Duration::ZERO).unwrap();
    let files = part.reading.unwrap().files;
    assert_eq!((&*files["a.yaml"], &*files["b.yaml"]), ("a: 2", "b: 1"));
    symlink(root.join("a.yaml"), root.join("l.yaml")).unwrap();
    let linked = scan(&root, &Reading::default(), None, Duration::ZERO);
    assert_eq!(
        rescan(&root, &Reading::default(), &linked, &BTreeSet::new(), Duration::ZERO),
        None,
        "events name no target"
    );
}
