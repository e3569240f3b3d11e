//! The watched directory on a real file system. Re-reading at intervals is off unless it is what a test is about, so
//! that a missed event is a test that never ends (but for [`PATIENT`]).

use std::fs::{File, create_dir, create_dir_all, remove_dir_all, remove_file, rename, write};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::mpsc::TryRecvError;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

const PATIENT: Duration = Duration::from_secs(30);
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// A source under test, on `conf` of a directory of its own.
struct Watched {
    dir: TempDir,
    readings: value::Receiver<Option<Outcome>>,
    reload: Arc<Notify>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Watched {
    fn start(dir: TempDir, settings: Settings) -> Self {
        let (sender, readings) = value::channel(None);
        let reload = Arc::new(Notify::new());
        let (stop, stopped) = oneshot::channel();
        let source = Source::new(dir.path().join("conf"), settings, Arc::new(|| Duration::ZERO));
        let shutdown = async move { drop(stopped.await) };
        let task = tokio::spawn(source.run(sender, Arc::clone(&reload), shutdown));
        Self { dir, readings, reload, stop, task }
    }

    /// Starts on `r.yaml` with the text `1`, by events alone, and waits for it.
    async fn on_one_file() -> Self {
        let dir = TempDir::new().unwrap();
        create_dir(dir.path().join("conf")).unwrap();
        write(dir.path().join("conf/r.yaml"), "1").unwrap();
        let mut watched = Self::start(dir, Settings { reread_every: NEVER, events: true });
        watched.until(|reading| text(reading, "r.yaml") == Some("1")).await;
        watched
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The next reading that is as wanted, and how many came up to it.
    async fn until(&mut self, wanted: impl Fn(&Reading) -> bool) -> (Arc<Reading>, usize) {
        let mut count = 0;
        let waiting = async {
            loop {
                self.readings.changed().await.unwrap();
                let outcome = self.readings.borrow_and_update().clone().expect("a reading is never taken back");
                let Ok(reading) = outcome else { continue };
                count += 1;
                if wanted(&reading) {
                    return reading;
                }
            }
        };
        let reading = timeout(PATIENT, waiting).await.expect("the change was missed");
        (reading, count)
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENT, self.task).await.unwrap().unwrap();
    }
}

fn text<'a>(reading: &'a Reading, path: &str) -> Option<&'a str> {
    reading.files.get(path).map(|text| &**text)
}

fn save_by_rename(path: &Path, content: &str) {
    let new = path.with_extension("new");
    write(&new, content).unwrap();
    rename(new, path).unwrap();
}

#[tokio::test]
async fn a_rename_save_is_seen_each_time() {
    let mut watched = Watched::on_one_file().await;
    for content in ["2", "3", "4"] {
        save_by_rename(&watched.at("conf/r.yaml"), content);
        watched.until(|reading| text(reading, "r.yaml") == Some(content)).await;
    }
    watched.stop().await;
}

#[tokio::test]
async fn a_configmap_swap_is_seen_each_time() {
    let dir = TempDir::new().unwrap();
    let conf = dir.path().join("conf");
    let publish = |generation: &str| {
        let data = conf.join(format!("..{generation}"));
        create_dir_all(&data).unwrap();
        write(data.join("r.yaml"), generation).unwrap();
        symlink(format!("..{generation}"), conf.join("..data_tmp")).unwrap();
        rename(conf.join("..data_tmp"), conf.join("..data")).unwrap();
    };
    publish("1");
    symlink("..data/r.yaml", conf.join("r.yaml")).unwrap();
    let mut watched = Watched::start(dir, Settings { reread_every: NEVER, events: true });
    watched.until(|reading| text(reading, "r.yaml") == Some("1")).await;
    for (before, generation) in [("1", "2"), ("2", "3"), ("3", "4")] {
        publish(generation);
        remove_dir_all(conf.join(format!("..{before}"))).unwrap();
        let (reading, _) = watched.until(|reading| text(reading, "r.yaml") == Some(generation)).await;
        assert_eq!((reading.files.len(), reading.errors.len()), (1, 0));
    }
}

#[tokio::test]
async fn a_file_is_never_delivered_half_written() {
    let mut watched = Watched::on_one_file().await;
    let path = watched.at("conf/r.yaml");
    let writer = std::thread::spawn(move || {
        for round in 0..300 {
            let mut file = File::create(&path).unwrap();
            file.write_all(b"whole ").unwrap();
            file.write_all(if round < 299 { b"and" } else { b"and last" }).unwrap();
        }
    });
    let whole = |reading: &Reading| {
        let text = text(reading, "r.yaml");
        // Unsettled if the machine is so busy that the writer outlasts the reader's patience.
        let patient = text.is_some() || reading.errors.get("r.yaml") == Some(&FileError::Unsettled);
        assert!(patient, "{:?}", reading.errors);
        assert!(text.is_none_or(|text| ["1", "whole and", "whole and last"].contains(&text)), "{text:?}");
        text == Some("whole and last")
    };
    watched.until(whole).await;
    writer.join().unwrap();
}

#[tokio::test]
async fn a_deleted_file_is_gone_and_comes_back() {
    let mut watched = Watched::on_one_file().await;
    remove_file(watched.at("conf/r.yaml")).unwrap();
    let (reading, _) = watched.until(|reading| reading.files.is_empty()).await;
    assert_eq!(reading.error_of("r.yaml"), None);
    write(watched.at("conf/r.yaml"), "2").unwrap();
    watched.until(|reading| text(reading, "r.yaml") == Some("2")).await;
}

#[tokio::test]
async fn saving_by_delete_and_write_is_one_change() {
    let mut watched = Watched::on_one_file().await;
    remove_file(watched.at("conf/r.yaml")).unwrap();
    write(watched.at("conf/r.yaml"), "2").unwrap();
    let (_, count) = watched.until(|reading| text(reading, "r.yaml") == Some("2")).await;
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_directory_deleted_and_recreated_is_followed() {
    let mut watched = Watched::on_one_file().await;
    let conf = watched.at("conf");
    for generation in ["2", "3", "4"] {
        remove_dir_all(&conf).unwrap();
        create_dir(&conf).unwrap();
        write(conf.join("r.yaml"), generation).unwrap();
        watched.until(|reading| text(reading, "r.yaml") == Some(generation)).await;
        save_by_rename(&conf.join("r.yaml"), "edited");
        watched.until(|reading| text(reading, "r.yaml") == Some("edited")).await;
    }
}

#[tokio::test]
async fn a_directory_renamed_over_is_followed() {
    let mut watched = Watched::on_one_file().await;
    for generation in ["2", "3", "4"] {
        create_dir(watched.at("next")).unwrap();
        write(watched.at("next/r.yaml"), generation).unwrap();
        rename(watched.at("conf"), watched.at(&format!("before-{generation}"))).unwrap();
        rename(watched.at("next"), watched.at("conf")).unwrap();
        watched.until(|reading| text(reading, "r.yaml") == Some(generation)).await;
        write(watched.at("conf/r.yaml"), "edited").unwrap();
        watched.until(|reading| text(reading, "r.yaml") == Some("edited")).await;
    }
}

#[tokio::test]
async fn a_root_that_is_a_swapped_link_is_followed() {
    let dir = TempDir::new().unwrap();
    for generation in ["1", "2", "3"] {
        create_dir_all(dir.path().join("releases").join(generation)).unwrap();
        write(dir.path().join("releases").join(generation).join("r.yaml"), generation).unwrap();
    }
    symlink("releases/1", dir.path().join("conf")).unwrap();
    let mut watched = Watched::start(dir, Settings { reread_every: NEVER, events: true });
    watched.until(|reading| text(reading, "r.yaml") == Some("1")).await;
    for generation in ["2", "3"] {
        symlink(format!("releases/{generation}"), watched.at("tmp")).unwrap();
        rename(watched.at("tmp"), watched.at("conf")).unwrap();
        watched.until(|reading| text(reading, "r.yaml") == Some(generation)).await;
        write(watched.at(&format!("releases/{generation}/r.yaml")), "edited").unwrap();
        watched.until(|reading| text(reading, "r.yaml") == Some("edited")).await;
    }
}

#[tokio::test]
async fn a_missing_root_is_no_reading() {
    let dir = TempDir::new().unwrap();
    let mut watched = Watched::start(dir, Settings { reread_every: NEVER, events: true });
    create_dir(watched.at("conf")).unwrap();
    write(watched.at("conf/r.yaml"), "1").unwrap();
    watched.until(|reading| text(reading, "r.yaml") == Some("1")).await;
    remove_dir_all(watched.at("conf")).unwrap();
    watched.reload.notify_one();
    create_dir(watched.at("conf")).unwrap();
    write(watched.at("conf/r.yaml"), "2").unwrap();
    let (_, count) = watched.until(|reading| text(reading, "r.yaml") == Some("2")).await;
    assert_eq!(count, 1, "nothing was read in between");
}

#[tokio::test]
async fn a_root_that_goes_is_told_and_so_is_its_return() {
    let mut watched = Watched::on_one_file().await;
    rename(watched.at("conf"), watched.at("away")).unwrap();
    let gone = watched.readings.wait_for(|outcome| matches!(outcome, Some(Err(_))));
    timeout(PATIENT, gone).await.unwrap().unwrap();
    rename(watched.at("away"), watched.at("conf")).unwrap();
    watched.until(|reading| text(reading, "r.yaml") == Some("1")).await;
}

#[tokio::test]
async fn new_folders_are_followed() {
    let mut watched = Watched::on_one_file().await;
    create_dir_all(watched.at("conf/a/b/c")).unwrap();
    write(watched.at("conf/a/b/c/r.yaml"), "1").unwrap();
    watched.until(|reading| text(reading, "a/b/c/r.yaml") == Some("1")).await;
    write(watched.at("conf/a/b/c/r.yaml"), "2").unwrap();
    watched.until(|reading| text(reading, "a/b/c/r.yaml") == Some("2")).await;
    rename(watched.at("conf/a"), watched.at("conf/z")).unwrap();
    watched.until(|reading| text(reading, "z/b/c/r.yaml") == Some("2")).await;
    write(watched.at("conf/z/b/c/r.yaml"), "3").unwrap();
    let (reading, _) = watched.until(|reading| text(reading, "z/b/c/r.yaml") == Some("3")).await;
    assert_eq!(reading.files.len(), 2);
}

#[tokio::test]
async fn a_change_behind_a_link_is_seen() {
    let mut watched = Watched::on_one_file().await;
    create_dir(watched.at("elsewhere")).unwrap();
    write(watched.at("elsewhere/r.yaml"), "1").unwrap();
    symlink(watched.at("elsewhere/r.yaml"), watched.at("conf/link.yaml")).unwrap();
    symlink(watched.dir.path(), watched.at("conf/loop")).unwrap();
    watched.until(|reading| text(reading, "link.yaml") == Some("1")).await;
    write(watched.at("elsewhere/r.yaml"), "2").unwrap();
    let (reading, _) = watched.until(|reading| text(reading, "link.yaml") == Some("2")).await;
    assert_eq!(text(&reading, "loop/elsewhere/r.yaml"), Some("2"));
    assert_eq!(reading.files.len(), 3, "{:?}", reading.files);
}

#[tokio::test]
async fn a_bad_file_does_not_stop_the_good_one() {
    let mut watched = Watched::on_one_file().await;
    let before = watched.readings.borrow().clone().unwrap().unwrap();
    write(watched.at("conf/bad.yaml"), b"\xff").unwrap();
    let (reading, _) = watched.until(|reading| reading.errors.contains_key("bad.yaml")).await;
    assert!(Arc::ptr_eq(&before.files["r.yaml"], &reading.files["r.yaml"]));
    write(watched.at("conf/r.yaml"), "2").unwrap();
    watched.until(|reading| text(reading, "r.yaml") == Some("2")).await;
}

#[tokio::test]
async fn a_burst_of_events_is_few_readings() {
    let mut watched = Watched::on_one_file().await;
    let conf = watched.at("conf");
    let writer = std::thread::spawn(move || {
        for round in 0..100 {
            for file in 0..100 {
                write(conf.join(format!("{file}.yaml")), format!("{round}")).unwrap();
            }
        }
    });
    let (_, count) =
        watched.until(|reading| (0..100).all(|file| text(reading, &format!("{file}.yaml")) == Some("99"))).await;
    writer.join().unwrap();
    assert!(count < 100, "{count} readings for 10,000 writes");
}

#[tokio::test]
async fn without_events_files_are_read_at_intervals() {
    let dir = TempDir::new().unwrap();
    let settings = Settings { reread_every: Duration::from_millis(10), events: false };
    let mut watched = Watched::start(dir, settings);
    create_dir(watched.at("conf")).unwrap();
    for content in ["1", "2"] {
        write(watched.at("conf/r.yaml"), content).unwrap();
        watched.until(|reading| text(reading, "r.yaml") == Some(content)).await;
    }
    watched.stop().await;
}

#[tokio::test]
async fn a_reload_reads_at_once() {
    let dir = TempDir::new().unwrap();
    create_dir(dir.path().join("conf")).unwrap();
    let mut watched = Watched::start(dir, Settings { reread_every: NEVER, events: false });
    let (reading, _) = watched.until(|_| true).await;
    assert_eq!(*reading, Reading::default(), "an empty directory is a reading");
    write(watched.at("conf/r.yaml"), "1").unwrap();
    watched.reload.notify_one();
    watched.until(|reading| text(reading, "r.yaml") == Some("1")).await;
}

#[tokio::test]
async fn a_single_file_is_followed() {
    let dir = TempDir::new().unwrap();
    write(dir.path().join("conf"), "1").unwrap();
    let mut watched = Watched::start(dir, Settings { reread_every: NEVER, events: true });
    watched.until(|reading| text(reading, "conf") == Some("1")).await;
    for content in ["2", "3"] {
        save_by_rename(&watched.at("conf"), content);
        watched.until(|reading| text(reading, "conf") == Some(content)).await;
    }
}

#[tokio::test]
async fn what_keeps_moving_does_not_hold_up_the_rest() {
    let mut watched = Watched::on_one_file().await;
    let moving = File::create(watched.at("conf/moving.yaml")).unwrap();
    let (stop, stopped) = std::sync::mpsc::sync_channel::<()>(0);
    let writer = std::thread::spawn(move || {
        for round in (0_u64..).take_while(|_| stopped.try_recv() == Err(TryRecvError::Empty)) {
            moving.write_all_at(format!("{round:020}").as_bytes(), 0).unwrap();
        }
        moving.write_all_at(b"the last of the rounds", 0).unwrap();
    });
    write(watched.at("conf/r.yaml"), "2").unwrap();
    watched.until(|reading| text(reading, "r.yaml") == Some("2")).await;
    drop(stop);
    writer.join().unwrap();
    watched.until(|reading| text(reading, "moving.yaml") == Some("the last of the rounds")).await;
}
