//! What a study is held to: `[[expect]]`.

use serde::Serialize;

use super::sheet::{Part, Sheet};
use kiln_config::{Fault, nearest_word};
use toml::de::DeValue;

use crate::Verdict;

/// One thing that is expected of a trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Expectation {
    /// The trial's name.
    pub trial: String,
    /// Where the expectation comes from, such as `published`.
    pub source: String,
    /// Whether the study fails where it is not met.
    pub must_hold: bool,
    /// What is expected.
    pub claim: Claim,
}

/// What can be expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// The mean of a figure over the seeds is near a value.
    Figure {
        /// The figure, such as `test_accuracy`.
        name: String,
        /// The value.
        value: f64,
        /// Greatest distance that still counts as reproduced.
        tolerance: f64,
    },
    /// Every seed gets this verdict.
    Verdict(Verdict),
    /// Every seed's test accuracy is above another trial's of the same seed.
    BetterThan {
        /// The other trial.
        trial: String,
        /// By at least so much, as a share of the examples.
        by: f64,
    },
}

/// The figures that an expectation can name.
pub(crate) const FIGURES: &[&str] = &[
    "test_accuracy",
    "test_loss",
    "dropout_active_accuracy",
    "dropout_active_loss",
    "train_accuracy",
    "train_loss",
    "validation_accuracy",
    "validation_loss",
    "macro_auc",
    "seconds",
    "parameters",
];

const KEYS: &[&str] =
    &["trial", "source", "must_hold", "tolerance", "figures", "verdict", "better_than", "by"];

/// Every expectation of the file, `trials` being the names there are.
pub(crate) fn expectations(sheet: &mut Sheet<'_>, file: Part<'_, '_>, trials: &[String]) -> Vec<Expectation> {
    let mut expectations = Vec::new();
    for (found, table) in sheet.tables(file, "expect") {
        let part = Part { name: "expect", table };
        sheet.known_keys(part, KEYS);
        let Some(trial) = trial(sheet, part, "trial", trials) else {
            if part.find("trial").is_none() {
                sheet.contradiction(&found.span(), "an expectation without a `trial`".to_owned());
            }
            continue;
        };
        let source = sheet.text(part, "source").unwrap_or_else(|| "expected".to_owned());
        let must_hold = sheet.switch(part, "must_hold").unwrap_or(true);
        let claims = claims(sheet, part, trials);
        if claims.is_empty()
            && !["figures", "verdict", "better_than"].iter().any(|key| part.find(key).is_some())
        {
            let message = "nothing is expected: give `figures`, `verdict` or `better_than`".to_owned();
            sheet.contradiction(&found.span(), message);
        }
        expectations.extend(claims.into_iter().map(|claim| Expectation {
            trial: trial.clone(),
            source: source.clone(),
            must_hold,
            claim,
        }));
    }
    expectations
}

fn claims(sheet: &mut Sheet<'_>, part: Part<'_, '_>, trials: &[String]) -> Vec<Claim> {
    let mut claims = figures(sheet, part);
    claims.extend(verdicts(sheet, part).into_iter().map(Claim::Verdict));
    if let Some(trial) = trial(sheet, part, "better_than", trials) {
        claims.push(Claim::BetterThan { trial, by: sheet.number(part, "by", 0.0).unwrap_or(0.0) });
    }
    claims
}

fn figures(sheet: &mut Sheet<'_>, part: Part<'_, '_>) -> Vec<Claim> {
    let Some(table) = sheet.table(part, "figures") else { return Vec::new() };
    let Some(tolerance) = sheet.number(part, "tolerance", 0.0) else {
        if let (None, Some(found)) = (part.find("tolerance"), part.find("figures")) {
            sheet.contradiction(&found.span(), "`figures` need a `tolerance`".to_owned());
        }
        return Vec::new();
    };
    let figures = Part { name: "figures", table };
    sheet.known_keys(figures, FIGURES);
    let mut claims = Vec::new();
    for name in FIGURES {
        if let Some(value) = sheet.number(figures, name, f64::NEG_INFINITY) {
            claims.push(Claim::Figure { name: (*name).to_owned(), value, tolerance });
        }
    }
    claims
}

/// `verdict = "overfit"`, or a list of them.
fn verdicts(sheet: &mut Sheet<'_>, part: Part<'_, '_>) -> Vec<Verdict> {
    let Some(found) = part.find("verdict") else { return Vec::new() };
    let values = match found.get_ref() {
        DeValue::Array(values) => values.iter().collect(),
        _ => vec![found],
    };
    let mut verdicts = Vec::new();
    for value in values {
        let word = value.get_ref().as_str().unwrap_or_default();
        match Verdict::ALL.iter().find(|verdict| verdict.as_str() == word) {
            Some(verdict) => verdicts.push(*verdict),
            None => sheet.report(&value.span(), unknown("expect.verdict", word, &Verdict::WORDS)),
        }
    }
    verdicts
}

/// The trial that `key` names, if it names one.
fn trial(sheet: &mut Sheet<'_>, part: Part<'_, '_>, key: &str, trials: &[String]) -> Option<String> {
    let name = sheet.text(part, key)?;
    if trials.contains(&name) {
        return Some(name);
    }
    let names: Vec<&str> = trials.iter().map(String::as_str).collect();
    let span = part.find(key).map(toml::Spanned::span).unwrap_or_default();
    sheet.report(&span, unknown(&part.path(key), &name, &names));
    None
}

fn unknown(key: &str, word: &str, words: &[&str]) -> Fault {
    let nearest = nearest_word(word, words.iter().copied());
    Fault::UnknownName {
        key: key.to_owned(),
        found: format!("{word:?}"),
        allowed: words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", "),
        hint: nearest.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default(),
    }
}
