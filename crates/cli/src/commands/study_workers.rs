//! `kiln study work`, `submit`, `status` and `cancel`, and the hidden `kiln worker`: a study in many processes.
//!
//! Workers share the study's folder and need no server. `kiln study` itself starts one `kiln worker` process per training at
//! a time; `work` does the same for a study that another process began, and `submit` lets a scheduler start `work`.

use std::fs;
use std::io::stdin;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;
use std::sync::mpsc::channel;
use std::{env, thread};

use clap::{Args, ValueEnum, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use kiln::{StopSignal, environment};
use kiln_study::{
    Message, Plan, PlanRequest, Study, StudyStatus, Submission, TrainRequest, Worker, WorkerDone, WorkerEnd,
    Workers,
};

use super::{RootArgument, keys};
use crate::experiment::FileKind;
use crate::failure::{Failure, stop_on_signals, stopped_by, unwritable};
use crate::output::{log_to, print, print_json, quoted, say, table};
use crate::view::{StudyUi, study_view};

/// How this process works on a study.
#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    /// The number of concurrent trials, each with one thread. Default: one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,
    /// What to show on stderr while training. The default on a terminal is bars.
    #[arg(long, value_enum)]
    pub(super) ui: Option<StudyUi>,
}

#[derive(Debug, Args)]
pub(crate) struct WorkArguments {
    /// The study: its folder, or its name.
    #[arg(value_hint = ValueHint::DirPath)]
    study: PathBuf,
    #[command(flatten)]
    worker: WorkerArguments,
    #[command(flatten)]
    root: RootArgument,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArguments {
    /// A study file.
    #[arg(value_hint = ValueHint::FilePath)]
    file: String,
    /// Overrides, as for `kiln study`.
    #[arg(value_name = "KEY=VALUE", add = ArgValueCompleter::new(keys))]
    overrides: Vec<String>,
    /// The scheduler.
    #[arg(long, value_enum)]
    engine: EngineArgument,
    /// The number of worker processes.
    #[arg(long, value_name = "N", default_value = "1")]
    workers: NonZeroUsize,
    /// The number of concurrent trials in each worker, and of processors that it requests.
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// The time limit of each worker in the format of the scheduler, such as `4:00:00`. A new worker then resumes the work.
    #[arg(long, value_name = "T")]
    time: Option<String>,
    /// The partition (Slurm).
    #[arg(long, value_name = "P")]
    partition: Option<String>,
    /// The memory of each worker in the format of the scheduler, such as `4G`.
    #[arg(long, value_name = "M")]
    memory: Option<String>,
    /// How many seconds before the time limit a worker saves its trials and ends (Slurm).
    #[arg(long, value_name = "SECONDS", default_value_t = 90)]
    notice: u32,
    /// The container image with the `kiln` program (Kubernetes).
    #[arg(long, value_name = "IMAGE", default_value = "kiln")]
    image: String,
    /// The volume claim that holds the artifacts (Kubernetes).
    #[arg(long, value_name = "CLAIM", default_value = "artifacts")]
    claim: String,
    /// An additional option for the scheduler, such as `--option=--account=physics`. May be repeated.
    #[arg(long, value_name = "OPTION")]
    option: Vec<String>,
    #[command(flatten)]
    root: RootArgument,
    /// Print the submission without submitting it.
    #[arg(long)]
    dry_run: bool,
}

/// A scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineArgument {
    /// An `sbatch` job array.
    Slurm,
    /// A manifest of an Indexed Job for `kubectl apply`.
    Kubernetes,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// The study: its folder, or its name.
    #[arg(value_hint = ValueHint::DirPath)]
    study: PathBuf,
    #[command(flatten)]
    root: RootArgument,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArguments {
    /// The study: its folder, or its name.
    #[arg(value_hint = ValueHint::DirPath)]
    study: PathBuf,
    #[command(flatten)]
    root: RootArgument,
}

/// The plan of a study file with the overrides of the command line.
pub(super) fn plan(file: &str, overrides: &[String]) -> Result<Plan, Failure> {
    let path = PathBuf::from(file);
    match FileKind::of(&path) {
        None if FileKind::is_experiment(&path) => {
            let path = path.display();
            return Err(Failure::usage(format!(
                "{path} is an experiment file, not a study; train it with `kiln train {path}`"
            )));
        }
        None | Some(FileKind::Study) => {}
        Some(kind) => return Err(Failure::usage(kind.advice(&path))),
    }
    Ok(Plan::read(&PlanRequest { path, environment: environment(), overrides: overrides.to_vec() })?)
}

/// The command that starts this program as a worker.
pub(super) fn worker() -> Result<Worker, Failure> {
    let program = env::current_exe().map_err(|error| {
        Failure::failed(format!("cannot find the path of this program to start workers: {error}"))
    })?;
    Ok(Worker { program, arguments: vec!["worker".to_owned()] })
}

/// The study with this folder, or with this name in the artifacts folder.
pub(super) fn open_study(named: &Path, artifacts: &Path) -> Result<Study, Failure> {
    let below: PathBuf = artifacts.join("studies").join(named);
    let folder = if named.is_dir() { named } else { &below };
    if !folder.is_dir() {
        let (named, place) = (named.display(), artifacts.join("studies"));
        return Err(Failure::failed(format!(
            "there is no study {named} in {}; start one with `kiln study FILE`",
            place.display()
        )));
    }
    Ok(Study::open(folder)?)
}

/// Works on a study that was started before, until it is finished or a signal stops this process.
pub(super) fn work(arguments: &WorkArguments) -> Result<(), Failure> {
    let study = open_study(&arguments.study, &arguments.root.artifacts)?;
    let stop = StopSignal::default();
    stop_on_signals(&stop);
    let mut view = study_view(arguments.worker.ui);
    let jobs = arguments.worker.jobs.map(usize::from);
    let end = study.work(jobs, &worker()?, &|| stop.is_requested(), view.as_mut())?;
    drop(view);
    let folder = study.folder().display().to_string();
    match end {
        WorkerDone::Finished => {
            print(&folder);
            Ok(())
        }
        WorkerDone::Cancelled => {
            Err(Failure::failed(format!("{folder} was cancelled; its trials are saved")))
        }
        WorkerDone::Stopped => {
            let by = stopped_by().map_or_else(String::new, |by| format!(" by {by}"));
            Err(Failure::interrupted(format!(
                "stopped{by}; all progress is saved: resume with `kiln study work {}`",
                quoted(&folder)
            )))
        }
    }
}

/// The name of Slurm in stored submissions, and of its folder.
const SLURM: &str = "slurm";

/// Submits a study to a scheduler, or prints the submission.
pub(super) fn submit(arguments: &SubmitArguments) -> Result<(), Failure> {
    let study = Study::new(plan(&arguments.file, &arguments.overrides)?, &arguments.root.artifacts);
    let workers = scheduled_workers(arguments, &study)?;
    match arguments.engine {
        EngineArgument::Kubernetes => {
            if !arguments.dry_run {
                study.begin()?;
                say("the study is ready; pipe this manifest to `kubectl apply -f -`");
            }
            print(&workers.kubernetes_manifest());
            Ok(())
        }
        EngineArgument::Slurm if arguments.dry_run => {
            for array in workers.slurm_arrays() {
                print(&format!("# sbatch --array={array}"));
            }
            print(workers.slurm_script().trim_end());
            Ok(())
        }
        EngineArgument::Slurm => to_slurm(&study, &workers),
    }
}

fn scheduled_workers(arguments: &SubmitArguments, study: &Study) -> Result<Workers, Failure> {
    let program = env::current_exe()
        .map_err(|error| Failure::failed(format!("cannot find the path of this program: {error}")))?;
    Ok(Workers {
        program,
        study: absolute_path(study.folder())?,
        name: study.plan().name.clone(),
        count: arguments.workers.get(),
        jobs: arguments.jobs.get(),
        time: arguments.time.clone(),
        memory: arguments.memory.clone(),
        partition: arguments.partition.clone(),
        notice: arguments.notice,
        image: arguments.image.clone(),
        claim: arguments.claim.clone(),
        options: arguments.option.clone(),
    })
}

fn absolute_path(path: &Path) -> Result<PathBuf, Failure> {
    absolute(path).map_err(|error| Failure::failed(format!("cannot find the working directory: {error}")))
}

fn to_slurm(study: &Study, workers: &Workers) -> Result<(), Failure> {
    study.begin()?;
    let folder = workers.study.join(SLURM);
    fs::create_dir_all(&folder).map_err(|cause| unwritable(&folder, &cause))?;
    let script = folder.join("worker.sh");
    fs::write(&script, workers.slurm_script()).map_err(|cause| unwritable(&script, &cause))?;
    for array in workers.slurm_arrays() {
        let mut sbatch = Command::new("sbatch");
        sbatch.args(["--parsable", &format!("--array={array}")]).arg(&script);
        let answer = scheduler_output(&mut sbatch, "sbatch")?;
        // `job` or `job;cluster`
        let job = answer.trim().split(';').next().unwrap_or_default().to_owned();
        study.note_submission(Submission { engine: SLURM.to_owned(), job: job.clone() })?;
        print(&job);
    }
    let shown = study.folder().display();
    say(&format!("{} workers; see their progress with `kiln study status {shown}`", workers.count));
    Ok(())
}

/// Runs a program of the scheduler. Returns its output.
fn scheduler_output(command: &mut Command, name: &str) -> Result<String, Failure> {
    let output = command.output().map_err(|error| {
        Failure::failed(format!(
            "cannot run {name}: {error}; run this command on a host from which Slurm jobs can be submitted"
        ))
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(Failure::failed(format!("{name}: {}", errors.trim().trim_start_matches(&format!("{name}: ")))))
}

/// Prints the progress of a study.
pub(super) fn status(arguments: &StatusArguments) -> Result<(), Failure> {
    let study = open_study(&arguments.study, &arguments.root.artifacts)?;
    let status = study.status()?;
    if arguments.json {
        print_json(&status);
    } else {
        print(&status_text(&status));
    }
    Ok(())
}

/// The progress of a study as text.
pub(super) fn status_text(status: &StudyStatus) -> String {
    let StudyStatus { study, stage, tasks, done, failed, running, best, .. } = status;
    let state = match (status.is_finished, status.is_cancelled) {
        (true, _) => "finished".to_owned(),
        (false, true) => "cancelled".to_owned(),
        (false, false) => stage.clone().unwrap_or_else(|| "open".to_owned()),
    };
    let mut text = format!("{study}: {state}, {done} of {tasks} trainings done");
    if *failed > 0 {
        text += &format!(", {failed} of them failed");
    }
    if let Some(best) = best {
        text += &format!("\nbest so far: {} with {:.4} after {} epochs", best.name, best.figure, best.epochs);
    }
    for submission in &status.jobs {
        text += &format!("\n{} job {}", submission.engine, submission.job);
    }
    if !running.is_empty() {
        let head = ["training", "epoch", "host", "process"].map(str::to_owned).to_vec();
        let rows = running.iter().map(|task| {
            let epochs = format!("{}/{}", task.epoch.min(task.epochs), task.epochs);
            vec![task.name.clone(), epochs, task.host.clone(), task.process.to_string()]
        });
        text += &format!("\n\n{}", table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()));
    }
    text
}

/// Stops all workers of a study and cancels its jobs in the scheduler.
pub(super) fn cancel(arguments: &CancelArguments) -> Result<(), Failure> {
    let study = open_study(&arguments.study, &arguments.root.artifacts)?;
    study.cancel()?;
    for submission in study.submissions()?.iter().filter(|submission| submission.engine == SLURM) {
        // Not an error: the job may have ended, and without Slurm on this host the workers still stop, by their folder.
        if let Err(failure) = scheduler_output(Command::new("scancel").arg(&submission.job), "scancel") {
            say(&format!("job {}: {}", submission.job, failure.message()));
        }
    }
    study.forget_submissions()?;
    say(&format!(
        "cancelled: every worker of {} saves its trials and ends; resume with `kiln study` or `kiln study submit`",
        study.folder().display()
    ));
    Ok(())
}

/// The worker process of a study: trains one request after another from standard input, and reports in JSON lines on stderr.
/// The study's process holds the other end of the input; when that end closes, this process stops.
pub(crate) fn run_worker_process() -> Result<(), Failure> {
    let stop = StopSignal::default();
    // A scheduler signals this process and also the study's process, which then asks this one to stop: count both as one request.
    stop_on_signals(&stop);
    let (sender, requests) = channel();
    let at_end = stop.clone();
    thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
        let _ = at_end.request();
    });
    for line in requests {
        let request = TrainRequest::read(&line).map_err(Failure::usage)?;
        let open_log = |run: &kiln::Run| {
            // The log is best-effort: without it, the worker trains as well.
            let _ = log_to(run);
        };
        let last = request.run(&stop, open_log, tell);
        tell(&last);
        if matches!(last, Message::Ended(WorkerEnd::Stopped)) {
            return Err(Failure::interrupted(""));
        }
    }
    Ok(())
}

fn tell(message: &Message) {
    say(&serde_json::to_string(message).expect("a message is plain data"));
}
