//! Kubernetes: an Indexed Job of workers. The manifest was not run by the tests of Kiln; its form is checked.

use serde_json::{Value, json};

use super::Workers;

impl Workers {
    /// The manifest of an Indexed Job, as JSON, which `kubectl apply -f -` takes.
    ///
    /// A pod that is evicted, or told to end by its node, is replaced without being counted; one that ends with 130 has saved
    /// its trials and is replaced; one whose study failed or was cancelled ends its index.
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
        shown(&manifest)
    }

    /// The folder of artifacts: that of the study is `studies/<name>` in it.
    fn artifacts(&self) -> String {
        let above = self.study.parent().and_then(|studies| studies.parent());
        above.unwrap_or(&self.study).display().to_string()
    }
}

fn shown(manifest: &Value) -> String {
    serde_json::to_string_pretty(manifest).expect("a manifest is plain data")
}

/// A name as Kubernetes has them: small letters, digits and hyphens, at most 50 of them.
fn label(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(letter).take(50).collect::<String>().trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::slurm::tests::workers;
    use super::*;

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
