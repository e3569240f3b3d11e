//! `serin analyze`: recorded counts, judged as a rollout would have judged them.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::Outcome;
use super::output::{Format, Report, write_document};
use crate::analysis::{self, CountsFile, State};

/// A file of more bytes is no file of counts.
const MAX_BYTES: u64 = 64 << 20;

const EXAMPLES: &str = "\
The file is YAML or JSON: the tests, as in an AnalysisTemplate, and what each node measured in each interval. Buckets \
are latencies, [upper edge in ms, how many requests were at most that slow]; only the latency test needs them:

  tests:
    error-rate: {type: errorRatio, alpha: 0.01, allowedIncrease: 1.25}
    latency: {type: latency, quantiles: [0.5, 0.99], slo: 250ms}
  before: {requests: 19000, buckets: [[25, 9500], [250, 18900]]}
  strata:
  - node: edge-1
    interval: 0
    canary: {requests: 5000, errors: 20, buckets: [[25, 2500], [250, 4900]]}
    stable: {requests: 95000, errors: 95, buckets: [[25, 47500], [250, 94500]]}

Never add up intervals or nodes beforehand: where weight and error rate both change, the sums tell of a difference that \
is not there.

Exit codes: 0 all tests passed, 1 one failed, 2 the file cannot be read, 3 inconclusive.

Examples:
  serin analyze --counts counts.yaml
  serin analyze --counts counts.yaml -o json | jq '.tests[].forecast'
  recorder | serin analyze --counts -";

/// What to judge.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AnalyzeArgs {
    /// The counts; - reads them from standard input
    #[arg(long, value_name = "FILE")]
    counts: PathBuf,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t)]
    output: Report,
}

/// Prints the verdict of each test to `out`.
pub(super) fn run(args: &AnalyzeArgs, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let file = args.counts.display();
    let text = args.read().with_context(|| format!("--counts: {file} cannot be read"))?;
    let counts = CountsFile::read(&text).map_err(|error| anyhow!("--counts: {file} is no file of counts: {error}"))?;
    let judgement = analysis::judge(&counts);
    match args.output {
        Report::Json => write_document(out, &judgement, Format::Json)?,
        Report::Text => write!(out, "{judgement}")?,
    }
    Ok(match judgement.state {
        State::Passed => Outcome::Positive,
        State::Failed => Outcome::Negative,
        State::Open => Outcome::Undecided,
    })
}

impl AnalyzeArgs {
    fn read(&self) -> anyhow::Result<String> {
        let source: Box<dyn Read> = if self.counts.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(std::fs::File::open(&self.counts)?)
        };
        let mut text = String::new();
        source.take(MAX_BYTES + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_BYTES {
            bail!("it has more than {} MiB", MAX_BYTES >> 20);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;

    use crate::cli::tests::{Ran, directory, run};

    fn analyzed(canary: &str, flags: &[&str]) -> Ran {
        let test = "tests: {error-rate: {type: errorRatio, allowedIncrease: 1}}";
        let strata =
            format!("strata: [{{node: a, interval: 7, canary: {canary}, stable: {{requests: 95000, errors: 95}}}}]");
        let (_directory, file) = directory(&format!("{test}\n{strata}\n"));
        run(&[&["analyze", "--counts", &file], flags].concat())
    }

    #[test]
    fn a_verdict_is_an_exit_code() {
        for (canary, code, word) in [
            ("{requests: 5000, errors: 20}", 1, "Failed"),
            ("{requests: 60000, errors: 50}", 0, "Successful"),
            ("{requests: 500, errors: 0}", 3, "Inconclusive"),
        ] {
            let ran = analyzed(canary, &[]);
            assert_eq!((ran.code, ran.err.as_str()), (ExitCode::from(code), ""), "{}", ran.out);
            assert!(ran.out.starts_with(&format!("error-rate: {word}: ")), "{}", ran.out);
        }
    }

    #[test]
    fn the_figures() {
        let ran = analyzed("{requests: 5000, errors: 20}", &[]);
        assert!(ran.out.contains("17,424 : 1") && ran.out.contains("after interval 7"), "{}", ran.out);
        let ran = analyzed("{requests: 5000, errors: 20}", &["-o", "json"]);
        let document: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let test = &document["tests"]["error-rate"];
        let evidence = test["lnEvidence"].as_f64().unwrap();
        assert!((evidence - 9.765_591_477_084_08).abs() < 1e-8, "{evidence}");
        assert_eq!((&test["failedAt"], ran.code), (&7.into(), ExitCode::from(1)));
    }

    #[test]
    fn what_is_no_file_of_counts() {
        let ran = analyzed("{requests: 5, errors: 20}", &[]);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.lines().count()), (ExitCode::from(2), "", 1), "{}", ran.err);
        assert!(ran.err.contains("a.yaml is no file of counts: ") && ran.err.contains("20 errors of 5"), "{}", ran.err);
        let ran = run(&["analyze", "--counts", "/nowhere"]);
        assert_eq!((ran.code, ran.out.as_str()), (ExitCode::from(2), ""));
        assert!(ran.err.starts_with("serin: error: --counts: /nowhere cannot be read: "), "{}", ran.err);
    }
}
