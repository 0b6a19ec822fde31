//! Jobs of schedulers that run a study's workers: a Slurm script, and a Kubernetes manifest.
//!
//! The tests do not run the manifest on a cluster; they check its form.

use std::path::PathBuf;

use serde_json::json;

/// Workers for a scheduler to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// The `kiln` program, as every host finds it.
    pub program: PathBuf,
    /// The study's folder, as every host finds it.
    pub study: PathBuf,
    /// The study's name.
    pub name: String,
    /// The number of workers.
    pub count: usize,
    /// Trials that each worker trains at once, and the processors that it requests.
    pub jobs: usize,
    /// Time limit of each, as the scheduler writes it.
    pub time: Option<String>,
    /// Memory of each, as the scheduler writes it.
    pub memory: Option<String>,
    /// Partition (Slurm).
    pub partition: Option<String>,
    /// Seconds before the time limit at which each saves its trials and ends (Slurm).
    pub notice: u32,
    /// Container image (Kubernetes).
    pub image: String,
    /// Volume claim that holds the study's folder (Kubernetes).
    pub claim: String,
    /// More options of the scheduler.
    pub options: Vec<String>,
}

/// The most elements of one array: Slurm's default `MaxArraySize` is 1001.
const LARGEST_ARRAY: usize = 1000;
/// The notice is at most one part in this many of the time limit: a longer one would leave too little time to work.
const LARGEST_PART: u64 = 10;

impl Workers {
    /// The script that `sbatch` runs for each worker.
    ///
    /// A worker exits with 130 after it has saved its trials on request. The script then requeues its job, unless it
    /// was cancelled; after preemption or the loss of a node Slurm does so itself. The script restarts a killed
    /// worker within the job.
    #[must_use]
    pub fn slurm_script(&self) -> String {
        let mut options = vec![
            format!("--job-name=kiln-{}", self.name),
            format!("--output=\"{}\"", self.study.join("slurm").join("%A_%a.log").display()),
            "--open-mode=append".to_owned(),
            "--requeue".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--cpus-per-task={}", self.jobs),
        ];
        options.extend(self.time.as_ref().map(|time| format!("--time={time}")));
        options.extend(self.partition.as_ref().map(|partition| format!("--partition={partition}")));
        options.extend(self.memory.as_ref().map(|memory| format!("--mem={memory}")));
        // A script can requeue its job only while it runs: at the time limit it is too late. `B:` sends the signal to
        // the script; without it, Slurm signals only steps. Slurm may send it up to a minute early.
        let most = self
            .time
            .as_deref()
            .and_then(time_limit_seconds)
            .map_or(u64::MAX, |seconds| seconds / LARGEST_PART);
        options.push(format!("--signal=B:TERM@{}", u64::from(self.notice).min(most.max(1))));
        options.extend(self.options.iter().cloned());
        let options: String = options.iter().map(|option| format!("#SBATCH {option}\n")).collect();
        let (program, study) =
            (quoted(&self.program.display().to_string()), quoted(&self.study.display().to_string()));
        let jobs = self.jobs;
        format!(
            r#"#!/bin/bash
{options}
# A worker of a Kiln study. It takes trials from the study's folder until none is left.
asked=no
stop() {{
    asked=yes
    kill -TERM "$worker" 2>/dev/null
}}
trap stop TERM

code=130
for attempt in 1 2 3 4 5; do
    [ "$asked" = yes ] && break
    {program} study work {study} --jobs {jobs} --ui plain &
    worker=$!
    [ "$asked" = yes ] && stop
    wait "$worker"
    # A signal ends the first wait, not the worker.
    while kill -0 "$worker" 2>/dev/null; do wait "$worker"; done
    wait "$worker"
    code=$?
    [ "$code" -gt 130 ] && [ "$asked" = no ] || break
    echo "the worker was killed (exit code $code): attempt $attempt"
done

if [ "$code" -ge 130 ]; then
    # SLURM_JOB_ID is not enough: for one element it can be the id of the whole array.
    job="${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
    for attempt in 1 2 3; do
        state=$(scontrol show job --oneliner "$job" | grep -o 'JobState=[A-Z]*')
        [ "$state" = JobState=RUNNING ] && scontrol requeue "$job" && break
        [ -z "$state" ] || [ "$state" = JobState=RUNNING ] || break
        sleep 5
    done
fi
exit "$code"
"#
        )
    }

    /// The arrays to submit: the index range of each, in the form of `--array`.
    #[must_use]
    pub fn slurm_arrays(&self) -> Vec<String> {
        let sizes =
            (0..self.count).step_by(LARGEST_ARRAY).map(|start| (self.count - start).min(LARGEST_ARRAY));
        sizes.map(|size| format!("0-{}", size - 1)).collect()
    }
}

/// Seconds of a time limit: `minutes`, `minutes:seconds` or `hours:minutes:seconds`; after `days-` the first number
/// is hours.
fn time_limit_seconds(time: &str) -> Option<u64> {
    let (days, rest) = match time.split_once('-') {
        Some((days, rest)) => (Some(days.parse::<u64>().ok()?), rest),
        None => (None, time),
    };
    let parts: Vec<u64> = rest.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let seconds = match (days, &parts[..]) {
        (None, [minutes]) => minutes * 60,
        (None, [minutes, seconds]) => minutes * 60 + seconds,
        (Some(_), [hours]) => hours * 3600,
        (Some(_), [hours, minutes]) => hours * 3600 + minutes * 60,
        (_, [hours, minutes, seconds]) => hours * 3600 + minutes * 60 + seconds,
        _ => return None,
    };
    Some(days.unwrap_or(0) * 86_400 + seconds)
}

/// `text` as one shell word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Workers {
    /// The manifest of an Indexed Job, as JSON for `kubectl apply -f -`.
    ///
    /// A pod that is evicted, or that its node ends, is replaced without being counted. A pod that exits with 130 has
    /// saved its trials and is replaced. If the study failed or was cancelled, the pod's index ends.
    #[must_use]
    pub fn kubernetes_manifest(&self) -> String {
        let mut limits = serde_json::Map::new();
        limits.insert("cpu".to_owned(), json!(self.jobs.to_string()));
        if let Some(memory) = &self.memory {
            limits.insert("memory".to_owned(), json!(memory));
        }
        let study = self.study.display().to_string();
        let container = json!({
            "name": "worker",
            "image": self.image,
            "command": ["kiln", "study", "work", study, "--jobs", self.jobs.to_string(), "--ui", "plain"],
            "resources": { "requests": limits, "limits": limits },
            "volumeMounts": [{ "name": "artifacts", "mountPath": self.artifacts() }],
        });
        let ignored = json!([
            { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget" }] },
            { "action": "FailIndex", "onExitCodes": { "operator": "In", "values": [1, 2] } },
        ]);
        let manifest = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": format!("kiln-{}", label(&self.name)) },
            "spec": {
                "completionMode": "Indexed",
                "completions": self.count,
                "parallelism": self.count,
                "backoffLimitPerIndex": 100,
                "podFailurePolicy": { "rules": ignored },
                "template": { "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": self.notice,
                    "containers": [container],
                    "volumes": [{ "name": "artifacts", "persistentVolumeClaim": { "claimName": self.claim } }],
                } },
            },
        });
        serde_json::to_string_pretty(&manifest).expect("a manifest is plain data")
    }

    /// The folder of artifacts; the study is in `studies/<name>` below it.
    fn artifacts(&self) -> String {
        let above = self.study.parent().and_then(|studies| studies.parent());
        above.unwrap_or(&self.study).display().to_string()
    }
}

/// A valid Kubernetes name: at most 50 lower-case letters, digits and hyphens.
fn label(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(letter).take(50).collect::<String>().trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn workers(count: usize, time: Option<&str>) -> Workers {
        Workers {
            program: "/opt/kiln".into(),
            study: "/shared/it's/studies/tune".into(),
            name: "tune".to_owned(),
            count,
            jobs: 2,
            time: time.map(str::to_owned),
            memory: Some("4G".to_owned()),
            partition: Some("short".to_owned()),
            notice: 120,
            image: "registry/kiln:1".to_owned(),
            claim: "artifacts".to_owned(),
            options: vec!["--account=physics".to_owned()],
        }
    }

    #[test]
    fn time_limits_are_parsed_as_slurm_parses_them() {
        let read = ["1", "1:30", "2:00:00", "1-0", "1-2:30", "1-0:0:5"].map(time_limit_seconds);
        assert_eq!(read, [60, 90, 7200, 86_400, 95_400, 86_405].map(Some));
        assert_eq!([time_limit_seconds("soon"), time_limit_seconds("1:2:3:4")], [None, None]);
    }

    #[test]
    fn the_script_has_all_options_and_a_notice_that_fits_the_time_limit() {
        let script = workers(20, Some("4:00:00")).slurm_script();
        for line in [
            "#SBATCH --job-name=kiln-tune",
            "#SBATCH --time=4:00:00",
            "#SBATCH --partition=short",
            "#SBATCH --mem=4G",
            "#SBATCH --cpus-per-task=2",
            "#SBATCH --signal=B:TERM@120",
            "#SBATCH --requeue",
            "#SBATCH --output=\"/shared/it's/studies/tune/slurm/%A_%a.log\"",
            "#SBATCH --account=physics",
            r"'/opt/kiln' study work '/shared/it'\''s/studies/tune' --jobs 2",
        ] {
            assert!(script.contains(line), "{line}\n{script}");
        }
        assert!(workers(20, Some("1")).slurm_script().contains("--signal=B:TERM@6\n"));
        assert!(workers(20, None).slurm_script().contains("--signal=B:TERM@120\n"));
    }

    #[test]
    fn more_workers_than_an_array_holds_are_several_arrays() {
        assert_eq!(workers(20, None).slurm_arrays(), ["0-19"]);
        assert_eq!(workers(2100, None).slurm_arrays(), ["0-999", "0-999", "0-99"]);
    }

    #[test]
    fn the_manifest_is_an_indexed_job_of_workers_on_the_shared_volume() {
        let mut workers = workers(8, None);
        workers.name = "Tune_2".to_owned();
        let manifest: Value = serde_json::from_str(&workers.kubernetes_manifest()).unwrap();
        assert_eq!(manifest["metadata"]["name"], "kiln-tune-2");
        assert_eq!(manifest["spec"]["completionMode"], "Indexed");
        assert_eq!(manifest["spec"]["parallelism"], 8);
        let container = &manifest["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["volumeMounts"][0]["mountPath"], "/shared/it's");
        assert_eq!(container["resources"]["limits"]["memory"], "4G");
    }
}
