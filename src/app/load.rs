//! A reading of the files to the documents in force, and to what people are told of them.
//!
//! What is in force is decided by [`spec::admit`]; here it is remembered between readings, and each mistake is logged
//! once, when it is new. Owned by the one task that loads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::{error, info, warn};

use crate::admin::{Mistake, Report};
use crate::source::{Reading, RootError};
use crate::spec::{self, Admission, Admitted, Diagnostic, Files, Options, Severity, SpecSet};

/// What is known of the files.
pub(super) struct Loader {
    options: Options,
    admitted: Admitted,
    /// What the last report said, so that only what is new is logged.
    told: Told,
    report: Report,
    /// What was in force last, and how many rollouts and resources that are.
    counted: (SpecSet, usize, usize),
}

#[derive(Default, PartialEq)]
struct Told {
    mistakes: BTreeSet<Diagnostic>,
    waiting: Option<String>,
}

/// What a reading led to.
pub(super) struct Loaded {
    /// The documents in force; `None` as long as there are none.
    pub(super) spec: Option<Arc<SpecSet>>,
    /// For people.
    pub(super) report: Report,
}

impl Loader {
    /// `last_good` is what was in force when the process last ended.
    pub(super) fn new(last_good: &Files, options: Options) -> Self {
        let admitted = Admitted::restore(last_good, &options).unwrap_or_else(|mistakes| {
            warn!("the files in force at the last end are not good any more; they are forgotten");
            for mistake in mistakes {
                warn!("{mistake}");
            }
            Admitted::default()
        });
        let report = Report { waiting: Some("the files have not been read yet".to_owned()), ..Report::default() };
        Self { options, admitted, told: Told::default(), report, counted: Default::default() }
    }

    /// The documents of `files`, if they are good as a whole.
    pub(super) fn restored(&self, files: &Files) -> SpecSet {
        self.admitted.restore_beside(files, &self.options).map(|admitted| admitted.spec_set()).unwrap_or_default()
    }

    /// The documents in force.
    pub(super) fn spec(&self) -> SpecSet {
        self.admitted.spec_set()
    }

    /// The texts in force; to be remembered.
    pub(super) fn texts(&self) -> Files {
        self.admitted.texts()
    }

    /// How the files stand.
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// Takes in that the directory cannot be read: nothing changes but what people are told.
    pub(super) fn miss(&mut self, error: &RootError) -> Loaded {
        if let Some(waiting) = &mut self.report.waiting {
            *waiting = format!("nothing is served yet: {error}");
        }
        self.report.unreadable = Some(error.to_string());
        Loaded { spec: None, report: self.report.clone() }
    }

    /// Takes one reading, which was had at `at`, RFC 3339.
    pub(super) fn take(&mut self, reading: &Reading, at: String) -> Loaded {
        let unreadable: BTreeMap<_, _> =
            reading.errors.iter().map(|(path, error)| (Arc::clone(path), error.to_string())).collect();
        let (held, diagnostics) = match spec::admit(&self.admitted, &reading.files, &unreadable, &self.options) {
            Admission::Ready { admitted, held_back, diagnostics } => {
                self.admitted = admitted;
                (held_back, diagnostics)
            }
            Admission::NotReady { diagnostics } => (BTreeSet::new(), diagnostics),
        };
        let told = Told {
            waiting: self.admitted.is_empty().then(|| waiting(&diagnostics)),
            mistakes: diagnostics.into_iter().collect(),
        };
        self.tell(&told);
        self.told = told;
        let spec = (!self.admitted.is_empty()).then(|| Arc::new(self.admitted.spec_set()));
        if let Some(spec) = &spec {
            let (rollouts, resources) = self.count(spec);
            info!(files = spec.files.len(), rollouts, resources, "configuration loaded");
        }
        if !held.is_empty() {
            let files = held.iter().map(|path| &**path).collect::<Vec<_>>().join(", ");
            warn!(files, "held back, going on with what was good last");
        }
        self.report = Report {
            loaded: Some(at),
            unreadable: None,
            waiting: self.told.waiting.clone(),
            held: held.iter().map(ToString::to_string).collect(),
            mistakes: self.told.mistakes.iter().map(mistake).collect(),
        };
        Loaded { spec, report: self.report.clone() }
    }

    /// How many rollouts and resources there are; what has not changed is not counted again.
    fn count(&mut self, spec: &SpecSet) -> (usize, usize) {
        let (before, rollouts, resources) = &mut self.counted;
        for change in spec.changes_from(before) {
            let [was, is] =
                [change.was, change.is].map(|file| file.map_or((0, 0), |f| (f.rollouts.len(), f.resources.len())));
            (*rollouts, *resources) = (*rollouts + is.0 - was.0, *resources + is.1 - was.1);
        }
        *before = spec.clone();
        (*rollouts, *resources)
    }

    /// Logs what was not told before.
    fn tell(&self, now: &Told) {
        for new in now.mistakes.difference(&self.told.mistakes) {
            match new.severity {
                Severity::Error => error!("{new}"),
                Severity::Warning => warn!("{new}"),
            }
        }
        if let Some(words) = now.waiting.as_ref().filter(|_| now.waiting != self.told.waiting) {
            warn!("{words}");
        }
        if now.mistakes.is_empty() && !self.told.mistakes.is_empty() {
            info!("all files are in order again");
        }
    }
}

/// Why nothing is in force.
fn waiting(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let files: BTreeSet<&str> = errors.map(|diagnostic| &*diagnostic.file).collect();
    if files.is_empty() {
        return "nothing is served yet: there is no rollout and no resource in the directory".to_owned();
    }
    let files = files.into_iter().collect::<Vec<_>>().join(", ");
    format!("nothing is served before all files are in order for the first time; these are not: {files}")
}

/// A diagnostic as the API and `serin check -o json` write it.
#[must_use]
pub fn mistake(diagnostic: &Diagnostic) -> Mistake {
    let Diagnostic { file, line, column, severity, message, found, help } = diagnostic.clone();
    let severity = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    Mistake { file: file.to_string(), line, column, severity: severity.to_owned(), message, found, help }
}
