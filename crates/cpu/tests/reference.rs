//! Steps held to the same steps computed plainly, in double precision.

use kiln_config::{Activation, DropoutMode, Optimizer, OptimizerName};
use kiln_cpu::{Buffers, Dense, Dropout, Network, Pass, Penalty, Rule, Trainer, cross_entropy};

const EXAMPLES: usize = 37;
const STEP: u64 = 5;

struct Case {
    widths: Vec<usize>,
    activation: Activation,
    probability: f64,
    mode: DropoutMode,
    bias: bool,
    penalty: Penalty,
}

fn value(at: usize, salt: usize) -> f32 {
    ((at * 7919 + salt * 104_729) % 10_007) as f32 / 10_007.0 - 0.5
}

impl Case {
    fn new(widths: &[usize], activation: Activation) -> Self {
        Self {
            widths: widths.to_vec(),
            activation,
            probability: 0.0,
            mode: DropoutMode::Inverted,
            bias: true,
            penalty: Penalty::default(),
        }
    }

    fn dropout(&self) -> Dropout {
        Dropout { probability: self.probability, mode: self.mode, seed: 3 }
    }

    fn shapes(&self) -> Vec<[usize; 2]> {
        self.widths.windows(2).map(|pair| [pair[0], pair[1]]).collect()
    }

    fn weights(&self, layer: usize) -> Vec<f32> {
        let [inputs, outputs] = self.shapes()[layer];
        (0..inputs * outputs).map(|at| 4.0 * value(at, layer) / (inputs as f32).sqrt()).collect()
    }

    fn bias(&self, layer: usize) -> Vec<f32> {
        (0..self.shapes()[layer][1]).map(|at| value(at, layer + 50)).collect()
    }

    fn features(&self, examples: usize) -> Vec<f32> {
        (0..examples * self.widths[0]).map(|at| value(at, 99)).collect()
    }

    fn labels(&self, examples: usize) -> Vec<u32> {
        let classes = self.widths[self.widths.len() - 1];
        (0..examples).map(|example| (example * 5 % classes) as u32).collect()
    }

    fn trainer(&self, optimizer: &Optimizer) -> Trainer {
        let layers = self.shapes().into_iter().enumerate().map(|(layer, shape)| {
            let bias = self.bias.then(|| self.bias(layer));
            Dense::new(&self.weights(layer), bias.as_deref(), shape)
        });
        let network = Network::new(self.activation, self.dropout(), layers.collect());
        Trainer::new(network, Rule::new(optimizer), self.penalty)
    }

    /// Mean loss and the gradient of every parameter, in double precision.
    fn reference(&self) -> (f64, Vec<Vec<f64>>) {
        let double = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<f64>>();
        let shapes = self.shapes();
        let (mut inputs, mut slopes) = (vec![double(self.features(EXAMPLES))], vec![]);
        for (layer, &[from, to]) in shapes.iter().enumerate() {
            let (weights, bias) = (double(self.weights(layer)), double(self.bias(layer)));
            let mut factors = vec![1.0; EXAMPLES * to];
            let hidden = layer + 1 < shapes.len();
            if hidden && self.probability > 0.0 {
                self.dropout().mask(STEP, layer).fill(0, &mut factors);
            }
            let (mut out, mut slope) = (vec![], vec![]);
            for (at, factor) in factors.into_iter().enumerate() {
                let (example, unit) = (at / to, at % to);
                let terms = (0..from).map(|k| inputs[layer][example * from + k] * weights[k * to + unit]);
                let z = terms.sum::<f64>() + if self.bias { bias[unit] } else { 0.0 };
                let (value, derivative) = if hidden { activation(self.activation, z) } else { (z, 1.0) };
                out.push(value * f64::from(factor));
                slope.push(derivative * f64::from(factor));
            }
            inputs.push(out);
            slopes.push(slope);
        }
        let classes = self.widths[shapes.len()];
        let (mut loss, mut delta) = (0.0, inputs.pop().expect("a layer"));
        for (row, label) in delta.chunks_mut(classes).zip(self.labels(EXAMPLES)) {
            let total: f64 = row.iter().map(|value| value.exp()).sum();
            loss += (total.ln() - row[label as usize]) / EXAMPLES as f64;
            for value in row.iter_mut() {
                *value = value.exp() / total / EXAMPLES as f64;
            }
            row[label as usize] -= 1.0 / EXAMPLES as f64;
        }
        let mut gradients = vec![];
        for (layer, &[from, to]) in shapes.iter().enumerate().rev() {
            let weights = double(self.weights(layer));
            if self.bias {
                let sum = |unit| (0..EXAMPLES).map(|example| delta[example * to + unit]).sum();
                gradients.push((0..to).map(sum).collect());
            }
            let gradient = |at: usize| {
                let (k, unit) = (at / to, at % to);
                let terms = (0..EXAMPLES).map(|it| inputs[layer][it * from + k] * delta[it * to + unit]);
                let weight = weights[at];
                terms.sum::<f64>()
                    + f64::from(self.penalty.l1) * weight.signum()
                    + f64::from(self.penalty.l2) * 2.0 * weight
            };
            gradients.push((0..from * to).map(gradient).collect());
            if layer > 0 {
                let before = |at: usize| {
                    let (example, k) = (at / from, at % from);
                    let terms = (0..to).map(|unit| delta[example * to + unit] * weights[k * to + unit]);
                    terms.sum::<f64>() * slopes[layer - 1][at]
                };
                delta = (0..EXAMPLES * from).map(before).collect();
            }
        }
        gradients.reverse();
        (loss, gradients)
    }

    fn check(&self) {
        let (loss, gradients) = self.reference();
        let lr = 0.5;
        let mut trainer =
            self.trainer(&Optimizer { name: OptimizerName::Sgd, momentum: 0.0, ..Default::default() });
        let features = self.features(EXAMPLES);
        let before = trainer.network().parameters();
        let found = cross_entropy(
            trainer.forward(&features, STEP),
            &self.labels(EXAMPLES),
            self.widths[self.widths.len() - 1],
        );
        let norms = trainer.backward_and_step(&features, lr, 1);
        let name = format!("{:?} {:?}", self.widths, self.activation);
        assert!(
            (found.sum / EXAMPLES as f64 - loss).abs() < 2e-6 * (1.0 + loss),
            "{name}: {found:?}, expected {loss}"
        );
        for (at, gradient) in gradients.iter().enumerate() {
            let norm = gradient.iter().map(|value| value * value).sum::<f64>().sqrt();
            assert!(
                (norms[at] - norm).abs() < 1e-5 * norm + 1e-12,
                "{name}, parameter {at}: {} {norm}",
                norms[at]
            );
            let after = &trainer.network().parameters()[at];
            for ((after, before), slope) in after.iter().zip(&before[at]).zip(gradient) {
                let expected = f64::from(*before) - lr * slope;
                assert!(
                    (f64::from(*after) - expected).abs() < 1e-6,
                    "{name}, parameter {at}: {after} {expected}"
                );
            }
        }
    }
}

fn activation(function: Activation, z: f64) -> (f64, f64) {
    let sigmoid = 1.0 / (1.0 + (-z).exp());
    match function {
        Activation::Identity => (z, 1.0),
        Activation::Relu => (z.max(0.0), f64::from(u8::from(z > 0.0))),
        Activation::LeakyRelu => {
            if z > 0.0 {
                (z, 1.0)
            } else {
                (0.01 * z, 0.01)
            }
        }
        Activation::Tanh => (z.tanh(), 1.0 - z.tanh().powi(2)),
        Activation::Sigmoid => (sigmoid, sigmoid * (1.0 - sigmoid)),
        Activation::Silu => (z * sigmoid, sigmoid * (1.0 + z * (1.0 - sigmoid))),
        Activation::Softplus => ((1.0 + z.exp()).ln(), sigmoid),
        Activation::Gelu => {
            let below = 0.5 * (1.0 + libm::erf(z * std::f64::consts::FRAC_1_SQRT_2));
            (z * below, below + z * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt())
        }
    }
}

#[test]
fn every_shape_is_the_double_precision_step() {
    for widths in [
        &[1, 1][..],
        &[5, 2],
        &[3, 1, 2],
        &[40, 33, 7],
        &[784, 40, 10],
        &[300, 129, 64, 31, 3],
        &[7, 100, 40],
    ] {
        Case::new(widths, Activation::Tanh).check();
    }
}

#[test]
fn every_activation_is_the_double_precision_step() {
    use Activation::{Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu, Softplus, Tanh};
    for activation in [Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu, Softplus, Tanh] {
        Case::new(&[20, 35, 12, 4], activation).check();
        for mode in [DropoutMode::Inverted, DropoutMode::Standard] {
            Case { probability: 0.3, mode, ..Case::new(&[20, 35, 12, 4], activation) }.check();
        }
    }
}

#[test]
fn penalties_and_layers_without_bias_are_those_of_double_precision() {
    let penalty = Penalty { l1: 0.01, l2: 0.03 };
    Case { penalty, ..Case::new(&[20, 35, 4], Activation::Relu) }.check();
    Case { bias: false, ..Case::new(&[20, 35, 4], Activation::Relu) }.check();
}

type Moments = [Option<Vec<f32>>; 2];

/// Some steps of a network that is large enough for several threads, on more examples than a block has; its parameters,
/// moments and norms. Gradients are `kept` for a step of their own, or used at once.
fn trained(threads: usize, name: OptimizerName, kept: bool) -> (Vec<Vec<f32>>, Vec<Moments>, Vec<f64>) {
    let case = Case { probability: 0.2, ..Case::new(&[200, 300, 70, 10], Activation::Relu) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(|| {
        let mut trainer = case.trainer(&Optimizer { name, momentum: 0.9, ..Default::default() });
        let (features, labels) = (case.features(290), case.labels(290));
        let mut norms = vec![];
        for step in 0..5 {
            cross_entropy(trainer.forward(&features, step), &labels, 10);
            if kept {
                trainer.backward_and_keep(&features);
                trainer.clamp_kept(0.01);
                norms = trainer.kept_norms();
                trainer.scale_kept(0.5);
                trainer.step_kept(0.01, step as usize + 1);
            } else {
                norms = trainer.backward_and_step(&features, 0.01, step as usize + 1);
            }
        }
        (trainer.network().parameters(), trainer.moments(), norms)
    })
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for name in [OptimizerName::Sgd, OptimizerName::Rmsprop, OptimizerName::Adam, OptimizerName::Adamw] {
        for kept in [false, true] {
            let one = trained(1, name, kept);
            assert_eq!(trained(2, name, kept), one, "{name:?}");
            assert_eq!(trained(5, name, kept), one, "{name:?}");
        }
    }
}

#[test]
fn inference_scales_by_what_standard_dropout_keeps_and_shows_units_as_they_are() {
    let plain = Case::new(&[20, 35, 4], Activation::Tanh);
    let scaled =
        Case { probability: 0.25, mode: DropoutMode::Standard, ..Case::new(&[20, 35, 4], Activation::Tanh) };
    let [plain, scaled] = [plain, scaled].map(|case| {
        let (trainer, features) = (case.trainer(&Optimizer::default()), case.features(9));
        let network = trainer.network();
        let hidden = network.hidden(&features, &mut Buffers::default());
        let logits = network.forward(&features, Pass::Inference, &mut Buffers::default()).to_vec();
        (hidden, logits, network.parameters())
    });
    let [(values, units)] = &plain.0[..] else { panic!("one hidden layer") };
    assert_eq!((*units, scaled.0[0].1), (35, 35));
    assert!(values.iter().zip(&scaled.0[0].0).all(|(plain, scaled)| (plain - scaled).abs() < 1e-6));
    let bias = plain.2.last().expect("a bias").iter().cycle();
    for ((plain, scaled), bias) in plain.1.iter().zip(&scaled.1).zip(bias) {
        assert!((0.75 * (plain - bias) + bias - scaled).abs() < 1e-5, "{plain} {scaled}");
    }
}

#[test]
fn kept_gradients_of_parts_make_the_step_of_the_whole() {
    let case = Case::new(&[30, 50, 6], Activation::Tanh);
    let optimizer = Optimizer { name: OptimizerName::Sgd, momentum: 0.0, ..Default::default() };
    let (features, labels) = (case.features(40), case.labels(40));
    let mut whole = case.trainer(&optimizer);
    cross_entropy(whole.forward(&features, 0), &labels, 6);
    let norms = whole.backward_and_step(&features, 0.1, 1);
    let mut parts = case.trainer(&optimizer);
    for repetition in 1..=2 {
        for (features, labels) in features.chunks(20 * 30).zip(labels.chunks(20)) {
            cross_entropy(parts.forward(features, 0), labels, 6);
            parts.backward_and_keep(features);
        }
        let kept = parts.kept_norms();
        if repetition == 1 {
            assert!(kept.iter().zip(&norms).all(|(kept, norm)| (kept / norm - 1.0).abs() < 1e-5));
        }
        parts.step_kept(0.1, repetition);
        if repetition == 1 {
            let pairs =
                parts.network().parameters().concat().into_iter().zip(whole.network().parameters().concat());
            assert!(pairs.into_iter().all(|(part, whole)| (part - whole).abs() < 1e-7));
            cross_entropy(whole.forward(&features, 0), &labels, 6);
            whole.backward_and_step(&features, 0.1, 2);
        }
    }
    let pairs = parts.network().parameters().concat().into_iter().zip(whole.network().parameters().concat());
    assert!(pairs.into_iter().all(|(part, whole)| (part - whole).abs() < 2e-7));
}

#[test]
fn moments_that_were_kept_are_taken_up_to_the_bit() {
    let case = Case::new(&[30, 50, 6], Activation::Relu);
    let optimizer = Optimizer { name: OptimizerName::Adam, ..Default::default() };
    let (features, labels) = (case.features(40), case.labels(40));
    let step = |trainer: &mut Trainer, step: usize| {
        cross_entropy(trainer.forward(&features, 0), &labels, 6);
        trainer.backward_and_step(&features, 0.01, step);
    };
    let mut whole = case.trainer(&optimizer);
    step(&mut whole, 1);
    let mut resumed = Trainer::new(whole.network().clone(), Rule::new(&optimizer), Penalty::default());
    resumed.set_moments(&whole.moments());
    step(&mut whole, 2);
    step(&mut resumed, 2);
    assert_eq!(resumed.network().parameters(), whole.network().parameters());
    assert_eq!(resumed.moments(), whole.moments());
}
