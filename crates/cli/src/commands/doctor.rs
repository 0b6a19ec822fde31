//! `kiln doctor`.

use kiln::Fused;
use kiln_backend::{ALL, compiled_in, has_kernels, is_host, probe};
use kiln_config::BackendName;
use kiln_training::{Parity, parity};
use schemars::JsonSchema;
use serde::Serialize;

use crate::arguments::Doctor;
use crate::failure::Failure;
use crate::output::{print, print_json, table};

/// What was found out about a backend.
#[derive(Serialize, JsonSchema)]
pub(crate) struct BackendCheck {
    /// The backend.
    backend: BackendName,
    /// Whether this program has it.
    compiled_in: bool,
    /// What its device is called; null where none works.
    adapter: Option<String>,
    /// How far it is off the CPU; null where no device works.
    parity: Option<Parity>,
    /// What that means, in words.
    verdict: String,
    #[serde(skip)]
    is_wrong: bool,
}

/// Tries every backend: finds its adapter and holds one training step to the CPU's.
pub(crate) fn doctor(arguments: &Doctor) -> Result<(), Failure> {
    let findings: Vec<BackendCheck> = ALL.into_iter().map(examine).collect();
    if arguments.json {
        print_json(&findings);
    } else {
        print(&report(&findings));
    }
    let wrong: Vec<String> = findings
        .iter()
        .filter(|finding| finding.is_wrong)
        .map(|finding| finding.backend.to_string())
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!("computes wrong: {}; choose another with backend.name", wrong.join(", "))))
}

fn examine(backend: BackendName) -> BackendCheck {
    let compiled_in = compiled_in().contains(&backend);
    let finding = |adapter, parity, verdict: String, is_wrong| BackendCheck {
        backend,
        compiled_in,
        adapter,
        parity,
        verdict,
        is_wrong,
    };
    if !compiled_in {
        let how = format!("not compiled in; `cargo build --release --features {backend}` adds it");
        return finding(None, None, how, false);
    }
    match probe(backend, 0) {
        Err(cause) => finding(None, None, format!("no working device: {cause}"), false),
        Ok(probe) => {
            let parity = parity(&probe.device, Fused::when(has_kernels(backend)));
            let verdict = match (parity.holds(), probe.is_software) {
                (true, false) => "works".to_owned(),
                (true, true) => "works, but computes on the CPU: no GPU was found".to_owned(),
                (false, _) => "WRONG: one step differs from the CPU's by more than rounding".to_owned(),
            };
            finding(Some(probe.adapter), Some(parity), verdict, !parity.holds())
        }
    }
}

fn report(findings: &[BackendCheck]) -> String {
    let head = ["backend", "adapter", "loss", "gradients", "weights", "verdict"].map(str::to_owned).to_vec();
    let rows = findings.iter().map(|finding| {
        let difference = |figure: fn(&Parity) -> f64| {
            finding.parity.as_ref().map_or_else(|| "-".to_owned(), |parity| format!("{:.1e}", figure(parity)))
        };
        vec![
            finding.backend.to_string(),
            finding.adapter.clone().unwrap_or_else(|| "-".to_owned()),
            difference(|parity| parity.loss),
            difference(|parity| parity.gradients),
            difference(|parity| parity.weights),
            finding.verdict.clone(),
        ]
    });
    let mut text = table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    text.push_str(
        "\n\nloss, gradients, weights: the greatest relative difference to the CPU after one training step",
    );
    let gpu = findings.iter().any(|finding| {
        finding.adapter.is_some() && !is_host(finding.backend) && !finding.verdict.contains("no GPU")
    });
    if !gpu {
        text.push_str("\nno GPU works with this program; training uses the CPU");
    }
    text
}
