//! Slurm: one array of workers. Each is requeued until nothing is left to do.

use super::Workers;

/// Array elements in one submission: Slurm's default `MaxArraySize` is 1001.
const LARGEST_ARRAY: usize = 1000;
/// The notice is at most this part of the time limit: a longer one would leave no time to work.
const LARGEST_PART: u64 = 10;

impl Workers {
    /// The script that `sbatch` runs for each worker.
    ///
    /// A worker ends with 130 when it was told to stop and has saved its trials. Then the script puts its job back into the
    /// queue, unless it was cancelled; after preemption and after the loss of a node Slurm does so itself. A worker that was
    /// killed is started again within the job.
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
        // Only a job that is still running can be requeued by its script: at the limit itself it is too late. `B:` is the script;
        // without it, Slurm tells steps alone. It may do so a minute too early.
        let most = self.time.as_deref().and_then(seconds).map_or(u64::MAX, |seconds| seconds / LARGEST_PART);
        options.push(format!("--signal=B:TERM@{}", u64::from(self.notice).min(most.max(1))));
        options.extend(self.options.iter().cloned());
        let options: String = options.iter().map(|option| format!("#SBATCH {option}\n")).collect();
        let (program, study) =
            (quoted(&self.program.display().to_string()), quoted(&self.study.display().to_string()));
        let jobs = self.jobs;
        format!(
            r#"#!/bin/bash
{options}
# A worker of a study of Kiln. It takes trials from the study's folder until none is left.
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
    # Not SLURM_JOB_ID, which of one element is the whole array's.
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

    /// The arrays to submit: the range of each, as `--array` has it.
    #[must_use]
    pub fn slurm_arrays(&self) -> Vec<String> {
        let sizes =
            (0..self.count).step_by(LARGEST_ARRAY).map(|start| (self.count - start).min(LARGEST_ARRAY));
        sizes.map(|size| format!("0-{}", size - 1)).collect()
    }
}

/// Seconds of a time limit: `minutes`, `minutes:seconds`, `hours:minutes:seconds`, each of them after `days-`, where the first
/// is hours.
fn seconds(time: &str) -> Option<u64> {
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

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn workers(count: usize, time: Option<&str>) -> Workers {
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
    fn times_are_read_as_slurm_reads_them() {
        let read = ["1", "1:30", "2:00:00", "1-0", "1-2:30", "1-0:0:5"].map(seconds);
        assert_eq!(read, [60, 90, 7200, 86_400, 95_400, 86_405].map(Some));
        assert_eq!([seconds("soon"), seconds("1:2:3:4")], [None, None]);
    }

    #[test]
    fn the_script_says_all_that_was_asked_and_asks_for_notice_where_there_is_time_for_it() {
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
}
