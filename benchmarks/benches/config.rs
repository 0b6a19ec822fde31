//! Reading and checking an experiment file with its base.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use kiln_config::Experiment;

fn config(c: &mut Criterion) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/reference.toml");
    let text = std::fs::read_to_string(&path).expect("the repository's own file");
    let text = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    c.bench_function("config, every key", |bencher| {
        bencher.iter(|| black_box(Experiment::from_toml_str("reference.toml", &text)).expect("a whole file"));
    });
}

criterion_group!(benches, config);
criterion_main!(benches);
