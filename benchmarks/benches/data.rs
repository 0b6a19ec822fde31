//! Gathering and scaling a batch of 64 images of 784 pixels.

use std::hint::black_box;
use std::path::PathBuf;

use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kiln_config::{Data, DataSource};
use kiln_data::{Folders, NoProgress, Pass, load};

fn batch(c: &mut Criterion) {
    let settings =
        Data { source: DataSource::NoisyFeatures, examples: 20_000, features: 784, ..Data::default() };
    let data = load(&settings, 1, &Folders { data_dir: None, cache: PathBuf::new() }, &NoProgress)
        .expect("generated data needs no file");
    let positions: Vec<u32> = (0..64).map(|at| at * 7919 % data.train.len() as u32).collect();
    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::Elements(64));
    group.bench_function("64 x 784", |bencher| {
        bencher.iter(|| {
            black_box(data.train.batch(&positions, &data.normalizer, Pass::Inference, &Device::flex()))
        });
    });
}

criterion_group!(benches, batch);
criterion_main!(benches);
