use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;

struct Store {
    _dir: TempDir,
    state: StateDir,
    records: Records,
}

impl Store {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let records = state.records();
        Self { _dir: dir, state, records }
    }

    /// With `cart`, and two revisions of `shop`.
    fn saved() -> Self {
        let mut store = Self::new();
        assert_eq!(store.save("cart", 0, &record(7)).unwrap(), 1);
        assert_eq!(store.save("shop", 0, &record(1)).unwrap(), 1);
        assert_eq!(store.save("shop", 1, &record(2)).unwrap(), 2);
        store
    }

    /// The revision that it then has.
    fn save(&mut self, rollout: &str, expected: u64, record: &Value) -> Result<u64, StoreError> {
        let save = Save { rollout: rollout.to_owned(), expected, record: record.clone() };
        self.records.save_all(&[save])?;
        Ok(self.records.load(rollout)?.revision)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.state.path().join(DIRECTORY).join(name)
    }

    fn load(&self) -> BTreeMap<String, Loaded> {
        self.records.load_all().unwrap()
    }
}

fn record(step: u32) -> Value {
    json!({"step": step, "evidence": [0.1, 1e-9, "\u{e9}\n"], "paused": null})
}

fn good(revision: u64, step: u32) -> Loaded {
    Loaded { revision, record: Some(record(step)), damaged: Vec::new() }
}

#[test]
fn what_is_saved_is_loaded() {
    assert_eq!(Store::new().load(), BTreeMap::new());
    let store = Store::saved();
    assert_eq!(store.load(), BTreeMap::from([("cart".into(), good(1, 7)), ("shop".into(), good(2, 2))]));
    assert_eq!(store.records.load("nobody").unwrap(), Loaded::default());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&store.at("shop.json")), mode(&store.at(""))), (0o600, 0o700));
}

#[test]
fn a_save_that_somebody_came_before_is_refused() {
    let mut store = Store::saved();
    for (name, expected, found) in [("shop", 1, 2), ("shop", 3, 2), ("shop", 0, 2), ("new", 1, 0)] {
        let error = store.save(name, expected, &record(9)).unwrap_err();
        assert!(
            matches!(&error, StoreError::Conflict { rollout, expected: e, found: f } if rollout == name && (*e, *f) == (expected, found)),
            "{error}"
        );
    }
    let error = store.save("shop", 1, &record(9)).unwrap_err().to_string();
    assert_eq!(error, "the record of rollout shop has revision 2, not 1: somebody else saved it");
    assert_eq!(store.load()["shop"], good(2, 2));
}

#[test]
fn what_is_removed_is_gone_and_may_come_again() {
    let mut store = Store::saved();
    store.records.remove("shop").unwrap();
    store.records.remove("shop").unwrap();
    assert_eq!(store.load(), BTreeMap::from([("cart".into(), good(1, 7))]));
    assert_eq!(store.save("shop", 0, &record(3)).unwrap(), 1);
    assert_eq!(store.load()["shop"], good(1, 3));
    Store::new().records.remove("nobody").unwrap();
}

#[test]
fn many_are_saved_at_once_and_a_conflict_changes_none() {
    let mut store = Store::saved();
    let saves = |expected: u64| {
        let save = |n: u32| Save { rollout: format!("r{n}"), expected, record: record(n) };
        (0..=3 * u32::try_from(WRITERS).unwrap()).map(save).collect::<Vec<_>>()
    };
    let all = |revision: u64| saves(0).into_iter().zip(0..).map(move |(save, n)| (save.rollout, good(revision, n)));
    let others = store.load();
    for revision in [1, 2] {
        store.records.save_all(&saves(revision - 1)).unwrap();
        assert_eq!(store.load(), others.clone().into_iter().chain(all(revision)).collect());
    }
    let mut late = saves(2);
    late[WRITERS].expected = 1;
    assert!(matches!(store.records.save_all(&late).unwrap_err(), StoreError::Conflict { expected: 1, found: 2, .. }));
    assert_eq!(store.load(), others.into_iter().chain(all(2)).collect());
    store.records.save_all(&[]).unwrap();
}

#[test]
fn a_crash_while_removing_leaves_the_record_or_nothing() {
    let store = Store::saved();
    fs::remove_file(store.at("shop.json.1")).unwrap();
    assert_eq!(store.load()["shop"], good(2, 2));
}

#[test]
fn cut_off_anywhere_gives_the_version_before_and_leaves_the_others_alone() {
    let store = Store::saved();
    let whole = fs::read(store.at("shop.json")).unwrap();
    for length in 0..whole.len() - 1 {
        fs::write(store.at("shop.json"), &whole[..length]).unwrap();
        let loaded = store.load();
        assert_eq!(loaded["cart"], good(1, 7));
        let shop = &loaded["shop"];
        assert_eq!((shop.revision, &shop.record), (1, &Some(record(1))), "cut off at {length}");
        assert_eq!(shop.damaged.iter().map(|d| &d.file).collect::<Vec<_>>(), [&store.at("shop.json")]);
    }
}

#[test]
fn a_changed_byte_never_gives_another_record() {
    let store = Store::saved();
    let whole = fs::read(store.at("shop.json")).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(store.at("shop.json"), &changed).unwrap();
        match store.records.load("shop") {
            Ok(loaded) if loaded.damaged.is_empty() => assert_eq!(loaded, good(2, 2), "changed at {at}"),
            Ok(loaded) => assert_eq!(loaded.record, Some(record(1)), "changed at {at}"),
            Err(error) => assert!(matches!(error, StoreError::NewerSchema { .. }), "changed at {at}: {error}"),
        }
    }
}

#[test]
fn lost_is_said_and_may_be_saved_anew() {
    let mut store = Store::saved();
    fs::write(store.at("shop.json"), "{").unwrap();
    fs::copy(store.at("cart.json"), store.at("shop.json.1")).unwrap();
    let lost = store.load().remove("shop").unwrap();
    assert_eq!((lost.revision, lost.record, lost.damaged.len()), (0, None, 2));
    assert!(
        lost.damaged[1].to_string().ends_with(r#"shop.json.1 is damaged: it is the record of "cart""#),
        "{:?}",
        lost.damaged
    );
    assert_eq!(store.save("shop", 0, &record(5)).unwrap(), 1);
    assert_eq!(store.load()["shop"], good(1, 5));
    assert_eq!(store.load()["cart"], good(1, 7));
}

#[test]
fn a_damaged_record_does_not_push_out_the_good_one_before_it() {
    let mut store = Store::saved();
    fs::write(store.at("shop.json"), "{").unwrap();
    assert_eq!(store.save("shop", 1, &record(3)).unwrap(), 2);
    fs::write(store.at("shop.json"), "{").unwrap();
    assert_eq!(store.load()["shop"].record, Some(record(1)));
}

/// The states in which a crash can leave the directory while revision 3 replaces revision 2.
#[test]
fn a_crash_at_any_point_of_saving_loses_nothing() {
    let whole = {
        let mut store = Store::saved();
        store.save("shop", 2, &record(3)).unwrap();
        fs::read(store.at("shop.json")).unwrap()
    };
    let mut store = Store::saved();
    for length in 0..=whole.len() {
        fs::write(store.at("shop.json.tmp"), &whole[..length]).unwrap();
        assert_eq!(store.load()["shop"], good(2, 2), "writing the temporary file");
        assert_eq!(store.load().len(), 2);
    }
    fs::rename(store.at("shop.json"), store.at("shop.json.1")).unwrap();
    assert_eq!(store.load()["shop"], good(2, 2), "between the renames");
    assert_eq!(store.save("shop", 2, &record(4)).unwrap(), 3);
    assert_eq!(store.load()["shop"], good(3, 4));
    fs::remove_file(store.at("shop.json")).unwrap();
    assert_eq!(store.load()["shop"], good(2, 2), "the version before is still there");
}

#[test]
fn a_newer_schema_is_neither_read_nor_overwritten() {
    let mut store = Store::saved();
    let newer = r#"{"schema": 2, "something": "else"}"#;
    fs::write(store.at("shop.json"), newer).unwrap();
    for error in [store.records.load_all().unwrap_err(), store.save("shop", 2, &record(3)).unwrap_err()] {
        assert!(matches!(error, StoreError::NewerSchema { found: 2, known: 1, .. }), "{error}");
    }
    assert_eq!(fs::read_to_string(store.at("shop.json")).unwrap(), newer);
}

#[test]
fn what_is_no_record_is_not_read() {
    let store = Store::saved();
    for name in ["notes.txt", "shop.json~", "Shop.json", "%zz.json", "%41.json.2", "%6.json", "%61.json"] {
        fs::write(store.at(name), "x").unwrap();
    }
    assert_eq!(store.load().into_keys().collect::<Vec<_>>(), ["cart", "shop"]);
}

#[test]
fn a_name_stays_in_its_directory() {
    for (name, file) in [
        ("shop", "shop.json"),
        ("a.b/c", "a%2eb%2fc.json"),
        ("..", "%2e%2e.json"),
        ("", ".json"),
        ("Shop", "%53hop.json"),
        ("x.json", "x%2ejson.json"),
        ("\u{e9}", "%c3%a9.json"),
    ] {
        assert_eq!(format!("{}.json", stem(name)), file);
        assert_eq!(stem_of(file).and_then(unescaped).as_deref(), Some(name));
    }
}

#[test]
fn long_names_are_cut_and_told_apart() {
    let mut store = Store::new();
    let names = ["x", "y"].map(|end| "\u{e9}.".repeat(126) + end);
    for (revision, name) in [(0, &names[0]), (0, &names[1]), (1, &names[1])] {
        store.save(name, revision, &record(1)).unwrap();
    }
    assert_eq!(store.load(), BTreeMap::from([(names[0].clone(), good(1, 1)), (names[1].clone(), good(2, 1))]));
    let file = store.records.record(&stem(&names[0]));
    fs::write(&file, "{").unwrap();
    let lost = store.records.load(&names[0]).unwrap();
    assert_eq!((lost.record, lost.damaged.len()), (None, 1));
    assert_eq!(store.load().len(), 2, "under the name of the file, because nothing says the rollout's");
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every number too, to its last bit.
    #[test]
    fn any_record_of_any_rollout_comes_back(name in ".{0,40}", record in json_values()) {
        let mut store = Store::saved();
        store.save(&name, 0, &record).unwrap();
        let loaded = Loaded { revision: 1, record: Some(record), damaged: Vec::new() };
        prop_assert_eq!(store.load().remove(&name), Some(loaded));
    }
}
