//! A training step of the assignment's network, 784-512-128-10 at batch 64, by Kiln's kernels and by Burn's own
//! operations.

use std::hint::black_box;

use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn::train::{TrainOutput, TrainStep};
use criterion::{Criterion, criterion_group, criterion_main};
use kiln_config::{Experiment, Optimizer, OptimizerName};
use kiln_data::{Batch, Pass};
use kiln_kernels::{UpdateRule, with_threads_awake};
use kiln_model::{Fused, Mlp};

fn batch(device: &Device) -> Batch {
    let features = (0..64 * 784).map(|at| (at * 7919 % 1013) as f32 / 1013.0).collect::<Vec<_>>();
    let targets = (0..64).map(|at| at % 10).collect::<Vec<i64>>();
    Batch {
        features: Tensor::from_data(TensorData::new(features, [64, 784]), device),
        targets: Tensor::<1, Int>::from_data(TensorData::new(targets, [64]), device),
        pass: Pass::Training { step: 0 },
        folds: None,
    }
}

fn step(c: &mut Criterion) {
    let device = Device::flex().autodiff();
    for (how, fused) in [("kernels", Fused::On), ("Burn's operations", Fused::Off)] {
        for name in [OptimizerName::Sgd, OptimizerName::Rmsprop, OptimizerName::Adam] {
            let optimizer = Optimizer { name, momentum: 0.0, ..Optimizer::default() };
            let mut experiment = Experiment { optimizer, ..Experiment::default() };
            experiment.model.dropout = 0.2;
            let mut model = Some(Mlp::new(&experiment, [784, 10], fused, &device).expect("drawn weights"));
            let mut rule = ModuleOptimizer::from(UpdateRule::new(&experiment.optimizer, fused));
            let batch = batch(&device);
            c.bench_function(&format!("step, {name:?}, {how}"), |bencher| {
                with_threads_awake(|| {
                    bencher.iter(|| {
                        let before = model.take().expect("put back after each step");
                        let TrainOutput { grads, item } = TrainStep::step(&before, batch.clone());
                        model = Some(rule.step(0.01, before, grads));
                        black_box(item)
                    });
                });
            });
        }
    }
}

criterion_group!(benches, step);
criterion_main!(benches);
