//! From features to logits.

use kiln_config::Activation;
use pulp::{Arch, Simd, WithSimd};

use crate::activation::activate;
use crate::dropout::{DropoutMask, Pass};
use crate::network::{Dense, Network};
use crate::panels::{Panels, Place, Row, WIDTH};
use crate::product::{Rows, product};
use crate::share::each;

/// Examples that one piece of work takes on.
pub(crate) const EXAMPLES: usize = 64;

/// What passes of a network leave behind: outputs of the layers, and what the way back needs. Kept from pass to
/// pass, so that memory is asked for once.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    /// The outputs of every layer, shape [examples, outputs]; of hidden ones after activation and dropout.
    pub(crate) outputs: Vec<Panels>,
    /// For every hidden layer the slope of its outputs over its values before the activation, dropout included.
    pub(crate) slopes: Vec<Panels>,
    /// The logits, row after row; for the way back, the loss's gradient in their place.
    pub(crate) logits: Vec<f32>,
}

impl Network {
    /// The logits of the examples whose features follow each other in `features`, row after row of `classes`.
    ///
    /// # Panics
    /// If `features` is not made of whole examples.
    pub fn forward<'a>(&self, features: &[f32], pass: Pass, buffers: &'a mut Buffers) -> &'a mut [f32] {
        let examples = features.len() / self.inputs();
        assert_eq!(features.len(), examples * self.inputs(), "examples are whole");
        let hidden = self.layers.len() - 1;
        buffers.outputs.resize_with(hidden + 1, Panels::default);
        buffers.slopes.resize_with(hidden, Panels::default);
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, rest) = buffers.outputs.split_at_mut(index);
            let left = before.last().map_or_else(|| Rows::plain(features, self.inputs()), Rows::panels);
            rest[0].resize(examples, layer.outputs());
            let mut slopes = buffers.slopes.get_mut(index);
            if let Some(slopes) = &mut slopes {
                slopes.resize(examples, layer.outputs());
            }
            let ending = (index < hidden).then(|| Ending {
                activation: self.activation,
                inference_factor: self.dropout.inference_factor(),
                mask: match pass {
                    Pass::Training { step } if self.dropout.probability > 0.0 => {
                        Some(self.dropout.mask(step, index))
                    }
                    _ => None,
                },
            });
            layer_forward(layer, left, ending.as_ref(), &mut rest[0], slopes);
        }
        buffers.logits = buffers.outputs[hidden].to_rows();
        &mut buffers.logits
    }

    /// What the hidden layers give out in inference, before dropout scales it, first to last: the values, example after
    /// example, and how many an example has.
    ///
    /// # Panics
    /// If `features` is not made of whole examples.
    pub fn hidden(&self, features: &[f32], buffers: &mut Buffers) -> Vec<(Vec<f32>, usize)> {
        self.forward(features, Pass::Inference, buffers);
        let kept = self.dropout.inference_factor();
        let hidden = buffers.outputs.iter().take(self.layers.len() - 1).map(|outputs| {
            let mut values = outputs.to_rows();
            for value in &mut values {
                *value /= kept;
            }
            (values, outputs.columns())
        });
        hidden.collect()
    }
}

/// What comes after a hidden layer's values.
struct Ending {
    activation: Activation,
    inference_factor: f32,
    mask: Option<DropoutMask>,
}

fn layer_forward(
    layer: &Dense,
    left: Rows<'_>,
    ending: Option<&Ending>,
    outputs: &mut Panels,
    slopes: Option<&mut Panels>,
) {
    let cost = outputs.rows() * layer.inputs() * layer.outputs();
    let arch = Arch::new();
    let slopes = slopes.into_iter().flat_map(|slopes| slopes.blocks_mut(EXAMPLES)).map(|(_, slopes)| slopes);
    let slopes = slopes.map(Some).chain(std::iter::repeat_with(|| None));
    let units: Vec<_> = outputs
        .blocks_mut(EXAMPLES)
        .zip(slopes)
        .map(|((place, outputs), slopes)| Unit { layer, left, ending, place, outputs, slopes })
        .collect();
    each(units, cost, |unit| arch.dispatch(unit));
}

/// A block of a layer's outputs.
struct Unit<'a> {
    layer: &'a Dense,
    left: Rows<'a>,
    ending: Option<&'a Ending>,
    place: Place,
    outputs: &'a mut [Row],
    slopes: Option<&'a mut [Row]>,
}

impl WithSimd for Unit<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { layer, left, ending, place, outputs, slopes } = self;
        let bias = layer.bias.as_ref().map_or([0.0; WIDTH], |bias| bias.values()[place.panel]);
        outputs.fill(bias);
        product(simd, left, place.row, layer.weight.panel(place.panel), outputs, false);
        if let (Some(ending), Some(slopes)) = (ending, slopes) {
            ending.apply(place, layer.outputs(), outputs, slopes);
        }
    }
}

impl Ending {
    #[inline(always)]
    fn apply(&self, place: Place, columns: usize, values: &mut [Row], slopes: &mut [Row]) {
        activate(self.activation, values, slopes);
        let first = place.panel * WIDTH;
        if let Some(mask) = &self.mask {
            let width = WIDTH.min(columns - first);
            let mut factors = [0.0; WIDTH];
            for (row, (values, slopes)) in values.iter_mut().zip(slopes).enumerate() {
                mask.fill((place.row + row) * columns + first, &mut factors[..width]);
                *values = times(values, &factors);
                *slopes = times(slopes, &factors);
            }
        } else if self.inference_factor != 1.0 {
            for value in values.as_flattened_mut() {
                *value *= self.inference_factor;
            }
        }
    }
}

#[inline(always)]
fn times(row: &Row, factors: &Row) -> Row {
    std::array::from_fn(|at| row[at] * factors[at])
}
