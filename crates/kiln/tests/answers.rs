//! What a server calls gives the bits of what everybody else calls.

use kiln::{Options, Session, Split, Trained, experiment, perceptron};
use kiln_data::NoProgress;

#[test]
fn answers_are_predictions_to_the_bit_in_batches_of_any_size() {
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for more in
        [&[][..], &["model.members=3"], &["evaluation.calibration=temperature", "loss.label_smoothing=0"]]
    {
        let overrides = [&["training.epochs=2", "model.hidden=[24]"], more].concat();
        let digits = experiment("configs/digits.toml", &overrides).unwrap();
        let session = Session::create(&digits, folder.path()).unwrap();
        let outcome = session.train(perceptron, Options { dashboard: false, ..Options::default() }).unwrap();
        let trained = Trained::open(outcome.run, None, perceptron).unwrap();
        let split = trained.own_split("test", &NoProgress).unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let check = |split: &Split| {
            let (predictions, answers) = (trained.predict(split), trained.answer(split));
            assert_eq!(answers.classes, predictions.predicted());
            for (at, row) in answers.probabilities.chunks_exact(10).enumerate() {
                assert_eq!(bits(row), bits(predictions.probabilities(at)));
            }
            answers
        };
        let whole = check(&split);
        for size in [1, 7] {
            for first in (0..100_u32).step_by(size as usize) {
                let some = check(&split.select(&(first..first + size).collect::<Vec<_>>()));
                let range = first as usize * 10..(first + size) as usize * 10;
                assert_eq!(bits(&some.probabilities), bits(&whole.probabilities[range]));
            }
        }
    }
}
