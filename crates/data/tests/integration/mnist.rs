//! The real MNIST, when `KILN_DATA_DIR` says where it is.

use std::{env, path::PathBuf, time::Instant};

use kiln_config::{Data, DataSource, Holdout, Normalization};
use kiln_data::{Downloads, Folders, NoProgress, Normalizer, load_with};

#[test]
#[expect(clippy::print_stderr, reason = "a test that checks nothing must say so")]
fn mnist_is_the_published_one() {
    let Some(data_dir) = env::var_os("KILN_DATA_DIR").map(PathBuf::from) else {
        eprintln!("SKIPPED: set KILN_DATA_DIR to a folder with MNIST to run this test");
        return;
    };
    let folders = Folders { data_dir: Some(data_dir), cache: "no-such-folder".into() };
    let offline = Downloads { mirrors: Some(Vec::new()), ..Downloads::default() };
    let data = Data {
        source: DataSource::Mnist,
        validation: Holdout::Count(0),
        normalization: Normalization::Standard,
        ..Data::default()
    };
    let start = Instant::now();
    let set = load_with(&data, 42, &folders, &offline, &NoProgress).unwrap();
    eprintln!("MNIST was loaded in {:.3} s", start.elapsed().as_secs_f64());

    assert_eq!(set.train.counts(10), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_eq!(set.test.counts(10), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    assert_eq!(set.train.labels()[..5], [5, 0, 4, 1, 9]);
    // The constants of torchvision's MNIST examples.
    let Normalizer::Standardize { mean, deviation, .. } = set.normalizer else {
        panic!("pixels are standardized")
    };
    assert!((mean - 0.1307).abs() < 5e-5 && (deviation - 0.3081).abs() < 5e-5, "{mean} {deviation}");
    let image = set.train.render_values(0, &set.shape);
    assert!(
        image
            .lines()
            .nth(5)
            .unwrap()
            .ends_with("3  18  18  18 126 136 175  26 166 255 247 127   0   0   0   0")
    );
}
