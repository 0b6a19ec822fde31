//! Compares every operation, values and gradients, with double precision and with Burn's own operations.

use burn::optim::Optimizer as _;
use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_config::random::{Purpose, Stream};
use kiln_config::{Activation, Optimizer, OptimizerName};
use kiln_kernels::{
    DropoutMask, Dropping, EmbeddedColumns, Epilogue, Fused, UpdateRule, cross_entropy, dropout_factors,
    hits, linear, periodic, softmax, square_sum,
};
use strum::IntoEnumIterator as _;

/// Batch, inputs and outputs: single values, sizes that do not divide into whole blocks, and enough for several threads.
const SIZES: [[usize; 3]; 6] =
    [[1, 1, 1], [7, 5, 3], [3, 70, 130], [64, 33, 40], [100, 300, 190], [17, 1200, 65]];

fn drawn(count: usize, salt: u64) -> Vec<f32> {
    let mut stream = Stream::new(7, Purpose::Sampling, &[salt]);
    (0..count).map(|_| (stream.normal() * 0.5) as f32).collect()
}

fn matrix(values: &[f32], shape: [usize; 2]) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex().autodiff())
}

fn vector(values: &[f32]) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &Device::flex().autodiff())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("32-bit floats")
}

fn mask() -> DropoutMask {
    DropoutMask::new(Stream::new(3, Purpose::Dropout, &[5, 1]), 0.7, 1.0 / 0.7)
}

/// A layer's inputs and parameters, and the gradient of its outputs.
struct LayerCase {
    sizes: [usize; 3],
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    gradient: Vec<f32>,
}

/// Outputs, and the gradients of input, weight and bias.
type Found = [Vec<f32>; 4];

impl LayerCase {
    fn new(sizes: [usize; 3]) -> Self {
        let [batch, inputs, outputs] = sizes;
        let scale = (inputs as f32).sqrt().recip();
        Self {
            sizes,
            input: drawn(batch * inputs, 1),
            weight: drawn(inputs * outputs, 2).into_iter().map(|value| 4.0 * value * scale).collect(),
            bias: drawn(outputs, 3),
            gradient: drawn(batch * outputs, 4),
        }
    }

    fn run(&self, epilogue: &Epilogue, fused: Fused) -> Found {
        let [batch, inputs, outputs] = self.sizes;
        let input = matrix(&self.input, [batch, inputs]).require_grad();
        let weight = matrix(&self.weight, [inputs, outputs]).require_grad();
        let bias = vector(&self.bias).require_grad();
        let output = linear(input.clone(), weight.clone(), Some(bias.clone()), epilogue.clone(), fused);
        let objective = (output.clone() * matrix(&self.gradient, [batch, outputs])).sum();
        let gradients = objective.backward();
        let [input, weight] =
            [input, weight].map(|tensor| values(tensor.grad(&gradients).expect("a gradient")));
        [values(output.inner()), input, weight, values(bias.grad(&gradients).expect("a gradient"))]
    }

    fn in_double_precision(&self, activation: Activation, factors: &[f32]) -> [Vec<f64>; 4] {
        let [batch, inputs, outputs] = self.sizes;
        let at = |values: &[f32], index: usize| f64::from(values[index]);
        let mut found = [
            vec![0.0; batch * outputs],
            vec![0.0; batch * inputs],
            vec![0.0; inputs * outputs],
            vec![0.0; outputs],
        ];
        for row in 0..batch {
            for column in 0..outputs {
                let sum: f64 = (0..inputs)
                    .map(|k| at(&self.input, row * inputs + k) * at(&self.weight, k * outputs + column))
                    .sum();
                let z = sum + at(&self.bias, column);
                let index = row * outputs + column;
                let (value, slope) = activated(activation, z);
                found[0][index] = value * at(factors, index);
                let delta = at(&self.gradient, index) * slope * at(factors, index);
                found[3][column] += delta;
                for k in 0..inputs {
                    found[1][row * inputs + k] += delta * at(&self.weight, k * outputs + column);
                    found[2][k * outputs + column] += delta * at(&self.input, row * inputs + k);
                }
            }
        }
        found
    }
}

/// An activation and its slope.
fn activated(function: Activation, z: f64) -> (f64, f64) {
    let sigmoid = 1.0 / (1.0 + (-z).exp());
    match function {
        Activation::Identity => (z, 1.0),
        Activation::Relu => (z.max(0.0), f64::from(u8::from(z > 0.0))),
        Activation::LeakyRelu => (if z > 0.0 { z } else { 0.01 * z }, if z > 0.0 { 1.0 } else { 0.01 }),
        Activation::Tanh => (z.tanh(), 1.0 - z.tanh().powi(2)),
        Activation::Sigmoid => (sigmoid, sigmoid * (1.0 - sigmoid)),
        Activation::Silu => (z * sigmoid, sigmoid * (1.0 + z * (1.0 - sigmoid))),
        Activation::Softplus => (z.max(0.0) + (-z.abs()).exp().ln_1p(), sigmoid),
        Activation::Selu => {
            let (scale, alpha) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);
            if z > 0.0 { (scale * z, scale) } else { (scale * alpha * z.exp_m1(), scale * alpha * z.exp()) }
        }
        Activation::Mish => {
            let tanh = z.exp().ln_1p().tanh();
            (z * tanh, tanh + z * (1.0 - tanh * tanh) * sigmoid)
        }
        Activation::Gelu => {
            let below = 0.5 * (1.0 + libm::erf(z * std::f64::consts::FRAC_1_SQRT_2));
            let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
            (z * below, below + z * density)
        }
    }
}

/// The greatest difference, relative to the greatest value.
fn difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let greatest = expected.iter().fold(1e-3, |greatest: f64, value| greatest.max(value.abs()));
    let differences =
        found.iter().zip(expected).map(|(found, expected)| (f64::from(*found) - expected).abs());
    differences.fold(0.0, |worst: f64, next| if next.is_nan() { f64::NAN } else { worst.max(next) })
        / greatest
}

#[test]
fn a_layer_and_its_gradients_are_those_of_double_precision_and_of_burn() {
    for sizes in SIZES {
        let (case, [batch, _, outputs]) = (LayerCase::new(sizes), sizes);
        for activation in Activation::iter() {
            let like = matrix(&vec![0.0; batch * outputs], [batch, outputs]);
            let factors = values(dropout_factors(like.inner(), mask()));
            let droppings = [
                (Dropping::None, vec![1.0; batch * outputs]),
                (Dropping::Scale(0.7), vec![0.7; batch * outputs]),
                (Dropping::Mask(mask()), factors),
            ];
            for (dropping, factors) in droppings {
                let what = format!("{sizes:?} {activation:?} {dropping:?}");
                let epilogue = Epilogue { activation, dropping };
                let expected = case.in_double_precision(activation, &factors);
                for fused in [Fused::On, Fused::Off] {
                    let found = case.run(&epilogue, fused);
                    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
                        let difference = difference(found, expected);
                        assert!(difference < 3e-6, "{what} {fused:?}, part {index}: {difference}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_layer_gives_the_same_bits_on_any_number_of_threads() {
    let epilogue = Epilogue { activation: Activation::Tanh, dropping: Dropping::Mask(mask()) };
    for sizes in [[64, 784, 512], [200, 300, 190], [5, 1500, 700]] {
        let case = LayerCase::new(sizes);
        let by = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                case.run(&epilogue, Fused::On)
                    .map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
            })
        };
        let alone = by(1);
        assert!([2, 3, 5].into_iter().all(|threads| by(threads) == alone), "{sizes:?}");
    }
}

/// An embedding's features and parameters, and the gradient of its outputs.
struct PeriodicCase {
    /// Batch, features, waves and size.
    sizes: [usize; 4],
    /// Indices of the numbers among the features.
    columns: Vec<usize>,
    features: Vec<f32>,
    /// Frequency, phase, weight and bias.
    learned: [Vec<f32>; 4],
    gradient: Vec<f32>,
}

impl PeriodicCase {
    fn new([batch, features, waves, size]: [usize; 4], columns: &[usize]) -> Self {
        let numbers = columns.len();
        let lengths = [numbers * waves, numbers * waves, numbers * waves * size, numbers * size];
        Self {
            sizes: [batch, features, waves, size],
            columns: columns.to_vec(),
            features: drawn(batch * features, 11).into_iter().map(|value| 4.0 * value).collect(),
            learned: std::array::from_fn(|part| drawn(lengths[part], 12 + part as u64)),
            gradient: drawn(batch * (features + numbers * size), 16),
        }
    }

    fn run(&self, fused: Fused) -> [Vec<f32>; 5] {
        let [batch, features, waves, size] = self.sizes;
        let numbers = self.columns.len();
        let [frequency, phase, mixing, bias] = &self.learned;
        let [frequency, phase, bias] = [frequency, phase, bias].map(|values| vector(values).require_grad());
        let mixing = TensorData::new(mixing.clone(), [numbers, waves, size]);
        let mixing = Tensor::<3>::from_data(mixing, &Device::flex().autodiff()).require_grad();
        let output = periodic(
            matrix(&self.features, [batch, features]),
            [frequency.clone(), phase.clone()],
            mixing.clone(),
            bias.clone(),
            EmbeddedColumns { columns: self.columns.clone().into() },
            fused,
        );
        let gradient = matrix(&self.gradient, [batch, features + numbers * size]);
        let gradients = (output.clone() * gradient).sum().backward();
        let of = |tensor: Tensor<1>| values(tensor.grad(&gradients).expect("a gradient"));
        let over_mixing = values(mixing.grad(&gradients).expect("a gradient"));
        [values(output.inner()), of(frequency), of(phase), over_mixing, of(bias)]
    }

    fn in_double_precision(&self) -> [Vec<f64>; 5] {
        let [batch, features, waves, size] = self.sizes;
        let width = features + self.columns.len() * size;
        let at = |values: &[f32], index: usize| f64::from(values[index]);
        let [frequency, phase, mixing, bias] = &self.learned;
        let mut found =
            [&vec![0.0; batch * width], frequency, phase, mixing, bias].map(|like| vec![0.0; like.len()]);
        for row in 0..batch {
            for column in 0..features {
                found[0][row * width + column] = at(&self.features, row * features + column);
            }
            for (number, column) in self.columns.iter().enumerate() {
                let x = at(&self.features, row * features + column);
                for part in 0..size {
                    let place = row * width + features + number * size + part;
                    found[0][place] += at(bias, number * size + part);
                    found[4][number * size + part] += at(&self.gradient, place);
                    for wave in number * waves..(number + 1) * waves {
                        let angle = std::f64::consts::TAU * (at(frequency, wave) * x + at(phase, wave));
                        let weight = wave * size + part;
                        found[0][place] += at(mixing, weight) * angle.cos();
                        found[3][weight] += at(&self.gradient, place) * angle.cos();
                        let slope = -at(&self.gradient, place)
                            * at(mixing, weight)
                            * angle.sin()
                            * std::f64::consts::TAU;
                        found[1][wave] += slope * x;
                        found[2][wave] += slope;
                    }
                }
            }
        }
        found
    }
}

#[test]
fn waves_of_numbers_and_their_gradients_are_those_of_double_precision_and_of_burn() {
    let columns: [&[usize]; 4] = [&[0], &[2, 0], &[1, 2, 3, 4], &[0, 5, 9]];
    for (sizes, columns) in
        [[1, 1, 1, 1], [7, 3, 5, 2], [65, 6, 16, 3], [300, 12, 24, 4]].into_iter().zip(columns)
    {
        let case = PeriodicCase::new(sizes, columns);
        let expected = case.in_double_precision();
        for fused in [Fused::On, Fused::Off] {
            for (index, (found, expected)) in case.run(fused).iter().zip(&expected).enumerate() {
                let difference = difference(found, expected);
                assert!(difference < 4e-6, "{sizes:?} {fused:?}, part {index}: {difference}");
            }
        }
    }
}

#[test]
fn waves_of_numbers_are_the_same_bits_on_any_number_of_threads() {
    let case = PeriodicCase::new([513, 40, 16, 3], &(0..40).collect::<Vec<_>>());
    let by = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            case.run(Fused::On).map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        })
    };
    let alone = by(1);
    assert!([2, 3, 5].into_iter().all(|threads| by(threads) == alone));
}

#[test]
fn a_layer_without_a_bias_is_one_with_zeros() {
    let case = LayerCase { bias: vec![0.0; 40], ..LayerCase::new([64, 33, 40]) };
    let [output, ..] = case.run(&Epilogue::NONE, Fused::On);
    let (input, weight) = (matrix(&case.input, [64, 33]), matrix(&case.weight, [33, 40]));
    for fused in [Fused::On, Fused::Off] {
        let without = values(linear(input.clone(), weight.clone(), None, Epilogue::NONE, fused).inner());
        assert!(
            difference(&without, &output.iter().map(|&value| f64::from(value)).collect::<Vec<_>>()) < 1e-6
        );
    }
}

#[test]
fn cross_entropy_and_its_gradient_are_those_of_double_precision_and_of_burn() {
    for [batch, classes] in [[1, 2], [7, 3], [200, 10], [90, 1000]] {
        let logits: Vec<f32> = drawn(batch * classes, 5).into_iter().map(|value| 6.0 * value).collect();
        let targets: Vec<i64> = (0..batch).map(|row| i64::from((row * 7 % classes) as u32)).collect();
        let upstream = drawn(batch, 6);
        let (mut losses, mut gradient) = (Vec::new(), Vec::new());
        for (row, logits) in logits.chunks(classes).enumerate() {
            let total: f64 = logits.iter().map(|&value| f64::from(value).exp()).sum();
            losses.push(total.ln() - f64::from(logits[targets[row] as usize]));
            gradient.extend(logits.iter().enumerate().map(|(class, &value)| {
                let hit = f64::from(u8::from(class == targets[row] as usize));
                (f64::from(value).exp() / total - hit) * f64::from(upstream[row])
            }));
        }
        for fused in [Fused::On, Fused::Off] {
            let logits = matrix(&logits, [batch, classes]).require_grad();
            let targets = TensorData::new(targets.clone(), [batch]);
            let targets = Tensor::<1, Int>::from_data(targets, &Device::flex().autodiff());
            let found = cross_entropy(logits.clone(), targets, fused);
            let gradients = (found.clone() * vector(&upstream)).sum().backward();
            let found_gradient = values(logits.grad(&gradients).expect("a gradient"));
            // An absolute difference: near 0, losses and gradients are differences of much greater numbers.
            assert!(apart(&values(found.inner()), &losses) < 3e-6, "{batch} {classes} {fused:?}");
            assert!(apart(&found_gradient, &gradient) < 1e-6, "{batch} {classes} {fused:?}");
        }
    }
}

/// The greatest difference.
fn apart(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (f64::from(*found) - expected).abs())
        .fold(0.0, f64::max)
}

#[test]
fn probabilities_sum_to_one_and_hits_are_counted() {
    let scores = matrix(&drawn(60, 8), [20, 3]).inner();
    for fused in [Fused::On, Fused::Off] {
        let rows = values(softmax(scores.clone(), fused));
        assert!(rows.chunks(3).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
    }
    let best: Vec<i64> = scores.clone().argmax(1).into_data().iter::<i64>().collect();
    let targets: Vec<i64> =
        best.iter().enumerate().map(|(row, &class)| if row < 12 { class } else { (class + 1) % 3 }).collect();
    let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [20]), &Device::flex());
    assert_eq!(hits(scores, targets).into_scalar::<i64>(), 12);
}

#[test]
fn a_sum_of_squares_does_not_depend_on_threads() {
    let tensor = vector(&drawn(100_000, 9)).inner();
    let expected: f64 = values(tensor.clone()).iter().map(|&value| f64::from(value).powi(2)).sum();
    let found = [1, 2, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| square_sum(&tensor).into_scalar::<f32>())
    });
    assert!(found.iter().all(|sum| sum.to_bits() == found[0].to_bits()));
    assert!((f64::from(found[0]) / expected - 1.0).abs() < 1e-6);
}

#[test]
fn steps_in_place_are_those_of_burns_operations() {
    let plain = || Optimizer { momentum: 0.0, ..Optimizer::default() };
    let rules = [
        Optimizer { name: OptimizerName::Sgd, ..plain() },
        Optimizer {
            name: OptimizerName::Sgd,
            momentum: 0.9,
            dampening: 0.1,
            weight_decay: Some(0.01),
            ..plain()
        },
        Optimizer { name: OptimizerName::Sgd, momentum: 0.9, nesterov: true, ..plain() },
        Optimizer { name: OptimizerName::Rmsprop, weight_decay: Some(0.01), ..plain() },
        Optimizer { name: OptimizerName::Rmsprop, momentum: 0.5, ..plain() },
        Optimizer { name: OptimizerName::Adam, weight_decay: Some(0.01), ..plain() },
        Optimizer { name: OptimizerName::Adamw, ..plain() },
    ];
    for config in rules {
        let [on, off] = [Fused::On, Fused::Off].map(|fused| {
            let rule = UpdateRule::new(&config, fused);
            let (mut parameter, mut state) = (matrix(&drawn(600, 10), [20, 30]).inner(), None);
            for step in 0..5 {
                let gradient = matrix(&drawn(600, 20 + step), [20, 30]).inner();
                (parameter, state) = rule.step(0.01, parameter, gradient, state);
            }
            values(parameter)
        });
        let off: Vec<f64> = off.into_iter().map(f64::from).collect();
        assert!(difference(&on, &off) < 2e-6, "{config:?}: {}", difference(&on, &off));
    }
}
