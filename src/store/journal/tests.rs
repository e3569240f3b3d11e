use serde_json::json;
use tempfile::TempDir;

use super::*;

fn entry(rollout: &str, n: u32) -> Value {
    json!({"rollout": rollout, "n": n, "why": "line\nbreak"})
}

fn open(dir: &TempDir) -> (Journal, Option<Torn>) {
    Journal::open(dir.path(), LIMIT).unwrap()
}

fn numbers(entries: &[Value]) -> Vec<u64> {
    entries.iter().map(|entry| entry["n"].as_u64().unwrap()).collect()
}

#[test]
fn the_tail_is_the_newest_oldest_first() {
    let dir = TempDir::new().unwrap();
    let (mut journal, torn) = open(&dir);
    assert_eq!((torn, journal.tail(None, 5).unwrap()), (None, Vec::new()));
    journal.append(&[entry("shop", 1), entry("cart", 2), entry("shop", 3)]).unwrap();
    journal.append(&[]).unwrap();
    drop(journal);
    let (mut journal, torn) = open(&dir);
    assert_eq!(torn, None);
    journal.append(&[entry("cart", 4)]).unwrap();
    assert_eq!(numbers(&journal.tail(None, 3).unwrap()), [2, 3, 4]);
    assert_eq!(numbers(&journal.tail(Some("shop"), 9).unwrap()), [1, 3]);
    assert_eq!(numbers(&journal.tail(Some("shop"), 1).unwrap()), [3]);
    assert_eq!(journal.tail(Some("nobody"), 9).unwrap(), Vec::<Value>::new());
    assert_eq!(journal.tail(None, 0).unwrap(), Vec::<Value>::new());
    assert_eq!(journal.tail(None, 9).unwrap()[2], entry("shop", 3));
}

#[test]
fn cut_off_anywhere_loses_only_what_is_not_whole() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(NAME);
    open(&dir).0.append(&[entry("shop", 1), entry("shop", 2), entry("shop", 3)]).unwrap();
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let (mut journal, torn) = open(&dir);
        let kept = ends.iter().copied().filter(|end| *end <= length).max().unwrap_or(0);
        let bytes = (length - kept) as u64;
        assert_eq!(torn.map(|torn| torn.bytes), (bytes > 0).then_some(bytes), "cut off at {length}");
        journal.append(&[entry("shop", 9)]).unwrap();
        let expected: Vec<u64> =
            (1..).zip(&ends).filter(|(_, end)| **end <= length).map(|(n, _)| n).chain([9]).collect();
        assert_eq!(numbers(&journal.tail(None, 9).unwrap()), expected, "cut off at {length}");
    }
}

#[test]
fn what_was_cut_off_is_said() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(NAME);
    fs::write(&path, "{\"n\":1}\n{\"n\":").unwrap();
    let said = open(&dir).1.unwrap().to_string();
    assert_eq!(said, format!("the last entry of {} was cut off by a crash: removed its 5 bytes", path.display()));
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"n\":1}\n");
    assert_eq!(open(&dir).1, None);
}

#[test]
fn blocks_that_never_reached_the_disk_are_cut_off_too() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(NAME), b"{\"n\":1}\n\0\0\0\0\0\0\n\0\0\n").unwrap();
    let (journal, torn) = open(&dir);
    assert_eq!(torn.unwrap().bytes, 10);
    assert_eq!(numbers(&journal.tail(None, 9).unwrap()), [1]);
}

#[test]
fn a_damaged_line_in_the_middle_costs_no_other() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(NAME), "{\"n\":1}\n{\"n\":\n{\"n\":3}\n").unwrap();
    let (journal, torn) = open(&dir);
    assert_eq!((torn, numbers(&journal.tail(None, 9).unwrap())), (None, vec![1, 3]));
}

#[test]
fn two_files_are_kept() {
    let dir = TempDir::new().unwrap();
    let line = entry("shop", 10).to_string().len() as u64 + 1;
    let (mut journal, _) = Journal::open(dir.path(), 10 * line).unwrap();
    for n in 10..45 {
        journal.append(&[entry("shop", n)]).unwrap();
    }
    assert_eq!(numbers(&journal.tail(None, 99).unwrap()), (30..45).collect::<Vec<u64>>());
    assert_eq!(numbers(&journal.tail(None, 7).unwrap()), (38..45).collect::<Vec<u64>>());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    drop(journal);
    fs::rename(dir.path().join(NAME), dir.path().join("history.jsonl.1")).unwrap();
    let (journal, torn) = open(&dir);
    assert_eq!(torn, None, "a crash after the rename leaves no journal, but the one before it");
    assert_eq!(numbers(&journal.tail(None, 2).unwrap()), [43, 44]);
}

#[test]
fn what_a_failed_append_left_is_gone_with_the_next() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    journal.append(&[entry("shop", 1)]).unwrap();
    journal.file.write_all(b"{\"n\":").unwrap();
    journal.append(&[entry("shop", 2)]).unwrap();
    assert_eq!(numbers(&journal.tail(None, 9).unwrap()), [1, 2]);
    assert_eq!(open(&dir).1, None);
}
