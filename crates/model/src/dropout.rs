//! Dropout after the hidden layers of the perceptron.

use kiln_config::DropoutMode;
use kiln_config::random::{Purpose, Stream};
use kiln_data::Pass;
use kiln_kernels::{DropoutMask, Dropping};

/// Dropout after every hidden activation; its masks are pure functions of (seed, step, layer), and of the member where
/// several networks are trained side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability that a unit is dropped, in [0, 1).
    pub probability: f64,
    /// Where the scaling happens.
    pub mode: DropoutMode,
    /// Seed of the masks.
    pub seed: u64,
}

impl Dropout {
    /// What happens to the outputs of `layer` of `member`, both from 0, in a pass.
    #[must_use]
    pub fn dropping(&self, [member, layer]: [usize; 2], pass: Pass) -> Dropping {
        let keep = 1.0 - self.probability;
        match (pass, self.mode) {
            _ if self.probability == 0.0 => Dropping::None,
            (Pass::Training { step }, mode) => {
                let indices = [step, layer as u64, member as u64];
                let indices = if member == 0 { &indices[..2] } else { &indices };
                let stream = Stream::new(self.seed, Purpose::Dropout, indices);
                let kept_value = match mode {
                    DropoutMode::Inverted => (1.0 / keep) as f32,
                    DropoutMode::Standard => 1.0,
                };
                Dropping::Mask(DropoutMask::new(stream, keep, kept_value))
            }
            (Pass::Inference, DropoutMode::Inverted) => Dropping::None,
            (Pass::Inference, DropoutMode::Standard) => Dropping::Scale(keep as f32),
        }
    }
}
