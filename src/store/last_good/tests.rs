use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tempfile::TempDir;

use super::super::seal::Flaw;
use super::*;

mod large;

fn files(generation: &str) -> Files {
    [("a.yaml", generation), ("sub/b.yaml", "kind: Rollout\n# \u{e9} \"quoted\" \0\n")]
        .map(|(path, text)| (path.into(), text.into()))
        .into()
}

struct Store {
    _dir: TempDir,
    state: StateDir,
}

impl Store {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        Self { _dir: dir, state }
    }

    /// With the generations `1` and `2` saved.
    fn saved() -> Self {
        let mut store = Self::new();
        store.state.save_last_good(&files("1")).unwrap();
        store.state.save_last_good(&files("2")).unwrap();
        store
    }

    fn at(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }

    fn load(&self) -> LastGood {
        self.state.load_last_good().unwrap()
    }
}

fn undamaged(files: Files) -> LastGood {
    LastGood { files, damaged: Vec::new() }
}

#[test]
fn what_is_saved_is_loaded() {
    let mut store = Store::new();
    assert_eq!(store.load(), LastGood::default());
    for generation in ["1", "2", "3"] {
        store.state.save_last_good(&files(generation)).unwrap();
        assert_eq!(store.load(), undamaged(files(generation)));
    }
    store.state.save_last_good(&Files::new()).unwrap();
    assert_eq!(store.load(), LastGood::default());
}

#[test]
fn what_is_remembered_already_is_not_written() {
    let mut store = Store::saved();
    let inode = |store: &Store| fs::metadata(store.at(NAME)).unwrap().ino();
    let before = inode(&store);
    store.state.save_last_good(&files("2")).unwrap();
    assert_eq!(inode(&store), before);
    assert!(fs::read_to_string(store.at("last-good.json.1")).unwrap().contains(r#""a.yaml": "1""#));
}

#[test]
fn only_this_user_may_read_it() {
    let store = Store::saved();
    assert_eq!(fs::metadata(store.at(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn cut_off_anywhere_gives_the_version_before() {
    let store = Store::saved();
    let whole = fs::read(store.at(NAME)).unwrap();
    // Without the line end it is still whole.
    for length in 0..whole.len() - 1 {
        fs::write(store.at(NAME), &whole[..length]).unwrap();
        let loaded = store.load();
        assert_eq!(loaded.files, files("1"), "cut off at {length}");
        assert_eq!(loaded.damaged.len(), 1);
        assert_eq!(loaded.damaged[0].file, store.at(NAME));
    }
}

#[test]
fn a_changed_byte_never_gives_another_content() {
    let store = Store::saved();
    let whole = fs::read(store.at(NAME)).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(store.at(NAME), &changed).unwrap();
        match store.state.load_last_good() {
            Ok(loaded) if loaded.damaged.is_empty() => assert_eq!(loaded.files, files("2"), "changed at {at}"),
            Ok(loaded) => assert_eq!(loaded.files, files("1"), "changed at {at}"),
            Err(error) => assert!(matches!(error, StoreError::NewerSchema { .. }), "changed at {at}: {error}"),
        }
    }
}

#[test]
fn both_damaged_is_said_and_gives_nothing() {
    let store = Store::saved();
    fs::write(store.at(NAME), "").unwrap();
    let text = fs::read_to_string(store.at("last-good.json.1")).unwrap();
    fs::write(store.at("last-good.json.1"), text.replace(r#""a.yaml": "1""#, r#""a.yaml": "9""#)).unwrap();
    let loaded = store.load();
    assert_eq!(loaded.files, Files::new());
    let said: Vec<_> = loaded.damaged.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            format!("{} is damaged: EOF while parsing a value at line 1 column 0", store.at(NAME).display()),
            format!("{} is damaged: its content does not match its checksum", store.at("last-good.json.1").display()),
        ]
    );
}

#[test]
fn a_damaged_document_does_not_push_out_the_good_one_before_it() {
    let mut store = Store::saved();
    fs::write(store.at(NAME), "{").unwrap();
    store.state.save_last_good(&files("3")).unwrap();
    fs::write(store.at(NAME), "{").unwrap();
    assert_eq!(store.load().files, files("1"));
}

/// The states in which a crash can leave the directory while generation 3 replaces generation 2.
#[test]
fn a_crash_at_any_point_of_saving_loses_nothing() {
    let whole = {
        let mut store = Store::saved();
        store.state.save_last_good(&files("3")).unwrap();
        fs::read(store.at(NAME)).unwrap()
    };
    for length in 0..=whole.len() {
        let mut store = Store::saved();
        fs::write(store.at("last-good.json.tmp"), &whole[..length]).unwrap();
        assert_eq!(store.load(), undamaged(files("2")), "writing the temporary file");
        if length % 50 == 0 {
            store.state.save_last_good(&files("4")).unwrap();
            assert_eq!(store.load(), undamaged(files("4")), "and saving again");
            assert!(!store.at("last-good.json.tmp").exists());
        }
    }
    let mut store = Store::saved();
    fs::write(store.at("last-good.json.tmp"), &whole).unwrap();
    fs::rename(store.at(NAME), store.at("last-good.json.1")).unwrap();
    assert_eq!(store.load(), undamaged(files("2")), "between the renames");
    store.state.save_last_good(&files("4")).unwrap();
    assert_eq!(store.load(), undamaged(files("4")));
    fs::remove_file(store.at(NAME)).unwrap();
    assert_eq!(store.load(), undamaged(files("2")), "the version before is still there");
}

#[test]
fn a_newer_schema_is_neither_read_nor_overwritten() {
    let mut store = Store::saved();
    let newer = r#"{"schema": 2, "something": "else"}"#;
    fs::write(store.at(NAME), newer).unwrap();
    for error in [store.state.load_last_good().unwrap_err(), store.state.save_last_good(&files("3")).unwrap_err()] {
        let StoreError::NewerSchema { file, found: 2, known: 1 } = error else { panic!("{error}") };
        assert_eq!(file, store.at(NAME));
    }
    assert_eq!(fs::read_to_string(store.at(NAME)).unwrap(), newer);
}

#[test]
fn a_schema_that_never_was_is_damage() {
    let store = Store::saved();
    fs::write(store.at(NAME), r#"{"schema": 0}"#).unwrap();
    let damage = Damage { file: store.at(NAME), flaw: Flaw::Schema(0) };
    assert_eq!(store.load().damaged, [damage]);
}

#[test]
fn a_failed_save_leaves_what_was_there() {
    let mut store = Store::saved();
    fs::create_dir(store.at("last-good.json.tmp")).unwrap();
    let error = store.state.save_last_good(&files("3")).unwrap_err();
    assert!(error.to_string().starts_with("cannot write "), "{error}");
    assert_eq!(store.load(), undamaged(files("2")));
}

/// What this process wrote it need not read again, unless somebody else has been at it.
#[test]
fn what_somebody_else_damaged_does_not_push_out_the_good_one() {
    let mut store = Store::saved();
    fs::write(store.at(NAME), "{").unwrap();
    store.state.save_last_good(&files("3")).unwrap();
    assert_eq!(store.load(), undamaged(files("3")));
    fs::write(store.at(NAME), "{").unwrap();
    assert_eq!(store.load().files, files("1"));
    store.state.save_last_good(&files("3")).unwrap();
    assert_eq!(store.load(), undamaged(files("3")), "saved again, though it was the last that this process saved");
}
