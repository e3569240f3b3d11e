use super::super::reading::RootError;
use super::*;
use crate::tree::Map;

fn reading(files: &[(&str, &str)]) -> Reading {
    Reading { files: files.iter().map(|&(path, text)| (path.into(), text.into())).collect(), ..Reading::default() }
}

fn scan(files: &[(&str, &str)]) -> Scan {
    Scan {
        reading: Ok(reading(files)),
        begun: Duration::ZERO,
        stamps: Map::new(),
        directories: Arc::default(),
        plain: true,
    }
}

fn missing() -> Scan {
    let error = RootError { root: "/conf".into(), reason: "gone".into() };
    Scan { reading: Err(error), begun: Duration::ZERO, stamps: Map::new(), directories: Arc::default(), plain: true }
}

#[test]
fn two_equal_scans_count() {
    let delivered = reading(&[("a", "1")]);
    let mut settling = Settling::new(scan(&[("a", "2")]));
    assert_eq!(settling.take(scan(&[("a", "23")]), &delivered, false), None);
    assert_eq!(
        settling.take(scan(&[("a", "2")]), &delivered, false),
        None,
        "equal to one before the last is not still"
    );
    assert_eq!(settling.take(scan(&[("a", "2")]), &delivered, false), Some(scan(&[("a", "2")])));
}

#[test]
fn a_new_folder_stands_still_too() {
    let mut new_folder = scan(&[("a", "1")]);
    new_folder.directories = Arc::new([("/conf/sub".into(), (1, 2))].into());
    let mut settling = Settling::new(scan(&[("a", "1")]));
    assert_eq!(settling.take(new_folder.clone(), &Reading::default(), false), None);
    assert_eq!(settling.take(new_folder.clone(), &Reading::default(), false), Some(new_folder));
}

#[test]
fn a_loss_stands_longer() {
    let delivered = reading(&[("a", "1"), ("b", "1")]);
    let mut settling = Settling::new(scan(&[("a", "1")]));
    let taken = (1..100).find(|_| settling.take(scan(&[("a", "1")]), &delivered, false).is_some());
    assert_eq!(taken, Some(LOSS_REPEATS));

    let mut settling = Settling::new(scan(&[("a", "1")]));
    assert_eq!(settling.take(scan(&[("a", "1")]), &delivered, false), None);
    let back = scan(&[("a", "1"), ("b", "2")]);
    assert_eq!(settling.take(back.clone(), &delivered, false), None);
    assert_eq!(settling.take(back.clone(), &delivered, false), Some(back), "what came back is no loss");
}

#[test]
fn what_never_stands_still_does_not_hold_up_the_rest() {
    let delivered = reading(&[("a", "1"), ("moving", "1"), ("gone", "1")]);
    let mut settling = Settling::new(scan(&[("a", "2"), ("moving", "2"), ("appearing", "1")]));
    let scan = settling.take(scan(&[("a", "2"), ("moving", "3")]), &delivered, true).unwrap();
    let counted = scan.reading.unwrap();
    assert_eq!(counted.files, reading(&[("a", "2")]).files);
    let unsettled = ["appearing", "gone", "moving"].map(|path| (path.into(), FileError::Unsettled));
    assert_eq!(counted.errors, unsettled.into());
}

#[test]
fn the_same_text_written_again_is_not_still() {
    let written_at = |second| {
        let mut scan = scan(&[("a", "2"), ("b", "2")]);
        scan.stamps.insert("a".into(), (1, 1, [second, 0, second, 0]));
        scan
    };
    let mut settling = Settling::new(written_at(1));
    assert_eq!(settling.take(written_at(2), &Reading::default(), false), None);
    let late = settling.take(written_at(3), &Reading::default(), true).unwrap().reading.unwrap();
    assert_eq!(late.errors, [("a".into(), FileError::Unsettled)].into());
    assert_eq!(late.files, reading(&[("b", "2")]).files);
    assert_eq!(settling.take(written_at(3), &Reading::default(), false), Some(written_at(3)));
}

#[test]
fn a_root_that_comes_and_goes_is_never_half_taken() {
    let mut settling = Settling::new(missing());
    assert_eq!(settling.take(scan(&[("a", "1")]), &Reading::default(), true), None);
    assert_eq!(settling.take(missing(), &Reading::default(), true), None);
    assert_eq!(settling.take(missing(), &Reading::default(), true), Some(missing()));
}
