//! What a file says of where it came from.

use kiln::{Mlp, Trained};
use kiln_config::Output;
use serde_json::json;

use crate::{Check, ExportError, Input, Network, Pixels};

/// One sentence on the network: what it is of, and how good it was on what it was tested on.
pub(crate) fn sentence(trained: &Trained<Mlp>, network: &Network) -> Result<String, ExportError> {
    let run = trained.run();
    let (experiment, profile) = (trained.experiment(), trained.profile());
    let sizes = experiment.model.sizes(network.input.features(), network.classes.len());
    let test = run.status().map_err(kiln::Error::from)?.test;
    let test = test.map_or_else(String::new, |test| format!(", test accuracy {:.4}", test.accuracy));
    Ok(format!(
        "Perceptron {sizes} trained on {} by Kiln: run {}/{}{test}.",
        profile.source,
        run.name(),
        run.id()
    ))
}

/// Names and values that belong to the network: its classes, how its inputs are prepared, where it came from, and, once
/// there is one, the check of the file against Kiln.
pub(crate) fn metadata(
    trained: &Trained<Mlp>,
    network: &Network,
    check: Option<&Check>,
) -> Result<Vec<(String, String)>, ExportError> {
    let run = trained.run();
    let status = run.status().map_err(kiln::Error::from)?;
    let provenance = run.provenance().map_err(kiln::Error::from)?;
    let config = std::fs::read(run.config_toml()).map_err(|cause| ExportError::Io {
        action: "read",
        path: run.config_toml(),
        cause,
    })?;
    let mut all = Vec::new();
    let mut say = |name: &str, value: String| all.push((name.to_owned(), value));
    say("classes", json!(network.classes).to_string());
    say("run", format!("{}/{}", run.name(), run.id()));
    say("kiln_version", provenance.build.kiln.clone());
    say("seed", provenance.seed.to_string());
    say("config_sha256", kiln_files::sha256_hex(&config));
    say("data", provenance.dataset.name.clone());
    say("data_sha256", provenance.dataset.sha256.clone());
    if let Some(git) = &provenance.git {
        let dirty = if git.dirty { " with changes" } else { "" };
        say("git_commit", format!("{}{dirty}", git.commit));
    }
    if let Some(step) = trained.model().step {
        say("checkpoint_step", step.to_string());
    }
    say("weights_sha256", weights_sha256(trained));
    if let Some(test) = status.test {
        say("test_accuracy", test.accuracy.to_string());
        say("test_loss", test.loss.to_string());
    }
    let output = if trained.experiment().model.output == Output::Sigmoid {
        "sigmoids divided by their sum"
    } else {
        "softmax"
    };
    say("output", output.to_owned());
    if let Some(calibration) = network.calibration {
        say("temperature", calibration.temperature.to_string());
    }
    if let Some(threshold) = network.threshold {
        let class = &network.classes[threshold.positive];
        say("threshold", json!({ "class": class, "probability": threshold.least }).to_string());
    }
    match &network.input {
        Input::Pixels(Pixels { shape, greatest, .. }) => {
            say("greatest_pixel", greatest.to_string());
            let format = if shape[0] == 1 { "Gray8" } else { "Rgb8" };
            say("Image.BitmapPixelFormat", format.to_owned());
            if *greatest == u8::MAX {
                say("Image.NominalPixelRange", "NominalRange_0_255".to_owned());
            }
        }
        Input::Columns(preparation) => {
            say("columns", json!(preparation).to_string());
        }
    }
    if let Some(check) = check {
        say("check", json!(check).to_string());
    }
    Ok(all)
}

/// SHA-256 of the weights that `trained` was opened with.
pub(crate) fn weights_sha256(trained: &Trained<Mlp>) -> String {
    kiln_model::weights_sha256(&kiln_model::parameters(&trained.model().model))
}
