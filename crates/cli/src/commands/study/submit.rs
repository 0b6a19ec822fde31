//! `kiln study submit`, `status` and `cancel`.

use std::fs;
use std::path::{Path, PathBuf, absolute};
use std::process::Command;

use kiln_study::{Study, StudyStatus, Submission, Workers};

use super::{plan, work};
use crate::arguments::{Cancel, EngineArgument, Status, Submit};
use crate::failure::Failure;
use crate::output::{print, print_json, say, table, unwritable};

/// What a submission to Slurm is called where it is noted.
const SLURM: &str = "slurm";

/// Gives a study to a scheduler, or prints what would be given.
pub(super) fn submit(arguments: &Submit) -> Result<(), Failure> {
    let study = Study::new(plan(&arguments.file, &arguments.overrides)?, &arguments.root.artifacts);
    let workers = workers(arguments, &study)?;
    match arguments.engine {
        EngineArgument::Kubernetes => {
            if !arguments.dry_run {
                study.begin()?;
                say("the study is begun; give the manifest to `kubectl apply -f -`");
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

fn workers(arguments: &Submit, study: &Study) -> Result<Workers, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("cannot find the program itself: {error}")))?;
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
    absolute(path).map_err(|error| Failure::failed(format!("there is no working directory: {error}")))
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
        let answer = answered(&mut sbatch, "sbatch")?;
        // `job` or `job;cluster`
        let job = answer.trim().split(';').next().unwrap_or_default().to_owned();
        study.note_submission(Submission { engine: SLURM.to_owned(), job: job.clone() })?;
        print(&job);
    }
    let shown = study.folder().display();
    say(&format!("{} workers; `kiln study status {shown}` says how far they are", workers.count));
    Ok(())
}

/// What a program of the scheduler prints.
fn answered(command: &mut Command, name: &str) -> Result<String, Failure> {
    let output = command.output().map_err(|error| {
        Failure::failed(format!(
            "cannot run {name}: {error}; it comes with Slurm, on the hosts that may submit jobs"
        ))
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::failed(format!("{name}: {}", said.trim().trim_start_matches(&format!("{name}: ")))))
}

/// Says how far a study is.
pub(super) fn status(arguments: &Status) -> Result<(), Failure> {
    let study = work::open(&arguments.study, &arguments.root.artifacts)?;
    let status = study.status()?;
    if arguments.json {
        print_json(&status);
    } else {
        print(&in_words(&status));
    }
    Ok(())
}

/// How far a study is, for people.
pub(crate) fn in_words(status: &StudyStatus) -> String {
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

/// Stops all workers of a study, and takes its jobs out of the scheduler.
pub(super) fn cancel(arguments: &Cancel) -> Result<(), Failure> {
    let study = work::open(&arguments.study, &arguments.root.artifacts)?;
    study.cancel()?;
    for submission in study.submissions()?.iter().filter(|submission| submission.engine == SLURM) {
        // Jobs that have ended are no mistake, and a host without Slurm still stops the workers by their folder.
        if let Err(failure) = answered(Command::new("scancel").arg(&submission.job), "scancel") {
            say(&format!("job {}: {}", submission.job, failure.message()));
        }
    }
    study.forget_submissions()?;
    say(&format!(
        "cancelled: every worker of {} saves its trials and ends; `kiln study` or `kiln study submit` goes on",
        study.folder().display()
    ));
    Ok(())
}
