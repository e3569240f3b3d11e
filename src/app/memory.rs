//! What is remembered of rollouts: their records and their journal.
//!
//! What cannot be written is kept and tried again; the newest record of a rollout takes the place of an older one that
//! waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::reconcile::Found;
use crate::rollout::{Entry, Record};
use crate::store::{Journal, Loaded, Records, Save, StateDir, StoreError};

/// Both, with what waits to be written.
pub(super) struct Memory(Option<Box<Stores>>);

struct Stores {
    records: Records,
    journal: Journal,
    /// Of the record on disk, by rollout.
    revisions: BTreeMap<String, u64>,
    unwritten: BTreeMap<String, Record>,
    lines: Vec<Entry>,
    /// Whether the last attempt failed.
    failing: bool,
}

impl Memory {
    /// Opens both, and what was found there of each rollout.
    pub(super) fn open(state: &StateDir) -> anyhow::Result<(Self, BTreeMap<Arc<str>, Found>)> {
        let records = state.records();
        let (journal, torn) = state.open_journal()?;
        if let Some(torn) = torn {
            warn!("{torn}");
        }
        let loaded = records.load_all()?;
        let revisions = loaded.iter().map(|(name, loaded)| (name.clone(), loaded.revision)).collect();
        let mut found = BTreeMap::new();
        for (name, loaded) in loaded {
            found.insert(Arc::from(name.as_str()), judge(&name, loaded, &journal)?);
        }
        let (unwritten, lines) = (BTreeMap::new(), Vec::new());
        let stores = Stores { records, journal, revisions, unwritten, lines, failing: false };
        Ok((Self(Some(Box::new(stores))), found))
    }

    /// Writes `entries` and then `records`, and what could not be written before. Whether all is on disk.
    pub(super) async fn write(&mut self, entries: Vec<Entry>, records: Vec<Record>) -> bool {
        for Entry { rollout, from, to, actor, why, .. } in &entries {
            info!(rollout = &**rollout, %from, %to, %actor, why, "rollout moved");
        }
        self.with(move |stores| {
            stores.lines.extend(entries);
            stores.unwritten.extend(records.into_iter().map(|record| (record.name().to_owned(), record)));
            match stores.write() {
                Ok(()) => stores.failing = false,
                Err(error) if !stores.failing => {
                    stores.failing = true;
                    error!("{error:#}; no rollout goes forward until it can be written");
                }
                Err(_) => {}
            }
            !stores.failing
        })
        .await
        .unwrap_or_default()
    }

    /// The newest entries of a rollout's journal, oldest first.
    pub(super) async fn history(&mut self, rollout: Arc<str>, limit: usize) -> Result<Vec<Entry>, String> {
        let read = self.with(move |stores| {
            read(&stores.journal, &rollout, limit).map_err(|error| format!("{:#}", anyhow::Error::from(error)))
        });
        read.await.unwrap_or_else(|| Err("the server is shutting down".to_owned()))
    }

    /// Off the async threads. `None` if that panicked before.
    async fn with<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Stores) -> T + Send + 'static) -> Option<T> {
        let mut stores = self.0.take()?;
        let (stores, done) = spawn_blocking(move || {
            let done = work(&mut stores);
            (stores, done)
        })
        .await
        .ok()?;
        self.0 = Some(stores);
        Some(done)
    }
}

impl Stores {
    fn write(&mut self) -> anyhow::Result<()> {
        let lines: Vec<Value> = self.lines.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
        self.journal.append(&lines)?;
        self.lines.clear();
        let save = |(rollout, record): (&String, &Record)| {
            let expected = self.revisions.get(rollout).copied().unwrap_or_default();
            anyhow::Ok(Save { rollout: rollout.clone(), expected, record: serde_json::to_value(record)? })
        };
        let saves = self.unwritten.iter().map(save).collect::<Result<Vec<_>, _>>()?;
        let outcome = self.records.save_all(&saves);
        for Save { rollout, expected, .. } in saves {
            let revision = if outcome.is_ok() { expected + 1 } else { self.records.load(&rollout)?.revision };
            self.revisions.insert(rollout, revision);
        }
        outcome?;
        self.unwritten.clear();
        Ok(())
    }
}

fn judge(name: &str, loaded: Loaded, journal: &Journal) -> Result<Found, StoreError> {
    let doubt = (!loaded.damaged.is_empty()).then(|| {
        let damage: Vec<_> = loaded.damaged.iter().map(ToString::to_string).collect();
        damage.join("; ")
    });
    if let Some(doubt) = &doubt {
        warn!(rollout = name, "{doubt}");
    }
    match loaded.record.map(serde_json::from_value::<Record>) {
        Some(Ok(record)) => match record.check() {
            Ok(()) => {
                // The whole journal is read for it, so only where it has something to say.
                let Some(doubt) = doubt else { return Ok(Found::Record(Box::new(record), None)) };
                match read(journal, name, 1)?.pop() {
                    // The version before the damaged one. Where the journal knows of another split since, that one was
                    // served.
                    Some(last) if last.to.weights != record.traffic().split => {
                        Ok(Found::Lost(doubt, Some(Box::new(last))))
                    }
                    _ => Ok(Found::Record(Box::new(record), Some(doubt))),
                }
            }
            Err(error) => lost(name, error.to_string(), journal),
        },
        Some(Err(error)) => lost(name, format!("its record cannot be read: {error}"), journal),
        None => lost(name, doubt.unwrap_or_else(|| "its record is gone".to_owned()), journal),
    }
}

fn lost(name: &str, why: String, journal: &Journal) -> Result<Found, StoreError> {
    let last = read(journal, name, 1)?.pop();
    Ok(Found::Lost(why, last.map(Box::new)))
}

/// The newest entries of a rollout, oldest first. One that was written twice, because a crash came before its record was,
/// counts as it was written last; one of another release is passed over.
fn read(journal: &Journal, rollout: &str, limit: usize) -> Result<Vec<Entry>, StoreError> {
    let mut entries: Vec<Entry> = Vec::new();
    for entry in journal.tail(Some(rollout), limit)?.into_iter().filter_map(|value| serde_json::from_value(value).ok())
    {
        let entry: Entry = entry;
        while entries.last().is_some_and(|before| before.sequence >= entry.sequence) {
            entries.pop();
        }
        entries.push(entry);
    }
    Ok(entries)
}
