//! The linear model that a network is held against is scikit-learn's logistic regression.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

use std::fs;
use std::path::Path;

use kiln::{Evaluation, Options, Session, Trained, experiment, perceptron};
use kiln_data::NoProgress;
use kiln_evaluation::BaselineModel;

/// Rows of three classes that overlap, the third half as frequent as the others.
fn rows() -> String {
    let mut text = "p,q,r,s,label\n".to_owned();
    for row in 0..90_u32 {
        let class = row % 3;
        if class == 2 && row % 2 == 0 {
            continue;
        }
        for column in 0..4_u32 {
            let shift = if column < 2 { 1.0 } else { 0.2 * f64::from(column) };
            let value =
                (f64::from(row) * 1.7 + f64::from(column)).sin() * 1.5 + (f64::from(class) - 1.0) * shift;
            text += &format!("{value:.3},");
        }
        text += ["a\n", "b\n", "c\n"][class as usize];
    }
    text
}

/// The evaluation on the training rows of a small network on those rows.
fn trained(folder: &Path, settings: &[&str]) -> Evaluation {
    let path = folder.join("rows.csv");
    fs::write(&path, rows()).unwrap();
    let path = path.to_str().unwrap();
    let file = folder.join("rows.toml");
    let text = format!(
        "name = \"rows\"\n[data]\nsource = \"csv\"\npath = {path:?}\ntest_path = {path:?}\nvalidation = 0\n\
         normalization = \"unit\"\n[model]\nhidden = [4]\n[training]\nepochs = 2\n"
    );
    fs::write(&file, text).unwrap();
    let resolved = experiment(file.to_str().unwrap(), settings).unwrap();
    let session = Session::create(&resolved, folder.join("artifacts")).unwrap();
    let outcome = session.train(perceptron, Options { dashboard: false, ..Options::default() }).unwrap();
    let trained = Trained::open(outcome.run, None, perceptron).unwrap();
    let split = trained.own_split("train", &NoProgress).unwrap();
    trained.evaluate("train", &split).unwrap().0
}

// X, y: the rows, each column scaled to [0, 1]
// m = LogisticRegression(class_weight=w, tol=1e-8, max_iter=1000).fit(X, y)
// log_loss(y, m.predict_proba(X)), m.score(X, y)        (scikit-learn 1.9.1)
const PLAIN: [f64; 2] = [0.666_193_613_404_067_4, 0.8];
const BALANCED: [f64; 2] = [0.683_960_868_445_784_7, 0.786_666_666_666_666_6];

#[test]
fn the_linear_model_is_scikit_learns_logistic_regression() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, [log_loss, accuracy]) in
        [(&[][..], PLAIN), (&["loss.class_weights=\"balanced\""][..], BALANCED)]
    {
        let evaluation = trained(folder.path(), settings);
        let [guess, linear] = &evaluation.metrics.baselines[..] else { panic!("two baselines") };
        assert_eq!(guess.model, BaselineModel::MostFrequentClass);
        assert_eq!(guess.accuracy, 0.4, "30 of 75 rows");
        assert_eq!(linear.model, BaselineModel::LinearModel);
        // Both stop where no part of the gradient is above 1e-4.
        assert!((linear.log_loss.unwrap() - log_loss).abs() < 5e-4, "{settings:?}: {linear:?}");
        assert!((linear.accuracy - accuracy).abs() < 1e-12, "{settings:?}: {linear:?}");
    }
}
