//! A training step of the assignment's network, 784-512-128-10 with dropout 0.2, on batches of 64.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kiln_config::{Activation, DropoutMode, Optimizer, OptimizerName};
use kiln_cpu::{Dense, Dropout, Network, Penalty, Rule, Trainer, cross_entropy};

const WIDTHS: [usize; 4] = [784, 512, 128, 10];
const BATCH: usize = 64;

fn value(at: usize) -> f32 {
    (at * 7919 % 1013) as f32 / 1013.0 - 0.5
}

fn trainer(name: OptimizerName, activation: Activation) -> Trainer {
    let layers = WIDTHS.windows(2).map(|pair| {
        let bound = 2.0 / (pair[0] as f32).sqrt();
        let weights: Vec<f32> = (0..pair[0] * pair[1]).map(|at| bound * value(at)).collect();
        Dense::new(&weights, Some(&vec![0.0; pair[1]]), [pair[0], pair[1]])
    });
    let dropout = Dropout { probability: 0.2, mode: DropoutMode::Inverted, seed: 1 };
    let network = Network::new(activation, dropout, layers.collect());
    let rule = Rule::new(&Optimizer { name, ..Optimizer::default() });
    Trainer::new(network, rule, Penalty::default())
}

fn step(c: &mut Criterion) {
    let features: Vec<f32> = (0..BATCH * WIDTHS[0]).map(value).collect();
    let labels: Vec<u32> = (0..BATCH as u32).map(|example| example % 10).collect();
    let mut group = c.benchmark_group("step");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut bench = |name: &str, optimizer, activation| {
        let mut trainer = trainer(optimizer, activation);
        let mut number = 0;
        group.bench_function(name, |bencher| {
            // Within the pool, as a run is: parallel work then begins on this thread.
            rayon::scope(|_| {
                bencher.iter(|| {
                    number += 1;
                    let loss = cross_entropy(trainer.forward(&features, number), &labels, WIDTHS[3]);
                    black_box((loss, trainer.backward_and_step(&features, 0.001, number as usize)))
                });
            });
        });
    };
    for name in [OptimizerName::Sgd, OptimizerName::Rmsprop, OptimizerName::Adam, OptimizerName::Adamw] {
        bench(&format!("{name:?}").to_lowercase(), name, Activation::Relu);
    }
    for activation in [Activation::Tanh, Activation::Sigmoid, Activation::Gelu, Activation::Softplus] {
        bench(&format!("sgd, {activation:?}").to_lowercase(), OptimizerName::Sgd, activation);
    }
}

criterion_group!(benches, step);
criterion_main!(benches);
