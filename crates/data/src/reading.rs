//! How the files of images are read.

use serde::{Deserialize, Serialize};

/// What the files of a data set do not say of themselves and the training images tell. Files for the trained network
/// are read in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    /// The level of a picture of 16 bits that is white: 65,535; 4,095 or 255 where the training pictures use no more.
    pub picture_white: u16,
    /// The number in an IDX file that is a full pixel: 255; 1 where the training images go from 0 to 1.
    pub idx_white: u8,
    /// Whether rows and columns of IDX images are exchanged.
    pub is_transposed: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Self { picture_white: u16::MAX, idx_white: u8::MAX, is_transposed: false }
    }
}
