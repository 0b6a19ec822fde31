//! Times the parts of a training step: `cargo run --release -p kiln-cpu --example steps -- 64 784 512 128 10`.
use std::time::Instant;
use kiln_config::{Activation, DropoutMode, Optimizer, OptimizerName};
use kiln_cpu::*;
fn main() {
    let n: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let (batch, widths) = (n[0], &n[1..]);
    let value = |k: usize| (k * 7919 % 1013) as f32 / 1013.0 - 0.5;
    let x: Vec<f32> = (0..batch * widths[0]).map(value).collect();
    let classes = *widths.last().unwrap();
    let labels: Vec<u32> = (0..batch).map(|k| (k * 31 % classes) as u32).collect();
    let threads: usize = std::env::var("T").map_or(2, |t| t.parse().unwrap());
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    for name in [OptimizerName::Sgd, OptimizerName::Rmsprop, OptimizerName::Adam] {
        let layers = widths.windows(2).map(|p| {
            let w: Vec<f32> = (0..p[0] * p[1]).map(|k| value(k) * 2.0 / (p[0] as f32).sqrt()).collect();
            Dense::new(&w, Some(&vec![0.0; p[1]]), [p[0], p[1]])
        }).collect();
        let network = Network::new(Activation::Relu, Dropout { probability: 0.2, mode: DropoutMode::Inverted, seed: 1 }, layers);
        let mut trainer = Trainer::new(network, Rule::new(&Optimizer { name, ..Default::default() }), Penalty::default());
        let mut laps = [vec![], vec![], vec![]];
        rayon::scope(|_| for step in 0..300 {
            let t = Instant::now();
            let logits = trainer.forward(&x, step);
            let t1 = Instant::now();
            let loss = cross_entropy(logits, &labels, classes);
            let t2 = Instant::now();
            let norms = trainer.backward_and_step(&x, 0.001, step as usize + 1);
            let t3 = Instant::now();
            std::hint::black_box((loss, norms));
            laps[0].push(t1 - t); laps[1].push(t2 - t1); laps[2].push(t3 - t2);
        });
        let us = |l: &mut Vec<std::time::Duration>| { l.sort(); l[150].as_secs_f64() * 1e6 };
        let [f, l, b] = &mut laps;
        println!("{name:?}: forward {:.0}, loss {:.1}, backward and step {:.0}", us(f), us(l), us(b));
    }
}
