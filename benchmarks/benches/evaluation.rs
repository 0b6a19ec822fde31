//! A test pass, and every figure of 10,000 predictions of 10 classes.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kiln_config::{Backend, BackendName, Data, DataSource, Experiment};
use kiln_data::{Folders, NoProgress, Profile, load};
use kiln_evaluation::{Evaluation, EvaluationSettings, predict};
use kiln_model::{Fused, Mlp};

const EXAMPLES: usize = 10_000;

fn evaluation(c: &mut Criterion) {
    let settings = Data {
        source: DataSource::NoisyFeatures,
        examples: 20_000,
        test: kiln_config::Holdout::Count(EXAMPLES),
        features: 784,
        ..Data::default()
    };
    let data = load(&settings, 1, &Folders { data_dir: None, cache: PathBuf::new() }, &NoProgress)
        .expect("generated data needs no file");
    let backend = Backend { name: BackendName::Flex, ..Backend::default() };
    let backend = kiln_backend::select(&backend).expect("flex works everywhere");
    let experiment = Experiment::default();
    let shape = [data.features(), data.class_count()];
    let mlp = Mlp::new(&experiment, shape, Fused::On, &backend.device).expect("drawn weights");
    let profile = Profile::of(&data);
    let mut group = c.benchmark_group("evaluation");
    group.throughput(Throughput::Elements(EXAMPLES as u64)).sample_size(20);
    group.bench_function("test pass, batches of 64", |bencher| {
        bencher.iter(|| black_box(predict(&mlp, &profile, &data.test, 64, &[], &backend.device)));
    });
    let predictions = predict(&mlp, &loss, &profile, &data.test, 256, &backend);
    group.bench_function("figures with intervals", |bencher| {
        bencher.iter(|| black_box(Evaluation::new(&predictions, &EvaluationSettings::default())));
    });
}

criterion_group!(benches, evaluation);
criterion_main!(benches);
