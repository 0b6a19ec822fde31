//! Measures the time and memory of an evaluation: `synthetic_speed [EXAMPLES [CLASSES [FOLDER]]]`.
//!
//! The program makes the predictions of a mediocre model: an accuracy of about 80 %, and almost no equal probabilities, which
//! is the slowest case. It evaluates them, writes all files, plots and the report of a run, and reads the predictions again.
//! The run is temporary unless FOLDER is given.

use std::error::Error;
use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

use kiln_artifacts::{Run, RunInputs, RunStatus};
use kiln_config::Experiment;
use kiln_config::random::{Purpose, Stream};
use kiln_evaluation::{EvaluationSettings, PREDICTIONS_FILE, Predictions, write_evaluation, write_report};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let examples = arguments.next().map_or(Ok(10_000), |argument| argument.parse())?;
    let classes = arguments.next().map_or(Ok(10), |argument| argument.parse())?;
    let predictions = synthetic(examples, classes)?;
    let temporary = tempfile::tempdir()?;
    let folder = arguments.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let inputs = RunInputs { resolved_toml: "", input_toml: "", overrides: &[], start: None };
    let run = Run::create(&folder, "speed", &inputs)?;

    let start = Instant::now();
    let evaluation = write_evaluation(&run, "test", &predictions, &EvaluationSettings::default())?;
    let written = start.elapsed();
    let start = Instant::now();
    run.write_status(&RunStatus::running(0, 0))?;
    write_report(&run, "test", &Experiment::default(), &evaluation, None)?;
    let reported = start.elapsed();
    let start = Instant::now();
    let read = Predictions::read(&run.evaluation("test").join(PREDICTIONS_FILE))?;
    let read_back = start.elapsed();

    let metrics = &evaluation.metrics;
    let mut out = stdout();
    writeln!(out, "{examples} examples of {classes} classes, {} read back", read.len())?;
    writeln!(out, "accuracy {} macro_auc {:?}", metrics.accuracy(), metrics.figure("macro_auc"))?;
    writeln!(out, "intervals {:?}", metrics.intervals)?;
    writeln!(out, "evaluated and written in {written:.2?}, plots and report in {reported:.2?}")?;
    writeln!(out, "read back in {read_back:.2?}")?;
    for entry in fs::read_dir(run.evaluation("test"))? {
        let entry = entry?;
        writeln!(out, "{:>12} bytes {}", entry.metadata()?.len(), entry.file_name().to_string_lossy())?;
    }
    Ok(writeln!(out, "peak memory {}", peak_memory())?)
}

fn synthetic(examples: usize, classes: usize) -> Result<Predictions, Box<dyn Error>> {
    let mut stream = Stream::new(1, Purpose::Sampling, &[]);
    let (mut truth, mut predicted, mut rows, mut loss) = (vec![], vec![], vec![], vec![]);
    for _ in 0..examples {
        let class = stream.below(classes);
        let mut logits: Vec<f64> = (0..classes).map(|_| stream.normal()).collect();
        logits[class] += 2.5;
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        let best =
            (0..classes).fold(0, |best, other| if logits[other] > logits[best] { other } else { best });
        truth.push(class as u32);
        predicted.push(best as u32);
        rows.extend(logits.iter().map(|logit| (logit.exp() / total) as f32));
        loss.push(f64::from((total.ln() - logits[class]) as f32));
    }
    let names = (0..classes).map(|class| class.to_string()).collect();
    Ok(Predictions::new(names, truth, predicted, rows, loss)?)
}

/// The peak memory of this process, as reported by Linux.
fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.map_or_else(|| "unknown".to_owned(), |peak| peak.trim().to_owned())
}
